"""One honest line why an item is on a user's list.

A reason names the event without which the item would have scored lower, as the method itself
reckons: by its `contributions`, or else by scoring the user once more without each event. Where no
event lifted the item, the line says how many people like it, and nothing more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.protocols import Explains

MOST_EVENTS = 40
"""So many of the latest events are tried, one at a time."""
_LEAST = 1e-3  # of the spread of a user's scores; below, an event did nothing
_YEAR = re.compile(r" \(\d{4}\)$")
_SECOND = 0.6  # a second event is named if it did so much of what the first did


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an item is on a list, as far as the method can tell.

    Attributes:
        liked: events, by their places in the history, that lifted the item because they are likes.
        disliked: events that lifted it although they are dislikes.
        told: whether what is known of the user lifted it.
    """

    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    told: bool = False


def reasons(
    method: Any,  # noqa: ANN401  (a Method)
    histories: Histories,
    items: IntArray,
    catalogue: Catalogue,
) -> list[str]:
    """Return one line for each of the `items` recommended to the one user in `histories`."""
    found = causes(method, histories, items, catalogue)
    return [
        _line(catalogue, int(item), histories, cause)
        for item, cause in zip(items, found, strict=True)
    ]


def causes(
    method: Any,  # noqa: ANN401  (a Method)
    histories: Histories,
    items: IntArray,
    catalogue: Catalogue,
) -> list[Cause]:
    """Return why each of the `items` is recommended to the one user in `histories`."""
    events = histories.items
    if len(events) and isinstance(method, Explains):
        lift = np.asarray(method.contributions(histories, items), np.float32)
        lift = lift / max(float(np.abs(lift).max(initial=0)), 1e-12)
    else:
        lift = _left_out(method, histories, items)
    if catalogue.removed is not None:
        lift = np.where(catalogue.removed[events], 0, lift)  # it counts, and is not named
    told = _told(method, histories, items) if not len(events) else np.zeros(len(items), bool)
    return [_cause(histories, lift[row], bool(told[row])) for row in range(len(items))]


def _left_out(method: Any, histories: Histories, items: IntArray) -> FloatArray:  # noqa: ANN401
    """Return (items, events) how far each item falls when one event is left out.

    In standard deviations of the user's scores over the catalogue, since a method may put its
    scores on another scale at another number of shots.
    """
    n = len(histories.items)
    lift = np.zeros((len(items), n), np.float32)
    tried = range(max(0, n - MOST_EVENTS), n)
    if not n or not len(items):
        return lift
    keeps = [np.arange(n), *(np.delete(np.arange(n), j) for j in tried)]
    at = np.concatenate(keeps)
    features = histories.features
    variants = Histories(
        np.concatenate([[0], np.cumsum([len(k) for k in keeps])]).astype(np.int64),
        histories.items[at],
        histories.values[at],
        None if histories.times is None else histories.times[at],
        None if features is None else features[np.zeros(len(keeps), np.int64)],
    )
    scores = _standard(method.score(variants))[:, items]
    lift[:, tried.start :] = (scores[0] - scores[1:]).T
    return lift


def _told(method: Any, histories: Histories, items: IntArray) -> Any:  # noqa: ANN401
    """Whether what is known of the user lifted each item."""
    if histories.features is None or not histories.features.nnz:
        return np.zeros(len(items), bool)
    knowing = _standard(method.score(histories))[0, items]
    ignorant = _standard(method.score(Histories.empty(1, histories.features * 0)))[0, items]
    return knowing - ignorant > 0.05


def _cause(histories: Histories, lift: FloatArray, told: bool) -> Cause:
    order = np.argsort(-lift, kind="stable")
    named: list[int] = []
    if len(order) and lift[order[0]] > _LEAST:
        named.append(int(order[0]))
        if len(order) > 1 and lift[order[1]] >= _SECOND * lift[order[0]]:
            named.append(int(order[1]))
    return Cause(
        tuple(j for j in named if histories.values[j] > 0),
        tuple(j for j in named if histories.values[j] <= 0),
        told,
    )


def _line(catalogue: Catalogue, item: int, histories: Histories, cause: Cause) -> str:
    if cause.liked or cause.disliked:
        liked = [_title(catalogue, histories, j) for j in cause.liked]
        disliked = [_title(catalogue, histories, j) for j in cause.disliked]
        words = [f"liked {' and '.join(liked)}"] if liked else []
        words += [f"disliked {' and '.join(disliked)}"] if disliked else []
        return f"because you {' and '.join(words)}"
    if item >= len(catalogue) - catalogue.n_new:
        first = int(catalogue.likes[item])
        if first:
            return f"new in the catalogue, liked by its first user{'s' * (first > 1)} ({first:,})"
        return "new in the catalogue, known by its description only"
    people = f"liked by {catalogue.likes[item]:,} of {catalogue.n_users:,} users"
    return f"fits what you told about yourself; {people}" if cause.told else people


def _title(catalogue: Catalogue, histories: Histories, event: int) -> str:
    title = catalogue.titles.title(int(histories.items[event]))
    return _YEAR.sub("", title) or title  # the line is short, and the user knows which film


def _standard(scores: FloatArray) -> FloatArray:
    spread = scores.std(axis=1, keepdims=True)
    standard: FloatArray = (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-12)
    return standard
