"""Item-kNN: what those liked who liked what you like.

Cosine between item columns with shrinkage (Sarwar et al. 2001, doi:10.1145/371920.372071; the
shrinkage as in Bell & Koren 2007), summed over the user's likes:

    s(i, j) = n_ij / (sqrt(n_i n_j) + shrinkage)
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, Progress, State
from warmstart.recommenders.popularity import (
    lean_on_popularity,
    liked,
    likes_per_item,
    training_likes,
)

_COLUMN_BITS, _VALUES = 23, 0x7FFFFFFF  # room for eight million items and a positive float32
_ITEMS_AT_ONCE = 1024


class ItemKNNConfig(Config):
    """Settings of item-kNN.

    Attributes:
        shrinkage: added to the denominator; distrusts pairs of rare items.
        neighbours: how many neighbours of each item to keep; None for all.
    """

    shrinkage: float = Field(30.0, ge=0)
    neighbours: int | None = Field(None, ge=1)


class ItemKNN:
    """Score an item by its summed similarity to the items in the user's history."""

    config_type: ClassVar[type[Config]] = ItemKNNConfig
    # one like asks for far more shrinkage than twenty: towards infinity it counts co-occurrences
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"shrinkage": s} for s in (0.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    )
    similarity: sp.csr_array
    counts: FloatArray

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ItemKNNConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Compute the (items, items) similarities of the training rows."""
        likes = training_likes(data)
        self.counts = likes_per_item(likes)
        self.similarity = cosine_neighbours(
            likes,
            shrinkage=self.config.shrinkage,
            neighbours=self.config.neighbours,
            progress=progress,
        )
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) summed similarities; a user without likes gets popularity."""
        likes = liked(histories, len(self.counts))
        scores: FloatArray = (likes @ self.similarity).toarray()
        return lean_on_popularity(scores, likes, self.counts)

    def state(self) -> State:
        """Return the similarities as CSR arrays, and the popularity."""
        s = self.similarity
        arrays = {"data": s.data, "indices": s.indices, "indptr": s.indptr, "counts": self.counts}
        return State(arrays, {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the similarities."""
        method, a = cls(ItemKNNConfig.parse(state.meta["config"])), state.arrays
        method.counts, n = a["counts"], len(a["counts"])
        method.similarity = sp.csr_array((a["data"], a["indices"], a["indptr"]), shape=(n, n))
        return method


def cosine_neighbours(
    likes: sp.csr_array,
    *,
    shrinkage: float,
    neighbours: int | None,
    progress: Progress | None = None,
) -> sp.csr_array:
    """Return the (items, items) shrunken cosines of (users, items) likes, the diagonal empty."""
    by_item, n_items = likes.T.tocsr(), likes.shape[1]
    counts = likes_per_item(likes)
    blocks = []
    for start in range(0, n_items, _ITEMS_AT_ONCE):
        if progress is not None:
            progress(start, n_items, "item-kNN")
        pairs = (by_item[start : start + _ITEMS_AT_ONCE] @ likes).tocoo()
        i, j = pairs.coords
        i = i + start
        i, j, together = i[i != j], j[i != j], pairs.data[i != j]
        norm = np.sqrt(counts[i] * counts[j]) + np.float32(shrinkage)
        block = sp.csr_array(
            (together / norm, (i - start, j)),
            shape=(min(_ITEMS_AT_ONCE, n_items - start), n_items),
        )
        blocks.append(_nearest(block, neighbours))
    return sp.csr_array(sp.vstack(blocks, format="csr"))


def _nearest(rows: sp.csr_array, n: int | None) -> sp.csr_array:
    """Keep the `n` largest of each row's positive entries, equal ones by lower column.

    Row, falling value and column are packed into one integer, whose sort is five times as fast as
    a sort by three keys. The bits of a positive float order like the float.
    """
    if n is None or not len(rows.data):
        return rows
    lengths = np.diff(rows.indptr)
    row = np.repeat(np.arange(rows.shape[0], dtype=np.uint64), lengths)
    falling = np.uint64(_VALUES) - rows.data.astype(np.float32).view(np.uint32)
    packed = row << np.uint64(31 + _COLUMN_BITS) | falling << np.uint64(_COLUMN_BITS)
    packed = np.sort(packed | rows.indices.astype(np.uint64))
    rank = np.arange(len(packed)) - np.repeat(rows.indptr[:-1], lengths)
    packed = packed[rank < n]
    column = (packed & np.uint64((1 << _COLUMN_BITS) - 1)).astype(np.int32)
    value = np.uint64(_VALUES) - (packed >> np.uint64(_COLUMN_BITS) & np.uint64(_VALUES))
    data = value.astype(np.uint32).view(np.float32)
    indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, n))])
    kept = sp.csr_array((data, column, indptr), shape=rows.shape)
    kept.sort_indices()
    return kept
