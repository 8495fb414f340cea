"""Cells to numbers: ratings, weights and times out of whatever a table holds, and which failed.

Every function takes a column and returns float64 with NaN where the cell could not be read, so
that the caller can refuse exactly those rows.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Float64 = npt.NDArray[np.float64]

_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
# Seconds since 1970 stay below 1e11 until the year 5138, so larger numbers are finer units.
_FINER_UNITS = (
    (1e17, 1e9, "nanoseconds"),
    (1e14, 1e6, "microseconds"),
    (1e11, 1e3, "milliseconds"),
)


def numbers(column: pa.ChunkedArray) -> Float64:
    """Return (rows,) float64; NaN where missing or not a number; infinities stay."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        readable = pc.match_substring_regex(column, _NUMBER)
        kept = pc.if_else(readable, pc.utf8_trim_whitespace(column), pa.scalar(None, kind))
        column = kept.cast(pa.float64())
    elif pa.types.is_null(kind) or pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return np.full(len(column), np.nan)
    else:
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(column.to_numpy(), np.float64)


def is_numeric_text(column: pa.ChunkedArray) -> bool:
    """Whether every cell that is there is a number written as text."""
    return bool(pc.all(pc.match_substring_regex(column, _NUMBER)).as_py())


def seconds(column: pa.ChunkedArray) -> tuple[Float64, str]:
    """Return (rows,) seconds since the epoch and a note on how they were read.

    Understood are numbers (the unit is told by their size), dates, timestamps, and ISO 8601
    text with or without a zone (without one: UTC). NaN where a cell is none of these.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zone = "UTC" if getattr(kind, "tz", None) else None
        micros = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
        return np.asarray(micros.cast(pa.float64(), safe=False).to_numpy(), np.float64) / 1e6, ""
    values = numbers(column)
    if (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and np.isnan(values).any():
        written = np.isnan(values)
        values = values.copy()
        values[written] = _iso_seconds(column.filter(pa.array(written)))
        if written.all():
            return values, ""
    return _in_seconds(values)


def _in_seconds(values: Float64) -> tuple[Float64, str]:
    finite = values[np.isfinite(values)]
    typical = float(np.median(finite)) if len(finite) else 0.0
    for above, per_second, unit in _FINER_UNITS:
        if typical > above:
            return values / per_second, f"read as {unit} since 1970"
    return values, ""


def _iso_seconds(texts: pa.ChunkedArray) -> Float64:
    distinct = pc.dictionary_encode(texts.combine_chunks())
    parsed = np.array([_one_iso(t) for t in distinct.dictionary.to_pylist()] + [np.nan])
    codes = pc.fill_null(distinct.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
    return np.asarray(parsed[codes], np.float64)


def _one_iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
