"""Asking a server over HTTP: one JSON sent, and the first reply that is worth reading.

A server out of reach is asked again with growing pauses, and never beyond the caller's deadline;
what it says is measured before it is believed, and shown only in short, printable lines without the
key. The key is read from an environment variable when it is needed, and goes to no other host.
"""

from __future__ import annotations

import json
import os
import random
import re
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.exchange import Answer, Connections, OutOfReachError

_ABOUT_THE_CONTENT = frozenset({400, 413, 422})
_WORTH_RETRYING = frozenset({408, 425, 429})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


_MOST_COUNTED = 10**9  # tokens of one reply; more is no count


class ModelServerConfig(Config):
    """Where a model is asked.

    Attributes:
        base_url: what comes before the path of a question, such as `http://localhost:8080/v1`.
        model: as the server calls it.
        api_key_env: name of the environment variable that holds the key, never the key; None
            sends no key.
        retries: how often a request is sent again after the server failed.
    """

    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    retries: int = Field(4, ge=0)

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        return plain_address(value)

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, value: str | None) -> str | None:
        return name_of_a_variable(value)


class RefusedError(Exception):
    """The server says that what was sent is at fault."""


class Server:
    """One address of one server; safe to share between threads.

    Attributes:
        url: the address.

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
        api_key: str | None = None,
        timeout_seconds: float = 60.0,
        retries: int = 4,
        most_at_once: int | None = None,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            base_url: as `plain_address` returns it.
            path: what comes after it.
            sleep: waits so many seconds.
            now: seconds since the epoch.
            rng: spreads the pauses of several clients.
            api_key_env: environment variable of the key; None sends none.
            api_key: the key itself, instead.
            timeout_seconds: for one answer.
            retries: how often a request is sent again after the server failed.
            most_at_once: requests on their way at one time; further ones wait. None sets no limit.
        """
        self.base_url, self.url = base_url, f"{base_url}/{path}"
        self._sleep, self._now, self._rng = sleep, now, rng
        self._api_key_env, self._api_key = api_key_env, api_key
        self._timeout, self._retries = timeout_seconds, retries
        self._connections = Connections(self.url, now=now, most_at_once=most_at_once)

    @property
    def requests(self) -> int:
        """How many requests were sent so far, those that failed included."""
        return self._connections.requests

    def close(self) -> None:
        """Close the connections that are kept open; the next request opens anew."""
        self._connections.close()

    def post(
        self,
        body: Mapping[str, Any],
        *,
        most_bytes: int,
        within_seconds: float | None = None,
        retries: int | None = None,
    ) -> bytes:
        """Return the body of the first good reply.

        Args:
            body: sent as JSON.
            most_bytes: a longer reply is refused.
            within_seconds: for all tries and pauses together; by default there is no such limit.
            retries: instead of those of the server.

        Raises:
            RefusedError: the server says that what was sent is at fault.
            DataError: the server fails, however often it is asked, or until the time is over.
            ConfigError: the environment variable of the key is not set.
            MissingExtraError: urllib3 is not installed.
        """
        answer = self.send(
            "POST", body, most_bytes=most_bytes, within_seconds=within_seconds, retries=retries
        )
        if 200 <= answer.status < 300:
            return answer.body
        why = f"HTTP {answer.status}: {self._message(answer)}"
        if answer.status in _ABOUT_THE_CONTENT:
            raise RefusedError(why)
        raise DataError(
            f"{self.url} refused the request ({why}); check base_url, model and api_key_env"
        )

    def send(
        self,
        method: str,
        body: Mapping[str, Any] | None = None,
        *,
        path: str = "",
        most_bytes: int,
        within_seconds: float | None = None,
        retries: int | None = None,
    ) -> Answer:
        """Return the first reply that asking again would not change: a good one, or a refusal.

        Args:
            method: of HTTP; one that may be sent twice, or whose body may.
            body: sent as JSON; None sends none.
            path: behind the address, quoted.
            most_bytes: as in `post`.
            within_seconds: as in `post`.
            retries: as in `post`.

        Raises:
            DataError: the server fails, however often it is asked, or until the time is over.
            ConfigError: the environment variable of the key is not set.
            MissingExtraError: urllib3 is not installed.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._api_key_env is not None or self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._key()}"
        content = b"" if body is None else json.dumps(body).encode()
        until = None if within_seconds is None else self._now() + within_seconds
        tries = 1 + (self._retries if retries is None else retries)
        late = f"{self.url} gave no answer within {within_seconds or 0:g} seconds"
        why = "all of them spent on waiting"
        for attempt in range(tries):
            left = float("inf") if until is None else until - self._now()
            if left <= 0:
                raise DataError(f"{late} ({why}); check the server, or give it more time")
            asked_for: str | None = None
            try:
                answer = self._connections.send(
                    content,
                    headers,
                    most_bytes=most_bytes,
                    timeout_seconds=self._timeout,
                    left_seconds=left,
                    method=method,
                    path=path,
                )
            except OutOfReachError as error:
                why = self.shown(f"{type(error.cause).__name__}: {error.cause}", 200)
                if isinstance(error.cause, ssl.SSLCertVerificationError):
                    raise DataError(f"{self.url} is not who it says ({why})") from None
            else:
                if answer.status not in _WORTH_RETRYING and answer.status < 500:
                    return answer
                why = f"HTTP {answer.status}: {self._message(answer)}"
                asked_for = answer.headers.get("Retry-After")
            if attempt + 1 < tries:
                pause = self._pause(attempt, asked_for)
                if until is not None and self._now() + pause >= until:
                    raise DataError(f"{late} ({why}); the next try would come too late")
                self._sleep(pause)
        raise DataError(
            f"{self.url} gave no answer, asked {tries} times ({why}); check base_url and the "
            "server, or try later"
        )

    def shown(self, said: object, most: int) -> str:
        """Return what a server said as a line that is safe to show: short, and without the key."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if self._api_key_env is not None or self._api_key is not None:
            text = text.replace(self._key(), "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]

    def _pause(self, attempt: int, asked_for: str | None) -> float:
        """Return seconds to wait: growing, spread, and no shorter than the server asks for."""
        pause = _FIRST_PAUSE * 2.0 ** min(attempt, 20) * self._rng.uniform(0.5, 1.0)
        return min(max(pause, _seconds(asked_for, self._now())), _LONGEST_PAUSE)

    def _message(self, answer: Answer) -> str:
        """Return what the server says about a failure, in one short line."""
        said: object
        try:
            found = json.loads(answer.body)
            inner = found.get("error", found)
            said = inner.get("message", inner) if isinstance(inner, Mapping) else inner
        except (ValueError, RecursionError, AttributeError):
            said = answer.body
        return self.shown(said, 200) or self.shown(answer.reason, 200)

    def _key(self) -> str:
        variable = self._api_key_env or ""
        key = self._api_key or os.environ.get(variable, "").strip()
        if self._api_key is not None and not (key.isascii() and key.isprintable() and key):
            raise ConfigError("api_key holds characters that no key has; give it as it was made")
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


def tokens_used(usage: object, *keys: str) -> int:
    """Return the tokens that a reply says it used, by the first key that says; 0 where none does.

    Example:
        >>> tokens_used({"prompt_tokens": 7}, "total_tokens", "prompt_tokens"), tokens_used(3, "a")
        (7, 0)
    """
    if isinstance(usage, Mapping):
        for key in keys:
            tokens = usage.get(key)
            if type(tokens) is int and 0 <= tokens <= _MOST_COUNTED:
                return tokens
    return 0
