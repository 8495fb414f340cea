"""Every failure as one shape of JSON: a code for programs, a message for people.

{"error": {"code": "unknown_item", "message": "'Alein' is not in the catalogue; did you …",
"proposals": ["Alien (1979)"]}}
"""

from __future__ import annotations

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from warmstart.core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    LanguageModelError,
    MissingExtraError,
    StoreError,
    UnknownItemError,
    WarmstartError,
)
from warmstart.service.logs import failed

_KINDS: tuple[tuple[type[WarmstartError], int, str], ...] = (
    (UnknownItemError, 422, "unknown_item"),
    (DataError, 422, "bad_data"),
    (ConfigError, 422, "bad_setting"),
    (ArtifactError, 422, "bad_model"),
    (MissingExtraError, 501, "not_installed"),
    (LanguageModelError, 503, "language_model"),
    (StoreError, 503, "store"),
)
_CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found",
    405: "method_not_allowed", 408: "too_slow", 409: "conflict", 413: "too_large",
    415: "not_json", 429: "too_many_requests", 503: "overloaded",
}  # fmt: skip
_LONGEST = 1_000
_MOST_FAULTS = 5


class Problem(HTTPException):
    """A failure that the service itself finds."""

    def __init__(
        self, status: int, message: str, *, code: str = "", retry_after: int | None = None
    ) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(status, message, headers)
        self.code = code or _CODES.get(status, "error")


def response(error: Exception) -> Response:
    """Return the answer that an exception is told by; unknown ones say nothing of their inside."""
    if isinstance(error, Problem):
        return _answer(error.status_code, error.code, str(error.detail), error.headers)
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "error")
        return _answer(error.status_code, code, str(error.detail), error.headers)
    if isinstance(error, RequestValidationError):
        return _answer(422, "invalid", _faults(error))
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            more: dict[str, Any] = {}
            if isinstance(error, UnknownItemError):
                more["proposals"] = [str(p)[:_LONGEST] for p in error.proposals]
                more |= {"query": str(error.query)[:_LONGEST], "ambiguous": error.ambiguous}
            headers = {"Retry-After": "2"} if status == 503 else None
            return _answer(status, code, str(error), headers, **more)
    return _answer(500, "internal", "something went wrong inside; it is in the service's log")


TOLD = (WarmstartError, HTTPException, RequestValidationError)
"""Exceptions of routes that are answered by what they say."""


def handle(error: Exception) -> Response:
    """Answer an exception of a route; a fault of ours is logged, too."""
    if isinstance(error, StoreError):  # whose words name no user
        failed("store_failed", error, reason=str(error)[:200])
    return response(error)


def _faults(error: RequestValidationError) -> str:
    """Return where the request is not what it must be; never what it holds."""
    found = error.errors()
    shown = [
        f"{'.'.join(str(part)[:50] for part in e['loc'][:8])}: {e['msg']}"
        for e in found[:_MOST_FAULTS]
    ]
    if len(found) > _MOST_FAULTS:
        shown.append(f"and {len(found) - _MOST_FAULTS} more")
    return "; ".join(shown)


def _answer(
    status: int,
    code: str,
    message: str,
    headers: Any = None,  # noqa: ANN401  (a mapping of text, or None)
    **more: Any,  # noqa: ANN401
) -> Response:
    if len(message) > _LONGEST:
        message = message[: _LONGEST - 1] + "…"
    body = {"error": {"code": code, "message": message, **more}}
    # ASCII throughout: a message may quote half a character that UTF-8 cannot spell
    return Response(json.dumps(body), status, headers, media_type="application/json")
