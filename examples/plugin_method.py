"""Co-like: what people liked who liked what you like, your latest likes first.

A complete method in one file: settings, fit, score, save. CONTRIBUTING.md walks through it.
"""

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, Progress, State


class CoLikeConfig(Config):
    """`fade`: an event counts this share of the next one; `shrinkage`: distrusts rare items."""

    fade: float = Field(0.9, gt=0, le=1)
    shrinkage: float = Field(10.0, ge=0)


class CoLike:
    """Sum, over a user's events, of the share of those who liked it that liked the item too."""

    config_type: ClassVar[type[Config]] = CoLikeConfig
    grid: ClassVar = tuple({"shrinkage": s} for s in (3.0, 10.0, 30.0, 100.0))  # for `compare`

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or CoLikeConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:
        likes = data.positives()  # (users, items) ones, of the training rows alone
        together = sp.csr_array(likes.T @ likes)
        self.counts: FloatArray = together.diagonal()
        together.setdiag(0)
        share = sp.diags_array(1 / (self.counts + np.float32(self.config.shrinkage)))
        self.weights = sp.csr_array(share @ together).astype(np.float32)
        return self

    def score(self, histories: Histories) -> FloatArray:
        age = np.repeat(histories.indptr[1:] - 1, histories.shots) - np.arange(len(histories.items))
        values = histories.values * np.float32(self.config.fade) ** age.astype(np.float32)
        said = replace(histories, values=values).matrix(len(self.counts))
        popularity = self.counts / max(float(self.counts.max()), 1.0)
        return (said @ self.weights).toarray() + np.float32(1e-3) * popularity

    def state(self) -> State:
        w = self.weights
        arrays = {"data": w.data, "indices": w.indices, "indptr": w.indptr, "counts": self.counts}
        return State(arrays, {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        method, a = cls(CoLikeConfig.parse(state.meta["config"])), state.arrays
        method.counts, n = a["counts"], len(a["counts"])
        method.weights = sp.csr_array((a["data"], a["indices"], a["indptr"]), shape=(n, n))
        return method
