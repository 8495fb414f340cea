"""A list of questions for everybody, found by greedy forward search on training users.

Each place goes to the item whose answer, heard from everybody who has one, leaves the smallest mean
squared error over their query sets, given the answers to the items before it. A user's error after
one more answer is exact in closed form: an answer that moves the mean by δ changes the squared
errors e = y - f · m of the query set by -2 δ · Σ e f + δ · (Σ f fᵀ) δ.

Reference: Golbandi, Koren & Lempel 2010, "On bootstrapping recommender systems".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import IntArray
from warmstart.meta.linear_belief import LinearPrior, Posterior
from warmstart.recommenders.onboarding.knowledge import Knowledge
from warmstart.recommenders.onboarding.respondents import Respondents, where_stored

_ROOM = 1 << 21  # pairs of users and items at once


def forward_search(
    practice: Sequence[tuple[Knowledge, Respondents]], *, length: int, most_items: int = 300
) -> IntArray:
    """Return (length,) items, first question first.

    Args:
        practice: training users, each group with the priors of the others; they share a catalogue.
        length: of the list.
        most_items: how many of the most rated items are tried.
    """
    counts = np.sum([knowledge.counts for knowledge, _ in practice], axis=0)
    tried = np.argsort(-counts, kind="stable")[:most_items]
    beliefs = [knowledge.ratings.start(len(people)) for knowledge, people in practice]
    n_users, found = sum(len(people) for _, people in practice), list[int]()
    for _ in range(min(length, len(tried))):
        change = np.zeros(len(tried))
        for (knowledge, people), belief in zip(practice, beliefs, strict=True):
            share = len(people) / max(1, n_users)
            change += share * squared_error_change(knowledge.ratings, belief, people, tried)
        change[np.isin(tried, found)] = np.inf
        best = int(tried[np.argmin(change)])
        found.append(best)
        for place, (knowledge, people) in enumerate(practice):
            asked = np.full(len(people), best)
            said = people.answers(asked)
            heard = np.isfinite(said)
            values = np.where(heard, said, 0)
            beliefs[place] = knowledge.ratings.told(beliefs[place], asked, values, heard)
    return np.array(found, np.int64)


def squared_error_change(
    prior: LinearPrior, belief: Posterior, people: Respondents, items: IntArray
) -> npt.NDArray[np.float64]:
    """Return (items,) how the mean over users of the mean squared error would change.

    Args:
        prior: of ratings.
        belief: about the users now.
        people: the users.
        items: which answers are tried; who has none stays as they are.
    """
    total = np.zeros(len(items))
    step = max(1, _ROOM // max(1, len(items) * prior.factors.shape[1]))
    for start in range(0, len(people), step):
        some = np.arange(start, min(start + step, len(people)))
        total += _of_block(prior, belief.take(some), people.take(some), items)
    return total / max(1, len(people))


def _of_block(
    prior: LinearPrior, belief: Posterior, people: Respondents, items: IntArray
) -> npt.NDArray[np.float64]:
    query, f = people.query, prior.factors[items]
    counts = np.diff(query.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    own = prior.factors[query.indices]
    wrong = query.data - prior.offset[query.indices] - (own * belief.mean[row]).sum(axis=1)
    weight = 1 / np.maximum(counts, 1)[row]
    to_user = sp.csr_array((weight, (row, np.arange(len(row)))), shape=(len(counts), len(row)))
    slope = to_user @ (own * wrong[:, None])
    d = own.shape[1]
    curve = (to_user @ (own[:, :, None] * own[:, None, :]).reshape(-1, d * d)).reshape(-1, d, d)
    spread = np.einsum("ude,ie->uid", belief.covariance, f)
    noise = np.einsum("uid,id->ui", spread, f) + prior.noise[items]
    said = people.pool[:, items].toarray()
    known = where_stored(people.pool[:, items])
    residual = np.where(known, said - prior.offset[items] - belief.mean @ f.T, 0) / noise
    moved = spread * residual[:, :, None]
    change = -2 * np.einsum("uid,ud->ui", moved, slope)
    change += np.einsum("uid,ude,uie->ui", moved, curve, moved, optimize=True)
    found: npt.NDArray[np.float64] = change.sum(axis=0)
    return found
