"""What is rising: popularity of late against popularity of all time.

A new user comes after the training data, so the items of last year say more than those of ten
years ago; how much more is for the gates to learn. Age is counted in interactions, not seconds,
so one setting serves catalogues of days and of decades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray, Histories, IntArray

_PRIOR = 100.0  # likes that all-time popularity is worth against the recent ones


@dataclass(frozen=True, slots=True)
class Recency:
    """The rise of each item at the end of the training data.

    Attributes:
        rise: (items,) log(share of late / share of all time).
        end: seconds since the epoch of the last training event.
        half_life: seconds after which a rise says half as much.
    """

    rise: FloatArray
    end: float
    half_life: float

    def trust(self, histories: Histories) -> FloatArray:
        """Return (users,) in [0, 1] how much the rise says of each user.

        1 for users who come after the training data or of whom no time is known, less for those
        whose last event is older.
        """
        trust = np.ones(len(histories), np.float32)
        if histories.times is None or not len(histories.times):
            return trust
        some = np.flatnonzero(histories.shots)
        latest = np.maximum.reduceat(histories.times, histories.indptr[some])
        age = np.maximum(self.end - latest, 0.0)
        trust[some] = np.where(np.isnan(age), 1.0, 2.0 ** (-age / self.half_life))
        return trust


def learn_recency(
    items: IntArray,
    times: npt.NDArray[np.float64],
    log_popularity: FloatArray,
    *,
    share: float,
) -> Recency:
    """Measure the rise of each item.

    Args:
        items: (likes,) item of each like.
        times: (likes,) seconds since the epoch.
        log_popularity: (items,) log share of all time.
        share: a like counts half when this share of all likes is newer.

    Example:
        >>> r = learn_recency(np.int32([0, 0, 1, 1]), np.arange(4.0), np.log([0.5, 0.5]), share=0.1)
        >>> bool(r.rise[1] > r.rise[0])
        True
    """
    newer = np.empty(len(times))
    newer[np.argsort(times, kind="stable")] = np.arange(len(times))[::-1]
    window = max(share * len(times), 1.0)
    weight = 2.0 ** (-newer / window)
    late = np.bincount(items, weight, minlength=len(log_popularity))
    all_time = np.exp(log_popularity.astype(np.float64))
    recent = (late + _PRIOR * all_time) / (weight.sum() + _PRIOR)
    end = float(times.max())
    edge = float(np.sort(times)[max(len(times) - 1 - int(window), 0)])
    return Recency(np.log(recent / all_time).astype(np.float32), end, max(end - edge, 1.0))
