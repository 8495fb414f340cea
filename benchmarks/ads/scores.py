"""How good probabilities are: AUC, log loss and calibration, with paired intervals.

AUC has DeLong's interval; a mean loss has the bootstrap's over rows, or over ads where each ad's
counts are one observation. A method's several seeds are averaged before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from warmstart.evaluation.significance import bootstrap_interval

Numbers = npt.NDArray[np.float64]
Found = Mapping[str, Sequence[Numbers]]

BASE = "constant"
_Z = 1.959964


def rows_of(found: Found, label: Numbers) -> list[dict[str, Any]]:
    """Return one row per method and metric.

    Args:
        found: method → one array of (n,) probabilities a seed; the constant and smoothed rates
            among them.
        label: (n,) 0 or 1.
    """
    losses = {m: np.mean([_loss(p, label) for p in seeds], axis=0) for m, seeds in found.items()}
    rows = []
    for method, seeds in found.items():
        rows.append(_mean_row(method, "logloss", losses))
        above, below = (
            np.mean(x, axis=0) for x in zip(*(placements(p, label) for p in seeds), strict=True)
        )
        area = float(above.mean())
        half = _Z * float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
        rows.append(
            {
                "method": method, "metric": "auc", "mean": area,
                "ci_low": max(0.0, area - half), "ci_high": min(1.0, area + half),
                "events": int(label.sum()), "n": len(label),
            }
        )  # fmt: skip
        rows.append(
            {
                "method": method, "metric": "ece", "n": len(label), "events": int(label.sum()),
                "mean": float(np.mean([calibration_error(p, label) for p in seeds])),
            }
        )  # fmt: skip
    return rows


def counted_rows_of(found: Found, events: Numbers, trials: Numbers) -> list[dict[str, Any]]:
    """Return one row per method: log loss per event, with intervals over ads.

    Args:
        found: method → one array of (ads,) rates a seed.
        events: (ads,) that happened.
        trials: (ads,) impressions.
    """

    def loss(rate: Numbers) -> Numbers:
        each = -events * np.log(rate) - (trials - events) * np.log1p(-rate)
        return np.asarray(each / events.mean())  # so that the mean over ads is the loss per event

    losses = {m: np.mean([loss(p) for p in seeds], axis=0) for m, seeds in found.items()}
    rows = []
    for method, seeds in found.items():
        row = _mean_row(method, "logloss per event", losses)
        expected = float(np.mean([(p * trials).sum() for p in seeds]))
        rows.append(row | {"events": int(events.sum()), "expected_events": expected})
    return rows


def placements(probability: Numbers, label: Numbers) -> tuple[Numbers, Numbers]:
    """Return, of each positive and of each negative, the share of the others it stands right to.

    Example:
        >>> above, below = placements(np.array([0.1, 0.4, 0.3, 0.3]), np.array([0, 1, 1, 0]))
        >>> above.tolist(), below.tolist()  # a tie counts half
        ([1.0, 0.75], [1.0, 0.75])
    """
    positive, negative = probability[label == 1], probability[label == 0]
    among = rankdata(np.concatenate([positive, negative]))
    own, other = rankdata(positive), rankdata(negative)
    above = (among[: len(positive)] - own) / len(negative)
    below = 1 - (among[len(positive) :] - other) / len(positive)
    return above, below


def calibration_error(probability: Numbers, label: Numbers, bins: int = 10) -> float:
    """Return the mean gap of probability and share, over bins of equally many rows."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [len(p) * abs(float(probability[p].mean() - label[p].mean())) for p in parts if len(p)]
    return float(sum(gaps) / len(label))


def _loss(probability: Numbers, label: Numbers) -> Numbers:
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.asarray(-np.where(label == 1, np.log(p), np.log1p(-p)))


def _mean_row(method: str, metric: str, losses: Mapping[str, Numbers]) -> dict[str, Any]:
    """Return a method's mean loss, and the difference to the constant and to the last rates."""
    loss = losses[method]
    smoothed = [m for m in losses if m.startswith("smoothed")][-1]
    against = np.column_stack([loss, loss - losses[BASE], loss - losses[smoothed]])
    low, high = bootstrap_interval(against)
    mean = against.mean(axis=0)
    return {
        "method": method, "metric": metric, "n": len(loss),
        "mean": float(mean[0]), "ci_low": float(low[0]), "ci_high": float(high[0]),
        "against_constant": float(mean[1]), "difference_ci": [float(low[1]), float(high[1])],
        "against_smoothed": float(mean[2]), "smoothed_ci": [float(low[2]), float(high[2])],
    }  # fmt: skip
