"""The default method on a large catalogue: candidates of an index, joined with the neighbours.

A score is an inner product plus short lists of neighbours. The index finds what has a large
product; the lists of the user's events name what they move. What is in either is scored exactly, so
that only an item that neither names can be missed.

Items that came or moved after the index was built are always candidates. Where a filter leaves few
items, where so many came that the index says little, and where popularity is penalised, the whole
catalogue is ranked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.index.approximate import Approximate, ApproximateConfig
from warmstart.recommenders.scorer import Asked, Scorer

_LEAST, _PER_PLACE = 100, 10  # candidates of the index
_NEIGHBOURS = 200  # candidates of the lists, those that they move most
_MOST_FRESH = 20_000
_MOVES_AT_ONCE = 1 << 22
_FEW = 20  # where a filter leaves fewer than so many items for each candidate, all are ranked
_ASKED, _MOST_SHOTS = 512, 20  # made-up users whose queries the index is learned from


@dataclass(frozen=True, slots=True)
class Near:
    """An index, and the items that it does not know as they are.

    Attributes:
        index: of the first items.
        moved: indices of those among them that are elsewhere by now, ascending.
    """

    index: Approximate
    moved: IntArray

    @classmethod
    def of(cls, scorer: Scorer, config: ApproximateConfig | None) -> Near:
        """Build the index of a catalogue's items, for users such as its own."""
        seed = 0 if config is None else config.seed
        asked = scorer.asked(made_up(scorer.parts.log_popularity, seed)).queries
        return cls(Approximate.of(scorer.vectors, asked, config), np.zeros(0, np.int64))

    def without(self, items: IntArray) -> Near:
        """Return the same where these items have moved."""
        return replace(self, moved=np.union1d(self.moved, items[items < len(self.index)]))

    def top_k(
        self,
        scorer: Scorer,
        histories: Histories,
        k: int,
        allowed: npt.NDArray[np.bool_] | None,
    ) -> tuple[IntArray, FloatArray] | None:
        """Return the users' `k` best items and scores; None where all must be ranked.

        Args:
            scorer: of which this is the index.
            histories: the users, without strengths of likes.
            k: length of the lists, at most the number of items.
            allowed: (items,) which items may be returned; None for all.
        """
        n_items = len(scorer.parts.log_popularity)
        fresh = self.moved
        if len(self.index) < n_items:
            fresh = np.union1d(fresh, np.arange(len(self.index), n_items))
        if scorer.lent_gates is not None and len(scorer.unmet):
            fresh = np.union1d(fresh, scorer.unmet)  # their scores are moved once more
        n = max(_LEAST, _PER_PLACE * k)
        few = allowed is not None and allowed.sum() < _FEW * n
        if few or n_items < _FEW * n or len(fresh) > _MOST_FRESH:
            return None
        if scorer.penalty:  # it is on the scale of all of a user's scores
            return None
        asked = scorer.asked(histories)
        found = self.index.search(asked.queries, n + int(histories.shots.max(initial=0)), allowed)
        items = np.full((len(histories), k), -1, np.int32)
        scores = np.full((len(histories), k), -np.inf, np.float32)
        barred = None if allowed is None else np.flatnonzero(~allowed)
        for user, moved in enumerate(_moves(scorer, histories, asked)):
            moved[histories.items[slice(*histories.indptr[user : user + 2])]] = -np.inf
            if barred is not None:
                moved[barred] = -np.inf
            named = np.flatnonzero(moved != 0)  # of numbers it would take far longer
            if len(named) > _NEIGHBOURS:
                named = named[np.argpartition(moved[named], -_NEIGHBOURS)[-_NEIGHBOURS:]]
            tried = np.unique(np.concatenate([found[user][found[user] >= 0], named, fresh]))
            tried = tried[moved[tried] > -np.inf]
            if len(tried) < k:
                return None  # the index saw too little
            scored = scorer.products(tried, asked.queries[user]) + moved[tried]
            scored = scorer.lifted(histories.take(np.array([user])), tried, scored)
            order = np.argsort(-scored, kind="stable")[:k]  # among equals the lower index first
            items[user], scores[user] = tried[order], scored[order]
        return items, scores


def _moves(scorer: Scorer, histories: Histories, asked: Asked) -> Iterator[FloatArray]:
    """Yield how far each user's lists of neighbours move each item, to be written on."""
    n_items = len(scorer.parts.log_popularity)
    step = max(1, _MOVES_AT_ONCE // n_items)
    for start in range(0, len(histories), step):
        some = np.arange(start, min(start + step, len(histories)))
        moves = np.zeros((len(some), n_items), np.float32)
        scorer.add_moves(histories.take(some), asked.take(some), moves)
        yield from moves


def made_up(log_popularity: FloatArray, seed: int, n: int = _ASKED) -> Histories:
    """Return `n` users who like items as often as everybody does, up to 20 of them."""
    rng = generator(seed, "near")
    share = np.exp(log_popularity.astype(np.float64))
    shots = rng.integers(0, min(_MOST_SHOTS, len(share)) + 1, n)
    drawn = rng.choice(len(share), int(shots.sum()), p=share / share.sum())
    ends = np.concatenate([[0], np.cumsum(shots)])
    ones = np.ones(len(drawn), np.float32)
    return Histories(ends, drawn.astype(np.int32), ones)
