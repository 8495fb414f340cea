"""The legacy protocol of meta-learned recommenders: order items that the user did rate.

Ten rated query items a user, the five with the highest labels positive (Lee et al. 2019, MeLU,
arXiv:1908.00413; Lin et al. 2021, TaNP, arXiv:2103.06137). Chance is exactly nDCG@5 = .5 and
MRR ≈ .704, and the item mean beats several published methods: never print it without both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import Histories, Scorer
from warmstart.evaluation import metrics
from warmstart.evaluation.protocol import Ranker


def evaluate_rated(
    scorer: Scorer,
    support: Histories,
    ratings: sp.csr_array,
    *,
    ranker: Ranker,
    rng: np.random.Generator,
    n_query: int = 10,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return per-task nDCG@5 and MRR on `n_query` random rated items of each task.

    Args:
        scorer: a fitted method.
        support: (tasks) what it may adapt on.
        ratings: (tasks, items) labels of the rated items outside the support, above zero.
        ranker: finds the top of a score row.
        rng: draws the query items, and decides between equal labels.
        n_query: query items a task; the better half of them is positive.

    Raises:
        DataError: a task has fewer than `n_query` rated items.
    """
    lengths = np.diff(ratings.indptr)
    if (lengths < n_query).any():
        raise DataError(
            f"task {np.argmin(lengths)} has {lengths.min()} rated items, this protocol needs "
            f"{n_query}; leave such tasks out"
        )
    rows = np.repeat(np.arange(len(lengths)), lengths)
    drawn = np.lexsort((rng.random(len(rows)), rows))
    drawn = drawn.reshape(-1)[_rank(ratings.indptr) < n_query]
    by_label = np.lexsort((rng.random(len(drawn)), -ratings.data[drawn], rows[drawn]))
    drawn = drawn[by_label].reshape(len(lengths), n_query)
    items = ratings.indices[drawn]
    positive = np.arange(n_query) < n_query // 2
    scores = np.take_along_axis(np.asarray(scorer.score(support), np.float32), items, axis=1)
    # positives stand first in `items`: shuffle the columns, or ties would favour them
    columns = rng.permuted(np.tile(np.arange(n_query), (len(lengths), 1)), axis=1)
    scores = np.take_along_axis(scores, columns, axis=1)
    relevant = sp.csr_array(positive[columns].astype(np.float32))
    top, _ = ranker(scores, 5)
    return {
        "nDCG@5": metrics.ndcg(top, relevant, 5),
        "MRR": metrics.reciprocal_rank(scores, relevant),
    }


def _rank(indptr: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    return np.arange(indptr[-1]) - np.repeat(indptr[:-1], np.diff(indptr))
