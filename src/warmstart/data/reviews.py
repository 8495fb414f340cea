"""Reviews: who wrote what about which item, with stars and time where they are known.

A table of reviews has columns for user, item and text, and may have rating and timestamp, under the
names of `warmstart.data.columns` (so `reviewerID, asin, reviewText, overall` are understood). Rows
without text are stars alone: they are left out and counted. `&#34;` and its like become what they
stand for. Reviews are data, never instruction.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.core.errors import DataError
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import columns
from warmstart.data.cells import numbers, seconds
from warmstart.data.ids import Ids, factorise
from warmstart.data.report import OnBadRows, RowCheck, RowReport, conclude
from warmstart.data.tables import read_source

_CHINESE = {
    "user": ("用户", "用户id", "用户名", "作者", "昵称"),
    "item": ("物品", "商品", "商品id", "商品名称", "电影", "电影id", "书名", "店铺", "歌曲"),
    "rating": ("评分", "星级", "打分"),
    "timestamp": ("时间", "评论时间", "日期"),
    "text": (),
}


@dataclass(frozen=True, slots=True)
class Reviews:
    """Reviews as columns of equal length, in the order of the table.

    Attributes:
        users: distinct ids of the authors.
        items: distinct ids of the items.
        user: (reviews,) who wrote it, an index into `users`.
        item: (reviews,) about what, an index into `items`.
        texts: (reviews,) never empty.
        rating: (reviews,) stars as given, NaN where unknown; None without such a column.
        time: (reviews,) seconds since the epoch, NaN where unknown; None without such a column.
        report: what became of the rows.
    """

    users: Ids
    items: Ids
    user: IntArray
    item: IntArray
    texts: tuple[str, ...]
    rating: FloatArray | None = None
    time: npt.NDArray[np.float64] | None = None
    report: RowReport = field(default_factory=RowReport)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def counts(self) -> IntArray:
        """(items,) how many reviews each item has."""
        return np.bincount(self.item, minlength=len(self.items))

    def where(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the reviews where `mask` holds, over the same ids."""
        rows = np.flatnonzero(mask)
        return type(self)(
            self.users,
            self.items,
            self.user[rows],
            self.item[rows],
            tuple(self.texts[i] for i in rows),
            None if self.rating is None else self.rating[rows],
            None if self.time is None else self.time[rows],
            self.report,
        )


def read_reviews(
    source: Any,  # noqa: ANN401  (a path, a frame, a table, a mapping)
    *,
    on_bad_rows: OnBadRows = "raise",
    encoding: str = "utf8",
) -> Reviews:
    """Read a table of reviews.

    Args:
        source: CSV, TSV, Parquet or JSON Lines, a pandas or Polars frame, an Arrow table, columns.
        on_bad_rows: "raise" refuses rows without a user or an item, "drop" leaves them out.
        encoding: of text files.

    Raises:
        DataError: a missing file or column, bad rows under "raise", or no text at all.

    Example:
        >>> rows = {"reviewerID": ["ann", "bo"], "asin": [7, 7], "reviewText": ["Good.", None]}
        >>> reviews = read_reviews(rows)
        >>> reviews.texts, reviews.report.notes
        (('Good.',), ('1 of 2 reviews have no text and are left out',))
    """
    found = read_source(
        source,
        "reviews",
        ids=lambda names: [
            n for n in (_column(p, names) for p in ("user", "item", "text")) if n is not None
        ],
        wanted=lambda names: [n for n in (_column(p, names) for p in _CHINESE) if n is not None],
        encoding=encoding,
    )
    table = found.table
    check = RowCheck(found.name, table.num_rows, found.first_line)
    check.refuse_malformed(found.malformed)
    notes = list(found.notes)
    coded = {}
    for part in ("user", "item"):
        name = _required(part, found.all_columns, found.name)
        coded[part] = factorise(table[name], written_as_text=name in found.text_columns)
        check.refuse(
            _without_id(coded[part].codes, coded[part].values),
            name,
            table[name],
            cause="the id is missing",
            mend="give every row an id",
        )
    column = table[_required("text", found.all_columns, found.name)]
    try:
        texts = column.cast(pa.large_string())
    except pa.ArrowException:
        raise DataError(
            f"the texts of {found.name} are {column.type}; give one text for each review"
        ) from None
    report = conclude([check], notes, on_bad_rows)
    silent = _missing(texts)
    keep = ~check.bad & ~silent
    if not keep.any():
        raise DataError(
            f"none of the {table.num_rows:,} rows of {found.name} has a user, an item and a text; "
            "check the columns"
        )
    if silent.any():
        notes.append(
            f"{int(silent.sum()):,} of {table.num_rows:,} reviews have no text and are left out"
        )
    rows = pa.array(keep)
    rating = time = None
    named = _column("rating", found.all_columns)
    if named is not None:
        given = numbers(table[named].filter(rows))
        rating = np.where(np.isfinite(given), given, np.nan).astype(np.float32)
    named = _column("timestamp", found.all_columns)
    if named is not None:
        time, note = seconds(table[named].filter(rows))
        notes += [f"column {named!r}: {note}"] if note else []
    sides = [_compact(coded[part].codes[keep], coded[part].values) for part in ("user", "item")]
    return Reviews(
        users=sides[0][0],
        items=sides[1][0],
        user=sides[0][1],
        item=sides[1][1],
        texts=tuple(html.unescape(text) for text in texts.filter(rows).to_pylist()),
        rating=rating,
        time=time,
        report=RowReport(
            report.read, report.refused, report.causes, report.examples, tuple(dict.fromkeys(notes))
        ),
    )


def _column(part: str, names: Sequence[str]) -> str | None:
    return columns.match(part, names, also=_CHINESE[part])


def _required(part: str, names: Sequence[str], table: str) -> str:
    found = _column(part, names)
    if found is None:
        raise DataError(
            f"{table} has no {part} column (it has: {', '.join(names)}); rename the one that "
            f"holds it to {part!r}"
        )
    return found


def _missing(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return (rows,) where a cell holds nothing: a null, or white space, or the text "nan"."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    empty = pc.is_in(plain, value_set=pa.array(["", "nan", "null", "none"], plain.type))
    return np.asarray(pc.or_(column.is_null(), empty).to_numpy(), bool)


def _without_id(codes: IntArray, values: pa.Array) -> npt.NDArray[np.bool_]:
    """Return (rows,) which have no id, or an empty one."""
    empty = [isinstance(value, str) and not value.strip() for value in values.to_pylist()]
    return np.append(np.array(empty, bool), True)[codes]


def _compact(codes: IntArray, values: pa.Array) -> tuple[Ids, IntArray]:
    """Return the ids that occur, and (rows,) indices into them."""
    used, at = np.unique(codes, return_inverse=True)
    return Ids(values.take(pa.array(used))), at
