"""Groups of people: by a column of the users table, or by how popular what they like is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.core.errors import ConfigError
from warmstart.core.types import IntArray
from warmstart.data import Dataset
from warmstart.data.cells import numbers

TASTE = "taste"
_FEW_VALUES, _PARTS, _MOST = 8, 4, 40


@dataclass(frozen=True, slots=True)
class Groups:
    """A way to group people.

    Attributes:
        column: of the users table, or `TASTE`.
        names: of the groups.
        codes: (people,) which group each is in; -1 where it is unknown.
    """

    column: str
    names: tuple[str, ...]
    codes: IntArray


def columns_with_groups(data: Dataset) -> list[str]:
    """Return the columns of the users table whose values make groups."""
    kinds = data.schema.users
    return [n for n in _names(data) if kinds[n].kind in ("category", "number")]


def groups_of(data: Dataset, users: IntArray, by: tuple[str, ...] | None) -> Iterator[Groups]:
    """Yield the groups of some users by each column; numbers are cut into quarters.

    Args:
        data: with a users table.
        users: (people,) dense indices.
        by: columns; None for every one with 2 to 40 groups.

    Raises:
        ConfigError: there is no such column.
    """
    known = _names(data)
    for name in by or ():
        if name not in known:
            raise ConfigError(
                f"there is no user column {name!r}; there are: {', '.join(known) or 'none'}"
            )
    for name in columns_with_groups(data) if by is None else by:
        assert data.user_table is not None
        column = data.user_table[name].take(pa.array(users))
        if data.schema.users[name].kind == "number":
            found = _of_numbers(name, numbers(column))
        else:
            found = _of_values(name, column)
        if by is not None or 2 <= len(found.names) <= _MOST:
            yield found


def by_taste(popularity: npt.NDArray[np.float64]) -> Groups:
    """Return people in thirds by the mean popularity (people,) of what they like.

    Reference: Abdollahpouri et al. 2019, arXiv:1907.13286 (niche, diverse, blockbuster).
    """
    cuts = np.quantile(popularity, [1 / 3, 2 / 3])
    return Groups(TASTE, ("niche", "mixed", "mainstream"), np.searchsorted(cuts, popularity))


def _names(data: Dataset) -> list[str]:
    if data.user_table is None:
        return []
    kinds = data.schema.users
    return [n for n in data.user_table.column_names if n in kinds and kinds[n].kind != "id"]


def _of_values(name: str, column: pa.ChunkedArray) -> Groups:
    texts = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    encoded = pc.dictionary_encode(texts.combine_chunks())
    values = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = sorted(range(len(values)), key=lambda at: _spelling(values[at]))
    place = np.append(np.argsort(order), -1)
    return Groups(name, tuple(values[at] for at in order), place[codes])


def _of_numbers(name: str, values: npt.NDArray[np.float64]) -> Groups:
    there = np.isfinite(values)
    distinct = np.unique(values[there])
    if len(distinct) <= _FEW_VALUES:
        codes = np.where(there, np.searchsorted(distinct, values), -1)
        return Groups(name, tuple(f"{v:g}" for v in distinct), codes)
    cuts = np.unique(np.quantile(values[there], np.arange(1, _PARTS) / _PARTS, method="nearest"))
    codes = np.where(there, np.searchsorted(cuts, values, side="left"), -1)
    names = []
    for code in range(len(cuts) + 1):
        part = values[codes == code]
        names.append(f"{part.min():g}–{part.max():g}" if len(part) else "–")
    return Groups(name, tuple(names), codes)


def _spelling(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return np.inf, value
