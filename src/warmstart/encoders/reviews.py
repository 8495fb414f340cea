"""Many reviews into one vector for an item or a user, so that nobody can bend it at will.

The sentences of one author about one item are averaged first, so an author counts once however
much he writes. Across authors the vector is their geometric median, which half of the authors
cannot carry away, wherever they stand. It is found by a fixed number of Weiszfeld's steps, in the
form that does not stop at an author's own vector, for all groups at once.

Reference: Vardi & Zhang 2000, doi:10.1073/pnas.97.4.1423.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray, IntArray

STEPS = 50
_NEAR = 1e-9  # of a group's typical distance: as good as the same place

Float64 = npt.NDArray[np.float64]


def pooled(
    vectors: FloatArray,
    groups: IntArray,
    authors: IntArray,
    n_groups: int,
    *,
    steps: int = STEPS,
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return one vector for each group of reviews, and which groups have one.

    Args:
        vectors: (reviews, dim) of reviews or of their sentences; rows that are not finite do not
            count.
        groups: (reviews,) the item, or the user, in [0, n_groups); -1 for none.
        authors: (reviews,) who wrote each; to pool what a user wrote, the items take their place.
        n_groups: how many there are.
        steps: of Weiszfeld's iteration.

    Returns:
        (groups, dim) the geometric median over authors of their means, and (groups,) whether any
        review is known; where none is, the vector is zero.

    Raises:
        DataError: lengths or indices do not fit.

    Example:
        >>> vectors = np.array([[0, 0], [0, 2], [1, 1], [0, 1], [9e9, 9e9]], np.float32)
        >>> found, known = pooled(vectors, np.array([0] * 5), np.array([1, 1, 2, 3, 4]), 2)
        >>> found.round(1).tolist(), known.tolist()
        ([[0.0, 1.0], [0.0, 0.0]], [True, False])
    """
    vectors = np.asarray(vectors)
    groups, authors = np.asarray(groups), np.asarray(authors)
    if vectors.ndim != 2 or not len(vectors) == len(groups) == len(authors):
        raise DataError(
            f"vectors of the shape {vectors.shape}, {len(groups):,} groups and {len(authors):,} "
            "authors; give (reviews, dim) vectors, and one group and one author for each"
        )
    if len(groups) and not -1 <= groups.min() <= groups.max() < n_groups:
        raise DataError(
            f"groups are {groups.min()} to {groups.max()}; give 0 to {n_groups - 1}, or -1 for none"
        )
    use = np.flatnonzero((groups >= 0) & np.isfinite(vectors).all(axis=1))
    means, owner = _author_means(vectors[use].astype(np.float64), groups[use], authors[use])
    centre = _geometric_median(means, owner, n_groups, steps)
    known = np.bincount(owner, minlength=n_groups) > 0
    return centre.astype(np.float32), known


def _author_means(
    vectors: Float64, groups: IntArray, authors: IntArray
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return (author in a group, dim) means, sorted by group, and the group of each."""
    if not len(vectors):
        return vectors, np.zeros(0, np.int64)
    _, who = np.unique(authors, return_inverse=True)
    pairs = groups.astype(np.int64) * (int(who.max()) + 1) + who
    distinct, at = np.unique(pairs, return_inverse=True)
    ones = np.ones(len(at))
    sums = sp.csr_array((ones, (at, np.arange(len(at)))), shape=(len(distinct), len(at)))
    counts = np.bincount(at).astype(np.float64)
    return sums @ vectors / counts[:, None], distinct // (int(who.max()) + 1)


def _geometric_median(
    points: Float64, owner: npt.NDArray[np.int64], n_groups: int, steps: int
) -> Float64:
    """Return (groups, dim) geometric medians of the points of each group; zeros without any."""
    n = len(points)
    member = sp.csr_array((np.ones(n), (owner, np.arange(n))), shape=(n_groups, n))
    count = np.maximum(np.bincount(owner, minlength=n_groups), 1).astype(np.float64)
    centre = _median_start(points, owner, n_groups)
    # distances are told apart down to a fraction of the typical one, which no outlier sets
    typical = _median_start(
        np.linalg.norm(points - centre[owner], axis=1, keepdims=True), owner, n_groups
    )
    near = np.maximum(typical[:, 0] * _NEAR, 1e-30)
    many = np.flatnonzero(count > 2)  # the middle of two, and one alone, are their own medians
    if not len(many):
        return centre
    for _ in range(steps):
        apart = points - centre[owner]
        distance = np.linalg.norm(apart, axis=1)
        here = distance <= near[owner]
        weight = np.where(here, 0.0, 1 / np.maximum(distance, near[owner]))
        total = member @ weight
        pull = member @ (weight[:, None] * apart)
        strength = np.linalg.norm(pull, axis=1)
        stay = member @ here.astype(np.float64)  # authors at this very place hold it back
        gain = np.maximum(0.0, 1 - stay / np.maximum(strength, 1e-300))
        step = np.divide(gain, total, out=np.zeros(n_groups), where=total > 0)
        centre[many] += step[many, None] * pull[many]
    return centre


def _median_start(points: Float64, owner: npt.NDArray[np.int64], n_groups: int) -> Float64:
    """Return the median of each coordinate, from which an outlier is far whatever its distance."""
    centre = np.zeros((n_groups, points.shape[1]))
    count = np.bincount(owner, minlength=n_groups)
    first = np.cumsum(count) - count
    some = np.flatnonzero(count)
    for column in range(points.shape[1]):
        ordered = points[np.lexsort((points[:, column], owner)), column]
        low, high = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
        centre[some, column] = (ordered[low] + ordered[high]) / 2
    return centre
