"""The leak linter: what a test must not have told training, found in tables of any origin.

| check              | what is wrong                                                             |
|--------------------|---------------------------------------------------------------------------|
| shared-rows        | a (user, item) that is judged is in the training rows                     |
| cold-met           | a user or an item that is said to be cold has training rows               |
| support-in-query   | what a task is adapted on is also what it is judged on                    |
| future-rows        | rows that teach are later than rows that are judged                       |
| whole-period       | a feature is a count, mean or time over training *and* test rows          |
| test-in-statistics | a table of training statistics knows users or items without training rows |
| shared-fit         | the runs of several seeds are one fit (`warmstart.data.lint_fits`)        |

Every finding names table, row, column, cause and mend. What a feature is made of is not guessed
from its name, see `warmstart.data.lint_statistics`. On time: Ji et al. 2023, arXiv:2010.11060.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import columns
from warmstart.data.dataset import Dataset
from warmstart.data.findings import LintReport
from warmstart.data.interactions import Interactions
from warmstart.data.lint_rows import SIDES, Known, Rows, Side, later, met, read, shared
from warmstart.data.lint_statistics import Statistics, of_test, whole_period
from warmstart.data.splits import Split
from warmstart.data.tables import Source
from warmstart.data.tasks import Scenario

By = Literal["time", "user-time", "item-time", "random"]

_COLD: dict[str, tuple[Side, ...]] = {
    "warm": (), "user-cold": ("user",), "item-cold": ("item",), "both-cold": SIDES,
}  # fmt: skip


def lint_tables(
    train: Any,  # noqa: ANN401  (a path, a frame, a table, columns)
    test: Any,  # noqa: ANN401
    *,
    support: Any = None,  # noqa: ANN401
    features: Sequence[Any] = (),
    statistics: Sequence[Any] = (),
    scenario: Scenario | None = None,
    by: By | None = None,
    repeats: bool = False,
    encoding: str = "utf8",
) -> LintReport:
    """Look for leaks in the tables of an experiment.

    Args:
        train: interactions that teach.
        test: interactions that are judged: the query, where there is also a support.
        support: interactions that tasks are adapted on.
        features: tables of users or of items, with columns that models are given. Further columns
            of `train` and `test` that say the same of an item, or of a user, in every row are
            looked at without being asked for.
        statistics: tables of users or of items with what was computed from the training rows.
        scenario: what is said to be cold; None where nothing is.
        by: "time" where one instant divides training from test, "user-time" or "item-time" where
            one does for each user or item, "random" where time was not meant to matter. By default
            "time" if both tables have times.
        repeats: whether a user may meet an item again, as in a log of plays or impressions; then
            rows are shared only if their times are equal, too.
        encoding: of text files.

    Raises:
        DataError: a table cannot be read, or an id is missing.
        ConfigError: the scenario or `by` is unknown, or time is to be checked and a table has none.

    Example:
        >>> train = {"user": [1, 1, 2], "item": ["a", "b", "a"]}
        >>> report = lint_tables(train, {"user": [2, 1], "item": ["b", "a"]})
        >>> [(f.check, f.row, f.cases) for f in report.findings]
        [('shared-rows', 2, 1)]
    """
    if (scenario or "warm") not in _COLD:
        raise ConfigError(f"scenario={scenario!r}; give one of {', '.join(_COLD)}")
    if by not in (None, "time", "user-time", "item-time", "random"):
        raise ConfigError(f"by={by!r}; give time, user-time, item-time or random")
    known = Known()
    taught = Rows.read(train, "train", known, encoding)
    asked = Rows.read(test, "test", known, encoding)
    shown = None if support is None else Rows.read(support, "support", known, encoding)
    checked = ["shared-rows"]
    found = shared(
        asked, taught, "shared-rows", "what is judged is in the training rows",
        "take these rows out of training", repeats=repeats,
    )  # fmt: skip
    for side in _COLD[scenario or "warm"]:
        checked.append("cold-met")
        found += met(asked, taught, side)
    if shown is not None:
        checked.append("support-in-query")
        found += shared(
            asked, shown, "support-in-query", "what is judged is in the support of the same user",
            "judge only what the task was not shown", repeats=repeats,
        )  # fmt: skip
    rule = by or ("random" if taught.time is None or asked.time is None else "time")
    if rule != "random":
        checked.append("future-rows")
        found += later(taught, asked, rule)
        if shown is not None and shown.time is not None:
            found += later(shown, asked, "item-time" if rule == "item-time" else "user-time")
    own = [(rows, side, name) for rows in (taught, asked) for side, name in rows.constants()]
    sides = [_keyed(t, f"features {i}", known, encoding) for i, t in enumerate(features, 1)]
    kept = [_keyed(t, f"statistics {i}", known, encoding) for i, t in enumerate(statistics, 1)]
    if own or sides or kept:
        checked.append("whole-period")
        good, bad = _sources(taught, asked, shown, known, {name for *_, name in own})
        for source, side, keys, names in (*sides, *kept):
            found += whole_period(source, keys, side, names, good[side], bad[side], known)
        for rows, side, name in own:
            found += whole_period(
                rows.source, rows.key(side), side, [name], good[side], bad[side], known
            )
    for source, side, keys, names in kept:
        checked.append("test-in-statistics")
        found += of_test(source, keys, side, names, taught)
    return LintReport.of(found, checked)


def lint_split(data: Dataset, split: Split) -> LintReport:
    """Look for leaks in a split of a dataset, and in the tables of its users and items.

    Example:
        >>> from warmstart.data import make_split, synthetic
        >>> data = synthetic(n_users=80)
        >>> report = lint_split(data, make_split(data))
        >>> report.findings, report.checked
        ((), ('shared-rows', 'cold-met', 'support-in-query', 'whole-period'))
    """
    tasks, pairs = split.tasks, data.pairs
    key = pairs.user.astype(np.int64) * data.n_items + pairs.item  # sorted

    def among(users: npt.NDArray[Any], items: npt.NDArray[Any]) -> pa.Table:
        at = np.searchsorted(key, users.astype(np.int64) * data.n_items + items)
        time = None if pairs.time is None else pairs.time[at]
        return _table(data, replace(data.interactions.take(pairs.row[at]), time=time))

    support, query = tasks.support, tasks.query.tocoo()
    columns_of = {"user": data.user_table, "item": data.item_table}
    ids = {"user": data.users, "item": data.items}
    features = [
        table.select(
            [c for c in table.column_names if not any(columns.match(s, [c]) for s in SIDES)]
        ).append_column(side, [ids[side].values])
        for side, table in columns_of.items()
        if table is not None
    ]
    return lint_tables(
        _table(data, split.train.interactions),
        among(tasks.users[query.row], query.col),
        support=among(tasks.users[support.rows], support.items) if len(support.items) else None,
        features=[table for table in features if table.num_columns > 1],
        scenario=tasks.scenario,
        by="time" if split.config.by == "time" else "random",
    )


def _table(data: Dataset, rows: Interactions) -> pa.Table:
    made = {
        "user": data.users.values.take(pa.array(rows.user)),
        "item": data.items.values.take(pa.array(rows.item)),
        "value": rows.value,
    }
    further = {"rating": rows.rating, "timestamp": rows.time, "weight": rows.weight}
    return pa.table(made | {name: v for name, v in further.items() if v is not None})


def _keyed(
    given: Any,  # noqa: ANN401
    role: str,
    known: Known,
    encoding: str,
) -> tuple[Source, Side, npt.NDArray[np.int64], list[str]]:
    """Read a table of users or items; return it, which of both, each row's, and its columns.

    Raises:
        DataError: it has neither a user nor an item, or both.
    """
    source = read(given, role, encoding)
    names = source.table.column_names
    there = [(side, n) for side in SIDES if (n := columns.match(side, names)) is not None]
    if not there and columns.match("item", names, also=("id",)):
        there = [("item", str(columns.match("item", names, also=("id",))))]
    if len(there) != 1:
        raise DataError(
            f"{source.name} has {'both a user and an item' if there else 'no user or item'} column "
            f"(it has: {', '.join(names)}); give one row a user, or one row an item"
        )
    side, name = there[0]
    return source, side, known.codes(side, source, name), [n for n in names if n != name]


def _sources(
    taught: Rows, asked: Rows, shown: Rows | None, known: Known, own: set[str]
) -> tuple[dict[Side, list[Statistics]], dict[Side, list[Statistics]]]:
    """Return the statistics that training may know, and those that it may not."""
    support = [] if shown is None else [shown]
    may = {"training rows": [taught]}
    must_not = {"training and test rows": [taught, *support, asked], "test rows": [asked]}
    if support:
        may |= {"training rows and supports": [taught, *support], "supports": support}
        must_not["training rows and queries"] = [taught, asked]
    found: list[dict[Side, list[Statistics]]] = [
        {
            side: [
                Statistics.gather(title, rows, side, len(known.of[side]), own)
                for title, rows in wanted.items()
            ]
            for side in SIDES
        }
        for wanted in (may, must_not)
    ]
    return found[0], found[1]
