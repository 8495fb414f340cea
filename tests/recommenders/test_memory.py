"""Memories and the rows they are kept in."""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.recommenders.memory import MemoryConfig, learn_memories, truncate
from warmstart.recommenders.parts import matrix_arrays, matrix_from, weighted_rows


@pytest.fixture(scope="module")
def likes():
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 3, 90)
    chance = np.where(np.arange(20) % 3 == taste[:, None], 0.5, 0.1)
    return sp.csr_array((rng.random((90, 20)) < chance).astype(np.float32))


def test_whole_memories_are_cosine_and_ease(likes):
    config = MemoryConfig(neighbours=20, shrinkages=(5.0,), regs=(30.0,))
    found = learn_memories(likes, config)
    x = likes.toarray().astype(float)
    gram = x.T @ x
    norm = np.sqrt(np.diag(gram))
    cosine = gram / (np.outer(norm, norm) + 5.0)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(found["cosine-5"].toarray(), cosine, atol=1e-5)
    inverse = np.linalg.inv(gram + 30 * np.eye(20))
    ease = -inverse / np.diag(inverse)
    np.fill_diagonal(ease, 0)
    np.testing.assert_allclose(found["ease-30"].toarray(), ease, atol=1e-5)


def test_rare_items_are_left_out_of_the_cubic_memory(likes):
    config = MemoryConfig(neighbours=20, shrinkages=(), regs=(30.0,), max_ease_items=8)
    weights = learn_memories(likes, config)["ease-30"].toarray()
    popular = np.argsort(-likes.sum(axis=0), kind="stable")[:8]
    rare = np.setdiff1d(np.arange(20), popular)
    assert not weights[rare].any()
    assert not weights[:, rare].any()
    assert weights[np.ix_(popular, popular)].any()


def test_truncation_keeps_the_largest_of_each_row():
    dense = np.random.default_rng(1).standard_normal((7, 9)).astype(np.float32)
    kept = truncate(dense, 3).toarray()
    for row, whole in zip(kept, dense, strict=True):
        at = np.argsort(-np.abs(whole))[:3]
        assert set(np.flatnonzero(row)) == set(at)
        np.testing.assert_array_equal(row[at], whole[at])


@pytest.mark.parametrize("density", [1.0, 0.02, 0.0])
def test_truncation_of_long_rows_is_what_sorting_them_gives(density):
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((5, 1_003)).astype(np.float32) * (rng.random((5, 1_003)) < density)
    dense[0, 700:] *= 10  # the large ones side by side, and in the rest of the groups
    dense[1] = np.round(dense[1])  # of equals all are kept
    kept = truncate(dense, 30).toarray()
    for row, whole in zip(kept, dense, strict=True):
        edge = np.sort(np.abs(whole))[-30]
        np.testing.assert_array_equal(row, np.where(np.abs(whole) >= edge, whole, 0))


@pytest.mark.parametrize("dense", [True, False])
def test_sums_of_rows_are_a_matrix_product(dense):
    rng = np.random.default_rng(2)
    weights = sp.random_array((6, 9), density=0.4, rng=rng, format="csr", dtype=np.float32)
    matrix = sp.random_array((9, 11), density=0.5, rng=rng, format="csr", dtype=np.float32)
    found = weighted_rows(weights, matrix.toarray() if dense else matrix)
    np.testing.assert_allclose(found, weights.toarray() @ matrix.toarray(), atol=1e-5)


def test_a_matrix_is_taken_apart_and_put_together():
    matrix = sp.random_array((5, 7), density=0.4, rng=np.random.default_rng(3), format="csr")
    for whole in (matrix, matrix.toarray()):
        again = matrix_from(matrix_arrays("m", whole), "m", 7)
        assert sp.issparse(again) == sp.issparse(whole)
        np.testing.assert_array_equal(sp.csr_array(again).toarray(), matrix.toarray())
