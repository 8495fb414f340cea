"""Text to vectors by any server that speaks OpenAI's `/v1/embeddings`.

What the server says is untrusted: replies are matched to texts by their `index`, measured, and
refused where they do not fit. A text that the server refuses is found by halving its batch, so that
the others keep their vectors. How the server is asked, and where its key may go, is `core/http.py`.

Reference: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.core.http import ModelServerConfig, RefusedError, Server, tokens_used
from warmstart.core.types import FloatArray
from warmstart.encoders.text import chunked, pooled, read_text

_PROBE = "warmstart"  # a text that no server has reason to refuse
_BYTES_PER_TEXT = 1_000_000  # of a reply: some forty thousand numbers


class EndpointConfig(ModelServerConfig):
    """Settings of an embeddings endpoint, beside those of every server.

    Attributes:
        dim: width of the vectors; by default the server is asked once, with one short text.
        chunk_chars: a longer text is cut into pieces of at most so many characters.
        most_chars: what comes after so many characters of one text is not read.
        batch_size: pieces in one request.
        timeout_seconds: for one answer.
        usd_per_million_tokens: what the server's owner charges.
    """

    dim: int | None = Field(None, ge=1)
    chunk_chars: int = Field(1_000, ge=20)
    most_chars: int = Field(20_000, ge=20)
    batch_size: int = Field(64, ge=1)
    timeout_seconds: float = Field(60.0, gt=0)
    usd_per_million_tokens: float = Field(0.0, ge=0)


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
        chosen: Any = config or EndpointConfig.parse({})
        self.config = chosen
        self._server = Server(
            chosen.base_url,
            "embeddings",
            sleep=sleep,
            now=now,
            rng=rng or random.Random(),
            api_key_env=chosen.api_key_env,
            timeout_seconds=chosen.timeout_seconds,
            retries=chosen.retries,
        )
        self._tokens = 0
        self._counting = threading.Lock()
        self._proven = False  # has the server ever embedded anything?

    @property
    def spent(self) -> Spent:
        """Requests, tokens and dollars so far."""
        usd = self._tokens * self.config.usd_per_million_tokens / 1e6
        return Spent(self._server.requests, self._tokens, usd)

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
        except RefusedError as error:
            answer = f"refuses any text: {error}"
        if isinstance(answer, str):
            raise DataError(f"{self._server.url} {answer}; check base_url and model")
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
                    refused[piece] = f"{self._server.url} {answer}"
                elif len(answer) != dim:
                    refused[piece] = (
                        f"{self._server.url} sent a vector of {len(answer)} numbers, not "
                        f"dim={dim}; set dim={len(answer)}"
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

    def _halved(self, pieces: list[str]) -> list[FloatArray | str]:
        """Return a vector or a cause for each piece; a batch that is refused is asked in halves."""
        try:
            return self._asked(pieces)
        except RefusedError as error:
            if not self._proven:  # is it these texts, or would any text be refused?
                try:
                    self._asked([_PROBE])
                except RefusedError as any_text:
                    raise DataError(
                        f"{self._server.url} refuses any text: {any_text}; check base_url and model"
                    ) from None
            if len(pieces) == 1:
                return [f"refused the text: {error}; shorten it or leave it out"]
            middle = len(pieces) // 2
            return self._halved(pieces[:middle]) + self._halved(pieces[middle:])

    def _asked(self, pieces: list[str]) -> list[FloatArray | str]:
        """Return a vector or a cause for each piece, from one request that is retried.

        Raises:
            RefusedError: the server says that the texts are at fault.
            DataError: the server fails, however often it is asked.
        """
        body = {"model": self.config.model, "input": pieces, "encoding_format": "float"}
        reply = self._server.post(body, most_bytes=_BYTES_PER_TEXT * (1 + len(pieces)))
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError):
            return [f"sent no JSON ({self._server.shown(reply, 60)!r})"] * len(pieces)
        usage = found.get("usage") if isinstance(found, Mapping) else None
        with self._counting:
            self._tokens += tokens_used(usage, "total_tokens", "prompt_tokens")
        answers = _matched(found, len(pieces))
        self._proven |= any(not isinstance(answer, str) for answer in answers)
        return answers


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
