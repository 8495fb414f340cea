"""The report on rows: which were refused, why, and how to mend them. Nothing goes in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.core.errors import ConfigError, DataError

OnBadRows = Literal["raise", "drop"]
EXAMPLES_PER_CAUSE = 5
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class BadRow:
    """One refused row.

    Attributes:
        table: file name, or "interactions", "items", "users".
        row: 1-based number of the data row.
        line: line in the file, or None where rows have no lines.
        column: where the fault is.
        value: what stood there, shortened.
        cause: what is wrong with it.
        mend: what to do about it.
    """

    table: str
    row: int | None
    line: int | None
    column: str
    value: str
    cause: str
    mend: str

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        row = "a row" if self.row is None else f"row {self.row}{line}"
        return (
            f"{self.table}, {row}, column {self.column!r}: {self.cause}, got {self.value}; "
            f"{self.mend}"
        )


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of the rows that were read.

    Attributes:
        read: table → rows read.
        refused: table → rows refused; a row with two faults counts once.
        causes: (table, column, cause) → rows, a row once per fault.
        examples: the first refused rows of each cause.
        notes: everything else that was done to the data, in plain words.
    """

    read: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    examples: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_refused(self) -> int:
        """Rows refused, in all tables."""
        return sum(self.refused.values())

    def summary(self) -> str:
        """Return one line: how many rows are bad, why, and where the first of each kind is."""
        total = sum(self.read.values())
        first = {(e.table, e.column, e.cause): e for e in reversed(self.examples)}
        faults = [
            f"{n:,} × {first[key]}" if key in first else f"{n:,} × {key[2]}"
            for key, n in self.causes.items()
        ]
        return f"{self.n_refused:,} of {total:,} rows are bad: " + " | ".join(faults)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "read": dict(self.read),
            "refused": dict(self.refused),
            "causes": [
                {"table": t, "column": c, "cause": why, "rows": n}
                for (t, c, why), n in self.causes.items()
            ],
            "examples": [
                {name: getattr(e, name) for name in BadRow.__slots__} for e in self.examples
            ],
            "notes": list(self.notes),
        }


class RowCheck:
    """Gathers the faults of one table while it is read."""

    def __init__(self, table: str, n_rows: int, first_line: int | None) -> None:
        self.table, self.first_line = table, first_line
        self.n_rows, self.malformed = n_rows, 0
        self.bad = np.zeros(n_rows, bool)
        self.causes: dict[tuple[str, str, str], int] = {}
        self.examples: list[BadRow] = []

    def refuse(
        self,
        where: npt.NDArray[np.bool_],
        column: str,
        values: pa.ChunkedArray,
        *,
        cause: str,
        mend: str,
    ) -> None:
        """Refuse the rows where `where` holds, and show what stands there in `values`."""
        n = int(np.count_nonzero(where))
        if not n:
            return
        self.bad |= where
        self._count(column, cause, n)
        for row in np.flatnonzero(where)[:EXAMPLES_PER_CAUSE]:
            shown = repr(values[int(row)].as_py())
            if len(shown) > _LONGEST_SHOWN:
                shown = f"{shown[: _LONGEST_SHOWN - 1]}… ({len(shown) - 2} characters)"
            line = None if self.first_line is None else int(row) + self.first_line
            self.examples.append(BadRow(self.table, int(row) + 1, line, column, shown, cause, mend))

    def refuse_malformed(self, faults: tuple[tuple[int | None, str], ...]) -> None:
        """Refuse lines that are not rows at all; they are not among the rows of the table."""
        self.malformed += len(faults)
        mend = "quote cells that contain the delimiter, and close every quote"
        if self.first_line == 1:
            mend = 'write one object a line, such as {"user": 1, "item": 2}'
        cause = "the row is malformed"
        if faults:
            self._count("(whole row)", cause, len(faults))
        for row, text in faults[:EXAMPLES_PER_CAUSE]:
            line = None if row is None or self.first_line is None else row + self.first_line - 1
            self.examples.append(BadRow(self.table, row, line, "(whole row)", text, cause, mend))

    def _count(self, column: str, cause: str, n: int) -> None:
        key = (self.table, column, cause)
        self.causes[key] = self.causes.get(key, 0) + n


def conclude(checks: list[RowCheck], notes: list[str], on_bad_rows: str) -> RowReport:
    """Join the checks of all tables into one report.

    Raises:
        DataError: there are bad rows and `on_bad_rows` is "raise".
        ConfigError: `on_bad_rows` is something else than "raise" or "drop".
    """
    if on_bad_rows not in ("raise", "drop"):
        raise ConfigError(f"on_bad_rows={on_bad_rows!r}; give 'raise' or 'drop'")
    report = RowReport(
        {c.table: c.n_rows + c.malformed for c in checks},
        {c.table: int(c.bad.sum()) + c.malformed for c in checks},
        {key: n for c in checks for key, n in c.causes.items()},
        tuple(e for c in checks for e in c.examples),
        tuple(dict.fromkeys(notes)),
    )
    if on_bad_rows == "raise" and report.n_refused:
        raise DataError(
            f"{report.summary()} — mend them, or pass on_bad_rows='drop' to leave them out"
        )
    return report
