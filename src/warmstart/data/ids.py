"""Ids: whatever a user calls an item or a user, joined to dense indices 0 … n-1.

Integers stay integers and strings stay strings, in any script; every other type, and a column
that mixes types, becomes strings, and the report says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.core.errors import DataError, UnknownItemError
from warmstart.core.types import IntArray

MAX_LENGTH = 256
_CANONICAL_INT = r"^(0|-?[1-9][0-9]{0,18})$"
_LARGEST = str(2**63 - 1)
_FEW = 1_000  # up to here a dictionary answers faster than a vectorised join

Id = str | int


class Ids:
    """External ids in the order of their dense indices.

    Example:
        >>> ids = Ids(["异形", "brazil"])
        >>> len(ids), ids[0], ids.index("brazil"), ids.find(["brazil", "?"]).tolist()
        (2, '异形', 1, [1, -1])
    """

    def __init__(self, values: pa.Array | Iterable[Id]) -> None:
        """Keep distinct integers, or distinct strings.

        Raises:
            DataError: an id is missing or occurs twice.
        """
        array = values if isinstance(values, pa.Array) else _from_python(list(values))
        array = array.cast(pa.int64() if pa.types.is_integer(array.type) else pa.large_string())
        if array.null_count:
            raise DataError(f"{array.null_count} of {len(array)} ids are missing; give every one")
        if pc.count_distinct(array).as_py() != len(array):
            raise DataError(
                f"{len(array)} ids, but only {pc.count_distinct(array).as_py()} distinct ones; "
                "give each id once"
            )
        self.values = array

    @cached_property
    def are_integers(self) -> bool:
        """Whether the ids are integers; otherwise they are strings."""
        return bool(pa.types.is_integer(self.values.type))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Id:
        if "_listed" in self.__dict__:
            return self._listed[int(index)]
        value: Id = self.values[int(index)].as_py()
        return value

    def __iter__(self) -> Iterator[Id]:
        return iter(self.values.to_pylist())

    def __contains__(self, external: object) -> bool:
        return self._plain(external) in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids) and bool(self.values.equals(other.values))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        head = ", ".join(map(repr, self.values[:3].to_pylist()))
        return f"Ids({head}{', …' if len(self) > 3 else ''}; {len(self)} in all)"

    def take(self, indices: IntArray) -> list[Id]:
        """Return the external ids of these dense indices, as a list of the same length."""
        if len(indices) <= _FEW and "_listed" in self.__dict__:
            return [self._listed[at] for at in np.asarray(indices).tolist()]
        return list(self.values.take(pa.array(np.asarray(indices, np.int64))).to_pylist())

    def index(self, external: Id) -> int:
        """Return the dense index of one id.

        Raises:
            UnknownItemError: the id is not there; proposes the ids spelled most like it.
        """
        found = self._index.get(self._plain(external))
        if found is None:
            raise UnknownItemError(external, self._proposals(external))
        return found

    def place(self, external: object) -> int:
        """Return the dense index of one id, or -1 where it is unknown; see `find`."""
        if type(external) is int or type(external) is str:  # most are of our own type
            found = self._index.get(external)
            if found is not None:
                return found
        return self._index.get(self._plain(external), -1)

    def hold(self, externals: set[Id]) -> bool:
        """Whether all of these are ids, as they are spelled here.

        Example:
            >>> Ids([5, 12]).hold({5, 12}), Ids([5, 12]).hold({"12"})
            (True, False)
        """
        return externals <= self._index.keys()

    def find(self, externals: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401  (any array-like)
        """Return (n,) dense indices of many ids; -1 where unknown.

        Ids spelled in the other type are understood where that is exact: "12" finds 12.

        Example:
            >>> ids = Ids([2**63 - 1, 5])
            >>> ids.find([str(2**63 - 1), str(2**63), "05", "5"] * 300)[:4].tolist()
            [0, -1, -1, 1]
        """
        if isinstance(externals, pa.ChunkedArray):
            externals = externals.combine_chunks()
        if not isinstance(externals, pa.Array):
            listed = externals.tolist() if isinstance(externals, np.ndarray) else list(externals)
            if len(listed) <= _FEW:
                found = (self._index.get(self._plain(x), -1) for x in listed)
                return np.fromiter(found, np.int64, len(listed))
            externals = _from_python(listed)
        factor = factorise(externals)
        values = factor.values
        if values.type != self.values.type:
            values = _as_integers(values) if self.are_integers else values.cast(self.values.type)
        places = pc.fill_null(pc.index_in(values, value_set=self.values), -1)
        places = np.append(places.to_numpy(zero_copy_only=False).astype(np.int64), -1)
        return places[factor.codes]

    def to_json(self) -> str:
        """Return the ids as a JSON list."""
        return json.dumps(self.values.to_pylist(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Ids:
        """Read what `to_json` wrote."""
        return cls(json.loads(text))

    @cached_property
    def _index(self) -> dict[Any, int]:
        return {external: i for i, external in enumerate(self._listed)}

    @cached_property
    def _listed(self) -> list[Id]:
        """The ids as Python's own values, made when one is looked up for the first time."""
        return list(self.values.to_pylist())

    def _plain(self, external: Any) -> Any:  # noqa: ANN401
        """Spell one id in our type, or return None where it has no such spelling."""
        if isinstance(external, np.generic):
            external = external.item()
        if isinstance(external, bool) or not isinstance(external, str | int | float):
            return None
        if isinstance(external, float):
            if not external.is_integer():
                return None if self.are_integers else str(external)
            external = int(external)
        if not self.are_integers:
            return str(external)
        if isinstance(external, str):
            sign, digits = external[:1] == "-", external.lstrip("-")
            exact = digits.isascii() and digits.isdigit() and str(int(digits)) == digits
            return int(digits) * (-1 if sign else 1) if exact else None
        return external

    def _proposals(self, external: Any) -> list[str]:  # noqa: ANN401
        from rapidfuzz import process

        choices = self.values.slice(0, 200_000).cast(pa.large_string()).to_pylist()
        hits = process.extract(str(external), choices, limit=3, score_cutoff=60)
        return [hit[0] for hit in hits]


@dataclass(frozen=True, slots=True)
class Factor:
    """A column as codes into its distinct values.

    Attributes:
        codes: (rows,) int32 position in `values`; -1 where the cell is missing.
        values: distinct ids, int64 or large_string.
        note: what was done to the column's type, or "".
    """

    codes: npt.NDArray[np.int32]
    values: pa.Array
    note: str = ""


def factorise(column: pa.Array | pa.ChunkedArray, *, written_as_text: bool = False) -> Factor:
    """Split an id column into codes and distinct ids.

    Args:
        column: of any type.
        written_as_text: the column was read from text (CSV): ids that are all canonical
            integers become integers, and "007" keeps its zeros.
    """
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries()
        chunks = encoded.chunks or [pa.array([], encoded.type)]
        values, codes = chunks[0].dictionary, np.concatenate([_codes(c) for c in chunks])
    else:
        values, codes = encoded.dictionary, _codes(encoded)
    values, note = _plain_type(values)
    if written_as_text and pa.types.is_large_string(values.type):
        integers = _as_integers(values)
        if len(values) and not integers.null_count:
            values = integers
    return _merge_equal(Factor(codes, values, note))


def common_type(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array, str]:
    """Bring two sets of ids to one type, and say how.

    Text that is canonical integers throughout gives way to integers; otherwise both are text.
    """
    if a.type == b.type:
        return a, b, ""
    texts, numbers = (a, b) if pa.types.is_large_string(a.type) else (b, a)
    integers = _as_integers(texts)
    if not integers.null_count:
        note = "ids are integers in one table and text in another: read as integers"
        return (integers, numbers, note) if texts is a else (numbers, integers, note)
    note = "ids are integers in one table and text in another: read as text"
    return a.cast(pa.large_string()), b.cast(pa.large_string()), note


def _codes(encoded: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    indices = encoded.indices
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int32()), -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int32)


def _plain_type(values: pa.Array) -> tuple[pa.Array, str]:
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.large_string()), ""
    if pa.types.is_integer(kind):
        try:
            return values.cast(pa.int64()), ""
        except pa.ArrowInvalid:
            return values.cast(pa.large_string()), "ids above 2^63 are read as text"
    if pa.types.is_floating(kind):
        numbers = values.to_numpy(zero_copy_only=False)
        whole = np.isnan(numbers) | ((numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53))
        if whole.all():
            missing = pa.array(np.isnan(numbers))
            return pa.array(np.nan_to_num(numbers).astype(np.int64), mask=missing), ""
        return values.cast(pa.large_string()), "ids that are fractions are read as text"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return values.cast(pa.large_string()), ""
    try:
        return values.cast(pa.large_string()), f"ids of type {kind} are read as text"
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [None if v is None else str(v) for v in values.to_pylist()]
        return pa.array(texts, pa.large_string()), f"ids of type {kind} are read as text"


def _merge_equal(factor: Factor) -> Factor:
    """Make the values distinct and free of nulls (a cast, or a dictionary, may break both)."""
    values = factor.values
    if not values.null_count and pc.count_distinct(values).as_py() == len(values):
        return factor
    again = pc.dictionary_encode(values)
    places = np.append(_codes(again), np.int32(-1))
    return Factor(places[factor.codes], again.dictionary, factor.note)


def _as_integers(texts: pa.Array) -> pa.Array:
    """Return int64; null where the text is not the canonical spelling of an integer."""
    if pa.types.is_integer(texts.type):
        return texts
    exact, digits = pc.match_substring_regex(texts, _CANONICAL_INT), pc.utf8_ltrim(texts, "-")
    long = pc.equal(pc.utf8_length(digits), len(_LARGEST))
    exact = pc.and_not(exact, pc.and_(long, pc.greater(digits, _LARGEST)))
    return pc.if_else(exact, texts, pa.scalar(None, texts.type)).cast(pa.int64())


def _from_python(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values) if values else pa.array([], pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if v is None else str(v) for v in values], pa.large_string())
