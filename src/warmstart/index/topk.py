"""Exact top-k of many score rows at once, with seen items masked and ties broken for good.

Equal scores rank by the lower item index, so a list never depends on the batch it came in or on
how a partition happens to move its elements.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, Histories, IntArray

_BLOCK = 1 << 20  # scores worked on at once: some 4 MB, so that masking and partition stay in cache


def top_k(
    scores: FloatArray,
    k: int,
    *,
    seen: Histories | None = None,
    candidates: npt.NDArray[np.bool_] | None = None,
) -> tuple[IntArray, FloatArray]:
    """Return the `k` best items of every user and their scores, best first.

    `scores` is left alone. Where a user has fewer than `k` items to rank, the list ends in item
    -1 with score -inf; where the catalogue has fewer, the lists are as long as the catalogue.

    Args:
        scores: (users, items) higher is better; -inf means "never recommend".
        k: length of the lists, at least 1.
        seen: the users' histories; none of their items is returned.
        candidates: (items,) which items may be returned; None for all.

    Returns:
        (users, min(k, items)) int32 item indices and float32 scores.

    Raises:
        ConfigError: `k` is below 1.
        DataError: a score is NaN, or `seen` has another number of users.

    Example:
        >>> items, best = top_k(np.float32([[0.5, 2.0, 0.5, 1.0]]), 3)
        >>> items.tolist(), best.tolist()
        ([[1, 3, 0]], [[2.0, 1.0, 0.5]])
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    n_users, n_items = scores.shape
    if seen is not None and len(seen) != n_users:
        raise DataError(f"{n_users} rows of scores but {len(seen)} histories; pass one per row")
    k = min(k, n_items)
    items = np.empty((n_users, k), np.int32)
    best = np.empty((n_users, k), np.float32)
    step = max(1, _BLOCK // max(1, n_items))
    barred = None if candidates is None else np.flatnonzero(~candidates)
    for start in range(0, n_users, step):
        stop = min(start + step, n_users)
        block = np.array(scores[start:stop], np.float32)
        if barred is not None:
            block[:, barred] = -np.inf
        if seen is not None:
            begin, end = int(seen.indptr[start]), int(seen.indptr[stop])
            shots = np.diff(seen.indptr[start : stop + 1])
            block[np.repeat(np.arange(stop - start), shots), seen.items[begin:end]] = -np.inf
        items[start:stop], best[start:stop] = _top_k(block, k)
    items[np.isneginf(best)] = -1
    return items, best


def _top_k(scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    n_users, n_items = scores.shape
    if k == 0 or n_users == 0:
        return np.zeros((n_users, k), np.int32), np.zeros((n_users, k), np.float32)
    picked = np.argpartition(scores, n_items - k, axis=1)[:, n_items - k :]
    values = np.take_along_axis(scores, picked, axis=1)
    edge = values.min(axis=1)
    if np.isnan(edge).any() or np.isnan(values).any():  # NaN sorts as the largest value
        first = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise DataError(f"the scores of row {first} hold NaN; a method must return finite scores")
    # The partition took an arbitrary few of the items that tie for the last places.
    tied = (scores == edge[:, None]).sum(axis=1) > (values == edge[:, None]).sum(axis=1)
    for row in np.flatnonzero(tied & ~np.isneginf(edge)):
        above = picked[row][values[row] > edge[row]]
        level = np.flatnonzero(scores[row] == edge[row])[: k - len(above)]
        picked[row] = np.concatenate([above, level])
        values[row] = scores[row, picked[row]]
    order = np.lexsort((picked, -values), axis=1)
    return (
        np.take_along_axis(picked, order, axis=1).astype(np.int32),
        np.take_along_axis(values, order, axis=1),
    )
