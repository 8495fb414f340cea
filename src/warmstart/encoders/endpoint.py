"""Text to vectors by any server that speaks OpenAI's `/v1/embeddings`.

What the server says is untrusted: replies are matched to texts by their `index`, measured, and
refused where they do not fit. A text that the server refuses is found by halving its batch, so that
the others keep their vectors; a server out of reach is asked again with growing pauses. The key is
read from an environment variable when it is needed, and never stands in settings or messages.

Reference: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import IO, Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field, field_validator

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray
from warmstart.encoders.text import chunked, pooled, read_text

_PROBE = "warmstart"  # a text that no server has reason to refuse
_ABOUT_THE_TEXTS = frozenset({400, 413, 422})
_WORTH_RETRYING = frozenset({408, 425, 429})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_BYTES_PER_TEXT = 1_000_000  # of a reply: some forty thousand numbers
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class EndpointConfig(Config):
    """Settings of an embeddings endpoint.

    Attributes:
        base_url: what comes before `/embeddings`, such as `http://localhost:8080/v1`.
        model: as the server calls it.
        api_key_env: name of the environment variable that holds the key, never the key; None
            sends no key.
        dim: width of the vectors; by default the server is asked once, with one short text.
        chunk_chars: a longer text is cut into pieces of at most so many characters.
        most_chars: what comes after so many characters of one text is not read.
        batch_size: pieces in one request.
        timeout_seconds: for one answer.
        retries: how often a request is sent again after the server failed.
        usd_per_million_tokens: what the server's owner charges.
    """

    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    dim: int | None = Field(None, ge=1)
    chunk_chars: int = Field(1_000, ge=20)
    most_chars: int = Field(20_000, ge=20)
    batch_size: int = Field(64, ge=1)
    timeout_seconds: float = Field(60.0, gt=0)
    retries: int = Field(4, ge=0)
    usd_per_million_tokens: float = Field(0.0, ge=0)

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ConfigError(
                "base_url holds characters that no address has; encode or remove them"
            )
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

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ConfigError(  # without the value: it may be the key
                "api_key_env is not the name of an environment variable in capitals, such as "
                "OPENAI_API_KEY; if it is the key itself, put that into a variable"
            )
        return value


@dataclass(frozen=True, slots=True)
class Spent:
    """What an endpoint has cost so far.

    Attributes:
        requests: how many were sent, those that failed included.
        tokens: as the server counted them.
        usd: tokens times the price in the settings.
    """

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0


class EndpointEncoder:
    """Encode texts by an OpenAI-compatible endpoint.

    Attributes:
        spent: requests, tokens and dollars so far.

    Example:
        >>> settings = {"base_url": "http://localhost:8080/v1", "model": "bge-m3", "dim": 1024}
        >>> encoder = EndpointEncoder(EndpointConfig.parse(settings))
        >>> encoder.name, encoder.dim, encoder.spent
        ('bge-m3', 1024, Spent(requests=0, tokens=0, usd=0.0))
    """

    config_type: ClassVar[type[Config]] = EndpointConfig

    def __init__(
        self,
        config: Config | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Set up an encoder; nothing is sent yet.

        Args:
            config: where and what to ask.
            sleep: waits so many seconds.
            now: seconds since the epoch.
            rng: spreads the pauses of several clients.

        Raises:
            ConfigError: no settings are given: there is no default server.
        """
        self.config: Any = config or EndpointConfig.parse({})
        self.spent = Spent()
        self._sleep, self._now, self._rng = sleep, now, rng or random.Random()
        self._open = urllib.request.build_opener(_SameHost()).open
        self._counting = threading.Lock()
        self._proven = False  # has the server ever embedded anything?

    @property
    def name(self) -> str:
        """What the server calls the model."""
        return str(self.config.model)

    @property
    def version(self) -> str:
        """The server, and how texts are cut."""
        config = self.config
        return f"{config.base_url} chunk={config.chunk_chars} most={config.most_chars}"

    @cached_property
    def dim(self) -> int:
        """Width of the vectors: as set, or as the server answers.

        Raises:
            DataError: the server is out of reach, or its answer is none.
        """
        if self.config.dim is not None:
            return int(self.config.dim)
        try:
            answer = self._asked([_PROBE])[0]
        except _RefusedError as error:
            answer = f"refuses any text: {error}"
        if isinstance(answer, str):
            raise DataError(f"{self._url} {answer}; check base_url and model")
        return len(answer)

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return a text as UTF-8, or None where there is none.

        Raises:
            DataError: it is no text.
        """
        return read_text(content)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, dim) vectors of length 1, and why some have none.

        A server that goes away half-way leaves what it gave before: that has been paid for.

        Raises:
            DataError: the server is out of reach, or refuses whatever it is asked.
            ConfigError: the environment variable of the key is not set.
        """
        dim, refused = self.dim, dict[str, str]()
        gone: DataError | None = None
        received = 0

        def embed(pieces: list[str]) -> FloatArray:
            nonlocal gone, received
            rows = np.full((len(pieces), dim), np.nan, np.float32)
            try:
                answers = [] if gone else self._halved(pieces)
            except DataError as error:
                if not received:
                    raise
                gone, answers = error, []
            if gone:
                refused.update(dict.fromkeys(pieces, str(gone)))
                return rows
            for row, (piece, answer) in enumerate(zip(pieces, answers, strict=True)):
                if isinstance(answer, str):
                    refused[piece] = f"{self._url} {answer}"
                elif len(answer) != dim:
                    refused[piece] = (
                        f"{self._url} sent a vector of {len(answer)} numbers, not dim={dim}; set "
                        f"dim={len(answer)}"
                    )
                else:
                    rows[row] = answer
                    received += 1
            return rows

        config = self.config
        out, causes = pooled(
            embed,
            contents,
            dim=dim,
            chunk_chars=config.chunk_chars,
            most_chars=config.most_chars,
            batch_size=config.batch_size,
        )
        for place in causes:
            text = contents[place].decode("utf-8", "replace")[: config.most_chars]
            why = (refused[p] for p in chunked(text, config.chunk_chars) if p in refused)
            causes[place] = next(why, causes[place])
            out[place] = 0
        return out, causes

    @property
    def _url(self) -> str:
        return f"{self.config.base_url}/embeddings"

    def _halved(self, pieces: list[str]) -> list[FloatArray | str]:
        """Return a vector or a cause for each piece; a batch that is refused is asked in halves."""
        try:
            return self._asked(pieces)
        except _RefusedError as error:
            if not self._proven:  # is it these texts, or would any text be refused?
                try:
                    self._asked([_PROBE])
                except _RefusedError as any_text:
                    raise DataError(
                        f"{self._url} refuses any text: {any_text}; check base_url and model"
                    ) from None
            if len(pieces) == 1:
                return [f"refused the text: {error}; shorten it or leave it out"]
            middle = len(pieces) // 2
            return self._halved(pieces[:middle]) + self._halved(pieces[middle:])

    def _asked(self, pieces: list[str]) -> list[FloatArray | str]:
        """Return a vector or a cause for each piece, from one request that is retried.

        Raises:
            _RefusedError: the server says that the texts are at fault.
            DataError: the server fails, however often it is asked.
        """
        reply = self._answer(pieces)
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError):
            return [f"sent no JSON ({self._shown(reply, 60)!r})"] * len(pieces)
        usage = found.get("usage") if isinstance(found, Mapping) else None
        self._count(tokens=_tokens(usage))
        answers = _matched(found, len(pieces))
        self._proven |= any(not isinstance(answer, str) for answer in answers)
        return answers

    def _answer(self, pieces: list[str]) -> bytes:
        """Return the body of the first good reply."""
        config = self.config
        body = {"model": config.model, "input": pieces, "encoding_format": "float"}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if config.api_key_env is not None:
            headers["Authorization"] = f"Bearer {self._key()}"
        request = urllib.request.Request(
            self._url, json.dumps(body).encode(), headers, method="POST"
        )
        for attempt in range(config.retries + 1):
            asked_for: str | None = None
            self._count(requests=1)
            try:
                with self._open(request, timeout=config.timeout_seconds) as response:
                    return self._body(response, _BYTES_PER_TEXT * (1 + len(pieces)))
            except urllib.error.HTTPError as error:
                with error:
                    why = f"HTTP {error.code}: {self._message(error)}"
                if error.code in _ABOUT_THE_TEXTS:
                    raise _RefusedError(why) from None
                if error.code not in _WORTH_RETRYING and error.code < 500:
                    raise DataError(
                        f"{self._url} refused the request ({why}); check base_url, model and "
                        "api_key_env"
                    ) from None
                asked_for = error.headers.get("Retry-After")
            except (OSError, UnicodeError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                why = self._shown(f"{type(cause).__name__}: {cause}", 200)
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise DataError(f"{self._url} is not who it says ({why})") from None
            if attempt < config.retries:
                self._sleep(self._pause(attempt, asked_for))
        raise DataError(
            f"{self._url} gave no answer, asked {config.retries + 1} times ({why}); check base_url "
            "and the server, or try later"
        )

    def _pause(self, attempt: int, asked_for: str | None) -> float:
        """Return seconds to wait: growing, spread, and no shorter than the server asks for."""
        pause = _FIRST_PAUSE * 2.0 ** min(attempt, 20) * self._rng.uniform(0.5, 1.0)
        return min(max(pause, _seconds(asked_for, self._now())), _LONGEST_PAUSE)

    def _body(self, response: http.client.HTTPResponse, most: int) -> bytes:
        """Read a reply that neither drips for ever nor fills the memory."""
        until, parts, size = self._now() + self.config.timeout_seconds, list[bytes](), 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > most:
                raise DataError(f"{self._url} sent more than {most:,} bytes; is base_url right?")
            if self._now() > until:
                raise TimeoutError(f"no end after {self.config.timeout_seconds:g} seconds")
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
        return self._shown(said, 200) or str(error.reason)

    def _shown(self, said: object, most: int) -> str:
        """Return what a server said as a line that is safe to show: short, and without the key."""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if self.config.api_key_env is not None:
            text = text.replace(self._key(), "***")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]

    def _key(self) -> str:
        variable = self.config.api_key_env
        key = os.environ.get(variable, "").strip()
        if not key:
            raise ConfigError(
                f"the environment variable {variable} is not set; put the key of "
                f"{self.config.base_url} into it, or set api_key_env to None"
            )
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"the environment variable {variable} holds characters that no key has (line "
                "breaks, letters beyond ASCII); set it again"
            )
        return key

    def _count(self, *, requests: int = 0, tokens: int = 0) -> None:
        with self._counting:
            total = self.spent.tokens + tokens
            usd = total * self.config.usd_per_million_tokens / 1e6
            self.spent = Spent(self.spent.requests + requests, total, usd)


class _RefusedError(Exception):
    """The server says that a text of the batch is at fault."""


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


def _tokens(usage: object) -> int:
    """Return the tokens that a reply says it used; 0 where it does not say."""
    if isinstance(usage, Mapping):
        for key in ("total_tokens", "prompt_tokens"):
            tokens = usage.get(key)
            if type(tokens) is int and tokens >= 0:
                return tokens
    return 0


def _matched(reply: object, n: int) -> list[FloatArray | str]:
    """Return a vector or a cause for each of `n` texts, matched by the index in the reply."""
    entries = reply.get("data") if isinstance(reply, Mapping) else None
    if not isinstance(entries, list):
        return ["sent JSON without a list under 'data'"] * n
    if len(entries) != n:
        return [f"sent {len(entries)} vectors for {n} texts"] * n
    rows: dict[int, object] = {}
    for entry in entries:
        index = entry.get("index") if isinstance(entry, Mapping) else None
        if type(index) is not int or not 0 <= index < n or index in rows:
            return ["sent a vector whose index is missing, out of range or there twice"] * n
        rows[index] = entry.get("embedding")
    return [_vector(rows[i]) for i in range(n)]


def _vector(found: object) -> FloatArray | str:
    if not isinstance(found, list) or not found or any(type(x) not in (int, float) for x in found):
        return "sent no list of numbers as the vector of this text"
    try:
        row = np.array(found, np.float64)
    except OverflowError:  # a whole number beyond any float
        row = np.array([np.inf])
    if not (np.abs(row) <= np.finfo(np.float32).max).all():
        return "sent a vector that is not finite; leave the text out"
    return row.astype(np.float32)
