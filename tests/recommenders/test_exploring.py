"""Exploration: chances against drawn scores, propensities against how often things are shown."""

import json

import numpy as np
import pytest

from warmstart.core.errors import ConfigError
from warmstart.evaluation.ope import Impressions, ips
from warmstart.meta.exploring import (
    MOST_CANDIDATES,
    best_chances,
    explore,
    inclusion_chances,
    systematic_samples,
)
from warmstart.recommenders import Recommender
from warmstart.recommenders.lists import append_log


@pytest.mark.parametrize("widths", [(1.0, 1.0), (0.01, 3.0)])
def test_chances_to_be_best_are_those_of_drawn_scores(widths):
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=30), rng.uniform(*widths, 30)
    draws = mean + spread * rng.normal(size=(200_000, 30))
    often = np.bincount(draws.argmax(axis=1), minlength=30) / len(draws)
    np.testing.assert_allclose(best_chances(mean, spread), often, atol=0.004)


def test_without_any_doubt_or_difference_all_are_alike():
    np.testing.assert_allclose(best_chances(np.arange(4.0), np.zeros(4)), 0.25)
    np.testing.assert_allclose(best_chances(np.zeros(5), np.ones(5)), 0.2)
    np.testing.assert_allclose(best_chances(np.zeros(1), np.ones(1)), 1)
    one_sure = best_chances(np.array([0.0, 5.0]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(one_sure, [0, 1], atol=1e-5)


def test_of_a_large_catalogue_the_most_promising_are_weighed():
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=5_000), np.full(5_000, 0.3)
    chance = best_chances(mean, spread)
    assert (chance > 0).sum() == MOST_CANDIDATES
    assert mean[chance > 0].min() >= np.sort(mean)[-MOST_CANDIDATES]


def test_items_too_poor_to_be_best_cost_nothing_and_change_nothing():
    rng = np.random.default_rng(4)
    mean, spread = rng.normal(size=20), rng.uniform(0.5, 1, 20)
    poor = np.r_[mean, np.full(500, -50.0)]
    found = best_chances(poor, np.r_[spread, np.ones(500)])
    np.testing.assert_allclose(found[:20], best_chances(mean, spread), atol=1e-6)
    assert 0 < found[20:].max() < 1e-9


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_systematic_sample_has_exactly_the_chances_it_is_given(size):
    rng, n = np.random.default_rng(size), 20_000
    chances = np.array([[0.5, 0.2, 0.15, 0.1, 0.05, 0], [0.02, 0.18, 0, 0.1, 0.3, 0.4]])
    among = inclusion_chances(chances, np.full(2, size))
    np.testing.assert_allclose(among.sum(axis=1), size)
    assert among.max() <= 1
    for row in among:  # each row is drawn for by itself, whatever stands beside it
        draws = systematic_samples(np.tile(row, (n, 1)), rng)
        assert (np.diff(np.sort(draws, axis=1), axis=1) > 0).all()
        often = np.bincount(draws.ravel(), minlength=6) / n
        np.testing.assert_allclose(often, row, atol=0.015)


def test_samples_of_several_sizes_are_drawn_at_once():
    among = np.array([[0.5, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    drawn = systematic_samples(among, np.random.default_rng(0))
    assert (drawn >= 0).sum(axis=1).tolist() == [1, 3, 0]
    assert set(drawn[1].tolist()) == {0, 1, 3}
    assert drawn[0, 0] in (0, 1)


SCORES = np.array([9.0, 8.0, 7.0, 2.0, 1.5, 1.0, 0.0, -np.inf])
SPREAD = np.array([1.0, 1.0, 1.0, 0.3, 2.0, 1.0, 0.5, 9.0])


def alike(listed, scores, spread, share, rng, n):
    """The lists of `n` users of whom the same is known."""
    rows = (np.tile(part, (n, 1)) for part in (listed, scores, spread))
    return explore(*rows, share, rng)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_propensity_is_how_often_an_item_stands_where_it_stands(share):
    rng, listed, n = np.random.default_rng(1), np.array([0, 1, 2]), 3_000
    found = alike(listed, SCORES, SPREAD, share, rng, n)
    assert (np.diff(np.sort(found.items, axis=1), axis=1) > 0).all()  # nothing twice in a list
    np.testing.assert_array_equal(found.new, found.items > 2)
    shown, told = np.zeros((8, 3)), np.zeros((8, 3))
    for place in range(3):
        for item in range(8):
            p = found.propensity[found.items[:, place] == item, place]
            shown[item, place] = len(p)
            if len(p):
                assert (p == p[0]).all()
                told[item, place] = p[0]
    assert shown[7].sum() == 0  # what must not be shown
    assert not (shown[:3] * (1 - np.eye(3))).any()  # the list keeps its order
    np.testing.assert_allclose(shown / n, told, atol=4 * np.sqrt(0.25 / n))
    np.testing.assert_allclose(np.diag(told), 1 - share)
    np.testing.assert_allclose(told.sum(axis=0), 1, atol=0.01)  # something stands at every place


def test_every_user_has_propensities_of_their_own():
    """Different users in one batch: each as often as when they stand alone."""
    rng, n = np.random.default_rng(5), 2_000
    scores = np.array([[3.0, 2.0, 1.0, 0.5, -np.inf], [3.0, 5.0, 4.0, -np.inf, 4.5]])
    spread = np.array([[1.0, 1.0, 2.0, 1.0, 1.0], [0.5, 1.0, 1.0, 1.0, 1.0]])
    listed = np.array([[0, 1], [1, 4]])
    found = explore(
        np.tile(listed, (n, 1)), np.tile(scores, (n, 1)), np.tile(spread, (n, 1)), 0.4, rng
    )
    for user in (0, 1):
        mine, p = found.items[user::2], found.propensity[user::2]
        for place in (0, 1):
            for item in np.unique(mine[:, place]):
                there = mine[:, place] == item
                assert there.mean() == pytest.approx(p[there, place][0], abs=0.045)
        assert set(np.unique(mine)) == set(np.flatnonzero(np.isfinite(scores[user])))


def test_where_little_is_outside_the_propensities_are_still_right():
    rng, n = np.random.default_rng(2), 4_000
    scores, shown, told = np.arange(6.0)[::-1], np.zeros((6, 4)), np.zeros((6, 4))
    found = alike(np.arange(4), scores, np.ones(6), 0.9, rng, n)  # four places, two outside
    for row, p in zip(found.items, found.propensity, strict=True):
        shown[row, np.arange(4)] += 1
        told[row, np.arange(4)] = p
    np.testing.assert_allclose(shown / n, told, atol=0.03)
    none = alike(np.arange(6), scores, np.ones(6), 0.9, rng, 1)
    assert none.items[0].tolist() == list(range(6))
    assert none.propensity[0].tolist() == [1] * 6


def test_a_log_of_explored_lists_tells_what_another_list_would_have_earned():
    rng, likes = np.random.default_rng(3), np.array([0.5, 0.1, 0.3, 0.2, 0.7, 0.1, 0.2, 0])
    sight = np.array([1.0, 0.7, 0.5])  # lower places are seen less
    shown = alike(np.arange(3), SCORES, SPREAD, 0.3, rng, 4_000)
    items, p = shown.items, shown.propensity
    clicks = (rng.random(items.shape) < likes[items] * sight).astype(float)
    other = np.array([0, 4, 2])  # an item from outside at the second place
    log = Impressions(clicks.ravel(), p.ravel(), np.arange(4_000).repeat(3))
    found = ips(log, (items == other).ravel().astype(float))
    assert found.ci_low < (likes[other] * sight).mean() < found.ci_high
    assert found.mean_weight == pytest.approx(1, abs=0.1)
    assert found.ci_high - found.ci_low < 0.15


def test_what_is_explored_comes_with_its_propensity_and_a_reason(model):
    plain = model.recommend([7], k=10)
    assert all(r.propensity == 1 and not r.explored for r in plain)
    rng, explored = np.random.default_rng(0), 0
    for _ in range(30):
        found = model.recommend([7], k=10, explore=0.2, rng=rng)
        assert [r.rank for r in found] == list(range(1, 11))
        for before, r in zip(plain, found, strict=True):
            if r.explored:
                assert r.item not in {p.item for p in plain}
                assert 0 < r.propensity <= 0.2
                assert r.reason.startswith("to learn whether it suits you; ")
            else:
                assert (r.item, r.reason) == (before.item, before.reason)
                assert r.propensity == pytest.approx(0.8)
        explored += sum(r.explored for r in found)
    assert explored == 60  # a fifth of ten places is two each time


def test_the_same_generator_gives_the_same_list(model):
    one, same, other = (
        [r.item for r in model.recommend([7], explore=0.5, rng=np.random.default_rng(s))]
        for s in (1, 1, 2)
    )
    assert one == same != other
    drawn = [tuple(r.item for r in model.recommend(explore=0.5, explain=False)) for _ in range(5)]
    assert len(set(drawn)) > 1


def test_nothing_seen_excluded_filtered_or_removed_is_explored(split):
    model = Recommender("itemknn").fit(split.train, progress=False)
    ids, rng = model.catalogue.items, np.random.default_rng(0)
    gone, seen, barred = (
        [ids[i] for i in (3, 4)],
        [ids[i] for i in (5, 6)],
        [ids[i] for i in (7, 8)],
    )
    model.remove_items(gone)
    comedies = {r.item for r in model.recommend(seen, k=500, filter="genres has Comedy")}
    for _ in range(40):
        found = model.recommend(
            seen, k=5, exclude=barred, filter="genres has Comedy", explore=0.6, rng=rng
        )
        shown = {r.item for r in found}
        assert len(shown) == 5
        assert shown <= comedies - {*gone, *seen, *barred}


@pytest.mark.parametrize("method", ["popularity", "random", "ease", "ials", "itemmean"])
def test_a_method_without_a_posterior_explores_by_the_spread_of_its_scores(split, method):
    model = Recommender(method).fit(split.train, progress=False)
    rng = np.random.default_rng(0)
    plain = {r.item for r in model.recommend([7], k=5)}
    for _ in range(5):
        found = model.recommend([7], k=5, explore=0.4, rng=rng)
        assert sum(r.explored for r in found) == 2
        assert all((r.item in plain) != r.explored for r in found)


def test_a_wish_is_explored_too_and_a_whole_catalogue_is_not(model):
    rng = np.random.default_rng(0)
    found = model.recommend([7], text="comedies", k=10, explore=0.3, rng=rng)
    assert sum(r.explored for r in found) == 3
    everything = model.recommend([7], k=500, explore=0.3, rng=rng)
    assert [r.item for r in everything] == [r.item for r in model.recommend([7], k=500)]
    assert all(r.propensity == 1 for r in everything)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, "a lot", True, float("nan"), None])
def test_what_is_no_share_is_refused(model, share):
    with pytest.raises(ConfigError, match="explore must be a share from 0 to below 1, got"):
        model.recommend(explore=share)


def test_the_log_is_one_line_a_place(model, tmp_path):
    path = tmp_path / "shown.jsonl"
    lists = [model.recommend([7], k=3, explore=0.3, rng=np.random.default_rng(s)) for s in (0, 1)]
    for number, listed in enumerate(lists):
        append_log(path, listed, request=str(number), now=12.5)
    rows = [json.loads(line) for line in path.read_text("utf8").splitlines()]
    assert [r["item"] for r in rows] == [r.item for listed in lists for r in listed]
    assert [r["propensity"] for r in rows] == [r.propensity for listed in lists for r in listed]
    assert [r["request"] for r in rows] == ["0"] * 3 + ["1"] * 3
    Impressions(np.zeros(6), np.array([r["propensity"] for r in rows]))


def test_many_users_explore_at_once(split):
    """Each by themselves: propensities are those of one list alone, and nothing seen comes."""
    model = Recommender("itemknn").fit(split.train, progress=False)
    ids = model.catalogue.items
    table = {"user": ["a", "a", "b", "c"], "item": [ids[0], ids[1], ids[2], ids[3]]}
    barred = {"user": ["b"], "item": [ids[4]]}
    plain = model.recommend_batch(table, k=5, exclude_pairs=barred)
    assert plain.propensity is None
    assert plain.explored is None
    n, often = 60, {}
    for seed in range(n):
        found = model.recommend_batch(
            table, k=5, exclude_pairs=barred, explore=0.4, rng=np.random.default_rng(seed)
        )
        assert (found.explored.sum(axis=1) == 2).all()
        np.testing.assert_array_equal(found.items == plain.items, ~found.explored)
        np.testing.assert_allclose(found.propensity[~found.explored], 0.6)
        assert not set(found.items[1]) & {2, 4}
        for user, place in zip(*np.nonzero(found.explored), strict=True):
            key = user, int(found.items[user, place])
            often.setdefault(key, []).append(found.propensity[user, place])
    for (user, item), p in often.items():  # at any of five places
        assert len(set(np.round(p, 12))) == 1
        assert len(p) / n == pytest.approx(5 * p[0], abs=4 * np.sqrt(0.25 / n)), (user, item)
    one = model.recommend([ids[0], ids[1]], k=5, explore=0.4, rng=np.random.default_rng(0))
    for line in one:
        key = 0, int(ids.find([line.item])[0])
        if line.explored and key in often:
            assert line.propensity == pytest.approx(often[key][0])
    columns = found.table()
    assert columns.column_names == ["user", "item", "rank", "score", "propensity", "explored"]
    np.testing.assert_allclose(columns["propensity"], found.propensity.ravel())
    again = model.recommend_batch(
        table, k=5, exclude_pairs=barred, explore=0.4, rng=np.random.default_rng(n - 1)
    )
    np.testing.assert_array_equal(again.items, found.items)
    with pytest.raises(ConfigError, match="explore must be a share"):
        model.recommend_batch(table, explore=1.0)
