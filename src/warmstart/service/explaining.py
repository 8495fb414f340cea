"""Why an item is on somebody's list: the events that speak for it, and how sure the model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warmstart.core.types import Histories
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.protocols import Explains, HasPosterior
from warmstart.recommenders.reasons import reasons


@dataclass(frozen=True, slots=True)
class Spoke:
    """What one event does for an item.

    Attributes:
        item: of the event.
        title: of that item.
        weight: against the largest of the request.
    """

    item: str | int
    title: str
    weight: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one item is, or would be, on the list.

    Attributes:
        item: external id.
        title: what people call it.
        score: as on the list.
        uncertainty: standard deviation of the score; None where the method has no posterior.
        reason: one line.
        evidence: of the events, the weightiest first.
    """

    item: str | int
    title: str
    score: float
    uncertainty: float | None
    reason: str
    evidence: tuple[Spoke, ...]


_MOST_SPOKEN = 20


def explained(fitted: Fitted, history: Histories, items: Sequence[str | int]) -> list[Reason]:
    """Return a reason for each item.

    Args:
        fitted: what ranks.
        history: the user, alone.
        items: ids or titles.

    Raises:
        UnknownItemError: an item is not in the catalogue.
    """
    catalogue, method = fitted.catalogue, fitted.method
    at = np.array([catalogue.titles.find(item) for item in items], np.int64)
    scores = method.score(history)[0]
    lines = reasons(method, history, at, catalogue)
    doubt = None
    if isinstance(method, HasPosterior):
        mean, deviation = method.posterior(history)
        spread = float(scores[np.isfinite(scores)].std())
        doubt = spread * deviation[0] / max(float(mean[0].std()), 1e-12)
    weights = np.zeros((len(at), len(history.items)), np.float32)
    if len(history.items) and isinstance(method, Explains):
        weights = np.asarray(method.contributions(history, at), np.float32)
        weights = weights / max(float(np.abs(weights).max(initial=0)), 1e-12)
    found = []
    for row, place in enumerate(at.tolist()):
        order = np.argsort(-np.abs(weights[row]), kind="stable")[:_MOST_SPOKEN]
        spoke = tuple(
            Spoke(
                catalogue.items[int(history.items[j])],
                catalogue.titles.title(int(history.items[j])),
                float(weights[row, j]),
            )
            for j in order.tolist()
            if weights[row, j] != 0
        )
        unsure = None if doubt is None else float(doubt[place])
        found.append(
            Reason(
                catalogue.items[place],
                catalogue.titles.title(place),
                float(scores[place]),
                unsure,
                lines[row],
                spoke,
            )
        )
    return found
