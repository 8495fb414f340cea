"""What every language model offers here, whether it runs in this process or behind an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Role = Literal["system", "user", "assistant"]
Mode = Literal["schema", "grammar", "none"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, and what it cost. Its text is untrusted.

    Attributes:
        text: as it came.
        prompt_tokens: that were read.
        tokens: that were written.
        usd: price of both.
        cached: whether it came from the cache, and so cost nothing.
    """

    text: str
    prompt_tokens: int = 0
    tokens: int = 0
    usd: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Chances:
    """How likely each of a few answers is to a model, and what it cost to hear.

    Attributes:
        log_p: log-probability of each answer.
        prompt_tokens: that were read.
        tokens: that were written.
    """

    log_p: tuple[float, ...]
    prompt_tokens: int = 0
    tokens: int = 0


@runtime_checkable
class LanguageModel(Protocol):
    """A chat model.

    Attributes:
        name: what people call it.
        version: changes whenever its answers may.
        mode: how it can be held to a JSON schema: by the server's schemas, by a grammar, or not.
    """

    @property
    def name(self) -> str:
        """What people call the model."""
        ...

    @property
    def version(self) -> str:
        """What its answers depend on besides the question."""
        ...

    @property
    def mode(self) -> Mode:
        """How the model can be held to a schema, as found out by asking it.

        The first look may ask a server; in Python 3.11 `isinstance(model, LanguageModel)` looks.
        """
        ...

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 256,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """Return the model's answer.

        Args:
            messages: the chat so far.
            schema: JSON schema that the answer is asked to fit; whether it does is for the caller
                to check.
            max_tokens: most that it may write.
            timeout_seconds: for all of it, repeated tries included.

        Raises:
            LanguageModelError: no answer within the time, or none that can be read.
        """
        ...

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Chances | None:
        """Return how likely each of a few one-token answers is; None if that is not offered.

        Args:
            messages: the chat, which ends where the answer begins.
            choices: the answers, such as letters.
            timeout_seconds: for all of it.

        Raises:
            LanguageModelError: no answer within the time.
        """
        ...
