"""Interactions as parallel arrays, and the same with one row per (user, item) pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interactions:
    """Rows of the interaction table as arrays of equal length, in the order of the table.

    Attributes:
        user: (rows,) dense user index.
        item: (rows,) dense item index.
        value: (rows,) signed evidence in [-1, 1]; above zero is a like.
        rating: (rows,) as given, or None where the table has none.
        time: (rows,) seconds since the epoch, or None.
        weight: (rows,) as given (plays, counts), or None; `value` does not depend on it.
        event: (rows,) name of the event as an Arrow dictionary, or None.
    """

    user: Int32
    item: Int32
    value: FloatArray
    rating: FloatArray | None = None
    time: Float64 | None = None
    weight: FloatArray | None = None
    event: pa.DictionaryArray | None = None

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self) if self._has(f.name)}
        if len(set(lengths.values())) > 1:
            raise DataError(f"interaction arrays differ in length: {lengths}; make them equal")

    def __len__(self) -> int:
        return len(self.user)

    def where(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where `mask` holds."""
        return self._map(lambda a: a[mask], lambda e: e.filter(pa.array(mask)))

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Self:
        """Return these rows, in this order."""
        return self._map(lambda a: a[rows], lambda e: e.take(pa.array(rows)))

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    def _map(self, array: Callable[[Any], Any], event: Callable[[Any], Any]) -> Self:
        changed: dict[str, Any] = {}
        for name in (f.name for f in fields(self) if self._has(f.name)):
            changed[name] = (event if name == "event" else array)(getattr(self, name))
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Pairs:
    """One row per (user, item), sorted by user and then by item.

    Attributes:
        indptr: (users + 1,) where each user's pairs begin and end.
        user: (pairs,) dense user index.
        item: (pairs,) dense item index.
        value: (pairs,) mean evidence of the pair's rows.
        time: (pairs,) of its first row in time, or None.
        row: (pairs,) its first row in the table.
    """

    indptr: npt.NDArray[np.int64]
    user: Int32
    item: Int32
    value: FloatArray
    time: Float64 | None
    row: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)


def merge_pairs(rows: Interactions, n_users: int, n_items: int) -> Pairs:
    """Merge the rows of equal (user, item): mean evidence, earliest time, earliest row.

    Example:
        >>> rows = Interactions(np.int32([1, 0, 1]), np.int32([2, 0, 2]), np.float32([1, 1, -0.5]))
        >>> pairs = merge_pairs(rows, 2, 3)
        >>> pairs.user.tolist(), pairs.item.tolist(), pairs.value.tolist(), pairs.row.tolist()
        ([0, 1], [0, 2], [1.0, 0.25], [1, 0])
    """
    key = rows.user.astype(np.int64) * max(1, n_items) + rows.item
    order = np.argsort(key, kind="stable")
    key = key[order]
    new = np.ones(len(key), bool)
    new[1:] = key[1:] != key[:-1]
    starts = np.flatnonzero(new)
    first = order[starts]
    value, time = rows.value[first], None if rows.time is None else rows.time[first]
    if len(starts) < len(key):
        size = np.diff(np.append(starts, len(key)))
        sums = np.add.reduceat(rows.value[order].astype(np.float64), starts)
        value = (sums / size).astype(np.float32)
        time = None if rows.time is None else np.minimum.reduceat(rows.time[order], starts)
    user = rows.user[first]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users))])
    return Pairs(indptr.astype(np.int64), user, rows.item[first], value, time, first)
