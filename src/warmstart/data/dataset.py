"""The dataset: ids, interactions and what is known of users and items, under dense indices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.data.content import Block, Content, EncodedColumn, blocks_of
from warmstart.data.features import FeatureSpace
from warmstart.data.ids import Ids
from warmstart.data.interactions import Interactions, Pairs, merge_pairs
from warmstart.data.report import OnBadRows, RowReport
from warmstart.data.schema import Schema

Order = Literal["random", "time", "file"]


@dataclass(frozen=True)
class Dataset:
    """Who did what, and what is known of them; read-only.

    Attributes:
        name: what reports call it.
        users: external user ids.
        items: external item ids; items without interactions are part of the catalogue.
        interactions: the rows.
        user_table: row i is user i (nulls where unknown), or None.
        item_table: row i is item i (nulls where unknown), or None.
        schema: kinds of the columns, the title column and the evidence rule, all filled in.
        report: what became of the rows that were read.
        user_features: fitted encoding of the users table, or None.
        item_features: fitted encoding of the items table, or None.
        item_vectors: vectors of the items by modality, such as encoded texts or images.
        item_encoders: which encoders made them; given vectors have none.

    Example:
        >>> rows = {"user": ["ann", "ann", "bo"], "item": [1, 2, 1], "rating": [5, 1, 4]}
        >>> data = Dataset.from_tables(rows)
        >>> data.n_users, data.n_items, data.evidence().toarray().tolist()
        (2, 2, [[1.0, -1.0], [0.5, 0.0]])
    """

    name: str
    users: Ids
    items: Ids
    interactions: Interactions
    user_table: pa.Table | None = None
    item_table: pa.Table | None = None
    schema: Schema = field(default_factory=Schema)
    report: RowReport = field(default_factory=RowReport)
    user_features: FeatureSpace | None = None
    item_features: FeatureSpace | None = None
    item_vectors: Content = field(default_factory=dict)
    item_encoders: tuple[EncodedColumn, ...] = ()

    @classmethod
    def from_tables(
        cls,
        interactions: Any,  # noqa: ANN401  (a frame, a table, a mapping, a path)
        items: Any = None,  # noqa: ANN401
        users: Any = None,  # noqa: ANN401
        *,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        on_bad_rows: OnBadRows = "raise",
        name: str = "data",
        encoding: str = "utf8",
    ) -> Self:
        """Build a dataset from tables of any supported kind.

        Args:
            interactions: one row per event, with a user and an item; optionally rating,
                timestamp, event and weight. Usual other names are understood, see
                `warmstart.data.columns`.
            items: one row per item of the catalogue, with free columns.
            users: one row per user, with free columns.
            schema: overrides what is inferred: a `Schema`, plain values, or a JSON file.
            on_bad_rows: "raise" refuses the whole, "drop" leaves bad rows out and reports them.
            name: what reports call the dataset.
            encoding: of text files.

        Raises:
            DataError: a missing file, table, column or row, or bad rows under "raise".
            ConfigError: the schema does not fit.
        """
        from warmstart.data.build import build

        built: Self = build(
            cls,
            interactions,
            items,
            users,
            schema=Schema.load(schema),
            on_bad_rows=on_bad_rows,
            name=name,
            encoding=encoding,
        )
        return built

    @classmethod
    def from_files(
        cls,
        interactions: str | Path,
        items: str | Path | None = None,
        users: str | Path | None = None,
        *,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        on_bad_rows: OnBadRows = "raise",
        name: str | None = None,
        encoding: str = "utf8",
    ) -> Self:
        """Build a dataset from CSV, TSV, Parquet or JSON Lines files; see `from_tables`."""
        return cls.from_tables(
            Path(interactions),
            None if items is None else Path(items),
            None if users is None else Path(users),
            schema=schema,
            on_bad_rows=on_bad_rows,
            name=name or Path(interactions).stem,
            encoding=encoding,
        )

    @property
    def n_users(self) -> int:
        """Number of users, also of those without interactions."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items, also of those without interactions."""
        return len(self.items)

    @cached_property
    def pairs(self) -> Pairs:
        """The interactions with one row per (user, item)."""
        return merge_pairs(self.interactions, self.n_users, self.n_items)

    def positives(self) -> sp.csr_array:
        """Return the (users, items) float32 matrix with a one wherever evidence is above zero."""
        return self._matrix(self.pairs.value > 0, np.float32(1))

    def evidence(self) -> sp.csr_array:
        """Return the (users, items) float32 matrix of signed evidence, the mean over repeats."""
        return self._matrix(np.ones(len(self.pairs), bool), None)

    def histories(
        self,
        users: IntArray | None = None,
        *,
        order: Order = "random",
        seed: int = 0,
        positive_only: bool = False,
    ) -> Histories:
        """Return what each user did, every item once, with the user's features.

        Args:
            users: dense indices, in the order wanted; all users by default.
            order: of a user's events: "random" (seeded; the same for a user whichever users are
                asked for), by first "time", or as in the "file".
            seed: of the random order.
            positive_only: leave dislikes out.

        Raises:
            DataError: `order="time"` without timestamps, or a user index out of range.
        """
        users = np.arange(self.n_users) if users is None else np.asarray(users, np.int64)
        if len(users) and not 0 <= users.min() <= users.max() < self.n_users:
            raise DataError(f"a user index is out of range; there are {self.n_users} users")
        keep = self.pairs.value > 0 if positive_only else np.ones(len(self.pairs), bool)
        return self.ordered(keep, order=order, seed=seed).take(users)

    def ordered(
        self, keep: npt.NDArray[np.bool_], *, order: Order = "random", seed: int = 0
    ) -> Histories:
        """Return the `pairs` where `keep` holds as the histories of all users, in an order."""
        pairs = self.pairs
        rows = np.flatnonzero(keep)
        keys = order_keys(pairs, order, seed)[rows]
        rows = rows[np.lexsort((pairs.row[rows], keys, pairs.user[rows]))]
        counts = np.bincount(pairs.user[rows], minlength=self.n_users)
        return Histories(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            pairs.item[rows],
            pairs.value[rows],
            None if pairs.time is None else pairs.time[rows],
            self.user_matrix,
        )

    @cached_property
    def user_matrix(self) -> sp.csr_array | None:
        """The (users, user features) matrix, or None where nothing is known of users."""
        if self.user_features is None or self.user_table is None:
            return None
        return self.user_features.transform(self.user_table)

    @cached_property
    def item_matrix(self) -> sp.csr_array | None:
        """The (items, item features) matrix, or None where nothing is known of items."""
        if self.item_features is None or self.item_table is None:
            return None
        return self.item_features.transform(self.item_table)

    @cached_property
    def content(self) -> Content:
        """What is known of items, in blocks: the encoded columns, then the vectors."""
        columns: dict[str, Block] = {}
        if self.item_features is not None and self.item_matrix is not None:
            columns = blocks_of(self.item_features, self.item_matrix)
        return columns | dict(self.item_vectors)

    def with_item_vectors(self, name: str, ids: Sequence[Any], vectors: FloatArray) -> Self:
        """Return the dataset with given vectors of its items as a modality of their own.

        Args:
            name: of the modality; it replaces a column or a modality of the same name.
            ids: of the items whose vectors these are, in any order; ids that are not in the
                catalogue are left out, and items that are not among them lack the modality.
            vectors: (ids, dim); a row of zeros, or one that is not finite, counts as lacking.

        Raises:
            DataError: not a matrix, another number of rows, or an id twice.

        Example:
            >>> data = Dataset.from_tables({"user": [1, 2], "item": ["a", "b"]})
            >>> more = data.with_item_vectors("sound", ["c", "b"], np.array([[1.0, 2], [3, 4]]))
            >>> more.content["sound"].values.tolist(), more.content["sound"].known.tolist()
            ([[0.0, 0.0], [3.0, 4.0]], [False, True])
        """
        given = Block.of_vectors(vectors)
        if len(given.known) != len(ids):
            raise DataError(f"{len(given.known):,} vectors for {len(ids):,} ids; give one for each")
        at = self.items.find(ids)
        kept = at[at >= 0]
        if len(np.unique(kept)) < len(kept):
            twice = self.items[int(np.flatnonzero(np.bincount(kept) > 1)[0])]
            raise DataError(f"the id {twice!r} has two vectors; keep one")
        values = np.zeros((self.n_items, given.dim), np.float32)
        known = np.zeros(self.n_items, bool)
        values[kept], known[kept] = given.dense()[at >= 0], given.known[at >= 0]
        others = tuple(e for e in self.item_encoders if e.column != name)
        modalities = dict(self.item_vectors) | {name: Block(values, known)}
        return replace(self, item_vectors=modalities, item_encoders=others)

    @cached_property
    def titles(self) -> list[str]:
        """What people call each item: its title, or its id where there is none."""
        names = [str(i) for i in self.items]
        if self.item_table is None or self.schema.title is None:
            return names
        titles = self.item_table[self.schema.title].cast(pa.large_string()).to_pylist()
        return [t or n for t, n in zip(titles, names, strict=True)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, interactions, tables and the evidence rule, in hexadecimal."""
        digest = hashlib.sha256()
        for ids in (self.users, self.items):
            _feed(digest, ids.values)
        rows = self.interactions
        for array in (rows.user, rows.item, rows.value, rows.rating, rows.time, rows.weight):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        if rows.event is not None:
            _feed(digest, rows.event.cast(pa.large_string()))
        for table in (self.user_table, self.item_table):
            if table is not None:
                for name in table.column_names:
                    digest.update(name.encode())
                    _feed(digest, table[name])
        for name, block in self.item_vectors.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(block.dense()).tobytes())
            digest.update(block.known.tobytes())
        digest.update(self.schema.evidence.model_dump_json().encode())
        return digest.hexdigest()

    def restrict(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the same users, items and tables with only the interactions where `mask` holds.

        Raises:
            DataError: the mask has another length, or leaves nothing.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self.interactions),):
            raise DataError(
                f"the mask is {mask.dtype} of shape {mask.shape}; give {len(self.interactions)} "
                "booleans, one per interaction"
            )
        if not mask.any():
            raise DataError("no interaction is left; loosen the condition")
        return replace(self, interactions=self.interactions.where(mask))

    def refit_features(
        self,
        users: npt.NDArray[np.bool_] | None = None,
        items: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """Return the dataset with feature encodings learned from these users and items alone."""
        space, item_space = self.user_features, self.item_features
        if users is not None and space is not None and self.user_table is not None:
            rows = self.user_table.filter(pa.array(users))
            space = FeatureSpace.fit(rows, self.schema.users)
        if items is not None and item_space is not None and self.item_table is not None:
            rows = self.item_table.filter(pa.array(items))
            item_space = FeatureSpace.fit(rows, self.schema.items)
        return replace(self, user_features=space, item_features=item_space)

    def exchanged(self) -> Self:
        """Return the dataset with the roles exchanged: items act, and users are recommended.

        A task is then one item, its support the first users who liked it: what warms a new item
        up, by any method. Vectors of the items are left behind.

        Example:
            >>> rows = {"user": ["ann", "ann", "bo"], "item": [1, 2, 1]}
            >>> data = Dataset.from_tables(rows).exchanged()
            >>> data.n_users, list(data.items), data.evidence().toarray().tolist()
            (2, ['ann', 'bo'], [[1.0, 1.0], [1.0, 0.0]])
        """
        rows, schema = self.interactions, self.schema
        swapped = {"users": schema.items, "items": schema.users, "title": None}
        return replace(
            self,
            name=f"{self.name}, roles exchanged",
            users=self.items,
            items=self.users,
            interactions=replace(rows, user=rows.item, item=rows.user),
            user_table=self.item_table,
            item_table=self.user_table,
            schema=schema.model_copy(update=swapped),
            user_features=self.item_features,
            item_features=self.user_features,
            item_vectors={},
            item_encoders=(),
        )

    def at_least(self, *, users_per_item: int = 1, items_per_user: int = 1) -> Self:
        """Return the dataset without rare items, and then without users of few items.

        The catalogue shrinks: items with fewer distinct users leave it, and users with fewer
        distinct items (counted afterwards) go as well.

        Raises:
            ConfigError: a bound is below zero.
            DataError: nothing is left.
        """
        if min(users_per_item, items_per_user) < 0:
            raise ConfigError("users_per_item and items_per_user must be 0 or more")
        pairs = self.pairs
        items = np.bincount(pairs.item, minlength=self.n_items) >= users_per_item
        kept = items[pairs.item]
        users = np.bincount(pairs.user[kept], minlength=self.n_users) >= items_per_user
        rows = items[self.interactions.item] & users[self.interactions.user]
        thinned = self.restrict(rows).interactions
        new_user, new_item = np.cumsum(users) - 1, np.cumsum(items) - 1
        tables = [
            None if table is None else table.filter(pa.array(mask))
            for table, mask in ((self.user_table, users), (self.item_table, items))
        ]
        return replace(
            self,
            users=Ids(self.users.values.filter(pa.array(users))),
            items=Ids(self.items.values.filter(pa.array(items))),
            interactions=replace(
                thinned,
                user=new_user[thinned.user].astype(np.int32),
                item=new_item[thinned.item].astype(np.int32),
            ),
            user_table=tables[0],
            item_table=tables[1],
            item_vectors={n: b.take(items) for n, b in self.item_vectors.items()},
        )

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}: {len(self.interactions):,} interactions, "
            f"{self.n_users:,} users, {self.n_items:,} items)"
        )

    def _matrix(self, keep: npt.NDArray[np.bool_], value: np.float32 | None) -> sp.csr_array:
        pairs = self.pairs
        counts = np.bincount(pairs.user[keep], minlength=self.n_users)
        data = pairs.value[keep] if value is None else np.full(int(keep.sum()), value)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        shape = (self.n_users, self.n_items)
        return sp.csr_array((data, pairs.item[keep], indptr), shape=shape, copy=True)


def order_keys(pairs: Pairs, order: Order, seed: int) -> npt.NDArray[np.float64]:
    """Return (pairs,) numbers by which each user's pairs are sorted.

    Raises:
        DataError: by time, but there is none.
        ConfigError: no such order.
    """
    if order == "random":
        return generator(seed, "order").random(len(pairs))
    if order == "time":
        if pairs.time is None:
            raise DataError("order='time' needs a timestamp column; pass order='random'")
        return pairs.time
    if order == "file":
        return pairs.row.astype(np.float64)
    raise ConfigError(f"order={order!r}; give 'random', 'time' or 'file'")


def _feed(digest: Any, column: pa.Array | pa.ChunkedArray) -> None:  # noqa: ANN401  (hashlib)
    """Hash a column by its values, however Arrow lays them out in memory."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_integer(column.type) and not column.null_count:
        digest.update(b"i" + column.cast(pa.int64()).to_numpy(zero_copy_only=False).tobytes())
        return
    if pa.types.is_nested(column.type):
        column = pa.array([None if v is None else repr(v) for v in column.to_pylist()])
    texts = column.cast(pa.large_string())
    sizes = pc.fill_null(pc.binary_length(texts), -1)
    digest.update(b"s" + sizes.to_numpy(zero_copy_only=False).astype(np.int64).tobytes())
    for text in texts.drop_null().to_pylist():
        digest.update(text.encode())
