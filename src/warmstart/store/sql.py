"""The store, on any database that understands its statements: SQLite and PostgreSQL do."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

from warmstart.core.errors import DataError, StoreError
from warmstart.data.ids import Id
from warmstart.store import api_keys, user_events
from warmstart.store.database import Connection, Database
from warmstart.store.group_commit import GroupCommit
from warmstart.store.packed import packed
from warmstart.store.store import (
    ApiKey,
    Change,
    Event,
    Health,
    ItemChange,
    Receipt,
    Scope,
    Training,
)

T = TypeVar("T")

_TRIED = 2**15
CHANGES = frozenset(get_args(Change))


class SqlStore:
    """A `Store` over a `Database`; see the Protocol for what each method promises.

    Example:
        >>> import tempfile
        >>> from warmstart.store import Event, open_store
        >>> store = open_store(tempfile.mkdtemp() + "/events.sqlite")
        >>> liked = Event("e1", "甲", 912, "like", None, 1.7e9)
        >>> store.append("films", [liked]), store.append("films", [liked]).duplicates
        (Receipt(accepted=1, duplicates=0, refused=()), 1)
        >>> store.events("films", "甲") == [liked], store.events("books", "甲")
        (True, [])
        >>> store.delete_user("films", "甲", now=1.8e9), store.append("films", [liked]).refused
        (1, ('甲',))
        >>> store.close()
    """

    def __init__(self, database: Database) -> None:
        """Serve a database that is open."""
        self._database = database
        self._write = GroupCommit(database.writing, database.erase)
        self._kept_salt: bytes | None = None

    def append(self, tenant: str, events: Sequence[Event]) -> Receipt:
        """Keep events; those whose id is known are counted and left alone."""
        rows, salt = user_events.as_rows(_tenant(tenant), events), self._salt
        return self._write(lambda connection: user_events.append(connection, salt, rows))

    def events(self, tenant: str, user: Id) -> list[Event]:
        """Return the events of a user by timestamp, equal ones in the order they came."""
        whose, who = _tenant(tenant), packed(user, "user")
        return self._read(lambda connection: user_events.of_user(connection, whose, who))

    def recent(self, tenant: str, k: int) -> list[Event]:
        """Return the `k` events that came last, the very last first."""
        whose = _tenant(tenant)
        return self._read(lambda connection: user_events.recent(connection, whose, k))

    def users(self, tenant: str) -> list[Id]:
        """Return everyone who has an event, integers before texts, each in order."""
        whose = _tenant(tenant)
        return self._read(lambda connection: user_events.users(connection, whose))

    def delete_user(self, tenant: str, user: Id, *, now: float) -> int:
        """Delete a user's events; return how many there were."""
        whose, who, salt = _tenant(tenant), packed(user, "user"), self._salt
        return self._write(lambda connection: user_events.delete(connection, salt, whose, who, now))

    def training(self, tenant: str) -> Training:
        """Return all events as they stand at one moment."""
        whose = _tenant(tenant)
        return self._read(lambda connection: user_events.training(connection, whose))

    def change_items(
        self, tenant: str, kind: Change, rows: Sequence[Mapping[str, Any]], *, now: float
    ) -> int:
        """Keep a change of the catalogue; return its number."""
        if kind not in CHANGES:
            raise DataError(f"no change of items is called {kind!r}; give one of {sorted(CHANGES)}")
        try:
            text = json.dumps([dict(row) for row in rows], allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"the rows of items are no JSON: {error}; mend them") from None
        values = {"tenant": _tenant(tenant), "kind": kind, "rows": text, "now": now}

        def keep(connection: Connection) -> int:
            ((number,),) = connection.rows(
                "INSERT INTO item_changes (tenant, kind, rows, timestamp) "
                "VALUES (:tenant, :kind, :rows, :now) RETURNING number",
                values,
            )
            return int(number)

        return self._write(keep)

    def item_changes(self, tenant: str, *, after: int = 0) -> list[ItemChange]:
        """Return the changes with a number above `after`, in order."""
        values = {"tenant": _tenant(tenant), "after": after}
        found = self._read(
            lambda connection: connection.rows(
                "SELECT number, kind, rows, timestamp FROM item_changes "
                "WHERE tenant = :tenant AND number > :after ORDER BY number",
                values,
            )
        )
        return [
            ItemChange(number, cast(Change, kind), tuple(json.loads(rows)), timestamp)
            for number, kind, rows, timestamp in found
        ]

    def create_key(
        self, tenant: str, scopes: Collection[Scope], *, now: float
    ) -> tuple[str, ApiKey]:
        """Make a key; return the text that opens, which is not kept, and what is kept of it."""
        secret, row = api_keys.new(scopes)
        row |= {"tenant": _tenant(tenant), "created": now}
        return secret, self._write(lambda connection: api_keys.insert(connection, row))

    def key(self, secret: str) -> ApiKey | None:
        """Return the key that such a text opens; None if it opens none, or was revoked."""
        return self._read(lambda connection: api_keys.opened(connection, secret))

    def keys(self, tenant: str) -> list[ApiKey]:
        """Return the keys of a tenant, revoked ones too, oldest first."""
        _tenant(tenant)
        return self._read(lambda connection: api_keys.of_tenant(connection, tenant))

    def revoke_key(self, tenant: str, id: str, *, now: float) -> bool:
        """Revoke a key at once; return whether it was there and good."""
        whose = _tenant(tenant)
        return self._write(lambda connection: api_keys.revoke(connection, whose, id, now))

    def healthy(self) -> Health:
        """Say whether the store reads and writes now; the writing is tried."""
        problem = self._database.problem()
        try:
            if not problem:
                self._read(lambda connection: connection.rows("SELECT COUNT(*) FROM settings"))
                self._write(_try)
        except StoreError as error:
            problem = str(error)
        return Health(not problem, problem)

    def close(self) -> None:
        """Finish what was begun and let the database go; later calls raise a StoreError."""
        self._write.close()
        self._database.close()

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._database.reading() as connection:
            return work(connection)

    @property
    def _salt(self) -> bytes:
        """What the marks of tombstones are made with; one for each database."""
        if self._kept_salt is None:
            ((salt,),) = self._read(
                lambda connection: connection.rows(
                    "SELECT value FROM settings WHERE name = :name", {"name": "salt"}
                )
            )
            self._kept_salt = bytes(salt)
        return self._kept_salt


def _tenant(tenant: str) -> bytes:
    if not isinstance(tenant, str) or not tenant:
        raise DataError(f"the tenant is {tenant!r}; give its name")
    return packed(tenant, "tenant", most=64)  # it is part of every index


def _try(connection: Connection) -> None:
    """Write as much as an event takes at most."""
    connection.change(
        "INSERT INTO settings (name, value) VALUES ('tried', :bytes) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [{"bytes": bytes(_TRIED)}],
    )
