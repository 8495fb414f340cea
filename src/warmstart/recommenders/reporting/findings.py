"""What a report tells, as values: figures, bands, gaps, mixtures, readings."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from warmstart.evaluation.bias import GroupGap
from warmstart.recommenders.reporting.measures import Band, Figure
from warmstart.recommenders.reporting.probabilities import Reading
from warmstart.recommenders.reporting.text_prior import TextPrior

SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True)
class Gap:
    """How a way of grouping people shows in nDCG@10.

    Attributes:
        column: of the users table, or "taste".
        shots: after how many likes.
        names: of the groups that are large enough.
        found: the means, the gap, and what chance gives.
        p_holm: the p-value after Holm's correction over all columns at these shots.
    """

    column: str
    shots: int
    names: tuple[str, ...]
    found: GroupGap
    p_holm: float


@dataclass(frozen=True, slots=True)
class Mixture:
    """The categories of lists beside those of tastes.

    Attributes:
        column: of the items table.
        names: of the categories, the most liked first.
        shares: "liked", "first", "last" and "catalogue" → share of each category.
    """

    column: str
    names: tuple[str, ...]
    shares: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a report tells.

    Attributes:
        about: the model, the people, settings, versions, the protocol.
        figures: measures by method and number of shots.
        against: the model against the best baseline at each number of shots.
        bands: items from unknown to popular.
        gaps: groups of people.
        mixture: categories, or None where items have none.
        readings: scores as probabilities, at both ends.
        texts: the check of the texts.
    """

    about: dict[str, Any]
    figures: tuple[Figure, ...]
    against: tuple[dict[str, Any], ...]
    bands: tuple[Band, ...]
    gaps: tuple[Gap, ...]
    mixture: Mixture | None
    readings: tuple[Reading, ...]
    texts: TextPrior
    _by: dict[tuple[str, str, Any], Figure] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._by.update({(f.measure, f.method, f.shots): f for f in self.figures})

    @property
    def shots(self) -> list[int]:
        """The numbers of shots, ascending."""
        return list(self.about["config"]["shots"])

    @property
    def methods(self) -> list[str]:
        """The model first, then the baselines, then the control."""
        return list(dict.fromkeys(f.method for f in self.figures if f.measure == "ndcg"))

    def figure(self, measure: str, method: str, shots: int | str | None) -> Figure | None:
        """Return one figure, or None where there is none."""
        return self._by.get((measure, method, shots))

    def to_json(self) -> str:
        """Return everything as JSON; what is undefined is null."""
        values = {k: v for k, v in asdict(self).items() if k != "_by"}
        return json.dumps(_plain(values), ensure_ascii=False, allow_nan=False, indent=1)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return what JSON can hold; what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
