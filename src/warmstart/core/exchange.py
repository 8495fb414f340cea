"""One request to a server and one answer, in bounded time and memory, over urllib3.

A request runs in a thread of its own, so that nothing holds its caller beyond the deadline: no name
server, no header that never ends. It follows redirects only where the key may go.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from warmstart.core.errors import DataError, MissingExtraError

_MOVED = frozenset({301, 302, 303, 307, 308})
_MOST_MOVES = 5
_BYTES_OF_AN_ERROR = 10_000


class OutOfReachError(Exception):
    """There was no whole answer.

    Attributes:
        cause: the plain error underneath.
    """

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause
        super().__init__(str(cause))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: as HTTP numbers it.
        reason: the server's word for it.
        headers: by name, in whatever case.
        body: all of it, or the beginning of a long error.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """The way to one address; safe to share between threads.

    Attributes:
        requests: how many were sent so far, redirected ones too.

    Example:
        >>> Connections("http://localhost:8080/v1/models", now=lambda: 0.0).requests
        0
    """

    def __init__(
        self, url: str, *, now: Callable[[], float], most_at_once: int | None = None
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            url: the address.
            now: seconds.
            most_at_once: requests on their way at one time; further ones wait. None sets no limit.
        """
        self.url, self.requests = url, 0
        self._now, self._most_at_once = now, most_at_once
        self._slots = threading.Semaphore(most_at_once) if most_at_once else None
        self._counting = threading.Lock()

    def send(
        self,
        content: bytes,
        headers: Mapping[str, str],
        *,
        most_bytes: int,
        timeout_seconds: float,
        left_seconds: float,
        method: str = "POST",
        path: str = "",
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Whoever gives up leaves the thread to its own timeouts; until then it keeps its slot, so
        that the server never sees more requests at once than it should.

        Args:
            content: of the request.
            headers: of the request.
            most_bytes: a longer good reply is refused.
            timeout_seconds: for the answer.
            left_seconds: for waiting until others are through, and for the answer.
            method: of HTTP.
            path: behind the address, quoted.

        Raises:
            OutOfReachError: there is no whole answer within the time.
            DataError: it is too long, or the server sends us elsewhere.
            MissingExtraError: urllib3 is not installed.
        """
        began = self._now()
        got = self._slots is None or self._slots.acquire(
            timeout=min(left_seconds, threading.TIMEOUT_MAX)
        )
        seconds = min(timeout_seconds, left_seconds - (self._now() - began))
        if not got:
            busy = f"{self._most_at_once} other requests took all the time"
            raise OutOfReachError(TimeoutError(busy))
        found: Future[Answer] = Future()

        def ask() -> None:
            try:
                with _failures():
                    found.set_result(
                        self._exchange(method, path, content, headers, most_bytes, seconds)
                    )
            except BaseException as error:
                found.set_exception(error)
            finally:
                if self._slots:
                    self._slots.release()

        threading.Thread(target=ask, daemon=True, name="warmstart-http").start()
        try:
            return found.result(max(seconds, 0.0))
        except TimeoutError:
            raise OutOfReachError(TimeoutError("timed out")) from None

    def close(self) -> None:
        """Close what is kept open; the next request opens anew."""
        if "_pool" in self.__dict__:
            self._pool.clear()

    def _exchange(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        most: int,
        seconds: float,
    ) -> Answer:
        """Send one request, follow it where the key may go, and read what comes back."""
        if seconds <= 0:
            raise TimeoutError("timed out")
        url = self.url + path
        for _ in range(_MOST_MOVES):
            with self._counting:
                self.requests += 1
            response = self._pool.request(
                method,
                url,
                body=content,
                headers=headers,
                timeout=seconds,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,  # a small reply may unpack to a large one
            )
            try:
                to = urljoin(url, response.headers.get("Location") or url)
                web = urlsplit(to).scheme in ("http", "https")
                if response.status not in _MOVED or to == url or not web:
                    good = 200 <= response.status < 300
                    body = self._body(response, most, seconds) if good else _excuse(response)
                    return Answer(response.status, response.reason or "", response.headers, body)
                _check_move(url, to)
                url = to
            finally:
                response.close()
        raise OSError(f"redirected more than {_MOST_MOVES} times")

    def _body(self, response: Any, most: int, seconds: float) -> bytes:  # noqa: ANN401
        """Read a reply that neither drips for ever nor fills the memory."""
        until, parts, size = self._now() + seconds, list[bytes](), 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > most:
                raise DataError(f"{self.url} sent more than {most:,} bytes; is base_url right?")
            if self._now() > until:
                raise TimeoutError(f"no end after {seconds:g} seconds")
        return b"".join(parts)

    @cached_property
    def _pool(self) -> Any:  # noqa: ANN401
        """Connections, kept open and through the proxy of the environment, if there is one."""
        urllib3, parts = _urllib3(), urlsplit(self.url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        size = self._most_at_once or 4
        if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
            return urllib3.PoolManager(maxsize=size)
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        name = f"{unquote(place.username or '')}:{unquote(place.password or '')}"
        return urllib3.ProxyManager(
            f"{place.scheme}://{place.netloc.rpartition('@')[2]}",
            maxsize=size,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=name) if len(name) > 1 else None,
        )


def _excuse(response: Any) -> bytes:  # noqa: ANN401
    """Return the beginning of what a server says about a failure; nothing if it breaks off."""
    try:
        return bytes(response.read(_BYTES_OF_AN_ERROR))
    except (_urllib3().exceptions.HTTPError, OSError):
        return b""


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turn whatever goes wrong on the way into one error with the plain cause."""
    known = _urllib3().exceptions
    try:
        yield
    except (known.HTTPError, OSError, ValueError) as error:
        inner = [part for part in error.args if isinstance(part, BaseException)]
        cause = next(iter(inner), error.__cause__) or error
        if isinstance(cause, known.TimeoutError):
            cause = TimeoutError("timed out")
        raise OutOfReachError(cause) from None


def _check_move(url: str, to: str) -> None:
    """Refuse a redirect to where the key may not go: another host, or from https to http."""
    old, new = urlsplit(url), urlsplit(to)
    safer = (old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname
    if not safer and (old.scheme, old.netloc) != (new.scheme, new.netloc):
        raise DataError(
            f"{url} redirects to {new.scheme}://{new.hostname}, where the key and the texts were "
            "not meant to go; if that is right, set base_url to it"
        )


def _urllib3() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("urllib3")
    except ImportError:
        raise MissingExtraError("urllib3", extra="endpoint") from None
