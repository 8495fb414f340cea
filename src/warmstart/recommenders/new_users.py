"""Tables of new users to histories under the catalogue's indices.

The tables are read by the rules that the training data were read by; ratings and events become
evidence on the *training* scale, and items outside the catalogue are left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.data import Column, Dataset, FeatureSpace, Ids, Schema, columns
from warmstart.data.build import check_ids
from warmstart.data.report import OnBadRows, RowCheck, RowReport, conclude
from warmstart.data.tables import read_source, table_suffix
from warmstart.recommenders.catalogue import Catalogue

_PEEK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class NewUsers:
    """Users whom the model has never met.

    Attributes:
        users: external ids: those with events in the order of their first one, then the others.
        histories: their events, in order of time where every event has one, else as in the file.
        n_unknown_events: events whose item is not in the catalogue.
        n_unknown_users: users who had events, none of them of a known item.
        report: what became of the rows.
    """

    users: Ids
    histories: Histories
    n_unknown_events: int = 0
    n_unknown_users: int = 0
    report: RowReport = field(default_factory=RowReport)


def read_new_users(
    histories: Any,  # noqa: ANN401  (a frame, a table, a mapping of columns, a path, or None)
    users: Any,  # noqa: ANN401
    catalogue: Catalogue,
    *,
    on_bad_rows: OnBadRows = "raise",
) -> NewUsers:
    """Read new users' events, features, or both.

    Args:
        histories: table with `user` and `item` and optionally rating, timestamp and event; None,
            or a table without rows, if nobody has done anything yet.
        users: table with `user` and free columns; None if nothing is known.
        catalogue: of the model.
        on_bad_rows: "raise" refuses the whole, "drop" leaves bad rows out and reports them.

    Raises:
        DataError: neither table has a row, a column is missing, or rows are bad under "raise".
    """
    if histories is None and users is None:
        raise DataError("nobody to recommend to; give histories, users or both")
    if histories is None or (users is not None and _has_no_rows(histories)):
        return _users_alone(users, catalogue, on_bad_rows)
    schema = training_schema(catalogue.schema, histories, users)
    data = Dataset.from_tables(histories, users=users, schema=schema, on_bad_rows=on_bad_rows)
    rows, rule = data.interactions, catalogue.schema.evidence
    item = catalogue.items.find(data.items.values)[rows.item]
    known = item >= 0
    value = rule.values(rows.rating, rows.event, n_rows=len(rows))
    translated = replace(rows, item=np.where(known, item, 0).astype(np.int32), value=value)
    met = Dataset(
        "new users", data.users, catalogue.items, translated.where(known), schema=data.schema
    )
    timed = rows.time is not None
    had = np.bincount(rows.user, minlength=data.n_users) > 0
    has = np.bincount(rows.user[known], minlength=data.n_users) > 0
    return NewUsers(
        data.users,
        replace(
            met.histories(order="time" if timed else "file"),
            features=_features(catalogue.user_features, data.user_table, data.n_users),
        ),
        n_unknown_events=int((~known).sum()),
        n_unknown_users=int((had & ~has).sum()),
        report=data.report,
    )


def _users_alone(users: Any, catalogue: Catalogue, on_bad_rows: OnBadRows) -> NewUsers:  # noqa: ANN401
    """Read users of whom no event is known."""
    ids, table, report = read_ids(users, "user", catalogue.schema.users, on_bad_rows=on_bad_rows)
    features = _features(catalogue.user_features, table, len(ids))
    return NewUsers(ids, Histories.empty(len(ids), features), report=report)


def read_ids(
    source: Any,  # noqa: ANN401
    part: str,
    given: Mapping[str, Column],
    *,
    on_bad_rows: OnBadRows = "raise",
) -> tuple[Ids, pa.Table, RowReport]:
    """Return the ids of a users or items table, its good rows in the same order, and the report.

    Args:
        source: any supported table.
        part: "user" or "item".
        given: kinds of the columns; one of kind "id" names the id column.
        on_bad_rows: "raise" refuses the whole, "drop" leaves bad rows out.

    Raises:
        DataError: no id column, no rows, or an id that is missing or occurs twice under "raise".
    """

    def id_column(names: Any) -> str:  # noqa: ANN401
        for name, column in given.items():
            if column.kind == "id" and name in names:
                return name
        return columns.require(part, names, f"the {part}s table", also=("id",))

    found = read_source(source, f"{part}s", ids=lambda names: [id_column(names)])
    name = id_column(found.table.column_names)
    check = RowCheck(found.name, found.table.num_rows, found.first_line)
    check.refuse_malformed(found.malformed)
    notes = list(found.notes)
    factor = check_ids(check, found, name, notes)
    again = np.ones(found.table.num_rows, bool)
    again[np.unique(factor.codes, return_index=True)[1]] = False
    check.refuse(
        again & (factor.codes >= 0),
        name,
        found.table[name],
        cause=f"the {part} occurs twice",
        mend=f"keep one row per {part}",
    )
    report = conclude([check], notes, on_bad_rows)
    rows = np.flatnonzero(~check.bad)
    ids = Ids(factor.values.take(pa.array(factor.codes[rows])))
    return ids, found.table.take(pa.array(rows)), report


def _features(space: FeatureSpace | None, table: pa.Table | None, n_users: int) -> Any:  # noqa: ANN401
    if space is None:
        return None
    return space.transform(pa.table({"": pa.nulls(n_users)}) if table is None else table)


def training_schema(trained: Schema, histories: Any, users: Any) -> Schema:  # noqa: ANN401
    """Return what of a training schema names columns that these tables have, too, and its rule."""
    rows = read_source(histories, "histories", wanted=lambda names: list(names)[:1])
    events = {n: c for n, c in trained.interactions.items() if n in rows.all_columns}
    known: dict[str, Column] = {}
    if users is not None:
        names = read_source(users, "users").all_columns
        known = {n: c for n, c in trained.users.items() if n in names and c.kind == "id"}
    return Schema(interactions=events, users=known, evidence=trained.evidence)


def _has_no_rows(source: Any) -> bool:  # noqa: ANN401
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            return False  # the reader says what is wrong
        if table_suffix(path) == ".parquet":
            try:
                return bool(pq.read_metadata(path).num_rows == 0)
            except (pa.ArrowException, OSError):
                return False
        with path.open("rb") as file:
            lines = [line for line in file.read(_PEEK_BYTES).splitlines() if line.strip()]
        return len(lines) <= (0 if table_suffix(path) in (".jsonl", ".ndjson") else 1)
    if isinstance(source, Mapping):
        return all(len(values) == 0 for values in source.values())
    return hasattr(source, "__len__") and len(source) == 0
