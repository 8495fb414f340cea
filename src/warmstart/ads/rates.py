"""The floor of every table of cold ads: the constant, and smoothed rates of users and ads."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from warmstart.ads.coding import Coding
from warmstart.ads.log import AdLog
from warmstart.core.types import IntArray
from warmstart.meta.logistic_belief import sigmoid

Array = npt.NDArray[Any]


class Rates:
    """The log-odds of a user's rate and of an ad's rate, less those of the mean.

    A rate is smoothed by rows of the mean. Both rates go on counting with each update.

    Args:
        user_rows: rows of the mean that a user starts with; None leaves users out.
        ad_rows: the same of an ad.
    """

    def __init__(self, user_rows: float | None = 10.0, ad_rows: float | None = 5.0) -> None:
        self.user_rows, self.ad_rows = user_rows, ad_rows

    def fit(self, log: AdLog, *, seed: int = 0) -> Self:
        """Count the clicks of a log."""
        self.mean = float(np.clip(log.click.mean(), 1e-6, 1 - 1e-6))
        self._users = np.zeros((2, len(log.coding.users)))
        self._ads = np.zeros((2, len(log.coding.ads)))
        return self.update(log)

    def add_ads(self, coding: Coding, log: AdLog) -> Self:
        """Make new ads known; this changes the model."""
        more = len(coding.ads) - self._ads.shape[1]
        self._ads = np.concatenate([self._ads, np.zeros((2, more))], axis=1)
        return self

    def update(self, log: AdLog) -> Self:
        """Count further rows; this changes the model."""
        for table, ids in ((self._users, log.user), (self._ads, log.ad)):
            known, n = ids >= 0, table.shape[1]
            table[0] += np.bincount(ids[known], minlength=n)
            table[1] += np.bincount(ids[known], log.click[known], minlength=n)
        return self

    def probabilities(self, log: AdLog) -> npt.NDArray[np.float64]:
        """Return (n,) probabilities."""
        middle = np.log(self.mean) - np.log1p(-self.mean)
        logit = np.full(len(log), middle)
        for table, ids, rows in (
            (self._users, log.user, self.user_rows),
            (self._ads, log.ad, self.ad_rows),
        ):
            if rows is not None:
                logit += _log_odds(table, ids, rows, self.mean) - middle
        return np.asarray(sigmoid(logit), np.float64)


def _log_odds(table: Array, ids: IntArray, rows: float, mean: float) -> Array:
    seen, clicked = np.concatenate([table, np.zeros((2, 1))], axis=1)[:, ids]  # -1 is the last
    rate = (clicked + rows * mean) / (seen + rows)
    return np.asarray(np.log(rate) - np.log1p(-rate))
