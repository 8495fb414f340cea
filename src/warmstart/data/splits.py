"""Splits: which rows train, and which users and items are held out as tasks.

| scenario  | held out (by random)             | support of a task      | query of a task        |
|-----------|----------------------------------|------------------------|------------------------|
| warm      | a share of each user's likes     | their likes in train   | the likes held out     |
| user-cold | a share of the users             | first `max_shots`      | likes past the support |
| item-cold | a share of the items             | likes in train         | likes of cold items    |
| both-cold | both                             | likes of warm items    | likes of cold items    |

By time, one instant cuts: training rows lie before it, and cold is who or what appears only from
then on; support and query are ordered by time. By files, the lists are given. Every item stays
in the catalogue; feature encodings are learned from training users and items alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.data import columns
from warmstart.data.dataset import Dataset, order_keys
from warmstart.data.ids import Id, Ids
from warmstart.data.interactions import Pairs
from warmstart.data.tables import read_source
from warmstart.data.tasks import (
    Chosen,
    Scenario,
    Tasks,
    choose,
    histories_of,
    relevant_items,
)

Mask = npt.NDArray[np.bool_]


class SplitFiles(Config):
    """Explicit lists for `by="files"`.

    Attributes:
        users: cold users: a file with one id a line (.txt) or a table with a user column.
        items: cold items: likewise.
        query: a table of (user, item) pairs of the dataset that are judged; the other rows of
            these users are support. Without it, the scenario decides.
    """

    users: Path | None = None
    items: Path | None = None
    query: Path | None = None


class SplitConfig(Config):
    """How to split.

    Attributes:
        scenario: what is cold.
        by: "random" users or items, "time" (one instant for all), or "files".
        seed: of the choice and of the order.
        test_fraction: share of users held out; in `warm` the share of each user's likes, or of
            all rows when by time.
        item_fraction: share of items held out in `item-cold` and `both-cold`.
        max_shots: largest support; the query starts behind it whatever k is asked.
        order: of a user's events: a seeded random one, or time.
        support: "positive" adapts on likes only, "all" on dislikes as well.
        min_query: users with fewer relevant items have no task.
        min_support: users with less support have no task; by default `max_shots` where users
            are cold and 1 where they are warm.
        files: the lists for `by="files"`.
    """

    scenario: Scenario = "user-cold"
    by: Literal["random", "time", "files"] = "random"
    seed: int = Field(0, ge=0)
    test_fraction: float = Field(0.1, gt=0, lt=1)
    item_fraction: float = Field(0.2, gt=0, lt=1)
    max_shots: int = Field(20, ge=0)
    order: Literal["random", "time"] = "random"
    support: Literal["positive", "all"] = "positive"
    min_query: int = Field(1, ge=1)
    min_support: int | None = Field(None, ge=0)
    files: SplitFiles = SplitFiles()

    @property
    def least_support(self) -> int:
        """The least support of a task."""
        if self.min_support is not None:
            return min(self.min_support, self.max_shots)
        return self.max_shots if "user" in self._cold else min(1, self.max_shots)

    @property
    def _cold(self) -> tuple[str, ...]:
        return {
            "warm": (),
            "user-cold": ("user",),
            "item-cold": ("item",),
            "both-cold": ("user", "item"),
        }[self.scenario]


@dataclass(frozen=True, slots=True)
class Split:
    """Training rows and tasks that share one index space.

    Attributes:
        train: all users and items of the data, training rows only.
        tasks: what is judged.
        config: how it was made.
        fingerprint: SHA-256 over the data's fingerprint, the settings and the tasks.
    """

    train: Dataset
    tasks: Tasks
    config: SplitConfig
    fingerprint: str


def make_split(data: Dataset, config: SplitConfig | None = None) -> Split:
    """Split a dataset into training rows and tasks; the same seed gives the same split.

    Raises:
        DataError: no user is left with enough events, or a listed id is unknown.
        ConfigError: by time without timestamps, or by files without the files.

    Example:
        >>> rows = {"user": [u for u in range(20) for _ in range(6)],
        ...         "item": [i for _ in range(20) for i in range(6)]}
        >>> split = make_split(Dataset.from_tables(rows), SplitConfig(max_shots=3))
        >>> len(split.tasks), split.tasks.at(2).shots.tolist(), split.tasks.query.sum(axis=1)
        (2, [2, 2], array([3., 3.], dtype=float32))
    """
    config = config or SplitConfig()
    pairs = data.pairs
    if config.by == "time" and pairs.time is None:
        raise ConfigError("by='time' needs a timestamp column; pass by='random'")
    keys = order_keys(pairs, "time" if config.by == "time" else config.order, config.seed)
    cut = _cut(pairs, config) if config.by == "time" else None
    cold_users, cold_items = _held_out(data, config, cut)
    listed = _listed_queries(data, config)
    likes = pairs.value > 0
    usable = likes if config.support == "positive" else np.ones(len(pairs), bool)
    if config.scenario == "warm":
        held = _held_pairs(pairs, config, cut, listed)
        may_train, may_support, may_query = ~held, usable & ~held, likes & held
        if cut is not None:  # an item that appears only later is cold, and not asked here
            may_query &= _among(pairs.item[may_train], data.n_items)[pairs.item]
    else:
        of_cold_user, of_cold_item = cold_users[pairs.user], cold_items[pairs.item]
        before = np.ones(len(pairs), bool) if cut is None else _time(pairs) < cut
        may_train = ~of_cold_user & ~of_cold_item & before
        judged = of_cold_user if "user" in config._cold else ~of_cold_user
        may_support = usable & judged & ~of_cold_item
        may_query = likes & judged
        if "item" in config._cold:
            may_query &= of_cold_item
            if "user" not in config._cold:
                may_support &= before
        elif cut is not None:
            known = _among(pairs.item[may_train], data.n_items)[pairs.item]
            may_support, may_query = may_support & known, may_query & known
        if listed is not None:
            may_support, may_query = may_support & ~listed, may_query & listed
            may_train &= ~listed
    if not may_train.any():
        raise DataError("no training row is left; hold out fewer users or items")
    chosen = choose(
        pairs,
        keys,
        may_support,
        may_query,
        max_shots=config.max_shots,
        min_support=config.least_support,
        min_query=config.min_query,
        in_order=config.by == "time",
    )
    if not len(chosen.users):
        raise DataError(_no_task(pairs, may_support, may_query, config))
    rows = _rows_of(data, may_train)
    if cut is not None and data.interactions.time is not None:
        rows &= data.interactions.time < cut  # a pair may come again after the cut
    return _assemble(data, config, chosen, rows, may_train, cold_users, cold_items)


def _assemble(
    data: Dataset,
    config: SplitConfig,
    chosen: Chosen,
    rows: Mask,
    may_train: Mask,
    cold_users: Mask,
    cold_items: Mask,
) -> Split:
    pairs = data.pairs
    train = data.restrict(rows).refit_features(
        users=_among(pairs.user[may_train], data.n_users),
        items=_among(pairs.item[may_train], data.n_items),
    )
    features = None if train.user_matrix is None else train.user_matrix[chosen.users]
    support = replace(histories_of(pairs, chosen.support, chosen.users), features=features)
    seen = None
    if "user" not in config._cold:
        seen = train.histories(chosen.users, order="file")
    tasks = Tasks(
        support=support,
        query=relevant_items(pairs, chosen.query, chosen.users, data.n_items),
        users=chosen.users,
        candidates=cold_items if "item" in config._cold else None,
        seen=seen,
        scenario=config.scenario,
        cold_users=np.flatnonzero(cold_users),
        cold_items=np.flatnonzero(cold_items),
    )
    digest = hashlib.sha256(data.fingerprint.encode())
    digest.update(config.model_dump_json(exclude={"files"}).encode())
    for array in (tasks.users, support.indptr, support.items, tasks.query.indptr,
                  tasks.query.indices, tasks.cold_users, tasks.cold_items):  # fmt: skip
        digest.update(np.asarray(array, np.int64).tobytes())
    return Split(train, tasks, config, digest.hexdigest())


def _cut(pairs: Pairs, config: SplitConfig) -> float:
    """Return the instant that leaves the wanted share of users (or items, or rows) after it."""
    time = _time(pairs)
    if config.scenario == "warm":
        return float(np.quantile(time, 1 - config.test_fraction, method="higher"))
    item = config.scenario == "item-cold"
    first = _first_times(pairs.item if item else pairs.user, time)
    first = first[np.isfinite(first)]
    share = config.item_fraction if item else config.test_fraction
    return float(np.quantile(first, 1 - share, method="higher"))


def _held_out(data: Dataset, config: SplitConfig, cut: float | None) -> tuple[Mask, Mask]:
    """Return which users and which items are cold."""
    pairs, found = data.pairs, []
    sides = (
        ("user", data.users, pairs.user, config.test_fraction, config.files.users),
        ("item", data.items, pairs.item, config.item_fraction, config.files.items),
    )
    for side, ids, of_pair, share, file in sides:
        cold = np.zeros(len(ids), bool)
        if side not in config._cold:
            pass
        elif config.by == "files":
            if file is None:
                raise ConfigError(
                    f"by='files' with scenario={config.scenario!r} needs files.{side}s"
                )
            cold[_listed(file, side, ids)] = True
        elif cut is not None:
            first = _first_times(of_pair, _time(pairs), len(ids))
            cold = np.isfinite(first) & (first >= cut)
        else:
            active = np.unique(of_pair)
            n = min(len(active) - 1, max(1, round(share * len(active))))
            rng = generator(config.seed, "held out", side)
            cold[rng.permutation(active)[:n]] = True
        found.append(cold)
    return found[0], found[1]


def _held_pairs(pairs: Pairs, config: SplitConfig, cut: float | None, listed: Mask | None) -> Mask:
    """Return the pairs that warm users are judged on, which training must not see."""
    if config.by == "files":
        if listed is None:
            raise ConfigError("by='files' with scenario='warm' needs files.query")
        return listed
    if cut is not None:
        return _time(pairs) >= cut
    likes = np.flatnonzero(pairs.value > 0)
    order = likes[np.lexsort((generator(config.seed, "held out").random(len(likes)),
                              pairs.user[likes]))]  # fmt: skip
    counts = np.bincount(pairs.user[order], minlength=len(pairs.indptr) - 1)
    held_out = np.maximum(config.min_query, np.round(config.test_fraction * counts)).astype(int)
    held_out[counts - held_out < max(1, config.least_support)] = 0
    begins = np.concatenate([[0], np.cumsum(counts)])[:-1]
    rank = np.arange(len(order)) - np.repeat(begins, counts)
    held = np.zeros(len(pairs), bool)
    held[order[rank < held_out[pairs.user[order]]]] = True
    return held


def _listed(file: Path, side: str, ids: Ids) -> IntArray:
    """Return the dense indices of the ids that a file lists."""
    if file.suffix.lower() == ".txt":
        if not file.is_file():
            raise DataError(f"no such file: {file}; check the path")
        listed: list[Id] = [line.strip() for line in file.read_text("utf8").splitlines()]
        found = ids.find([line for line in listed if line])
    else:
        source = read_source(file, f"{side}s", ids=lambda names: [_id_column(side, names, file)])
        found = ids.find(source.table[_id_column(side, source.table.column_names, file)])
    if not len(found) or (found < 0).any():
        raise DataError(
            f"{int((found < 0).sum())} of {len(found)} {side}s of {file.name} are not in the data; "
            "list ids of the dataset"
        )
    return found


def _listed_queries(data: Dataset, config: SplitConfig) -> Mask | None:
    """Return the pairs that the query file lists."""
    file = config.files.query
    if config.by != "files" or file is None:
        return None
    source = read_source(
        file, "query", ids=lambda names: [_id_column(s, names, file) for s in ("user", "item")]
    )
    table = source.table
    user = data.users.find(table[_id_column("user", table.column_names, file)])
    item = data.items.find(table[_id_column("item", table.column_names, file)])
    pairs = data.pairs
    wanted = np.where((user < 0) | (item < 0), -1, user * data.n_items + item)
    known = pairs.user.astype(np.int64) * data.n_items + pairs.item
    absent = ~np.isin(wanted, known)
    if absent.any():
        raise DataError(
            f"{absent.sum()} of {len(absent)} pairs of {file.name} are not in the data (first: "
            f"row {np.flatnonzero(absent)[0] + 1}); put every row into the dataset and list here "
            "which ones are judged"
        )
    return np.isin(known, wanted)


def _id_column(side: str, names: Sequence[str], file: Path) -> str:
    return columns.require(side, list(names), file.name, also=("id",))


def _rows_of(data: Dataset, keep: Mask) -> Mask:
    """Return the interactions whose pair is kept."""
    rows, pairs = data.interactions, data.pairs
    known = pairs.user.astype(np.int64) * data.n_items + pairs.item  # sorted
    return keep[np.searchsorted(known, rows.user.astype(np.int64) * data.n_items + rows.item)]


def _first_times(
    of_pair: npt.NDArray[np.int32], time: npt.NDArray[np.float64], size: int | None = None
) -> npt.NDArray[np.float64]:
    first = np.full(size or int(of_pair.max()) + 1, np.inf)
    np.minimum.at(first, of_pair, time)
    return first


def _among(indices: npt.NDArray[np.int32], size: int) -> Mask:
    found = np.zeros(size, bool)
    found[indices] = True
    return found


def _time(pairs: Pairs) -> npt.NDArray[np.float64]:
    if pairs.time is None:
        raise ConfigError("by='time' needs a timestamp column; pass by='random'")
    return pairs.time


def _no_task(pairs: Pairs, may_support: Mask, may_query: Mask, config: SplitConfig) -> str:
    n_users = len(pairs.indptr) - 1
    support = np.bincount(pairs.user[may_support], minlength=n_users)
    query = np.bincount(pairs.user[may_query], minlength=n_users)
    return (
        f"no {config.scenario} user has {config.least_support} support events and "
        f"{config.min_query} relevant items besides (at most {support.max()} and {query.max()}); "
        f"lower max_shots (now {config.max_shots}), min_support or min_query, or hold out more"
    )
