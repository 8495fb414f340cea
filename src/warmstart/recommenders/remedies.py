"""Remedies against popularity bias at scoring: settings that need no training, and their price.

- Popularity penalty: items more popular than what the user likes are pushed down,

      score(u, i) - strength · spread(u) · max(0, fame(i) - taste(u)),

  where fame is the standardised log popularity, taste its mean over the user's likes and one like
  of an average user, and spread the standard deviation of the user's scores. Who likes what
  everybody likes goes on getting it. Relatives: calibrated popularity (Abdollahpouri et al. 2021,
  doi:10.1145/3450613.3456821) and logit adjustment (Menon et al. 2021, arXiv:2007.07314).
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
from warmstart.recommenders.popularity import liked, likes_per_item

Strength = float | dict[int, float]
"""One for all users, or by number of shots; between those it is interpolated."""

_LONGEST = 10.0  # times a vector may be stretched


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


def fame_of(log_popularity: FloatArray) -> tuple[FloatArray, float]:
    """Return (items,) standardised log popularity, and that of an average like."""
    share = np.exp(log_popularity.astype(np.float64))
    centred = log_popularity - log_popularity.mean()
    fame = np.asarray(centred / max(float(centred.std()), 1e-12), np.float32)
    return fame, float(share @ fame / share.sum())


def penalise(
    scores: FloatArray, histories: Histories, fame: FloatArray, usual: float, strength: Strength
) -> None:
    """Push down, in place, what is more popular than the user's taste.

    Args:
        scores: (users, items).
        histories: what the users like.
        fame: (items,) standardised log popularity.
        usual: fame of an average like, which counts as one like of everybody.
        strength: how much.
    """
    likes = liked(histories, len(fame))
    taste = (likes @ fame + usual) / (np.diff(likes.indptr) + 1)
    push = strength_at(strength, histories.shots) * scores.std(axis=1)
    scores -= push[:, None] * np.maximum(fame - taste[:, None], 0).astype(np.float32)


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
