"""A log of advertisements: who was shown what, on which occasion, and what came of it.

One row is one impression. A log is read from any table, its labels are checked row by row, and
its columns are coded by vocabularies that a later table is coded by as well (`AdLog.encode`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.ads.coding import ROLES, Coding, Role, fit_space
from warmstart.core.errors import DataError
from warmstart.core.types import IntArray
from warmstart.data.cells import numbers, seconds
from warmstart.data.ids import Id, Ids, factorise
from warmstart.data.tables import Source, read_source

Numbers = npt.NDArray[np.float64]

MAX_VALUES = 10_000
"""Most values of one feature column that have a code of their own, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class AdLog:
    """Impressions.

    Attributes:
        user: (n,) codes into `coding.users`; -1 a stranger, or nobody knows.
        ad: (n,) codes into `coding.ads`; -1 an ad that training has not met.
        click: (n,) 0 or 1; NaN where it is not told.
        conversion: (n,) 0 or 1, never 1 without a click, NaN where it is not told; or None.
        timestamp: (n,) seconds since 1970, or None.
        delay_seconds: (n,) from click to conversion, NaN where none has come; or None.
        propensity: (n,) probability with which this ad was shown there, or None.
        fields: field → (n,) codes; -1 for a value that training has not met, or none at all.
        coding: the vocabularies.

    Example:
        >>> log = AdLog.from_table({"user": ["a", "a", "b"], "ad": [7, 8, 7],
        ...                         "click": [1, 0, 0], "位置": ["上", "下", "上"]},
        ...                        context_columns=["位置"])
        >>> log.ad.tolist(), log.fields["位置"].tolist()
        ([0, 1, 0], [0, 1, 0])
        >>> log.encode({"user": ["c"], "ad": [8], "位置": ["左"]}).ad.tolist()
        [1]
    """

    user: IntArray
    ad: IntArray
    click: Numbers
    conversion: Numbers | None
    timestamp: Numbers | None
    delay_seconds: Numbers | None
    propensity: Numbers | None
    fields: Mapping[str, IntArray]
    coding: Coding

    def __len__(self) -> int:
        return len(self.ad)

    @classmethod
    def from_table(
        cls,
        table: Any,  # noqa: ANN401  (a path, a frame, a table, a mapping)
        *,
        user: str | None = "user",
        ad: str = "ad",
        click: str | None = "click",
        conversion: str | None = None,
        timestamp: str | None = None,
        conversion_timestamp: str | None = None,
        propensity: str | None = None,
        user_columns: Sequence[str] = (),
        ad_columns: Sequence[str] = (),
        context_columns: Sequence[str] = (),
    ) -> Self:
        """Read a training log, and learn its vocabularies.

        Args:
            table: whatever `warmstart.data` reads: CSV, Parquet, JSON Lines, frames, mappings.
            user: its column; None where the log knows no users.
            ad: its column.
            click: its column; None where every row is a click.
            conversion: its column, if there is one; an empty cell after a click is a conversion
                that may come or not, and nothing is learned from it.
            timestamp: of the impression, if there is one.
            conversion_timestamp: of the conversion, empty where none came.
            propensity: its column, if the log was drawn by a known policy.
            user_columns: features of a user.
            ad_columns: features of an ad.
            context_columns: features of the occasion.

        Raises:
            DataError: a column is not there or named twice, no rows, a label other than 0 or 1, a
                conversion without a click or before it, all labels alike, a propensity outside
                (0, 1], or an ad that is missing.
        """
        names = {
            "user": user, "ad": ad, "click": click, "conversion": conversion,
            "timestamp": timestamp, "conversion_timestamp": conversion_timestamp,
            "propensity": propensity,
        }  # fmt: skip
        features = {"user": user_columns, "ad": ad_columns, "context": context_columns}
        source = _read(table, [n for n in (user, ad) if n])
        _check_named(source, names, features)
        rows = source.table
        spaces = {r: fit_space(rows, features[r], max_values=MAX_VALUES) for r in ROLES}
        none = Ids(pa.array([], pa.large_string()))
        met = none if user is None else _distinct(source, user)
        coding = Coding(
            met, _distinct(source, ad), spaces["user"], spaces["ad"], spaces["context"],
            MappingProxyType(names),
        )  # fmt: skip
        log = cls._coded(source, coding, labelled=True)
        _check_two_classes(log, source.name)
        return log

    def encode(self, table: Any) -> Self:  # noqa: ANN401
        """Return another table coded by this log's vocabularies.

        Labels, times and propensities are read where the table has their columns. Columns that
        this log does not know are ignored.

        Raises:
            DataError: as in `from_table`, or the table lacks a feature that this log has.
        """
        return self.read(table, self.coding)

    @classmethod
    def read(cls, table: Any, coding: Coding, *, meet: bool = False) -> Self:  # noqa: ANN401
        """Return a table coded by given vocabularies; see `encode`.

        Args:
            table: as in `from_table`.
            coding: the vocabularies.
            meet: whether users and ads that are new get codes, behind those that are known.
        """
        names = coding.columns
        source = _read(table, [n for n in (names["user"], names["ad"]) if n])
        if meet:
            coding = coding.with_ads(_strangers(source, names["ad"], coding.ads))
            coding = coding.with_users(_strangers(source, names["user"], coding.users))
        return cls._coded(source, coding, labelled=False)

    @classmethod
    def of_event(cls, event: Mapping[str, Any], coding: Coding) -> Self | None:
        """Return one event, coded without making a table, which takes fifty times as long.

        None where only a table will do: the user or the ad is new, a column is missing, a label is
        anything but a plain 0, 1 or None, the time is no number, or the event tells its propensity
        or when it converted; `read` then takes it, or says what is wrong.
        """
        names = coding.columns
        rare = (names["propensity"], names["conversion_timestamp"])
        when = event.get(names["timestamp"] or "", 0)
        timed = isinstance(when, int | float) and abs(when) < float("inf")
        if not timed or any(name and event.get(name) is not None for name in rare):
            return None
        labels = {part: names[part] for part in ("click", "conversion")}
        wanted = [names["user"], names["ad"], *(c for r in ROLES for c in coding.space(r).columns)]
        if any(name is not None and name not in event for name in wanted):
            return None
        user = -1 if names["user"] is None else _place(coding.users, event[names["user"]])
        ad = _place(coding.ads, event[names["ad"] or "ad"])
        told = {part: event.get(name) for part, name in labels.items() if name is not None}
        new = ad < 0 or (user < 0 and names["user"] is not None)
        if new or any(value not in (0, 1, None) for value in told.values()):
            return None
        click = 1.0 if names["click"] is None else _plain(told["click"])
        conversion = None
        if labels["conversion"] in event:
            conversion = 0.0 if not click else _plain(told["conversion"])
            if not click and told["conversion"]:
                return None
        fields: dict[str, IntArray] = {}
        for role in ROLES:
            known = coding.space(role).columns
            fields |= coding.encode_one(role, {name: event[name] for name in known})
        return cls(
            np.array([user]), np.array([ad]), np.array([click]),
            None if conversion is None else np.array([conversion]),
            None, None, None, MappingProxyType(fields), coding,
        )  # fmt: skip

    @classmethod
    def read_with(
        cls,
        table: Any,  # noqa: ANN401
        coding: Coding,
        keep: Sequence[str],
    ) -> tuple[Self, dict[str, pa.ChunkedArray]]:
        """Return a table coded by given vocabularies, and some of its columns as they are.

        Raises:
            DataError: as in `encode`, or a column is not there.
        """
        source = _read(table, [n for n in (coding.columns["user"], coding.columns["ad"]) if n])
        log = cls._coded(source, coding, labelled=False)
        for name in keep:
            if name not in source.table.column_names:
                raise _no_column(source, "score", name)
        return log, {name: source.table[name] for name in keep}

    @classmethod
    def of_ads(cls, table: Any, coding: Coding) -> Self:  # noqa: ANN401
        """Return one row for each ad of a table, which must be new; nobody has seen them.

        Raises:
            DataError: a column of the ads is not there, or an ad is known already or given twice.
        """
        name = coding.columns["ad"] or "ad"
        source = _read(table, [name])
        if name not in source.table.column_names:
            raise _no_column(source, "ad", name)
        column = source.table[name]
        _refuse(source, "ad", column, column.is_null().to_numpy(), "an id")
        factor = factorise(column, written_as_text=name in source.text_columns)
        n = source.table.num_rows
        if len(factor.values) < n:
            raise DataError(f"{source.name} gives an ad twice; give each of the {n} rows once")
        known, coding = len(coding.ads), coding.with_ads(list(Ids(factor.values)))
        unknown = {name: np.full(n, -1) for name in coding.sizes}
        return cls(
            np.full(n, -1), known + np.asarray(factor.codes, np.int64), np.full(n, np.nan),
            None, None, None, None,
            MappingProxyType(unknown | coding.encode_columns("ad", source.table)), coding,
        )  # fmt: skip

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """Return some rows, by their indices or by a mask, in that order."""
        changes: dict[str, Any] = {"fields": {n: codes[rows] for n, codes in self.fields.items()}}
        for field in fields(self):
            values = getattr(self, field.name)
            if isinstance(values, np.ndarray):
                changes[field.name] = values[rows]
        return replace(self, **changes)

    def fields_of(self, role: Role) -> dict[str, IntArray]:
        """Return the fields of a user, an ad or the occasion."""
        return {name: self.fields[name] for name in self.coding.fields_of(role)}

    @classmethod
    def _coded(cls, source: Source, coding: Coding, *, labelled: bool) -> Self:
        """Code a table. `labelled`: its labels must be there."""
        table, names, n = source.table, coding.columns, source.table.num_rows

        def column(part: str, *, must: bool) -> pa.ChunkedArray | None:
            name = names[part]
            if name is None or name in table.column_names:
                return None if name is None else table[name]
            if must:
                raise _no_column(source, part, name)
            return None

        shown, who = column("ad", must=True), column("user", must=True)
        assert shown is not None
        _refuse(source, "ad", shown, shown.is_null().to_numpy(), "an id")
        clicked, bought = column("click", must=labelled), column("conversion", must=labelled)
        when = column("timestamp", must=labelled)
        later = column("conversion_timestamp", must=labelled)
        by_lot = column("propensity", must=labelled)
        if names["click"] is None:
            click = np.ones(n)
        else:
            click = np.full(n, np.nan)
            if clicked is not None:
                click = _labels(source, "click", clicked, told=labelled)
        conversion = None if bought is None else _conversions(source, bought, click)
        timestamp = None if when is None else _times(source, "timestamp", when)
        delay = None
        if later is not None and timestamp is not None and conversion is not None:
            delay = _delays(source, later, timestamp, conversion)
        coded: dict[str, IntArray] = {}
        for role in ROLES:
            coded |= coding.encode_columns(role, table)
        return cls(
            np.full(n, -1) if who is None else coding.users.find(who),
            coding.ads.find(shown),
            click,
            conversion,
            timestamp,
            delay,
            None if by_lot is None else _propensities(source, by_lot),
            MappingProxyType(coded),
            coding,
        )


def _place(ids: Ids, one: Any) -> int:  # noqa: ANN401
    return ids.place(one) if isinstance(one, str | int) else -1


def _plain(label: int | None) -> float:
    return np.nan if label is None else float(label)


def _read(table: Any, ids: Sequence[str]) -> Source:  # noqa: ANN401
    source = read_source(table, "ad log", ids=lambda names: ids)
    if source.malformed:
        row, text = source.malformed[0]
        raise DataError(
            f"{len(source.malformed)} lines of {source.name} are no rows (first: "
            f"{'unknown place' if row is None else f'row {row}'}, {text}); mend or drop them"
        )
    return source


def _check_named(
    source: Source, names: Mapping[str, str | None], features: Mapping[str, Sequence[str]]
) -> None:
    given = [(part, name) for part, name in names.items() if name is not None]
    given += [(f"{role} feature", name) for role, listed in features.items() for name in listed]
    seen: dict[str, str] = {}
    for part, name in given:
        if name not in source.table.column_names:
            raise _no_column(source, part, name)
        if name in seen:
            raise DataError(f"column {name!r} is named as {seen[name]} and as {part}; name it once")
        seen[name] = part


def _no_column(source: Source, part: str, name: str) -> DataError:
    has = ", ".join(source.table.column_names)
    return DataError(
        f"{source.name} has no column {name!r} for the {part} (it has: {has}); "
        "rename it, or name the column that it is"
    )


def _distinct(source: Source, name: str) -> Ids:
    text = name in source.text_columns
    return Ids(factorise(source.table[name], written_as_text=text).values)


def _strangers(source: Source, name: str | None, known: Ids) -> list[Id]:
    if name is None or name not in source.table.column_names:
        return []
    met = _distinct(source, name)
    return [met[int(at)] for at in np.flatnonzero(known.find(met.values) < 0)]


def _labels(source: Source, part: str, column: pa.ChunkedArray, *, told: bool) -> Numbers:
    """Return labels; those that are not `told` may be empty."""
    values = numbers(column)
    bad = (values != 0) & (values != 1)
    if not told:
        bad &= ~column.is_null().to_numpy()
    _refuse(source, part, column, bad, "0 or 1")
    return values


def _conversions(source: Source, column: pa.ChunkedArray, click: Numbers) -> Numbers:
    values = _labels(source, "conversion", column, told=False)
    values = np.where(np.isnan(values) & (click == 0), 0.0, values)
    alone = (values == 1) & (click == 0)
    if alone.any():
        raise DataError(
            f"{_where(source, alone)} has a conversion without a click "
            f"({int(alone.sum())} of {len(alone)} rows do); a conversion counts after a click "
            "only: set its click to 1, or drop the row"
        )
    return values


def _times(source: Source, part: str, column: pa.ChunkedArray) -> Numbers:
    values, _ = seconds(column)
    _refuse(source, part, column, ~np.isfinite(values), "a time")
    return values


def _delays(
    source: Source, column: pa.ChunkedArray, timestamp: Numbers, conversion: Numbers
) -> Numbers:
    later, _ = seconds(column)
    _refuse(source, "conversion_timestamp", column, (conversion == 1) & np.isnan(later), "a time")
    delay: Numbers = np.where(conversion == 1, later - timestamp, np.nan)
    _refuse(source, "conversion_timestamp", column, delay < 0, "at or after its click")
    return delay


def _propensities(source: Source, column: pa.ChunkedArray) -> Numbers:
    values = numbers(column)
    wanted = "a probability above 0 and at most 1"
    _refuse(source, "propensity", column, ~((values > 0) & (values <= 1)), wanted)
    return values


def _check_two_classes(log: AdLog, name: str) -> None:
    n = len(log)
    clicks = int(log.click.sum())
    if log.coding.columns["click"] is not None and clicks in (0, n):
        raise DataError(
            f"all {n} rows of {name} have click {int(clicks > 0)}; a click model needs both "
            "clicks and impressions without one"
            + ("; where every row is a click, name no click column" if clicks else "")
        )
    if log.conversion is None:
        return
    after = log.conversion[(log.click == 1) & ~np.isnan(log.conversion)]
    if int(after.sum()) in (0, len(after)):
        raise DataError(
            f"all {len(after)} clicks of {name} of which it is told have conversion "
            f"{int(after.any())}; a conversion model needs both"
        )


def _refuse(
    source: Source, part: str, column: pa.ChunkedArray, bad: npt.NDArray[np.bool_], wanted: str
) -> None:
    if bad.any():
        cell = column[int(np.argmax(bad))].as_py()
        raise DataError(
            f"{part} of {_where(source, bad)} is {cell!r}, not {wanted} "
            f"({int(bad.sum())} of {len(bad)} rows are bad); mend or drop them"
        )


def _where(source: Source, bad: npt.NDArray[np.bool_]) -> str:
    """Return the first bad row as a person finds it."""
    row = int(np.argmax(bad))
    if source.first_line is None:
        return f"row {row} of {source.name}"
    return f"line {row + source.first_line} of {source.name}"
