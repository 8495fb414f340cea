"""Two sparse layers are one matrix."""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.layers import Layers
from warmstart.recommenders.parts import matrix_arrays, matrix_from, narrow, weighted_rows


@pytest.fixture(scope="module")
def layers():
    """A matrix of 30 items of which the last 4 came later."""
    rng = np.random.default_rng(0)
    whole = np.where(rng.random((30, 30)) < 0.4, rng.normal(size=(30, 30)), 0).astype(np.float32)
    late = np.zeros((30, 30), bool)
    late[26:] = late[:, 26:] = True
    two = Layers(sp.csr_array(np.where(late, 0, whole)), sp.csr_array(np.where(late, whole, 0)))
    return two, whole


def test_rows_pairs_and_the_whole_are_those_of_the_sum(layers):
    two, whole = layers
    rows = np.array([3, 29, 3, 0])
    np.testing.assert_array_equal(two[rows].toarray(), whole[rows])
    np.testing.assert_array_equal(two[rows][:, rows].toarray(), whole[rows][:, rows])
    np.testing.assert_array_equal(np.asarray(two[rows, rows[::-1]]), whole[rows, rows[::-1]])
    np.testing.assert_array_equal(two.toarray(), whole)
    back = matrix_from(matrix_arrays("m", two), "m", 30)
    np.testing.assert_array_equal(back.toarray(), whole)


def test_sums_of_rows_have_the_bits_of_one_matrix(layers):
    two, whole = layers
    rng = np.random.default_rng(1)
    weights = sp.random_array((50, 30), density=0.5, rng=rng, format="csr", dtype=np.float32)
    found = weighted_rows(weights, two)
    np.testing.assert_array_equal(found, weighted_rows(weights, sp.csr_array(whole)))
    np.testing.assert_allclose(found, weights.toarray() @ whole, atol=1e-5)


def test_indices_are_as_narrow_as_they_may_be():
    wide = sp.csr_array((np.ones(2), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))
    assert wide.indices.dtype == np.int64
    found = narrow(wide)
    assert (found.indices.dtype, found.indptr.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(found.toarray(), wide.toarray())
    assert narrow(found) is found
    for bad in (1 << 32, -1):
        wide.indices[0] = bad
        assert narrow(wide) is wide  # for whoever checks it to see
    dense = np.ones((2, 2), np.float32)
    assert narrow(dense) is dense
