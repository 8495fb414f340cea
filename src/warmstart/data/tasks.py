"""Tasks: users to adapt to, what we may adapt on, and what we are judged on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import Histories, IntArray
from warmstart.data.interactions import Pairs

Scenario = Literal["warm", "user-cold", "item-cold", "both-cold"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """One task per user; the query set is the same at every number of shots.

    Attributes:
        support: (tasks) the first `max_shots` events of each, in order, with user features.
        query: (tasks, items) float32, one at every relevant item.
        users: (tasks,) dense user index.
        candidates: (items,) which items are ranked; None for all.
        seen: (tasks) what else is known of a warm user from the training rows, to be masked by
            those who want to; None where users are cold.
        scenario: what is cold.
        cold_users: dense indices of every user held out, also of those without a task.
        cold_items: dense indices of every item held out.
    """

    support: Histories
    query: sp.csr_array
    users: IntArray
    candidates: npt.NDArray[np.bool_] | None = None
    seen: Histories | None = None
    scenario: Scenario = "user-cold"
    cold_users: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    cold_items: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.users)

    def at(self, k: int) -> Histories:
        """Return the support of every task at `k` shots; at 0 only the features are left."""
        return self.support.first(k)

    def take(self, tasks: IntArray) -> Tasks:
        """Return these tasks, in this order."""
        tasks = np.asarray(tasks, np.int64)
        return replace(
            self,
            support=self.support.take(tasks),
            query=self.query[tasks],
            users=self.users[tasks],
            seen=None if self.seen is None else self.seen.take(tasks),
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which pairs are the support and the query of which users."""

    users: IntArray
    support: IntArray
    query: IntArray


def choose(
    pairs: Pairs,
    keys: npt.NDArray[np.float64],
    may_support: npt.NDArray[np.bool_],
    may_query: npt.NDArray[np.bool_],
    *,
    max_shots: int,
    min_support: int,
    min_query: int,
    in_order: bool = False,
) -> Chosen:
    """Take each user's first pairs by `keys` as support and the other relevant ones as query.

    Args:
        pairs: one row per (user, item).
        keys: (pairs,) order within a user.
        may_support: (pairs,) what we may adapt on.
        may_query: (pairs,) what is relevant; a pair that became support is left out.
        max_shots: largest support.
        min_support: users with fewer support pairs have no task.
        min_query: users with fewer relevant pairs have no task.
        in_order: whether what comes before the end of the support may not be asked.

    Returns:
        Users in ascending order; pair indices of the support, user by user in order, and of
        the query.
    """
    n_users = len(pairs.indptr) - 1
    rows = np.flatnonzero(may_support)
    rows = rows[np.lexsort((pairs.row[rows], keys[rows], pairs.user[rows]))]
    counts = np.bincount(pairs.user[rows], minlength=n_users)
    begins = np.concatenate([[0], np.cumsum(counts)])[:-1]
    rank = np.arange(len(rows)) - np.repeat(begins, counts)
    support = rows[rank < max_shots]
    relevant = may_query.copy()
    relevant[support] = False
    if in_order:
        last = np.full(n_users, -np.inf)
        np.maximum.at(last, pairs.user[support], keys[support])
        relevant &= keys >= last[pairs.user]
    query = np.flatnonzero(relevant)
    enough = np.bincount(pairs.user[support], minlength=n_users) >= min_support
    enough &= np.bincount(pairs.user[query], minlength=n_users) >= max(1, min_query)
    return Chosen(
        np.flatnonzero(enough),
        support[enough[pairs.user[support]]],
        query[enough[pairs.user[query]]],
    )


def histories_of(pairs: Pairs, rows: IntArray, users: IntArray) -> Histories:
    """Return `rows` (grouped by user, ascending) as the histories of `users` (ascending)."""
    counts = np.bincount(pairs.user[rows], minlength=len(pairs.indptr) - 1)[users]
    return Histories(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        pairs.item[rows],
        pairs.value[rows],
        None if pairs.time is None else pairs.time[rows],
    )


def relevant_items(pairs: Pairs, rows: IntArray, users: IntArray, n_items: int) -> sp.csr_array:
    """Return `rows` (sorted by user and item) as a (users, items) matrix of ones."""
    counts = np.bincount(pairs.user[rows], minlength=len(pairs.indptr) - 1)[users]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(rows), np.float32)
    return sp.csr_array((ones, pairs.item[rows], indptr), shape=(len(users), n_items))
