"""SQLite: one file, nothing to set up.

Write-ahead log, and an fsync before a commit returns (`synchronous=FULL`). One connection writes,
any number read. Deleted bytes are overwritten, and the log is emptied after a deletion.

A damaged file is never written to: what can be read of it still is, and `healthy` says that it may
not be all. A new file is made under
another name and moved into place whole, so that an empty file is always a damaged one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from warmstart.core.errors import StoreError
from warmstart.store.database import Connection, Values

_OURS = 0x57415253  # "WARS": the application id in the head of the file
_BUSY_SECONDS = 10.0
_ERASING_MILLISECONDS = 200  # how long emptying the log may wait for readers
_LARGEST_LOG = 64 * 2**20  # bytes that the log may keep while nothing is in it
_HEAD = 100  # bytes of SQLite's header
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "INSERT INTO settings (name, value) VALUES ('salt', :salt)",
        """CREATE TABLE events (
            number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, tenant BLOB NOT NULL,
            event_id BLOB NOT NULL, user_id BLOB NOT NULL, item_id BLOB NOT NULL,
            event TEXT NOT NULL, value REAL, timestamp REAL NOT NULL,
            UNIQUE (tenant, event_id))""",
        "CREATE INDEX events_of_tenant ON events (tenant)",  # which are in the order of number
        "CREATE INDEX events_of_user ON events (tenant, user_id)",
        "CREATE TABLE tombstones (mark BLOB PRIMARY KEY, deleted REAL NOT NULL) WITHOUT ROWID",
        """CREATE TABLE posteriors (
            tenant BLOB NOT NULL, user_id BLOB NOT NULL, model BLOB NOT NULL,
            last_event BLOB NOT NULL, posterior BLOB NOT NULL,
            PRIMARY KEY (tenant, user_id, model))""",
        """CREATE TABLE item_changes (
            number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, tenant BLOB NOT NULL,
            kind TEXT NOT NULL, rows TEXT NOT NULL, timestamp REAL NOT NULL)""",
        "CREATE INDEX item_changes_of_tenant ON item_changes (tenant)",
        """CREATE TABLE api_keys (
            id TEXT NOT NULL PRIMARY KEY, salt BLOB NOT NULL, digest BLOB NOT NULL,
            tenant BLOB NOT NULL, scopes TEXT NOT NULL, created REAL NOT NULL, revoked REAL)""",
    ),
    ("DROP TABLE posteriors",),  # what was meant to be cached there is sooner made again
)
"""Statements that lead from each version of the tables to the next; old ones are never edited."""


class SqliteDatabase:
    """A `Database` in one file."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: it is not a store, is of a newer version, or cannot be opened.
        """
        self.path = Path(path).absolute()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._writer: sqlite3.Connection | None = None
        self._to_erase, self._closed = True, False  # the last process may have been killed
        with self._explained("opened"):
            if not self.path.exists():
                self._create()
            self._damage = self._check()
            if not self._damage:
                with self._connected("rw") as connection:
                    _migrate(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database."""
        with self._explained("read"):
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield _Statements(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            self._readers.put(connection)
            if self._closed:
                self._let_readers_go()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is on the disk when it closes, or undone if it raises."""
        if problem := self.problem():
            raise StoreError(problem)
        with self._explained("written"):
            if self._writer is None:
                self._writer = self._connect("rw")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield _Statements(self._writer, self._forget)
                self._writer.execute("COMMIT")
            except BaseException:  # a new connection knows nothing of what went wrong
                writer, self._writer = self._writer, None
                writer.close()
                raise

    def erase(self) -> bool:
        """Move the log into the file, where deleted bytes are zeros by now, and empty it."""
        if not self._to_erase or self._damage:
            return True
        try:
            self._writer = self._writer or self._connect("rw")
            self._writer.execute(f"PRAGMA busy_timeout = {_ERASING_MILLISECONDS}")
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._writer.execute(f"PRAGMA busy_timeout = {int(1000 * _BUSY_SECONDS)}")
        except sqlite3.Error:
            return False
        self._to_erase = bool(busy)
        return not busy

    def problem(self) -> str:
        """Return why nothing can be written, as far as is known."""
        if self._damage:
            return (
                f"the store {self.path} is damaged ({self._damage}): it is not written to, and "
                "what is read may not be all; keep a copy of it and of the files beside it, and "
                "put a backup in its place"
            )
        return ""

    def close(self) -> None:
        """Let the file go."""
        self._closed = True
        self._let_readers_go()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _forget(self) -> None:
        self._to_erase = True

    def _create(self) -> None:
        """Make a whole store beside the path, then move it there unless there is one by now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        made = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.new")
        try:
            made.touch(mode=0o600)  # what users do is nobody else's business
            with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA application_id = {_OURS}")
                _migrate(connection)
            with contextlib.suppress(FileExistsError):
                os.link(made, self.path)
            _sync_folder(self.path.parent)
        finally:
            made.unlink(missing_ok=True)

    def _check(self) -> str:
        """Return what is wrong with the file, having changed nothing of it.

        Raises:
            StoreError: it is not a store, or of a newer version.
        """
        size = self.path.stat().st_size
        if size < _HEAD:
            raise StoreError(
                f"of the store {self.path} {size} bytes are left, too few to be one; put a backup "
                "in its place, or remove it to begin anew"
            )
        with self._connected("ro") as connection:
            try:
                (application,) = connection.execute("PRAGMA application_id").fetchone()
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT:
                    return str(error)
                raise
            if application != _OURS:
                raise StoreError(f"{self.path} is not a store of warmstart; choose another path")
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"the store {self.path} is of version {version}, this warmstart knows "
                    f"{len(MIGRATIONS)}; install the newer warmstart"
                )
            try:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode in _DAMAGE:
                    return str(error)
                raise
        return "" if found == "ok" else " ".join(str(found).split())

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError("the store is closed; open it again")
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            return self._connect("ro" if self._damage else "rw", query_only=True)

    def _connect(self, mode: str, *, query_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if mode == "ro":  # a file that was cut is read as far as it goes
                connection.execute("PRAGMA writable_schema = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
            if query_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _connected(self, mode: str) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(self._connect(mode)) as connection:
            yield connection

    def _let_readers_go(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise what the database raises as an error that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGE and what != "opened":
                self._damage = str(error)
                raise StoreError(self.problem()) from None
            raise StoreError(
                f"the store {self.path} cannot be {what} ({error}); {_advice(code)}"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the store {self.path} cannot be {what} ({error}); choose another path"
            ) from None


class _Statements:
    """A transaction of SQLite."""

    def __init__(
        self, connection: sqlite3.Connection, forget: Callable[[], None] = lambda: None
    ) -> None:
        self._connection, self.forget = connection, forget

    def rows(self, sql: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values or {}).fetchall()

    def change(self, sql: str, values: Sequence[Values]) -> int:
        return max(0, self._connection.executemany(sql, values).rowcount)

    def insert(self, table: str, rows: Sequence[Values]) -> int:
        if not rows:
            return 0
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        return self.change(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest version, all of the way or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in statements:
                values = {"salt": secrets.token_bytes(32)} if ":salt" in statement else {}
                connection.execute(statement, values)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _advice(code: int) -> str:
    return {
        sqlite3.SQLITE_FULL: "free space on its disk",
        sqlite3.SQLITE_IOERR: "look at its disk: is it full, or failing?",
        sqlite3.SQLITE_BUSY: "another process holds it; try again",
        sqlite3.SQLITE_READONLY: "allow this user to write the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "look whether the folder is there and may be written",
        sqlite3.SQLITE_CORRUPT: "put a backup in its place",
        sqlite3.SQLITE_NOTADB: "it is no SQLite file; put a backup in its place",
    }.get(code, "see what SQLite says")
