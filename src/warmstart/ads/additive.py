"""The base under the network: an intercept and a shrunken number for each value of each field.

    logit = b + Σ_f w_f[value of f]          w_f[v] ~ N(0, σ_f²)

All fields are fitted together, so that of two that say the same neither counts twice. How far the
values of a field differ, σ_f, is learned from the rows: where they show no difference it falls to
zero, and what is left is the rate of all rows. Nothing is set.

References: MacKay 1992, doi:10.1162/neco.1992.4.3.415 (the update of σ_f); Breslow & Clayton 1993
(the model); Jeffreys 1946 (the prior 1 / σ_f², which costs two values that are zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.types import IntArray
from warmstart.meta.logistic_belief import sigmoid

Array = npt.NDArray[np.float64]

_SWEEPS, _FIRST_SD, _LEAST_SD, _MOST_SD = 30, 0.3, 1e-3, 5.0
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class Additive:
    """What was learned.

    Attributes:
        intercept: b, in logits.
        weights: of each field, (values,) logits; 0 of a value that no row had.
        sd: (fields,) σ_f, in logits.
    """

    intercept: float
    weights: tuple[Array, ...]
    sd: Array

    def logits(self, codes: IntArray) -> Array:
        """Return (rows,) log-odds of (rows, fields) values."""
        found = np.full(len(codes), self.intercept)
        for weights, values in zip(self.weights, codes.T, strict=True):
            found += weights[values]
        return found

    def without_last(self) -> Additive:
        """Return this without the last field."""
        return Additive(self.intercept, self.weights[:-1], self.sd[:-1])


def fit_additive(codes: IntArray, labels: npt.NDArray[Any], sizes: Sequence[int]) -> Additive:
    """Learn by Newton's steps, field by field, and the fields' spreads beside them.

    Args:
        codes: (rows, fields) values.
        labels: (rows,) mostly 0 or 1, not all alike.
        sizes: of each field, how many values it has.

    Example:
        >>> kind, noise = np.arange(4000) % 2, np.arange(4000) % 7
        >>> label = (np.arange(4000) % 20 < 2 + 8 * kind).astype(float)  # rates of .1 and .5
        >>> found = fit_additive(np.stack([kind, noise], axis=1), label, [2, 7])
        >>> rates = sigmoid(found.logits(np.array([[0, 0], [1, 0]])))
        >>> rates.round(1).tolist(), bool(found.sd[1] < 0.01)
        ([0.1, 0.5], True)
    """
    rate = np.clip(labels.mean(), 1e-6, 1 - 1e-6)
    intercept = float(np.log(rate) - np.log1p(-rate))
    weights = [np.zeros(size) for size in sizes]
    variance = np.full(len(sizes), _FIRST_SD**2)
    logits = np.full(len(labels), intercept)
    for sweep in range(_SWEEPS):
        p = sigmoid(logits)
        step = _capped((labels - p).sum() / max((p * (1 - p)).sum(), _FLOOR))
        intercept, logits = intercept + float(step), logits + step
        for field, size in enumerate(sizes):
            p, values, w = sigmoid(logits), codes[:, field], weights[field]
            seen = np.bincount(values, p * (1 - p), minlength=size)
            wrong = np.bincount(values, labels - p, minlength=size)
            step = _capped((wrong - w / variance[field]) / (seen + 1 / variance[field]))
            weights[field], logits = w + step, logits + step[values]
            if sweep > 2:
                told = (seen / (seen + 1 / variance[field])).sum()
                spread = (weights[field] ** 2).sum() / (told + 2)
                variance[field] = np.clip(spread, _LEAST_SD**2, _MOST_SD**2)
    return Additive(intercept, tuple(weights), np.sqrt(variance))


def _capped(step: Any) -> Any:  # noqa: ANN401
    return np.clip(step, -1.0, 1.0)
