"""What is known of items as numbers, in blocks: a column's categories, or a modality's vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.core.room import longer, roomy, with_room
from warmstart.core.types import FloatArray, IntArray
from warmstart.data.features import FeatureSpace


@dataclass(frozen=True, slots=True)
class Block:
    """One column's content, or one modality's; an item that lacks it has zeros and is masked.

    Attributes:
        values: (items, dim) one-hot and sparse, or vectors and dense.
        known: (items,) which items have it.
    """

    values: sp.csr_array | FloatArray
    known: npt.NDArray[np.bool_]

    @classmethod
    def of_vectors(cls, values: FloatArray, known: npt.NDArray[np.bool_] | None = None) -> Block:
        """Return given vectors as a block.

        Args:
            values: (items, dim).
            known: (items,) which rows mean something; by default all. Rows of zeros, and rows that
                are not finite, never do.

        Raises:
            DataError: not a matrix of numbers.
        """
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "fiu":
            raise DataError(
                f"vectors are {values.dtype} of the shape {values.shape}; give (items, dim) numbers"
            )
        values = values.astype(np.float32)
        there = np.isfinite(values).all(axis=1) & (values != 0).any(axis=1)
        if known is not None:
            there &= known
        return cls(np.where(there[:, None], values, np.float32(0)), there)

    @property
    def dim(self) -> int:
        """Numbers of an item."""
        return int(self.values.shape[1])

    def dense(self) -> FloatArray:
        """Return the values as a dense array."""
        if isinstance(self.values, np.ndarray):
            return self.values
        return np.asarray(self.values.toarray(), np.float32)

    def take(self, items: IntArray | npt.NDArray[np.bool_]) -> Block:
        """Return the block of some items."""
        return Block(self.values[items], self.known[items])

    def grown(self, more: Block | None, n_new: int) -> Block:
        """Return the block with `n_new` further items.

        Args:
            more: of these; where it is None, or has no width, they lack it.
            n_new: how many.

        Raises:
            DataError: `more` is of another width.
        """
        more = self._alike(more, n_new)
        known = np.concatenate([self.known, more.known])
        if isinstance(self.values, np.ndarray):
            values = longer(self.values, n_new)
            values[len(self.values) :] = more.dense()
            return Block(values, known)
        return Block(sp.csr_array(sp.vstack([self.values, sp.csr_array(more.values)])), known)

    def roomy(self) -> Block:
        """Return the block with room, so that further items come without copying the others."""
        if isinstance(self.values, np.ndarray):
            return Block(roomy(self.values), self.known)
        return self

    def replaced(self, items: IntArray, more: Block) -> Block:
        """Return the block with other rows for some items."""
        more, known = self._alike(more, len(items)), self.known.copy()
        known[items] = more.known
        if isinstance(self.values, np.ndarray):
            values = with_room(self.values)
            values[items] = more.dense()
            return Block(values, known)
        place = np.arange(len(known))
        place[items] = len(place) + np.arange(len(items))
        both = sp.csr_array(sp.vstack([self.values, sp.csr_array(more.values)]))
        return Block(both[place], known)

    def _alike(self, more: Block | None, n: int) -> Block:
        """Return what is known of `n` other items; by default nothing."""
        if more is None or not more.dim:
            empty = sp.csr_array((n, self.dim), dtype=np.float32)
            values = empty if sp.issparse(self.values) else empty.toarray()
            more = Block(values, np.zeros(n, bool))
        if more.dim != self.dim:
            raise DataError(
                f"the new items have vectors of {more.dim} numbers, the others have {self.dim}; "
                "encode them in the same way"
            )
        return more


class EncodedColumn(Config):
    """Which encoder made a modality out of which column, so that new items get the same.

    Attributes:
        column: of the items table; the modality has its name.
        encoder: name registered under `warmstart.encoders`.
        config: its settings.
        version: of the encoder; vectors of another version do not fit.
    """

    column: str
    encoder: str
    config: dict[str, Any] = Field(default_factory=dict)
    version: str = ""


Content = Mapping[str, Block]
"""What is known of items, by column or modality; all blocks over the same items."""


def blocks_of(space: FeatureSpace, features: sp.csr_array) -> dict[str, Block]:
    """Return an encoded table as one block for each of its columns.

    Args:
        space: the encoding.
        features: (items, features) as it gives them.

    Example:
        >>> import pyarrow as pa
        >>> from warmstart.data.schema import Column
        >>> table = pa.table({"sex": ["F", "M", None], "age": [3, 5, 3]})
        >>> kinds = {"sex": Column(kind="category"), "age": Column(kind="number")}
        >>> space = FeatureSpace.fit(table, kinds)
        >>> blocks = blocks_of(space, space.transform(table))
        >>> {name: (block.dim, block.known.tolist()) for name, block in blocks.items()}
        {'sex': (2, [True, True, False]), 'age': (2, [True, True, True])}
    """
    found, start = {}, 0
    for block in space.blocks:
        stop = start + len(block.names)
        values = sp.csr_array(features[:, start:stop])
        found[block.column] = Block(values, np.diff(values.indptr) > 0)
        start = stop
    return found
