"""Episodes: what a learner practises on. One episode is one user, cut into support and query.

The number of shots is drawn anew each time: half the episodes draw it uniformly up to `max_shots`,
half over the user's whole profile, so that one model serves zero, three and three hundred events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import Histories, IntArray


@dataclass(frozen=True, slots=True)
class Episodes:
    """A batch of episodes.

    Attributes:
        support: what the learner adapts on.
        query: (users, items) ones at the liked items it is judged on.
        groups: (users, groups) ones where a user belongs to a group, or None.
    """

    support: Histories
    query: sp.csr_array
    groups: sp.csr_array | None = None


def draw_episodes(
    evidence: sp.csr_array,
    users: IntArray,
    rng: np.random.Generator,
    *,
    max_shots: int = 20,
    few_shot_share: float = 0.5,
    most_shots: int | None = None,
    dislike_share: float = 0.5,
    features: sp.csr_array | None = None,
    groups: sp.csr_array | None = None,
) -> Episodes:
    """Cut each user's events into a random support and the liked rest.

    Args:
        evidence: (all users, items) signed evidence; likes positive, dislikes negative.
        users: (users,) whom to draw; each needs at least one like.
        rng: source of the cuts.
        max_shots: most likes in a few-shot episode.
        few_shot_share: share of episodes that draw 0 … `max_shots`; the others draw 0 … all but
            one of the user's likes.
        most_shots: most likes in any episode; None for no bound.
        dislike_share: share of episodes that also show up to as many dislikes as likes, plus one.
        features: (all users, user features), carried along.
        groups: (all users, groups), carried along.

    Example:
        >>> likes = sp.csr_array(np.ones((2, 5), np.float32))
        >>> e = draw_episodes(likes, np.array([0, 1]), np.random.default_rng(0))
        >>> (e.support.shots + e.query.sum(axis=1)).tolist()
        [5.0, 5.0]
    """
    rows = evidence[users]
    row = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
    liked = rows.data > 0
    n_likes = np.bincount(row[liked], minlength=len(users))
    n_dislikes = np.bincount(row[~liked], minlength=len(users))
    few = rng.random(len(users)) < few_shot_share
    shots = np.where(
        few,
        np.minimum(rng.integers(0, max_shots + 1, len(users)), np.maximum(n_likes - 1, 0)),
        rng.integers(0, np.maximum(n_likes, 1)),
    )
    if most_shots is not None:
        shots = np.minimum(shots, most_shots)
    shown = np.where(
        rng.random(len(users)) < dislike_share,
        rng.integers(0, np.minimum(n_dislikes, shots + 1) + 1),
        0,
    )
    order = np.lexsort((rng.random(len(row)), ~liked, row))  # per user: likes, then dislikes
    row, item, value = row[order], rows.indices[order], rows.data[order]
    rank = np.arange(len(row)) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
    liked = value > 0
    in_support = np.where(liked, rank < shots[row], rank - n_likes[row] < shown[row])
    in_query = liked & ~in_support
    support = Histories(
        np.concatenate([[0], np.cumsum(shots + shown)]),
        item[in_support],
        value[in_support].astype(np.float32),
        features=None if features is None else features[users],
    )
    ones = np.ones(int(in_query.sum()), np.float32)
    query = sp.csr_array((ones, (row[in_query], item[in_query])), shape=rows.shape)
    return Episodes(support, query, None if groups is None else groups[users])


def concatenated(first: Episodes, second: Episodes) -> Episodes:
    """Return the episodes of both batches, one after the other.

    Example:
        >>> likes = sp.csr_array(np.ones((2, 5), np.float32))
        >>> e = draw_episodes(likes, np.array([0, 1]), np.random.default_rng(0))
        >>> len(concatenated(e, e).support), concatenated(e, e).query.shape
        (4, (4, 5))
    """
    a, b = first.support, second.support
    features = None
    if a.features is not None and b.features is not None:
        features = sp.csr_array(sp.vstack([a.features, b.features], format="csr"))
    support = Histories(
        np.concatenate([a.indptr, a.indptr[-1] + b.indptr[1:]]),
        np.concatenate([a.items, b.items]),
        np.concatenate([a.values, b.values]),
        features=features,
    )
    query = sp.csr_array(sp.vstack([first.query, second.query], format="csr"))
    return Episodes(support, query)
