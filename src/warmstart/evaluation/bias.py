"""Whom and what lists favour: popular items, groups of users, categories.

Beside these, `metrics` has the mean popularity of lists (ARP is its mean over users), coverage and
the Gini coefficient of exposure. What has a value for each user is returned user by user, NaN
where there is none, so that it can be resampled; `top` is as in `metrics`: (users, k) item indices,
best first, -1 for none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray
from warmstart.evaluation.metrics import PerUser, mean_popularity
from warmstart.evaluation.significance import bootstrap_interval, ratio_interval, resampled_means

Mask = npt.NDArray[np.bool_]
Popularity = npt.NDArray[np.floating] | IntArray | Mask
_ROOM = 1 << 22  # numbers held at once


def long_tail(popularity: Popularity, head: float = 0.8) -> Mask:
    """Return (items,) which items are the long tail: all but the most popular that make the head.

    Equally popular items are on the same side, so no order of the catalogue decides.

    Args:
        popularity: (items,) interactions in the training rows.
        head: share of all interactions that the head gathers.

    Reference: Abdollahpouri et al. 2019, arXiv:1901.07555 (80 %, after Pareto).

    Example:
        >>> long_tail(np.array([60, 25, 10, 5])).tolist()
        [False, False, True, True]
    """
    _, at = np.unique(popularity, return_inverse=True)
    gathered = np.bincount(at, np.asarray(popularity, np.float64))
    above = gathered.sum() - np.cumsum(gathered)  # by strictly more popular items
    tail = (above >= head * gathered.sum()) | (gathered <= 0)
    return np.asarray(tail[at])


def listed_share(top: IntArray, among: Mask) -> PerUser:
    """Return (users,) the share of a list's places that items of `among` (items,) have."""
    return mean_popularity(top, among.astype(np.float64))


def long_tail_share(top: IntArray, popularity: Popularity, head: float = 0.8) -> PerUser:
    """Return (users,) the share of a list's places that the long tail has; its mean is APLT.

    Args:
        top: (users, k) lists.
        popularity: (items,) interactions in the training rows.
        head: as in `long_tail`.

    Reference: Abdollahpouri et al. 2019, arXiv:1901.07555.

    Example:
        >>> long_tail_share(np.array([[0, 1], [2, 3]]), np.array([60, 25, 10, 5])).tolist()
        [0.0, 1.0]
    """
    return listed_share(top, long_tail(popularity, head))


def liked_popularity(liked: sp.csr_array, popularity: Popularity) -> PerUser:
    """Return (users,) the mean of `popularity` (items,) over the items that each user likes."""
    likes = sp.csr_array((liked.data > 0, liked.indices, liked.indptr), shape=liked.shape)
    sums = likes.astype(np.float64) @ np.asarray(popularity, np.float64)
    counts = np.asarray(likes.sum(axis=1))
    out = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=out, where=counts > 0)
    return out


def popularity_lift(
    top: IntArray, liked: sp.csr_array, popularity: Popularity, *, seed: int = 0
) -> tuple[float, float, float]:
    """Return by how much lists are more popular than tastes, with its 95 % interval.

    (mean popularity of lists − that of what the users like) / that of what they like: 0 is a list
    as popular as the taste it serves, .5 half as popular again.

    Args:
        top: (users, k) lists.
        liked: (users, items) what these users are known to like, above zero.
        popularity: (items,) interactions in the training rows.
        seed: of the bootstrap over users.

    Raises:
        DataError: no user has both a list and a liked item that anybody else liked.

    Reference: Abdollahpouri et al. 2020, doi:10.1145/3383313.3418487 (arXiv:2008.09273).

    Example:
        >>> liked = sp.csr_array(np.array([[0, 1, 1], [0, 1, 1]]))
        >>> popularity_lift(np.array([[0], [1]]), liked, np.array([8, 4, 2]))[0]
        1.0
    """
    lists = mean_popularity(top, np.asarray(popularity, np.float64))
    tastes = liked_popularity(liked, popularity)
    both = np.isfinite(lists) & np.isfinite(tastes)
    if not tastes[both].sum() > 0:
        raise DataError("no user has a list and a taste to compare; give users with liked items")
    ratio, low, high = ratio_interval(lists[both], tastes[both], seed=seed)
    return ratio - 1, low - 1, high - 1


def ranks_of(scores: FloatArray, relevant: sp.csr_array) -> npt.NDArray[np.float64]:
    """Return (relevant entries,) at which place of its user's full list each relevant item stands.

    Items that cannot be recommended have score -inf; equal scores share the middle of their
    places. The order is that of `relevant.indices`.
    """
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    out = np.empty(len(rows))
    step = max(1, _ROOM // max(1, scores.shape[1]))
    for start in range(0, scores.shape[0], step):
        some = slice(relevant.indptr[start], relevant.indptr[min(start + step, scores.shape[0])])
        order = np.sort(-scores[start : start + step], axis=1)
        for user in np.unique(rows[some]):
            own = slice(relevant.indptr[user], relevant.indptr[user + 1])
            wanted = -scores[user, relevant.indices[own]]
            line = order[user - start]
            low, high = np.searchsorted(line, wanted), np.searchsorted(line, wanted, "right")
            out[own] = (low + high + 1) / 2
    return out


def popularity_opportunity(
    ranks: npt.NDArray[np.floating], relevant: sp.csr_array, popularity: Popularity
) -> tuple[PerUser, float]:
    """Return whether liked items stand the higher the more popular they are, by user and by item.

    PRU, per user: minus Spearman's correlation of popularity and rank over what the user likes
    (Zhu et al. report its mean); PRI: the same over items, between popularity and the mean rank
    among the users who like the item. 0 is an equal chance for all that is liked, 1 a list ordered
    by popularity alone.

    Args:
        ranks: (relevant entries,) as from `ranks_of`.
        relevant: (users, items) what is liked and was held out.
        popularity: (items,) interactions in the training rows.

    Returns:
        (users,) PRU, NaN where all popularities or ranks are equal; PRI, NaN likewise.

    Reference: Zhu et al. 2021, doi:10.1145/3437963.3441820.

    Example:
        >>> liked = sp.csr_array(np.array([[1, 1, 1]]))
        >>> pru, pri = popularity_opportunity(np.array([1, 5, 9]), liked, np.array([30, 20, 10]))
        >>> pru.tolist(), pri
        ([1.0], 1.0)
    """
    wanted = relevant.data > 0
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))[wanted]
    items, ranks = relevant.indices[wanted], np.asarray(ranks, np.float64)[wanted]
    popularity = np.asarray(popularity, np.float64)
    by_user = -_spearman(popularity[items], ranks, rows, relevant.shape[0])
    counts = np.bincount(items, minlength=relevant.shape[1])
    liked = np.flatnonzero(counts)
    mean_rank = np.bincount(items, ranks, minlength=relevant.shape[1])[liked] / counts[liked]
    return by_user, -spearman(popularity[liked], mean_rank)


def spearman(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> float:
    """Return Spearman's rank correlation, equal values sharing their ranks; NaN without spread."""
    return float(_spearman(a, b, np.zeros(len(a), np.int64), 1)[0])


def category_miscalibration(
    top: IntArray, liked: sp.csr_array, categories: sp.csr_array, alpha: float = 0.01
) -> PerUser:
    """Return (users,) how far the categories of a list are from those of the user's taste.

    The Kullback–Leibler divergence of p, the categories of what the user likes, from q, those of
    the list, where q gets `alpha` of p so that a category that is missing costs much and not
    everything. 0 is a list with the user's own mixture. An item in several categories counts for
    each in equal parts; items without any are left out.

    Args:
        top: (users, k) lists.
        liked: (users, items) what these users like, above zero.
        categories: (items, categories) above zero where an item belongs.
        alpha: share of p in q.

    Returns:
        NaN for users without a categorised list or taste.

    Reference: Steck 2018, doi:10.1145/3240323.3240372, equations 2, 3, 6 and 7, without its
    weights for recency and rank.

    Example:
        >>> kinds = sp.csr_array(np.array([[1, 0], [0, 1]]))
        >>> liked = sp.csr_array(np.array([[1, 1], [1, 1]]))
        >>> category_miscalibration(np.array([[0, 1], [0, 0]]), liked, kinds).round(2).tolist()
        [0.0, 1.96]
    """
    of_item = sp.csr_array(categories, dtype=np.float64)
    of_item.data = (of_item.data > 0).astype(np.float64)
    sizes = np.asarray(of_item.sum(axis=1))
    weight = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    of_item = sp.csr_array(sp.diags_array(weight) @ of_item)
    rows, there = np.repeat(np.arange(len(top)), top.shape[1]), top.ravel() >= 0
    ones = (np.ones(int(there.sum())), (rows[there], top.ravel()[there]))
    lists = sp.coo_array(ones, shape=(len(top), of_item.shape[0])).tocsr()
    likes = sp.csr_array((liked.data > 0, liked.indices, liked.indptr), shape=liked.shape)
    p, q = (np.asarray((m.astype(np.float64) @ of_item).todense()) for m in (likes, lists))
    total_p, total_q = p.sum(axis=1), q.sum(axis=1)
    p /= np.where(total_p > 0, total_p, 1)[:, None]
    q /= np.where(total_q > 0, total_q, 1)[:, None]
    mixed = (1 - alpha) * q + alpha * p
    ratio = np.divide(p, mixed, out=np.ones_like(p), where=p > 0)
    return np.where((total_p > 0) & (total_q > 0), (p * np.log(ratio)).sum(axis=1), np.nan)


@dataclass(frozen=True, slots=True)
class GroupGap:
    """How differently groups of users are served.

    Attributes:
        groups: (groups,) codes, ascending.
        tasks: (groups,) how many users each has.
        means: (groups,) mean of the metric.
        low: (groups,) lower ends of the 95 % intervals.
        high: (groups,) upper ends.
        gap: the best mean minus the worst.
        gap_low: lower end of the interval of that difference, the two groups taken as given.
        gap_high: upper end.
        by_chance: the gap to expect if groups meant nothing, from shuffled labels.
        p: how often shuffled labels give such a gap; the choice of best and worst is in it.
    """

    groups: IntArray
    tasks: IntArray
    means: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    gap: float
    gap_low: float
    gap_high: float
    by_chance: float
    p: float


def group_gap(
    values: PerUser,
    groups: IntArray,
    *,
    least: int = 5,
    seed: int = 0,
    resamples: int = 2000,
) -> GroupGap:
    """Return a metric group by group, and whether the gap is more than small groups give by chance.

    The best of many small groups always looks far from the worst. So the gap comes with what
    shuffled labels give, and with the p-value of that permutation test.

    Args:
        values: (users,) a metric, such as nDCG; NaN is left out.
        groups: (users,) codes from 0; below 0 is unknown and left out.
        least: groups of fewer users are left out.
        seed: of resamples and shuffles.
        resamples: how many of each.

    Raises:
        DataError: fewer than two groups are large enough.

    References: Efron & Tibshirani 1993, ch. 13; Ekstrand et al. 2018 (All the cool kids),
    proceedings.mlr.press/v81/ekstrand18b.html.

    Example:
        >>> found = group_gap(np.array([0.2] * 9 + [0.5] * 9), np.repeat([0, 1], 9))
        >>> round(found.gap, 2), found.p < 0.01
        (0.3, True)
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    sizes = np.bincount(groups[(groups >= 0) & np.isfinite(values)])
    kept = np.flatnonzero(sizes >= max(1, least))
    if len(kept) < 2:
        raise DataError(
            f"{len(kept)} groups have at least {least} judged users; a gap needs two: merge "
            "groups or judge more users"
        )
    judged = np.isin(groups, kept) & np.isfinite(values)
    values, at = values[judged], np.searchsorted(kept, groups[judged])
    n = sizes[kept]
    parts = [values[at == g] for g in range(len(kept))]
    means = np.array([part.mean() for part in parts])
    ends = [bootstrap_interval(part, seed=seed, resamples=resamples) for part in parts]
    best, worst = int(means.argmax()), int(means.argmin())
    drawn = [
        resampled_means(parts[g][:, None], seed=seed + way, resamples=resamples)[:, 0]
        for way, g in enumerate((best, worst))
    ]
    gap_low, gap_high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    gap, shuffled = float(np.ptp(means)), _shuffled_gaps(values, at, n, seed, resamples)
    extreme = int((shuffled >= gap * (1 - 1e-12)).sum())
    return GroupGap(
        groups=kept,
        tasks=n,
        means=means,
        low=np.array([float(low) for low, _ in ends]),
        high=np.array([float(high) for _, high in ends]),
        gap=gap,
        gap_low=float(gap_low),
        gap_high=float(gap_high),
        by_chance=float(shuffled.mean()),
        p=(1 + extreme) / (1 + resamples),
    )


def _shuffled_gaps(
    values: PerUser, at: IntArray, sizes: IntArray, seed: int, resamples: int
) -> npt.NDArray[np.float64]:
    """Return (resamples,) largest minus smallest group mean with the values dealt out anew."""
    rng, belongs = generator(seed, "groups"), np.eye(len(sizes))[at] / sizes
    gaps, step = np.empty(resamples), max(1, _ROOM // len(values))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        dealt = rng.permuted(np.tile(values, (rows, 1)), axis=1)
        gaps[start : start + rows] = np.ptp(dealt @ belongs, axis=1)
    return gaps


def _spearman(
    a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], at: IntArray, size: int
) -> PerUser:
    """Return (size,) rank correlations inside each group `at`; NaN where one has no spread."""
    x, y = _ranks(a, at), _ranks(b, at)
    n = np.maximum(np.bincount(at, minlength=size), 1)
    x = x - (np.bincount(at, x, minlength=size) / n)[at]
    y = y - (np.bincount(at, y, minlength=size) / n)[at]
    both, xx, yy = (np.bincount(at, v, minlength=size) for v in (x * y, x * x, y * y))
    spread = np.sqrt(xx * yy)
    out = np.full(size, np.nan)
    np.divide(both, spread, out=out, where=spread > 0)
    return out


def _ranks(values: npt.NDArray[np.generic], at: IntArray) -> npt.NDArray[np.float64]:
    """Return each value's rank inside its group, equal values sharing the middle."""
    order = np.lexsort((values, at))
    v, g = np.asarray(values)[order], np.asarray(at)[order]
    fresh = np.ones(len(v), bool)
    fresh[1:] = (v[1:] != v[:-1]) | (g[1:] != g[:-1])
    run = np.cumsum(fresh) - 1
    place = np.arange(len(v), dtype=np.float64)  # the group's offset cancels in a correlation
    middle = np.bincount(run, place) / np.maximum(np.bincount(run), 1)
    out = np.empty(len(v))
    out[order] = middle[run]
    return out
