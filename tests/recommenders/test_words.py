"""Users who ask in their own words: what is heard, and what becomes of the list."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge
from tests.recommenders.small import SMALL

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Histories
from warmstart.data import Dataset
from warmstart.encoders.text import SentenceEncoder
from warmstart.recommenders import Recommender
from warmstart.recommenders.encoding import encode_items
from warmstart.recommenders.recommender import load
from warmstart.recommenders.trust import UNLEARNED, learn_trust, standardised
from warmstart.recommenders.words import Words, _regression, answered, asked_for

FILMS = {
    "item": ["a", "b", "c", "d", "e", "f"],
    "year": [1955, 1958, 1983, 1986, 1999, 2001],
    "genres": ["Western", "Comedy|Romance", "Sci-Fi", "Comedy", "Horror", "Drama"],
    "director": ["John Ford", "Ida Lupino", "Wong Kar-wai", "王家卫", "Al", "John Ford"],
    "plot": [
        "Cowboys drive cattle across a dry land and fight a gang of robbers.",
        "Two people fall in love at a wedding and laugh a lot.",
        "Astronauts on a distant planet find a silent spaceship.",
        "Clumsy policemen crash every car they are given.",
        "A ghost haunts the new owners of an old house.",
        "An old farmer tries to save his land from the bank.",
    ],
}


@pytest.fixture(scope="module")
def films():
    """Six films, each liked by somebody."""
    rows = {"user": [1, 1, 1, 2, 2, 2, 3], "item": ["a", "b", "c", "d", "e", "f", "a"]}
    people = {"kind": "multi-category", "separator": ", "}
    schema = {
        "items": {
            "genres": {"kind": "multi-category", "separator": "|"},
            "director": people,
            "plot": "text",
            "year": "number",
        }
    }
    data = Dataset.from_tables(rows, FILMS, schema=schema)
    return encode_items(data, ["plot"])[0]


@pytest.fixture(scope="module")
def words(films):
    """What hears wishes about them."""
    return Words.of(
        SentenceEncoder(), ["plot"], films.content, films.item_features, films.item_table
    )


def first(films, heard):
    return films.items[int(np.argmax(heard.scores))]


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("spaceships and other worlds", "c"),
        ("太空飞船和外星球", "c"),
        ("a ghost story", "e"),
        ("闹鬼的故事", "e"),
        ("a funny film from the eighties", "d"),
        ("80年代的喜剧", "d"),
        ("西部片", "a"),
        ("a drama by John Ford", "f"),
        ("王家卫的电影", "d"),
        ("a comedy without romance", "d"),
        ("不要爱情，喜剧", "d"),
    ],
)
def test_a_wish_finds_the_film(films, words, text, item):
    """By meaning, topic, name or year, in both languages."""
    assert first(films, words.hear(text)) == item


def test_what_is_understood_is_said(words):
    """Clauses, categories and eras, each on the side it belongs to."""
    heard = words.hear("comedies of the 1980s, nothing with ghosts")
    assert heard.wanted == ("comedies of the 1980s",)
    assert len(heard.unwanted) == 1
    assert "ghosts" in heard.unwanted[0]
    assert heard.values[0] == ("genres", "Comedy")
    assert (heard.eras[0].first, heard.eras[0].last) == (1980, 1989)


def test_what_is_unwanted_counts_against(films, words):
    """The same words with a negation before them put the film last instead of first."""
    at = films.items.find(["e"])[0]
    wanted, unwanted = words.hear("horror").scores, words.hear("no horror").scores
    assert np.argmax(wanted) == at
    assert np.argmin(unwanted) == at


@pytest.mark.parametrize(
    "text", ["我喜欢看电影，推荐一些电影。", "recommend me some films", "I want a good movie"]
)
def test_a_wish_for_nothing_in_particular_leaves_the_list_to_taste(told, words, text):
    """The sentence of the article: a list of one's own, with the reasons of a history."""
    assert not words.hear(text).scores.any()
    likes = [r.item for r in told.recommend(k=3)]
    asked, plain = told.recommend(likes, text=text), told.recommend(likes)
    assert [(r.item, r.reason) for r in asked] == [(r.item, r.reason) for r in plain]
    assert told.recommend(text=text)[0].reason.startswith("liked by")


def test_reasons_name_what_was_asked(films, words):
    """A category or a year of the item, or else the wish itself."""
    heard = words.hear("comedies of the 1980s")
    lines = words.reasons(heard, np.array([films.items.find([i])[0] for i in "dc"]))
    assert lines[0] == "Comedy, 1986, as you asked"
    assert lines[1] == "1983, as you asked"
    joined = words.reasons(heard, films.items.find(["d"]), ["because you liked x"])
    assert joined == ["Comedy, 1986, as you asked; because you liked x"]


@pytest.mark.parametrize("text", ["", "   ", "。。。", "!!!"])
def test_a_text_that_says_nothing_is_refused(words, text):
    """With a line that says what to do."""
    with pytest.raises(DataError, match="says nothing"):
        words.hear(text)


@pytest.mark.parametrize("text", [3, ["space"], {"text": "space"}])
def test_what_is_no_text_is_refused(words, text):
    """A wish is a string."""
    with pytest.raises(DataError, match="give a string"):
        words.hear(text)


def test_odd_texts_are_heard(words):
    """Emoji, a megabyte, another language: scores are finite."""
    for text in ("🎬🎬", "space " * 200_000, "фильм о космосе", "a\x00b", "\ud800 space"):
        assert np.isfinite(words.hear(text).scores).all()


def test_the_topics_are_a_weighed_ridge_regression():
    """The slopes are those of scikit-learn, with sample weights and an intercept."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 7)).astype(np.float32), rng.normal(size=(60, 3)).astype(np.float32)
    weight = rng.uniform(0.5, 4, size=60)
    expected = Ridge(alpha=3.0).fit(x, y, sample_weight=weight).coef_.T
    np.testing.assert_allclose(_regression(x, y, weight), expected, atol=1e-4)


def test_one_genre_of_many_answers_less():
    """By hand: an item with four genres is half as much the one that is asked for."""
    values = sp.csr_array(np.float32([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]]))
    np.testing.assert_allclose(answered(values, np.float32([[2, 0, 0, 0]])), [[2, 1, 0]])


def test_trust_is_what_ranks_best():
    """Taste that knows everything is trusted more than taste that is noise."""
    rng = np.random.default_rng(0)
    likes = sp.csr_array((rng.random((400, 60)) < 0.2).astype(np.float32))
    # items of many categories answer less, so that taste needs a say to find the liked ones
    topics = [sp.csr_array((rng.random((60, 6)) < 0.5).astype(np.float32))]
    users = np.arange(400)

    def knowing(histories: Histories):
        # who is asked is not in the histories: the oracle knows them by what they have shown
        shown = histories.matrix(60).toarray() > 0
        best = (shown @ likes.toarray().T).argmax(axis=1)
        return likes[best].toarray() + rng.normal(size=shown.shape).astype(np.float32) * 0.01

    def noise(histories: Histories):
        return rng.normal(size=(len(histories), 60)).astype(np.float32)

    trusts = [
        learn_trust([(taste, users)], topics, asked_for, likes, None, seed=0)
        for taste in (knowing, noise)
    ]
    many = np.array([10])
    assert trusts[0].at(many)[0, 0] > 2 * trusts[1].at(many)[0, 0]
    assert learn_trust([(noise, users)], [], asked_for, likes, None, seed=0) is UNLEARNED


def test_standardised_scores_have_mean_0_and_spread_1():
    """For every user; constant scores say nothing."""
    found = standardised(np.float32([[1, 2, 3, 6], [5, 5, 5, 5]]))
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=1), [1, 0], atol=1e-6)


@pytest.fixture(scope="module")
def told(planted):
    """A small model that knows descriptions."""
    data = encode_items(planted, ["description"])[0]
    return Recommender("default", config=SMALL, seed=3).fit(data, progress=False)


def genres_of(model, found):
    rows = dict(
        zip(
            model.catalogue.table["item"].to_pylist(),
            model.catalogue.table["genres"].to_pylist(),
            strict=True,
        )
    )
    return [rows[r.item] for r in found]


@pytest.mark.parametrize("text", ["science fiction", "科幻片", "I'd like something sci-fi"])
def test_a_list_answers_the_wish(told, text):
    """Most of it is of the genre that was asked for, a fraction of the catalogue is."""
    genres = genres_of(told, told.recommend(text=text, k=5))
    assert sum("Sci-Fi" in g for g in genres) >= 4


def test_a_wish_and_a_history_both_count(told):
    """Beside a wish the history still moves the list, and what was seen stays out."""
    alone = [r.item for r in told.recommend(text="a comedy", k=10)]
    likes = [r.item for r in told.recommend(k=40)][20:24]
    both = told.recommend(likes, text="a comedy", k=10)
    assert [r.item for r in both] != alone
    assert not set(likes) & {r.item for r in both}
    assert sum("Comedy" in g for g in genres_of(told, both)) >= 7
    assert all("as you asked" in r.reason for r in both if "Comedy" in genres_of(told, [r])[0])


def test_filters_and_exclusions_hold_under_a_wish(told):
    """A wish never lets anything through."""
    found = told.recommend(text="a comedy", k=10, filter="genres has Western")
    assert all("Western" in g for g in genres_of(told, found))
    best = told.recommend(text="a comedy", k=1)[0].item
    assert best not in {r.item for r in told.recommend(text="a comedy", k=5, exclude=[best])}


def test_new_items_answer_wishes(told):
    """Served at once, by their description; the old model does not know them."""
    grown = load_copy(told)
    grown.add_items(
        {
            "item": [900_001],
            "title": ["Penguins (2024)"],
            "year": [2024],
            "genres": ["Documentary"],
            "description": ["Penguins cross the ice of the south pole."],
        }
    )
    assert grown.recommend(text="penguins on the ice", k=1)[0].item == 900_001
    assert grown.recommend(text="2024年的", k=1)[0].item == 900_001


def test_a_saved_model_hears_the_same(told, tmp_path):
    """Same list, same scores."""
    told.save(tmp_path / "m")
    again = load(tmp_path / "m")
    for text in ("a western from the sixties", "不要喜剧"):
        ours, theirs = told.recommend(text=text), again.recommend(text=text)
        assert [(r.item, r.score, r.reason) for r in ours] == [
            (r.item, r.score, r.reason) for r in theirs
        ]


def test_a_method_without_content_says_so(split):
    """And says what to do."""
    model = Recommender("popularity").fit(split.train, progress=False)
    with pytest.raises(ConfigError, match="cannot use text"):
        model.recommend(text="a comedy")


def load_copy(model):
    """A model that may be changed without the others noticing."""
    copy = Recommender.__new__(Recommender)
    copy.__dict__.update(model.__dict__)
    return copy
