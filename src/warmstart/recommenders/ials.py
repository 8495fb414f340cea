"""iALS: implicit-feedback matrix factorisation, with a new user folded in by one solve.

Reference: Hu, Koren & Volinsky 2008, doi:10.1109/ICDM.2008.22; tuned it stays hard to beat
(Rendle et al. 2022, arXiv:2110.14037). The factors are fitted by `implicit`; folding in needs
NumPy alone. A user with liked item factors V (shots × factors) has the vector

    u = α (YᵀY + reg·I + (α - 1) VᵀV)⁻¹ Vᵀ1
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import MissingExtraError
from warmstart.core.room import longer, roomy, with_room
from warmstart.core.types import FloatArray, Histories, IntArray, Progress, State
from warmstart.recommenders.popularity import (
    lean_on_popularity,
    liked,
    likes_per_item,
    training_likes,
)

_ROOM = 1 << 22  # floats that a batch of padded histories may take
_ITEMS_AT_ONCE = 512


class IALSConfig(Config):
    """Settings of iALS.

    Attributes:
        factors: dimension of the vectors.
        reg: ridge penalty on both sides.
        alpha: confidence in a like; an item without a like has confidence 1.
        iterations: alternating sweeps.
    """

    factors: int = Field(64, ge=1)
    reg: float = Field(100.0, gt=0)
    alpha: float = Field(10.0, ge=1)
    iterations: int = Field(15, ge=1)


class IALS:
    """Score items by the inner product of their factors with a folded-in user vector."""

    config_type: ClassVar[type[Config]] = IALSConfig
    # the penalty acts against the confidence: many likes a user want more of both
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {"factors": f, "reg": r, "alpha": a}
        for f, r, a in (
            (64, 10.0, 5.0),
            (64, 30.0, 10.0),
            (64, 100.0, 20.0),
            (64, 100.0, 10.0),
            (64, 200.0, 10.0),
            (64, 400.0, 20.0),
            (128, 30.0, 10.0),
            (128, 100.0, 10.0),
        )
    )
    factors: FloatArray
    counts: FloatArray

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or IALSConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Factorise the training likes.

        Raises:
            MissingExtraError: `implicit` is not installed.
        """
        return self.fit_likes(training_likes(data), seed=seed, progress=progress)

    def fit_likes(
        self, likes: sp.csr_array, *, seed: int = 0, progress: Progress | None = None
    ) -> Self:
        """Factorise (users, items) binary likes; see `fit`."""
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtraError("implicit", extra="train") from None
        c = self.config

        def report(sweep: int, _seconds: float, _loss: float | None) -> None:
            if progress is not None:
                progress(sweep + 1, c.iterations, "iALS")

        with threadpool_limits(1, "blas"):  # implicit has threads of its own; together they fight
            model = AlternatingLeastSquares(
                factors=c.factors,
                regularization=c.reg,
                alpha=c.alpha,
                iterations=c.iterations,
                random_state=seed,
            )
            model.fit(sp.csr_matrix(likes), show_progress=False, callback=report)
        self.factors, self.counts = np.asarray(model.item_factors), likes_per_item(likes)
        self._prepare()
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) inner products; a user without likes gets popularity."""
        likes = liked(histories, len(self.counts))
        scores = self.fold_in(likes) @ self.factors.T
        return lean_on_popularity(scores, likes, self.counts)

    def fold_in(self, likes: sp.csr_array) -> FloatArray:
        """Return the (users, factors) vectors of the rows of a binary (users, items) matrix."""
        shots = np.diff(likes.indptr)
        users = np.zeros((len(shots), self.factors.shape[1]), np.float32)
        order = np.argsort(shots, kind="stable")
        order = order[shots[order] > 0]
        while len(order):
            # widths grow along `order`: as many users as fit when padded to the widest of them
            room = np.arange(1, len(order) + 1) * shots[order] * users.shape[1]
            batch = order[: max(1, int(np.searchsorted(room, _ROOM)))]
            users[batch] = self._solve(likes, batch, int(shots[batch[-1]]))
            order = order[len(batch) :]
        return users

    def _solve(self, likes: sp.csr_array, batch: IntArray, width: int) -> FloatArray:
        column = np.arange(width)
        at = likes.indptr[batch][:, None] + column
        real = (column < np.diff(likes.indptr)[batch][:, None]).astype(np.float32)
        items = likes.indices[np.minimum(at, len(likes.indices) - 1)]
        v, padded = self.factors[items], not real.all()  # (users, shots, factors)
        if padded:
            v *= real[:, :, None]
        alpha, n_factors = np.float32(self.config.alpha), v.shape[2]
        if width < n_factors:  # Woodbury: shots × shots instead of factors × factors
            w = self.spread[items]
            if padded:
                w *= real[:, :, None]
            small = (alpha - 1) * (w @ v.swapaxes(1, 2))
            small[:, column, column] += 1
            solved = np.linalg.solve(small, real[:, :, None])
            return np.asarray(alpha * (solved.swapaxes(1, 2) @ w)[:, 0])
        big = self._gram + (alpha - 1) * (v.swapaxes(1, 2) @ v)
        return np.asarray(alpha * np.linalg.solve(big, v.sum(axis=1)[:, :, None])[:, :, 0])

    def _prepare(self) -> None:
        exact = self.factors.astype(np.float64)
        gram = exact.T @ exact + self.config.reg * np.eye(exact.shape[1])
        self._gram = gram.astype(np.float32)
        self.spread = self._solved(self.factors)

    def extended(
        self, factors: FloatArray, changed: IntArray | None = None, *, in_place: bool = False
    ) -> IALS:
        """Return a copy with other (items, factors) item vectors that folds in as this one does.

        Args:
            factors: of all items; there may be more of them than before.
            changed: indices of those that are not as before; None for all.
            in_place: whether these have just come by `grown`, so that nobody else has their rows.
        """
        if changed is None:
            spread = self._solved(factors)
        else:
            more = len(factors) - len(self.counts)
            spread = self.spread if in_place else with_room(self.spread)
            spread = longer(spread, more) if more else spread
            spread[changed] = self._solved(factors[changed])
        return self._with(factors, spread)

    def grown(self, n_new: int) -> IALS:
        """Return the same with `n_new` further items, whose vectors are zero."""
        return self._with(longer(self.factors, n_new), longer(self.spread, n_new))

    def roomy(self) -> IALS:
        """Return the same with room for further items."""
        return self._with(roomy(self.factors), roomy(self.spread))

    def _with(self, factors: FloatArray, spread: FloatArray) -> IALS:
        copy = IALS(self.config)
        copy.factors, copy._gram, copy.spread = factors, self._gram, spread
        copy.counts = np.pad(self.counts, (0, len(factors) - len(self.counts)))
        return copy

    def _solved(self, factors: FloatArray) -> FloatArray:
        """Return (items, factors) gram⁻¹ times the factors of some items.

        Solved in blocks of one size, so that an item's row has the same bits in any company.
        """
        gram, out = self._gram.astype(np.float64), np.empty_like(factors)
        for start in range(0, len(factors), _ITEMS_AT_ONCE):
            some = factors[start : start + _ITEMS_AT_ONCE]
            block = np.zeros((_ITEMS_AT_ONCE, factors.shape[1]))
            block[: len(some)] = some
            out[start : start + len(some)] = np.linalg.solve(gram, block.T).T[: len(some)]
        return out

    def arrays(self) -> dict[str, FloatArray]:
        """Return what `from_arrays` needs, by name."""
        said = np.array([self.config.reg, self.config.alpha], np.float32)
        return {"factors": self.factors, "gram": self._gram, "settings": said}

    @classmethod
    def from_arrays(cls, arrays: dict[str, FloatArray]) -> IALS:
        """Rebuild from `arrays`."""
        factors, (reg, alpha) = arrays["factors"], arrays["settings"].tolist()
        method = cls(IALSConfig(factors=factors.shape[1], reg=reg, alpha=alpha))
        method._gram, method.counts = arrays["gram"], np.zeros(len(factors), np.float32)
        return method.extended(factors)

    def state(self) -> State:
        """Return the item factors and the popularity."""
        arrays = {"factors": self.factors, "counts": self.counts}
        return State(arrays, {"config": self.config.model_dump()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the item factors."""
        method = cls(IALSConfig.parse(state.meta["config"]))
        method.factors, method.counts = state.arrays["factors"], state.arrays["counts"]
        method._prepare()
        return method
