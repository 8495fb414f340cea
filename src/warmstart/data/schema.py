"""The schema: what kind of thing each column is; inferred, shown, and overridden by a JSON file.

A file may say as little as it likes; what it leaves out is inferred:

    {"items": {"cast": {"kind": "multi-category", "separator": ", "}, "sku": "ignore"},
     "users": {"age": "number"}, "title": "headline", "evidence": {"threshold": 3}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.data import columns
from warmstart.data.cells import is_numeric_text
from warmstart.data.evidence import EvidenceRule

Kind = Literal[
    "user", "item", "rating", "timestamp", "event", "weight",
    "id", "category", "multi-category", "number", "text", "image", "audio", "ignore",
]  # fmt: skip

_IMAGES = r"(?i)\.(jpe?g|png|webp|gif|bmp|tiff?)$"
_SOUNDS = r"(?i)\.(mp3|wav|flac|ogg|m4a|aac|opus)$"
_UNINFORMATIVE = ("zip", "zipcode", "postcode", "postalcode", "url", "link", "href", "imdburl")
_SAMPLE = 20_000


class Column(Config):
    """What one column is.

    Attributes:
        kind: of its values. `user`, `item`, `rating`, `timestamp`, `event` and `weight` occur in
            interactions, `id` is the id column of the items or users table.
        separator: between the values of a multi-category cell; None for a column of lists.
    """

    kind: Kind
    separator: str | None = None


class Schema(Config):
    """Kinds of all columns of a dataset.

    Attributes:
        interactions: column → what it is.
        items: column → what it is.
        users: column → what it is.
        title: the column of the items table that people call the item by.
        evidence: how ratings and events become signed evidence.
    """

    interactions: dict[str, Column] = Field(default_factory=dict)
    items: dict[str, Column] = Field(default_factory=dict)
    users: dict[str, Column] = Field(default_factory=dict)
    title: str | None = None
    evidence: EvidenceRule = EvidenceRule()

    @field_validator("interactions", "items", "users", mode="before")
    @classmethod
    def _kind_alone(cls, table: Any) -> Any:  # noqa: ANN401  (whatever the JSON holds)
        """Read `"genres": "category"` as `"genres": {"kind": "category"}`."""
        if not isinstance(table, Mapping):
            return table
        return {k: {"kind": v} if isinstance(v, str) else v for k, v in table.items()}

    def to_json(self) -> str:
        """Return the schema as JSON that `from_json` and `--schema` read."""
        return json.dumps(self.model_dump(exclude_none=True), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read a schema.

        Raises:
            ConfigError: not JSON, an unknown key, or an unknown kind.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"the schema is not JSON: {error}; check commas and quotes") from None
        if not isinstance(values, dict):
            raise ConfigError('the schema is not a JSON object; write {"items": {…}}')
        return cls.parse(values)

    @classmethod
    def load(cls, source: Schema | Mapping[str, Any] | str | Path | None) -> Schema:
        """Return a schema from itself, from plain values, or from a JSON file."""
        if source is None:
            return cls()
        if isinstance(source, Schema):
            return source
        if isinstance(source, Mapping):
            return cls.parse(dict(source))
        path = Path(source)
        if not path.is_file():
            raise DataError(f"no such schema file: {path}; check the path")
        try:
            return cls.from_json(path.read_text("utf8"))
        except UnicodeDecodeError:
            raise ConfigError(f"the schema {path} is not UTF-8; save it as UTF-8") from None


def infer_columns(
    table: pa.Table, given: Mapping[str, Column], id_column: str
) -> dict[str, Column]:
    """Return what every column of an items or users table is: as given, else inferred."""
    found = {}
    for name in table.column_names:
        if name == id_column:
            found[name] = Column(kind="id")
        elif name in given:
            column = given[name]
            if column.kind == "multi-category" and column.separator is None:
                column = Column(kind="multi-category", separator=_separator(_sample(table[name])))
            found[name] = column
        else:
            found[name] = infer_column(name, table[name])
    return found


def infer_column(name: str, values: pa.ChunkedArray) -> Column:
    """Guess what a column is from its name, its type and a sample of its values.

    Example:
        >>> infer_column("genres", pa.chunked_array([["Action|Drama", "Comedy", "Drama"]]))
        Column(kind='multi-category', separator='|')
        >>> infer_column("age", pa.chunked_array([list(range(60))])).kind
        'number'
    """
    kind, short = values.type, columns.plain(name)
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        texts = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        whole = pa.types.is_integer(kind.value_type)
        return Column(kind="multi-category" if texts or whole else "ignore")
    if short in _UNINFORMATIVE or pa.types.is_null(kind) or pa.types.is_nested(kind):
        return Column(kind="ignore")
    if pa.types.is_boolean(kind):
        return Column(kind="category")
    if pa.types.is_temporal(kind):
        return Column(kind="number")
    present = _sample(values)
    if not len(present):
        return Column(kind="ignore")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_numbers(short, present, whole=bool(pa.types.is_integer(kind)))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return Column(kind="ignore")
    if short in {columns.plain(alias) for alias in columns.ALIASES["title"]}:
        return Column(kind="text")
    if is_numeric_text(present):
        whole = not pc.any(pc.match_substring(present, ".")).as_py()
        return _of_numbers(short, present, whole=whole)
    return _of_text(present)


def find_title(kinds: Mapping[str, Column]) -> str | None:
    """Return the column that people call an item by, or None."""
    readable = [n for n, c in kinds.items() if c.kind in ("text", "category")]
    return columns.match("title", readable)


def _of_numbers(short: str, present: pa.ChunkedArray, *, whole: bool) -> Column:
    distinct = pc.count_distinct(present).as_py()
    if whole and short.endswith("id") and distinct == len(present) and distinct > 30:
        return Column(kind="ignore")
    if whole and distinct <= 30 and short != "year":
        return Column(kind="category")
    return Column(kind="number")


def _of_text(present: pa.ChunkedArray) -> Column:
    n = len(present)
    media: tuple[tuple[str, Kind], ...] = ((_IMAGES, "image"), (_SOUNDS, "audio"))
    for pattern, kind in media:
        if _share(pc.match_substring_regex(present, pattern)) > 0.9:
            return Column(kind=kind)
    words = np.asarray(pc.count_substring_regex(present, r"\S+").to_numpy())
    letters = np.asarray(pc.utf8_length(present).to_numpy())
    separator = _separator(present)
    if separator is not None:
        return Column(kind="multi-category", separator=separator)
    share = pc.count_distinct(present).as_py() / n
    if letters.mean() > 40 or words.mean() > 5:
        return Column(kind="text")
    if n < 20 or share <= 0.7:
        return Column(kind="category")
    return Column(kind="text" if words.mean() >= 1.5 else "ignore")


def _separator(present: pa.ChunkedArray) -> str | None:
    """Return what separates the values of a cell, or None if a cell is one value."""
    if not (pa.types.is_string(present.type) or pa.types.is_large_string(present.type)):
        return None
    for separator, least in (("|", 0.02), (";", 0.2), (", ", 0.3), (",", 0.3), ("、", 0.2)):
        if _share(pc.match_substring(present, separator)) < least:
            continue
        pieces = pc.list_flatten(pc.split_pattern(present, separator))
        if separator == "|":
            return separator
        words = pc.mean(pc.count_substring_regex(pieces, r"\S+")).as_py()
        sentences = _share(pc.match_substring_regex(present, r"[.!?。！？]\s*($|\p{Lu})"))
        if words <= 3.5 and pc.mean(pc.utf8_length(pieces)).as_py() <= 30 and sentences < 0.5:
            return separator
    return None


def _sample(values: pa.ChunkedArray) -> pa.ChunkedArray:
    present = values.drop_null()
    if pa.types.is_string(present.type) or pa.types.is_large_string(present.type):
        present = present.filter(pc.not_equal(present, ""))
    if len(present) <= _SAMPLE:
        return present
    return present.take(pa.array(np.linspace(0, len(present) - 1, _SAMPLE).astype(np.int64)))


def _share(flags: pa.ChunkedArray) -> float:
    return float(pc.mean(flags.cast(pa.int8())).as_py() or 0.0)
