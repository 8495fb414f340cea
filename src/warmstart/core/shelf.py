"""Bytes by key in one SQLite file: several processes may share it, and a crash leaves it whole.

What lies on a shelf can be made again: a file that is damaged is put aside and begun anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from warmstart.core.errors import ConfigError

_VARIABLES = 500  # in one query


def key_of(*parts: bytes) -> bytes:
    """Return one key for parts in their order; no other parts have it.

    Example:
        >>> key_of(b"ab", b"c") == key_of(b"a", b"bc")
        False
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class Shelf:
    """Bytes by key, in one file.

    Example:
        >>> import tempfile
        >>> shelf = Shelf(Path(tempfile.mkdtemp()) / "films.sqlite")
        >>> shelf.put({b"1": b"Alien"})
        >>> shelf.get([b"1", b"2"]), len(shelf)
        ({b'1': b'Alien'}, 1)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        what: str = "cache",
        table: str = "entries",
        column: str = "value",
    ) -> None:
        """Open a shelf.

        Args:
            path: the file; it is made if it is not there.
            what: is called so in messages.
            table: in the file.
            column: of the bytes.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.path = Path(path)
        self._table, self._column = table, column
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self.path.replace(self.path.with_suffix(".damaged"))
                self._open()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the {what} {self.path} cannot be written ({error}); choose another path"
            ) from None

    def __len__(self) -> int:
        with self._connected() as database:
            return int(database.execute(f"SELECT COUNT(*) FROM {self._table}").fetchone()[0])

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is there, by key."""
        found: dict[bytes, bytes] = {}
        with self._connected() as database:
            for start in range(0, len(keys), _VARIABLES):
                some = keys[start : start + _VARIABLES]
                marks = ",".join("?" * len(some))
                found.update(
                    database.execute(
                        f"SELECT key, {self._column} FROM {self._table} WHERE key IN ({marks})",
                        some,
                    )
                )
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Add bytes by key, in place of those that were there."""
        with self._connected() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", list(values.items())
            )

    def _open(self) -> None:
        with self._connected() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} "
                f"(key BLOB PRIMARY KEY, {self._column} BLOB NOT NULL) WITHOUT ROWID"
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()
