"""People whose ratings are known answer questions, and are judged on ratings they were not asked.

Each user's ratings are cut in two at random: the pool answers questions, the query set judges. In
the open world any item may be asked about, and what is not in the pool is "not seen"; in the closed
world only items of the pool are asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.meta.linear_belief import LinearPrior, Posterior
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.knowledge import Knowledge
from warmstart.recommenders.onboarding.policies import Policy, choose

World = Literal["open", "closed"]
WORLDS: tuple[World, ...] = ("open", "closed")


@dataclass(frozen=True, slots=True)
class Respondents:
    """Users and what they would say.

    Attributes:
        users: (users,) who they are, by whatever index they came with.
        pool: (users, items) ratings that answer questions.
        query: (users, items) ratings that judge.
        features: (users, user features) or None.
    """

    users: IntArray
    pool: sp.csr_array
    query: sp.csr_array
    features: sp.csr_array | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, at: IntArray) -> Respondents:
        """Return these users, in this order."""
        features = None if self.features is None else self.features[at]
        return Respondents(self.users[at], self.pool[at], self.query[at], features)

    def answers(self, items: IntArray) -> npt.NDArray[np.float64]:
        """Return (users,) what each says of one item; NaN is "not seen"."""
        return stored(self.pool, items)


def respondents(
    ratings: sp.csr_array,
    *,
    query_share: float = 0.3,
    seed: int = 0,
    features: sp.csr_array | None = None,
) -> Respondents:
    """Cut (users, items) ratings in two; users with fewer than 2 ratings are left out.

    Args:
        ratings: what is stored was rated.
        query_share: of each user's ratings, at least one.
        seed: of the cut.
        features: of the users.
    """
    counts = np.diff(ratings.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((generator(seed, "query set").random(len(row)), row))
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - np.repeat(ratings.indptr[:-1], counts)
    judged = rank < np.maximum(1, np.round(query_share * counts))[row]

    def part(keep: npt.NDArray[np.bool_]) -> sp.csr_array:
        where = (row[keep], ratings.indices[keep])
        return sp.csr_array((ratings.data[keep], where), shape=ratings.shape)

    whole = Respondents(np.arange(len(counts)), part(~judged), part(judged), features)
    return whole.take(np.flatnonzero(counts >= 2))


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was asked and said, and how well ratings were predicted on the way.

    Attributes:
        items: (users, questions) what was asked; -1 where nothing was left.
        values: (users, questions) the answers; NaN is "not seen".
        rmse: (users, questions + 1) over the query set, after 0, 1, … questions.
        expected: (users, questions + 1) what the belief expects it to be.
    """

    items: IntArray
    values: npt.NDArray[np.float64]
    rmse: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]

    def take(self, users: IntArray) -> Transcript:
        """Return what these users were asked and said."""
        return Transcript(
            self.items[users], self.values[users], self.rmse[users], self.expected[users]
        )

    @property
    def answered(self) -> npt.NDArray[np.float64]:
        """(users, questions + 1) how many questions were answered by a rating."""
        heard = np.cumsum(np.isfinite(self.values), axis=1)
        return np.pad(heard, [(0, 0), (1, 0)]).astype(np.float64)


def interview(
    policy: Policy,
    knowledge: Knowledge,
    people: Respondents,
    *,
    questions: int,
    world: World = "open",
    rng: np.random.Generator,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Transcript:
    """Ask everybody, all at once.

    Args:
        policy: chooses.
        knowledge: the priors.
        people: who answers.
        questions: how many each.
        world: "open" or "closed", see the module.
        rng: of policies with chance.
        allowed: (items,) what may be asked at all; None for everything.
    """
    state, n = Interview.start(knowledge, len(people)), len(people)
    may = None if allowed is None else np.broadcast_to(allowed, (n, len(knowledge.counts)))
    if world == "closed":
        known = where_stored(people.pool)
        may = known if may is None else known & may
    items, values, rmse = [], [], [errors(knowledge.ratings, state.taste, people.query)]
    expected = [state.expected_rmse(knowledge)]
    for _ in range(questions):
        asked = choose(policy, knowledge, state, may, rng)
        said = people.answers(asked)
        state = state.after(knowledge, asked, said)
        items.append(asked)
        values.append(said)
        rmse.append(errors(knowledge.ratings, state.taste, people.query))
        expected.append(state.expected_rmse(knowledge))
    return Transcript(
        np.stack(items, axis=1),
        np.stack(values, axis=1),
        np.stack(rmse, axis=1),
        np.stack(expected, axis=1),
    )


def errors(prior: LinearPrior, belief: Posterior, query: sp.csr_array) -> npt.NDArray[np.float64]:
    """Return (users,) root mean squared error of the expected ratings over each query set."""
    counts = np.diff(query.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    expected = prior.offset[query.indices] + np.einsum(
        "nd,nd->n", prior.factors[query.indices], belief.mean[row]
    )
    squares = np.bincount(row, np.square(query.data - expected), minlength=len(counts))
    return np.asarray(np.sqrt(squares / np.maximum(counts, 1)))


def stored(matrix: sp.csr_array, items: IntArray) -> npt.NDArray[np.float64]:
    """Return (rows,) the value of one column of each row, NaN where none is stored.

    Example:
        >>> matrix = sp.csr_array(np.array([[0.0, 5.0], [3.0, 0.0]]))
        >>> stored(matrix, np.array([1, 1])).tolist()
        [5.0, nan]
    """
    found = np.full(len(items), np.nan)
    if not matrix.nnz:
        return found
    ordered = matrix if matrix.has_sorted_indices else matrix.sorted_indices()
    n = matrix.shape[1]
    keys = np.repeat(np.arange(len(items)), np.diff(ordered.indptr)) * n + ordered.indices
    wanted = np.arange(len(items)) * n + items
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = (keys[at] == wanted) & (items >= 0)
    found[there] = ordered.data[at[there]]
    return found


def where_stored(matrix: sp.csr_array) -> npt.NDArray[np.bool_]:
    """Return a dense array that says where something is stored, be it 0."""
    found = np.zeros(matrix.shape, bool)
    found[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices] = True
    return found
