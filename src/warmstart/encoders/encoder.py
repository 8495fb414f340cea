"""What an encoder is, and how a column of contents becomes vectors.

An encoder does two things: `read` turns one content (a text, a path) into the bytes that stand for
it, and `vectors` turns bytes into vectors. Everything else is done here, once for all: what is
missing is masked and never a vector of zeros that means something, equal contents are encoded
once, the cache is asked first, and a content that cannot be encoded is reported by its place and
cause while all others are encoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray, Progress
from warmstart.encoders.cache import VectorCache, key_of

_AT_ONCE = 256  # contents between two looks at the progress bar and two writes to the cache
_BYTES_AT_ONCE = 256 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one content has no vector.

    Attributes:
        place: its row.
        why: the cause, and what to do.
    """

    place: int
    why: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors of a column of contents.

    Attributes:
        vectors: (contents, dim) zeros where nothing is known; (contents, 0) where not even the
            width is.
        known: (contents,) which have a vector.
        faults: of the contents that should have one and have not; missing ones are no fault.
        cached: how many contents came from the cache.
    """

    vectors: FloatArray
    known: npt.NDArray[np.bool_]
    faults: tuple[Fault, ...]
    cached: int


@runtime_checkable
class Encoder(Protocol):
    """Turns contents of one kind into vectors; register one under `warmstart.encoders`.

    Attributes:
        name: of the model.
        version: of whatever decides the vectors besides the content: model, weights, settings.
        dim: width of the vectors.
    """

    config_type: ClassVar[type[Config]]
    config: Any

    def __init__(self, config: Config | None = None) -> None: ...

    @property
    def name(self) -> str:
        """What the model is called."""

    @property
    def version(self) -> str:
        """What the vectors depend on besides the contents."""

    @property
    def dim(self) -> int:
        """Width of the vectors.

        Raises:
            DataError: it cannot be told now, such as that of an endpoint out of reach.
        """

    def read(self, content: Any) -> bytes | None:  # noqa: ANN401  (what a cell may hold)
        """Return the bytes that stand for one content, or None where it is missing.

        Raises:
            DataError: it is there and cannot be read.
        """

    def vectors(self, contents: Sequence[bytes]) -> tuple[FloatArray, dict[int, str]]:
        """Return (contents, dim) vectors, and place → cause for those that have none.

        Raises:
            DataError: nothing can be encoded at all, such as an endpoint out of reach.
        """


def encode(
    encoder: Encoder,
    contents: Sequence[Any],
    *,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Return the vectors of a column of contents.

    Args:
        encoder: of the right kind.
        contents: texts, paths, bytes; None where there is nothing.
        cache: asked first, and told what is new.
        progress: told how far it has come.

    Example:
        >>> from warmstart.encoders.text import SentenceEncoder
        >>> found = encode(SentenceEncoder(), ["a space opera", "太空歌剧", "a pasta recipe", None])
        >>> found.known.tolist(), found.vectors.shape
        ([True, True, True, False], (4, 512))
        >>> alike = found.vectors @ found.vectors[0]
        >>> bool(alike[1] > 0.5 > 0.3 > alike[2])
        True
    """
    n, faults = len(contents), dict[int, str]()
    known, cached = np.zeros(n, bool), 0
    place, dim, no_width = 0, 0, ""
    try:
        dim = encoder.dim
    except DataError as error:
        no_width = str(error)
    out = np.zeros((n, dim), np.float32)
    while place < n:
        places: dict[bytes, list[int]] = {}
        raw: dict[bytes, bytes] = {}
        stop, size = min(place + _AT_ONCE, n), 0
        while place < stop and size < _BYTES_AT_ONCE:
            try:
                content = encoder.read(contents[place])
            except DataError as error:
                faults[place], content = str(error), None
            if content is not None and no_width:
                faults[place] = no_width
            elif content is not None:
                key = key_of(encoder.name, encoder.version, content)
                places.setdefault(key, []).append(place)
                raw[key], size = content, size + len(content)
            place += 1
        found = {} if cache is None else cache.get(list(places), dim)
        cached += sum(len(places[key]) for key in found)
        missing = [key for key in places if key not in found]
        if missing:
            try:
                vectors, causes = encoder.vectors([raw[key] for key in missing])
            except DataError as error:
                vectors = np.zeros((0, dim), np.float32)
                causes = dict.fromkeys(range(len(missing)), str(error))
            new = {key: vectors[i] for i, key in enumerate(missing) if i not in causes}
            for key in [k for k, v in new.items() if not np.isfinite(v).all()]:
                del new[key]
                causes[missing.index(key)] = "its vector is not finite; leave the content out"
            if cache is not None:
                cache.put(new)
            found |= new
            for i, why in causes.items():
                faults |= dict.fromkeys(places[missing[i]], why)
        for key, vector in found.items():
            out[places[key]] = vector
            known[places[key]] = True
        if progress is not None:
            progress(place, n, f"encoding with {encoder.name}")
    listed = tuple(Fault(place, faults[place]) for place in sorted(faults))
    return Encoded(out, known, listed, cached)
