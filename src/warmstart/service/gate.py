"""What every request passes before and after its route: keys, limits, logs, and a last net.

In this order: may this page ask at all, whose key is it, has the key asked too often, is there
room, does the body fit and arrive in time. Whoever fails gets a small answer and costs little, so
that memory stays flat whatever comes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import secrets
import time
from urllib.parse import urlsplit

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from warmstart.core.errors import ConfigError
from warmstart.service import problems
from warmstart.service.logs import failed, log
from warmstart.service.metrics import Metrics
from warmstart.service.problems import Problem
from warmstart.service.settings import ServiceConfig
from warmstart.service.who import EVERYBODY, Keys, Who

_BEHIND_KEYS = "/v1/"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_RETRY_SECONDS = 1


class Gate:
    """The middleware around the whole app."""

    def __init__(
        self, app: ASGIApp, *, config: ServiceConfig, keys: Keys, metrics: Metrics
    ) -> None:
        """Set up.

        Raises:
            ConfigError: the rate is none.
        """
        self._app, self._config, self._keys, self._metrics = app, config, keys, metrics
        try:
            self._rate = parse(config.rate)
        except ValueError:
            raise ConfigError(
                f"rate={config.rate!r} is none; write one such as 600/minute"
            ) from None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._running = self._reading = 0
        self._process, self._numbers = secrets.token_hex(4), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, told = time.perf_counter(), _Told(send)
        who, error = None, None
        scope.setdefault("state", {})["request"] = request = (
            f"{self._process}-{next(self._numbers)}"
        )
        try:
            if scope["path"].startswith(_BEHIND_KEYS):
                who = await self._who(scope)
                scope["state"]["who"] = who
                await self._with_room(scope, receive, told.send)
            else:
                await self._app(scope, receive, told.send)
        except Exception as caught:
            error = caught
            if not told.status:
                await problems.response(caught)(scope, receive, told.send)
        took = time.perf_counter() - begun
        method = scope["method"] if scope["method"] in _WITH_BODY | {"GET", "HEAD"} else "other"
        route = getattr(scope.get("route"), "path", None) or "unknown"
        self._metrics.took(method, route, told.status, took)
        if scope["path"].startswith(_BEHIND_KEYS):
            about = {
                "request": request, "method": method, "route": route, "status": told.status,
                "ms": round(1000 * took, 2), "tenant": who.tenant if who else None,
                "key": who.key if who else None,
            }  # fmt: skip
            if error is not None and told.status >= 500 and not isinstance(error, Problem):
                failed("request_failed", error, **about)
            else:
                log("request", **about)

    async def _who(self, scope: Scope) -> Who:
        headers = dict(scope["headers"])
        _check_page(headers, alone=self._config.no_auth)
        if self._config.no_auth:
            who = EVERYBODY
        else:
            given = headers.get(b"authorization")
            who = await self._keys.who(None if given is None else given.decode("latin-1"))
        if not await self._limiter.hit(self._rate, who.key):
            self._metrics.refused.labels("rate").inc()
            seconds = max(1, round(self._rate.get_expiry()))
            window = await self._limiter.get_window_stats(self._rate, who.key)
            left = min(seconds, max(1, int(window.reset_time - time.time()) + 1))
            raise Problem(429, "this key asks too often; wait, then go on", retry_after=left)
        return who

    async def _with_room(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._reading >= self._config.most_reading:
            self._full("reading")
        self._reading += 1
        try:
            receive = await self._read(scope, receive)
        finally:
            self._reading -= 1
        if self._running >= self._config.most_at_once:
            self._full("running")
        self._running += 1
        self._metrics.running.set(self._running)
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
            self._metrics.running.set(self._running)

    def _full(self, where: str) -> None:
        self._metrics.refused.labels(where).inc()
        raise Problem(503, "too much at once; try again", retry_after=_RETRY_SECONDS)

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, no more than may be, and return what gives it to the app."""
        if scope["method"] not in _WITH_BODY:
            return receive
        most = self._config.most_body_bytes
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > most:
            raise Problem(413, f"the body has more than {most:,} bytes; send less at once")
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(self._config.seconds_to_read):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the body broke off; send it again")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise Problem(
                            413, f"the body has more than {most:,} bytes; send less at once"
                        )
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Problem(408, "the body took too long; send it again") from None
        content = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if size and content != b"application/json":
            raise Problem(415, "send JSON, and say so: Content-Type: application/json")
        whole: list[Message] = [
            {"type": "http.request", "body": b"".join(parts), "more_body": False}
        ]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return again


class _Told:
    """Remembers the status of an answer on its way."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _check_page(headers: dict[bytes, bytes], *, alone: bool) -> None:
    """Refuse other sites' pages, which a browser lets ask us in our user's name.

    Args:
        headers: of the request.
        alone: whether the service is open to this machine, and so must be named as such: a name
            that somebody else's name server points here is refused.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and origin != "null" and urlsplit(origin).netloc != host:
        raise Problem(403, "pages of other sites may not ask here")
    if alone and not is_loopback(urlsplit(f"//{host}").hostname or ""):
        raise Problem(403, "without keys the service is reached as localhost alone")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and nothing else.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "a.b")]
        [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
