"""How good the lists are that follow an interview: nDCG@10 of the query items a user likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.evaluation import metrics
from warmstart.index import top_k
from warmstart.recommenders.onboarding.respondents import Respondents, Transcript

LENGTH = 10
"""Of the lists."""

Score = Callable[[Histories], FloatArray]
"""Scores the catalogue after the answers."""

Evidence = Callable[[npt.NDArray[np.floating[Any]]], FloatArray]
"""Turns ratings into signed evidence."""


def said(
    items: IntArray,
    values: npt.NDArray[np.float64],
    evidence: Evidence,
    features: sp.csr_array | None = None,
) -> Histories:
    """Return what users have told as their histories; "not seen" is no event.

    Args:
        items: (users, questions) what was asked.
        values: (users, questions) ratings; NaN is "not seen".
        evidence: turns ratings into evidence.
        features: of the users.
    """
    heard = np.isfinite(values)
    indptr = np.concatenate([[0], np.cumsum(heard.sum(axis=1))]).astype(np.int64)
    return Histories(indptr, items[heard].astype(np.int32), evidence(values[heard]), None, features)


def ranking_after(
    transcript: Transcript, people: Respondents, number: int, score: Score, evidence: Evidence
) -> npt.NDArray[np.float64]:
    """Return (users,) nDCG@10 after that many questions; NaN for who likes nothing in the query.

    The whole catalogue competes except what the user has rated in the interview.
    """
    history = said(
        transcript.items[:, :number], transcript.values[:, :number], evidence, people.features
    )
    query = people.query
    liked = sp.csr_array(
        ((evidence(query.data) > 0).astype(np.float32), query.indices, query.indptr),
        shape=query.shape,
    )
    top, _ = top_k(score(history), LENGTH, seen=history)
    return metrics.ndcg(top, liked, LENGTH)
