"""Asking a server over HTTP: one JSON posted, and the body of the first good reply.

A server out of reach is asked again with growing pauses; what it says is measured before it is
believed, and shown only in short, printable lines without the key. The key is read from an
environment variable when it is needed, and goes to no other host.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import IO, Any
from urllib.parse import urlsplit

from warmstart.core.errors import ConfigError, DataError

_ABOUT_THE_CONTENT = frozenset({400, 413, 422})
_WORTH_RETRYING = frozenset({408, 425, 429})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class RefusedError(Exception):
    """The server says that what was sent is at fault."""


class Server:
    """One address of one server.

    Attributes:
        url: the address.
        requests: how many were sent so far, those that failed included.

    Example:
        >>> import time
        >>> clock = {"sleep": time.sleep, "now": time.time, "rng": random.Random()}
        >>> Server("http://localhost:8080/v1", "embeddings", **clock).url
        'http://localhost:8080/v1/embeddings'
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        *,
        sleep: Callable[[float], object],
        now: Callable[[], float],
        rng: random.Random,
        api_key_env: str | None = None,
        timeout_seconds: float = 60.0,
        retries: int = 4,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            base_url: as `plain_address` returns it.
            path: what comes after it.
            sleep: waits so many seconds.
            now: seconds since the epoch.
            rng: spreads the pauses of several clients.
            api_key_env: environment variable of the key; None sends none.
            timeout_seconds: for one answer.
            retries: how often a request is sent again after the server failed.
        """
        self.base_url, self.url = base_url, f"{base_url}/{path}"
        self.requests = 0
        self._sleep, self._now, self._rng = sleep, now, rng
        self._api_key_env, self._timeout, self._retries = api_key_env, timeout_seconds, retries
        self._open = urllib.request.build_opener(_SameHost()).open
        self._counting = threading.Lock()

    def post(self, body: Mapping[str, Any], *, most_bytes: int) -> bytes:
        """Return the body of the first good reply.

        Args:
            body: sent as JSON.
            most_bytes: a longer reply is refused.

        Raises:
            RefusedError: the server says that what was sent is at fault.
            DataError: the server fails, however often it is asked.
            ConfigError: the environment variable of the key is not set.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._api_key_env is not None:
            headers["Authorization"] = f"Bearer {self._key()}"
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), headers, method="POST"
        )
        for attempt in range(self._retries + 1):
            asked_for: str | None = None
            with self._counting:
                self.requests += 1
            try:
                with self._open(request, timeout=self._timeout) as response:
                    return self._body(response, most_bytes)
            except urllib.error.HTTPError as error:
                with error:
                    why = f"HTTP {error.code}: {self._message(error)}"
                if error.code in _ABOUT_THE_CONTENT:
                    raise RefusedError(why) from None
                if error.code not in _WORTH_RETRYING and error.code < 500:
                    raise DataError(
                        f"{self.url} refused the request ({why}); check base_url, model and "
                        "api_key_env"
                    ) from None
                asked_for = error.headers.get("Retry-After")
            except (OSError, UnicodeError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                why = self.shown(f"{type(cause).__name__}: {cause}", 200)
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise DataError(f"{self.url} is not who it says ({why})") from None
            if attempt < self._retries:
                self._sleep(self._pause(attempt, asked_for))
        raise DataError(
            f"{self.url} gave no answer, asked {self._retries + 1} times ({why}); check base_url "
            "and the server, or try later"
        )

    def shown(self, said: object, most: int) -> str:
        """Return what a server said as a line that is safe to show: short, and without the key."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if self._api_key_env is not None:
            text = text.replace(self._key(), "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]

    def _pause(self, attempt: int, asked_for: str | None) -> float:
        """Return seconds to wait: growing, spread, and no shorter than the server asks for."""
        pause = _FIRST_PAUSE * 2.0 ** min(attempt, 20) * self._rng.uniform(0.5, 1.0)
        return min(max(pause, _seconds(asked_for, self._now())), _LONGEST_PAUSE)

    def _body(self, response: http.client.HTTPResponse, most: int) -> bytes:
        """Read a reply that neither drips for ever nor fills the memory."""
        until, parts, size = self._now() + self._timeout, list[bytes](), 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > most:
                raise DataError(f"{self.url} sent more than {most:,} bytes; is base_url right?")
            if self._now() > until:
                raise TimeoutError(f"no end after {self._timeout:g} seconds")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)

    def _message(self, error: urllib.error.HTTPError) -> str:
        """Return what the server says about a failure, in one short line."""
        try:
            text = error.read(10_000)
        except (OSError, http.client.HTTPException):
            return str(error.reason)
        try:
            found = json.loads(text)
            inner = found.get("error", found)
            said = inner.get("message", inner) if isinstance(inner, Mapping) else inner
        except (ValueError, RecursionError, AttributeError):
            said = text
        return self.shown(said, 200) or str(error.reason)

    def _key(self) -> str:
        variable = self._api_key_env or ""
        key = os.environ.get(variable, "").strip()
        if not key:
            raise ConfigError(
                f"the environment variable {variable} is not set; put the key of "
                f"{self.base_url} into it, or set api_key_env to None"
            )
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"the environment variable {variable} holds characters that no key has (line "
                "breaks, letters beyond ASCII); set it again"
            )
        return key


def plain_address(value: str) -> str:
    """Return the base address of a server as it is used, without a slash at its end.

    Raises:
        ConfigError: it is none, or holds what has no place in one, such as a password.
    """
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigError("base_url holds characters that no address has; encode or remove them")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"base_url is no address ({error}); mend it") from None
    if "@" in parts.netloc:
        raise ConfigError(
            "base_url holds a name or a password; put the key into an environment variable and "
            "name that in api_key_env"
        )
    if parts.query or parts.fragment:
        raise ConfigError("base_url holds a query or a fragment (? or #); leave it out")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"base_url={value!r} is not http or https with a host; give one such as "
            "http://localhost:8080/v1"
        )
    return value.rstrip("/")


def name_of_a_variable(value: str | None) -> str | None:
    """Return the name of the environment variable of a key.

    Raises:
        ConfigError: it is no such name; it may be the key itself, so it is not shown.
    """
    if value is not None and not _VARIABLE.fullmatch(value):
        raise ConfigError(
            "api_key_env is not the name of an environment variable in capitals, such as "
            "OPENAI_API_KEY; if it is the key itself, put that into a variable"
        )
    return value


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only where the key may go: to the same host, not from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        safer = (old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname
        if not safer and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise DataError(
                f"{req.full_url} redirects to {new.scheme}://{new.hostname}, where the key and the "
                "texts were not meant to go; if that is right, set base_url to it"
            )
        return urllib.request.Request(newurl, req.data, dict(req.headers), method="POST")


def _seconds(asked_for: str | None, now: float) -> float:
    """Return the seconds of a Retry-After, given in seconds or as a date; 0 where it is neither."""
    if asked_for is None:
        return 0.0
    if asked_for.strip().isdecimal():
        return float(asked_for[:9])
    try:
        return max(0.0, parsedate_to_datetime(asked_for).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0
