"""Which items may be recommended: a condition on the item columns.

Three spellings of one thing:

- a mapping, all of whose entries must hold: `{"genres": "Comedy", "year": (1980, 1989)}`, where
  a list means "any of these" and a pair of numbers a range, ends included, None for open;
- an expression: `genres has Comedy and year >= 1980 and not title contains "War"`;
- a boolean array over the catalogue.

The grammar of expressions, weakest first: `or`, `and`, `not`, brackets, and the conditions

    column = value    !=    <    <=    >    >=       column in (value, value, …)
    column has value        one value of a cell that lists several (`Action|Drama`), or all of it
    column contains text    the cell's text contains this
    column is missing       column is not missing

Text is compared without case. A value is a number, a word or a quoted text; a column whose name
is no plain word goes in backquotes. A missing cell fulfils no condition but `is missing`, so
`not year < 1980` keeps items of unknown year. Expressions are parsed here and never evaluated as
code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process

from warmstart.core.errors import ConfigError
from warmstart.data.cells import is_numeric_text, numbers

Mask = npt.NDArray[np.bool_]
Filter = Mapping[str, Any] | str | Mask

_LONGEST = 4_000
_DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | `(?P<column>[^`]+)`
    | (?P<op><=|>=|!=|==|=|<|>|\(|\)|,)
    | (?P<word>[^\s"'`<>=!(),]+)
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def allowed_items(
    table: pa.Table, condition: Filter, *, separators: Mapping[str, str] | None = None
) -> Mask:
    """Return (items,) which items fulfil the condition.

    Args:
        table: one row per item.
        condition: a mapping, an expression, or a boolean array.
        separators: column → what separates several values in one cell; a column that is not
            named is split at `|`.

    Raises:
        ConfigError: an unknown column, a malformed expression, a comparison that makes no sense
            for the column's type, or an array of another length.

    Example:
        >>> items = pa.table({"genres": ["Comedy|War", "Drama"], "year": [1985, 1991]})
        >>> allowed_items(items, "genres has comedy and year < 1990").tolist()
        [True, False]
        >>> allowed_items(items, {"year": (1990, None)}).tolist()
        [False, True]
    """
    columns = _Columns(table, separators or {})
    if isinstance(condition, str):
        return _Parser(condition, columns).parse()
    if isinstance(condition, Mapping):
        mask = np.ones(table.num_rows, bool)
        for name, value in condition.items():
            mask &= columns.matches(name, value)
        return mask
    array = np.asarray(condition)
    if array.dtype != bool or array.shape != (table.num_rows,):
        raise ConfigError(
            f"a filter array must be boolean of shape ({table.num_rows},), "
            f"got {array.dtype} of shape {array.shape}; or pass a mapping or an expression"
        )
    return array


@dataclass(frozen=True, slots=True)
class _Columns:
    """The item columns, and every condition that one of them can be asked."""

    table: pa.Table
    separators: Mapping[str, str]

    def matches(self, name: str, value: Any) -> Mask:  # noqa: ANN401  (what a mapping holds)
        """Whether the cells fit the value of a mapping: equal, in a range, or any of a list."""
        if isinstance(value, tuple):
            if len(value) != 2 or value == (None, None):
                raise ConfigError(f"filter {name!r}: a range is a pair (low, high), got {value!r}")
            low, high = value
            mask = np.ones(self.table.num_rows, bool)
            if low is not None:
                mask &= self.compare(name, ">=", low)
            if high is not None:
                mask &= self.compare(name, "<=", high)
            return mask
        wanted = list(value) if isinstance(value, list | set | frozenset) else [value]
        if any(isinstance(v, Mapping | tuple | list) for v in wanted):
            raise ConfigError(f"filter {name!r}: {value!r} is no value, list of values or range")
        mask = np.zeros(self.table.num_rows, bool)
        for one in wanted:
            mask |= self.missing(name) if one is None else self.has(name, one)
        return mask

    def compare(self, name: str, op: str, value: Any) -> Mask:  # noqa: ANN401
        """Whether the cells are equal to, below or above a number or text."""
        if op == "!=":
            return ~self.compare(name, "=", value)
        array = self._array(name)
        if _is_text(array.type):
            if op == "=":
                return _truth(pc.equal(_folded(array), _fold(value)))
            if not is_numeric_text(_present(array)):
                raise ConfigError(
                    f"column {name!r} is text and has no order ({op} {value!r}); "
                    "use =, has or contains"
                )
        if pa.types.is_nested(array.type):
            raise ConfigError(f"column {name!r} lists values; write: {name} has {value}")
        if pa.types.is_boolean(array.type):
            truth = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}
            number = truth.get(_fold(value))
        else:
            number = _number(value)
        if number is None:
            raise ConfigError(f"column {name!r} holds {array.type}; cannot compare it to {value!r}")
        values = _numbers(array)
        with np.errstate(invalid="ignore"):
            return np.asarray(_COMPARE[op](values, number) & ~np.isnan(values))

    def has(self, name: str, value: Any) -> Mask:  # noqa: ANN401
        """Whether one of the cell's values, or the whole cell, is this value."""
        array = self._array(name)
        if not _is_text(array.type) and not pa.types.is_nested(array.type):
            return self.compare(name, "=", value)
        mask = np.zeros(len(array), bool)
        if _is_text(array.type):
            mask = _truth(pc.equal(_folded(array), _fold(value)))
            array = pc.split_pattern(array, self.separators.get(name, "|"))
        rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        values = pc.list_flatten(array)
        if not _is_text(values.type):
            values = values.cast(pa.large_string())
        mask[rows[_truth(pc.equal(_folded(values), _fold(value)))]] = True
        return mask

    def contains(self, name: str, value: Any) -> Mask:  # noqa: ANN401
        """Whether the cell's text contains this text."""
        array = self._array(name)
        if not _is_text(array.type):
            raise ConfigError(f"column {name!r} holds {array.type}, not text; use =, has or <")
        return _truth(pc.match_substring(_folded(array), _fold(value)))

    def missing(self, name: str) -> Mask:
        """Whether the cell is empty."""
        array = self._array(name)
        empty = np.asarray(pc.is_null(array, nan_is_null=True).to_numpy(zero_copy_only=False))
        if _is_text(array.type):
            return empty | _truth(pc.equal(pc.utf8_trim_whitespace(array), ""))
        return empty

    def known(self, name: str) -> bool:
        return name in self.table.column_names

    def _array(self, name: str) -> pa.Array:
        names = self.table.column_names
        if name not in names:
            folded = {n.casefold(): n for n in names}
            if name.casefold() not in folded:
                near = process.extractOne(name, names)
                hint = f"; did you mean {near[0]!r}?" if near and near[1] >= 60 else ""
                raise ConfigError(
                    f"items have no column {name!r}{hint} (there are: {', '.join(names) or 'none'})"
                )
            name = folded[name.casefold()]
        array = self.table[name].combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        return array


class _Parser:
    """Recursive descent; each method returns the mask of what it has read."""

    def __init__(self, text: str, columns: _Columns) -> None:
        if len(text) > _LONGEST:
            raise ConfigError(f"the filter has {len(text)} characters; at most {_LONGEST} are read")
        self.text, self.columns = text, columns
        self.tokens = list(_tokens(text))
        self.at = self.depth = 0

    def parse(self) -> Mask:
        if not self.tokens:
            raise ConfigError('the filter is empty; write a condition such as: genres has "Comedy"')
        mask = self._or()
        if self.at < len(self.tokens):
            raise self._fault("'and', 'or' or the end")
        return mask

    def _or(self) -> Mask:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ConfigError(f"the filter nests deeper than {_DEEPEST}; write it flatter")
        mask = self._and()
        while self._take("or"):
            mask = mask | self._and()
        self.depth -= 1
        return mask

    def _and(self) -> Mask:
        mask = self._not()
        while self._take("and"):
            mask = mask & self._not()
        return mask

    def _not(self) -> Mask:
        flips = 0
        while self._take("not"):
            flips += 1
        if self._take("("):
            mask = self._or()
            self._expect(")")
        else:
            mask = self._condition()
        return ~mask if flips % 2 else mask

    def _condition(self) -> Mask:
        kind, name = self._next("a column")
        if kind == "op" or (kind == "quoted" and not self.columns.known(name)):
            self.at -= 1
            raise self._fault("a column")
        negated = self._take("not")
        mask = self._test(name)
        return ~mask if negated else mask

    def _test(self, name: str) -> Mask:
        kind, word = self._next("a comparison such as =, >= or has")
        op = word.casefold()
        if kind == "op" and op in ("=", "==", "!=", "<", "<=", ">", ">="):
            return self.columns.compare(name, op.replace("==", "="), self._value())
        if kind == "word" and op == "has":
            return self.columns.has(name, self._value())
        if kind == "word" and op == "contains":
            return self.columns.contains(name, self._value())
        if kind == "word" and op == "in":
            self._expect("(")
            mask = self.columns.has(name, self._value())
            while self._take(","):
                mask = mask | self.columns.has(name, self._value())
            self._expect(")")
            return mask
        if kind == "word" and op == "is":
            negated = self._take("not")
            self._expect("missing")
            mask = self.columns.missing(name)
            return ~mask if negated else mask
        self.at -= 1
        raise self._fault("=, !=, <, <=, >, >=, has, contains, in or is")

    def _value(self) -> str:
        kind, value = self._next("a value")
        if kind in ("op", "column"):
            self.at -= 1
            raise self._fault("a value")
        return value

    def _next(self, wanted: str) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._fault(wanted)
        kind, value, _ = self.tokens[self.at]
        self.at += 1
        return kind, value

    def _take(self, word: str) -> bool:
        if self.at < len(self.tokens):
            kind, value, _ = self.tokens[self.at]
            if kind in ("word", "op") and value.casefold() == word:
                self.at += 1
                return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._fault(repr(word))

    def _fault(self, wanted: str) -> ConfigError:
        place = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        found = repr(self.text[place : place + 20]) if place < len(self.text) else "the end"
        return ConfigError(
            f"filter {self.text!r}: expected {wanted} at character {place + 1}, found {found}"
        )


def _tokens(text: str) -> Iterable[tuple[str, str, int]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if not found:
            raise ConfigError(
                f"filter {text!r}: cannot read {text[place:].strip()[:20]!r} at character "
                f"{place + 1}; close every quote and bracket"
            )
        kind = str(found.lastgroup)
        value = found.group(kind)
        if kind == "quoted":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield kind, value, found.start(kind)
        place = found.end()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _fold(value: Any) -> str:  # noqa: ANN401
    return unicodedata.normalize("NFKC", str(value)).strip().lower()


def _folded(array: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.utf8_normalize(pc.utf8_trim_whitespace(array), "NFKC"))


def _truth(array: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), bool)


def _present(array: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([array.filter(pc.fill_null(pc.not_equal(array, ""), False))])


def _number(value: Any) -> float | None:  # noqa: ANN401
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _numbers(array: pa.Array) -> npt.NDArray[np.float64]:
    if pa.types.is_temporal(array.type):
        array = pc.year(array)  # a date is compared by its year
    return numbers(pa.chunked_array([array]))
