"""Vectors on disk, by the hash of the content and the version of the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from warmstart.core import shelf
from warmstart.core.types import FloatArray
from warmstart.data.fetch import cache_dir


def key_of(name: str, version: str, content: bytes) -> bytes:
    """Return the key of a content under an encoder."""
    return shelf.key_of(name.encode(), version.encode(), content)


class VectorCache:
    """Vectors by key, in one file.

    Example:
        >>> import tempfile
        >>> cache = VectorCache(Path(tempfile.mkdtemp()) / "vectors.sqlite")
        >>> key = key_of("words", "1", b"alien")
        >>> cache.put({key: np.ones(3, np.float32)})
        >>> cache.get([key, key_of("words", "2", b"alien")], 3)[key].tolist()
        [1.0, 1.0, 1.0]
        >>> len(cache)
        1
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open a cache.

        Args:
            path: the file; by default one in `WARMSTART_CACHE` or the platform's cache folder.

        Raises:
            ConfigError: the file cannot be written.
        """
        path = cache_dir() / "vectors.sqlite" if path is None else Path(path)
        self._shelf = shelf.Shelf(path, what="vector cache", table="vectors", column="vector")
        self.path = self._shelf.path

    def __len__(self) -> int:
        return len(self._shelf)

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, FloatArray]:
        """Return the vectors that are there, by key; one of another width counts as absent."""
        return {
            key: np.frombuffer(blob, "<f4").astype(np.float32)
            for key, blob in self._shelf.get(keys).items()
            if len(blob) == 4 * dim
        }

    def put(self, vectors: Mapping[bytes, FloatArray]) -> None:
        """Add vectors by key."""
        self._shelf.put({key: np.asarray(v, "<f4").tobytes() for key, v in vectors.items()})
