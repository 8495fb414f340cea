import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import percentileofscore
from sklearn.metrics import (
    label_ranking_average_precision_score,
    ndcg_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from warmstart.evaluation import metrics
from warmstart.index import top_k

USERS, ITEMS = 40, 60


@pytest.fixture(scope="module")
def ranking():
    rng = np.random.default_rng(3)
    scores = rng.permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1).astype(np.float32)
    relevant = (rng.random((USERS, ITEMS)) < rng.uniform(0.02, 0.4, (USERS, 1))).astype(np.float32)
    relevant[:, 0] = np.maximum(relevant[:, 0], relevant.sum(axis=1) == 0)
    return scores, sp.csr_array(relevant), top_k(scores, ITEMS)[0]


@pytest.mark.parametrize("k", [1, 5, 10, 60])
def test_ndcg_equals_scikit_learn(ranking, k):
    scores, relevant, top = ranking
    expected = [
        ndcg_score(relevant.toarray()[[u]], scores[[u]], k=k, ignore_ties=True)
        for u in range(USERS)
    ]
    np.testing.assert_allclose(metrics.ndcg(top, relevant, k), expected, rtol=1e-12)


def test_ndcg_by_hand():
    relevant = sp.csr_array(np.array([[0, 1, 0, 1, 1]]))
    # hits at ranks 1 and 3; the ideal list has hits at 1, 2, 3
    expected = (1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2)
    assert metrics.ndcg(np.array([[1, 0, 3]]), relevant, 3)[0] == pytest.approx(expected)
    assert metrics.recall(np.array([[1, 0, 3]]), relevant, 3)[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("k", [1, 7, 20])
def test_recall_and_hit_rate_equal_sets(ranking, k):
    scores, relevant, top = ranking
    for user in range(USERS):
        wanted = set(np.flatnonzero(relevant.toarray()[user]))
        found = wanted & set(np.argsort(-scores[user])[:k])
        assert metrics.recall(top, relevant, k)[user] == pytest.approx(len(found) / len(wanted))
        assert metrics.hit_rate(top, relevant, k)[user] == bool(found)


def test_one_relevant_item_equals_scikit_learn(ranking):
    scores, _, top = ranking
    wanted = np.random.default_rng(0).integers(0, ITEMS, USERS)
    relevant = sp.csr_array((np.ones(USERS), (np.arange(USERS), wanted)), shape=(USERS, ITEMS))
    assert metrics.reciprocal_rank(scores, relevant).mean() == pytest.approx(
        label_ranking_average_precision_score(relevant.toarray(), scores)
    )
    assert metrics.hit_rate(top, relevant, 5).mean() == pytest.approx(
        top_k_accuracy_score(wanted, scores, k=5, labels=np.arange(ITEMS))
    )


def test_reciprocal_rank_equals_walking_down_the_list_with_ties():
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 4, (200, 9)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    relevant = rng.random(scores.shape) < 0.3
    found = metrics.reciprocal_rank(scores, sp.csr_array(relevant.astype(np.float32)))
    for user in range(200):
        order = [i for i in np.argsort(-scores[user], kind="stable") if scores[user, i] > -np.inf]
        ranks = [rank for rank, i in enumerate(order, 1) if relevant[user, i]]
        if not relevant[user].any():
            assert np.isnan(found[user])
        else:
            assert found[user] == pytest.approx(1 / ranks[0] if ranks else 0)


def test_auc_equals_scikit_learn_with_ties_and_masked_items():
    rng = np.random.default_rng(6)
    scores = rng.integers(0, 6, (50, 30)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    relevant = (rng.random(scores.shape) < 0.3).astype(np.float32)
    found = metrics.auc(scores, sp.csr_array(relevant))
    for user in range(50):
        left = scores[user] > -np.inf
        assert found[user] == pytest.approx(roc_auc_score(relevant[user, left], scores[user, left]))


def test_a_user_without_relevant_items_cannot_be_judged():
    nothing, top = sp.csr_array((2, 4), dtype=np.float32), np.array([[0, 1], [2, 3]])
    for metric in (metrics.ndcg, metrics.recall, metrics.hit_rate):
        assert np.isnan(metric(top, nothing, 2)).all()


def test_empty_places_are_misses():
    relevant = sp.csr_array(np.array([[1, 0], [0, 1]]))  # -1 of user 1 must not hit user 0's item 1
    assert metrics.hits(np.array([[0, -1], [-1, -1]]), relevant).tolist() == [
        [True, False],
        [False, False],
    ]


@given(st.integers(0, 10**6))
def test_bounds_and_moving_a_relevant_item_up(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 12)), int(rng.integers(1, 14))
    wanted = rng.random(n) < 0.4
    wanted[rng.integers(n)] = True
    relevant = sp.csr_array(wanted[None].astype(np.float32))
    order = rng.permutation(n)
    value = metrics.ndcg(order[None], relevant, k)[0]
    assert 0 <= value <= 1 + 1e-12
    assert 0 <= metrics.recall(order[None], relevant, k)[0] <= 1
    best = np.argsort(~wanted, kind="stable")[None]
    assert metrics.ndcg(best, relevant, k)[0] == pytest.approx(1)
    at = int(rng.integers(1, n))
    if wanted[order[at]] and not wanted[order[at - 1]]:
        better = order.copy()
        better[[at - 1, at]] = better[[at, at - 1]]
        assert metrics.ndcg(better[None], relevant, k)[0] >= value


def test_gini_equals_the_mean_absolute_difference():
    shown = np.random.default_rng(0).integers(0, 30, 40)
    expected = np.abs(shown[:, None] - shown).mean() / (2 * shown.mean())
    assert metrics.gini(shown) == pytest.approx(expected)
    assert metrics.gini(np.zeros(5, int)) == 0


def test_exposure_coverage_and_popularity_by_hand():
    top = np.array([[0, 1], [1, -1], [1, 3]])
    shown = metrics.exposure(top, 5)
    assert shown.tolist() == [1, 3, 0, 1, 0]
    assert metrics.coverage(shown) == pytest.approx(3 / 5)
    likes = np.float32([10, 20, 0, 40, 5])
    assert metrics.mean_popularity(top, likes).tolist() == [15, 20, 30]
    expected = [percentileofscore(likes, x, kind="mean") for x in likes]
    np.testing.assert_allclose(metrics.percentiles(likes), expected)
