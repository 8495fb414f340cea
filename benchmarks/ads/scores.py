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
        found: method → one array of (n,) probabilities a seed; the first method is the base.
        label: (n,) 0 or 1.
    """
    base = np.mean([_loss(p, label) for p in found[BASE]], axis=0)
    rows = []
    for method, seeds in found.items():
        loss = np.mean([_loss(p, label) for p in seeds], axis=0)
        rows.append(_mean_row(method, "logloss", loss, loss - base))
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

    base = np.mean([loss(p) for p in found[BASE]], axis=0)
    rows = []
    for method, seeds in found.items():
        mean = np.mean([loss(p) for p in seeds], axis=0)
        row = _mean_row(method, "logloss per event", mean, mean - base)
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


def _mean_row(method: str, metric: str, loss: Numbers, difference: Numbers) -> dict[str, Any]:
    low, high = bootstrap_interval(np.column_stack([loss, difference]))
    return {
        "method": method, "metric": metric, "n": len(loss),
        "mean": float(loss.mean()), "ci_low": float(low[0]), "ci_high": float(high[0]),
        "against_constant": float(difference.mean()),
        "difference_ci": [float(low[1]), float(high[1])],
    }  # fmt: skip
