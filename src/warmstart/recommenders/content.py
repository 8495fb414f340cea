"""Items without interactions: they borrow from the items whose content is like theirs.

Ridge regression from content to any quantity of the items is linear in that quantity, so one
matrix N serves them all: a new item's vectors, its popularity, its covariances and its rows of
the memories are N times those of the known items (around their mean). The penalty is the one that
best predicts the known items' vectors when each is left out in turn, which for ridge needs no
refitting (Allen 1974, doi:10.1080/00401706.1974.10489157).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, IntArray
from warmstart.recommenders.memory import truncate
from warmstart.recommenders.parts import Parts, matrix_arrays, matrix_from

_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_MOST_FEATURES = 4_000  # the solve grows with the cube of this
_NEIGHBOURS = 100


@dataclass(frozen=True, slots=True)
class ContentMap:
    """How to smooth over the known items by content.

    Attributes:
        features: (items, item features) content of the whole catalogue.
        known: (known items,) indices of the items with likes, which lend.
        penalty: ridge penalty.
    """

    features: sp.csr_array
    known: IntArray
    penalty: float

    @classmethod
    def learn(
        cls, features: sp.csr_array, vectors: FloatArray | None, likes: FloatArray
    ) -> Self | None:
        """Choose the penalty by leave-one-out error; None where nothing can be learned.

        Args:
            features: (items, item features).
            vectors: (items, dim) learned vectors, which content must predict, or None.
            likes: (items,) training likes; items without any lend nothing.
        """
        known = np.flatnonzero(likes > 0)
        if vectors is None or len(known) < 20 or features.shape[1] == 0:
            return None
        lenders = features[known]
        centred, _ = _centred(lenders, lenders)
        target = vectors[known]
        target = target - target.mean(axis=0)
        weight = likes[known] / likes[known].sum()
        values, basis = np.linalg.eigh(centred.T @ centred)
        projected = centred @ basis
        errors = []
        for penalty in _PENALTIES:
            shrunk = projected / (np.maximum(values, 0) + penalty)
            fitted = shrunk @ (projected.T @ target)
            leverage = np.einsum("nf,nf->n", shrunk, projected)
            left_out = (target - fitted) / np.maximum(1 - leverage, 1e-3)[:, None]
            errors.append(float(weight @ np.square(left_out).sum(axis=1)))
        return cls(features, known, _PENALTIES[int(np.argmin(errors))])

    def lend(self, features: sp.csr_array) -> sp.csr_array:
        """Return (new items, known items) sparse weights N."""
        lenders, new = _centred(self.features[self.known], features)
        ridge = lenders.T @ lenders
        ridge[np.diag_indices(len(ridge))] += self.penalty
        weights: FloatArray = (new @ np.linalg.solve(ridge, lenders.T)).astype(np.float32)
        return truncate(weights, _NEIGHBOURS)

    def borrow(self, parts: Parts, new: IntArray, features: sp.csr_array) -> Parts:
        """Return the parts with the items `new` filled in from their content.

        Args:
            parts: fitted parts whose catalogue already has the new items.
            new: (new items,) their indices.
            features: (new items, item features).
        """
        smoother, known = self.lend(features), self.known
        spread = partial(spread_by, smoother, known, new)
        encoder = parts.encoder
        if encoder is not None:
            n = len(parts.log_popularity)
            halves = np.split(encoder.events, len(encoder.events) // n)
            encoder = replace(
                encoder,
                events=np.concatenate([spread(h) for h in halves]),
                items=spread(encoder.items),
                bias=spread(encoder.bias),
            )
        belief = parts.belief
        log_mean = np.log(np.maximum(belief.mean, 1e-9))
        mean = np.exp(spread(log_mean))
        covariance = _spread_both(belief.covariance, smoother, known, new)
        variance = belief.variance.copy()
        variance[new] = (mean - mean**2)[new]
        return replace(
            parts,
            encoder=encoder,
            log_popularity=spread(parts.log_popularity),
            recency=parts.recency and replace(parts.recency, rise=spread(parts.recency.rise)),
            factors=tuple(f.extended(spread(f.factors)) for f in parts.factors),
            belief=replace(belief, mean=mean, covariance=covariance, variance=variance),
            memories={
                name: _spread_both(m, smoother, known, new) for name, m in parts.memories.items()
            },
        )

    def grown(self, n_new: int) -> ContentMap:
        """Return the map for a catalogue with `n_new` further items, which lend nothing."""
        empty = sp.csr_array((n_new, self.features.shape[1]), dtype=np.float32)
        return replace(self, features=sp.csr_array(sp.vstack([self.features, empty])))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        return {
            **matrix_arrays("content.features", self.features),
            "content.columns": np.array([self.features.shape[1]], np.int64),
            "content.known": self.known.astype(np.int64),
            "content.penalty": np.array([self.penalty]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self | None:
        """Rebuild from `arrays`, or None where there is none."""
        if "content.known" not in arrays:
            return None
        columns = int(arrays["content.columns"][0])
        features = matrix_from(arrays, "content.features", columns)
        return cls(features, arrays["content.known"], float(arrays["content.penalty"][0]))


def spread_by(
    smoother: sp.csr_array, known: IntArray, new: IntArray, values: FloatArray
) -> FloatArray:
    """Return (items, …) values with those of `new` lent by the known items, around their mean."""
    mean = values[known].mean(axis=0)
    out = values.copy()
    out[new] = mean + smoother @ (values[known] - mean)
    return out


def _centred(lenders: sp.csr_array, new: sp.csr_array) -> tuple[FloatArray, FloatArray]:
    """Return both as dense rows around the lenders' mean, on their most frequent features."""
    if lenders.shape[1] > _MOST_FEATURES:
        counts = np.bincount(lenders.indices, minlength=lenders.shape[1])
        kept = np.sort(np.argsort(-counts, kind="stable")[:_MOST_FEATURES])
        lenders, new = lenders[:, kept], new[:, kept]
    mean = np.asarray(lenders.mean(axis=0)).ravel()
    return lenders.toarray() - mean, new.toarray() - mean


def _spread_both(
    matrix: FloatArray | sp.csr_array, smoother: sp.csr_array, known: IntArray, new: IntArray
) -> Any:  # noqa: ANN401  (dense stays dense, sparse stays sparse)
    """Fill the rows and columns of `new` with N times those of the items that lend."""
    n = matrix.shape[0]
    if isinstance(matrix, np.ndarray):
        out = matrix.copy()
        out[new] = smoother @ out[known]
        out[:, new] = (smoother @ out[:, known].T).T
        return out
    lift = _lift(n, smoother, known, new)
    return sp.csr_array(lift @ matrix @ lift.T)


def _lift(n: int, smoother: sp.csr_array, known: IntArray, new: IntArray) -> sp.csr_array:
    """Return the (items, items) matrix that keeps every item and gives the new ones N."""
    coo = smoother.tocoo()
    row, col = coo.coords
    old = np.setdiff1d(np.arange(n), new)
    return sp.csr_array(
        (
            np.concatenate([np.ones(len(old), np.float32), coo.data]),
            (np.concatenate([old, new[row]]), np.concatenate([old, known[col]])),
        ),
        shape=(n, n),
    )
