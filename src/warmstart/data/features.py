"""Columns to numbers: one-hot, multi-hot and quantile bins, with "missing" as all zeros.

A fitted `FeatureSpace` is plain JSON, so a saved model encodes a new user's age exactly as the
training did. Values it has never met are treated as missing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.data.cells import numbers, seconds
from warmstart.data.schema import Column

N_BINS = 8
FEW_VALUES = 12


class Block(Config):
    """How one column is encoded.

    Attributes:
        column: its name.
        kind: category and multi-category look values up, number puts them into bins.
        separator: between the values of a multi-category cell.
        values: the vocabulary, one feature each; a number with few values has one, too.
        edges: inner edges of the bins; `len(edges) + 1` features.
    """

    column: str
    kind: Literal["category", "multi-category", "number"]
    separator: str | None = None
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of its features."""
        if self.kind != "number" or self.values:
            return [f"{self.column}={value}" for value in self.values]
        ends = ["-inf", *(f"{e:g}" for e in self.edges), "inf"]
        return [f"{self.column} in [{a}, {b})" for a, b in itertools.pairwise(ends)]


class FeatureSpace:
    """A fitted encoding of a users or items table.

    Example:
        >>> table = pa.table({"sex": ["F", "M", None], "likes": ["a|b", "b", "b|a"]})
        >>> kinds = {"sex": Column(kind="category"),
        ...          "likes": Column(kind="multi-category", separator="|")}
        >>> space = FeatureSpace.fit(table, kinds)
        >>> space.names
        ['sex=F', 'sex=M', 'likes=b', 'likes=a']
        >>> space.transform(table).toarray().tolist()[2]
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureSpace) and self.blocks == other.blocks

    __hash__ = None  # type: ignore[assignment]

    @property
    def names(self) -> list[str]:
        """One name per feature, such as `genres=Drama` or `age in [25, 31)`."""
        return [name for block in self.blocks for name in block.names]

    @property
    def columns(self) -> list[str]:
        """The columns that are encoded."""
        return [block.column for block in self.blocks]

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        kinds: Mapping[str, Column],
        *,
        min_count: int = 2,
        max_values: int = 2_000,
    ) -> FeatureSpace:
        """Choose the features from the rows of `table`.

        Args:
            table: rows to learn from.
            kinds: column → kind; other kinds than category, multi-category and number are
                left out.
            min_count: a value that fewer rows hold has no feature; at most one row in ten
                is asked for, so that tiny tables keep theirs.
            max_values: at most so many values of one column, the most frequent ones.
        """
        least = max(1, min(min_count, table.num_rows // 10))
        blocks = []
        for name, column in kinds.items():
            if name not in table.column_names:
                continue
            if column.kind == "number":
                block = _fit_number(name, table[name])
            elif column.kind in ("category", "multi-category"):
                _, texts = _tokens(table[name], column.kind, column.separator)
                values = _vocabulary(texts, least, max_values)
                block = Block(
                    column=name,
                    kind="category" if column.kind == "category" else "multi-category",
                    separator=column.separator,
                    values=tuple(values),
                )
            else:
                continue
            if block.names:
                blocks.append(block)
        return cls(blocks)

    def transform(self, table: pa.Table | Mapping[str, Any]) -> sp.csr_array:
        """Return the (rows, features) float32 matrix of zeros and ones.

        Args:
            table: a table, or a mapping of columns; a column that is not there is missing in
                every row, and columns that are not encoded are ignored.
        """
        if not isinstance(table, pa.Table):
            table = pa.table({name: _as_column(values) for name, values in table.items()})
        rows: list[npt.NDArray[np.int64]] = []
        places: list[npt.NDArray[np.int64]] = []
        offset = 0
        for block in self.blocks:
            if block.column in table.column_names:
                row, place = _encode(block, table[block.column])
                rows.append(row)
                places.append(place + offset)
            offset += len(block.names)
        row = np.concatenate([np.zeros(0, np.int64), *rows])
        place = np.concatenate([np.zeros(0, np.int64), *places])
        ones = np.ones(len(row), np.float32)
        matrix = sp.coo_array((ones, (row, place)), shape=(table.num_rows, offset)).tocsr()
        matrix.sum_duplicates()
        matrix.data[:] = 1  # a cell may name a value twice
        return sp.csr_array(matrix)

    def one(self, values: Mapping[str, Any]) -> sp.csr_array:
        """Return the (1, features) row of one user or item given as column → value.

        Raises:
            DataError: a name is not one of the encoded columns.

        Example:
            >>> space = FeatureSpace([Block(column="sex", kind="category", values=("F", "M"))])
            >>> space.one({"sex": "M"}).toarray().tolist()
            [[0.0, 1.0]]
        """
        unknown = [name for name in values if name not in self.columns]
        if unknown:
            raise DataError(
                f"unknown feature {unknown[0]!r}; the known ones are: "
                f"{', '.join(self.columns) or 'none'}"
            )
        if not values:
            return self._nothing
        return self.transform({name: [value] for name, value in values.items()})

    @cached_property
    def _nothing(self) -> sp.csr_array:
        """The row of whom nothing is known; a sparse matrix takes long to make."""
        return sp.csr_array((1, len(self)), dtype=np.float32)

    def to_json(self) -> str:
        """Return the encoding as JSON."""
        return json.dumps([b.model_dump(mode="json") for b in self.blocks], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureSpace:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: a block has unknown keys or values.
            DataError: not a JSON list of blocks.
        """
        try:
            blocks = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"the features are not JSON: {error}; save them again") from None
        if not isinstance(blocks, list) or not all(isinstance(b, dict) for b in blocks):
            raise DataError("the features are not a JSON list of blocks; save them again")
        return cls([Block.parse(block) for block in blocks])


def _fit_number(name: str, column: pa.ChunkedArray) -> Block:
    values = _numbers(column)
    values = values[np.isfinite(values)]
    distinct = np.unique(values)
    if len(distinct) <= FEW_VALUES:
        return Block(column=name, kind="number", values=tuple(_spell(v) for v in distinct))
    edges = np.unique(np.quantile(values, np.arange(1, N_BINS) / N_BINS))
    return Block(column=name, kind="number", edges=tuple(float(e) for e in edges))


def _encode(
    block: Block, column: pa.ChunkedArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the (row, feature) pairs that are one."""
    if block.kind == "number":
        values = _numbers(column)
        if not block.values:
            row = np.flatnonzero(np.isfinite(values))
            return row, np.searchsorted(np.array(block.edges), values[row], side="right")
        known = np.array([float(v) for v in block.values])
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        row = np.flatnonzero(known[place] == values)
        return row, place[row]
    row, texts = _tokens(column, block.kind, block.separator)
    found = pc.index_in(texts, value_set=pa.array(block.values, pa.large_string()))
    place = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return row[place >= 0], place[place >= 0]


def _tokens(
    column: pa.ChunkedArray, kind: str, separator: str | None
) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return the row of every value, and the values as trimmed text; empty ones are left out."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    row = np.arange(len(array))
    if kind == "multi-category":
        if separator is not None and not pa.types.is_nested(array.type):
            array = pc.split_pattern(_texts(array), separator)
        if pa.types.is_nested(array.type):
            row = pc.list_parent_indices(array).to_numpy(zero_copy_only=False).astype(np.int64)
            array = pc.list_flatten(array)
    texts = pc.utf8_trim_whitespace(_texts(array))
    there = pc.fill_null(pc.not_equal(texts, ""), False)
    return row[there.to_numpy(zero_copy_only=False)], texts.filter(there)


def _texts(array: pa.Array) -> pa.Array:
    """Spell values as text; 3 and 3.0 alike."""
    if pa.types.is_floating(array.type):
        listed = [None if v is None or v != v else _spell(v) for v in array.to_pylist()]
        return pa.array(listed, pa.large_string())
    return array.cast(pa.large_string())


def _spell(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _vocabulary(texts: pa.Array, min_count: int, max_values: int) -> list[str]:
    counts = [(c["values"], c["counts"]) for c in pc.value_counts(texts).to_pylist()]
    kept = [(value, n) for value, n in counts if n >= min_count]
    return [value for value, _ in sorted(kept, key=lambda vn: (-vn[1], vn[0]))[:max_values]]


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        return seconds(column)[0]
    return numbers(column)


def _as_column(values: Any) -> pa.ChunkedArray:  # noqa: ANN401
    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, TypeError):
        return pa.chunked_array([pa.array([None if v is None else str(v) for v in values])])
