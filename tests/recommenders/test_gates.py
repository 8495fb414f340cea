"""Gates: interpolation, the metric they maximise, and the weights they find."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.types import Histories
from warmstart.evaluation import metrics
from warmstart.index import top_k
from warmstart.recommenders.gates import Gates, Shortlist, choose_weights


def planted(n_users=80, n_items=40, seed=0, noise=(1.0, 1.0, 3.0)):
    """Three parts that see the same taste through different noise; the last sees little."""
    rng = np.random.default_rng(seed)
    taste = rng.standard_normal((n_users, n_items))
    parts = [(taste + s * rng.standard_normal(taste.shape)).astype(np.float32) for s in noise]
    query = sp.csr_array((taste > 1).astype(np.float32))
    items = rng.integers(0, n_items, n_users).astype(np.int32)
    seen = Histories(np.arange(n_users + 1), items, np.ones(n_users, np.float32))
    return parts, seen, query


def test_weights_between_knots_are_linear_in_log_shots():
    gates = Gates(np.float32([0, 1, 7]), np.float32([[0, 1], [2, 1], [4, 5]]))
    found = gates.at(np.array([0, 1, 3, 7, 500]))
    np.testing.assert_allclose(found[[0, 1, 3, 4]], [[0, 1], [2, 1], [4, 5], [4, 5]])
    share = (np.log(4) - np.log(2)) / (np.log(8) - np.log(2))
    np.testing.assert_allclose(found[2], [2 + 2 * share, 1 + 4 * share], rtol=1e-6)


def test_the_shortlist_measures_what_the_whole_catalogue_would():
    parts, seen, query = planted()
    shortlist = Shortlist.of(parts, seen, query, depth=20)
    for weights in ([1, 0, 0], [1, 1, 0], [0.2, 3, 1]):
        combined = sum(w * p for w, p in zip(weights, parts, strict=True))
        top, _ = top_k(combined, 10, seen=seen)
        whole = metrics.ndcg(top, query, 10)
        asked = query.toarray()
        asked[seen.rows, seen.items] = 0  # as in training: a seen item is never asked for
        whole = metrics.ndcg(top, sp.csr_array(asked), 10)
        short = Shortlist.of(parts, seen, sp.csr_array(asked), depth=20)
        found = short.ndcg(short.scores @ np.float32(weights))
        np.testing.assert_allclose(found, whole, atol=1e-9)
    assert shortlist.weight.sum() == pytest.approx(1)


def test_coordinate_search_comes_as_far_as_trying_everything():
    shortlist = Shortlist.of(*planted())

    def quality(weights):
        return float(shortlist.weight @ shortlist.ndcg(shortlist.scores @ np.float32(weights)))

    grid = (0.0, 0.2, 0.5, 1.0, 2.0, 4.5)
    best = max(quality(w) for w in itertools.product(grid, repeat=3) if any(w))
    weights, found = choose_weights(shortlist, np.float32([1, 0, 0]))
    assert found == pytest.approx(quality(weights))
    assert found >= best - 0.005
    assert weights[1] > 0  # the equal of the first
    assert weights[2] < weights[:2].max()  # the noisy one


def test_a_gain_within_its_error_is_not_believed():
    start, bold, careful, doubted = np.float32([1, 0]), 0, 0, 0
    for seed in range(40):  # the second part is noise, for which a few users are mistaken
        parts, seen, query = planted(n_users=12, noise=(1.0, 50.0), seed=seed)
        shortlist = Shortlist.of([parts[0], parts[1] / 50], seen, query)
        bold += choose_weights(shortlist, start, least_gain=0.0)[0][1] > 0
        careful += choose_weights(shortlist, start, certainty=2.0)[0][1] > 0
        doubted += choose_weights(shortlist, start, least_gain=0.0, doubted=[1])[0][1] > 0
    assert bold >= 15
    assert careful <= bold / 3
    assert doubted <= bold / 3


def test_users_count_by_their_weight():
    parts, seen, query = planted(noise=(1.0, 1.0))
    half = np.arange(80) < 40
    parts[0][~half] = np.random.default_rng(1).standard_normal((40, 40))
    parts[1][half] = np.random.default_rng(2).standard_normal((40, 40))
    shortlist = Shortlist.of(parts, seen, query)
    for own, wanted in ((half, 0), (~half, 1)):
        biased = Shortlist(shortlist.scores, shortlist.gains, shortlist.ideal, own / own.sum())
        weights, _ = choose_weights(biased, np.float32([1, 1]))
        assert weights[wanted] > 2 * weights[1 - wanted]
