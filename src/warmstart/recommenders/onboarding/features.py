"""What the learned policy looks at, of each item, in the state of an interview.

Most of it is what other policies would ask by, as a share of the highest among the items that are
left: so the learned policy can do what they do, mix them, and move from one to another on the way.
Sums of such shares, rather than of logarithms: an item that is best for one purpose is worth asking
about though it is worth nothing for the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import Knowledge

NAMES = (
    "information gain",
    "expected rating × P(seen)",
    "P(seen and liked)",
    "P(seen)",
    "root of the gain × P(seen)",
    "gain about what is seen",
    "popularity",
    "entropy0",
    "HELF",
)
"""Each stands twice: once as it is, once times how far the interview has come."""

_SHARPNESS = 15.0  # of the policies that training may begin with: e^15 for all of the way
_QUESTIONS = 10.0  # where the second half of the features has grown to the first


_PLACES = {"informs": 0, "rated": 1, "liked": 2, "seen": 3}


def _mixed(**shares: float) -> FloatArray:
    found = np.zeros(2 * len(NAMES), np.float32)
    for name, share in shares.items():
        found[_PLACES[name]] = _SHARPNESS * share
    return found


STARTS: Mapping[str, FloatArray] = {
    "information gain": _mixed(informs=1),
    "expected rating": _mixed(rated=1),
    "liked": _mixed(liked=1),
    "liked, and informs": _mixed(liked=0.65, informs=0.35),
    "rated, and informs": _mixed(rated=0.65, informs=0.35),
}
"""Policies to begin with: the one that earns most in practice is improved."""

START = STARTS["information gain"]
"""What asks where there are too few users for practice."""


def features(knowledge: Knowledge, interview: Interview) -> FloatArray:
    """Return (users, items, features)."""
    left = ~interview.asked
    ratings, met = knowledge.ratings, knowledge.seen
    seen = interview.chance_seen(knowledge)
    rated, gain = ratings.expected(interview.taste), interview.gain(knowledge)
    share = knowledge.counts / max(float(knowledge.counts.sum()), 1)
    usual = float(share @ ratings.offset)
    spread = np.sqrt(max(float(share @ ratings.noise), 1e-6))
    liked = seen / (1 + np.exp(-1.7 * (rated - usual) / spread))  # logistic for normal
    out = np.empty((*left.shape, 2 * len(NAMES)), np.float32)
    columns = (
        interview.value(knowledge),
        seen * np.maximum(rated - usual + 3 * spread, 0),
        liked,
        seen,
        np.sqrt(gain) * seen,
        met.gain(interview.met, knowledge.target_seen),
        np.broadcast_to(knowledge.counts, left.shape),
        np.broadcast_to(knowledge.entropy0, left.shape),
        np.broadcast_to(knowledge.helf, left.shape),
    )
    for place, column in enumerate(columns):
        out[..., place] = _of_highest(column, left)
    out[..., len(NAMES) :] = out[..., : len(NAMES)] * (interview.number / _QUESTIONS)
    return out


def _of_highest(values: FloatArray, left: npt.NDArray[np.bool_]) -> FloatArray:
    kept = np.where(left, values, 0)
    found: FloatArray = kept / np.maximum(kept.max(axis=1, keepdims=True), 1e-12)
    return found
