"""Texts, images and sounds of items become modalities of a dataset, and of items that come later.

Content is encoded once, before training, and kept on disk; training reads vectors. The model
remembers which encoder read which column, so that a new item is encoded in the same way.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from warmstart.core import registry
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Progress
from warmstart.data import Dataset, Ids
from warmstart.data.content import Block, EncodedColumn
from warmstart.encoders import Encoder, VectorCache, encode

KINDS = {"text": "text", "image": "image", "audio": "audio"}
"""Kind of a column → the encoder that reads it unless another is named."""


@dataclass(frozen=True, slots=True)
class EncodingReport:
    """What became of the contents.

    Attributes:
        encoded: column → how many items have a vector.
        faults: (item, column, why) of the contents that should have one and have not; the item
            keeps its other modalities.
    """

    encoded: Mapping[str, int]
    faults: tuple[tuple[str | int, str, str], ...]

    def summary(self) -> str:
        """Return one line for a person."""
        done = ", ".join(f"{name}: {n:,} items" for name, n in self.encoded.items())
        if not self.faults:
            return done
        item, column, why = self.faults[0]
        return f"{done}; {len(self.faults):,} without (first: {column} of {item!r}: {why})"

    def warn(self, stacklevel: int = 3) -> None:
        """Warn of the faults, if there are any, in the name of a caller's caller."""
        if self.faults:
            warnings.warn(self.summary(), stacklevel=stacklevel)


def encode_items(
    data: Dataset,
    columns: Sequence[str] | Mapping[str, str | Mapping[str, Any]] | None = None,
    *,
    root: str | Path | None = None,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> tuple[Dataset, EncodingReport]:
    """Return the dataset with a modality for each encoded column of its items table.

    Args:
        data: with an items table.
        columns: which: names, whose kinds in the schema choose the encoder; or name → encoder, a
            registered name or `{"encoder": …, further settings}`. By default every column that
            the schema calls text, image or audio.
        root: folder that files must lie in.
        cache: of vectors; by default the user's.
        progress: told how far it has come.

    Raises:
        ConfigError: no such column or encoder, or a kind that no encoder reads.
        MissingExtraError: an encoder is not installed.

    Example:
        >>> from warmstart.data import load_dataset
        >>> data = load_dataset("synthetic", n_users=50, n_items=30)
        >>> data, report = encode_items(data, ["title"])
        >>> data.content["title"].dim, report.encoded
        (512, {'title': 30})
    """
    kinds = data.schema.items
    if columns is None:
        columns = [name for name, column in kinds.items() if column.kind in KINDS]
    if not columns:
        return data, EncodingReport({}, ())
    if not isinstance(columns, Mapping):
        unread = [c for c in columns if c in kinds and kinds[c].kind not in KINDS]
        if unread:
            raise ConfigError(
                f"column {unread[0]!r} is taken for {kinds[unread[0]].kind}; name its encoder, or "
                "call it text, image or audio in the schema"
            )
        columns = {c: KINDS[kinds[c].kind] if c in kinds else "text" for c in columns}
    if data.item_table is None or any(c not in data.item_table.column_names for c in columns):
        known = [] if data.item_table is None else data.item_table.column_names
        bad = next((c for c in columns if c not in known), next(iter(columns), ""))
        raise ConfigError(f"there is no item column {bad!r}; there are: {', '.join(known)}")
    specs = []
    for column, named in columns.items():
        settings = {"encoder": named} if isinstance(named, str) else dict(named)
        name = settings.pop("encoder", "text")
        root = settings.pop("root", root)  # a path of this machine has no place in a model
        encoder = make_encoder(name, settings, root)
        specs.append(
            EncodedColumn(column=column, encoder=name, config=settings, version=encoder.version)
        )
    found, report = encode_rows(
        specs, data.item_table, data.items, root=root, cache=cache, progress=progress
    )
    again = replace(
        data,
        item_vectors=dict(data.item_vectors) | found,
        item_encoders=(
            *(e for e in data.item_encoders if e.column not in columns),
            *specs,
        ),
    )
    return again, report


def encode_rows(
    specs: Sequence[EncodedColumn],
    table: pa.Table,
    items: Ids,
    *,
    root: str | Path | None = None,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Block], EncodingReport]:
    """Return a block for each encoded column of a table of items.

    Args:
        specs: which encoders read which columns; a column that is not there is lacking.
        table: row i is item i.
        items: their ids, for the report.
        root: folder that files must lie in.
        cache: of vectors; by default the user's.
        progress: told how far it has come.

    Raises:
        ConfigError: an encoder is of another version than the spec's.
        MissingExtraError: an encoder is not installed.
    """
    cache = VectorCache() if cache is None else cache
    blocks: dict[str, Block] = {}
    faults: list[tuple[str | int, str, str]] = []
    for spec in specs:
        encoder = make_encoder(spec.encoder, spec.config, root)
        if encoder.version != spec.version:
            raise ConfigError(
                f"column {spec.column!r} was encoded by {spec.encoder} {spec.version!r}, this is "
                f"{encoder.version!r}; install that version, or train again"
            )
        if spec.column not in table.column_names:
            continue
        contents = table[spec.column].to_pylist()
        done = encode(encoder, contents, cache=cache, progress=progress)
        blocks[spec.column] = Block(done.vectors, done.known)
        faults += [(items[f.place], spec.column, f.why) for f in done.faults]
    encoded = {name: int(block.known.sum()) for name, block in blocks.items()}
    return blocks, EncodingReport(encoded, tuple(faults))


def trusted(specs: Sequence[EncodedColumn], trust_encoders: bool) -> None:
    """Refuse encoders other than the local ones unless whoever made the model is trusted.

    Raises:
        ConfigError: an encoder has settings that the model brings, such as an address.
    """
    foreign = [e for e in specs if e.encoder not in KINDS.values()]
    if foreign and not trust_encoders:
        raise ConfigError(
            f"column {foreign[0].column!r} is encoded by {foreign[0].encoder!r} with settings "
            "that the model brings, such as an address; pass trust_encoders=True if you trust "
            "whoever made the model"
        )


def make_encoder(name: str, settings: Mapping[str, Any], root: str | Path | None = None) -> Encoder:
    """Return a registered encoder with some settings.

    Args:
        name: under `warmstart.encoders`.
        settings: as plain values.
        root: folder that files must lie in, where it reads files.

    Raises:
        ConfigError: no such encoder or setting.
    """
    kind = registry.lookup("encoders", name)
    values = dict(settings)
    if root is not None and "root" in kind.config_type.model_fields:
        values.setdefault("root", str(root))
    try:
        return _ready(kind, kind.config_type.parse(values).model_dump_json())
    except DataError as error:
        raise ConfigError(str(error)) from None


@lru_cache(maxsize=4)
def _ready(kind: Any, settings: str) -> Encoder:  # noqa: ANN401  (a class of encoders)
    """Return an encoder that keeps its weights: loading them costs more than encoding one film."""
    encoder: Encoder = kind(kind.config_type.parse(json.loads(settings)))
    return encoder
