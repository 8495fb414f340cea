"""Popularity: everybody gets the most liked items. The list that a new method must beat first.

The other baselines borrow two habits from here: a history is what the user *liked*, and where a
method has nothing to say, it says what is popular.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, Progress, State


class PopularityConfig(Config):
    """Popularity has no settings."""


class Popularity:
    """Rank items by how many training users liked them; the history is ignored."""

    config_type: ClassVar[type[Config]] = PopularityConfig
    counts: FloatArray

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or PopularityConfig()

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Count the users who like each item of the training rows."""
        self.counts = likes_per_item(data.positives())
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) counts, the same row for every user."""
        return np.repeat(self.counts[None], len(histories), axis=0)

    def state(self) -> State:
        """Return the counts."""
        return State({"counts": self.counts})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from the counts."""
        method = cls()
        method.counts = state.arrays["counts"]
        return method


def likes_per_item(positives: sp.csr_array) -> FloatArray:
    """Return (items,) in how many rows of a binary (users, items) matrix each item occurs."""
    return np.bincount(positives.indices, minlength=positives.shape[1]).astype(np.float32)


def training_likes(data: Any) -> sp.csr_array:  # noqa: ANN401  (a `warmstart.data.Dataset`)
    """Return the (users with a like, items) float32 binary matrix of the training rows."""
    positives = data.positives()
    return positives[np.flatnonzero(np.diff(positives.indptr))]


def liked(histories: Histories, n_items: int) -> sp.csr_array:
    """Return the (users, items) float32 binary matrix of what the users like.

    Example:
        >>> events = Histories(np.array([0, 3]), np.array([2, 0, 2]), np.float32([1, -1, 0.5]))
        >>> liked(events, 4).toarray().tolist()
        [[0.0, 0.0, 1.0, 0.0]]
    """
    keep = histories.values > 0
    items = histories.items[keep]
    ends = np.concatenate([[0], np.cumsum(keep)])[histories.indptr]
    ones = np.ones(len(items), np.float32)
    matrix = sp.csr_array((ones, items, ends), shape=(len(histories), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def lean_on_popularity(scores: FloatArray, likes: sp.csr_array, counts: FloatArray) -> FloatArray:
    """Settle by popularity what a method leaves open: users without likes, and equal scores.

    A millionth of the row's own scale decides ties and touches nothing else. Works in place.

    Args:
        scores: (users, items) float32.
        likes: (users, items) what the scores were computed from.
        counts: (items,) popularity.

    Returns:
        `scores`.
    """
    share = counts / max(float(counts.max(initial=0)), 1.0)
    scale = np.maximum(scores.max(axis=1, initial=0), -scores.min(axis=1, initial=0))
    scores += (1e-6 * scale)[:, None] * share
    scores[np.diff(likes.indptr) == 0] = counts
    return scores
