"""A store by its address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.store.sql import SqlStore
from warmstart.store.sqlite import SqliteDatabase
from warmstart.store.store import Store


def open_store(url: str | Path) -> Store:
    """Open a store, and make it if it is not there.

    Args:
        url: `postgresql://user@host/database`, `sqlite:///path` (a fourth slash begins an absolute
            path), or the path of an SQLite file.

    Raises:
        ConfigError: no such kind of address.
        StoreError: the database cannot be opened, or is of a newer version.
        MissingExtraError: PostgreSQL is asked for without the extra `postgres`.

    Example:
        >>> import tempfile
        >>> store = open_store(f"sqlite:///{tempfile.mkdtemp()}/events.sqlite")
        >>> store.healthy()
        Health(ok=True, problem='')
        >>> store.close()
    """
    address = str(url)
    kind, separator, rest = address.partition("://")
    if isinstance(url, Path) or not separator:
        return SqlStore(SqliteDatabase(url))
    if kind == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ConfigError(f"{address!r} names no file; write sqlite:///events.sqlite")
        return SqlStore(SqliteDatabase(unquote(rest[1:])))
    if kind.partition("+")[0] in ("postgresql", "postgres"):
        try:
            from warmstart.store.postgres import PostgresDatabase
        except ImportError as error:
            raise MissingExtraError(error.name or "sqlalchemy", extra="postgres") from None
        return SqlStore(PostgresDatabase(address))
    raise ConfigError(
        f"no store is reached by {kind}://; write sqlite:///path, a path, or postgresql://…"
    )
