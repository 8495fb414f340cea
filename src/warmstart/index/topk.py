"""Exact top-k of many score rows at once, with seen items masked and ties broken for good.

Equal scores rank by the lower item index, so a list never depends on the batch it came in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, Histories, IntArray

_BLOCK = 1 << 18  # scores worked on at once: 1 MB, so that every pass over them stays in cache
_LOWEST = np.finfo(np.float32).min  # below it is only -inf: never recommend


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
    return items, best


def _top_k(scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Sort only what can be among the best: a partition of whole rows costs six times as much.

    The columns are dealt into more than `k` hands. The k-th best of the hands' best cards is
    reached by at least `k` cards, so nothing below it is in the list; hardly anything is above.
    """
    n_users, n_items = scores.shape
    items = np.full((n_users, k), -1, np.int32)
    best = np.full((n_users, k), -np.inf, np.float32)
    if k == 0 or n_users == 0:
        return items, best
    hands = min(max(8 * k, 64), n_items)
    dealt = n_items // hands * hands
    peaks = scores[:, :dealt].reshape(n_users, -1, hands).max(axis=1)
    rest = peaks[:, : n_items - dealt]
    np.maximum(rest, scores[:, dealt:], out=rest)
    wrong = np.isnan(peaks).any(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(f"the scores of row {first} hold NaN; a method must return finite scores")
    peaks.partition(hands - k, axis=1)
    edge = np.maximum(peaks[:, hands - k], _LOWEST)
    row, item = np.divmod(np.flatnonzero(scores >= edge[:, None]), n_items)
    value = scores[row, item]
    order = np.lexsort((-value, row))  # stable: among equals the lower index stays first
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(n_users))[row]
    kept = place < k
    items[row[kept], place[kept]] = item[order[kept]]
    best[row[kept], place[kept]] = value[order[kept]]
    return items, best
