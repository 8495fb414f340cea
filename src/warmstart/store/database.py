"""What the store asks of a database: transactions, and statements with named values.

The statements are those that SQLite and PostgreSQL both understand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Values = Mapping[str, Any]


class Connection(Protocol):
    """One transaction."""

    def rows(self, sql: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        ...

    def change(self, sql: str, values: Sequence[Values]) -> int:
        """Run a statement for each of the values; return how many rows changed."""
        ...

    def insert(self, table: str, rows: Sequence[Values]) -> int:
        """Insert rows in their order, but none whose key is there; return how many were new."""
        ...

    def forget(self) -> None:
        """Have the bytes that this transaction deletes leave the files, soon after it."""
        ...


class Database(Protocol):
    """Where the tables are. Whatever fails in it is raised as a StoreError."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one moment of the database."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that is on the disk when it closes, or undone if it raises.

        There is one at a time, across all processes.
        """
        ...

    def erase(self) -> bool:
        """Make deleted bytes leave the files; return whether they have left. Never raises."""
        ...

    def problem(self) -> str:
        """Return why nothing can be written, as far as is known; "" if nothing is wrong."""
        ...

    def close(self) -> None:
        """Let the database go."""
        ...


IN_ONE_QUERY = 500


def rows_of(
    database: Connection, sql: str, keys: Sequence[bytes], values: Values
) -> list[tuple[Any, ...]]:
    """Return the rows of a query whose `{keys}` stands for a list of keys of any length."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(keys), IN_ONE_QUERY):
        some = {f"k{i}": key for i, key in enumerate(keys[start : start + IN_ONE_QUERY])}
        names = ", ".join(f":{name}" for name in some)
        found += database.rows(sql.format(keys=names), {**values, **some})
    return found
