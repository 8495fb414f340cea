"""Ranking metrics, one value a user, and what lists look like beyond their accuracy.

Relevance is binary: an item is relevant when its entry in `relevant` is above zero. A user to
whom nothing is relevant cannot be judged and gets NaN. `top` holds item indices, best first;
-1 marks a place that could not be filled and counts as a miss.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, IntArray

PerUser = npt.NDArray[np.float64]


def hits(top: IntArray, relevant: sp.csr_array) -> npt.NDArray[np.bool_]:
    """Return (users, k) whether the item at each place is relevant to its user.

    Args:
        top: (users, k) item indices, -1 for none.
        relevant: (users, items) sparse, relevant where above zero.
    """
    n_users, n_items = relevant.shape
    rows = np.repeat(np.arange(n_users), np.diff(relevant.indptr))
    wanted = np.sort((rows * n_items + relevant.indices)[relevant.data > 0])
    listed = np.arange(n_users)[:, None] * n_items + top
    if not len(wanted):
        return np.zeros(top.shape, np.bool_)
    found = wanted[np.minimum(np.searchsorted(wanted, listed), len(wanted) - 1)] == listed
    return np.asarray(found & (top >= 0))


def ndcg(top: IntArray, relevant: sp.csr_array, k: int) -> PerUser:
    """Return (users,) nDCG@k with binary gains; the ideal list is cut at k too.

    Reference: Järvelin & Kekäläinen 2002, doi:10.1145/582415.582418.

    Example:
        >>> wanted = sp.csr_array(np.array([[0, 1, 0, 1]]))
        >>> ndcg(np.array([[1, 0, 3]]), wanted, 3).round(3).tolist()
        [0.92]
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    gain = hits(top[:, :k], relevant) @ discount[: top[:, :k].shape[1]]
    return _over(gain, ideal[np.minimum(n_relevant(relevant), k)])


def recall(top: IntArray, relevant: sp.csr_array, k: int) -> PerUser:
    """Return (users,) Recall@k: the share of all relevant items that is among the first k.

    The plain definition: a user with more than k relevant items cannot reach 1.
    """
    return _over(hits(top[:, :k], relevant).sum(axis=1), n_relevant(relevant))


def hit_rate(top: IntArray, relevant: sp.csr_array, k: int) -> PerUser:
    """Return (users,) 1 where at least one relevant item is among the first k, else 0."""
    any_hit = hits(top[:, :k], relevant).any(axis=1)
    return np.where(n_relevant(relevant) > 0, any_hit, np.nan)


def reciprocal_rank(scores: FloatArray, relevant: sp.csr_array) -> PerUser:
    """Return (users,) one over the rank of the best relevant item in the whole list.

    Items that cannot be recommended have score -inf; equal scores rank by lower item index. A
    user whose relevant items all score -inf has 0.

    Args:
        scores: (users, items).
        relevant: (users, items) sparse, relevant where above zero.
    """
    wanted = relevant.toarray() > 0
    of_wanted = np.where(wanted, scores, -np.inf)
    first = np.argmax(of_wanted, axis=1)  # the lowest index among equals
    best = np.take_along_axis(of_wanted, first[:, None], axis=1)
    before = np.arange(scores.shape[1]) < first[:, None]
    rank = 1 + (scores > best).sum(axis=1) + ((scores == best) & before).sum(axis=1)
    value = np.where(np.isneginf(best[:, 0]), 0.0, 1 / rank)
    return np.where(wanted.any(axis=1), value, np.nan)


def auc(scores: FloatArray, relevant: sp.csr_array) -> PerUser:
    """Return (users,) the chance that a relevant item outranks another; ties count half.

    Only items with a score above -inf take part; a user without both kinds gets NaN.
    """
    from scipy.stats import rankdata  # half a second to import, and seldom asked for

    eligible = ~np.isneginf(scores)
    wanted = (relevant.toarray() > 0) & eligible
    n_wanted, n_all = wanted.sum(axis=1), eligible.sum(axis=1)
    # ineligible items share the lowest ranks, which the subtraction takes away
    ranks = rankdata(scores, axis=1) - (scores.shape[1] - n_all)[:, None]
    above = np.where(wanted, ranks, 0).sum(axis=1) - n_wanted * (n_wanted + 1) / 2
    return _over(above, n_wanted * (n_all - n_wanted))


def n_relevant(relevant: sp.csr_array) -> IntArray:
    """Return (users,) how many items are relevant."""
    sums = np.concatenate([[0], np.cumsum(relevant.data > 0)])
    return np.asarray(np.diff(sums[relevant.indptr]))


def exposure(top: IntArray, n_items: int) -> IntArray:
    """Return (items,) in how many lists each item stands."""
    return np.bincount(top[top >= 0], minlength=n_items)


def coverage(shown: IntArray) -> float:
    """Return the share of items that stand in at least one list.

    Args:
        shown: (items,) exposure of the items that could have been shown.
    """
    return float((shown > 0).mean()) if len(shown) else 0.0


def gini(shown: IntArray) -> float:
    """Return the Gini coefficient of exposure: 0 when all items share it, near 1 when one has all.

    Example:
        >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
        (0.0, 0.75)
    """
    x, n = np.sort(shown).astype(np.float64), len(shown)
    if not x.sum():
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def mean_popularity(top: IntArray, popularity: npt.NDArray[np.floating]) -> PerUser:
    """Return (users,) the mean of `popularity` (items,) over the items of each list."""
    return _over((popularity[top] * (top >= 0)).sum(axis=1), (top >= 0).sum(axis=1))


def percentiles(popularity: npt.NDArray[np.floating]) -> PerUser:
    """Return (items,) the share of items, in percent, that are less popular (ties count half)."""
    _, at, counts = np.unique(popularity, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray(100 * middle[at] / max(1, len(popularity)))


def _over(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> PerUser:
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=np.asarray(whole) > 0)
    return out
