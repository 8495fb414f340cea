"""Weighted rows of a matrix, summed into dense rows: only what they hold is touched.

A product of sparse matrices says the same, but makes several matrices and a dense array on the way,
which takes longer than the sums of one user. SciPy's own loops are called instead. They are not of
its public face, so a test holds them against plain products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse import _sparsetools

from warmstart.core.layers import Layers, Sparse, layers_of
from warmstart.core.types import FloatArray, IntArray

_ROOM = 1 << 23  # entries of sparse rows that may be laid end to end


def add_rows(
    out: FloatArray,
    ends: IntArray,
    rows: IntArray,
    weights: FloatArray,
    matrix: FloatArray | Sparse,
) -> None:
    """Add to each row of `out` some rows of a matrix, each times a weight.

    Args:
        out: (users, columns) float32 without gaps; written to.
        ends: (users + 1,) where the entries of each user begin and end.
        rows: (entries,) of the matrix.
        weights: (entries,).
        matrix: (rows, columns) float32, dense or sparse.

    Raises:
        IndexError: the matrix has no such row.

    Example:
        >>> import scipy.sparse as sp
        >>> out = np.zeros((2, 3), np.float32)
        >>> some = np.array([0, 2, 2]), np.array([1, 0]), np.float32([10, 1])
        >>> add_rows(out, *some, sp.csr_array(np.float32([[1, 0, 2], [0, 3, 0]])))
        >>> out.tolist()
        [[1.0, 30.0, 2.0], [0.0, 0.0, 0.0]]
    """
    if isinstance(matrix, Layers):
        for layer in layers_of(matrix):
            if layer.nnz:
                add_rows(out, ends, rows, weights, layer)
        return
    if len(rows) and not (0 <= rows.min() and rows.max() < matrix.shape[0]):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of a matrix of {matrix.shape[0]}")
    if isinstance(matrix, np.ndarray):
        index, weights = np.dtype(np.int64), np.asarray(weights, matrix.dtype)
        flat = np.ascontiguousarray(matrix).reshape(-1)
        sizes = len(out), len(matrix), out.shape[1]
        given = _of(index, ends), _of(index, rows), weights, flat
        _sparsetools.csr_matvecs(*sizes, *given, out.reshape(-1))
        return
    half = len(out) // 2
    if half and int((matrix.indptr[rows + 1] - matrix.indptr[rows]).sum()) > _ROOM:
        middle = ends[half]
        add_rows(out[:half], ends[: half + 1], rows[:middle], weights[:middle], matrix)
        add_rows(out[half:], ends[half:] - middle, rows[middle:], weights[middle:], matrix)
        return
    columns, data, laid = laid_rows(ends, rows, weights, matrix)
    _sparsetools.csr_todense(*out.shape, laid, columns, data, out)


def laid_rows(
    ends: IntArray, rows: IntArray, weights: FloatArray, matrix: sp.csr_array
) -> tuple[IntArray, FloatArray, IntArray]:
    """Return the columns and entries of weighted rows end to end, and where each user's end.

    Args:
        ends: (users + 1,) where the rows of each user begin and end.
        rows: (entries,) of the matrix; they must be there.
        weights: (entries,).
        matrix: sparse.
    """
    index = matrix.indptr.dtype
    rows = _of(index, rows)
    counts = matrix.indptr[rows + 1] - matrix.indptr[rows]
    laid = np.zeros(len(rows) + 1, index)
    np.cumsum(counts, out=laid[1:])
    columns, data = np.empty(laid[-1], index), np.empty(laid[-1], matrix.data.dtype)
    held = matrix.indptr, matrix.indices, matrix.data
    _sparsetools.csr_row_index(len(rows), rows, *held, columns, data)
    data *= np.repeat(np.asarray(weights, data.dtype), counts)
    return columns, data, laid[ends]


def among(matrix: Sparse, items: IntArray) -> FloatArray:
    """Return the (users, n, n) entries of a matrix between the items of each user.

    Args:
        matrix: (items, items) sparse.
        items: (users, n) which must be there.

    Example:
        >>> matrix = sp.csr_array(np.float32([[1, 0, 2], [0, 3, 0], [4, 0, 5]]))
        >>> among(matrix, np.array([[2, 0]])).tolist()
        [[[5.0, 4.0], [2.0, 1.0]]]
    """
    n_users, n = items.shape
    out = np.zeros((n_users * n, n), np.float32)
    if not items.size:
        return out.reshape(n_users, n, n)
    rows, each = items.ravel(), np.arange(n_users * n + 1)
    wanted = each[:-1, None] * matrix.shape[1] + np.repeat(items, n, axis=0)
    for layer in layers_of(matrix):
        if not layer.nnz:
            continue
        ordered = layer if layer.has_sorted_indices else layer.sorted_indices()
        columns, data, laid = laid_rows(each, rows, np.ones(len(rows), np.float32), ordered)
        if not len(columns):
            continue
        # one ascending list: a row's number, then its columns
        keys = np.repeat(each[:-1] * matrix.shape[1], np.diff(laid)) + columns
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        out += np.where(keys[at] == wanted, data[at], np.float32(0))
    return out.reshape(n_users, n, n)


def _of(kind: Any, array: IntArray) -> IntArray:  # noqa: ANN401  (a type of integers)
    return np.ascontiguousarray(array, kind)
