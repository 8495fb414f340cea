"""What every request passes before and after its route: keys, limits, logs, and a last net.

In this order: may this page ask at all, whose key is it, has the key asked too often, is there
room, does the body fit and arrive in time. Whoever fails gets a small answer and costs little, so
that memory stays flat whatever comes.

A route that is asked for most may have a shortcut: it is given the whole body of a request that has
passed, and either returns the answer or leaves the request to the app.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from warmstart.service import problems
from warmstart.service.logs import failed, log
from warmstart.service.metrics import Metrics
from warmstart.service.problems import Problem
from warmstart.service.rates import Rates
from warmstart.service.settings import ServiceConfig
from warmstart.service.who import EVERYBODY, Keys, Who

_BEHIND_KEYS = "/v1/"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_RETRY_SECONDS = 1

Shortcut = Callable[[Who, bytes], Awaitable[Response | None]]


class Gate:
    """The ASGI app around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: ServiceConfig,
        keys: Keys,
        metrics: Metrics,
        shortcuts: Mapping[str, Shortcut],
    ) -> None:
        """Set up.

        Args:
            app: what is behind.
            config: the limits.
            keys: whose requests they are.
            metrics: what counts them.
            shortcuts: by path, of POST requests.

        Raises:
            ConfigError: the rate is none.
        """
        self._app, self._config, self._keys, self._metrics = app, config, keys, metrics
        self._shortcuts, self._rates = shortcuts, Rates(config.rate)
        self._running = self._reading = 0
        metrics.running.set_function(lambda: self._running)
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
        keyed = scope["path"].startswith(_BEHIND_KEYS)
        try:
            if keyed:
                headers = dict(scope["headers"])
                who = await self._who(headers)
                scope["state"]["who"] = who
                await self._with_room(scope, headers, who, receive, told.send)
            else:
                await self._app(scope, receive, told.send)
        except Exception as caught:
            error = caught
            if not told.status:
                await problems.response(caught)(scope, receive, told.send)
        took = time.perf_counter() - begun
        method = scope["method"] if scope["method"] in _WITH_BODY | {"GET", "HEAD"} else "other"
        route = scope.get("shortcut") or getattr(scope.get("route"), "path", None) or "unknown"
        self._metrics.took(method, route, told.status, took)
        if keyed:
            about = {
                "request": request, "method": method, "route": route, "status": told.status,
                "ms": round(1000 * took, 2), "tenant": who.tenant if who else None,
                "key": who.key if who else None,
            }  # fmt: skip
            if error is not None and told.status >= 500 and not isinstance(error, Problem):
                failed("request_failed", error, **about)
            else:
                log("request", **about)

    async def _who(self, headers: dict[bytes, bytes]) -> Who:
        _check_page(headers, alone=self._config.no_auth)
        if self._config.no_auth:
            who = EVERYBODY
        else:
            given = headers.get(b"authorization")
            who = await self._keys.who(None if given is None else given.decode("latin-1"))
        if wait := self._rates.wait(who.key):
            self._metrics.refused.labels("rate").inc()
            raise Problem(429, "this key asks too often; wait, then go on", retry_after=wait)
        return who

    async def _with_room(
        self, scope: Scope, headers: dict[bytes, bytes], who: Who, receive: Receive, send: Send
    ) -> None:
        if self._reading >= self._config.most_reading:
            self._full("reading")
        self._reading += 1
        try:
            body = await self._read(scope, headers, receive)
        finally:
            self._reading -= 1
        if self._running >= self._config.most_at_once:
            self._full("running")
        self._running += 1
        try:
            short = self._shortcuts.get(scope["path"]) if scope["method"] == "POST" else None
            if short is not None and body is not None:
                answer = await _shortly(short, who, body)
                if answer is not None:
                    scope["shortcut"] = scope["path"]
                    await answer(scope, receive, send)
                    return
            await self._app(scope, receive if body is None else _again(body, receive), send)
        finally:
            self._running -= 1

    def _full(self, where: str) -> None:
        self._metrics.refused.labels(where).inc()
        raise Problem(503, "too much at once; try again", retry_after=_RETRY_SECONDS)

    async def _read(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> bytes | None:
        """Read the body, no more than may be; None where the method has none."""
        if scope["method"] not in _WITH_BODY:
            return None
        most = self._config.most_body_bytes
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > most:
            raise Problem(413, f"the body has more than {most:,} bytes; send less at once")
        parts, size = list[bytes](), 0
        late = _Deadline(self._config.seconds_to_read)
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the body broke off; send it again")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise Problem(413, f"the body has more than {most:,} bytes; send less at once")
                if not message.get("more_body"):
                    break
        except asyncio.CancelledError:
            if late.passed():
                raise Problem(408, "the body took too long; send it again") from None
            raise
        finally:
            late.end()
        content = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if size and content != b"application/json":
            raise Problem(415, "send JSON, and say so: Content-Type: application/json")
        return parts[0] if len(parts) == 1 else b"".join(parts)


async def _shortly(short: Shortcut, who: Who, body: bytes) -> Response | None:
    try:
        return await short(who, body)
    except problems.TOLD as error:
        return problems.handle(error)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body to the app that was read already."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again


class _Deadline:
    """Cancels the running task after a while; `asyncio.timeout` does at several times the cost."""

    def __init__(self, seconds: float) -> None:
        self._task, self._cancelled = asyncio.current_task(), False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cancel)

    def _cancel(self) -> None:
        assert self._task is not None
        self._cancelled = self._task.cancel()

    def passed(self) -> bool:
        """Whether the task was cancelled by this alone, and so goes on."""
        return self._cancelled and self._task is not None and self._task.uncancel() == 0

    def end(self) -> None:
        self._timer.cancel()


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
    # "null" is what a page says that hides where it is from
    if origin and _netloc(origin) != host:
        raise Problem(403, "pages of other sites may not ask here")
    if alone and not is_loopback(_named(host)):
        raise Problem(403, "without keys the service is reached as localhost alone")


@lru_cache(maxsize=64)
def _named(host: str) -> str:
    """Return the host of a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a broken address
        return ""


@lru_cache(maxsize=64)
def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


@lru_cache(maxsize=64)
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
