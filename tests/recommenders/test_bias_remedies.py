"""Remedies against bias: by hand, at scoring without training, and in training on planted bias."""

import numpy as np
import pytest
import scipy.sparse as sp
from tests.recommenders.small import SMALL

from warmstart.core.errors import ConfigError
from warmstart.core.types import Histories
from warmstart.evaluation.bias import popularity_lift
from warmstart.index import top_k
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.default import Default, _groups
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.gates import Shortlist
from warmstart.recommenders.popularity import likes_per_item
from warmstart.recommenders.remedies import fame_of, penalise, prices, strength_at, stretched


def test_the_penalty_by_hand():
    fame = np.float32([0.1, 0.5, 1])
    scores = np.float32([[1, 2, 3], [1, 2, 3]])
    users = Histories(np.array([0, 0, 1]), np.array([2]), np.ones(1, np.float32))
    penalise(scores, users, fame, {0: 0.5, 1: 1.0})
    spread = 2 * np.std([1, 2, 3])
    worth = np.exp(np.array([-2, -1, 0]) / spread)
    np.testing.assert_allclose(scores[0], worth - 0.5 * fame, rtol=1e-5)
    worth = np.exp(np.array([-1, 0, 1]) / spread)  # the best has been seen: 2 is the best left
    np.testing.assert_allclose(scores[1], worth - fame, rtol=1e-5)


def test_a_penalty_of_nothing_keeps_the_order():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, 30)).astype(np.float32)
    users = Histories(np.arange(0, 10, 2), rng.permutation(30)[:8], np.ones(8, np.float32))
    order = scores.argsort(axis=1)
    penalise(scores, users, rng.random(30).astype(np.float32), 0.0)
    np.testing.assert_array_equal(scores.argsort(axis=1), order)
    everything = Histories(np.array([0, 3]), np.arange(3), np.ones(3, np.float32))
    all_seen = np.float32([[1, 2, 3]])
    penalise(all_seen, everything, np.float32([1, 1, 1]), 0.5)
    assert np.isfinite(all_seen).all()


def test_strengths_between_numbers_of_shots():
    found = strength_at({0: 0.0, 3: 1.0, 15: 3.0}, np.array([0, 1, 7, 15, 99]))
    np.testing.assert_allclose(found, [0, 0.5, 2, 3, 3], rtol=1e-6)
    assert strength_at(0.3, np.array([4, 5])).tolist() == pytest.approx([0.3, 0.3])


def test_only_unmet_items_are_stretched():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 4)).astype(np.float32)
    unmet = np.array([3, 7])
    vectors[unmet] *= 0.3
    whole = stretched(vectors, unmet, 1.0)
    length = np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(length[unmet], np.delete(length, unmet).mean(), rtol=1e-5)
    half = stretched(vectors, unmet, 0.5)
    np.testing.assert_allclose(
        np.linalg.norm(half, axis=1)[unmet] ** 2,
        np.linalg.norm(vectors, axis=1)[unmet] * length[unmet],
        rtol=1e-5,
    )
    np.testing.assert_array_equal(np.delete(whole, unmet, 0), np.delete(vectors, unmet, 0))
    assert stretched(vectors, unmet, 0.0) is vectors


def test_scoring_is_adjusted_without_training_and_back(model, split):
    method, users = model.method, split.tasks.at(5)
    assert method.adjusted() is method
    strong = method.adjusted(popularity_penalty=0.7)
    expected = method.score(users)
    penalise(expected, users, fame_of(method.parts.log_popularity), 0.7)
    np.testing.assert_allclose(strong.score(users), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(
        strong.top_k(users, 7)[0], top_k(strong.score(users), 7, seen=users)[0]
    )
    back = strong.adjusted(popularity_penalty=0.0)
    np.testing.assert_array_equal(back.score(users), method.score(users))
    with pytest.raises(ConfigError, match="popularity_penalty"):
        method.adjusted(popularity_penalty=-1.0)


def test_a_penalty_lowers_the_lift_step_by_step(model, split, planted):
    popularity = likes_per_item(split.train.positives())
    users, liked = split.tasks.at(5), planted.positives()[split.tasks.users]
    lifts = []
    for strength in (0.0, 0.3, 0.8, 2.0):
        adjusted = model.method.adjusted(popularity_penalty=strength)
        top, _ = top_k(adjusted.score(users), 10, seen=users)
        lifts.append(popularity_lift(top, liked, popularity)[0])
    assert sorted(lifts, reverse=True) == lifts
    assert lifts[0] - lifts[-1] > 0.1


def test_cold_norm_moves_items_without_interactions_alone(model, split):
    method, users = model.method, split.tasks.at(5)
    unmet = np.unique(method.parts.lent.indices)
    assert len(unmet)
    changed = method.adjusted(cold_norm=1.0).score(users) - method.score(users)
    assert np.abs(np.delete(changed, unmet, axis=1)).max() < 1e-3
    assert np.abs(changed[:, unmet]).max() > 1e-3


def test_an_adjusted_recommender_is_saved_and_loaded(model, split, tmp_path):
    other = model.copy().adjust(popularity_penalty={0: 0.1, 20: 0.5}, cold_norm=0.5)
    other.save(tmp_path / "m")
    users = split.tasks.at(8)
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.method.score(users), other.method.score(users))
    assert again.method.config.popularity_penalty == {0: 0.1, 20: 0.5}
    assert model.method.config.popularity_penalty == 0  # the copy is another
    with pytest.raises(ConfigError, match="popularity_penalty and cold_norm"):
        other.adjust(popularity=1)
    with pytest.raises(ConfigError, match="no settings of scoring"):
        Recommender("popularity").fit(split.train, progress=False).adjust(cold_norm=1.0)


def test_prices_are_those_of_a_slow_loop(split):
    likes = split.train.positives()
    popularity = likes_per_item(likes).astype(float)
    users = np.flatnonzero(np.diff(likes.indptr) > 3)[:40]

    def famous(histories):
        return np.repeat(popularity[None].astype(np.float32), len(histories), axis=0)

    (row,) = prices([(famous, users)], likes, None, [0], seed=0)
    best = np.argsort(-popularity, kind="stable")[:10]
    taste = [popularity[likes[[u]].indices].mean() for u in users]
    assert row["users"] == 40
    assert row["lift"] == pytest.approx(popularity[best].mean() / np.mean(taste) - 1)
    hits = np.isin(best, likes[[users[0]]].indices)
    assert hits.any()
    assert 0 < row["ndcg@10"] < 1


def test_weighted_gains_enter_gains_and_ideal():
    query = np.zeros((2, 12), np.float32)
    query[0, [1, 3]], query[1, 0] = [3, 1], 2
    seen = Histories(np.array([0, 0, 0]), np.zeros(0, np.int32), np.zeros(0, np.float32))
    scores = [np.tile(-np.arange(12, dtype=np.float32), (2, 1))]
    shortlist = Shortlist.of(scores, seen, sp.csr_array(query), depth=12)
    found = shortlist.ndcg(shortlist.scores[:, :, 0])
    ideal = 3 + 1 / np.log2(3)
    assert found[0] == pytest.approx((3 / np.log2(3) + 1 / np.log2(5)) / ideal, rel=1e-6)
    assert found[1] == pytest.approx(1, rel=1e-6)


def test_groups_are_the_natural_columns_of_the_users(split):
    data = split.train
    config = DefaultConfig(group_tilt=1.0)
    found = _groups(data, config)
    assert found is not None
    assert found.shape[0] == data.n_users
    assert _groups(data, DefaultConfig()) is None
    one = data.user_features.columns[0]
    named = _groups(data, config.model_copy(update={"group_columns": (one,)}))
    assert named.shape[1] == len(data.user_features.blocks[0].names)
    with pytest.raises(ConfigError, match="no user column 'height'"):
        _groups(data, config.model_copy(update={"group_columns": ("height",)}))


@pytest.mark.slow
def test_training_by_inverse_propensity_lists_less_popular_items(model, split, planted):
    settings = SMALL.model_dump() | {"propensity_power": 0.7}
    other = Default(DefaultConfig.parse(settings)).fit(split.train, seed=3)
    popularity = likes_per_item(split.train.positives())
    users, liked = split.tasks.at(5), planted.positives()[split.tasks.users]
    lifts = [
        popularity_lift(top_k(m.score(users), 10, seen=users)[0], liked, popularity)[0]
        for m in (model.method, other)
    ]
    assert lifts[1] < lifts[0]


@pytest.mark.slow
def test_a_fit_with_remedies_says_what_they_cost(split):
    settings = SMALL.model_dump() | {"popularity_penalty": 1.0, "group_tilt": 2.0}
    method = Default(DefaultConfig.parse(settings)).fit(split.train, seed=3)
    price = method.report()["price"]
    assert {row["shots"] for row in price["with"]} >= {0, 5}
    for before, after in zip(price["without"], price["with"], strict=True):
        assert after["lift"] < before["lift"]
    assert Default.from_state(method.state()).price == price
