"""The policies: each says of every item how much it wants to ask about it.

References: popularity, entropy, HELF and entropy0 in Rashid, Karypis & Riedl 2008,
doi:10.1145/1540276.1540302; Thompson sampling: Thompson 1933, Biometrika 25:285–294.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError
from warmstart.core.types import FloatArray, IntArray
from warmstart.recommenders.onboarding.features import START, features
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import Knowledge


class Policy(Protocol):
    """A way to choose the next question."""

    def __call__(
        self, knowledge: Knowledge, interview: Interview, rng: np.random.Generator
    ) -> FloatArray:
        """Return (users, items): the highest is asked next; what was asked is masked later."""


def random(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """Any item."""
    return rng.random(interview.asked.shape, np.float32)


def popularity(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """What most have rated."""
    return _everybody(knowledge.counts, interview)


def entropy(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """What those who rated it disagree on, however few they are."""
    return _everybody(knowledge.entropy, interview)


def entropy0(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """Entropy with "not seen" as one of the values."""
    return _everybody(knowledge.entropy0, interview)


def helf(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """Harmonic mean of entropy and log frequency."""
    return _everybody(knowledge.helf, interview)


def information_gain(
    knowledge: Knowledge, interview: Interview, rng: np.random.Generator
) -> FloatArray:
    """What an answer is expected to take from the variance of the ratings: A-optimal × P(seen)."""
    return interview.value(knowledge)


def thompson(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """What a user drawn from the posterior would rate highest, if they know it."""
    belief, prior = interview.taste, knowledge.ratings
    root = np.linalg.cholesky(belief.covariance + 1e-6 * np.eye(belief.mean.shape[1]))
    drawn = belief.mean + np.einsum("ude,ue->ud", root, rng.normal(size=belief.mean.shape))
    rated = drawn @ prior.factors.T + prior.offset
    above = rated - rated.min(axis=1, keepdims=True)
    found: FloatArray = (above * interview.chance_seen(knowledge)).astype(np.float32)
    return found


def greedy_list(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """The same questions for everybody, found by greedy forward search on training users."""
    if knowledge.listed is None:
        raise ConfigError("the model has no greedy list; train it anew")
    place = np.full(len(knowledge.counts), -np.inf, np.float32)
    # after the list, the most popular: never an item that is further up
    place[:] = -len(knowledge.listed) - 1 - np.argsort(np.argsort(-knowledge.counts))
    place[knowledge.listed] = -np.arange(len(knowledge.listed))
    return _everybody(place, interview)


def has_learned(knowledge: Knowledge) -> bool:
    """Return whether there is a learned policy, and one by the features that are looked at now."""
    return knowledge.weights is not None and len(knowledge.weights) == len(START)


def reinforce(knowledge: Knowledge, interview: Interview, rng: np.random.Generator) -> FloatArray:
    """The policy learned by REINFORCE."""
    if knowledge.weights is None or not has_learned(knowledge):
        raise ConfigError("the model has no learned policy, or an older one; train it anew")
    found: FloatArray = features(knowledge, interview) @ knowledge.weights
    return found


POLICIES: Mapping[str, Policy] = {
    "random": random,
    "popularity": popularity,
    "entropy": entropy,
    "entropy0": entropy0,
    "helf": helf,
    "information-gain": information_gain,
    "thompson": thompson,
    "greedy-list": greedy_list,
    "reinforce": reinforce,
}

DEFAULT_POLICY = "reinforce"
"""What leads to the best lists of the users that settle it, see `docs/onboarding.md`."""

WITHOUT_WEIGHTS = "information-gain"
"""What asks where a model has no learned policy."""


def lookup(name: str) -> Policy:
    """Return a policy by name.

    Raises:
        ConfigError: there is no such policy.
    """
    if name not in POLICIES:
        raise ConfigError(f"no policy is called {name!r}; there are: {', '.join(POLICIES)}")
    return POLICIES[name]


def choose(
    policy: Callable[..., FloatArray],
    knowledge: Knowledge,
    interview: Interview,
    allowed: npt.NDArray[np.bool_] | None,
    rng: np.random.Generator,
) -> IntArray:
    """Return (users,) the next question of each, -1 where nothing is left to ask.

    Args:
        policy: which to ask.
        knowledge: the priors.
        interview: the states.
        allowed: (items,) or (users, items) what may be asked; None for all.
        rng: of the policies with chance.
    """
    scores = np.where(interview.asked, -np.inf, policy(knowledge, interview, rng))
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    best = scores.argmax(axis=1)
    left = np.isfinite(scores[np.arange(len(scores)), best])
    found: IntArray = np.where(left, best, -1)
    return found


def _everybody(values: FloatArray, interview: Interview) -> FloatArray:
    return np.broadcast_to(values, interview.asked.shape)
