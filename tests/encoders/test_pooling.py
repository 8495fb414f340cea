"""Pooling: against SciPy's minimiser and closed forms, and what one author can do to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from warmstart.core.errors import DataError
from warmstart.encoders.reviews import pooled


def one(points, authors=None):
    points = np.asarray(points, np.float32)
    authors = np.arange(len(points)) if authors is None else np.asarray(authors)
    found, known = pooled(points, np.zeros(len(points), int), authors, 1)
    assert known.tolist() == [len(points) > 0]
    return found[0]


def total_distance(centre, points):
    return np.linalg.norm(np.asarray(points) - centre, axis=1).sum()


def test_it_minimises_the_distance_to_the_authors():
    rng = np.random.default_rng(0)
    for n in (3, 4, 7, 30):
        points = rng.normal(size=(n, 5)).astype(np.float32)
        best = minimize(total_distance, points.mean(axis=0), args=(points,), tol=1e-10)
        assert total_distance(one(points), points) <= best.fun * (1 + 1e-4)
        # at the optimum the authors' pulls cancel, or the author who stands there outweighs them
        apart = points - one(points)
        distance = np.linalg.norm(apart, axis=1, keepdims=True)
        here = distance < 1e-3
        pull = np.where(here, 0, apart / np.maximum(distance, 1e-9)).sum(axis=0)
        assert np.linalg.norm(pull) <= here.sum() + 0.05


def test_known_medians():
    np.testing.assert_allclose(one([[1, 2]]), [1, 2])
    np.testing.assert_allclose(one([[0, 0], [2, 4]]), [1, 2])
    np.testing.assert_allclose(one([[0, 0], [0, 0], [9, 9]]), [0, 0], atol=1e-6)
    square = [[0, 0], [0, 2], [2, 0], [2, 2]]
    np.testing.assert_allclose(one(square), [1, 1], atol=1e-6)
    np.testing.assert_allclose(one([[0], [1], [5], [7], [100]]), [5], atol=1e-3)
    # an author's own place, from which Weiszfeld's first form would never leave
    points = np.array([[0, 0], [3, 0], [-1, 1], [-1, -1], [4, 0.5], [4, -0.5]])
    best = min(total_distance([x, 0], points) for x in np.linspace(-2, 5, 7_001))
    assert total_distance(one(points), points) < best * 1.001
    assert total_distance([3, 0], points) > best


def test_an_author_is_the_mean_of_what_he_wrote():
    points = [[0, 0], [2, 0], [4, 0], [10, 10], [5, -5]]
    authors = ["ann", "ann", "ann", "bo", "cy"]
    np.testing.assert_allclose(one(points, authors), one([[2, 0], [10, 10], [5, -5]]), atol=1e-6)


def test_groups_do_not_touch_each_other_and_empty_ones_are_masked():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(200, 6)).astype(np.float32)
    groups, authors = rng.integers(-1, 7, 200), rng.integers(0, 20, 200)
    groups[groups == 3] = 4
    vectors[0], groups[0] = np.nan, 5
    found, known = pooled(vectors, groups, authors, 9)
    assert known.tolist() == [g not in (3, 7, 8) for g in range(9)]
    assert not found[~known].any()
    for group in np.flatnonzero(known):
        mine = (groups == group) & np.isfinite(vectors).all(axis=1)
        alone = one(vectors[mine], authors[mine])
        np.testing.assert_allclose(found[group], alone, atol=1e-5)
    order = rng.permutation(200)
    again, _ = pooled(vectors[order], groups[order], authors[order], 9)
    np.testing.assert_allclose(again, found, atol=1e-5)


@given(
    st.integers(3, 12),
    st.integers(1, 6),
    st.sampled_from([1, 1_000]),
    st.floats(0, 1e12),
    st.integers(0, 10_000),
)
@settings(max_examples=150, deadline=None)
def test_one_author_moves_it_boundedly(n, dim, written, far, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, dim))
    away = rng.normal(size=dim)
    outlier = np.tile(far * away / np.linalg.norm(away), (written, 1))
    before = one(points)
    after = one(np.concatenate([points, outlier]), [*range(n), *[n] * written])
    # the centre c is no worse than the origin: the sum of |p - c| + |o - c| is at most that of
    # |p| + |o|, so n|c| - 2 sum |p| <= |o| - |o - c| <= |c|
    reach = np.linalg.norm(points, axis=1).max()
    assert np.linalg.norm(after) <= 2 * n / (n - 1) * reach * (1 + 1e-3)
    assert np.linalg.norm(after - before) <= 4 * n / (n - 1) * reach * (1 + 1e-3)


def test_a_thousand_reviews_of_one_author_are_one_voice():
    rng = np.random.default_rng(2)
    crowd = rng.normal(size=(20, 8)).astype(np.float32)
    flood = np.tile(100 * np.ones(8, np.float32), (1_000, 1))
    single = one(np.concatenate([crowd, flood[:1]]))
    many = one(np.concatenate([crowd, flood]), [*range(20), *[20] * 1_000])
    np.testing.assert_allclose(many, single, atol=1e-5)
    assert np.linalg.norm(many - one(crowd)) < 0.5


def test_what_does_not_fit_is_named():
    with pytest.raises(DataError, match=r"shape \(2, 3\), 1 groups and 2 authors"):
        pooled(np.ones((2, 3)), np.zeros(1, int), np.zeros(2, int), 1)
    with pytest.raises(DataError, match="groups are 0 to 5; give 0 to 2"):
        pooled(np.ones((2, 3)), np.array([0, 5]), np.zeros(2, int), 3)
    found, known = pooled(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, int), 2)
    assert found.shape == (2, 4)
    assert not known.any()
