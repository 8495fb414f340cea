"""`MetaRecommender` on arrays of item indices, with tastes that were planted."""

import numpy as np
import pytest

import warmstart as ws
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Histories

USERS = np.array([0, 1, 2, 3])
ITEMS = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 2, 2, 2], [0, 3, 3, 3]])
N_ITEMS = 24


def tastes(n_users=90, seed=0):
    """Return lists of items: user u likes items of the kind u % 3, the first ones most."""
    rng = np.random.default_rng(seed)
    liking = np.where(np.arange(N_ITEMS) % 3 == np.arange(n_users)[:, None] % 3, 0.6, 0.02)
    liking[:, :3] += 0.3
    return [np.flatnonzero(row) for row in rng.random(liking.shape) < liking]


def planted(**more):
    settings = {"embedding_size": 8, "num_items": N_ITEMS, "learning_rate": 0.05, "epochs": 40}
    return ws.MetaRecommender(**settings | more)


@pytest.fixture(scope="module")
def model():
    return planted().fit(np.arange(90), tastes())


def everything(n):
    return np.tile(np.arange(N_ITEMS), (n, 1))


# ---------------------------------------------------------------------------------- the article


def test_the_articles_call_works():
    model = ws.MetaRecommender(embedding_size=4, num_items=4, learning_rate=0.01, epochs=10)
    scores = model.fit(USERS, ITEMS).predict(USERS, ITEMS)
    assert scores.shape == (4, 4)
    assert np.isfinite(scores).all()
    # equal items have equal scores; everybody has met item 0, and each of the others one user
    np.testing.assert_array_equal(scores[:, 1], scores[:, 3])
    assert (scores[1:, 0] > scores[1:, 1]).all()


# ------------------------------------------------------------------------ what a history says


@pytest.mark.parametrize("learner", ["maml", "closed-form"])
def test_planted_tastes_are_found_from_two_items(model, learner):
    if learner != "maml":
        model = planted(learner=learner).fit(np.arange(90), tastes())
    kinds = np.arange(30) % 3
    history = [[kind + 3, kind + 6] for kind in kinds]
    scores = model.predict([f"new {i}" for i in range(30)], everything(30), history)
    for kind, row in zip(kinds, scores, strict=True):
        own = (np.arange(N_ITEMS) % 3 == kind)[9:]
        assert row[9:][own].min() > row[9:][~own].max()  # of items that are equally popular


def test_one_item_moves_the_predictions_towards_its_kind_and_away_from_the_others(model):
    found = model.predict(["a"] * 4, everything(4), history=[[], [3], [4], [5]])
    by_kind = found[:, 9:].reshape(4, 5, 3).mean(axis=1)  # histories × kinds
    share = np.exp(by_kind) / np.exp(by_kind).sum(axis=1, keepdims=True)
    for kind in range(3):
        assert share[1 + kind, kind] > 0.8 > 0.6 > share[0, kind]


def test_who_was_fitted_is_adapted_to_what_they_did(model):
    items = tastes()
    fitted = model.predict([7, 8], everything(2))
    told = model.predict(["x", "y"], everything(2), history=[items[7], items[8]])
    np.testing.assert_array_equal(fitted, told)
    as_numpy = model.predict(np.array([7, 8]), everything(2))
    np.testing.assert_array_equal(as_numpy, fitted)
    otherwise = model.predict([7], everything(1), history=[items[8]])
    np.testing.assert_allclose(otherwise[0], told[1], atol=1e-5)


def test_unknown_users_get_what_the_model_believes_of_nobody(model):
    prior = model.predict(["who", "else"], everything(2))
    np.testing.assert_array_equal(prior[0], prior[1])
    served = model.recommender.fitted
    place = served.catalogue.items.find(np.arange(N_ITEMS))
    np.testing.assert_array_equal(prior[0], served.method.score(Histories.empty(1))[0, place])
    likes = np.bincount(np.concatenate(tastes()), minlength=N_ITEMS)
    assert np.corrcoef(prior[0], np.log(likes))[0, 1] > 0.8  # popularity, more or less
    np.testing.assert_array_equal(model.predict(["who"], everything(1), history=[[]])[0], prior[0])


def test_only_what_is_asked_is_scored_in_the_order_of_the_question(model):
    every = model.predict([1, 2], everything(2))
    asked = np.array([[5, 2, 5], [23, 0, 1]])
    found = model.predict([1, 2], asked)
    np.testing.assert_array_equal(found, np.take_along_axis(every, asked, axis=1))
    assert model.predict([], []).shape == (0, 0)
    assert model.predict([1, 2], [[], []]).shape == (2, 0)


# ------------------------------------------------------------------------------ what is one event


def test_padding_and_repetition_say_nothing(model):
    items = tastes()
    padded = np.full((90, max(map(len, items)) + 2), -1)
    for row, own in zip(padded, items, strict=True):
        row[: len(own)] = own
    padded[:, -1] = padded[:, 0]  # once more
    ragged, again = (planted(epochs=2).fit(np.arange(90), rows) for rows in (items, padded))
    wanted = ragged.predict([3, "new"], everything(2))
    np.testing.assert_array_equal(again.predict([3, "new"], everything(2)), wanted)
    once, twice = ([[4, 7]], [[4, 7, 7, 4, -1]])
    np.testing.assert_array_equal(
        model.predict(["a"], everything(1), once), model.predict(["a"], everything(1), twice)
    )


def test_the_same_seed_gives_the_same_model_and_users_may_be_called_anything():
    first, again, other = (
        planted(epochs=1, seed=seed).fit(range(90), tastes()).predict([1], everything(1))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)
    named = planted(epochs=1).fit(["安娜", "bo"], [[1, 2, 3], [4, 5, 6]])
    prior, known = named.predict(["?", "安娜"], everything(2))
    assert not np.array_equal(prior, known)


# -------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("users", "items", "says"),
    [
        ([1, 2], [[0, 1]], "2 users and 1 lists of items"),
        ([1, 2], [[0, 1], [0, 24]], "row 1 holds the item 24; the catalogue ends at 23"),
        ([1, 1], [[0, 1], [2, 3]], "a user occurs twice"),
        ([1, 2], [[0.7, 1], [2, 3]], r"row 0 holds \[0.7, 1.0\]; give items as whole numbers"),
        ([1, 2], [[0, 1], ["a", "b"]], "row 1 holds .* whole numbers"),
        ([1, 2], [[-1], []], "no user has any item"),
        ([], [], "no user has any item"),
    ],
)
def test_wrong_tables_are_refused(users, items, says):
    with pytest.raises(DataError, match=says):
        planted().fit(users, items)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"num_items": 0}, "num_items must be a whole number of at least 1, got 0"),
        ({"num_items": 2.7}, "num_items must be a whole number of at least 1, got 2.7"),
        ({"embedding_size": 0}, "embedding_dim: .* greater than or equal to 1"),
        ({"epochs": 0}, r"outer\.epochs: .* greater than or equal to 1"),
        ({"learning_rate": -1}, r"outer\.outer_lr: .* greater than 0"),
        ({"learner": "maaml"}, "no learner is called 'maaml'; there are: .*maml"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_wrong_settings_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        planted(**settings)


def test_wrong_questions_are_refused(model):
    with pytest.raises(ConfigError, match="not fitted"):
        planted().predict([1], [[1]])
    with pytest.raises(DataError, match="row 0 holds the item 99"):
        model.predict([1], [[99]])
    with pytest.raises(DataError, match="row 0 holds the item 99"):
        model.predict([1], [[1]], history=[[99]])
    with pytest.raises(DataError, match=r"2 users, 2 lists of items to score \(lengths \[1, 2\]\)"):
        model.predict([1, 2], [[1], [2, 3]])
    with pytest.raises(DataError, match=r"1 lists of items .* 2 histories"):
        model.predict([1], [[1]], history=[[1], [2]])
