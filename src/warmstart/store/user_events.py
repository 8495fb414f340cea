"""Events of users: kept once, read back, deleted with a tombstone that names nobody."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart.core.errors import DataError
from warmstart.data.evidence import UNDO
from warmstart.data.ids import Id
from warmstart.store.database import Connection, rows_of
from warmstart.store.packed import packed, unpacked
from warmstart.store.store import Event, Receipt, Training

Row = dict[str, Any]

_LONGEST_NAME = 64
_COLUMNS = "event_id, user_id, item_id, event, value, timestamp"
_INT64 = range(-(2**63), 2**63)


def as_rows(tenant: bytes, events: Iterable[Event]) -> list[Row]:
    """Return events as rows, checked.

    Raises:
        DataError: an id, a number or a name is not what it must be.
    """
    return [
        {
            "tenant": tenant,
            "event_id": packed(event.id, "id of an event"),
            "user_id": packed(event.user, "user"),
            "item_id": packed(event.item, "item"),
            "event": _name(event),
            "value": None if event.value is None else _finite(event.value, "value", event),
            "timestamp": _finite(event.timestamp, "timestamp", event),
        }
        for event in events
    ]


def append(connection: Connection, salt: bytes, rows: Sequence[Row]) -> Receipt:
    """Insert rows of one tenant that are new and whose users were not deleted."""
    if not rows:
        return Receipt(0, 0)
    tenant = rows[0]["tenant"]
    gone = _deleted(connection, salt, tenant, {row["user_id"] for row in rows})
    wanted = [row for row in rows if row["user_id"] not in gone] if gone else rows
    accepted = connection.insert("events", wanted)
    refused = tuple(unpacked(user) for user in sorted(gone))
    return Receipt(accepted, len(wanted) - accepted, refused)


def of_user(connection: Connection, tenant: bytes, user: bytes) -> list[Event]:
    """Return the events of a user in order."""
    found = connection.rows(
        f"SELECT {_COLUMNS} FROM events WHERE tenant = :tenant AND user_id = :user "
        "ORDER BY timestamp, number",
        {"tenant": tenant, "user": user},
    )
    return [_event(row) for row in found]


def recent(connection: Connection, tenant: bytes, k: int) -> list[Event]:
    """Return the events that came last, the very last first."""
    found = connection.rows(
        f"SELECT {_COLUMNS} FROM events WHERE tenant = :tenant ORDER BY number DESC LIMIT :k",
        {"tenant": tenant, "k": min(max(0, k), 2**31)},
    )
    return [_event(row) for row in found]


def users(connection: Connection, tenant: bytes) -> list[Id]:
    """Return everyone who has an event, integers first."""
    found = connection.rows(
        "SELECT DISTINCT user_id FROM events WHERE tenant = :tenant", {"tenant": tenant}
    )
    return sorted((unpacked(user) for (user,) in found), key=lambda id: (isinstance(id, str), id))


def delete(connection: Connection, salt: bytes, tenant: bytes, user: bytes, now: float) -> int:
    """Delete a user and leave the tombstone; return how many events there were."""
    connection.forget()
    whose = [{"tenant": tenant, "user": user}]
    count = connection.change(
        "DELETE FROM events WHERE tenant = :tenant AND user_id = :user", whose
    )
    connection.insert("tombstones", [{"mark": _mark(salt, tenant, user), "deleted": now}])
    return count


def training(connection: Connection, tenant: bytes) -> Training:
    """Return all events of a tenant that stand, in the order they came, and the hash of them."""
    found = connection.rows(
        "SELECT user_id, item_id, event, value, timestamp FROM events WHERE tenant = :tenant "
        "ORDER BY number",
        {"tenant": tenant},
    )
    found = _standing(found)
    users, items, events, values, times = list(zip(*found, strict=True)) or [()] * 5
    table = pa.table(
        {
            "user": _ids(users),
            "item": _ids(items),
            "event": pa.array(events, pa.large_string()),
            "value": pa.array(values, pa.float64()),
            "timestamp": pa.array(times, pa.float64()),
        }
    )
    digest = hashlib.sha256()
    for texts in (users, items, [event.encode() for event in events]):
        digest.update(np.fromiter(map(len, texts), "<u4", len(texts)).tobytes())
        digest.update(b"".join(texts))
    for numbers in (values, times):
        digest.update(np.array(numbers, "<f8").tobytes())  # only a missing value is NaN
    return Training(table, digest.hexdigest())


def _standing(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows without those that were taken back, and without what takes them back.

    Args:
        rows: user, item, event, value and timestamp, in the order they came.
    """
    undone: dict[tuple[bytes, bytes], tuple[float, int]] = {}
    for at, (user, item, event, _, time) in enumerate(rows):
        if event.strip().casefold() == UNDO:
            undone[user, item] = max((time, at), undone.get((user, item), (time, at)))
    if not undone:
        return rows
    never = (-math.inf, -1)
    return [
        row for at, row in enumerate(rows) if (row[4], at) > undone.get((row[0], row[1]), never)
    ]


def _deleted(connection: Connection, salt: bytes, tenant: bytes, users: set[bytes]) -> set[bytes]:
    marks = {_mark(salt, tenant, user): user for user in users}
    found = rows_of(
        connection, "SELECT mark FROM tombstones WHERE mark IN ({keys})", list(marks), {}
    )
    return {marks[bytes(mark)] for (mark,) in found}


def _mark(salt: bytes, tenant: bytes, user: bytes) -> bytes:
    """Return what tells a user again and is not the user."""
    named = b"%d:" % len(tenant) + tenant + user
    return hashlib.blake2b(named, key=salt, digest_size=32).digest()


def _event(row: tuple[Any, ...]) -> Event:
    id, user, item, event, value, timestamp = row
    return Event(unpacked(id), unpacked(user), unpacked(item), event, value, timestamp)


def _ids(raw: Sequence[bytes]) -> pa.Array:
    """Return ids as a column of one type; each distinct one is read once."""
    ids = {one: unpacked(one) for one in set(raw)}
    if ids and all(isinstance(id, int) and id in _INT64 for id in ids.values()):
        return pa.array([ids[one] for one in raw], pa.int64())
    texts = {one: str(id).encode("utf-8", "replace").decode() for one, id in ids.items()}
    return pa.array([texts[one] for one in raw], pa.large_string())


def _name(event: Event) -> str:
    name = event.event
    if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise DataError(
            f"event {str(event.id)[:50]!r} is called {str(name)[:50]!r}; give 1 to {_LONGEST_NAME} "
            'printable characters, such as "like"'
        )
    return name


def _finite(number: Any, what: str, event: Event) -> float:  # noqa: ANN401  (checked here)
    """Return the number; -0.0, which not every database keeps, as 0.0."""
    try:
        found = 0.0 + float(number) if not isinstance(number, str | bytes | bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(
            f"the {what} of event {str(event.id)[:50]!r} is {str(number)[:50]!r}; give a finite "
            "number"
        )
    return found
