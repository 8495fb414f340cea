"""From what people type to an item, and never by a guess."""

import pytest

from warmstart.core.errors import UnknownItemError
from warmstart.data import Ids
from warmstart.recommenders.titles import Titles

CATALOGUE = [
    "Matrix, The (1999)",
    "Alien (1979)",
    "Aliens (1986)",
    "Toy Story (1995)",
    "Toy Story 2 (1999)",
    "Psycho (1960)",
    "Psycho (1998)",
    "霸王别姬 (1993)",
    "饮食男女 (1994)",
    "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
    "2001: A Space Odyssey (1968)",
    "Seven (Se7en) (1995)",
]


@pytest.fixture(scope="module")
def titles():
    return Titles(Ids(list(range(100, 100 + len(CATALOGUE)))), CATALOGUE)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        (101, "Alien (1979)"),
        ("101", "Alien (1979)"),
        ("alien (1979)", "Alien (1979)"),
        ("  ALIEN ", "Alien (1979)"),
        ("The Matrix (1999)", "Matrix, The (1999)"),
        ("matrix", "Matrix, The (1999)"),
        ("The Matrx", "Matrix, The (1999)"),
        ("Psycho (1998)", "Psycho (1998)"),
        ("toy story 2", "Toy Story 2 (1999)"),
        ("霸王别姬", "霸王别姬 (1993)"),
        ("饮食男女（1994）", "饮食男女 (1994)"),
        ("amelie", "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("le fabuleux destin d'amelie poulain", CATALOGUE[9]),
        ("2001 a space odyssey", "2001: A Space Odyssey (1968)"),
        ("Se7en", "Seven (Se7en) (1995)"),
    ],
)
def test_an_item_is_found_as_people_write_it(titles, query, title):
    assert CATALOGUE[titles.find(query)] == title


@pytest.mark.parametrize(
    ("query", "ambiguous", "proposal"),
    [
        ("psycho", True, "Psycho (1960)"),
        ("Toy Story 3", False, "Toy Story 2 (1999)"),
        ("Alien (1999)", False, "Alien (1979)"),
        ("霸王", False, "霸王别姬 (1993)"),
        ("Toy Stroy", True, None),
    ],
)
def test_what_is_not_clear_is_asked_back(titles, query, ambiguous, proposal):
    with pytest.raises(UnknownItemError) as caught:
        CATALOGUE[titles.find(query)]
    assert ("fits several" in str(caught.value)) == ambiguous or proposal is None
    assert proposal is None or proposal in caught.value.proposals


@pytest.mark.parametrize("query", ["", "   ", "x" * 5000, None, 3.5, "🛸", "; DROP TABLE", -1])
def test_nonsense_is_an_error_and_nothing_else(titles, query):
    with pytest.raises(UnknownItemError):
        titles.find(query)


def test_text_ids_win_over_titles_of_the_same_spelling():
    titles = Titles(Ids(["b", "a"]), ["a", "b"])
    assert (titles.find("a"), titles.find("b")) == (1, 0)


def test_without_titles_ids_are_all_there_is():
    titles = Titles(Ids(["tt01", "tt02"]))
    assert titles.find("tt02") == 1
    assert titles.title(0) == "tt01"
    with pytest.raises(UnknownItemError):
        titles.find("tt03")


def test_a_longer_catalogue_finds_what_one_built_anew_finds(titles):
    more = [*CATALOGUE, "Psycho (2030)", None, "Alien (1979)", "Matrix, The (2031)"]
    ids = Ids(list(range(100, 100 + len(more))))
    assert titles.find("alien") == 1
    before = [{key: list(where) for key, where in level.items()} for level in titles._levels]
    longer, anew = titles.longer(ids, more), Titles(ids, more)
    assert [dict(level) for level in longer._levels] == [dict(level) for level in anew._levels]
    assert list(titles._levels) == before  # the shorter one is left alone
    assert titles.find("alien") == 1
    assert longer.find("Matrix (2031)") == anew.find("Matrix (2031)") == len(more) - 1
    assert longer.find("Psycho (2030)") == len(CATALOGUE)
    with pytest.raises(UnknownItemError, match="fits several"):
        longer.find("alien")
