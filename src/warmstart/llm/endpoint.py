"""Chat with any server that speaks OpenAI's `/chat/completions`.

What the server says is untrusted: it is measured, parsed and counted here, and what it means is for
the caller to check. Whether it holds a model to a schema is found out by asking (`canary.py`). How
it is asked, and where its key may go, is `core/http.py`.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import DataError, LanguageModelError
from warmstart.core.http import ModelServerConfig, RefusedError, Server, tokens_used
from warmstart.llm.canary import (
    MODES,
    MOST_TOKENS,
    QUESTION,
    Canary,
    fields,
    top_logprobs,
)
from warmstart.llm.model import Chances, Message, Mode, Reply

_MOST_BYTES = 4 << 20  # of a reply
_TOP = 20  # log-probabilities that a server may be asked for


class ChatEndpointConfig(ModelServerConfig):
    """Settings of a chat endpoint, beside those of every server.

    Attributes:
        temperature: of the draws; None leaves it to the server.
        seed: of the draws, where the server takes one.
        limit_field: what the server calls the most tokens that an answer may have.
        retries: how often a request is sent again after the server failed.
        most_at_once: requests on their way at one time; further ones wait.
        canary_seconds: for finding out what the server does with a schema, once for a process.
        usd_per_million_prompt_tokens: what the server's owner charges for reading.
        usd_per_million_tokens: and for writing.
    """

    temperature: float | None = Field(0.0, ge=0, le=2)
    seed: int | None = None
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    retries: int = Field(2, ge=0)
    most_at_once: int = Field(4, ge=1)
    canary_seconds: float = Field(15.0, gt=0)
    usd_per_million_prompt_tokens: float = Field(0.0, ge=0)
    usd_per_million_tokens: float = Field(0.0, ge=0)


@dataclass(frozen=True, slots=True)
class Spent:
    """What an endpoint has cost so far.

    Attributes:
        requests: how many were sent, those that failed and the canary's included.
        prompt_tokens: read, as the server counted them.
        tokens: written, as the server counted them.
        usd: both, times the prices in the settings.
    """

    requests: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    usd: float = 0.0


class ChatEndpoint:
    """Chat with an OpenAI-compatible endpoint.

    Example:
        >>> settings = {"base_url": "http://localhost:8080/v1", "model": "qwen"}
        >>> model = ChatEndpoint(ChatEndpointConfig.parse(settings))
        >>> model.name, model.spent
        ('qwen', Spent(requests=0, prompt_tokens=0, tokens=0, usd=0.0))
    """

    config_type: ClassVar[type[Config]] = ChatEndpointConfig

    def __init__(
        self,
        config: Config | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            config: where and what to ask.
            sleep: waits so many seconds.
            now: seconds since the epoch.
            rng: spreads the pauses of several clients.

        Raises:
            ConfigError: no settings are given: there is no default server.
        """
        chosen: Any = config or ChatEndpointConfig.parse({})
        self.config = chosen
        self._now = now
        self._server = Server(
            chosen.base_url,
            "chat/completions",
            sleep=sleep,
            now=now,
            rng=rng or random.Random(),
            api_key_env=chosen.api_key_env,
            timeout_seconds=float("inf"),  # every request has a time of its own
            retries=chosen.retries,
            most_at_once=chosen.most_at_once,
        )
        self._canary = Canary((chosen.base_url, chosen.model), self._probed, now=now)
        self._prompt_tokens = self._tokens = 0
        self._counting = threading.Lock()

    @property
    def spent(self) -> Spent:
        """Requests, tokens and dollars so far."""
        with self._counting:
            read, written = self._prompt_tokens, self._tokens
        return Spent(self._server.requests, read, written, self._usd(read, written))

    @property
    def name(self) -> str:
        """What the server calls the model."""
        return str(self.config.model)

    @property
    def version(self) -> str:
        """The server, and how tokens are drawn."""
        config = self.config
        return f"{config.base_url} temperature={config.temperature} seed={config.seed}"

    @property
    def mode(self) -> Mode:
        """How the server holds the model to a schema; asks it once, and "none" if it is away.

        Raises:
            ConfigError: the environment variable of the key is not set.
        """
        return MODES[self._canary.dialect(self.config.canary_seconds)]

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 256,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """Return the model's answer; see `LanguageModel`.

        Raises:
            LanguageModelError: no answer within the time, or none that can be read.
            ConfigError: the environment variable of the key is not set.
        """
        until = self._now() + timeout_seconds
        more: dict[str, Any] = {}
        if schema is not None:
            seconds = min(timeout_seconds, self.config.canary_seconds)
            more = fields(self._canary.dialect(seconds), schema)
        try:
            choice, read, written = self._asked(messages, max_tokens, more, until - self._now())
        except RefusedError as error:
            raise LanguageModelError(
                f"{self._server.url} refuses the chat: {error}; shorten it, or check model"
            ) from None
        message = choice.get("message")
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, str):
            raise LanguageModelError(
                f"{self._server.url} sent an answer without text; is {self.name} a chat model?"
            )
        text = content.encode("utf-8", "replace").decode()  # halves of characters are none
        return Reply(text, read, written, self._usd(read, written))

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Chances | None:
        """Return the log-probability of each answer; None if the server tells none of them.

        A server tells the likeliest tokens only. An answer that is not among them is given the
        log-probability of the least of them, which it cannot exceed.

        Raises:
            LanguageModelError: no answer within the time.
            ConfigError: the environment variable of the key is not set.
        """
        until = self._now() + timeout_seconds
        if not self._canary.logprobs(min(timeout_seconds, self.config.canary_seconds)):
            return None
        more = {"logprobs": True, "top_logprobs": _TOP}
        try:
            choice, read, written = self._asked(messages, 1, more, until - self._now())
        except RefusedError:
            return None
        told = top_logprobs(choice)
        found = {
            one: [log_p for token, log_p in told.items() if token.strip() == one] for one in choices
        }
        if not any(found.values()):
            return None
        least = [min(told.values())]
        log_p = (float(np.logaddexp.reduce(found[one] or least)) for one in choices)
        return Chances(tuple(log_p), prompt_tokens=read, tokens=written)

    def _probed(self, more: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        """Ask the canary's question once."""
        return self._asked(QUESTION, MOST_TOKENS, more, seconds, retries=0)[0]

    def _asked(
        self,
        messages: Sequence[Message],
        most: int,
        more: Mapping[str, Any],
        seconds: float,
        retries: int | None = None,
    ) -> tuple[Mapping[str, Any], int, int]:
        """Return the first choice of a reply, and the tokens that were read and written.

        Raises:
            RefusedError: the server says that what was sent is at fault.
            LanguageModelError: no answer within the time, or none that can be read.
        """
        config = self.config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            config.limit_field: most,
        }
        drawn = {"temperature": config.temperature, "seed": config.seed}
        body |= {name: value for name, value in drawn.items() if value is not None}
        try:
            reply = self._server.post(
                body | dict(more),
                most_bytes=_MOST_BYTES,
                within_seconds=max(seconds, 0.0),
                retries=retries,
            )
        except DataError as error:
            raise LanguageModelError(str(error)) from None
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError):
            found = None
        usage = found.get("usage") if isinstance(found, Mapping) else None
        read, written = (tokens_used(usage, key) for key in ("prompt_tokens", "completion_tokens"))
        with self._counting:
            self._prompt_tokens += read
            self._tokens += written
        choices = found.get("choices") if isinstance(found, Mapping) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            raise LanguageModelError(
                f"{self._server.url} sent no answer that can be read "
                f"({self._server.shown(reply, 60)!r}); check base_url and model"
            )
        return choices[0], read, written

    def _usd(self, read: int, written: int) -> float:
        config = self.config
        dollars = (
            read * config.usd_per_million_prompt_tokens + written * config.usd_per_million_tokens
        )
        return float(dollars / 1e6)
