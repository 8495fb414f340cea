"""What rows that training has not seen say of new ads and of departing from the base.

    logit = offset + c + α · columns + β · network + γ · taste + δ · traffic

columns, network and taste are departures from the base. α = β = γ = 0, which is the base itself, stays unless it
clearly pays to depart: half of the groups say by how much, the other half what it gains, and the
other way round; the gain must be larger than twice its standard error over groups.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from warmstart.core.types import IntArray
from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace

Array = npt.NDArray[np.float64]

_VARIANCE = np.array([1.0, 0.25, 0.25, 0.25, 0.25])  # of c, α, β, γ and δ before any row
_DEPARTURES = np.array([False, True, True, True, False])
_NEVER_BELOW = np.array([False, False, True, True, False])
_CLEAR = 2.0


def clear_shares(design: Array, labels: Array, offset: Array, groups: IntArray) -> Array:
    """Return (4,) c, β, γ and δ; β and γ are 0 where departing does not clearly pay.

    Args:
        design: (rows, 4) one, the network's departure, the taste's, and the traffic.
        labels: (rows,).
        offset: (rows,) logits of the base.
        groups: (rows,) rows of one group, such as an ad, are one observation.
    """
    every, plain = np.ones(5, bool), ~_DEPARTURES
    number = np.unique(groups, return_inverse=True)[1]
    gain = np.zeros(len(labels))
    for half in (number % 2 == 0, number % 2 == 1):
        for used, sign in ((plain, 1), (every, -1)):
            found = _mode(design[~half], labels[~half], offset[~half], used)
            logit = offset[half] + design[half] @ found
            gain[half] += sign * (np.logaddexp(0, logit) - labels[half] * logit)
    by_group = np.bincount(number, gain)
    clear = by_group.sum() > _CLEAR * np.sqrt(len(by_group)) * by_group.std()
    return _mode(design, labels, offset, every if clear else plain)


def _mode(design: Array, labels: Array, offset: Array, used: npt.NDArray[np.bool_]) -> Array:
    """Return (4,) the mode, 0 of what is not used and of a negative departure."""
    rows = Labelled.of(design[:, used], labels, offset, np.zeros(len(labels), int), 1)
    prior = HeadPrior(np.zeros(int(used.sum())), np.diag(_VARIANCE[used]))
    out = np.zeros(len(used))
    out[used] = laplace(prior, rows, steps=12).mean[0]
    below = _NEVER_BELOW & (out < 0)
    return _mode(design, labels, offset, used & ~below) if below.any() else out
