"""The interaction tables of an experiment under shared indices, and what their rows must not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import columns
from warmstart.data.cells import numbers, seconds
from warmstart.data.findings import Finding
from warmstart.data.tables import Source, read_source

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")
Codes = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Known:
    """External ids of all tables → one number each; ids are compared as text."""

    of: dict[Side, dict[str, int]] = field(default_factory=lambda: {"user": {}, "item": {}})

    def codes(self, side: Side, source: Source, name: str) -> Codes:
        """Return (rows,) numbers of a column's ids.

        Raises:
            DataError: an id is missing.
        """
        column = source.table[name]
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]) + 1
            raise DataError(f"{source.name}, row {row}: column {name!r} has no {side}; fill it in")
        whole = pa.chunked_array([column.cast(pa.large_string()).combine_chunks()])
        encoded = whole.combine_chunks().dictionary_encode()
        seen = self.of[side]
        number = np.array([seen.setdefault(t, len(seen)) for t in encoded.dictionary.to_pylist()])
        return np.asarray(number[encoded.indices.to_numpy(zero_copy_only=False)], np.int64)

    def name(self, side: Side, code: int) -> str:
        """Return the id of a number."""
        return next(text for text, number in self.of[side].items() if number == code)


@dataclass(frozen=True, slots=True)
class Rows:
    """One table of interactions.

    Attributes:
        source: as it was read.
        user, item: (rows,) numbers.
        time: (rows,) seconds, or None.
        named: part → column: user, item, and where it is there timestamp.
        values: further numeric columns by name.
    """

    source: Source
    user: Codes
    item: Codes
    time: Float64 | None
    named: dict[str, str]
    values: dict[str, Float64]

    @classmethod
    def read(cls, given: Any, role: str, known: Known, encoding: str) -> Rows:  # noqa: ANN401
        """Read a table with a user and an item in each row.

        Raises:
            DataError: it cannot be read, or lacks a column.
        """
        source = read(given, role, encoding)
        names = source.table.column_names
        named: dict[str, str] = {side: columns.require(side, names, source.name) for side in SIDES}
        when = columns.match("timestamp", names)
        time = None
        if when is not None:
            named["timestamp"] = when
            time, _ = seconds(source.table[when])
        values = {n: v for n in names if n not in named.values()
                  if np.isfinite(v := plain_numbers(source.table[n])).any()}  # fmt: skip
        user, item = (known.codes(side, source, named[side]) for side in SIDES)
        return cls(source, user, item, time, named, values)

    def key(self, side: Side) -> Codes:
        """Return (rows,) the users or the items."""
        return self.user if side == "user" else self.item

    def constants(self) -> Iterator[tuple[Side, str]]:
        """Give the columns that say the same of an item (or a user) in every row, and vary."""
        for side in SIDES:
            key = self.key(side)
            _, first, at, size = np.unique(
                key, return_index=True, return_inverse=True, return_counts=True
            )
            if (size[at] > 1).mean() < 0.5:
                continue  # where each comes once, everything is constant
            for name, values in self.values.items():
                same = values[first][at]
                equal = (values == same) | (np.isnan(values) & np.isnan(same))
                if equal.all() and len(np.unique(values[np.isfinite(values)])) > 1:
                    yield side, name


def read(given: Any, role: str, encoding: str) -> Source:  # noqa: ANN401
    """Read a table whose ids are text.

    Raises:
        DataError: it cannot be read, or has malformed rows.
    """

    def ids(names: Sequence[str]) -> list[str]:
        found = [columns.match(side, names, also=("id",)) for side in SIDES]
        return [name for name in found if name is not None]

    source = read_source(given, role, ids=ids, encoding=encoding)
    if source.malformed:
        row, text = source.malformed[0]
        raise DataError(f"{source.name}, row {row}: {text}; mend the row first")
    return source


def plain_numbers(column: pa.ChunkedArray) -> Float64:
    """Return (rows,) float64 of numbers, truth values and times; NaN for all else."""
    kind = column.type
    if pa.types.is_temporal(kind):
        return seconds(column)[0]
    if pa.types.is_boolean(kind):
        return numbers(pc.cast(column, pa.int8()))
    return numbers(column)


def shared(
    asked: Rows, told: Rows, check: str, cause: str, mend: str, *, repeats: bool = False
) -> list[Finding]:
    """Find rows of `asked` whose user and item (and time) stand in `told`, too."""
    width = 1 + max(int(asked.item.max()), int(told.item.max()))
    ours, theirs = (rows.user * width + rows.item for rows in (asked, told))
    bad = np.isin(ours, theirs)
    if repeats and asked.time is not None and told.time is not None:
        known = set(zip(theirs.tolist(), told.time.tolist(), strict=True))
        at = np.flatnonzero(bad)
        pairs = zip(ours[at].tolist(), asked.time[at].tolist(), strict=True)
        bad[at] = [pair in known for pair in pairs]
    return found(check, asked, bad, ("user", "item"), cause, mend)


def met(asked: Rows, taught: Rows, side: Side) -> list[Finding]:
    """Find training rows of users, or items, that are said to be cold."""
    bad = np.isin(taught.key(side), asked.key(side))
    n = len(np.unique(taught.key(side)[bad]))
    return found(
        "cold-met", taught, bad, (side,),
        f"{n:,} {side}s that are judged as cold have training rows",
        f"take all rows of these {side}s out of training, or call the scenario another",
    )  # fmt: skip


def later(
    told: Rows, asked: Rows, rule: Literal["time", "user-time", "item-time"]
) -> list[Finding]:
    """Find rows that teach and are later than what is judged.

    Raises:
        ConfigError: a table has no times.
    """
    for rows in (told, asked):
        if rows.time is None:
            raise ConfigError(
                f"{rows.source.name} has no timestamp column, so by={rule!r} cannot be checked; "
                "add one, or say by='random'"
            )
    assert told.time is not None
    assert asked.time is not None
    side: Side = "item" if rule == "item-time" else "user"
    ours, theirs = asked.key(side), told.key(side)
    first = np.full(1 + max(int(ours.max()), int(theirs.max())), np.inf)
    with np.errstate(invalid="ignore"):
        np.fmin.at(first, ours, asked.time)
        if rule == "time":
            first[:] = first.min()
        bad = told.time > first[theirs]
    if not bad.any():
        return []
    limit = first[theirs[np.flatnonzero(bad)[0]]]
    whose = f"the first row of the same {side} that is judged"
    if rule == "time":
        whose = "the first row that is judged"
    return found(
        "future-rows", told, bad, ("timestamp",), f"rows are later than {whose} ({moment(limit)})",
        f"keep only what was known before {moment(limit)}, or say by='random' if time is not meant "
        "to matter",
    )  # fmt: skip


def found(
    check: str, rows: Rows, bad: Mask, parts: Sequence[str], cause: str, mend: str
) -> list[Finding]:
    """Return one finding for the rows where `bad` holds, or none."""
    at = np.flatnonzero(bad)
    if not len(at):
        return []
    first, source = int(at[0]), rows.source
    names = [rows.named[part] for part in parts]
    line = None if source.first_line is None else first + source.first_line
    value = ", ".join(f"{n} {source.table[n][first].as_py()!r}" for n in names)
    return [
        Finding(check, source.name, first + 1, line, " and ".join(names), value, len(at), cause,
                mend)
    ]  # fmt: skip


def moment(time: float) -> str:
    """Spell seconds since the epoch."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
