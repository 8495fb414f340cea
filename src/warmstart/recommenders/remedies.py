"""Remedies against popularity bias at scoring: settings that need no training, and their price.

- Popularity penalty: a list is as relevant as it can be at a given popularity,

      value(u, i) = exp((score(u, i) - best(u)) / (2 · spread(u))) - strength · fame(i),

  where fame is an item's popularity as a share of the most popular item's, best the user's best
  score among items they have not seen, and spread the standard deviation of the user's scores. The
  exponential stands for how likely the item is liked; what is subtracted is the Lagrangian of the
  mean popularity of what is listed. Of the forms that were tried on validation users (penalties of
  the score or of its exponential, by popularity or its logarithm, by all of it or by what exceeds
  the user's taste) this one leaves the least lift for 2 % of nDCG. A relative is logit adjustment
  (Menon et al. 2021, arXiv:2007.07314).
- Cold norm: what stands in for the vectors of items without interactions is a mean of others and
  so too short; it is stretched towards the mean length of the known items' vectors. That much of
  popularity lives in the length of vectors: Kim et al. 2023, arXiv:2308.11288.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation import metrics
from warmstart.evaluation.bias import liked_popularity
from warmstart.index import top_k
from warmstart.recommenders.exams import draw_exams
from warmstart.recommenders.gates import LENGTH
from warmstart.recommenders.popularity import likes_per_item

Strength = float | dict[int, float]
"""One for all users, or by number of shots; between those it is interpolated."""

_LONGEST = 10.0  # times a vector may be stretched
_SOFTNESS = 2.0  # spreads below the best score at which an item is 1/e as good
_HIGHEST = 50.0  # of an exponent: what a user has seen may score far above the rest


def strength_at(strength: Strength, shots: IntArray) -> npt.NDArray[np.float32]:
    """Return (users,) the strength at each number of shots, linear in log(1 + shots).

    Example:
        >>> strength_at({0: 0.0, 3: 1.0}, np.array([0, 1, 3, 50])).tolist()
        [0.0, 0.5, 1.0, 1.0]
    """
    if not isinstance(strength, Mapping):
        return np.full(len(shots), strength, np.float32)
    knots = sorted(strength)
    found = np.interp(np.log1p(shots), np.log1p(knots), [strength[k] for k in knots])
    return np.asarray(found, np.float32)


def fame_of(log_popularity: FloatArray) -> FloatArray:
    """Return (items,) popularity as a share of that of the most popular item.

    Example:
        >>> fame_of(np.log(np.float32([0.1, 0.4, 0.2]))).round(2).tolist()
        [0.25, 1.0, 0.5]
    """
    return np.asarray(np.exp(log_popularity - log_popularity.max()), np.float32)


def penalise(
    scores: FloatArray, histories: Histories, fame: FloatArray, strength: Strength
) -> None:
    """Turn scores into values, in place: how good an item is, less how popular it is.

    Users whose strength is 0 keep their order.

    Args:
        scores: (users, items).
        histories: what the users have seen.
        fame: (items,) as from `fame_of`.
        strength: how much.
    """
    seen = (histories.rows, histories.items)
    known = scores[seen]
    scores[seen] = -np.inf
    best = scores.max(axis=1, keepdims=True)
    scores[seen] = known
    best = np.where(np.isfinite(best), best, 0)
    scores -= best
    scores /= _SOFTNESS * np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
    np.exp(np.minimum(scores, _HIGHEST), out=scores)
    scores -= strength_at(strength, histories.shots)[:, None] * fame


def stretched(vectors: FloatArray, unmet: IntArray, cold_norm: float) -> FloatArray:
    """Return (items, dim) vectors, those of unmet items at (1 - s) · own + s · known log length.

    Args:
        vectors: of all items.
        unmet: indices of the items without interactions.
        cold_norm: s; 0 leaves them alone.

    Example:
        >>> v = np.float32([[3, 4], [0, 5], [0.5, 0]])
        >>> stretched(v, np.array([2]), 1.0)[2].tolist()
        [5.0, 0.0]
    """
    if not cold_norm or not 0 < len(unmet) < len(vectors):
        return vectors
    length = np.linalg.norm(vectors, axis=1)
    known = np.delete(length, unmet)
    mean = float(known[known > 0].mean()) if (known > 0).any() else 1.0
    own = np.where(length[unmet] > 0, length[unmet], mean)
    out = vectors.copy()
    out[unmet] *= (np.minimum(mean / own, _LONGEST) ** cold_norm)[:, None].astype(np.float32)
    return out


def prices(
    models: Sequence[tuple[Callable[[Histories], FloatArray], IntArray]],
    likes: sp.csr_array,
    features: sp.csr_array | None,
    shots: Sequence[int],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Return accuracy and popularity lift on users whom models have not seen.

    Args:
        models: what scores, and the users that it has not seen.
        likes: (users, items) of the training users.
        features: (users, user features) or None.
        shots: numbers of shots.
        seed: of what the users show.

    Returns:
        For each number of shots `shots`, `users`, `ndcg@10` and `lift`, the mean popularity of the
        lists over that of what the same users like, minus 1.
    """
    popularity = likes_per_item(likes).astype(np.float64)
    rows = []
    for k in shots:
        quality, lists, tastes = [], [], []
        for i, (score, users) in enumerate(models):
            exam = draw_exams(likes, users, features, (k,), seed, f"price{i}")
            if k not in exam:
                continue
            able, support, query = exam[k]
            top, _ = top_k(score(support), LENGTH, seen=support)
            quality.append(metrics.ndcg(top, query, LENGTH))
            lists.append(metrics.mean_popularity(top, popularity))
            tastes.append(liked_popularity(likes[able], popularity))
        if quality:
            mine, theirs = np.concatenate(lists), np.concatenate(tastes)
            found = {
                "shots": k,
                "users": len(mine),
                "ndcg@10": float(np.concatenate(quality).mean()),
            }
            rows.append(found | {"lift": float(mine.mean() / theirs.mean() - 1)})
    return rows
