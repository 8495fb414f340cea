"""Exams: users held out of training show some of their likes and are judged on the others."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation import metrics
from warmstart.index import top_k
from warmstart.recommenders.gates import LENGTH

Exam = tuple[IntArray, Histories, sp.csr_array]
"""Users, what they show, and what they are judged on."""


def draw_exams(
    likes: sp.csr_array,
    users: IntArray,
    features: sp.csr_array | None,
    shots: tuple[int, ...],
    seed: int,
    name: str,
) -> dict[int, Exam]:
    """Return, for each number of shots that somebody can give, users, supports and queries."""
    out = {}
    counts = np.diff(likes.indptr)[users]
    for k in shots:
        able = users[counts > k]
        if not len(able):
            continue
        rows = likes[able]
        rng = generator(seed, name, k)
        row = np.repeat(np.arange(len(able)), np.diff(rows.indptr))
        item = rows.indices[np.lexsort((rng.random(len(row)), row))]
        rank = np.arange(len(row)) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
        first = rank < k
        support = Histories(
            np.arange(len(able) + 1) * k,
            item[first],
            np.ones(int(first.sum()), np.float32),
            features=None if features is None else features[able],
        )
        query = sp.csr_array(
            (np.ones(int((~first).sum()), np.float32), (row[~first], item[~first])),
            shape=rows.shape,
        )
        out[k] = (able, support, query)
    return out


def mean_ndcg(scores: FloatArray, support: Histories, query: sp.csr_array) -> float:
    """Return the mean nDCG@10 of dense scores."""
    top, _ = top_k(scores, LENGTH, seen=support)
    return float(np.nanmean(metrics.ndcg(top, query, LENGTH)))
