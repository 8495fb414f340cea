"""The catalogue that a model serves: item ids, what is known of them, and how to read events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import IntArray
from warmstart.data import Dataset, FeatureSpace, Ids, Schema
from warmstart.data.content import EncodedColumn
from warmstart.recommenders.filters import Filter, Mask, allowed_items
from warmstart.recommenders.titles import Titles


@dataclass(frozen=True)
class Catalogue:
    """The items, in the order of their dense indices.

    Attributes:
        items: external ids.
        table: row i is item i, or None where nothing is known of items.
        likes: (items,) how many training users like each item.
        n_users: how many training users there were.
        schema: kinds of the columns, the title column, how ratings become evidence.
        user_features: encoding of what is known of users, or None.
        item_features: encoding of what is known of items, or None.
        item_encoders: which encoders read which columns of the items.
        n_new: how many items, at the end, were added after training.
        removed: (items,) which items never leave again, though histories may name them; None
            where all are served.
    """

    items: Ids
    table: pa.Table | None
    likes: npt.NDArray[np.int64]
    n_users: int
    schema: Schema
    user_features: FeatureSpace | None = None
    item_features: FeatureSpace | None = None
    item_encoders: tuple[EncodedColumn, ...] = ()
    n_new: int = 0
    removed: Mask | None = None

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Return the catalogue of a dataset."""
        positives = data.positives()
        return cls(
            items=data.items,
            table=data.item_table,
            likes=np.bincount(positives.indices, minlength=data.n_items).astype(np.int64),
            n_users=data.n_users,
            schema=data.schema,
            user_features=data.user_features,
            item_features=data.item_features,
            item_encoders=data.item_encoders,
        )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def titles(self) -> Titles:
        """Finds items by id or title."""
        return Titles(self.items, self._listed_titles())

    @property
    def user_columns(self) -> list[str]:
        """The user columns that the model reads."""
        return [] if self.user_features is None else self.user_features.columns

    def known_of(self, user: Mapping[str, Any] | None) -> sp.csr_array | None:
        """Return the (1, features) encoding of what is known of a user; None without columns.

        Raises:
            DataError: a column that the model was not trained with.
        """
        space = self.user_features
        if not user:
            return None if space is None else space.one({})
        if space is None:
            raise DataError(
                f"the model was trained without user columns, so it cannot use "
                f"{next(iter(user))!r}; train it with a users table"
            )
        return space.one(user)

    def where(self, condition: Filter) -> Mask:
        """Return (items,) which items fulfil a condition on the item columns; no removed one does.

        Raises:
            ConfigError: the condition is malformed or names an unknown column.
        """
        separators = {
            name: column.separator
            for name, column in self.schema.items.items()
            if column.separator is not None
        }
        # without an items table a condition still has the ids to ask about
        table = self.table if self.table is not None else pa.table({"item": self.items.values})
        found = allowed_items(table, condition, separators=separators)
        return found if self.removed is None else found & ~self.removed

    def allowed(self, condition: Filter | None, exclude: Iterable[str | int]) -> Mask | None:
        """Return (items,) which items fulfil a condition and are not excluded; None for all.

        Args:
            condition: as in `where`, or None.
            exclude: ids or titles.

        Raises:
            ConfigError: the condition is malformed or names an unknown column.
            UnknownItemError: there is no such item.
            DataError: what is excluded is one item instead of a list.
        """
        if isinstance(exclude, str | int):
            raise DataError(f"exclude is a list of items, got {exclude!r}; write [{exclude!r}]")
        gone = [self.titles.find(item) for item in exclude]
        if condition is None and not gone:
            return None
        allowed = np.ones(len(self), bool) if condition is None else self.where(condition).copy()
        allowed[gone] = False
        return allowed

    def page(
        self, offset: int, limit: int, *, by: str = "catalogue"
    ) -> tuple[list[dict[str, Any]], int]:
        """Return some of the items that can be recommended, and how many there are.

        Args:
            offset: of the first.
            limit: how many.
            by: "catalogue" in its order, "popularity" the most liked first, "newest" the items
                that came last first.

        Returns:
            for each its `item`, `title`, `likes` and the columns that are known of it; the number
            of all.
        """
        served = np.arange(len(self))
        if self.removed is not None:
            served = np.flatnonzero(~self.removed)
        if by == "popularity":
            served = served[np.argsort(-self.likes[served], kind="stable")]
        elif by == "newest":
            served = served[::-1]
        at = served[offset : offset + limit]
        rows = [{} for _ in at] if self.table is None else self.table.take(at).to_pylist()
        found = [
            {name: value for name, value in row.items() if value is not None}
            | {
                "item": self.items[int(i)],
                "title": self.titles.title(int(i)),
                "likes": int(self.likes[i]),
            }
            for i, row in zip(at, rows, strict=True)
        ]
        return found, len(served)

    def served(self, allowed: Mask | None) -> Mask | None:
        """Return which of the allowed items may leave; None for all."""
        if self.removed is None:
            return allowed
        return ~self.removed if allowed is None else allowed & ~self.removed

    def indices(self, ids: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401  (any array-like)
        """Return (n,) dense indices of ids, removed or not.

        Raises:
            UnknownItemError: an id is not there; proposes the ids spelled most like it.
        """
        found = self.items.find(ids)
        for place in np.flatnonzero(found < 0)[:1]:
            external = ids[int(place)]
            self.items.index(external.as_py() if isinstance(external, pa.Scalar) else external)
        return found

    def without(self, items: IntArray) -> Self:
        """Return the catalogue from which these items never leave."""
        removed = np.zeros(len(self), bool) if self.removed is None else self.removed.copy()
        removed[items] = True
        return replace(self, removed=removed if removed.any() else None)

    def with_rows(self, items: IntArray, rows: pa.Table) -> Self:
        """Return the catalogue with other cells for some items, of which none is removed.

        Args:
            items: (rows,) dense indices.
            rows: their new cells; columns that it lacks stay, columns that the catalogue lacks
                are left out.

        Raises:
            DataError: a column's type does not fit.
        """
        table = self.table
        if table is not None:
            place = np.arange(len(self))
            place[items] = len(self) + np.arange(len(items))
            for at, name in enumerate(table.column_names):
                column = self.schema.items.get(name)
                if name in rows.column_names and not (column and column.kind == "id"):
                    more = _fitting(rows[name], name, table[name].type)
                    both = pa.chunked_array([*table[name].chunks, *more.chunks], more.type)
                    table = table.set_column(at, name, both.take(pa.array(place)))
        removed = self.removed
        if removed is not None:
            removed = removed.copy()
            removed[items] = False
        back = removed if removed is not None and removed.any() else None
        return replace(self, table=table, removed=back)

    def with_items(self, items: Ids, table: pa.Table | None) -> Self:
        """Return the catalogue with more items at its end.

        Args:
            items: ids of the new items.
            table: row i is new item i; columns that the catalogue does not have are left out.

        Raises:
            DataError: an id is in the catalogue already, or a column's type does not fit.
        """
        known = self.items.find(items.values)
        if (known >= 0).any():
            first = int(np.flatnonzero(known >= 0)[0])
            mend = "leave them out, or change them with update_items"
            if self.removed is not None and self.removed[known[first]]:
                mend = "it was removed, and update_items brings it back"
            raise DataError(
                f"{int((known >= 0).sum())} of {len(items)} items are in the catalogue already "
                f"(first: {items[first]!r}); {mend}"
            )
        ours, theirs = self.items.values, items.values
        if ours.type != theirs.type:
            ours, theirs = ours.cast(pa.large_string()), theirs.cast(pa.large_string())
        removed = self.removed
        longer = replace(
            self,
            items=Ids(pa.concat_arrays([ours, theirs])),
            table=self._longer(items, table),
            likes=np.concatenate([self.likes, np.zeros(len(items), np.int64)]),
            n_new=self.n_new + len(items),
            removed=None if removed is None else np.pad(removed, (0, len(items))),
        )
        if "titles" in self.__dict__:  # spelling out a whole catalogue takes seconds
            spelled = self.titles.longer(longer.items, longer._listed_titles())
            longer.__dict__["titles"] = spelled
        return longer

    def _listed_titles(self) -> list[str | None] | None:
        if self.table is None or self.schema.title is None:
            return None
        titles: list[str | None] = self.table[self.schema.title].cast(pa.large_string()).to_pylist()
        return titles

    def _longer(self, items: Ids, new: pa.Table | None) -> pa.Table | None:
        if self.table is None:
            return None
        columns: dict[str, Any] = {}
        for name in self.table.column_names:
            old, kind = self.table[name], self.table[name].type
            column = self.schema.items.get(name)
            if column is not None and column.kind == "id":
                more: Any = pa.chunked_array([items.values])
            elif new is None or name not in new.column_names:
                more = pa.chunked_array([pa.nulls(len(items), kind)])
            else:
                more = new[name]
            more = _fitting(more, name, kind)
            columns[name] = pa.chunked_array([*old.chunks, *more.chunks], type=kind)
        return pa.table(columns)


def _fitting(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column of a table of items as the catalogue holds it."""
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {name!r} of the items holds {column.type}, the catalogue holds "
            f"{kind} ({' '.join(str(error).split())[:80]}); convert it"
        ) from None
