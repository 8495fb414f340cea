"""Gates: how much to trust each part of the model at each number of shots.

Shot-wise stacking (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1): users that no part was
fitted on are given k shots, each part scores the catalogue, and the weights of the parts are
chosen by coordinate search on nDCG@10 itself. A likelihood would be smoother, and worse: it cares
for the whole catalogue where only the first ten places count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.index import top_k

LENGTH = 10
"""Length of the list whose nDCG the gates maximise."""

_GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 10.0, 15.0)
_DOUBT = 2.0  # standard errors
_DISCOUNT = 1.0 / np.log2(np.arange(2, LENGTH + 2))


@dataclass(frozen=True, slots=True)
class Gates:
    """Weights of the parts at a few numbers of shots; between them they are interpolated.

    Attributes:
        shots: (knots,) numbers of shots, ascending.
        weights: (knots, parts) weight of each part there.
    """

    shots: FloatArray
    weights: FloatArray

    def at(self, shots: IntArray) -> FloatArray:
        """Return (users, parts) weights, linear in log(1 + shots).

        Example:
            >>> Gates(np.float32([0, 3]), np.float32([[1], [3]])).at(np.array([0, 1, 9])).tolist()
            [[1.0], [2.0], [3.0]]
        """
        x, knots = np.log1p(shots), np.log1p(self.shots)
        place = np.interp(x, knots, np.arange(len(knots)))
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, len(knots) - 1)
        share = (place - below)[:, None]
        weights = (1 - share) * self.weights[below] + share * self.weights[above]
        return weights.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The few items per user that any part would put on top, with every part's scores.

    Attributes:
        scores: (users, candidates, parts).
        gains: (users, candidates) worth of a relevant item, by default 1; else 0.
        ideal: (users,) the best discounted gain possible.
        weight: (users,) how much each user counts; sums to 1.
    """

    scores: FloatArray
    gains: FloatArray
    ideal: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, parts: list[FloatArray], seen: Histories, query: sp.csr_array, *, depth: int = 60
    ) -> Shortlist:
        """Collect the `depth` best unseen items of each part.

        Args:
            parts: (users, items) scores of each part.
            seen: the supports.
            query: (users, items) what each relevant item is worth, by default 1.
            depth: how deep to look into each part's ranking.
        """
        n_users, n_items = parts[0].shape
        depth = min(depth, n_items)
        wanted = np.zeros((n_users, n_items), bool)
        for part in parts:
            top, _ = top_k(part, depth, seen=seen)
            row, place = np.nonzero(top >= 0)
            wanted[row, top[row, place]] = True
        width = max(LENGTH, int(wanted.sum(axis=1).max(initial=0)))
        chosen = np.argsort(~wanted, axis=1, kind="stable")[:, :width]
        real = np.take_along_axis(wanted, chosen, axis=1)
        at = np.arange(n_users)[:, None]
        scores = np.stack([np.where(real, p[at, chosen], -1e9) for p in parts], axis=2)
        relevant = np.asarray(query[at.repeat(chosen.shape[1], 1).ravel(), chosen.ravel()])
        gains = np.where(real, relevant.reshape(chosen.shape), 0)
        ideal = _ideal(query)
        even = np.full(n_users, 1.0 / max(n_users, 1))
        return cls(scores.astype(np.float32), gains.astype(np.float32), ideal, even)

    def ndcg(self, combined: FloatArray) -> npt.NDArray[np.float64]:
        """Return (users,) nDCG@10 of (users, candidates) scores."""
        n = combined.shape[1]
        top = np.argpartition(combined, n - LENGTH, axis=1)[:, n - LENGTH :]
        order = np.argsort(-np.take_along_axis(combined, top, axis=1), axis=1, kind="stable")
        gains = np.take_along_axis(self.gains, np.take_along_axis(top, order, axis=1), axis=1)
        per_user: npt.NDArray[np.float64] = (gains * _DISCOUNT).sum(axis=1) / self.ideal
        return per_user


def _ideal(query: sp.csr_array) -> npt.NDArray[np.float64]:
    """Return (users,) the best discounted gain: what is worth most comes first."""
    row = np.repeat(np.arange(query.shape[0]), np.diff(query.indptr))
    order = np.lexsort((-query.data, row))
    rank = np.arange(len(row)) - query.indptr[row]
    first = rank < LENGTH
    gains = query.data[order][first] * _DISCOUNT[rank[first]]
    ideal = np.bincount(row[first], gains, minlength=query.shape[0]).astype(np.float64)
    return np.where(ideal > 0, ideal, 1.0)


def choose_weights(
    shortlist: Shortlist,
    start: FloatArray,
    *,
    passes: int = 3,
    least_gain: float = 5e-4,
    certainty: float = 0.0,
    doubted: Collection[int] = (),
) -> tuple[FloatArray, float]:
    """Return the weights with the best nDCG@10 that coordinate search finds, and that nDCG.

    Args:
        shortlist: scores and relevance.
        start: (parts,) weights to start from.
        passes: most passes over the parts.
        least_gain: a change that gains less is noise and is not made.
        certainty: nor is one that gains less than so many standard errors of its gain.
        doubted: parts whose weight must gain two standard errors whatever `certainty` says.
    """
    weights, say = start.astype(np.float32).copy(), shortlist.weight
    combined = shortlist.scores @ weights
    best = shortlist.ndcg(combined)
    for _ in range(passes):
        before = best
        for part in range(len(weights)):
            rest = combined - weights[part] * shortlist.scores[:, :, part]
            for value in _GRID:
                if value == weights[part] or (value == 0 and np.count_nonzero(weights) == 1):
                    continue
                tried = rest + np.float32(value) * shortlist.scores[:, :, part]
                quality = shortlist.ndcg(tried)
                gain = quality - best
                mean = say @ gain
                sure = max(certainty, _DOUBT if part in doubted else 0.0)
                doubt = np.sqrt(np.square(say) @ np.square(gain - mean)) if sure else 0.0
                if mean > max(least_gain, sure * doubt):
                    best, combined, weights[part] = quality, tried, value
        if best is before:
            break
    return weights, float(say @ best)
