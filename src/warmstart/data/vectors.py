"""Vectors of items that somebody else made, from a file: `.npy`, or a table with an id column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray
from warmstart.data import columns
from warmstart.data.ids import Ids
from warmstart.data.tables import read_source


def read_vectors(path: str | Path, items: Ids) -> FloatArray:
    """Return (items, dim) vectors, NaN for items that the file does not have.

    Args:
        path: `.npy` with one row for each of `items`, in their order; or Parquet, CSV or JSON Lines
            with an item column and either one column of lists or columns of numbers.
        items: ids in the order that is wanted.

    Raises:
        DataError: no such file, no numbers, or rows that fit no items.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "v.npy"
        >>> np.save(file, np.eye(2, dtype=np.float32))
        >>> read_vectors(file, Ids(pa.array(["a", "b"]))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file: {path}; check the path")
    if path.suffix == ".npy":
        return _of_array(path, len(items))
    table = read_source(path, "vectors").table
    name = columns.require("item", table.column_names, path.name, also=("id",))
    values = _of_columns(table.drop_columns([name]), path)
    at = items.find(table[name])
    if (at < 0).all():
        raise DataError(f"none of the {len(at)} items of {path.name} is known; compare the ids")
    out = np.full((len(items), values.shape[1]), np.nan, np.float32)
    out[at[at >= 0]] = values[at >= 0]
    return out


def _of_array(path: Path, n_items: int) -> FloatArray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); save it by numpy.save") from None
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path} holds {values.dtype} of the shape {values.shape}; give (items, dim)"
        )
    if len(values) != n_items:
        raise DataError(
            f"{path} has {len(values):,} rows for {n_items:,} items; give one row for each, in the "
            "order of the items table, or a table with an item column"
        )
    return np.asarray(values, np.float32)


def _of_columns(table: pa.Table, path: Path) -> FloatArray:
    lists = [n for n in table.column_names if pa.types.is_nested(table[n].type)]
    try:
        if lists:
            return np.array(table[lists[0]].to_pylist(), np.float32)
        columns_of = [table[n].cast(pa.float32()).to_numpy() for n in table.column_names]
        return np.stack(columns_of, axis=1).astype(np.float32)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{path.name} holds no vectors of one length ({str(error)[:80]}); give one column of "
            "lists of numbers, or one column for each number"
        ) from None
