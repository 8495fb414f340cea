"""Full-catalogue evaluation of users nobody has seen: adapt on the support, rank everything.

Every catalogue item competes except those in the user's own support (and, if asked, other items
the user is known to have). Nothing is sampled: sampled metrics order methods differently
(Krichene & Rendle 2020, doi:10.1145/3394486.3403226). Equal scores are put into an order by lot,
another one for each task: a catalogue often lists famous items first, and that is no merit of a
method that cannot tell items apart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray, Scorer
from warmstart.evaluation import metrics

PROTOCOL = (
    "full-catalogue ranking; the task's own support is masked (of warm users: all their training "
    "items); the same query set at every number of shots; equal scores in an order by lot"
)
_ROOM = 1 << 24  # scores computed at once


class Ranker(Protocol):
    """Exact top-k; `warmstart.index.top_k` is one."""

    def __call__(
        self,
        scores: FloatArray,
        k: int,
        *,
        seen: Histories | None = None,
        candidates: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Return the `k` best unseen items of each user, best first, and their scores."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one method did on one set of tasks at one number of shots.

    Attributes:
        per_task: metric name → (tasks,) values, in the order of the tasks.
        overall: metric name → a value that only all lists together have.
        us_per_adaptation: microseconds from history to scores of the catalogue, per user.
        us_per_ranked_user: the same plus the exact top-10.
        top: (tasks, 10) the lists themselves, -1 for none.
    """

    per_task: Mapping[str, npt.NDArray[np.float64]]
    overall: Mapping[str, float]
    us_per_adaptation: float
    us_per_ranked_user: float
    top: IntArray = field(default_factory=lambda: np.zeros((0, 10), np.int32))


def evaluate(
    scorer: Scorer,
    support: Histories,
    query: sp.csr_array,
    *,
    ranker: Ranker,
    popularity: FloatArray,
    candidates: npt.NDArray[np.bool_] | None = None,
    seen: Histories | None = None,
    batch_users: int = 1024,
    seed: int = 0,
) -> Evaluation:
    """Judge `scorer` on every task and return each task's metrics.

    Args:
        scorer: a fitted method.
        support: (tasks) what the method may adapt on.
        query: (tasks, items) relevant items, above zero; every task needs one.
        ranker: finds the top of a score row.
        popularity: (items,) likes in the *training* rows.
        candidates: (items,) which items are ranked; None for all.
        seen: (tasks) which items are masked; None for those of `support`.
        batch_users: users scored at once.
        seed: of the lots that decide between equal scores; each task has its own, the same for
            every method.

    Raises:
        DataError: a task has no relevant candidate, or the numbers of tasks differ.
    """
    seen = support if seen is None else seen
    n_items = query.shape[1]
    if not len(support) == len(seen) == query.shape[0]:
        raise DataError(
            f"{len(support)} supports, {len(seen)} masks and {query.shape[0]} query rows; "
            "give one of each per task"
        )
    if candidates is not None:
        query = sp.csr_array(query @ sp.diags_array(candidates.astype(np.float32)).tocsr())
    empty = metrics.n_relevant(query) == 0
    if empty.any():
        raise DataError(
            f"{empty.sum()} of {len(empty)} tasks have no relevant candidate "
            f"(first: task {np.flatnonzero(empty)[0]}); leave them out of the tasks"
        )
    barred = None if candidates is None else np.flatnonzero(~candidates)
    step = max(1, min(batch_users, _ROOM // max(1, n_items)))
    tops, reciprocal, scoring, ranking = [], [], 0.0, 0.0
    for start in range(0, len(support), step):
        users = np.arange(start, min(start + step, len(support)))
        batch, masked = support.take(users), seen.take(users)
        begun = time.perf_counter()
        scores = np.asarray(scorer.score(batch), np.float32)
        scored = time.perf_counter()
        ranker(scores, 10, seen=masked, candidates=candidates)
        scoring, ranking = scoring + scored - begun, ranking + time.perf_counter() - scored
        scores = scores.copy()
        scores[masked.rows, masked.items] = -np.inf
        if barred is not None:
            scores[:, barred] = -np.inf
        top, found = _ranked(scores, query[users], users, ranker, seed)
        tops.append(top)
        reciprocal.append(found)
    top = np.concatenate(tops) if tops else np.zeros((0, 20), np.int32)
    top10 = top[:, :10]
    shown = metrics.exposure(top10, n_items)
    shown = shown if candidates is None else shown[candidates]
    users_judged = max(1, len(support))
    return Evaluation(
        per_task={
            "nDCG@10": metrics.ndcg(top, query, 10),
            "Recall@20": metrics.recall(top, query, 20),
            "MRR": np.concatenate([np.zeros(0), *reciprocal]),
            "HitRate@10": metrics.hit_rate(top, query, 10),
            "popularity@10": metrics.mean_popularity(top10, popularity),
            "popularity_percentile@10": metrics.mean_popularity(
                top10, metrics.percentiles(popularity)
            ),
        },
        overall={"coverage@10": metrics.coverage(shown), "Gini@10": metrics.gini(shown)},
        us_per_adaptation=1e6 * scoring / users_judged,
        us_per_ranked_user=1e6 * (scoring + ranking) / users_judged,
        top=top10,
    )


def _ranked(
    scores: FloatArray, query: sp.csr_array, tasks: IntArray, ranker: Ranker, seed: int
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Return each task's first 20 items and its reciprocal rank, equal scores ordered by lot.

    Only where equal scores touch either is a lot drawn: most methods have few such tasks.
    """
    top, values = ranker(scores, 21)
    reciprocal = metrics.reciprocal_rank(scores, query)
    equal = (values[:, 1:] == values[:, :-1]) & np.isfinite(values[:, 1:])
    wanted = query.toarray() > 0
    best = np.where(wanted, scores, -np.inf).max(axis=1, keepdims=True)
    among = ((scores == best).sum(axis=1) > 1) & np.isfinite(best[:, 0])
    top, rows = top[:, :20], np.flatnonzero(equal.any(axis=1) | among)
    if len(rows):
        lots = np.array(
            [generator(seed, "ties", int(t)).permutation(scores.shape[1]) for t in tasks[rows]]
        )
        dealt = np.take_along_axis(scores[rows], lots, axis=1)
        places = ranker(dealt, 20)[0]
        top[rows] = np.where(places >= 0, np.take_along_axis(lots, places, axis=1), -1)
        dealt_wanted = sp.csr_array(np.take_along_axis(wanted[rows], lots, axis=1))
        reciprocal[rows] = metrics.reciprocal_rank(dealt, dealt_wanted)
    return top, reciprocal


def shuffled_support(support: Histories, rng: np.random.Generator) -> Histories:
    """Give every task the support of another one; features stay where they are.

    A method that adapts must fall back towards its zero-shot quality on these. Mask with the
    tasks' own supports, so that the same items compete.

    Raises:
        DataError: there is only one task.
    """
    n = len(support)
    if n < 2:
        raise DataError(f"a shuffled support needs at least 2 tasks, got {n}")
    cycle = rng.permutation(n)
    other = np.empty(n, np.int64)
    other[cycle] = np.roll(cycle, 1)  # one cycle through all tasks: nobody keeps their own
    return replace(support.take(other), features=support.features)
