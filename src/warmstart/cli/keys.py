"""`warmstart keys`: who may use a service."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import check_folder, write_json
from warmstart.core.errors import ConfigError
from warmstart.store import ApiKey, open_store
from warmstart.store.store import Scope

app = typer.Typer(help="Keys of a service.", no_args_is_help=True, add_completion=False)

_Store = Annotated[
    str, typer.Option(help="The service's store: a file, sqlite:///PATH, postgresql://…")
]
_Tenant = Annotated[str, typer.Option(help="Whose data the key opens.")]
_Json = Annotated[Path | None, typer.Option(help="Write JSON; - for stdout.")]


@app.callback()
def _keys() -> None:
    """Make, list and revoke keys."""


@app.command()
def create(
    store: _Store = "warmstart.sqlite",
    tenant: _Tenant = "default",
    scopes: Annotated[
        str, typer.Option(help="read, write or admin; each holds those before it.")
    ] = "read,write",
    json: _Json = None,
) -> None:
    """Make a key and print it; it is shown this once, for only a hash of it is kept."""
    check_folder(json)
    wanted = {word.strip() for word in scopes.split(",") if word.strip()}
    known = get_args(Scope)
    if not wanted or wanted - set(known):
        raise ConfigError(f"--scopes {scopes!r}: give some of {', '.join(known)}")
    kept = open_store(store)
    try:
        secret, key = kept.create_key(tenant, wanted, now=time.time())  # type: ignore[arg-type]
    finally:
        kept.close()
    if json is not None:
        write_json(json, {"key": secret} | _plain(key))
    else:
        typer.echo(secret)


@app.command("list")
def list_(
    store: _Store = "warmstart.sqlite", tenant: _Tenant = "default", json: _Json = None
) -> None:
    """List the keys of a tenant, without their secrets."""
    check_folder(json)
    kept = open_store(store)
    try:
        found = kept.keys(tenant)
    finally:
        kept.close()
    if json is not None:
        write_json(json, [_plain(key) for key in found])
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("id", "scopes", "created", "revoked"):
        table.add_column(title)
    for key in found:
        plain = _plain(key)
        table.add_row(key.id, " ".join(plain["scopes"]), plain["created"], plain["revoked"] or "")
    Console().print(table)


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="As `warmstart keys list` shows it.")],
    store: _Store = "warmstart.sqlite",
    tenant: _Tenant = "default",
) -> None:
    """Revoke a key; a running service refuses it a second later."""
    kept = open_store(store)
    try:
        done = kept.revoke_key(tenant, id, now=time.time())
    finally:
        kept.close()
    if not done:
        raise ConfigError(f"no good key of {tenant!r} is called {id!r}; see: warmstart keys list")
    typer.echo(f"{id} is revoked")


def _plain(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "created": _day(key.created),
        "revoked": None if key.revoked is None else _day(key.revoked),
    }


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
