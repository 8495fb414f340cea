"""The next question for one user: which item, why, and how much the answer is expected to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray, Histories
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import Knowledge, knowledge_of_likes
from warmstart.recommenders.onboarding.policies import (
    DEFAULT_POLICY,
    WITHOUT_WEIGHTS,
    choose,
    has_learned,
    lookup,
)
from warmstart.recommenders.onboarding.ratings import known_values

ENOUGH = 0.01
"""Stop when a question is expected to settle less than this share of what was unknown at first."""

_TELLING = 0.5  # of the items must tell less before a reason says so


@dataclass(frozen=True, slots=True)
class Question:
    """What to show next.

    Attributes:
        item: external id.
        title: what people call it.
        why: one honest line why it is asked.
        expected_gain: share of what was unknown before the first question that asking is expected
            to settle, the chance of "not seen" included.
        chance_seen: how likely it is that this user knows the item.
    """

    item: str | int
    title: str
    why: str
    expected_gain: float
    chance_seen: float

    @property
    def worth_asking(self) -> bool:
        """Whether the answer is expected to change more than a little."""
        return self.expected_gain >= ENOUGH


def next_question(
    knowledge: Knowledge | None,
    catalogue: Catalogue,
    history: Histories,
    *,
    not_seen: Sequence[int] = (),
    skipped: Sequence[int] = (),
    allowed: npt.NDArray[np.bool_] | None = None,
    policy: str | None = None,
    rng: np.random.Generator,
) -> Question | None:
    """Return the next question, or None where nothing is left to ask.

    Args:
        knowledge: of a model that has learned to ask; else what its catalogue's likes tell.
        catalogue: of the items.
        history: what is known of one user.
        not_seen: items that the user does not know.
        skipped: items that must not be asked about and tell nothing.
        allowed: (items,) what may be asked; None for all.
        policy: by name; None for the one that asks best.
        rng: of the policies with chance.

    Raises:
        ConfigError: an unknown policy, or one that the model lacks.
    """
    if knowledge is None:
        knowledge = knowledge_of_likes(catalogue.likes, catalogue.n_users)
    state = state_of(knowledge, history, known_values(history, catalogue.schema.evidence), not_seen)
    asked = state.asked.copy()
    asked[0, list(skipped)] = True
    state = replace(state, asked=asked, number=state.number + len(skipped))
    may = catalogue.served(allowed)
    name = policy or (DEFAULT_POLICY if has_learned(knowledge) else WITHOUT_WEIGHTS)
    item = int(choose(lookup(name), knowledge, state, may, rng)[0])
    if item < 0:
        return None
    seen = float(state.chance_seen(knowledge)[0, item])
    return Question(
        catalogue.items[item],
        catalogue.titles.title(item),
        _why(knowledge, state, item, seen),
        float(expected_gain(knowledge, state)[0, item]),
        seen,
    )


def state_of(
    knowledge: Knowledge,
    history: Histories,
    values: npt.NDArray[np.float64],
    not_seen: Sequence[int] = (),
) -> Interview:
    """Return the interview that one user's history amounts to.

    Args:
        knowledge: the priors.
        history: of one user.
        values: (events,) the ratings that its events stand for.
        not_seen: items that the user does not know.
    """
    state = Interview.start(knowledge, 1)
    told = [*zip(history.items.tolist(), values.tolist(), strict=True)]
    told += [(item, np.nan) for item in not_seen]
    for item, value in told:
        state = state.after(knowledge, np.array([item]), np.array([value]))
    return state


def expected_gain(knowledge: Knowledge, state: Interview) -> FloatArray:
    """Return (users, items) share of the first uncertainty that asking is expected to settle."""
    begun = Interview.start(knowledge, 1)
    first = max(float(begun.left(knowledge)[0]), 1e-12)
    return state.value(knowledge) / np.float32(first)


def _why(knowledge: Knowledge, state: Interview, item: int, seen: float) -> str:
    known = f"about {_percent(seen)} of people with your answers know it"
    if not state.number:
        known = f"{_percent(float(knowledge.share[item]))} of people know it"
    if not knowledge.divides:
        return known
    better = (state.gain(knowledge)[0] <= state.gain(knowledge)[0, item]).mean()
    if better < _TELLING:
        return known
    return f"{known}; an answer tells more about taste than one on {_percent(better)} of the items"


def _percent(share: float | np.floating) -> str:
    return f"{100 * float(share):.0f} %"
