"""From what a request says of a person to the history that a model adapts on.

Stored events that the model cannot use, on items that it does not know or by names that it has
never heard, are left out; a request's own history must be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.data.evidence import RATED, EvidenceRule
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.history import Entry, as_histories, read_history
from warmstart.recommenders.history import Event as Understood
from warmstart.service.schemas import MOST_HISTORY, NewEvent, Past, Person
from warmstart.store import Event


def checked(events: Iterable[NewEvent], rule: EvidenceRule, now: float) -> list[Event]:
    """Return events as they are stored.

    Raises:
        DataError: a model would not know what an event says.
    """
    found = []
    for one in events:
        if evidence(one.event, one.value, rule) is None:
            raise DataError(_not_understood(one, rule))
        value = None if one.value is None else float(one.value)
        when = now if one.timestamp is None else one.timestamp
        found.append(Event(one.id, one.user, one.item, one.event, value, when))
    return found


def evidence(event: str, value: float | None, rule: EvidenceRule) -> float | None:
    """Return what an event says, from -1 to 1; None where a model cannot know.

    Example:
        >>> stars = EvidenceRule(low=1, high=5, threshold=4)
        >>> evidence("like", None, stars), evidence("rating", 1, stars), evidence("skip", 0, stars)
        (1.0, -1.0, -1.0)
        >>> evidence("rating", 7, stars), evidence("sneeze", None, stars)
        (None, None)
    """
    if value is not None and event.strip().casefold() in RATED:
        if rule.reads_ratings:
            low, high = float(rule.low or 0), float(rule.high or 0)
            return float(rule.values(np.array([value]))[0]) if low <= value <= high else None
        return float(value) if -1 <= value <= 1 else None
    return rule.of_event(event)


def history(catalogue: Catalogue, stored: Sequence[Event], person: Person) -> list[Entry]:
    """Return a person's entries, oldest first: what is stored, then what the request says.

    Args:
        catalogue: of the model.
        stored: events of the user, oldest first.
        person: of the request.
    """
    if not stored:
        return given(catalogue, person.history)
    rule, entries = catalogue.schema.evidence, list[Entry]()
    at = catalogue.items.find([event.item for event in stored])
    for place, event in zip(at, stored, strict=True):
        said = evidence(event.event, event.value, rule)
        if place >= 0 and said is not None:
            entries.append(Understood(int(place), said, event.timestamp))
    return [*entries[-MOST_HISTORY:], *given(catalogue, person.history)]


def given(catalogue: Catalogue, said: Iterable[Past | str | int]) -> list[Entry]:
    """Return the entries of a request.

    Raises:
        UnknownItemError: an item is not in the catalogue.
    """
    find, of_event = catalogue.titles.find, catalogue.schema.evidence.of_event
    entries, known = list[Entry](), dict[str | None, float | None]()
    for one in said:
        if not isinstance(one, Past):
            entries.append(one)
            continue
        name = one.event
        if name not in known:
            known[name] = None if name is None else of_event(name)
        plain = known[name]
        if plain is None or one.rating is not None or one.value is not None:
            entries.append(_entry(one))
        else:
            entries.append(Understood(find(one.item), plain))
    return entries


def _entry(one: Past) -> Entry:
    said: dict[str, Any] = {"item": one.item}
    for name, value in (("event", one.event), ("rating", one.rating), ("value", one.value)):
        if value is not None:
            said[name] = value
    return said


def are_ids(catalogue: Catalogue, person: Person) -> bool:
    """Whether all items that a request names are ids of the catalogue."""
    said = {one.item if isinstance(one, Past) else one for one in person.history}
    return catalogue.items.hold(said.union(person.dislikes))


def as_history(catalogue: Catalogue, stored: Sequence[Event], person: Person) -> Histories:
    """Return a person as the one user whom a model adapts to.

    Raises:
        UnknownItemError: the request names an item that is not in the catalogue.
        DataError: the request says what cannot be.
    """
    events = read_history(
        history(catalogue, stored, person),
        catalogue.titles,
        catalogue.schema.evidence,
        dislikes=person.dislikes,
    )
    return as_histories(events, catalogue.known_of(person.features))


def condition(filters: Any) -> Any:  # noqa: ANN401  (text or a mapping, as `schemas` has it)
    """Return a condition as the catalogue reads it."""
    if not isinstance(filters, dict):
        return filters
    plain: dict[str, Any] = {}
    for name, value in filters.items():
        ranged = hasattr(value, "min")
        plain[name] = (value.min, value.max) if ranged else value
    return plain


def _not_understood(one: NewEvent, rule: EvidenceRule) -> str:
    if one.value is not None and one.event.strip().casefold() in RATED:
        scale = f"{rule.low:g} to {rule.high:g}" if rule.reads_ratings else "-1 to 1"
        return f"event {one.id[:50]!r}: the value {one.value!r} is off the model's scale, {scale}"
    return (
        f"event {one.id[:50]!r}: {one.event!r} is not known; say view, click, like, purchase, "
        "dislike, skip or hide, or rating with a value"
    )
