"""Vectors on disk, by the hash of the content and the version of the encoder.

One SQLite file, so that several processes may share it and a crash leaves it whole. A cache is a
convenience: a file that is damaged is put aside and begun anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from warmstart.core.errors import ConfigError
from warmstart.core.types import FloatArray
from warmstart.data.fetch import cache_dir

_VARIABLES = 500  # in one query


def key_of(name: str, version: str, content: bytes) -> bytes:
    """Return the key of a content under an encoder."""
    digest = hashlib.sha256()
    for part in (name.encode(), version.encode(), content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


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
        if path is None:
            path = cache_dir() / "vectors.sqlite"
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self.path.replace(self.path.with_suffix(".damaged"))
                self._open()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the vector cache {self.path} cannot be written ({error}); choose another path"
            ) from None

    def __len__(self) -> int:
        with self._connected() as database:
            return int(database.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, FloatArray]:
        """Return the vectors that are there, by key; one of another width counts as absent."""
        found: dict[bytes, FloatArray] = {}
        with self._connected() as database:
            for start in range(0, len(keys), _VARIABLES):
                some = keys[start : start + _VARIABLES]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"
                for key, blob in database.execute(query, some):
                    if len(blob) == 4 * dim:
                        found[key] = np.frombuffer(blob, "<f4").astype(np.float32)
        return found

    def put(self, vectors: Mapping[bytes, FloatArray]) -> None:
        """Add vectors by key."""
        rows = [(key, np.asarray(v, "<f4").tobytes()) for key, v in vectors.items()]
        with self._connected() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def _open(self) -> None:
        with self._connected() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) "
                "WITHOUT ROWID"
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()
