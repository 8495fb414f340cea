"""PostgreSQL by URL: SQLAlchemy, psycopg, and the tables of alembic's migrations.

Writers take turns, in this process and in all others, as they do in SQLite: what an append looked
up still holds when it commits, and numbers rise in the order of the commits. Rows that are deleted
leave the server's files when it vacuums and recycles its log, which is the server's to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import alembic.command
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from warmstart.core.errors import ConfigError, MissingExtraError, StoreError
from warmstart.store.database import Connection, Values

MIGRATIONS = Path(__file__).parent / "migrations"

_TURN = 0x57415253  # the lock of whoever writes
_PATIENCE = "10s"
_MOST_CONNECTIONS = 40
_TYPES = {"event": "text", "value": "float8", "timestamp": "float8", "deleted": "float8"}


class PostgresDatabase:
    """A `Database` on a server."""

    def __init__(self, url: str) -> None:
        """Connect, and bring the tables to the newest version.

        Raises:
            ConfigError: the address cannot be read.
            StoreError: the server is out of reach, or its tables are of a newer version.
            MissingExtraError: psycopg is not installed.
        """
        try:
            address = sa.make_url(url).set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(
                address,
                pool_pre_ping=True,
                pool_size=5,
                max_overflow=_MOST_CONNECTIONS - 5,
                connect_args={"client_encoding": "utf8", "connect_timeout": 10},
            )
        except (sa.exc.ArgumentError, ValueError):
            raise ConfigError(
                "the address of the store is none; write postgresql://user@host:5432/database"
            ) from None
        except ImportError as error:
            raise MissingExtraError(error.name or "psycopg", extra="postgres") from None
        self._named = address.set(drivername="postgresql").render_as_string(hide_password=True)
        self._closed = False
        try:
            with self._explained("opened"):
                self._migrate()
        except BaseException:
            self._engine.dispose()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database."""
        with self._explained("read"), self._engine.connect() as connection:
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            yield _Statements(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is on the disk when it closes, or undone if it raises."""
        with self._explained("written"), self._engine.begin() as connection:
            _take_turn(connection)
            yield _Statements(connection)

    def erase(self) -> bool:
        """Leave it to the server's vacuum."""
        return True

    def problem(self) -> str:
        """Return ""; whether the server takes writes is found out by writing."""
        return ""

    def close(self) -> None:
        """Let the connections go."""
        self._closed = True
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        with self._engine.begin() as connection:
            encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
            if encoding != "UTF8":
                raise StoreError(
                    f"the store {self._named} is encoded as {encoding}; make the database with "
                    "ENCODING 'UTF8'"
                )
            _take_turn(connection)
            newer = set(MigrationContext.configure(connection).get_current_heads()) - known
            if newer:
                raise StoreError(
                    f"the store {self._named} is of version {', '.join(sorted(newer))}, which this "
                    "warmstart does not know; install the newer warmstart"
                )
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise what the server raises as an error that says what to do, without the password."""
        if self._closed:
            raise StoreError("the store is closed; open it again")
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            line = (str(cause).splitlines() or [type(cause).__name__])[0]
            raise StoreError(
                f"the store {self._named} cannot be {what} ({line}); look at the server and its log"
            ) from None


class _Statements:
    """A transaction of PostgreSQL."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        found = self._connection.execute(sa.text(sql), dict(values or {}))
        return [tuple(row) for row in found]

    def change(self, sql: str, values: Sequence[Values]) -> int:
        if not values:
            return 0
        return max(0, self._connection.execute(sa.text(sql), list(map(dict, values))).rowcount)

    def insert(self, table: str, rows: Sequence[Values]) -> int:
        """Send columns rather than rows: one statement is many times as fast as one for each."""
        if not rows:
            return 0
        names = list(rows[0])
        columns = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'bytea')}[])" for name in names)
        sql = (
            f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({columns}) "
            "ON CONFLICT DO NOTHING"
        )
        values = {name: [row[name] for row in rows] for name in names}
        return max(0, self._connection.execute(sa.text(sql), values).rowcount)

    def forget(self) -> None:
        pass


def _take_turn(connection: sa.Connection) -> None:
    """Wait until nobody else writes, and let the commit wait for the disk."""
    settings = (
        "set_config('lock_timeout', :most, true), set_config('synchronous_commit', 'on', true)"
    )
    connection.execute(sa.text(f"SELECT {settings}"), {"most": _PATIENCE})
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
