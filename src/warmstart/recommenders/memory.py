"""Item–item memory: closed-form weights from what a user has to what they may want.

A low-rank encoder forgets the rare pairs that make up a sparse catalogue; the memory keeps them,
as a few hundred weights per item.

- `cosine`: Sarwar et al. 2001, doi:10.1145/371920.372071, with shrinkage for rare pairs;
- `ease`: Steck 2019, arXiv:1905.03375.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.types import FloatArray
from warmstart.recommenders.ease import item_weights
from warmstart.recommenders.itemknn import cosine_neighbours

_ZERO = np.float32(1e-12)


class MemoryConfig(Config):
    """Settings of the memory.

    Attributes:
        neighbours: weights kept per item.
        shrinkages: one cosine memory for each.
        regs: one EASE memory for each λ.
        max_ease_items: only so many of the most liked items get EASE weights; its time grows with
            the cube of this.
    """

    neighbours: int = Field(300, ge=1)
    shrinkages: tuple[float, ...] = (0.0, 10.0)
    regs: tuple[float, ...] = (1000.0,)
    max_ease_items: int = Field(5_000, ge=1)


def learn_memories(likes: sp.csr_array, config: MemoryConfig) -> dict[str, sp.csr_array]:
    """Return the (items, items) weights of each memory by name, truncated to sparse rows."""
    memories = {
        f"cosine-{s:g}": cosine_neighbours(likes, shrinkage=s, neighbours=config.neighbours)
        for s in config.shrinkages
    }
    counts = np.asarray(likes.sum(axis=0)).ravel()
    kept = np.sort(np.argsort(-counts, kind="stable")[: config.max_ease_items])
    dense = (likes[:, kept].T @ likes[:, kept]).toarray().astype(np.float32)
    for reg in config.regs:
        weights = truncate(item_weights(dense.copy(), reg), config.neighbours).tocoo()
        row, col = weights.coords
        memories[f"ease-{reg:g}"] = sp.csr_array(
            (weights.data, (kept[row], kept[col])), shape=(likes.shape[1], likes.shape[1])
        )
    return memories


def truncate(weights: FloatArray, n: int) -> sp.csr_array:
    """Keep the `n` entries of largest magnitude in each row."""
    if n >= weights.shape[1]:
        return sp.csr_array(weights)
    size = np.abs(weights)
    keep = size >= _nth_largest(size, n)[:, None]
    ends = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return sp.csr_array((weights[keep], np.nonzero(keep)[1], ends), shape=weights.shape)


def _nth_largest(size: FloatArray, n: int) -> FloatArray:
    """Return (rows,) the `n`-th largest of each row, and never less than what is as good as zero.

    The n-th largest of the maxima of some groups is no larger than that, so that only the few
    entries above it have to be put in order.
    """
    rows, width = size.shape
    groups = 4 * n
    if width < 4 * groups:
        return np.maximum(np.partition(size, width - n, axis=1)[:, -n], _ZERO)
    each = width // groups
    most = size[:, : each * groups].reshape(rows, each, groups).max(axis=1)
    least = np.maximum(np.partition(most, groups - n, axis=1)[:, -n], _ZERO)
    for row, edge in enumerate(least):
        over = size[row][size[row] >= edge]
        if len(over) > n:
            least[row] = np.partition(over, -n)[-n]
    return least
