"""The leak check: training must not have met what the tasks are judged on."""

from __future__ import annotations

import numpy as np

from warmstart.core.errors import LeakageError
from warmstart.core.types import IntArray
from warmstart.data.dataset import Dataset
from warmstart.data.splits import Split
from warmstart.data.tasks import Tasks


def check_no_leak(train: Split | Dataset, tasks: Tasks | None = None) -> None:
    """Refuse training rows that give test answers away; any learner can call this.

    Checked are: no (user, item) of a query occurs in training; held-out users and held-out
    items have no training rows; no item is both support and query of a task; the support of a
    task with held-out items holds none of them.

    Args:
        train: the training rows, or a whole split.
        tasks: what the model will be judged on; taken from the split where one is given.

    Raises:
        LeakageError: one of these is broken; the message names the first case.
    """
    if isinstance(train, Split):
        tasks = train.tasks if tasks is None else tasks
        train = train.train
    if tasks is None:
        raise LeakageError("there are no tasks to check against; pass a split, or tasks as well")
    if tasks.query.shape[1] != train.n_items:
        raise LeakageError(
            f"the tasks rank {tasks.query.shape[1]} items, training knows {train.n_items}; "
            "use the train and tasks of one split"
        )
    pairs, n_items = train.pairs, train.n_items
    _none_of(train, "user", pairs.user, tasks.cold_users)
    _none_of(train, "item", pairs.item, tasks.cold_items)
    query = tasks.query.tocoo()
    asked = tasks.users[query.row].astype(np.int64) * n_items + query.col
    trained = pairs.user.astype(np.int64) * n_items + pairs.item
    _refuse(train, asked[np.isin(asked, trained)], "a query item of a task is in the training rows")
    given = tasks.users[tasks.support.rows].astype(np.int64) * n_items + tasks.support.items
    _refuse(train, asked[np.isin(asked, given)], "an item is both support and query of a task")
    cold = np.isin(tasks.support.items, tasks.cold_items)
    _refuse(train, given[cold], "a held-out item is in the support of a task")


def _none_of(train: Dataset, what: str, met: IntArray, held_out: IntArray) -> None:
    count = train.n_users if what == "user" else train.n_items
    leaked = np.flatnonzero(np.isin(np.arange(count), met) & np.isin(np.arange(count), held_out))
    if len(leaked):
        first = (train.users if what == "user" else train.items)[int(leaked[0])]
        raise LeakageError(
            f"{len(leaked)} held-out {what}s have training rows (first: {what} {first!r}); "
            "train on `split.train` only"
        )


def _refuse(train: Dataset, keys: IntArray, what: str) -> None:
    if len(keys):
        user, item = divmod(int(keys[0]), train.n_items)
        raise LeakageError(
            f"{what} ({len(keys)} cases; first: user {train.users[user]!r}, item "
            f"{train.items[item]!r}); train on `split.train` only"
        )
