"""Conversions that come late are not negatives.

At the end of a log a click of a minute ago has had a minute to convert. If a share G(a) of all
conversions has come by the age a, then y / G(a), with y whether one has come, is on average what
the click will come to: its target. A click model learns from targets as it does from labels, and
one fit is unbiased. Clicks so young that G(a) is below `least_share` are left out: they tell
little, and their rare conversions would weigh too much.

G is estimated from the delays of the conversions that did come, by the product-limit estimator for
data that are cut off on the right: the delay of a conversion is only seen if it is shorter than
the age of its click. No shape is assumed, unlike in Chapelle 2014, whose delays are exponential.
What would come later than the age of the oldest click is seen by nobody and counts as never.

References: Chapelle 2014, doi:10.1145/2623330.2623634 (delayed feedback); Lynden-Bell 1971,
doi:10.1093/mnras/155.1.95 (the estimator); Horvitz & Thompson 1952 (the weights).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warmstart.ads.log import AdLog
from warmstart.core.errors import ConfigError, DataError

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """How many of all conversions have come by an age.

    Attributes:
        age_seconds: (m,) increasing.
        share: (m,) of conversions that have come by then; the last is 1.
    """

    age_seconds: Numbers
    share: Numbers

    def arrived(self, age_seconds: Numbers) -> Numbers:
        """Return (n,) the share that has come at each age.

        Example:
            >>> DelayCurve(np.array([1.0, 9.0]), np.array([0.5, 1])).arrived(np.array([0, 1, 5]))
            array([0. , 0.5, 0.5])
        """
        at = np.searchsorted(self.age_seconds, age_seconds, side="right")
        return np.concatenate([[0.0], self.share])[at]


def fit_delays(delay_seconds: Numbers, age_seconds: Numbers) -> DelayCurve:
    """Return the curve of delays that are only seen where they are shorter than an age.

    Args:
        delay_seconds: (n,) of the conversions that came.
        age_seconds: (n,) how long before the log's end each of them was clicked.

    Raises:
        DataError: there are none, or one came after the log's end.

    Example:
        >>> curve = fit_delays(np.array([1.0, 2, 3, 4]), np.full(4, 9.0))
        >>> curve.share.tolist()  # nothing is cut off: a quarter came by each of the four
        [0.25, 0.5, 0.75, 1.0]
    """
    if not len(delay_seconds):
        raise DataError("no conversion has a delay; the curve of delays needs some")
    late = delay_seconds > age_seconds
    if late.any():
        first = int(np.argmax(late))
        raise DataError(
            f"conversion {first} came {delay_seconds[first]:g} s after a click that was "
            f"{age_seconds[first]:g} s old at the log's end; let the log end later"
        )
    at, came = np.unique(delay_seconds, return_counts=True)
    # at risk of having come just then: had not come later, and the click was old enough to tell
    risk = np.searchsorted(np.sort(delay_seconds), at, side="right") - np.searchsorted(
        np.sort(age_seconds), at, side="left"
    )
    kept = np.where(came < risk, 1 - came / np.maximum(risk, 1), 1.0)  # one step tells nothing
    after = np.append(np.cumprod(kept[::-1])[::-1][1:], 1.0)
    return DelayCurve(at, after)


@dataclass(frozen=True, slots=True)
class Targets:
    """What a conversion model learns from.

    Attributes:
        rows: (m,) indices of the clicks that are learned from.
        target: (m,) expected conversions of each; 0, or 1 and above.
        curve: of the delays, or None where the log knows none.
    """

    rows: npt.NDArray[np.int64]
    target: Numbers
    curve: DelayCurve | None


def targets(log: AdLog, *, seen_until: float | None = None, least_share: float = 0.2) -> Targets:
    """Return the clicks of a log with what each is expected to come to.

    Without times of conversions the labels are taken to be final.

    Args:
        log: with conversions.
        seen_until: seconds since 1970 up to which conversions were written down; by default the
            latest time in the log.
        least_share: clicks of an age by which fewer conversions have come are left out.

    Raises:
        DataError: the log has no conversions, or ends before one of them.
        ConfigError: `least_share` is not in (0, 1].
    """
    if not 0 < least_share <= 1:
        raise ConfigError(f"least_share must lie above 0 and at most at 1, got {least_share}")
    if log.conversion is None:
        raise DataError("the log has no conversions; name its conversion column")
    rows = np.flatnonzero((log.click != 0) & ~np.isnan(log.conversion))
    label = log.conversion[rows]
    if log.delay_seconds is None or log.timestamp is None:
        return Targets(rows, label, None)
    clicked, delay = log.timestamp[rows], log.delay_seconds[rows]
    bought = label == 1
    end = seen_until
    if end is None:
        end = float(max(log.timestamp.max(), np.max((clicked + delay)[bought], initial=-np.inf)))
    age = end - clicked
    if (age < 0).any():
        raise DataError(f"seen_until={end:g} is before the log's last click; give a later time")
    curve = fit_delays(delay[bought], age[bought])
    share = curve.arrived(age)
    old = share >= least_share
    return Targets(rows[old], label[old] / share[old], curve)
