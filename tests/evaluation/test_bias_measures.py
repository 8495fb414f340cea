"""Bias measures against slow loops, SciPy and hand-computed values."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from warmstart.core.errors import DataError
from warmstart.evaluation import bias
from warmstart.evaluation.significance import ratio_interval

USERS, ITEMS, K = 30, 50, 7


@pytest.fixture(scope="module")
def lists():
    rng = np.random.default_rng(4)
    popularity = np.floor(200 / np.arange(1, ITEMS + 1)).astype(int)  # with ties in the tail
    rng.shuffle(popularity)
    scores = rng.normal(size=(USERS, ITEMS)).round(1).astype(np.float32)  # with ties, too
    liked = sp.csr_array((rng.random((USERS, ITEMS)) < 0.2).astype(np.float32))
    top = np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)
    top[3, 4:] = -1
    return popularity, scores, liked, top


def test_the_head_gathers_its_share_and_ties_stay_together(lists):
    popularity = lists[0]
    tail = bias.long_tail(popularity)
    total = popularity.sum()
    for item in range(ITEMS):
        above = sum(p for p in popularity if p > popularity[item])
        assert tail[item] == (above >= 0.8 * total)
    assert (
        popularity[~tail].sum()
        >= 0.8 * total
        > popularity[popularity > popularity[~tail].min()].sum()
    )
    assert bias.long_tail(np.array([5, 0, 0])).tolist() == [False, True, True]
    assert bias.long_tail(np.array([1, 1, 1])).tolist() == [False] * 3


def test_the_share_of_the_long_tail_is_a_count(lists):
    popularity, _, _, top = lists
    tail = set(np.flatnonzero(bias.long_tail(popularity)))
    for user, share in enumerate(bias.long_tail_share(top, popularity)):
        listed = [i for i in top[user] if i >= 0]
        assert share == pytest.approx(sum(i in tail for i in listed) / len(listed))


def test_the_lift_compares_lists_with_tastes(lists):
    popularity, _, liked, top = lists
    pairs = [
        (
            np.mean([popularity[i] for i in top[u] if i >= 0]),
            np.mean([popularity[i] for i in range(ITEMS) if liked[u, i] > 0]),
        )
        for u in range(USERS)
    ]
    lists_mean, tastes_mean = np.mean(pairs, axis=0)
    lift, low, high = bias.popularity_lift(top, liked, popularity)
    assert lift == pytest.approx((lists_mean - tastes_mean) / tastes_mean)
    assert low < lift < high
    # lists that are the tastes themselves have none
    own = np.full((USERS, ITEMS), -1, np.int32)
    for u in range(USERS):
        mine = np.flatnonzero(liked.toarray()[u])
        own[u, : len(mine)] = mine
    assert bias.popularity_lift(own, liked, popularity)[0] == pytest.approx(0)
    with pytest.raises(DataError, match="no user has a list and a taste"):
        bias.popularity_lift(top, sp.csr_array((USERS, ITEMS)), popularity)


def test_the_interval_of_a_ratio_covers_it_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        whole = rng.gamma(2, 1, 60)
        part = 0.5 * whole + rng.gamma(1, 1, 60)  # the ratio of the true means is 1
        ratio, low, high = ratio_interval(part, whole, seed=trial, resamples=400)
        assert ratio == pytest.approx(part.mean() / whole.mean())
        covered += low <= 1 <= high
    assert 0.88 <= covered / 200 <= 0.99  # standard error .016


def test_ranks_are_counted(lists):
    _, scores, liked, _ = lists
    ranks = bias.ranks_of(scores, liked)
    expected = []
    for user in range(USERS):
        for item in liked.indices[liked.indptr[user] : liked.indptr[user + 1]]:
            above = (scores[user] > scores[user, item]).sum()
            equal = (scores[user] == scores[user, item]).sum()
            expected.append(above + (equal + 1) / 2)
    np.testing.assert_allclose(ranks, expected)


def test_ranks_in_parts_are_the_same(lists, monkeypatch):
    _, scores, liked, _ = lists
    whole = bias.ranks_of(scores, liked)
    monkeypatch.setattr(bias, "_ROOM", 4 * ITEMS)
    np.testing.assert_array_equal(bias.ranks_of(scores, liked), whole)


def test_popularity_opportunity_equals_scipy(lists):
    popularity, scores, liked, _ = lists
    ranks = bias.ranks_of(scores, liked)
    by_user, by_item = bias.popularity_opportunity(ranks, liked, popularity)
    of = [[] for _ in range(ITEMS)]
    for user in range(USERS):
        own = slice(liked.indptr[user], liked.indptr[user + 1])
        items = liked.indices[own]
        expected = -spearmanr(popularity[items], ranks[own]).statistic
        assert by_user[user] == pytest.approx(expected)
        for item, rank in zip(items, ranks[own], strict=True):
            of[item].append(rank)
    met = [i for i in range(ITEMS) if of[i]]
    expected = -spearmanr(popularity[met], [np.mean(of[i]) for i in met]).statistic
    assert by_item == pytest.approx(expected)


def test_a_ranking_by_popularity_has_all_the_opportunity_bias_there_is(lists):
    popularity, _, liked, _ = lists
    scores = np.tile(popularity.astype(np.float32), (USERS, 1))
    by_user, by_item = bias.popularity_opportunity(bias.ranks_of(scores, liked), liked, popularity)
    np.testing.assert_allclose(by_user, 1)
    assert by_item == pytest.approx(1)
    flat, _ = bias.popularity_opportunity(
        bias.ranks_of(np.zeros_like(scores), liked), liked, popularity
    )
    assert np.isnan(flat).all()  # no rank differs from another


def test_miscalibration_equals_a_loop(lists):
    _, _, liked, top = lists
    rng = np.random.default_rng(1)
    kinds = sp.csr_array((rng.random((ITEMS, 5)) < 0.3).astype(float))  # some items have none
    table = kinds.toarray()

    def mixture(items):
        found = np.zeros(5)
        for i in items:
            if table[i].sum():
                found += table[i] / table[i].sum()
        return found / found.sum()

    values = bias.category_miscalibration(top, liked, kinds)
    for user in range(USERS):
        p = mixture(np.flatnonzero(liked.toarray()[user]))
        q = 0.99 * mixture([i for i in top[user] if i >= 0]) + 0.01 * p
        expected = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a)
        assert values[user] == pytest.approx(expected)
    nobody = bias.category_miscalibration(np.full((USERS, 2), -1), liked, kinds)
    assert np.isnan(nobody).all()


def test_a_planted_gap_is_found_and_chance_is_not():
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 4, 400)
    noise = rng.normal(0.3, 0.1, 400)
    planted = bias.group_gap(noise - 0.08 * (groups == 2), groups)
    assert planted.groups.tolist() == [0, 1, 2, 3]
    assert planted.means[2] == planted.means.min()
    assert planted.gap_low > 0.03
    assert planted.p < 0.01
    assert planted.gap == pytest.approx(max(planted.means) - min(planted.means))
    for g in range(4):
        part = (noise - 0.08 * (groups == 2))[groups == g]
        assert planted.means[g] == pytest.approx(part.mean())
        half = 1.96 * part.std() / np.sqrt(len(part))
        assert planted.low[g] == pytest.approx(part.mean() - half, abs=0.005)
        assert planted.high[g] == pytest.approx(part.mean() + half, abs=0.005)


def test_groups_that_mean_nothing_raise_a_false_alarm_one_time_in_twenty():
    rng = np.random.default_rng(3)
    alarms = sum(
        bias.group_gap(rng.exponential(1, 60), rng.integers(0, 6, 60), seed=i, resamples=99).p
        <= 0.05
        for i in range(200)
    )
    assert 0.01 <= alarms / 200 <= 0.11  # standard error .015


def test_small_and_unknown_groups_are_left_out():
    values = np.concatenate([np.full(10, 0.1), np.full(10, 0.2), [0.9, np.nan], np.full(7, 0.9)])
    groups = np.concatenate([np.zeros(10), np.ones(10), [2, 0], np.full(7, -1)]).astype(int)
    found = bias.group_gap(values, groups)
    assert found.groups.tolist() == [0, 1]
    assert found.tasks.tolist() == [10, 10]
    assert found.gap == pytest.approx(0.1)
    with pytest.raises(DataError, match="1 groups have at least 5 judged users"):
        bias.group_gap(values, np.zeros(len(values), int))
