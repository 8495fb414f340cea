"""The parts of the default model, and their scores: what the gates weigh against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.layers import Layers, Sparse
from warmstart.core.rows import add_rows
from warmstart.core.types import FloatArray, Histories
from warmstart.meta.belief import Belief, BeliefConfig, observation_weights
from warmstart.recommenders.ials import IALS
from warmstart.recommenders.popularity import liked
from warmstart.recommenders.query import QueryEncoder
from warmstart.recommenders.recency import Recency

FACTORS = ("factors-few", "factors-many")
"""Names of the folded-in factors: those that rank best at few shots, and at many."""

FIRST_FACTORS = 3
"""Column of the gates where the folded-in factors begin; before it stand logits, unscaled."""

FIRST_CLOSED = FIRST_FACTORS + len(FACTORS)
"""Column of the gates where the closed forms begin."""

_MOST_NARROW = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything fitted that scores the catalogue, before the gates.

    In the order of the gates' columns: the encoder, popularity, its rise of late, both kinds of
    folded-in factors, the closed form once for each power of popularity that divides it, each
    memory.

    Attributes:
        encoder: the amortised query vector, or None where the data were too few to train one.
        log_popularity: (items,) log share of the likes.
        recency: the rise of each item, or None where the data have no times or show none.
        factors: item factors into which a new user is folded by one ridge solve: those for few
            shots and, unless they are the same, those for many; may be empty.
        belief: prior of the closed form.
        closed_form: its settings.
        powers: (closed forms,) exponents b; the closed form's expectation is divided by mean^b.
        memories: item–item weights by name.
        scales: (parts,) divides each part's scores, so that one grid of weights serves all.
        dislike: weight of a dislike in the memories, against 1 for a like.
        lent: (items, items) how much a like of one item lends to another without interactions.
    """

    encoder: QueryEncoder | None
    log_popularity: FloatArray
    recency: Recency | None
    factors: tuple[IALS, ...]
    belief: Belief
    closed_form: BeliefConfig
    powers: tuple[float, ...]
    memories: dict[str, Sparse]
    scales: FloatArray
    dislike: float
    lent: sp.csr_array

    @property
    def names(self) -> list[str]:
        """One name for each column of the gates."""
        closed = [f"closed-form^{p:g}" for p in self.powers]
        return ["encoder", "popularity", "recency", *FACTORS, *closed, *self.memories]

    @property
    def tempering(self) -> FloatArray:
        """(closed forms, items) what the closed form's expectation is multiplied by."""
        # in doubles, for a power's last bit depends on its neighbours
        floor = self.belief.mean.astype(np.float64) + 3.0 / self.belief.effective_users
        return np.stack([floor**-p for p in self.powers]).astype(np.float32)

    def expectation(self, histories: Histories) -> FloatArray:
        """Return (users, items) posterior mean liking."""
        alpha = observation_weights(histories, self.belief, self.closed_form)
        return weighted_rows(alpha, self.belief.covariance) + self.belief.mean

    def remembered(self, histories: Histories) -> sp.csr_array:
        """Return (users, items) signed evidence as the memories take it."""
        said = histories.matrix(len(self.log_popularity))
        said.data = np.where(said.data > 0, said.data, self.dislike * said.data)
        shots = np.sqrt(np.maximum(histories.shots, 1)).astype(np.float32)
        said.data /= np.repeat(shots, np.diff(said.indptr))
        return said

    def scores(self, histories: Histories) -> list[FloatArray]:
        """Return one (users, items) array per part, scaled."""
        n_users, n_items = len(histories), len(self.log_popularity)
        if self.encoder is None:
            encoded = np.zeros((n_users, n_items), np.float32)
        else:
            encoded = self.encoder.queries(histories) @ self.encoder.items.T + self.encoder.bias
        popular: npt.NDArray[np.float32] = np.broadcast_to(
            self.log_popularity, (n_users, n_items)
        ).astype(np.float32)
        rising = np.zeros((n_users, n_items), np.float32)
        if self.recency is not None:
            rising += self.recency.trust(histories)[:, None] * self.recency.rise
        folded = [np.zeros((n_users, n_items), np.float32) for _ in FACTORS]
        for scores, factors in zip(folded, self.factors, strict=False):
            scores += factors.fold_in(liked(histories, n_items)) @ factors.factors.T
        expected = self.expectation(histories)
        said = self.remembered(histories)
        out = [encoded, popular, rising, *folded, *(expected * t for t in self.tempering)]
        out += [weighted_rows(said, m) for m in self.memories.values()]
        return [part / scale for part, scale in zip(out, self.scales, strict=True)]

    def grown(self, n_new: int) -> Parts:
        """Return the parts with `n_new` further items, of which nothing is known yet.

        The rows of these are the caller's own; what was there is shared with the parts before.
        """

        def rows(a: FloatArray, value: float = 0.0) -> FloatArray:
            return np.pad(a, (0, n_new), constant_values=value)

        n = len(self.log_popularity)
        belief = self.belief
        smallest = float(belief.mean.min())
        covariance = belief.covariance
        if isinstance(covariance, np.ndarray):
            covariance = np.pad(covariance, [(0, n_new), (0, n_new)])
        else:
            covariance = _resized(covariance, n + n_new)
        return replace(
            self,
            encoder=self.encoder and self.encoder.grown(n_new),
            log_popularity=rows(self.log_popularity, float(self.log_popularity.min())),
            recency=None
            if self.recency is None
            else replace(self.recency, rise=rows(self.recency.rise)),
            factors=tuple(f.grown(n_new) for f in self.factors),
            belief=replace(
                belief,
                mean=rows(belief.mean, smallest),
                covariance=covariance,
                variance=rows(belief.variance, smallest),
            ),
            memories={name: _resized(m, n + n_new) for name, m in self.memories.items()},
            lent=_resized(self.lent, n + n_new),
        )

    def roomy(self) -> Parts:
        """Return the same with room, so that further items come without copying the others."""
        return replace(
            self,
            encoder=self.encoder and self.encoder.roomy(),
            factors=tuple(f.roomy() for f in self.factors),
            belief=replace(self.belief, covariance=narrow(self.belief.covariance)),
            memories={name: narrow(m) for name, m in self.memories.items()},
            lent=narrow(self.lent),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        out: dict[str, npt.NDArray[Any]] = {
            "log_popularity": self.log_popularity,
            "belief.mean": self.belief.mean,
            "belief.variance": self.belief.variance,
            "belief.effective_users": np.array([self.belief.effective_users]),
            "scales": self.scales,
            **matrix_arrays("belief.covariance", self.belief.covariance),
            **matrix_arrays("lent", self.lent),
        }
        if self.recency is not None:
            out["recency.rise"] = self.recency.rise
            out["recency.end"] = np.array([self.recency.end, self.recency.half_life])
        for number, factors in enumerate(self.factors):
            out |= {f"factors.{number}.{name}": a for name, a in factors.arrays().items()}
        if self.encoder is not None:
            out |= {f"encoder.{name}": a for name, a in self.encoder.arrays().items()}
        for number, memory in enumerate(self.memories.values()):
            out |= matrix_arrays(f"memory.{number}", memory)
        return out

    @classmethod
    def from_arrays(
        cls,
        arrays: dict[str, npt.NDArray[Any]],
        memories: list[str],
        *,
        closed_form: BeliefConfig,
        powers: tuple[float, ...],
        dislike: float,
    ) -> Parts:
        """Rebuild from `arrays`."""
        n = len(arrays["log_popularity"])
        weights = _under("encoder.", arrays)
        return cls(
            QueryEncoder.from_arrays(weights) if weights else None,
            arrays["log_popularity"],
            Recency(arrays["recency.rise"], *map(float, arrays["recency.end"]))
            if "recency.rise" in arrays
            else None,
            tuple(
                IALS.from_arrays(_under(f"factors.{number}.", arrays))
                for number in range(len(FACTORS))
                if f"factors.{number}.factors" in arrays
            ),
            Belief(
                arrays["belief.mean"],
                matrix_from(arrays, "belief.covariance", n),
                arrays["belief.variance"],
                float(arrays["belief.effective_users"][0]),
            ),
            closed_form,
            powers,
            {name: matrix_from(arrays, f"memory.{i}", n) for i, name in enumerate(memories)},
            arrays["scales"],
            dislike,
            matrix_from(arrays, "lent", n) if "lent.data" in arrays else empty(n),
        )


def weighted_rows(weights: sp.csr_array, matrix: FloatArray | Sparse) -> FloatArray:
    """Return `weights @ matrix` as a dense array.

    Example:
        >>> weights = sp.csr_array(np.float32([[2, 0, 1], [0, 0, 0]]))
        >>> weighted_rows(weights, sp.csr_array(np.float32([[1, 0], [9, 9], [3, 4]]))).tolist()
        [[5.0, 4.0], [0.0, 0.0]]
    """
    out = np.zeros((weights.shape[0], matrix.shape[1]), np.float32)
    add_rows(out, weights.indptr, weights.indices, weights.data, matrix)
    return out


def narrow(matrix: Any) -> Any:  # noqa: ANN401  (dense stays dense, layers stay layers)
    """Return a sparse matrix with indices of 32 bits where they will do: half to read and keep."""
    if not sp.issparse(matrix) or matrix.indices.dtype == np.int32:
        return matrix
    ends = matrix.indptr, matrix.indices
    if any(e.max(initial=0) > _MOST_NARROW or e.min(initial=0) < 0 for e in ends):
        return matrix  # too many, or what a hostile file says: that is refused elsewhere
    indptr, indices = (e.astype(np.int32) for e in ends)
    return sp.csr_array((matrix.data, indices, indptr), shape=matrix.shape)


def empty(n_items: int) -> sp.csr_array:
    """Return an (items, items) matrix of which nothing is known."""
    return sp.csr_array((n_items, n_items), dtype=np.float32)


def matrix_arrays(name: str, matrix: FloatArray | Sparse) -> dict[str, npt.NDArray[Any]]:
    """Return a dense matrix, or the three arrays of a sparse one, by name."""
    if isinstance(matrix, np.ndarray):
        return {name: matrix}
    if isinstance(matrix, Layers):
        matrix = matrix.whole()
    return {
        f"{name}.data": matrix.data,
        f"{name}.indices": matrix.indices,
        f"{name}.indptr": matrix.indptr,
    }


def matrix_from(arrays: dict[str, npt.NDArray[Any]], name: str, columns: int) -> Any:  # noqa: ANN401
    """Rebuild what `matrix_arrays` took apart."""
    if name in arrays:
        return arrays[name]
    data, indices, indptr = (arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    return sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))


def _under(prefix: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _resized(matrix: Sparse, size: int) -> Sparse:
    """Return the matrix with further empty rows and columns; its entries are shared."""
    if isinstance(matrix, Layers):
        return Layers(_resized(matrix.trained, size), _resized(matrix.added, size))
    indptr = np.concatenate(
        [matrix.indptr, np.full(size - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype)]
    )
    return sp.csr_array((matrix.data, matrix.indices, indptr), shape=(size, size))
