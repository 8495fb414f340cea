"""New items for methods that have no way of their own to score them: content neighbours.

A new item's score is the mean of the scores of the items most like it by content, each weighted
by cosine and shrunk, since a likeness of content is only half a likeness of taste. An item of
which nothing is known ranks last: nobody has a reason to see it before somebody describes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories

NEIGHBOURS = 10
SHRINKAGE = 0.5
"""Added to the sum of cosines: how much a new item's score is drawn to the user's mean score."""


@dataclass(frozen=True)
class WithNewItems:
    """A method, and new items that stand on the shoulders of its items.

    Attributes:
        method: scores the first items.
        neighbours: (new items, old items) cosine to the nearest old items by content.
    """

    method: Any
    neighbours: sp.csr_array

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, old and new items) scores."""
        old = self.method.score(self._translated(histories))
        floor = old.min(axis=1, keepdims=True)
        mean = old.mean(axis=1, keepdims=True)
        said = np.asarray(self.neighbours.sum(axis=1), np.float32).ravel()
        summed = (self.neighbours @ old.T).T
        new = (summed + SHRINKAGE * mean) / (said + SHRINKAGE)
        new = np.where(said > 0, new, np.nextafter(floor, np.float32(-np.inf)))
        return np.concatenate([old, new.astype(np.float32)], axis=1)

    def nearest(self, new: int) -> int:
        """Return the old item most like the new item, or -1."""
        row = self.neighbours[[new]]
        return int(row.indices[np.argmax(row.data)]) if row.nnz else -1

    def _translated(self, histories: Histories) -> Histories:
        """Speak of old items only: an event on a new item counts for the one most like it."""
        n_old = self.neighbours.shape[1]
        if not len(histories.items) or histories.items.max() < n_old:
            return histories
        nearest = np.array([self.nearest(i) for i in range(self.neighbours.shape[0])])
        stand_in = np.concatenate([np.arange(n_old), nearest])[histories.items]
        keep = stand_in >= 0
        # one event per item: an item that speaks for itself needs no stand-in
        spoken = histories.rows * np.int64(n_old) + stand_in
        own = spoken[keep & (histories.items < n_old)]
        keep &= (histories.items < n_old) | ~np.isin(spoken, own)
        shots = np.bincount(histories.rows[keep], minlength=len(histories))
        return replace(
            histories,
            indptr=np.concatenate([[0], np.cumsum(shots)]).astype(np.int64),
            items=stand_in[keep].astype(np.int32),
            values=histories.values[keep],
            times=None if histories.times is None else histories.times[keep],
        )


def content_neighbours(
    new: sp.csr_array | None, old: sp.csr_array | None, n_new: int, n_old: int
) -> sp.csr_array:
    """Return (new, old) cosines, the `NEIGHBOURS` nearest old items of every new item.

    Args:
        new: (new, item features), or None where nothing is known of items.
        old: (old, item features).
        n_new: number of new items.
        n_old: number of old items.
    """
    if new is None or old is None:
        return sp.csr_array((n_new, n_old), dtype=np.float32)
    rarity = np.log1p(n_old / (1 + np.bincount(old.indices, minlength=old.shape[1])))
    a, b = (_unit_rows(m @ sp.diags_array(rarity.astype(np.float32))) for m in (new, old))
    rows = []
    for start in range(0, n_new, 256):
        block = (a[start : start + 256] @ b.T).tocsr()
        for r in range(block.shape[0]):
            row = block[[r]].tocoo()
            best = np.argsort(-row.data, kind="stable")[:NEIGHBOURS]
            column = row.coords[1][best]
            order = np.argsort(column)
            rows.append((column[order], row.data[best][order]))
    indptr = np.concatenate([[0], np.cumsum([len(c) for c, _ in rows])]).astype(np.int64)
    indices = np.concatenate([np.zeros(0, np.int64), *(c for c, _ in rows)])
    data = np.concatenate([np.zeros(0, np.float32), *(d for _, d in rows)]).astype(np.float32)
    return sp.csr_array((data, indices, indptr), shape=(n_new, n_old))


def _unit_rows(matrix: sp.csr_array) -> sp.csr_array:
    matrix = sp.csr_array(matrix)
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(norms, 1e-12)) @ matrix)
