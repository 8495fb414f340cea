"""What every store keeps, whatever the database: a Protocol, and the values that go in and out.

A tenant is an argument of every call; nothing of one tenant is ever seen by another. Users, items
and ids of events are strings or integers, and keep their type: 12 and "12" are two users.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from warmstart.data.evidence import RATED, EvidenceRule
from warmstart.data.ids import Id

Scope = Literal["read", "write", "admin"]
Change = Literal["add", "update", "remove"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user did.

    Attributes:
        id: the client's own; an event sent again under the same id is kept once.
        user: who did it.
        item: with what.
        event: what was done, such as "like" or "rating", or "undo", which takes back all that the
            user did with the item before; at most 64 printable characters.
        value: how much, such as stars; None where the event says it all.
        timestamp: when, in seconds since the epoch.
    """

    id: Id
    user: Id
    item: Id
    event: str
    value: float | None
    timestamp: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the events of one call, which are on the disk by now.

    Attributes:
        accepted: events that are new.
        duplicates: events whose id was there already; the first one stands.
        refused: the users who were deleted; none of their events is kept.
    """

    accepted: int
    duplicates: int
    refused: tuple[Id, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One change of the catalogue.

    Attributes:
        number: rises with every change; later changes have higher ones.
        kind: whether the rows were added, updated or removed.
        rows: the items as JSON values; of removed ones, what the caller gave.
        timestamp: when, in seconds since the epoch.
    """

    number: int
    kind: Change
    rows: tuple[dict[str, Any], ...]
    timestamp: float


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret.

    Attributes:
        id: names the key where people must speak of it; it opens nothing.
        tenant: whom it belongs to.
        scopes: what it allows.
        created: in seconds since the epoch.
        revoked: in seconds since the epoch; None while it is good.
    """

    id: str
    tenant: str
    scopes: frozenset[Scope]
    created: float
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """All events of a tenant that stand, for the next training.

    Neither deleted users are among them, nor events that were taken back by a later "undo".

    Attributes:
        table: user, item, event, value and timestamp, in the order in which they came. Ids are
            integers where all of them are, otherwise text.
        fingerprint: a hash of the rows, types of ids included; equal rows have equal ones, in
            whichever database.
    """

    table: pa.Table
    fingerprint: str

    def interactions(self, rule: EvidenceRule | None = None) -> pa.Table:
        """Return the events as `Dataset.from_tables` reads them.

        Where all of them are ratings they have a column `rating`; where some are, these become
        likes and dislikes.

        Args:
            rule: of the model in use, whose scale tells a like from a dislike; by default the scale
                that the values suggest, or evidence from -1 to 1 where none is beyond that.
        """
        names = [name.strip().casefold() for name in self.table["event"].to_pylist()]
        values = self.table["value"].to_numpy(zero_copy_only=False).astype(np.float64)
        rated = np.isin(np.array(names, np.str_), list(RATED)) & ~np.isnan(values)
        table = self.table.drop_columns(["value"])
        if not rated.any():
            return table
        stars = values[rated]
        if rule is None:
            rule = EvidenceRule()
            rule = rule if np.abs(stars).max() <= 1 else rule.fitted(stars)
        if rated.all() and rule.reads_ratings:
            return table.drop_columns(["event"]).append_column("rating", pa.array(values))
        said = rule.values(stars) if rule.reads_ratings else stars
        events = np.array(self.table["event"].to_pylist(), object)
        events[rated] = np.where(said > 0, "like", "dislike")
        at = table.column_names.index("event")
        return table.set_column(at, "event", pa.array(events, pa.large_string()))


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store can be relied on now.

    Attributes:
        ok: it reads and writes.
        problem: what is wrong, in one line; "" if nothing is.
    """

    ok: bool
    problem: str = ""


class Store(Protocol):
    """Events, changes of items and keys, by tenant.

    Any thread may call any method. What writes returns when the disk has it, or raises and has
    kept nothing. Every method raises a StoreError where the database fails, and a DataError where
    an argument is not what it must be.
    """

    def append(self, tenant: str, events: Sequence[Event]) -> Receipt:
        """Keep events; those whose id is known are counted and left alone.

        Raises:
            DataError: an id is neither text nor an integer or is too long, a number is not
                finite, or an event has no printable name; nothing of the call is kept.
        """
        ...

    def events(self, tenant: str, user: Id) -> list[Event]:
        """Return the events of a user by timestamp, equal ones in the order they came."""
        ...

    def recent(self, tenant: str, k: int) -> list[Event]:
        """Return the `k` events that came last, the very last first."""
        ...

    def users(self, tenant: str) -> list[Id]:
        """Return everyone who has an event, integers before texts, each in order."""
        ...

    def delete_user(self, tenant: str, user: Id, *, now: float) -> int:
        """Delete a user's events; return how many there were.

        A tombstone stays, which tells the user again but does not name them; later events of the
        user are refused.
        """
        ...

    def training(self, tenant: str) -> Training:
        """Return all events as they stand at one moment."""
        ...

    def change_items(
        self, tenant: str, kind: Change, rows: Sequence[Mapping[str, Any]], *, now: float
    ) -> int:
        """Keep a change of the catalogue; return its number.

        Raises:
            DataError: the rows cannot be written as JSON.
        """
        ...

    def item_changes(self, tenant: str, *, after: int = 0) -> list[ItemChange]:
        """Return the changes with a number above `after`, in order."""
        ...

    def create_key(
        self, tenant: str, scopes: Collection[Scope], *, now: float
    ) -> tuple[str, ApiKey]:
        """Make a key; return the text that opens, which is not kept, and what is kept of it."""
        ...

    def key(self, secret: str) -> ApiKey | None:
        """Return the key that such a text opens; None if it opens none, or was revoked."""
        ...

    def keys(self, tenant: str) -> list[ApiKey]:
        """Return the keys of a tenant, revoked ones too, oldest first."""
        ...

    def revoke_key(self, tenant: str, id: str, *, now: float) -> bool:
        """Revoke a key at once; return whether it was there and good."""
        ...

    def healthy(self) -> Health:
        """Say whether the store reads and writes now."""
        ...

    def close(self) -> None:
        """Finish what was begun and let the database go; later calls raise a StoreError."""
        ...
