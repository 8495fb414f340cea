"""The same scores by compiled loops: beside one large product, a user costs a tenth.

NumPy takes a user's few events through dozens of small steps, each of which costs more than what it
computes, and through several arrays as long as the catalogue. Numba (Lam, Pitrou & Seibert 2015,
doi:10.1145/2833157.2833162) compiles the loops as one writes them. It does so when they first run,
which takes some seconds, and keeps the result beside this file or in the user's cache.

Sums are the same but for the last bits: loops may add in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.layers import layers_of
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.recommenders import loops
from warmstart.recommenders.ials import IALS
from warmstart.recommenders.parts import FIRST_CLOSED
from warmstart.recommenders.scorer import Asked, Scorer


class CompiledScorer(Scorer):
    """Scores as `Scorer` does; where a step has no loop, by that step itself."""

    def __init__(self, *given: Any, **more: Any) -> None:  # noqa: ANN401  (as `Scorer` takes it)
        """Lay out; entries are looked up by halves, so rows must be in order."""
        super().__init__(*given, **more)
        self._covariance = list[loops.Rows]()
        if not isinstance(self.parts.belief.covariance, np.ndarray):
            for layer in layers_of(self.parts.belief.covariance):
                # others read the matrix, so it is not sorted in place
                ordered = layer if layer.has_sorted_indices else layer.sorted_indices()
                self._covariance.append(_rows(ordered))

    def add_moves(self, histories: Histories, asked: Asked, out: FloatArray) -> None:
        """Add to (users, items) scores what the lists of neighbours say."""
        parts, events = self.parts, self._events(histories)
        covariance, closed = parts.belief.covariance, np.ascontiguousarray(asked.closed)
        if closed.any():
            alpha = self._weights(events)
            if isinstance(covariance, np.ndarray):
                loops.add_whole(events, alpha, covariance, closed, self.tempering, out)
            else:
                for rows in self._covariance:
                    loops.add_tempered(events, alpha, rows, closed, self.tempering, out)
        said = loops.said(events, np.float32(parts.dislike))
        after = FIRST_CLOSED + len(parts.powers)
        for column, memory in enumerate(parts.memories.values(), start=after):
            weights = np.ascontiguousarray(asked.gate[:, column])
            if weights.any():
                for layer in layers_of(memory):
                    loops.add_rows(events, said, weights, _rows(layer), out)

    def _events(self, histories: Histories) -> loops.Events:
        """Return events of one type, as the loops are compiled for.

        Raises:
            IndexError: there is no such item; a loop would read past the end.
        """
        n_items, items = len(self.parts.log_popularity), histories.items
        if len(items) and not (0 <= items.min() and items.max() < n_items):
            raise IndexError(f"items {items.min()} to {items.max()} of {n_items}")
        return loops.Events(
            np.ascontiguousarray(histories.indptr, np.int64),
            np.ascontiguousarray(items, np.int32),
            np.ascontiguousarray(histories.values, np.float32),
        )

    def _weights(self, events: loops.Events) -> FloatArray:
        """Return (events,) what `meta.belief.event_weights` gives."""
        belief, config = self.parts.belief, self.parts.closed_form
        prior = loops.Prior(
            belief.mean,
            belief.variance,
            np.float32(config.noise / belief.effective_users),
            np.float32(config.relative_noise),
            np.float32(config.dislike),
            config.max_solve,
        )
        alpha = np.zeros(len(events.items), np.float32)
        if isinstance(belief.covariance, np.ndarray):
            loops.weigh_whole(events, prior, belief.covariance, alpha)
        else:
            trained, *added = self._covariance
            loops.weigh_sparse(events, prior, trained, (*added, _none_of(trained))[0], alpha)
        return alpha

    def _folded(self, factors: IALS, histories: Histories) -> FloatArray:
        events, (_, width) = self._events(histories), factors.factors.shape
        if histories.shots.max(initial=0) >= width:  # then another system is the smaller one
            return super()._folded(factors, histories)
        out = np.zeros((len(histories), width), np.float32)
        alpha = np.float32(factors.config.alpha)
        loops.fold_in(events, factors.factors, factors.spread, alpha, out)
        return out

    def _lend(self, histories: Histories, out: FloatArray) -> None:
        events, gates = self._events(histories), self._lent_gate_of(histories)
        said = loops.said(events, np.float32(self.parts.dislike))
        loops.lend(events, said, _rows(self._lent), self.unmet, self._is_new, gates, out)

    def _best(
        self,
        out: FloatArray,
        k: int,
        histories: Histories,
        allowed: npt.NDArray[np.bool_] | None,
    ) -> tuple[IntArray, FloatArray]:
        if k < 1:  # told what is wrong; a loop would read before the list
            return super()._best(out, k, histories, allowed)
        barred = np.zeros(0, np.bool_) if allowed is None else ~allowed
        items = np.full((len(out), min(k, out.shape[1])), -1, np.int32)
        scores = np.full(items.shape, -np.inf, np.float32)
        wrong = loops.rank(self._events(histories), barred, out, items, scores)
        if wrong >= 0:
            raise DataError(f"the scores of row {wrong} hold NaN; the model is damaged")
        return items, scores


def _rows(matrix: sp.csr_array) -> loops.Rows:
    return matrix.indptr, matrix.indices, matrix.data


def _none_of(rows: loops.Rows) -> loops.Rows:
    """Return a matrix without rows, of the same types."""
    ends, columns, data = rows
    return np.zeros(1, ends.dtype), columns[:0], data[:0]
