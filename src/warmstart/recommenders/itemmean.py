"""Item mean: rank by average rating, drawn towards the mean of all ratings where there are few.

The baseline of rating protocols: on rated items alone it beats several published meta-learners.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, Progress, State


class ItemMeanConfig(Config):
    """Settings of the item mean.

    Attributes:
        shrinkage: how many ratings of the overall mean every item starts with.
    """

    shrinkage: float = Field(5.0, ge=0)


class ItemMean:
    """Score an item by its shrunken mean rating; the history is ignored."""

    config_type: ClassVar[type[Config]] = ItemMeanConfig
    means: FloatArray

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ItemMeanConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Average the ratings, or the signed evidence where the data has no ratings."""
        rows = data.interactions
        ratings = np.asarray(rows.value if rows.rating is None else rows.rating, np.float64)
        items = rows.item[np.isfinite(ratings)]
        ratings = ratings[np.isfinite(ratings)]
        sums = np.bincount(items, ratings, minlength=data.n_items)
        counts = np.bincount(items, minlength=data.n_items)
        overall = float(ratings.mean()) if len(ratings) else 0.0
        prior = max(self.config.shrinkage, 1e-9)  # an item without ratings has the overall mean
        self.means = ((sums + prior * overall) / (counts + prior)).astype(np.float32)
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) mean ratings, the same row for every user."""
        return np.repeat(self.means[None], len(histories), axis=0)

    def state(self) -> State:
        """Return the means."""
        return State({"means": self.means}, {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the means."""
        method = cls(ItemMeanConfig.parse(state.meta["config"]))
        method.means = state.arrays["means"]
        return method
