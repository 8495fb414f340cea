"""API keys: what opens is shown once; only a salted hash of it is kept.

A key is 256 random bits, so that a fast hash is enough; guesses are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from typing import Any, cast, get_args

from warmstart.core.errors import DataError
from warmstart.store.database import Connection
from warmstart.store.packed import packed, unpacked
from warmstart.store.store import ApiKey, Scope

SCOPES = frozenset(get_args(Scope))

_ID = re.compile("[0-9a-f]{16}")
_SECRET = re.compile(r"ws_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = (b"", b"", b"", "", 0.0, 0.0)  # what a guess at an unknown id is compared with
_COLUMNS = "salt, digest, tenant, scopes, created, revoked"


def new(scopes: Collection[Scope]) -> tuple[str, dict[str, Any]]:
    """Return the text of a new key, and its row without tenant and time.

    Raises:
        DataError: no scope, or one that there is not.
    """
    wrong = set(scopes) - SCOPES
    if wrong or not scopes:
        raise DataError(
            f"scopes {sorted(map(str, wrong))} are not known; give some of {sorted(SCOPES)}"
            if wrong
            else f"a key without scopes opens nothing; give some of {sorted(SCOPES)}"
        )
    id, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
    row = {
        "id": id,
        "salt": salt,
        "digest": _digest(salt, secret),
        "scopes": ",".join(sorted(scopes)),
    }
    return f"ws_{id}_{secret}", row


def insert(connection: Connection, row: dict[str, Any]) -> ApiKey:
    """Keep a key."""
    connection.change(
        f"INSERT INTO api_keys (id, {_COLUMNS}) VALUES "
        "(:id, :salt, :digest, :tenant, :scopes, :created, NULL)",
        [row],
    )
    tenant = str(unpacked(row["tenant"]))
    return ApiKey(row["id"], tenant, _scopes(row["scopes"]), row["created"])


def opened(connection: Connection, secret: str) -> ApiKey | None:
    """Return the key that a text opens."""
    parts = _SECRET.fullmatch(secret)
    id, rest = parts.groups() if parts else ("", "")
    found = connection.rows(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id", {"id": id})
    salt, digest, tenant, scopes, created, revoked = found[0] if found else _NOBODY
    same = hmac.compare_digest(_digest(bytes(salt), rest), bytes(digest))
    if not same or revoked is not None:
        return None
    return ApiKey(id, str(unpacked(tenant)), _scopes(scopes), created)


def of_tenant(connection: Connection, tenant: str) -> list[ApiKey]:
    """Return all keys of a tenant, oldest first."""
    found = connection.rows(
        "SELECT id, scopes, created, revoked FROM api_keys WHERE tenant = :tenant "
        "ORDER BY created, id",
        {"tenant": packed(tenant)},
    )
    return [
        ApiKey(id, tenant, _scopes(scopes), created, revoked)
        for id, scopes, created, revoked in found
    ]


def revoke(connection: Connection, tenant: bytes, id: str, now: float) -> bool:
    """Revoke a key; return whether it was there and good."""
    if not _ID.fullmatch(id):
        return False
    return bool(
        connection.change(
            "UPDATE api_keys SET revoked = :now "
            "WHERE tenant = :tenant AND id = :id AND revoked IS NULL",
            [{"tenant": tenant, "id": id, "now": now}],
        )
    )


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(cast(Scope, scope) for scope in text.split(","))
