"""New items among the known ones: what a user's likes lend to them, and where they stand.

The parts of the model see a new item through what the known items lend it: vectors, popularity,
covariances. Two things are still to be learned, at each number of shots, on items that are made
cold and users whom the parts have not seen:

- **Which new item is the best of them.** The matrix N that lends can also be asked straight away
  how much of a user's likes it lends to an item, which is a ridge regression from content to that
  user's likes. It knows nothing of other users, so it is weak at a few shots, and strong for who
  has shown many or where the parts have little to go on.
- **Where new items stand among the known ones.** What is borrowed is drawn to the mean, so that a
  favourite of many beats every item that nobody has met, and new items are never seen. A scale and
  an offset give them the places that make the lists of the whole catalogue best.

Items that were there in training and that nobody liked have had their chance: they are ordered in
the same way, and stay where the parts put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.gates import LENGTH, Gates

_GRID = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_SHOTS = (0, 1, 2, 3, 5, 10, 30, 100)
_SCALES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_LIFTS = (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0)  # in standard deviations of a user's scores
_DOUBT = 2.0  # standard errors that a scale and an offset must gain
_FEWEST_USERS = 50
_MOST_COLD, _COLD = 500, 0.2
_SCORES_AT_ONCE = 1 << 26
_FEWEST = 20  # items that lend, and items made cold

Scorer = Callable[[Histories], FloatArray]
Placed = Callable[[FloatArray, IntArray, IntArray], Scorer]


def learn_lent_gates(
    content: ContentMap,
    likes: sp.csr_array,
    held: Sequence[tuple[Placed, IntArray]],
    *,
    seed: int,
) -> Gates | None:
    """Return the gates of `with_lent` at a few numbers of shots.

    None where items without likes are best left as the parts see them.

    Args:
        content: what lends, and how.
        likes: (users, items) ones.
        held: models, each with users that it has not seen. A model takes N, the items that lend and
            the items that are made cold, and gives the (users, items) scores with these placed.
        seed: which items are made cold, which likes are shown.
    """
    rng = generator(seed, "lent")
    order = rng.permutation(content.lenders)
    n_cold = min(_MOST_COLD, int(_COLD * len(order)))
    cold, lenders = np.sort(order[:n_cold]), np.sort(order[n_cold:])
    if min(len(cold), len(lenders)) < _FEWEST:
        return None
    smoother = content.without(cold).lend(content.of(cold))
    scorers = [(placed(smoother, lenders, cold), users) for placed, users in held]
    knots, gates = [], []
    for k in _SHOTS:
        ours, lent, known, relevant = [], [], [], []
        for score, users in scorers:
            whole = sp.csr_array(likes[users])
            shown = sp.csr_array(whole[:, lenders])
            able = np.flatnonzero((np.diff(shown.indptr) >= k) & (np.diff(whole.indptr) > k))
            able = able[: max(_FEWEST_USERS, _SCORES_AT_ONCE // likes.shape[1] // len(scorers))]
            support = _first(sp.csr_array(shown[able]), lenders, k, rng)
            scores, wanted = score(support), whole[able].tolil()
            wanted[support.rows, support.items] = 0
            ours.append(scores[:, cold])
            lent.append(support.matrix(likes.shape[1])[:, lenders] @ smoother.T)
            known.append(_best(scores, support, cold))
            relevant.append(wanted.tocsr())
        among = _Lists(
            np.concatenate(ours),
            np.concatenate(lent),
            np.concatenate([items for items, _, _ in known]),
            np.concatenate([scores for _, scores, _ in known]),
            np.concatenate([spread for *_, spread in known]),
            sp.csr_array(sp.vstack(relevant)),
            cold,
        )
        if len(among.ours) < _FEWEST_USERS:
            break
        knots.append(k)
        weight = among.weight() if k else 0.0  # without likes nothing is lent
        gates.append([weight, *among.kept(weight), *among.placed(weight)])
    if all(gate == [0.0, 1.0, 0.0, 1.0, 0.0] for gate in gates):
        return None
    return Gates(np.array(knots, np.float32), np.array(gates, np.float32))


def with_lent(
    scores: FloatArray, lent: FloatArray, gates: FloatArray, new: npt.NDArray[np.bool_]
) -> FloatArray:
    """Return (users, items) scores of items without likes: offset + scale · (scores + w · lent).

    Args:
        scores: by the parts.
        lent: what the users' likes lend.
        gates: (users, 5) w, scale and offset where an item is not new, and those where it is.
        new: (items,) which are new.
    """
    weight, *lines = gates.T[:, :, None]
    scale, offset = (np.where(new, lines[i + 2], lines[i]) for i in (0, 1))
    out: FloatArray = offset + scale * (scores + weight * lent)
    return out


class _Lists:
    """The lists of users to whom some items are cold, at one number of shots.

    Of the known items a list needs the best alone: their order does not change.
    """

    def __init__(
        self,
        ours: FloatArray,
        lent: FloatArray,
        best: IntArray,
        best_scores: FloatArray,
        spread: FloatArray,
        relevant: sp.csr_array,
        cold: IntArray,
    ) -> None:
        """Keep the scores.

        Args:
            ours: (users, cold items) scores by the parts.
            lent: (users, cold items) what the users' likes lend.
            best: (users, n) the best known items.
            best_scores: (users, n) their scores.
            spread: (users,) standard deviations of the scores of all items.
            relevant: (users, items) ones where a user likes an item that they have not shown.
            cold: (cold items,) which are cold.
        """
        self.ours, self.lent, self.relevant, self.cold = ours, lent, relevant, cold
        self._best, self._best_scores, self._spread = best, best_scores, spread

    def weight(self) -> float:
        """Return the weight of what is lent that ranks the cold items best among themselves."""
        asked = sp.csr_array(self.relevant[:, self.cold])
        some = np.flatnonzero(np.diff(asked.indptr) > 0)
        if len(some) < _FEWEST_USERS:
            return 0.0
        ours, lent, asked = self.ours[some], self.lent[some], sp.csr_array(asked[some])
        unit = float(np.median(ours.std(axis=1))) / max(float(np.median(lent.std(axis=1))), 1e-12)
        marks = []
        for weight in _GRID:
            scores = ours + np.float32(weight * unit) * lent
            top, _ = top_k(np.ascontiguousarray(scores, np.float32), LENGTH)
            marks.append(ndcg(top, asked, LENGTH))
        best = int(np.argmax([m.mean() for m in marks]))
        gain = marks[best] - marks[0]
        return _GRID[best] * unit if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0.0

    def kept(self, weight: float) -> tuple[float, float]:
        """Return the scale and the offset that keep the cold items' spread and their mean."""
        if not weight:
            return 1.0, 0.0
        both = (self.ours + np.float32(weight) * self.lent).std(axis=1)
        slope = float(np.median(self.ours.std(axis=1) / np.maximum(both, 1e-12)))
        return slope, (1 - slope) * self._middle

    def placed(self, weight: float) -> tuple[float, float]:
        """Return the scale and the offset that make the lists of the whole catalogue best."""
        scores = np.ascontiguousarray(self.ours + np.float32(weight) * self.lent, np.float32)
        top, best = top_k(scores, LENGTH)
        items = np.concatenate([self._best, self.cold[top]], axis=1)
        before, unit = self.kept(weight), float(np.median(self._spread))

        def line(scale: float, lift: float) -> tuple[float, float]:
            slope, offset = before
            return scale * slope, scale * offset + (1 - scale) * self._middle + lift * unit

        def judged(slope: float, offset: float) -> FloatArray:
            both = np.concatenate([self._best_scores, offset + slope * best], axis=1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :LENGTH]
            found = ndcg(np.take_along_axis(items, order, axis=1), self.relevant, LENGTH)
            return np.asarray(found, np.float32)

        marks = {at: judged(*at) for at in (line(s, a) for s in _SCALES for a in _LIFTS)}
        chosen = max(marks, key=lambda at: float(marks[at].mean()))
        gain = marks[chosen] - judged(*before)
        sure = gain.mean() > _DOUBT * gain.std() / np.sqrt(len(gain))
        return chosen if sure else before

    @property
    def _middle(self) -> float:
        return float(np.median(self.ours.mean(axis=1)))


def _best(
    scores: FloatArray, support: Histories, cold: IntArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the best known items of each user, their scores, and the spread of all scores."""
    warm: npt.NDArray[np.bool_] = np.ones(scores.shape[1], bool)
    warm[cold] = False
    spread = scores.std(axis=1)
    items, best = top_k(scores, LENGTH, seen=support, candidates=warm)
    return items, best, spread


def _first(shown: sp.csr_array, lenders: IntArray, k: int, rng: np.random.Generator) -> Histories:
    """Return `k` random likes of each user."""
    rows = np.repeat(np.arange(shown.shape[0]), np.diff(shown.indptr))
    order = np.lexsort((rng.random(len(rows)), rows))
    items = lenders[shown.indices[order]].astype(np.int32)
    whole = Histories(shown.indptr.astype(np.int64), items, np.ones(len(items), np.float32))
    return whole.first(k)
