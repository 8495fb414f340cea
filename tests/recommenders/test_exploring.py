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
    systematic_sample,
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


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_systematic_sample_has_exactly_the_chances_it_is_given(size):
    rng = np.random.default_rng(size)
    among = inclusion_chances(np.array([0.5, 0.2, 0.15, 0.1, 0.05]), size)
    assert among.sum() == pytest.approx(size)
    assert among.max() <= 1
    draws = [systematic_sample(among, rng) for _ in range(20_000)]
    assert all(len(np.unique(d)) == size for d in draws)
    often = np.bincount(np.concatenate(draws), minlength=5) / len(draws)
    np.testing.assert_allclose(often, among, atol=0.015)


SCORES = np.array([9.0, 8.0, 7.0, 2.0, 1.5, 1.0, 0.0, -np.inf])
SPREAD = np.array([1.0, 1.0, 1.0, 0.3, 2.0, 1.0, 0.5, 9.0])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_propensity_is_how_often_an_item_stands_where_it_stands(share):
    rng, listed, n = np.random.default_rng(1), np.array([0, 1, 2]), 4_000
    shown, told = np.zeros((8, 3)), np.full((8, 3), np.nan)
    for _ in range(n):
        found = explore(listed, SCORES, SPREAD, share, rng)
        at = (found.items, np.arange(3))
        assert len(set(found.items)) == 3
        shown[at] += 1
        known = ~np.isnan(told[at])
        assert (found.propensity[known] == told[at][known]).all()
        told[at] = found.propensity
        np.testing.assert_array_equal(found.new, found.items > 2)
    assert shown[7].sum() == 0  # what must not be shown
    assert not (shown[:3] * (1 - np.eye(3))).any()  # the list keeps its order
    often, p = shown / n, np.nan_to_num(told)
    np.testing.assert_allclose(often, p, atol=4 * np.sqrt(0.25 / n))
    np.testing.assert_allclose(np.diag(p), 1 - share)
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=0.01)  # something stands at every place


def test_where_little_is_outside_the_propensities_are_still_right():
    rng, n = np.random.default_rng(2), 4_000
    scores, shown, told = np.arange(6.0)[::-1], np.zeros((6, 4)), np.zeros((6, 4))
    for _ in range(n):
        found = explore(np.arange(4), scores, np.ones(6), 0.9, rng)  # four places, two outside
        shown[found.items, np.arange(4)] += 1
        told[found.items, np.arange(4)] = found.propensity
    np.testing.assert_allclose(shown / n, told, atol=0.03)
    none = explore(np.arange(6), scores, np.ones(6), 0.9, rng)
    assert none.items.tolist() == list(range(6))
    assert none.propensity.tolist() == [1] * 6


def test_a_log_of_explored_lists_tells_what_another_list_would_have_earned():
    rng, likes = np.random.default_rng(3), np.array([0.5, 0.1, 0.3, 0.2, 0.7, 0.1, 0.2, 0])
    sight = np.array([1.0, 0.7, 0.5])  # lower places are seen less
    shown = [explore(np.arange(3), SCORES, SPREAD, 0.3, rng) for _ in range(4_000)]
    items, p = np.stack([s.items for s in shown]), np.stack([s.propensity for s in shown])
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
