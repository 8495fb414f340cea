"""One user's history as people write it, to events under dense indices.

An entry is an item (its id, its title, or nearly its title), or an item with an opinion:

    912                           a like
    "Alien (1979)"                a like
    ("Alien (1979)", 2)           a rating on the scale of the training data; where the training
                                  data had no ratings, evidence from -1 (dislike) to 1 (like)
    {"item": 912, "rating": 2, "event": "skip", "timestamp": 978300760}
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.data.cells import seconds
from warmstart.data.evidence import EvidenceRule
from warmstart.recommenders.titles import Titles

_PLAINLY_SECONDS = 1e10
_KEYS = ("item", "rating", "value", "event", "timestamp")


_KNOWN = frozenset(_KEYS)


class Event(NamedTuple):
    """One event, understood.

    Attributes:
        item: dense item index.
        value: signed evidence in [-1, 1].
        time: seconds since the epoch, or NaN where unknown.
    """

    item: int
    value: float
    time: float = math.nan


Entry = str | int | tuple[Any, float] | Mapping[str, Any] | Event


def read_history(
    history: Iterable[Entry],
    titles: Titles,
    rule: EvidenceRule,
    *,
    dislikes: Iterable[Entry] = (),
    now: float | None = None,
) -> list[Event]:
    """Return the events in order; a later word on an item replaces an earlier one.

    Evidence of 0, such as of the event "undo", takes back what was said of the item before.

    Args:
        history: entries, see the module; or events that are understood already.
        titles: finds the items.
        rule: turns ratings and events into evidence.
        dislikes: items that the user does not like, as ids or titles.
        now: seconds since the epoch; events after it are left out.

    Raises:
        UnknownItemError: an id or title is not in the catalogue, or fits several items.
        DataError: an entry is malformed, its rating is off the scale, or an item is both liked
            and disliked.
    """
    for name, given in (("history", history), ("dislikes", dislikes)):
        if isinstance(given, str | int | Mapping):
            raise DataError(f"{name} is a list of items, got {given!r}; write [{given!r}]")
    events: dict[int, Event] = {}
    for entry in history:
        event = entry if type(entry) is Event else _read(entry, titles, rule)
        if now is None or not event.time > now:
            events.pop(event.item, None)
            if event.value:
                events[event.item] = event
    for entry in dislikes:
        if isinstance(entry, tuple | Mapping):
            raise DataError(f"dislikes are ids or titles, got {entry!r}; rate it in history")
        item = titles.find(entry)
        if item in events and events[item].value > 0:
            raise DataError(f"{titles.title(item)!r} is both liked and disliked; decide for one")
        events[item] = Event(item, -1.0)
    return list(events.values())


def as_histories(events: Sequence[Event], features: Any = None) -> Histories:  # noqa: ANN401
    """Return the events as the histories of one user."""
    items, values, times = zip(*events, strict=True) if events else ((), (), ())
    timed = bool(times) and all(map(math.isfinite, times))
    return Histories(
        np.array([0, len(items)], np.int64),
        np.array(items, np.int32),
        np.array(values, np.float32),
        np.array(times, np.float64) if timed else None,
        features,
    )


def _read(entry: Entry, titles: Titles, rule: EvidenceRule) -> Event:
    if isinstance(entry, Mapping):
        return _read_mapping(entry, titles, rule)
    if isinstance(entry, tuple | list):
        if len(entry) != 2:
            raise DataError(f"a history entry is an item or a pair (item, rating), got {entry!r}")
        item = titles.find(entry[0])
        if rule.reads_ratings:
            return Event(item, _rated(entry[1], rule))
        return Event(item, _valued(entry[1]))
    return Event(titles.find(entry), 1.0)


def _read_mapping(entry: Mapping[str, Any], titles: Titles, rule: EvidenceRule) -> Event:
    if "item" not in entry or not _KNOWN.issuperset(entry):
        unknown = [key for key in entry if key not in _KEYS]
        what = f"unknown key {unknown[0]!r}" if unknown else "no 'item'"
        raise DataError(f"history entry {dict(entry)!r}: {what}; the keys are {', '.join(_KEYS)}")
    item, value = titles.find(entry["item"]), 1.0
    if entry.get("value") is not None:
        value = _valued(entry["value"])
    elif entry.get("rating") is not None and (rule.reads_ratings or entry.get("event") is None):
        if not rule.reads_ratings:
            raise DataError(
                f"rating {entry['rating']!r}: the model was trained without a rating scale; "
                "give a 'value' from -1 (dislike) to 1 (like)"
            )
        value = _rated(entry["rating"], rule)
    elif entry.get("event") is not None:
        said = rule.of_event(str(entry["event"]))
        if said is None:
            raise DataError(
                f"event {entry['event']!r} is not known; say view, click, like, purchase, "
                "dislike, skip or hide, or give a 'value' from -1 to 1"
            )
        value = said
    time = math.nan
    if entry.get("timestamp") is not None:
        time = _seconds(entry["timestamp"])
    return Event(item, value, time)


def _rated(rating: Any, rule: EvidenceRule) -> float:  # noqa: ANN401
    number = _number(rating, "rating")
    low, high = float(rule.low or 0), float(rule.high or 0)
    if not low <= number <= high:
        raise DataError(f"rating {rating!r} is off the scale of the model, {low:g} to {high:g}")
    return float(rule.values(np.array([number]))[0])


def _valued(value: Any) -> float:  # noqa: ANN401
    number = _number(value, "value")
    if not -1 <= number <= 1:
        raise DataError(
            f"{value!r} is no evidence: give -1 (dislike) to 1 (like); stars are a 'rating', "
            "where the model was trained on ratings"
        )
    return number


def _number(value: Any, name: str) -> float:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{name} {value!r} is not a finite number")
    return number


def _seconds(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, float) and abs(value) < _PLAINLY_SECONDS:
        return value  # most are, and a column of one cell takes its time
    try:
        found = float(seconds(pa.chunked_array([pa.array([value])]))[0][0])
    except (pa.ArrowException, TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"timestamp {value!r}: give seconds since 1970 or ISO 8601")
    return found
