"""Reviews as a modality: pooled as promised, and silent about what a split holds out."""

import numpy as np
import pytest

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import Dataset, SplitConfig, load_dataset, make_split
from warmstart.data.reviews import read_reviews
from warmstart.encoders import VectorCache
from warmstart.encoders.text import SentenceEncoder
from warmstart.llm.extract import Preference, preference_rows
from warmstart.recommenders.review_vectors import encode_reviews, review_vectors


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "vectors.sqlite")


def encoded(*texts):
    return SentenceEncoder().vectors([t.encode() for t in texts])[0]


TEXTS = ["A warm sound.", "Too loud for me.", "It broke after a week.", "音色温暖", "Lovely paint"]


def test_items_and_users_get_the_means_of_two_voices(cache):
    data = Dataset.from_tables({"user": ["ann", "bo", "ann", "ann"], "item": ["x", "x", "y", "z"]})
    rows = {"user": ["ann", "ann", "bo", "ann", "cy"], "item": ["x", "x", "x", "y", "x"]}
    found = encode_reviews(data, read_reviews(rows | {"text": TEXTS}), cache=cache)
    v = encoded(*TEXTS)
    block = found.data.content["reviews"]
    ann = (v[0] + v[1]) / 2  # what one author wrote of one item is one voice
    expected = {"x": (ann + v[2]) / 2, "y": v[3], "z": np.zeros(512)}
    for item, known in (("x", True), ("y", True), ("z", False)):
        at = data.items.index(item)
        assert block.known[at] == known
        np.testing.assert_allclose(block.values[at], expected[item], atol=1e-5)
    np.testing.assert_allclose(found.users[data.users.index("ann")], (ann + v[3]) / 2, atol=1e-5)
    np.testing.assert_allclose(found.users[data.users.index("bo")], v[2], atol=1e-5)
    assert (found.used, found.left_out, found.faults) == (4, 1, ())
    assert "2 items from 4 reviews; 1 are not of the rows" in found.summary()
    asked = encode_reviews(
        data, read_reviews(rows | {"text": TEXTS}), users=["cy", "bo", "bo"], cache=cache
    )
    assert asked.users_known.tolist() == [False, True, True]
    assert not asked.users[0].any()
    np.testing.assert_allclose(asked.users[1:], [v[2], v[2]], atol=1e-5)
    assert data.content == {}


@pytest.mark.parametrize("scenario", ["user-cold", "item-cold", "warm"])
def test_what_is_held_out_changes_nothing(cache, scenario):
    data = load_dataset("synthetic", n_users=60, n_items=30)
    split = make_split(data, SplitConfig(scenario=scenario, max_shots=3, min_support=1))
    pairs = data.pairs
    columns = {
        "user": data.users.take(pairs.user),
        "item": data.items.take(pairs.item),
        "text": [TEXTS[i] for i in np.random.default_rng(0).integers(0, 5, len(pairs))],
    }
    trained = split.train.pairs.user.astype(int) * data.n_items + split.train.pairs.item
    held = ~np.isin(pairs.user.astype(int) * data.n_items + pairs.item, trained)
    assert held.any()
    altered = [
        "A text that nobody may see." if h else t
        for t, h in zip(columns["text"], held, strict=True)
    ]
    before, after = (
        encode_reviews(split.train, read_reviews(columns | {"text": texts}), cache=cache)
        for texts in (columns["text"], altered)
    )
    assert before.left_out == held.sum()
    np.testing.assert_array_equal(
        before.data.content["reviews"].values, after.data.content["reviews"].values
    )
    np.testing.assert_array_equal(before.users, after.users)
    cold = split.tasks.cold_users
    assert not before.users_known[cold].any()
    assert not before.data.content["reviews"].known[split.tasks.cold_items].any()


def test_users_with_rows_may_speak_of_items_without_where_that_is_asked(cache):
    tables = {"user": ["ann", "bo"], "item": ["x", "x"]}, {"item": ["x", "y"]}
    data = Dataset.from_tables(*tables)
    rows = {"user": ["ann", "cy"], "item": ["y", "y"], "text": TEXTS[:2]}
    strict, free = (
        encode_reviews(data, read_reviews(rows), of=of, cache=cache) for of in ("rows", "users")
    )
    assert not strict.data.content["reviews"].known.any()
    at = data.items.index("y")
    np.testing.assert_allclose(
        free.data.content["reviews"].values[at], encoded(TEXTS[0])[0], atol=1e-5
    )
    assert free.left_out == 1
    with pytest.raises(ConfigError, match="of='all'; give 'rows' or 'users'"):
        encode_reviews(data, read_reviews(rows), of="all", cache=cache)


def test_new_items_and_new_users_come_with_all_their_reviews(cache):
    rows = {"user": ["ann", "bo", "ann"], "item": ["x", "x", "y"], "text": TEXTS[:3]}
    reviews = read_reviews(rows)
    v = encoded(*TEXTS[:3])
    items, known = review_vectors(reviews, ["y", "nothing", "x"], cache=cache)
    assert known.tolist() == [True, False, True]
    np.testing.assert_allclose(items, [v[2], np.zeros(512), (v[0] + v[1]) / 2], atol=1e-5)
    users, known = review_vectors(reviews, ["ann"], by="user", cache=cache)
    np.testing.assert_allclose(users, [(v[0] + v[2]) / 2], atol=1e-5)
    with pytest.raises(ConfigError, match="by='author'; give 'item' or 'user'"):
        review_vectors(reviews, ["x"], by="author", cache=cache)
    with pytest.raises(ConfigError, match="no encoder is called 'smell'"):
        review_vectors(reviews, ["x"], encoder="smell", cache=cache)


def test_a_flood_of_one_author_does_not_carry_an_item_away(cache):
    voices = ["A warm sound.", "The sound is warm.", "What a warm, rich sound!", "音色温暖"]
    names = [f"user {n}" for n in range(5)]
    data = Dataset.from_tables({"user": names, "item": ["x"] * 5})
    rows = {"user": names[:4], "item": ["x"] * 4, "text": voices}
    flood = {"user": [names[4]] * 300, "item": ["x"] * 300,
             "text": [f"Cook pasta for {n} minutes." for n in range(300)]}  # fmt: skip
    both = {name: rows[name] + flood[name] for name in rows}
    calm, loud = (
        encode_reviews(data, read_reviews(r), cache=cache).data.content["reviews"].values[0]
        for r in (rows, both)
    )
    sound, pasta = encoded("a warm sound", "Cook pasta for five minutes.")
    assert loud @ sound > 0.85 * (calm @ sound)
    assert loud @ sound > loud @ pasta


def test_extracted_preferences_take_the_place_of_an_encoder():
    data = Dataset.from_tables({"user": ["ann", "bo", "cy", "ann"], "item": ["x", "x", "x", "y"]})
    rows = {"user": ["ann", "bo", "cy", "ann", "di"], "item": ["x", "x", "x", "y", "x"]}
    good, bad = (Preference("aspect", "sound", side, "sound") for side in (1, -1))
    dear = Preference("aspect", "price", -1, "dear")
    vectors = preference_rows([[good], [good, dear], [good], [], [bad]], ["sound", "price"])
    reviews = read_reviews(rows | {"text": TEXTS})
    found = encode_reviews(data, reviews, vectors=vectors, modality="preferences")
    block = found.data.content["preferences"]
    assert block.known.tolist() == [True, False]
    np.testing.assert_allclose(block.values[0], [1, 0], atol=1e-6)  # di is not of the rows
    assert found.users_known.tolist() == [True, True, True]
    np.testing.assert_allclose(found.users[data.users.index("bo")], [1, -1], atol=1e-6)
    assert (found.used, found.left_out) == (3, 1)
    assert found.faults == ((3, "nothing was read out of it"),)
    with pytest.raises(DataError, match="5 reviews"):
        encode_reviews(data, reviews, vectors=vectors[:3])
