"""What a list must heed beside relevance."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.errors import ConfigError
from warmstart.recommenders.rules import Rules, arranged

ODD = np.arange(40) % 2 == 1


def listed(scores, k=5, pins=(), vectors=None, **rules):
    masks = {"odd": ODD[: len(scores)], "even": ~ODD[: len(scores)]}
    return arranged(np.float32(scores), k, Rules.parse(rules), masks.__getitem__, pins, vectors)


def test_without_rules_the_best_come_first():
    scores = np.random.default_rng(0).normal(size=40)
    items, points = listed(scores)
    assert items.tolist() == np.argsort(-scores)[:5].tolist()
    expected = (scores - scores.mean()) / scores.std()
    np.testing.assert_allclose(points, np.sort(expected)[::-1][:5], rtol=1e-5)


def test_a_boost_counts_in_standard_deviations():
    scores = np.array([5.0, 4, 3, 2, 1, 0])
    spread = scores.std()
    just = (scores[0] - scores[1]) / spread
    assert listed(scores, 1, boost=[{"filter": "odd", "by": just * 1.01}])[0].tolist() == [1]
    assert listed(scores, 1, boost=[{"filter": "odd", "by": just * 0.99}])[0].tolist() == [0]


def test_pins_take_their_places_and_what_may_not_be_shown_stays_away():
    scores = np.arange(10.0)
    scores[3] = -np.inf
    items, _ = listed(scores, 4, pins=[(0, 1), (2, 3)])
    assert items.tolist() == [1, 9, 8, 7]
    assert listed(scores, 2, pins=[(3, 0)])[0].tolist() == [9, 8]  # beyond the list


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 6), st.none() | st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_quotas_hold(seed, k, least, most):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=40)
    scores[rng.random(40) < 0.5] = -np.inf
    if most is not None and least > most:
        least, most = most, least
    items, _ = listed(scores, k, quota=[{"filter": "odd", "least": least, "most": most}])
    odd = int(ODD[items].sum())
    there = int((ODD & np.isfinite(scores)).sum())
    assert odd >= min(least, there, k)
    assert most is None or odd <= most
    assert len(set(items.tolist())) == len(items)
    assert np.isfinite(scores[items]).all()


def test_two_quotas_that_bound_everything_are_both_kept():
    scores = np.arange(20.0)
    rules = [{"filter": "odd", "least": 2, "most": 2}, {"filter": "even", "least": 3}]
    items, _ = listed(scores, 5, quota=rules)
    assert sorted(items.tolist()) == [14, 16, 17, 18, 19]


def test_diversity_is_maximal_marginal_relevance():
    """Against every order of a small catalogue, greedily compared place by place."""
    rng = np.random.default_rng(3)
    scores, vectors = rng.normal(size=6), np.float32(rng.normal(size=(6, 3)))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    points, d = (scores - scores.mean()) / scores.std(), 0.6
    worths = {
        order: tuple(
            (1 - d) * points[item]
            - d * max([0.0, *(float(unit[item] @ unit[o]) for o in order[:place])])
            for place, item in enumerate(order)
        )
        for order in permutations(range(6), 4)
    }
    best = max(worths, key=lambda order: tuple(round(w, 6) for w in worths[order]))
    assert tuple(listed(scores, 4, vectors=vectors, diversity=d)[0].tolist()) == best


def test_rules_that_cannot_be_meant_are_refused():
    with pytest.raises(ConfigError, match="least=3 is more than most=1"):
        Rules.parse({"quota": [{"filter": "odd", "least": 3, "most": 1}]})
    with pytest.raises(ConfigError, match="two items are pinned to place 1"):
        Rules.parse({"pin": [{"item": 1, "place": 1}, {"item": 2, "place": 1}]})
    with pytest.raises(ConfigError, match="diversity"):
        Rules.parse({"diversity": 1.5})
