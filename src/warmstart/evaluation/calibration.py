"""Whether probabilities mean what they say: of the things called 30 % likely, 30 % happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError, DataError

Floats = npt.NDArray[np.floating]
Bins = Literal["count", "width", "mass"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: bins of cases that were called about equally likely.

    Attributes:
        said: (bins,) mean probability in each bin.
        happened: (bins,) share of the cases that came true.
        cases: (bins,) how many there are; no bin is empty.
    """

    said: npt.NDArray[np.float64]
    happened: npt.NDArray[np.float64]
    cases: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of said and happened over the cases."""
        return float(np.abs(self.said - self.happened) @ self.cases / self.cases.sum())


def reliability(
    probability: Floats,
    outcome: npt.NDArray[np.generic],
    *,
    bins: int = 10,
    by: Bins = "count",
) -> Reliability:
    """Return how often what was called likely came true.

    Args:
        probability: (cases,) between 0 and 1.
        outcome: (cases,) 0 or 1, booleans, or shares between 0 and 1.
        bins: at most how many; equal probabilities are never parted, so there may be fewer.
        by: "count", bins of equally many cases (where most probabilities are small, bins of equal
            width hold next to nothing), "width", or "mass", bins of equal sums of probability (for
            probabilities that share one among many cases).

    Raises:
        DataError: no cases, lengths that differ, a probability or an outcome out of range.
        ConfigError: fewer than one bin, or another `by`.

    References: Murphy & Winkler 1977, doi:10.2307/2346866; Nguyen & O'Connor 2015,
    arXiv:1508.05154 (bins of equal counts).

    Example:
        >>> found = reliability(np.array([0.2, 0.2, 0.9, 0.7]), np.array([0, 0, 1, 1]), bins=2)
        >>> found.said.round(2).tolist(), found.happened.tolist(), found.cases.tolist()
        ([0.2, 0.8], [0.0, 1.0], [2, 2])
    """
    p, y = np.asarray(probability, np.float64), np.asarray(outcome).astype(np.float64)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise DataError(f"probabilities {p.shape} and outcomes {y.shape} must be one each a case")
    if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1):
        raise DataError(f"probabilities must lie between 0 and 1, got {p.min()} to {p.max()}")
    if not (y.min() >= 0 and y.max() <= 1):
        raise DataError(f"outcomes must be 0 or 1, got {y[~((y >= 0) & (y <= 1))][0]:g}")
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    if by == "width":
        at = np.minimum((p * bins).astype(np.int64), bins - 1)
    elif by in ("count", "mass"):
        _, same = np.unique(p, return_inverse=True)
        size = np.bincount(same, np.ones(len(p)) if by == "count" else p)
        middle = (np.cumsum(size) - size / 2) / (size.sum() or 1.0)
        at = np.minimum((middle * bins).astype(np.int64), bins - 1)[same]
    else:
        raise ConfigError(f"by={by!r}; give 'count', 'width' or 'mass'")
    _, at = np.unique(at, return_inverse=True)
    cases = np.bincount(at)
    said, happened = np.bincount(at, p) / cases, np.bincount(at, y) / cases
    return Reliability(said, happened, cases.astype(np.int64))


def expected_calibration_error(
    probability: Floats,
    outcome: npt.NDArray[np.generic],
    *,
    bins: int = 10,
    by: Bins = "count",
) -> float:
    """Return the mean distance between what was said and what happened, 0 at best.

    Bins with few cases are noisy, and the error of a perfect model is above zero: compare it with
    that of others on the same cases.

    Args:
        probability: (cases,) between 0 and 1.
        outcome: (cases,) 0 or 1.
        bins: as in `reliability`.
        by: as in `reliability`.

    Raises:
        DataError: as in `reliability`.

    References: Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602; Guo et al. 2017, arXiv:1706.04599.

    Example:
        >>> expected_calibration_error(np.full(4, 0.5), np.array([0, 1, 0, 1]))
        0.0
    """
    return reliability(probability, outcome, bins=bins, by=by).error
