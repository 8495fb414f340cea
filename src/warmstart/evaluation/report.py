"""The result of a comparison: what was run, and one row per number, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from warmstart.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One number of a comparison.

    Attributes:
        method: name of the method.
        scenario: warm, user-cold, item-cold or both-cold.
        shots: size of the support.
        metric: name of the metric.
        mean: its mean over tasks, or its value where only all lists together have one.
        ci_low: lower end of the 95 % bootstrap interval over tasks; None where there is none.
        ci_high: upper end.
        tasks: how many tasks were judged.
        split: number of the split, or "all".
    """

    method: str
    scenario: str
    shots: int
    metric: str
    mean: float
    ci_low: float | None
    ci_high: float | None
    tasks: int
    split: int | Literal["all"]


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison: the `run` (data, seeds, versions, hardware, settings, costs) and its rows.

    Example:
        >>> row = Row("popularity", "user-cold", 0, "nDCG@10", 0.3, 0.2, 0.4, 50, "all")
        >>> Report({}, (row,)).value("popularity", 0)
        0.3
    """

    run: dict[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()

    @property
    def methods(self) -> list[str]:
        """The methods in the order in which they were run."""
        return list(dict.fromkeys(row.method for row in self.rows))

    @property
    def shots(self) -> list[int]:
        """The numbers of shots, ascending."""
        return sorted({row.shots for row in self.rows})

    def row(
        self, method: str, shots: int, metric: str = "nDCG@10", split: int | str = "all"
    ) -> Row | None:
        """Return one row, or None when it was not run."""
        wanted = (method, shots, metric, split)
        for row in self.rows:
            if (row.method, row.shots, row.metric, row.split) == wanted:
                return row
        return None

    def value(
        self, method: str, shots: int, metric: str = "nDCG@10", split: int | str = "all"
    ) -> float:
        """Return the mean in one row; NaN when it was not run."""
        row = self.row(method, shots, metric, split)
        return math.nan if row is None else row.mean

    def to_json(self) -> str:
        """Return `{"run": {...}, "rows": [...]}`, one row a line."""
        rows = ",\n  ".join(
            json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) for row in self.rows
        )
        run = json.dumps(self.run, ensure_ascii=False, allow_nan=False, indent=1)
        return f'{{\n"run": {run},\n"rows": [\n  {rows}\n]\n}}\n'

    def write(self, path: str | Path) -> None:
        """Write the JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises:
            DataError: the file is not there or is not such a report.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(found["run"], tuple(Row(**row) for row in found["rows"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is no comparison report ({error}); write one with "
                "`warmstart compare --json FILE`"
            ) from None
