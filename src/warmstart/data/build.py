"""Tables to a `Dataset`: check every row, factorise the ids, align the item and user tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import columns
from warmstart.data.cells import numbers, seconds
from warmstart.data.features import FeatureSpace
from warmstart.data.ids import MAX_LENGTH, Factor, Ids, common_type, factorise
from warmstart.data.interactions import Interactions
from warmstart.data.report import OnBadRows, RowCheck, conclude
from warmstart.data.schema import Column, Schema, find_title, infer_columns
from warmstart.data.tables import Source, read_source

_NO_CODES = np.zeros(0, np.int32)


def build(
    kind: Any,  # noqa: ANN401  (the Dataset class, or one derived from it)
    interactions: Any,  # noqa: ANN401
    items: Any,  # noqa: ANN401
    users: Any,  # noqa: ANN401
    *,
    schema: Schema,
    on_bad_rows: OnBadRows,
    name: str,
    encoding: str,
) -> Any:  # noqa: ANN401
    """Build a dataset; see `Dataset.from_tables`."""
    notes: list[str] = []
    rows = _Rows(interactions, schema, encoding, notes)
    item_side = _Side("item", items, schema, encoding, notes)
    user_side = _Side("user", users, schema, encoding, notes)
    report = conclude([rows.check, *item_side.checks, *user_side.checks], notes, on_bad_rows)
    keep = ~rows.check.bad
    if not keep.any():
        raise DataError(f"every row of {rows.name} is bad; {report.summary()}")
    user, user_ids = _join(rows.user, keep, user_side, notes)
    item, item_ids = _join(rows.item, keep, item_side, notes)
    found = rows.interactions(user, item, keep, notes)
    user_table, user_kinds = user_side.aligned(user_ids, schema.users, notes)
    item_table, item_kinds = item_side.aligned(item_ids, schema.items, notes)
    if schema.title is not None and schema.title not in item_kinds:
        raise ConfigError(
            f"the schema's title column {schema.title!r} is not in the items table; "
            f"it has: {', '.join(item_kinds) or 'no columns'}"
        )
    filled = Schema(
        interactions=rows.kinds,
        items=item_kinds,
        users=user_kinds,
        title=schema.title or find_title(item_kinds),
        evidence=rows.rule,
    )
    report = type(report)(
        report.read, report.refused, report.causes, report.examples, tuple(dict.fromkeys(notes))
    )
    return kind(
        name,
        user_ids,
        item_ids,
        found,
        user_table,
        item_table,
        filled,
        report,
        None if user_table is None else FeatureSpace.fit(user_table, user_kinds),
        None if item_table is None else FeatureSpace.fit(item_table, item_kinds),
    )


class _Rows:
    """The interaction table, checked; its columns are let go one by one, to save memory."""

    def __init__(self, given: Any, schema: Schema, encoding: str, notes: list[str]) -> None:  # noqa: ANN401
        def resolve(names: Sequence[str], table: str = "the interactions table") -> dict[str, str]:
            return _parts(names, schema, table)

        source = read_source(
            given,
            "interactions",
            ids=lambda names: [n for p, n in resolve(names).items() if p in ("user", "item")],
            wanted=lambda names: list(resolve(names).values()),
            encoding=encoding,
        )
        self.name, self.rule = source.name, schema.evidence
        self.parts = resolve(source.all_columns, source.name)
        by_column = {column: part for part, column in self.parts.items()}
        self.kinds = {
            n: Column.parse({"kind": by_column.get(n, "ignore")}) for n in source.all_columns
        }
        notes.extend(source.notes)
        self.check = RowCheck(source.name, source.table.num_rows, source.first_line)
        self.check.refuse_malformed(source.malformed)
        texts = source.text_columns
        self._left = {part: source.table[name] for part, name in self.parts.items()}
        del source
        self.user = self._ids("user", texts, notes)
        self.item = self._ids("item", texts, notes)
        self.rating = self._number("rating", "give a number, or leave the column out")
        self.weight = self._number("weight", "give a number of 0 or more", least=0.0)
        self.time = self._time(notes)
        self.event = self._event()
        pa.default_memory_pool().release_unused()

    def interactions(
        self,
        user: npt.NDArray[np.int32],
        item: npt.NDArray[np.int32],
        keep: npt.NDArray[np.bool_],
        notes: list[str],
    ) -> Interactions:
        """Return the good rows, exact repetitions merged."""
        everything = bool(keep.all())

        def kept(values: Any) -> Any:  # noqa: ANN401  (an array, or none)
            return values if values is None or everything else values[keep]

        rating, weight = kept(self.rating), kept(self.weight)
        event = None if self.event is None else self.event.filter(pa.array(keep))
        self.rule = self.rule.fitted(rating)
        if event is not None and not (rating is not None and self.rule.reads_ratings):
            notes.extend(
                f"event {n!r} is not in the table of events: taken for a like; say what it is "
                "worth in the schema"
                for n in self.rule.unknown_events(event)
            )
        rows = Interactions(
            user,
            item,
            self.rule.values(rating, event, n_rows=len(user)),
            None if rating is None else rating.astype(np.float32),
            kept(self.time),
            None if weight is None else weight.astype(np.float32),
            event,
        )
        again = _repetitions(rows)
        if len(again):
            first = int(np.flatnonzero(keep)[again.min()]) + 1
            notes.append(
                f"{len(again):,} exact repetitions of a row of {self.name} merged "
                f"(first: row {first})"
            )
            mask = np.ones(len(rows), bool)
            mask[again] = False
            rows = rows.where(mask)
        return rows

    def _ids(self, part: str, texts: frozenset[str], notes: list[str]) -> Factor:
        name = self.parts[part]
        return _check_id_column(self.check, self._left.pop(part), name, name in texts, notes)

    def _number(
        self, part: str, mend: str, least: float | None = None
    ) -> npt.NDArray[np.float64] | None:
        if part not in self.parts:
            return None
        name, column = self.parts[part], self._left.pop(part)
        values = numbers(column)
        bad = ~np.isfinite(values)
        gone = np.asarray(column.is_null().to_numpy())
        self.check.refuse(bad & gone, name, column, cause=f"the {part} is missing", mend=mend)
        self.check.refuse(
            bad & ~gone, name, column, cause=f"the {part} is not a finite number", mend=mend
        )
        if least is not None:
            low = values < least
            self.check.refuse(low, name, column, cause=f"the {part} is negative", mend=mend)
        return values

    def _time(self, notes: list[str]) -> npt.NDArray[np.float64] | None:
        if "timestamp" not in self.parts:
            return None
        name, column = self.parts["timestamp"], self._left.pop("timestamp")
        values, note = seconds(column)
        if note:
            notes.append(f"column {name!r}: {note}")
        mend = "give seconds since 1970 or ISO 8601 (2024-05-31T18:00:00Z)"
        self.check.refuse(
            ~np.isfinite(values), name, column, cause="the timestamp cannot be read", mend=mend
        )
        self.check.refuse(values < 0, name, column, cause="the timestamp is before 1970", mend=mend)
        return values

    def _event(self) -> pa.DictionaryArray | None:
        if "event" not in self.parts:
            return None
        event = self._left.pop("event")
        if not pa.types.is_dictionary(event.type):
            event = pc.dictionary_encode(event.cast(pa.large_string()))
        chunks = event.unify_dictionaries().chunks
        return pa.concat_arrays(chunks) if chunks else pa.array([], event.type)


class _Side:
    """The items or the users table, checked; or none."""

    def __init__(
        self,
        part: str,
        source: Any,  # noqa: ANN401
        schema: Schema,
        encoding: str,
        notes: list[str],
    ) -> None:
        self.part, self.checks, self.source = part, [], None
        self.factor = Factor(_NO_CODES, pa.array([], pa.large_string()))
        if source is None:
            return
        given = schema.items if part == "item" else schema.users

        def id_column(names: Sequence[str]) -> str:
            for name, column in given.items():
                if column.kind in ("id", part) and name in names:
                    return name
            return columns.require(part, names, f"the {part}s table", also=("id",))

        self.source = read_source(
            source, f"{part}s", ids=lambda n: [id_column(n)], encoding=encoding
        )
        notes.extend(self.source.notes)
        table = self.source.table
        missing = [name for name in given if name not in table.column_names]
        if missing:
            raise ConfigError(
                f"the schema names the column {missing[0]!r}, which {self.source.name} does not "
                f"have; it has: {', '.join(table.column_names)}"
            )
        self.id = id_column(table.column_names)
        check = RowCheck(self.source.name, table.num_rows, self.source.first_line)
        check.refuse_malformed(self.source.malformed)
        self.factor = check_ids(check, self.source, self.id, notes)
        again = np.ones(table.num_rows, bool)
        again[np.unique(self.factor.codes, return_index=True)[1]] = False
        check.refuse(
            again & (self.factor.codes >= 0) & ~check.bad,
            self.id,
            table[self.id],
            cause=f"the {part} occurs twice",
            mend=f"keep one row per {part}",
        )
        self.checks = [check]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Numbers of the good rows; one per item or user."""
        if not self.checks:
            return np.zeros(0, np.int64)
        return np.flatnonzero(~self.checks[0].bad)

    def aligned(
        self, ids: Ids, given: dict[str, Column], notes: list[str]
    ) -> tuple[pa.Table | None, dict[str, Column]]:
        """Return the table with row i for id i (nulls where it has none), and its kinds."""
        if self.source is None:
            if given:
                raise ConfigError(
                    f"the schema has columns of a {self.part}s table, but no such table is given"
                )
            return None, {}
        known, rows = self.factor.values.take(pa.array(self.factor.codes[self.rows])), self.rows
        if known.type != ids.values.type:
            known, _, _ = common_type(known, ids.values)
            known = known.cast(ids.values.type)
        place = pc.index_in(ids.values, value_set=known)
        absent = place.null_count
        if absent:
            notes.append(
                f"{absent:,} of {len(ids):,} {self.part}s are not in {self.source.name}: they "
                "stay, with nothing known of them"
            )
        table = self.source.table
        at = pa.array(rows).take(place)
        parts = {n: ids.values if n == self.id else table[n].take(at) for n in table.column_names}
        kinds = infer_columns(table, given, self.id)
        return pa.table(parts), kinds


def check_ids(check: RowCheck, source: Source, name: str, notes: list[str]) -> Factor:
    """Factorise an id column and refuse the rows whose id is missing, empty or too long."""
    texts = name in source.text_columns
    return _check_id_column(check, source.table[name], name, texts, notes)


def _check_id_column(
    check: RowCheck, column: pa.ChunkedArray, name: str, written_as_text: bool, notes: list[str]
) -> Factor:
    factor = factorise(column, written_as_text=written_as_text)
    if factor.note:
        notes.append(f"column {name!r}: {factor.note}")
    mend = "give every row an id"
    check.refuse(factor.codes < 0, name, column, cause="the id is missing", mend=mend)
    if pa.types.is_large_string(factor.values.type):
        empty = pc.equal(pc.utf8_trim_whitespace(factor.values), "")
        long = pc.greater(pc.utf8_length(factor.values), MAX_LENGTH)
        for flags, cause, how in (
            (empty, "the id is empty", mend),
            (long, f"the id is longer than {MAX_LENGTH} characters", "shorten or hash it"),
        ):
            if pc.any(flags).as_py():
                bad = np.append(flags.to_numpy(zero_copy_only=False), False)[factor.codes]
                check.refuse(bad, name, column, cause=cause, mend=how)
    return factor


def _parts(names: Sequence[str], schema: Schema, table: str) -> dict[str, str]:
    """Return part → column of an interaction table: by the schema, then by the name."""
    missing = [n for n in schema.interactions if n not in names]
    if missing:
        raise ConfigError(
            f"the schema names the column {missing[0]!r}, which {table} does not have; "
            f"it has: {', '.join(names)}"
        )
    parts: dict[str, str] = {}
    for name, column in schema.interactions.items():
        if column.kind in columns.PARTS:
            if column.kind in parts:
                raise ConfigError(
                    f"the schema gives {column.kind} two columns: {parts[column.kind]!r} and "
                    f"{name!r}; keep one"
                )
            parts[column.kind] = name
        elif column.kind != "ignore":
            raise ConfigError(
                f"interactions cannot have a column of kind {column.kind!r} ({name!r}); the "
                f"kinds are: {', '.join((*columns.PARTS, 'ignore'))}"
            )
    free = [n for n in names if n not in schema.interactions]
    for part in columns.PARTS:
        if part not in parts:
            found = columns.match(part, free)
            if found is None and part in ("user", "item"):
                columns.require(part, free, table)
            if found is not None:
                parts[part] = found
    return parts


def _join(
    factor: Factor, keep: npt.NDArray[np.bool_], side: _Side, notes: list[str]
) -> tuple[npt.NDArray[np.int32], Ids]:
    """Return the dense index of every kept row, and the ids: those with rows, then the rest."""
    codes = factor.codes[keep]
    used = np.flatnonzero(np.bincount(codes, minlength=len(factor.values)))
    dense = np.full(len(factor.values), -1, np.int32)
    dense[used] = np.arange(len(used), dtype=np.int32)
    ids = factor.values.take(pa.array(used))
    listed = side.factor.values.take(pa.array(side.factor.codes[side.rows]))
    if len(listed):
        ids, listed, note = common_type(ids, listed)
        if note:
            notes.append(f"{side.part} {note}")
        silent = listed.filter(pc.invert(pc.is_in(listed, value_set=ids)))
        ids = pa.concat_arrays([ids, silent])
    return dense[codes], Ids(ids)


def _repetitions(rows: Interactions) -> npt.NDArray[np.int64]:
    """Return the rows that repeat an earlier row in every column."""
    n_items = int(rows.item.max(initial=0)) + 1
    key = rows.user.astype(np.int64) * n_items + rows.item
    ordered = np.sort(key)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    if not len(repeated):
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(repeated, key), len(repeated) - 1)
    at = np.flatnonzero(repeated[place] == key)
    few = rows.take(at)
    parts = [key[at], *(p for p in (few.time, few.rating, few.weight) if p is not None)]
    if few.event is not None:
        parts.append(pc.fill_null(few.event.indices, -1).to_numpy(zero_copy_only=False))
    order = np.lexsort((at, *parts[::-1]))
    same = np.ones(len(at) - 1, bool)
    for part in parts:
        same &= part[order][1:] == part[order][:-1]
    return at[order][1:][same]
