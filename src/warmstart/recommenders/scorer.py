"""What scores a catalogue: the parts of the default method under their gates, laid out once.

One matrix product does for the encoder, popularity, the factors and the means of the closed forms;
what each event moves is added in sparse rows. The rows of new items are laid behind the others, in
the same memory, so that a catalogue grows by a few items in no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.room import empty_with_room, longer
from warmstart.core.rows import add_rows
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.index import top_k
from warmstart.meta.belief import event_weights
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.gates import Gates
from warmstart.recommenders.ials import IALS
from warmstart.recommenders.lent import with_lent
from warmstart.recommenders.parts import FIRST_CLOSED, FIRST_FACTORS, Parts
from warmstart.recommenders.popularity import liked
from warmstart.recommenders.remedies import Strength, fame_of, penalise, stretched

_BLOCK = 1 << 20  # scores of one block of users: so few that every pass over them stays in cache
_GAP = 32  # columns of zeros in a row that cost more than a further product
_AT_ONCE = 1 << 9  # items that are laid out at once: so few that they stay in cache


@dataclass(frozen=True, slots=True)
class Asked:
    """What some users ask of the items.

    Attributes:
        queries: (users, width) query vectors.
        gate: (users, parts) weights of the parts.
        closed: (users, closed forms) those of the closed forms.
    """

    queries: FloatArray
    gate: FloatArray
    closed: FloatArray

    def take(self, users: IntArray) -> Asked:
        """Return what some of them ask."""
        return Asked(self.queries[users], self.gate[users], self.closed[users])


class Scorer:
    """Parts and gates, laid out.

    Attributes:
        parts: everything fitted, with room for further items.
        gates: how much each part counts at each number of shots.
        lent_gates: how much likes lend to unmet items directly, or None.
        penalty: of popularity, at scoring.
        vectors: (width, items) what the query vectors are multiplied by: encoder, popularity and
            whatever else of the parts is one product.
        centre: (width,) what was subtracted from the vectors.
        unmet: indices of the items that likes lend to directly, ascending.
        tempering: (closed forms, items) what the closed form's expectation is multiplied by.
    """

    parts: Parts
    vectors: FloatArray
    centre: FloatArray
    unmet: IntArray
    tempering: FloatArray

    def __init__(
        self,
        parts: Parts,
        gates: Gates,
        config: DefaultConfig,
        *,
        lent_gates: Gates | None = None,
        new: IntArray | None = None,
        before: Scorer | None = None,
        centre: FloatArray | None = None,
    ) -> None:
        """Lay out what scoring multiplies by.

        Args:
            parts: everything fitted.
            gates: how much each counts.
            config: the remedies at scoring.
            lent_gates: how much likes lend to unmet items directly.
            new: indices of the items that came after training.
            before: of the first of these items; what was laid out for them is shared.
            centre: (width,) what is subtracted; by default the mean of the catalogue.
        """
        self.gates, self.lent_gates = gates, lent_gates
        self.penalty: Strength = config.popularity_penalty
        self.parts = parts = parts if before is not None else parts.roomy()
        self.unmet = np.unique(parts.lent.indices)
        self._laid = self._columns(config.cold_norm)
        bias, columns = parts.log_popularity, self._laid
        self._fame = fame_of(parts.log_popularity)
        # beyond the last knot the gates stay as they are there
        self._gate = gates.at(np.arange(int(gates.shots[-1]) + 1)) / parts.scales
        if lent_gates is not None:
            self._lent_gate = lent_gates.at(np.arange(int(lent_gates.shots[-1]) + 1))
        self._lent = sp.csr_array(parts.lent[:, self.unmet])
        self._is_new = np.isin(self.unmet, np.zeros(0, np.int64) if new is None else new)
        self.tempering = parts.tempering
        closed = parts.belief.mean * self.tempering
        width, n_old = sum(c.shape[1] for c in columns), 0
        if before is None:
            shape = width + len(closed), len(bias)
            self.vectors = empty_with_room(shape, np.float32, axis=1)
        else:
            centre, n_old = before.centre, before.vectors.shape[1]
            self.vectors = longer(before.vectors, len(bias) - n_old, axis=1)
        for start in range(n_old, len(bias), _AT_ONCE):
            items = slice(start, start + _AT_ONCE)
            self.vectors[:width, items] = np.concatenate([c[items] for c in columns], axis=1).T
        self.vectors[width:, n_old:] = closed[:, n_old:]
        # around the mean of the catalogue, of later items of that before: the same order, and an
        # average item scores about 0
        self.centre = self.vectors.mean(axis=1) if centre is None else centre
        self.vectors[:, n_old:] -= self.centre[:, None]

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) scores."""
        out = np.empty((len(histories), len(self.parts.log_popularity)), np.float32)
        for block, users in self._blocks(histories):
            self._score(users, out[block])
        return out

    def top_k(
        self, histories: Histories, k: int, allowed: npt.NDArray[np.bool_] | None
    ) -> tuple[IntArray, FloatArray]:
        """Return the `k` best unseen items of each user and their scores, of the whole catalogue.

        Args:
            histories: the users.
            k: length of the lists.
            allowed: (items,) which items may be returned; None for all.
        """
        items, scores = [], []
        for _, users in self._blocks(histories):
            out = np.empty((len(users), len(self.parts.log_popularity)), np.float32)
            self._score(users, out)
            best, value = self._best(out, k, users, allowed)
            items.append(best)
            scores.append(value)
        return np.concatenate(items), np.concatenate(scores)

    def _columns(self, cold_norm: float) -> list[FloatArray]:
        """Return the (items, …) parts that query vectors are multiplied by, side by side."""
        parts, columns = self.parts, []
        stretch = partial(stretched, unmet=self.unmet, cold_norm=cold_norm)
        if parts.encoder is not None:
            columns += [stretch(parts.encoder.items), parts.encoder.bias[:, None]]
        else:
            columns.append(np.zeros((len(parts.log_popularity), 1), np.float32))
        columns.append(parts.log_popularity[:, None])
        columns += [stretch(factors.factors) for factors in parts.factors]
        if parts.recency is not None:
            columns.append(parts.recency.rise[:, None])
        return columns

    def products(self, items: IntArray, query: FloatArray) -> FloatArray:
        """Return (items,) products of some `vectors` with a query, from where rows lie together."""
        closed = self.parts.belief.mean[items] * self.tempering[:, items]
        out: FloatArray = query[-len(closed) :] @ closed - query @ self.centre
        start = 0
        for columns in self._laid:
            part = query[start : start + columns.shape[1]]
            if part.any():
                out += columns.take(items, axis=0) @ part
            start += columns.shape[1]
        return out

    def asked(self, histories: Histories) -> Asked:
        """Return what users ask of the items; each like must be 1."""
        parts, after = self.parts, FIRST_CLOSED + len(self.parts.powers)
        gate = self._gate[np.minimum(histories.shots, len(self._gate) - 1)]
        closed = gate[:, FIRST_CLOSED:after]
        query = [gate[:, :1], gate[:, 1:2]]
        if parts.encoder is not None:
            query.insert(0, parts.encoder.queries(histories) * gate[:, :1])
        for column, factors in enumerate(parts.factors, FIRST_FACTORS):
            wanted = gate[:, column : column + 1]
            if wanted.any():
                query.append(self._folded(factors, histories) * wanted)
            else:
                query.append(np.zeros((len(gate), factors.factors.shape[1]), np.float32))
        if parts.recency is not None:
            query.append(gate[:, 2:3] * parts.recency.trust(histories)[:, None])
        return Asked(np.concatenate([*query, closed], axis=1), gate, closed)

    def add_moves(self, histories: Histories, asked: Asked, out: FloatArray) -> None:
        """Add to (users, items) scores what the lists of neighbours say."""
        parts, closed = self.parts, asked.closed
        if closed.any():
            alpha = event_weights(histories, parts.belief, parts.closed_form)
            moved = np.zeros_like(out)
            add_rows(moved, histories.indptr, histories.items, alpha, parts.belief.covariance)
            moved *= closed @ self.tempering
            out += moved
        for said, weights, memory in self._remembering(histories, asked):
            add_rows(out, said.indptr, said.indices, weights, memory)

    def lifted(self, history: Histories, items: IntArray, scores: FloatArray) -> FloatArray:
        """Return one user's scores of some items, those that likes lend to lifted by that."""
        if self.lent_gates is None or not len(self.unmet):
            return scores
        at = np.minimum(np.searchsorted(self.unmet, items), len(self.unmet) - 1)
        here = self.unmet[at] == items
        lent, gate = self._lent_to(history)
        out, at = scores.copy(), at[here]
        out[here] = with_lent(scores[None, here], lent[:, at], gate, self._is_new[at])[0]
        return out

    def _remembering(
        self, histories: Histories, asked: Asked
    ) -> Iterator[tuple[sp.csr_array, FloatArray, Any]]:
        """Yield each memory that counts, with what is said and how much it weighs there."""
        said, after = self.parts.remembered(histories), FIRST_CLOSED + len(self.parts.powers)
        rows = np.repeat(np.arange(len(histories)), np.diff(said.indptr))
        for column, memory in enumerate(self.parts.memories.values(), start=after):
            if asked.gate[:, column].any():
                yield said, said.data * asked.gate[rows, column], memory

    def _lent_to(self, histories: Histories) -> tuple[FloatArray, FloatArray]:
        """Return (users, unmet items) what likes lend, and the users' gates."""
        said = self.parts.remembered(histories)
        root = np.sqrt(histories.shots).astype(np.float32)
        # what is remembered is divided by the root of the shots, what lends is not
        whole = said.data * np.repeat(root, np.diff(said.indptr))
        lent = np.zeros((len(histories), len(self.unmet)), np.float32)
        add_rows(lent, said.indptr, said.indices, whole, self._lent)
        return lent, self._lent_gate_of(histories)

    def _lent_gate_of(self, histories: Histories) -> FloatArray:
        found: FloatArray = self._lent_gate[np.minimum(histories.shots, len(self._lent_gate) - 1)]
        return found

    def _folded(self, factors: IALS, histories: Histories) -> FloatArray:
        """Return (users, factors) vectors of users."""
        return factors.fold_in(liked(histories, len(self.parts.log_popularity)))

    def _lend(self, histories: Histories, out: FloatArray) -> None:
        """Place the unmet items by what likes lend to them."""
        lent, gate = self._lent_to(histories)
        out[:, self.unmet] = with_lent(out[:, self.unmet], lent, gate, self._is_new)

    def _best(
        self,
        out: FloatArray,
        k: int,
        histories: Histories,
        allowed: npt.NDArray[np.bool_] | None,
    ) -> tuple[IntArray, FloatArray]:
        """Return the best of (users, items) scores, which may be written on."""
        return top_k(out, k, seen=histories, candidates=allowed)

    def _score(self, histories: Histories, out: FloatArray) -> None:
        """Write the scores of one block of users into `out`."""
        histories, parts = plainly(histories), self.parts
        asked = self.asked(histories)
        self._multiply(asked.queries, out)
        self.add_moves(histories, asked, out)
        if self.lent_gates is not None and parts.lent.nnz:
            self._lend(histories, out)
        if self.penalty:
            penalise(out, histories, self._fame, self.penalty)

    def _multiply(self, queries: FloatArray, out: FloatArray) -> None:
        """Write the products of all vectors with queries into `out`, without what nobody asks.

        Gates shut whole parts at a number of shots, and users who are ranked together often have
        a like number.
        """
        asked = np.flatnonzero(queries.any(axis=0))
        if not len(asked):
            out[:] = 0
            return
        gaps = np.flatnonzero(np.diff(asked) > _GAP)
        starts, stops = asked[np.append(0, gaps + 1)], asked[np.append(gaps, -1)] + 1
        first, *others = map(slice, starts.tolist(), stops.tolist())
        np.matmul(queries[:, first], self.vectors[first], out=out)
        for some in others:
            out += queries[:, some] @ self.vectors[some]

    def _blocks(self, histories: Histories) -> Iterator[tuple[slice, Histories]]:
        """Cut the users into blocks that are scored at once; nobody is one empty block."""
        size = max(64, _BLOCK // len(self.parts.log_popularity))
        if len(histories) <= size:
            yield slice(0, len(histories)), histories
            return
        for start in range(0, len(histories), size):
            stop = min(start + size, len(histories))
            yield slice(start, stop), histories.take(np.arange(start, stop))


def plainly(histories: Histories) -> Histories:
    """Return histories in which every like is 1; dislikes keep their strength."""
    values = np.where(histories.values > 0, np.float32(1), histories.values)
    return replace(histories, values=values)
