"""Addresses of empty stores."""

from pathlib import Path
from secrets import token_hex

import pytest

KINDS = ["sqlite", "postgresql"]


def new_url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Return the address of an empty store; in PostgreSQL it is a schema of its own."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/events-{token_hex(4)}.sqlite"
    import sqlalchemy as sa

    server, name = request.getfixturevalue("postgres"), f"tests_{token_hex(8)}"
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{server}?options=-csearch_path%3D{name}"
