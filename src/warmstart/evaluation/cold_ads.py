"""The protocol of the cold-ad literature: established ads teach, new ads are met in small batches.

Ads with more than N rows are established, and all their rows are for training. A new ad has more
than 4 K rows and at most N; by time, its first three batches of K rows warm it up (a, b, c), and
the rest is the test, scored cold and after each batch. Nothing else of the test is read.

References: Pan et al. 2019 (Meta-Embedding), arXiv:1904.11547; Zhu et al. 2021 (MWUF),
arXiv:2105.04790.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from warmstart.core.errors import DataError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray

PHASES = ("cold", "a", "b", "c")
METRICS = ("auc", "gauc", "logloss", "ece")
_BINS = 10
Values = npt.NDArray[np.floating[Any]]


class Learner(Protocol):
    """What the protocol judges: it gives probabilities, and learns from further rows."""

    def probabilities(self, log: Any) -> Values:  # noqa: ANN401  (rows, as the caller codes them)
        """Return the probability of a click in each row."""

    def update(self, log: Any) -> Any:  # noqa: ANN401
        """Learn from further rows."""


@dataclass(frozen=True, slots=True)
class AdSplit:
    """Which row is for what.

    Attributes:
        training: rows of established ads.
        batches: of the new ads, by time: warm a, b and c.
        test: the rest of the new ads' rows.
        new: the new ads.
    """

    training: IntArray
    batches: tuple[IntArray, IntArray, IntArray]
    test: IntArray
    new: IntArray


def split_ads(
    ads: IntArray, times: Values, *, established: int, batch: int, among: IntArray | None = None
) -> AdSplit:
    """Split rows by how many their ad has.

    Args:
        ads: (n,) codes.
        times: (n,) of each row; equal times keep their order.
        established: an ad with more rows is established.
        batch: K, rows of a warm-up batch; an ad with 4 K rows or fewer is left out.
        among: only these ads may be new, for a choice of settings: then all other ads with more
            than 4 K rows are established.

    Raises:
        DataError: no ad is established, or none is new.

    Example:
        >>> ads = np.repeat([0, 1], [9, 6])
        >>> found = split_ads(ads, np.arange(15.0), established=8, batch=1)
        >>> found.training.tolist(), [b.tolist() for b in found.batches], found.test.tolist()
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], [[9], [10], [11]], [12, 13, 14])
    """
    counts = np.bincount(ads)
    old = counts > established
    new = (counts > 4 * batch) & ~old
    if among is not None:
        new = np.isin(np.arange(len(counts)), among) & (counts > 4 * batch)
        old &= ~new
    if not old.any() or not new.any():
        raise DataError(
            f"{int(old.sum())} ads have more than {established} rows and {int(new.sum())} between "
            f"{4 * batch} and that; lower one of the two"
        )
    order = np.lexsort((np.arange(len(ads)), times, ads))
    rank = np.empty(len(ads), np.int64)
    rank[order] = np.arange(len(ads)) - np.searchsorted(ads[order], ads[order])
    of_new = new[ads]
    a, b, c = (np.flatnonzero(of_new & (rank // batch == turn)) for turn in range(3))
    test = np.flatnonzero(of_new & (rank >= 3 * batch))
    if among is not None:  # as many rows as a new ad may have
        test = test[rank[test] < established]
    return AdSplit(np.flatnonzero(old[ads]), (a, b, c), test, np.flatnonzero(new))


def run_phases(model: Learner, batches: Sequence[Any], test: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Return (phases, rows) probabilities of the test: cold, then after each batch."""
    found = [np.asarray(model.probabilities(test), np.float64)]
    for rows in batches:
        model.update(rows)
        found.append(np.asarray(model.probabilities(test), np.float64))
    return np.stack(found)


def auc(outcome: npt.NDArray[Any], score: Values) -> float:
    """Return the probability that a click scores above a row without one; NaN without both.

    Example:
        >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    positive = outcome > 0
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def log_losses(outcome: npt.NDArray[Any], probability: Values) -> npt.NDArray[np.float64]:
    """Return each row's log loss; a probability counts as at least 1e-6 and at most 1 - 1e-6."""
    p = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    found: npt.NDArray[np.float64] = -np.where(outcome > 0, np.log(p), np.log1p(-p))
    return found


@dataclass(frozen=True, slots=True)
class AdRow:
    """One number of the table, as it stands in JSON.

    Attributes:
        method: its name.
        phase: "cold", "a", "b" or "c".
        metric: "auc", "gauc", "logloss" or "ece".
        mean: over the seeds.
        ci_low: lower end of its 95 % interval, ads drawn anew.
        ci_high: upper end.
        difference: the reference method minus this one, on the same draws of ads.
        difference_low: lower end of the paired interval.
        difference_high: upper end.
        tasks: how many new ads were judged.
    """

    method: str
    phase: str
    metric: str
    mean: float
    ci_low: float
    ci_high: float
    difference: float
    difference_low: float
    difference_high: float
    tasks: int


def ad_rows(
    found: Mapping[str, Sequence[npt.NDArray[np.float64]]],
    outcome: npt.NDArray[Any],
    ads: IntArray,
    *,
    reference: str,
    seed: int = 0,
    resamples: int = 500,
) -> list[AdRow]:
    """Return the table of all methods, phases and metrics, with intervals over ads.

    AUC, log loss and ECE (ten bins of equal width) are of all test rows together; gAUC is the mean
    of the ads' own AUCs, of ads that have both kinds of rows. An interval draws whole ads, the
    same ones for every method, phase and seed; methods whose probabilities do not change with the
    seed may give one run.

    Args:
        found: method → of each seed, (phases, rows) probabilities.
        outcome: (rows,) 0 or 1.
        ads: (rows,) codes.
        reference: the method that the others are compared with.
        seed: of the draws.
        resamples: how many.
    """
    _, at = np.unique(ads, return_inverse=True)
    n_ads = int(at.max()) + 1
    rng = generator(seed, "draws of ads")
    drawn = rng.multinomial(n_ads, np.full(n_ads, 1 / n_ads), resamples).astype(np.float64)
    times = np.concatenate([np.ones((1, n_ads)), drawn])
    values: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for method, runs in found.items():
        for phase, name in enumerate(PHASES):
            each = [_of_draws(outcome, run[phase], at, times) for run in runs]
            values[method, name] = np.mean(each, axis=0)
    rows = []
    for (method, phase), own in values.items():
        against = values[reference, phase] - own
        for place, metric in enumerate(METRICS):
            low, high = np.quantile(own[place, 1:], [0.025, 0.975])
            worse, better = np.quantile(against[place, 1:], [0.025, 0.975])
            rows.append(
                AdRow(
                    method,
                    phase,
                    metric,
                    float(own[place, 0]),
                    float(low),
                    float(high),
                    float(against[place, 0]),
                    float(worse),
                    float(better),
                    n_ads,
                )  # fmt: skip
            )
    return rows


def _of_draws(
    outcome: npt.NDArray[Any], p: Values, at: IntArray, times: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return (metrics, draws); `times` says how often each ad is in each draw."""
    n_ads, y = times.shape[1], outcome > 0
    rows = np.bincount(at, minlength=n_ads).astype(np.float64)
    loss = np.bincount(at, log_losses(y, p), minlength=n_ads)
    own = np.array([auc(y[at == ad], p[at == ad]) for ad in range(n_ads)])
    both = np.isfinite(own)
    cell = at * _BINS + np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(cell, p - y, minlength=n_ads * _BINS).reshape(n_ads, _BINS)
    total = times @ rows
    return np.stack(
        [
            _auc_of_draws(y, p, at, times),
            (times[:, both] @ own[both]) / np.maximum(times[:, both].sum(axis=1), 1),
            (times @ loss) / total,
            np.abs(times @ gap).sum(axis=1) / total,
        ]
    )


def _auc_of_draws(
    y: npt.NDArray[np.bool_], p: Values, at: IntArray, times: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return (draws,) AUC of all rows, each counted as often as its ad was drawn."""
    order = np.argsort(p, kind="stable")
    _, group = np.unique(p[order], return_inverse=True)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    who, positive = at[order], y[order]
    found = np.empty(len(times))
    for draw, weights in enumerate(times):
        w = weights[who]
        up = np.add.reduceat(np.where(positive, w, 0), starts)
        down = np.add.reduceat(np.where(positive, 0, w), starts)
        below = np.cumsum(down) - 0.5 * down
        found[draw] = (up * below).sum() / max(up.sum() * down.sum(), 1e-12)
    return found
