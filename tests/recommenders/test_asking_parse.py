"""Requests read by rules: every field, in English, in Chinese, and in both."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommenders.asked_films import recommender

from warmstart.llm.wish import Condition
from warmstart.recommenders.asking.amounts import bounds, count
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.asking.parse import parse, says_nothing


@pytest.fixture(scope="module")
def catalogue():
    return recommender("popularity").catalogue


@pytest.fixture(scope="module")
def known(catalogue):
    return Attributes.of(catalogue)


@pytest.fixture(scope="module")
def read(catalogue, known):
    return lambda text: parse(text, catalogue.titles, known)


FILTERS = [
    ("comedies", ["genres has Comedy"]),
    ("a western without romance", ["genres has Western", "genres has not Romance"]),
    ("horror movies made before 1975", ["genres has Horror", "year <= 1974"]),
    ("science fiction, after 1990", ["genres has Sci-Fi", "year >= 1991"]),
    ("drama since 1980", ["genres has Drama", "year >= 1980"]),
    ("films from the fifties and sixties", ["year >= 1950", "year <= 1969"]),
    ("romantic drama, newer than 1995", ["genres has Romance", "genres has Drama", "year >= 1996"]),
    ("nothing before 1990", ["year >= 1990"]),
    ("no horror, no musicals", ["genres has not Horror", "genres has not Musical"]),
    ("anything but romance", ["genres has not Romance"]),
    ("no horror or musicals", ["genres has not Horror", "genres has not Musical"]),
    ("comedies or westerns", []),
    ("something funny", []),
    ("less romance", []),
    ("no slow dramas", []),
    ("an anti-western", []),
    ("films by Alfred Hitchcock", ["director has Alfred Hitchcock"]),
    ("something directed by Hitchcock", ["director has Alfred Hitchcock"]),
    ("a movie starring Harrison Ford", ["actors has Harrison Ford"]),
    ("shorter than 90 minutes", ["runtime < 90"]),
    ("at most 2 hours", ["runtime <= 120"]),
    ("a drama under $10", ["genres has Drama", "price < 10"]),
    ("between $5 and $9", ["price >= 5", "price <= 9"]),
    ("nothing over $12", ["price <= 12"]),
    ("八十年代的喜剧片", ["genres has Comedy", "year >= 1980", "year <= 1989"]),
    ("1990年以前的恐怖片", ["genres has Horror", "year <= 1989"]),
    ("2000年以后的动作片", ["genres has Action", "year >= 2000"]),
    ("不要动画片", ["genres has not Animation"]),
    ("讨厌歌舞片", ["genres has not Musical"]),
    ("爱情剧情片", ["genres has Romance", "genres has Drama"]),
    ("王家卫的电影", ["director has 王家卫"]),
    ("Tom Hanks 主演的电影", ["actors has Tom Hanks"]),
    ("10元以下", ["price <= 10"]),
    ("不超过两小时的科幻片", ["genres has Sci-Fi", "runtime <= 120"]),
    ("90分钟以内", ["runtime <= 90"]),
    ("一个半小时以内", ["runtime <= 90"]),
    ("不到10块的剧情片", ["genres has Drama", "price < 10"]),
    ("90s 的 comedy", ["genres has Comedy", "year >= 1990", "year <= 1999"]),
]


@pytest.mark.parametrize(("text", "filters"), FILTERS)
def test_conditions(read, text, filters):
    found = [f"{c.column} {c.operator} {c.value}" for c in read(text).filters]
    assert sorted(found) == sorted(filters)


NAMES = [
    ("something like Alien", ["Alien"], []),
    ("something like The Matrix but not Star Wars", ["The Matrix"], ["Star Wars"]),
    ("I loved Blade Runner and The Matrix", ["Blade Runner", "The Matrix"], []),
    ("I like Casablanca and dislike Grease", ["Casablanca"], ["Grease"]),
    ("I hated Titanic. Show me a comedy", [], ["Titanic"]),
    ("films similar to No Country for Old Men", ["No Country for Old Men"], []),
    ("films like alien", ["alien"], []),
    ("films like Zorbulon the Great", ["Zorbulon the Great"], []),
    ("less violent than Alien", [], []),
    ("类似《异形大战》的电影", ["异形大战"], []),
    ("像异形大战这样的片子", ["异形大战"], []),
    ("不喜欢《油脂》，喜欢《卡萨布兰卡》", ["卡萨布兰卡"], ["油脂"]),
    ("推荐几部像 Blade Runner 的科幻片", ["Blade Runner"], []),
    ("Toy Story 这样的动画片", ["Toy Story"], []),
    ("I like comedies", [], []),
    ("quiet films", [], []),
]


@pytest.mark.parametrize(("text", "liked", "disliked"), NAMES)
def test_names(read, text, liked, disliked):
    wish = read(text)
    assert (list(wish.liked_items), list(wish.disliked_items)) == (liked, disliked)


COUNTS = [
    ("five films", 5), ("top 10 thrillers", 10), ("a dozen westerns", 12), ("8 of them", 8),
    ("six horror comedies", 6), ("one good comedy", 1), ("two people in love", None),
    ("the 7 samurai", None), ("推荐5部", 5), ("十部恐怖片", 10), ("十二部电影", 12),
    ("来一部老电影", 1), ("两个人的故事", None), ("第二部", None), ("10 部 comedy", 10),
    ("films under 90 minutes", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), COUNTS)
def test_counts(read, text, number):
    assert read(text).count == number


WORDS = [
    ("quiet space films, nothing violent", ["quiet space"], ["violent"]),
    ("films about boxing", ["boxing"], []),
    ("I'm tired of superheroes", [], ["superheroes"]),
    ("想看太空科幻，不要暴力", ["太空"], ["暴力"]),
    ("关于拳击的剧情片", ["拳击"], []),
    ("五部恐怖片", [], []),
]


@pytest.mark.parametrize(("text", "likes", "dislikes"), WORDS)
def test_words(read, text, likes, dislikes):
    wish = read(text)
    assert (list(wish.likes), list(wish.dislikes)) == (likes, dislikes)


@pytest.mark.parametrize(
    "text",
    ["我喜欢看电影，推荐一些电影。", "what should I watch tonight?", "surprise me", "今晚看什么",
     "recommend me some films", "有什么好看的"],
)  # fmt: skip
def test_a_request_without_taste(read, text):
    assert says_nothing(read(text))


@pytest.mark.parametrize(
    ("text", "language", "domain"),
    [("quiet films", "en", "films"), ("推荐一些电影", "zh", "电影"),
     ("我喜欢 The Matrix", "mixed", None), ("1984", "other", None)],
)  # fmt: skip
def test_language_and_domain(read, text, language, domain):
    assert (read(text).language, read(text).domain) == (language, domain)


def test_a_column_that_is_not_there_gives_no_condition():
    bare = Attributes({"genres": ("Comedy",)}, {}, {})
    assert bounds("a lamp under $50", bare) == []
    assert count("five lamps", lambda word: word == "lamps") == (5, 0, 4)


def test_a_name_counts_without_what_stands_in_brackets_behind_it():
    people = ("Ann Lee(co-director)", "Bo Ek", "Bo Ek (II)", *(f"Some One{n}" for n in range(100)))
    known = Attributes({"director": people}, {}, {})
    for text in ("films by Ann Lee", "films by Ann Lee(co-director)", "Ann Lee导演的电影"):
        assert [(m.value, m.sure) for m in known.mentions(text)] == [(people[0], True)]
    assert [m.value for m in known.mentions("films by Bo Ek")] == ["Bo Ek"]


def test_values_are_the_catalogues_and_titles_are_none(known, catalogue):
    assert set(known.values) == {"genres", "director", "actors"}
    assert known.years == {"year": (1942.0, 2007.0)}
    assert known.kinds == {"year": "year", "runtime": "minutes", "price": "price"}
    titles = set(catalogue.table["title"].to_pylist())
    assert not titles & {value for values in known.values.values() for value in values}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read(catalogue, known, text):
    wish = parse(text, catalogue.titles, known)
    for condition in wish.filters:
        assert isinstance(condition, Condition)
        assert condition.column in known.values or condition.column in known.numbers
