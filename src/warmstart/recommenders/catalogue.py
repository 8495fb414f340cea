"""The catalogue that a model serves: item ids, what is known of them, and how to read events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.core.errors import DataError
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

    def where(self, condition: Filter) -> Mask:
        """Return (items,) which items fulfil a condition on the item columns.

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
        return allowed_items(table, condition, separators=separators)

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
            first = items[int(np.flatnonzero(known >= 0)[0])]
            raise DataError(
                f"{int((known >= 0).sum())} of {len(items)} items are in the catalogue already "
                f"(first: {first!r}); leave them out"
            )
        ours, theirs = self.items.values, items.values
        if ours.type != theirs.type:
            ours, theirs = ours.cast(pa.large_string()), theirs.cast(pa.large_string())
        longer = replace(
            self,
            items=Ids(pa.concat_arrays([ours, theirs])),
            table=self._longer(items, table),
            likes=np.concatenate([self.likes, np.zeros(len(items), np.int64)]),
            n_new=self.n_new + len(items),
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
            try:
                more = more.cast(kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise DataError(
                    f"column {name!r} of the new items holds {more.type}, the catalogue holds "
                    f"{kind} ({' '.join(str(error).split())[:80]}); convert it"
                ) from None
            columns[name] = pa.chunked_array([*old.chunks, *more.chunks], type=kind)
        return pa.table(columns)
