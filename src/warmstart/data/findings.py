"""What the leak linter says: one finding for each leak, with row, column, cause and mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Finding:
    """One leak.

    Attributes:
        check: which of the checks found it, see `warmstart.data.lint`.
        table: file name, or what the table was given as.
        row: 1-based number of the first row concerned, or None where it is no row.
        line: its line in the file, or None where rows have no lines.
        column: where it is.
        value: what stands there.
        cases: how many rows, or other cases, are concerned.
        cause: what is wrong.
        mend: what to do about it.
    """

    check: str
    table: str
    row: int | None
    line: int | None
    column: str
    value: str
    cases: int
    cause: str
    mend: str

    def __str__(self) -> str:
        place = "" if self.row is None else f", row {self.row}"
        place += "" if self.line is None else f" (line {self.line})"
        first = "" if self.cases == 1 else f"{self.cases:,} cases, first "
        return (
            f"{self.table}{place}, column {self.column!r}: {self.cause} ({first}{self.value}); "
            f"{self.mend}"
        )


@dataclass(frozen=True, slots=True)
class LintReport:
    """What the linter found.

    Attributes:
        findings: the leaks; none is what you want.
        checked: the checks that what was given allowed.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding], checked: Iterable[str]) -> Self:
        """Return a report in which nothing is said twice."""
        once = {(f.check, f.table, f.row, f.column, f.cause): f for f in findings}
        return cls(tuple(once.values()), tuple(dict.fromkeys(checked)))

    def __add__(self, other: LintReport) -> LintReport:
        return LintReport.of((*self.findings, *other.findings), (*self.checked, *other.checked))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "checked": list(self.checked),
        }
