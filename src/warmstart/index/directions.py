"""The directions in which vectors differ in what queries of our kind ask of them.

With the queries' second moments M and the vectors' C, these are the leading eigenvectors of
M^½ C M^½; queries are stretched by M^-½, vectors by M^½, so that inner products stay what they are
but for the directions that are left out.
"""

from __future__ import annotations

import numpy as np

from warmstart.core.types import FloatArray

_SAMPLE = 20_000  # vectors whose second moments are taken
_RIDGE = 1e-3  # of the queries' mean second moment: directions that they hardly have still count


def directions(vectors: FloatArray, queries: FloatArray, dim: int) -> tuple[FloatArray, FloatArray]:
    """Return (width, dim) what vectors, and what queries, are multiplied by.

    Args:
        vectors: (width, items), as they are multiplied.
        queries: (queries, width) such as will be asked; a few hundred tell enough.
        dim: how many directions, the leading ones; with all of them products stay what they are.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> vectors, queries = rng.normal(size=(6, 90)), rng.normal(size=(40, 6))
        >>> stretch, turn = directions(vectors, queries, 6)
        >>> np.allclose((queries @ turn) @ (stretch.T @ vectors), queries @ vectors, atol=1e-4)
        True
    """
    width, n = vectors.shape
    some = vectors[:, :: max(1, n // _SAMPLE)].astype(np.float64)
    asked = queries.astype(np.float64)
    moments = asked.T @ asked / max(1, len(asked))
    moments += max(_RIDGE * np.trace(moments) / width, 1e-12) * np.eye(width)
    size, axes = np.linalg.eigh(moments)
    root = (axes * np.sqrt(size)) @ axes.T
    inverse = (axes / np.sqrt(size)) @ axes.T
    _, leading = np.linalg.eigh(root @ (some @ some.T / some.shape[1]) @ root)
    kept = leading[:, ::-1][:, :dim]
    return (root @ kept).astype(np.float32), (inverse @ kept).astype(np.float32)
