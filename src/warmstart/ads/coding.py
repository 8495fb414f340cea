"""What a log's columns are coded by: users, ads, and the values of every feature column.

Learned from training rows alone and kept with the model, so that the rows of tomorrow are coded
alike: a user or an ad that training has not met is -1, and so is a value or an empty cell.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from warmstart.core.errors import DataError
from warmstart.core.types import IntArray
from warmstart.data.features import Block, FeatureSpace
from warmstart.data.ids import Id, Ids, common_type
from warmstart.data.schema import Column, infer_column

Role = Literal["user", "ad", "context"]
ROLES: tuple[Role, ...] = ("user", "ad", "context")


@dataclass(frozen=True, slots=True)
class Coding:
    """Vocabularies of a log.

    A column of one category or number per cell is one field; a number is cut into quantile bins.
    A column of several values per cell (genres) is one field of 0 or 1 for each value.

    Attributes:
        users: ids that training has met; none where the log knows no users.
        ads: ids that training has met.
        user_space: features that belong to a user.
        ad_space: features that belong to an ad, so that they are known of a new one.
        context_space: features of the occasion: position, hour, device.
        columns: what each of the log's columns is called in a table: "user", "ad", "click",
            "conversion", "timestamp", "conversion_timestamp", "propensity" → name or None.
    """

    users: Ids
    ads: Ids
    user_space: FeatureSpace
    ad_space: FeatureSpace
    context_space: FeatureSpace
    columns: Mapping[str, str | None]

    def space(self, role: Role) -> FeatureSpace:
        """Return the features of a user, an ad or the occasion."""
        return {"user": self.user_space, "ad": self.ad_space, "context": self.context_space}[role]

    def fields_of(self, role: Role) -> dict[str, int]:
        """Return field → number of its values, of a user, an ad or the occasion."""
        found: dict[str, int] = {}
        for block in self.space(role).blocks:
            found |= _sizes(block)
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """Return field → number of its values; users' fields, then ads', then the occasion's."""
        return {name: n for role in ROLES for name, n in self.fields_of(role).items()}

    def encode_columns(self, role: Role, table: pa.Table) -> dict[str, IntArray]:
        """Return field → (rows,) codes of the columns of one role; -1 where unknown or empty.

        Raises:
            DataError: the table lacks a column.
        """
        found: dict[str, IntArray] = {}
        for block in self.space(role).blocks:
            if block.column not in table.column_names:
                raise DataError(
                    f"the table has no {role} column {block.column!r}, which the model was trained "
                    f"on (it has: {', '.join(table.column_names)}); add it"
                )
            found |= _codes(block, table)
        return found

    def encode_one(self, role: Role, values: Mapping[str, Any]) -> dict[str, IntArray]:
        """Return field → (1,) code of one user, ad or occasion given as column → value.

        Columns that are left out are unknown.

        Raises:
            DataError: a column that the training has not seen.
        """
        known = self.space(role).columns
        unseen = [name for name in values if name not in known]
        if unseen:
            raise DataError(
                f"the model has not seen a {role} column {unseen[0]!r}; "
                f"those it knows are: {', '.join(known) or 'none'}"
            )
        found: dict[str, IntArray] = {}
        for block in self.space(role).blocks:
            found |= {
                n: np.array([c]) for n, c in _code_of(block, values.get(block.column)).items()
            }
        return found

    def with_ads(self, ids: Sequence[Id]) -> Coding:
        """Return the coding with further ads at the end.

        Raises:
            DataError: an id is missing, given twice, or known already.
        """
        return replace(self, ads=_joined(self.ads, ids, "ad"))

    def with_users(self, ids: Sequence[Id]) -> Coding:
        """Return the coding with further users at the end.

        Raises:
            DataError: an id is missing, given twice, or known already.
        """
        return replace(self, users=_joined(self.users, ids, "user"))

    def to_json(self) -> str:
        """Return the coding as JSON, for an artefact."""
        spaces = {role: json.loads(self.space(role).to_json()) for role in ROLES}
        ids = {"users": self.users.values.to_pylist(), "ads": self.ads.values.to_pylist()}
        content = {**ids, "spaces": spaces, "columns": dict(self.columns)}
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Coding:
        """Read what `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            found = json.loads(text)
            spaces = {r: FeatureSpace.from_json(json.dumps(found["spaces"][r])) for r in ROLES}
            users, ads, names = found["users"], found["ads"], dict(found["columns"])
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"the coding cannot be read ({error}); save the model again") from None
        return cls(
            Ids(users), Ids(ads), spaces["user"], spaces["ad"], spaces["context"],
            MappingProxyType(names),
        )  # fmt: skip


def fit_space(table: pa.Table, names: Sequence[str], *, max_values: int) -> FeatureSpace:
    """Return the features of some columns; what looks like text or an id counts as a category."""
    kinds = {}
    for name in names:
        column = infer_column(name, table[name])
        kept = column.kind in ("category", "multi-category", "number")
        kinds[name] = column if kept else Column(kind="category")
    return FeatureSpace.fit(table, kinds, max_values=max_values)


def _joined(known: Ids, ids: Sequence[Id], what: str) -> Ids:
    """Return the ids with new ones behind them, integers if all of them can be."""
    met = [one for one in ids if one in known]
    if met:
        raise DataError(f"{what} {met[0]!r} is known already; give new {what}s only")
    if not len(known):
        return Ids(ids)
    values, more, _ = common_type(known.values, Ids(ids).values)
    return Ids(pa.concat_arrays([values, more]))


def _sizes(block: Block) -> dict[str, int]:
    if block.kind == "multi-category":
        return dict.fromkeys(block.names, 2)
    return {block.column: len(block.names)}


def _code_of(block: Block, value: Any) -> dict[str, int]:  # noqa: ANN401
    """Return field → code of one cell, as `_codes` does for a column, without making a table."""
    if isinstance(value, np.generic):
        value = value.item()
    if block.kind == "multi-category":
        listed = (
            value if isinstance(value, list | tuple) else _spelled(value).split(block.separator)
        )
        had = {_spelled(one) for one in listed}
        return {n: int(v in had) for n, v in zip(block.names, block.values, strict=True)}
    if block.kind == "number":
        return {block.column: _code_of_number(block, value)}
    text = _spelled(value)
    return {block.column: block.values.index(text) if text in block.values else -1}


def _code_of_number(block: Block, value: Any) -> int:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError):
        return -1
    if not np.isfinite(number):
        return -1
    if block.values:
        known = [float(v) for v in block.values]
        return known.index(number) if number in known else -1
    return bisect.bisect_right(block.edges, number)


def _spelled(value: Any) -> str:  # noqa: ANN401
    """Spell one value as a column of its kind is spelled."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _codes(block: Block, table: pa.Table) -> dict[str, IntArray]:
    hot = FeatureSpace([block]).transform(table.select([block.column]))
    if block.kind == "multi-category":
        dense = hot.toarray().astype(np.int64)
        return {name: dense[:, at] for at, name in enumerate(block.names)}
    codes = np.full(table.num_rows, -1, np.int64)
    each = hot.tocoo()
    codes[each.coords[0]] = each.coords[1]
    return {block.column: codes}
