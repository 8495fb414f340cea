"""How much a user's taste counts beside what they ask for, learned at each number of shots.

Users held out of the other parts show k likes and ask for a category or two of another of their
likes; relevant is what they like of all that answers it. An item's score is how well it answers
plus the trust times its score by taste, standardised over the catalogue, and the trust is the one
that ranks best. So the noise of a wish is learned as that of a click is: by what it predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.exams import draw_exams
from warmstart.recommenders.gates import LENGTH, Gates

UNLEARNED = Gates(np.zeros(1, np.float32), np.full((1, 1), 0.5, np.float32))
"""Trust where nothing could be learned."""

_GRID = (0.1, 0.2, 0.3, 0.5, 0.75)  # with more, what was asked for loses against favourites
_MOST_UNKNOWN = 0.3  # of who has shown nothing taste is popularity, which may settle ties alone
_SHOTS = (0, 1, 3, 10)
_MOST_USERS, _FEWEST_USERS = 600, 30
_MOST_ASKED = 2  # categories in one wish

Taste = Callable[[Histories], FloatArray]


def learn_trust(
    held: Sequence[tuple[Taste, IntArray]],
    topics: Sequence[sp.csr_array],
    answer: Callable[[sp.csr_array, FloatArray], FloatArray],
    likes: sp.csr_array,
    features: sp.csr_array | None,
    *,
    seed: int,
) -> Gates:
    """Return the trust in taste at a few numbers of shots.

    Args:
        held: models, each with users that it has not seen.
        topics: (items, values) categories of the items, for each column.
        answer: gives (wishes, items) scores to (wishes, values) categories asked for.
        likes: (users, items) ones.
        features: (users, user features) or None.
        seed: which users, which of their likes, what they ask for.
    """
    knots, trusts = [], []
    for k in _SHOTS if topics else ():
        marks: list[FloatArray] = []
        for fold, (taste, users) in enumerate(held):
            some = users[: max(1, _MOST_USERS // len(held))]
            exam = draw_exams(likes, some, features, (k,), seed, f"trust{fold}").get(k)
            if exam is None:
                continue
            _, support, query = exam
            rng = generator(seed, "wishes", f"{fold}-{k}")
            able, scores, relevant = _wishes(topics, answer, query, rng)
            if not len(able):
                continue
            shown = support.take(able)
            own = standardised(taste(shown))
            found = []
            for trust in _GRID:
                top, _ = top_k(scores + np.float32(trust) * own, LENGTH, seen=shown)
                found.append(ndcg(top, relevant, LENGTH))
            marks.append(np.stack(found, axis=1))
        if sum(map(len, marks)) >= _FEWEST_USERS:
            knots.append(k)
            best = _GRID[int(np.concatenate(marks).mean(axis=0).argmax())]
            trusts.append([best if k else min(best, _MOST_UNKNOWN)])
    if not knots:
        return UNLEARNED
    return Gates(np.array(knots, np.float32), np.array(trusts, np.float32))


def standardised(scores: FloatArray) -> FloatArray:
    """Return (users, items) scores less their mean over the items, in standard deviations."""
    spread = scores.std(axis=1, keepdims=True)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-9))


def _wishes(
    topics: Sequence[sp.csr_array],
    answer: Callable[[sp.csr_array, FloatArray], FloatArray],
    query: sp.csr_array,
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray, sp.csr_array]:
    """Let each user ask for categories of one of their likes.

    Returns:
        the users who can, (users, items) answers, and (users, items) the likes that answer.
    """
    able: list[int] = []
    scores: list[FloatArray] = []
    rows: list[int] = []
    columns: list[int] = []
    for user in range(query.shape[0]):
        mine = query.indices[query.indptr[user] : query.indptr[user + 1]]
        values = topics[int(rng.integers(len(topics)))]
        item = int(rng.choice(mine))
        of_it = values.indices[values.indptr[item] : values.indptr[item + 1]]
        if not len(of_it):
            continue
        asked = np.zeros((1, values.shape[1]), np.float32)
        wanted = rng.permutation(of_it)[: int(rng.integers(1, _MOST_ASKED + 1))]
        asked[0, wanted] = 1
        answering = mine[(values[mine] @ asked[0]) == len(wanted)]
        rows += [len(able)] * len(answering)
        columns += list(answering)
        scores.append(answer(values, asked)[0])
        able.append(user)
    shape = (len(able), query.shape[1])
    relevant = sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    return np.array(able, np.int64), np.array(scores, np.float32).reshape(shape), relevant
