"""Chance: the list of a method that knows nothing. Every table needs this row."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, Progress, State

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class ChanceConfig(Config):
    """Chance has no settings."""


class Chance:
    """Rank items at random; the same seed and the same history give the same list.

    The scores are a hash of seed, history and item (Steele et al. 2014, SplitMix64), so a user's
    list does not depend on the batch it is computed in.
    """

    config_type: ClassVar[type[Config]] = ChanceConfig
    n_items: int
    seed: int

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ChanceConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Note how many items there are."""
        self.n_items, self.seed = int(data.n_items), seed
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) uniform float32 scores in [0, 1)."""
        events = _mix(histories.items.astype(np.uint64) + np.uint64(1))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(events)])  # wraps around
        users = _mix(np.diff(sums[histories.indptr]) + np.uint64(self.seed))
        items = _mix(np.arange(self.n_items, dtype=np.uint64))
        bits = _mix(users[:, None] ^ items)
        return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def state(self) -> State:
        """Return the seed and the size of the catalogue."""
        return State(meta={"n_items": self.n_items, "seed": self.seed})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the seed and the size of the catalogue."""
        method = cls()
        method.n_items, method.seed = state.meta["n_items"], state.meta["seed"]
        return method


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
