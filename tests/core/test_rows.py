"""Rows that are added are what plain products give, dense or sparse, in one layer or two."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from warmstart.core import rows
from warmstart.core.layers import Layers
from warmstart.core.rows import add_rows


def drawn(seed, n_rows=13, n_columns=17, index=np.int32):
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((n_rows, n_columns)).astype(np.float32)
    dense[rng.random(dense.shape) < 0.6] = 0
    matrix = sp.csr_array(dense)
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    return dense, matrix


def entries(rng, users, n_rows):
    shots = rng.integers(0, 6, users)
    ends = np.concatenate([[0], np.cumsum(shots)])
    return ends, rng.integers(0, n_rows, ends[-1]), rng.standard_normal(ends[-1])


def product(ends, at, weights, dense):
    """The truth, by a loop."""
    out = np.zeros((len(ends) - 1, dense.shape[1]))
    for user in range(len(out)):
        for entry in range(ends[user], ends[user + 1]):
            out[user] += weights[entry] * dense[at[entry]]
    return out


@given(st.integers(0, 10_000), st.integers(0, 7), st.sampled_from([np.int32, np.int64]))
def test_every_kind_of_matrix_gives_the_product(seed, users, index):
    rng = np.random.default_rng(seed)
    dense, matrix = drawn(seed, index=index)
    some = entries(rng, users, len(dense))
    more, added = drawn(seed + 1)
    for kind, truth in (
        (dense, dense), (matrix, dense), (Layers(matrix, added), dense + more),
        (Layers(matrix, sp.csr_array(dense.shape, dtype=np.float32)), dense),
    ):  # fmt: skip
        before = rng.standard_normal((users, dense.shape[1])).astype(np.float32)
        out = before.copy()
        add_rows(out, *some, kind)
        np.testing.assert_allclose(out, before + product(*some, truth), atol=1e-4)


def test_what_does_not_fit_into_memory_at_once_is_added_in_parts(monkeypatch):
    rng = np.random.default_rng(3)
    dense, matrix = drawn(3)
    some = entries(rng, 9, len(dense))
    monkeypatch.setattr(rows, "_ROOM", 20)
    out = np.zeros((9, dense.shape[1]), np.float32)
    add_rows(out, *some, matrix)
    np.testing.assert_allclose(out, product(*some, dense), atol=1e-5)


@pytest.mark.parametrize("row", [-1, 13])
def test_rows_that_are_not_there_are_refused(row):
    for matrix in drawn(0):
        out = np.zeros((1, 17), np.float32)
        with pytest.raises(IndexError, match="a matrix of 13"):
            add_rows(out, np.array([0, 1]), np.array([row]), np.ones(1, np.float32), matrix)
        assert not out.any()
