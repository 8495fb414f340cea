"""What the learned policy looks at, of each item, in the state of an interview."""

from __future__ import annotations

import numpy as np

from warmstart.core.types import FloatArray
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import Knowledge

NAMES = (
    "log P(seen)",
    "log popularity",
    "log A-optimal gain",
    "log variance",
    "expected rating",
    "entropy",
    "P(seen)",
    "log gain about what is seen",
    "HELF",
    "log P(seen and rated above the mean)",
)
"""Each stands twice: once as it is, once times how far the interview has come."""

START = np.zeros(2 * len(NAMES), np.float32)
"""Weights that ask as greedy information gain does; training begins here."""
START[[0, 2]] = 1

_QUESTIONS = 10.0  # where the second half of the features has grown to the first


def features(knowledge: Knowledge, interview: Interview) -> FloatArray:
    """Return (users, items, features)."""
    shape = interview.asked.shape
    seen = interview.chance_seen(knowledge)
    ratings, met = knowledge.ratings, knowledge.seen
    spread = np.sqrt(max(float(ratings.noise.mean()), 1e-6))
    variance = ratings.variance(interview.taste)
    told = _log(met.gain(interview.met, knowledge.target_seen))
    out = np.empty((*shape, 2 * len(NAMES)), np.float32)
    rated = (ratings.expected(interview.taste) - ratings.offset.mean()) / spread
    liked = seen / (1 + np.exp(-1.7 * rated))  # the logistic curve near the normal one
    columns = (
        np.log(seen),
        _log(knowledge.share),
        _log(interview.gain(knowledge)),
        _log(variance),
        rated,
        knowledge.entropy,
        seen,
        told,
        knowledge.helf,
        _log(liked),
    )
    for place, column in enumerate(columns):
        out[..., place] = column
    out[..., len(NAMES) :] = out[..., : len(NAMES)] * (interview.number / _QUESTIONS)
    return out


def _log(values: FloatArray) -> FloatArray:
    found: FloatArray = np.log(np.maximum(values, 1e-6))
    return found
