"""EASE: one item–item matrix in closed form, its diagonal held at zero.

Reference: Steck 2019, arXiv:1905.03375. With the Gram matrix G = XᵀX and P = (G + λI)⁻¹, the
weights are B_ij = -P_ij / P_jj, and a user's scores are the sum of the rows of what they like.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.linalg.lapack as lapack
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.types import FloatArray, Histories, IntArray, Progress, State
from warmstart.recommenders.popularity import (
    lean_on_popularity,
    liked,
    likes_per_item,
    training_likes,
)

_EXACT_ITEMS = 6_000  # above, the inverse is computed in float32: half the memory


class EASEConfig(Config):
    """Settings of EASE.

    Attributes:
        reg: λ, the ridge penalty on the item–item weights.
        max_items: only the most liked items get weights, the others score 0 and rank by
            popularity; memory grows with its square (4 bytes each), time with its cube.
    """

    reg: float = Field(1000.0, gt=0)
    max_items: int = Field(10_000, ge=1)


class EASE:
    """Score an item by learned item–item weights from the items in the user's history."""

    config_type: ClassVar[type[Config]] = EASEConfig
    # one like asks for far more regularisation than twenty: on MovieLens-1M 300,000 against 3,000
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"reg": r} for r in (30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5)
    )
    weights: FloatArray
    items: IntArray
    counts: FloatArray

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or EASEConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Solve for the weights between the `max_items` most liked items."""
        likes = training_likes(data)
        self.counts = likes_per_item(likes)
        self.items = np.sort(np.argsort(-self.counts, kind="stable")[: self.config.max_items])
        likes = likes[:, self.items]
        gram = (likes.T @ likes).toarray()
        if len(self.items) <= _EXACT_ITEMS:
            gram = gram.astype(np.float64)
        self.weights = item_weights(gram, self.config.reg)
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) summed weights; a user without likes gets popularity."""
        likes = liked(histories, len(self.counts))
        known = likes[:, self.items]
        scores = np.zeros(likes.shape, np.float32)
        scores[:, self.items] = known @ self.weights
        return lean_on_popularity(scores, known, self.counts)

    def state(self) -> State:
        """Return the weights, which items they belong to, and the popularity."""
        arrays = {"weights": self.weights, "items": self.items, "counts": self.counts}
        return State(arrays, {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the weights."""
        method = cls(EASEConfig.parse(state.meta["config"]))
        method.weights, method.items = state.arrays["weights"], state.arrays["items"]
        method.counts = state.arrays["counts"]
        return method


def item_weights(gram: npt.NDArray[Any], reg: float) -> FloatArray:
    """Return EASE's (items, items) float32 weights from XᵀX; `gram` is overwritten.

    Raises:
        ConfigError: `gram + reg·I` is not positive definite to working precision.
    """
    n = len(gram)
    gram[np.diag_indices(n)] += reg
    potrf, potri = (
        (lapack.dpotrf, lapack.dpotri)
        if gram.dtype == np.float64
        else (lapack.spotrf, lapack.spotri)
    )
    # gram is symmetric, so its transpose is the same matrix in the order LAPACK overwrites
    factor, failed = potrf(gram.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise ConfigError(f"EASE: reg={reg} is too small for {n} items; choose a larger reg")
    inverse, _ = potri(factor, lower=1, overwrite_c=1)
    for start in range(0, n, 1024):  # mirror the lower triangle, a band at a time
        stop = min(start + 1024, n)
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
        corner = np.tril(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.tril(corner, -1).T
    inverse /= -np.diag(inverse).copy()
    inverse[np.diag_indices(n)] = 0
    return np.ascontiguousarray(inverse, np.float32)
