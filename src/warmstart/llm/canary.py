"""What a server really does with a JSON schema, found out by asking it once.

Servers take a schema and ignore it, or refuse it, or know it by another name. So a model is told to
answer "banana" under a schema that allows three words which it was never told: only a server that
holds the model to the schema can answer with one of them. What is found is remembered for the
process; a server that could not be asked counts as holding to nothing, and is asked again later.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

from warmstart.core.errors import LanguageModelError
from warmstart.core.http import RefusedError
from warmstart.llm.gbnf import grammar_of
from warmstart.llm.model import Message, Mode

Dialect = Literal["json_schema", "json_object", "grammar", "none"]
"""OpenAI's schemas, llama.cpp's spelling of them, llama.cpp's grammars, or nothing."""

MODES: Mapping[Dialect, Mode] = {
    "json_schema": "schema",
    "json_object": "schema",
    "grammar": "grammar",
    "none": "none",
}
AGAIN_SECONDS = 60.0
"""After which a server that could not be asked is asked again."""

MOST_TOKENS = 64
QUESTION = (
    Message("system", "You answer with one word."),
    Message(
        "user",
        "Answer only with the word banana. No JSON, no quotes, no braces, no other word, whatever "
        "format you are asked for: just banana.",
    ),
)
_WORDS = ("kelp-71", "onyx-24", "fjord-90")
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(_WORDS)}},
    "required": ["answer"],
    "additionalProperties": False,
}
_ROUNDING = 1e-3  # a log-probability may be so much above 0
_LOGPROBS: Mapping[str, Any] = {"logprobs": True, "top_logprobs": 2}

Ask = Callable[[Mapping[str, Any], float], Mapping[str, Any]]
"""Sends the question with more fields, within so many seconds, and returns the choice that came."""


def fields(dialect: Dialect, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that hold its answer to a schema.

    Raises:
        ConfigError: the schema cannot be made a grammar.

    Example:
        >>> fields("json_object", {"type": "string"})
        {'response_format': {'type': 'json_object', 'schema': {'type': 'string'}}}
    """
    if dialect == "json_schema":
        described = {"name": "answer", "schema": strict(schema), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    if dialect == "json_object":
        return {"response_format": {"type": "json_object", "schema": dict(schema)}}
    return {"grammar": grammar_of(schema)} if dialect == "grammar" else {}


def strict(schema: Any) -> Any:  # noqa: ANN401  (any part of a schema)
    """Return a schema as OpenAI's strict mode wants it: every member required, and no others.

    What fits the result fits `schema` too.

    Example:
        >>> strict({"type": "object", "properties": {"a": {"type": "null"}}})["required"]
        ['a']
    """
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    out = {key: value if key == "enum" else strict(value) for key, value in schema.items()}
    members = schema.get("properties")
    if isinstance(members, Mapping) and not isinstance(members.get("type"), str):
        # (a list of members may itself hold one that is called "properties")
        out |= {"required": list(members), "additionalProperties": False}
    return out


class Canary:
    """Finds out what one model of one server does; safe to share between threads.

    Example:
        >>> def server(more, seconds):  # that honours nothing
        ...     return {"message": {"content": "banana"}}
        >>> Canary(("doctest", "deaf"), server, now=lambda: 0.0).dialect(5.0)
        'none'
    """

    def __init__(self, model: Hashable, ask: Ask, *, now: Callable[[], float]) -> None:
        """Set up; nothing is asked yet.

        Args:
            model: stands for the server and its model in the memory of the process.
            ask: sends the question.
            now: seconds.
        """
        self._model, self._ask, self._now = model, ask, now

    def dialect(self, seconds: float) -> Dialect:
        """Return how the model can be held to a schema; never takes much longer than `seconds`."""
        found: Dialect = _remembered(
            ("dialect", self._model), self._find_dialect, "none", seconds, self._now
        )
        return found

    def logprobs(self, seconds: float) -> bool:
        """Return whether the server tells log-probabilities."""
        return bool(
            _remembered(("logprobs", self._model), self._find_logprobs, False, seconds, self._now)
        )

    def _find_dialect(self, until: float) -> tuple[Dialect, bool]:
        """Return what is honoured, and whether that is sure."""
        sure = True
        dialects: tuple[Dialect, ...] = ("json_schema", "json_object", "grammar")
        for dialect in dialects:
            try:
                choice = self._ask(fields(dialect, _SCHEMA), until - self._now())
                if _honoured(choice):
                    return dialect, True
            except RefusedError:
                continue
            except LanguageModelError:  # out of reach, or in its way of saying no
                sure = False
        return "none", sure

    def _find_logprobs(self, until: float) -> tuple[bool, bool]:
        try:
            return bool(top_logprobs(self._ask(_LOGPROBS, until - self._now()))), True
        except RefusedError:
            return False, True
        except LanguageModelError:
            return False, False


def top_logprobs(choice: Mapping[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the first token that a server tells; empty if it does not.

    Example:
        >>> top_logprobs({"logprobs": None})
        {}
    """
    try:
        listed = choice["logprobs"]["content"][0]["top_logprobs"]
        told = {str(one["token"]): float(one["logprob"]) for one in listed}
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        return {}
    return {token: min(log_p, 0.0) for token, log_p in told.items() if log_p < _ROUNDING}


def _honoured(choice: Mapping[str, Any]) -> bool:
    try:
        answer = json.loads(choice["message"]["content"])
    except (TypeError, KeyError, ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and list(answer) == ["answer"] and answer["answer"] in _WORDS


_found: dict[Hashable, tuple[Any, float]] = {}  # what was found, and until when that holds
_asking: dict[Hashable, threading.Lock] = {}


def _remembered(
    key: Hashable,
    find: Callable[[float], tuple[Any, bool]],
    otherwise: Any,  # noqa: ANN401
    seconds: float,
    now: Callable[[], float],
) -> Any:  # noqa: ANN401
    """Return what was found before, or find it, in one thread while others wait."""
    until = now() + seconds
    known = _found.get(key)
    if known is not None and now() < known[1]:
        return known[0]
    alone = _asking.setdefault(key, threading.Lock())
    if not alone.acquire(timeout=max(seconds, 0.0)):
        return otherwise
    try:
        known = _found.get(key)
        if known is None or now() >= known[1]:
            value, sure = find(until)
            known = _found[key] = (value, float("inf") if sure else now() + AGAIN_SECONDS)
        return known[0]
    finally:
        alone.release()
