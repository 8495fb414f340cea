"""What a user likes lends to new items directly: a ridge regression a user, beside the parts.

The parts of the model see a new item through what the known items lend it: vectors, popularity,
covariances. The matrix N that lends can also be asked straight away how much of a user's likes it
lends to an item, which is a ridge regression from content to that user's likes. It knows nothing of
other users, so it is weak at a few shots, and strong for who has shown many or where the parts have
little to go on. How much it counts at each number of shots is chosen on items that are made cold
and users whom the parts have not seen.

It says which new item is the best of them, not how new items stand among the known ones: the sum is
brought back to the mean and the spread that the scores of items made cold had without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.gates import LENGTH, Gates

_GRID = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_SHOTS = (1, 2, 3, 5, 10, 30, 100)
_FEWEST_USERS = 50
_MOST_COLD, _COLD = 500, 0.2
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
    """Return w, c and m of `with_lent` at a few numbers of shots; None where w is 0 everywhere.

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
    knots, weights = [], []
    for k in _SHOTS:
        ours, lent, relevant = [], [], []
        for score, users in scorers:
            shown, asked = sp.csr_array(likes[users][:, lenders]), likes[users][:, cold]
            able = np.flatnonzero((np.diff(shown.indptr) >= k) & (asked.sum(axis=1) > 0))
            support = _first(sp.csr_array(shown[able]), lenders, k, rng)
            ours.append(score(support)[:, cold])
            lent.append(support.matrix(likes.shape[1])[:, lenders] @ smoother.T)
            relevant.append(asked[able])
        marks, unit = _tried(np.concatenate(ours), np.concatenate(lent), sp.vstack(relevant))
        if len(marks[0]) < _FEWEST_USERS:
            break
        best = int(np.argmax([m.mean() for m in marks]))
        gain = marks[best] - marks[0]
        sure = gain.mean() > gain.std() / np.sqrt(len(gain))
        weight = _GRID[best] * unit if sure else 0.0
        knots.append(k)
        weights.append([weight, *_back(np.concatenate(ours), np.concatenate(lent), weight)])
    if not any(w[0] for w in weights):
        return None
    knots, weights = [0, *knots], [[0.0, 1.0, 0.0], *weights]  # without likes nothing is lent
    return Gates(np.array(knots, np.float32), np.array(weights, np.float32))


def with_lent(scores: FloatArray, lent: FloatArray, gates: FloatArray) -> FloatArray:
    """Return (users, new items) scores m + c · (scores - m + w · lent).

    Args:
        scores: by the parts.
        lent: what the users' likes lend.
        gates: (users, 3) w, c and m of each user.
    """
    weight, shrink, middle = gates.T[:, :, None]
    out: FloatArray = middle + shrink * (scores - middle + weight * lent)
    return out


def _tried(
    ours: FloatArray, lent: FloatArray, relevant: sp.csr_array
) -> tuple[list[FloatArray], float]:
    """Return (users,) nDCG under each weight of the grid, and the unit of the weights."""
    if not len(ours):
        return [np.zeros(0, np.float32)], 0.0
    unit = float(np.median(ours.std(axis=1))) / max(float(np.median(lent.std(axis=1))), 1e-12)
    wanted = sp.csr_array(relevant)
    return [_marks(ours + np.float32(w * unit) * lent, wanted) for w in _GRID], unit


def _back(ours: FloatArray, lent: FloatArray, weight: float) -> tuple[float, float]:
    """Return what brings the spread back, and the mean."""
    spread = ours.std(axis=1) / np.maximum((ours + np.float32(weight) * lent).std(axis=1), 1e-12)
    return float(np.median(spread)), float(np.median(ours.mean(axis=1)))


def _first(shown: sp.csr_array, lenders: IntArray, k: int, rng: np.random.Generator) -> Histories:
    """Return `k` random likes of each user."""
    rows = np.repeat(np.arange(shown.shape[0]), np.diff(shown.indptr))
    order = np.lexsort((rng.random(len(rows)), rows))
    items = lenders[shown.indices[order]].astype(np.int32)
    whole = Histories(shown.indptr.astype(np.int64), items, np.ones(len(items), np.float32))
    return whole.first(k)


def _marks(scores: FloatArray, relevant: sp.csr_array) -> FloatArray:
    top, _ = top_k(np.ascontiguousarray(scores, np.float32), LENGTH)
    return np.asarray(ndcg(top, relevant, LENGTH), np.float32)
