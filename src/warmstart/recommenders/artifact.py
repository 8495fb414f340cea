"""A saved model: a folder of plain data that is checked before it is believed.

    model.safetensors   the method's arrays
    catalogue.parquet   ids, titles and columns of the items
    manifest.json       format, method, settings, seed, data, versions, sizes and hashes
    README.md           the model card, for people; it is never read back

Nothing in it can run: no pickle, no import path (a method is looked up by its registered name), no
Arrow extension type. Reading refuses a folder whose files are not exactly these, a symbolic link,
a size, hash, name, type or shape that differs from the manifest, a number that is not finite, an
index that points nowhere. The hashes prove that a folder is as it was written, not who wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy as st
import scipy.sparse as sp
from pydantic import Field

import warmstart
from warmstart.core import registry, sealed
from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError, DataError, MissingExtraError, WarmstartError
from warmstart.core.sealed import CARD, MANIFEST, MODEL, File, Tensor
from warmstart.core.types import Histories, State
from warmstart.data import FeatureSpace, Ids, Schema
from warmstart.data.content import EncodedColumn
from warmstart.data.known import KnownIds
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.model_card import model_card
from warmstart.recommenders.new_items import WithNewItems

if TYPE_CHECKING:
    from warmstart.recommenders.recommender import Recommender

FORMAT = 2
"""The newest version of the format that this code reads; it writes the oldest that will do."""

_FIRST, _WITH_REMOVED = 1, 2  # who knows format 1 alone would recommend what was removed

CATALOGUE = "catalogue.parquet"
_FILES = frozenset({MANIFEST, MODEL, CATALOGUE, CARD})
_LARGEST_TABLE = 4 << 30  # uncompressed
_MOST_COLUMNS = 4_096
_ID, _LIKES, _REMOVED = "warmstart:item", "warmstart:likes", "warmstart:removed"
_NEW = "warmstart:new_items."
_MET = "met_users"

R = TypeVar("R", bound="Recommender")


class CatalogueInfo(Config):
    """What the Parquet file does not say of the catalogue; see `Catalogue`."""

    n_items: int = Field(ge=1)
    n_users: int = Field(ge=0)
    n_new: int = Field(ge=0)
    n_removed: int = Field(0, ge=0)
    has_table: bool
    schema_: dict[str, Any] = Field(alias="schema")
    user_features: list[dict[str, Any]] | None
    item_features: list[dict[str, Any]] | None
    item_encoders: tuple[EncodedColumn, ...] = ()


class Manifest(Config):
    """The manifest: everything in the artefact that is neither an array nor the catalogue.

    Attributes:
        format: version of this format.
        created_by: the version of warmstart that wrote it.
        created: time of creation, if whoever saved it passed one.
        method: registered name.
        config: the method's settings.
        state: plain values of the method's `State`.
        seed: of the training.
        data: name, fingerprint and counts of the training data, and whom it was (`KnownIds`).
        report: what the method reports of its training.
        versions: of Python and the libraries.
        catalogue: what the Parquet file does not say.
        tensors: every array of `model.safetensors`.
        files: size and hash of `model.safetensors` and `catalogue.parquet`.
        checksum: SHA-256 of this manifest's canonical JSON without this entry.
    """

    format: int
    created_by: str
    created: str | None = None
    method: str = Field(max_length=200)
    config: dict[str, Any]
    state: dict[str, Any]
    seed: int
    data: dict[str, Any]
    report: dict[str, Any]
    versions: dict[str, str]
    catalogue: CatalogueInfo
    tensors: dict[str, Tensor]
    files: dict[str, File]
    checksum: str


def save(model: Recommender, path: str | Path, *, created: str | None = None) -> Path:
    """Write a fitted recommender; see `Recommender.save`."""
    if model.name not in registry.names("methods"):
        raise ArtifactError(
            f"method {model.name!r} is not registered under warmstart.methods, so nobody could "
            "load the model; register it as an entry point"
        )
    served = model.fitted
    arrays, state = _arrays_of(served.method)
    method = served.method.method if isinstance(served.method, WithNewItems) else served.method
    catalogue = served.catalogue
    blobs = {
        MODEL: st.save(arrays),
        CATALOGUE: _parquet(_catalogue_table(catalogue)),
    }
    values: dict[str, Any] = {
        "format": _FIRST if catalogue.removed is None else _WITH_REMOVED,
        "created_by": f"warmstart {warmstart.__version__}",
        "created": created,
        "method": model.name,
        "config": method.config.model_dump(mode="json"),
        "state": state,
        "seed": model.seed,
        "data": served.origin | ({} if served.met is None else {_MET: served.met.plain()}),
        "report": method.report() if hasattr(method, "report") else {},
        "versions": sealed.versions(),
        "catalogue": {
            "n_items": len(catalogue),
            "n_users": catalogue.n_users,
            "n_new": catalogue.n_new,
            **({} if catalogue.removed is None else {"n_removed": int(catalogue.removed.sum())}),
            "has_table": catalogue.table is not None,
            "schema": catalogue.schema.model_dump(mode="json"),
            "user_features": _plain(catalogue.user_features),
            "item_features": _plain(catalogue.item_features),
            "item_encoders": [e.model_dump(mode="json") for e in catalogue.item_encoders],
        },
        "tensors": sealed.declared(arrays),
        "files": sealed.hashed(blobs),
    }
    values = sealed.sealed(values, what=f"method {model.name!r}")
    blobs[MANIFEST] = json.dumps(values, ensure_ascii=False, indent=1).encode()
    blobs[CARD] = model_card(values).encode()
    return sealed.write(Path(path), blobs)


def load(path: str | Path, kind: type[R]) -> R:
    """Read a saved recommender; see `Recommender.load`."""
    folder = Path(path)
    manifest = read_manifest(folder)
    blobs = sealed.read_files(folder, manifest.files, expected={MODEL, CATALOGUE})
    arrays = sealed.read_arrays(
        blobs.pop(MODEL), manifest.tensors, folder
    )  # the bytes may go before more comes
    catalogue = _catalogue(blobs[CATALOGUE], manifest, folder)
    try:
        method_kind = registry.lookup("methods", manifest.method)
    except WarmstartError as error:
        raise ArtifactError(
            f"{folder} needs the method {manifest.method!r}: {error}; install the plug-in that "
            "brings it"
        ) from None
    try:
        method = _method(method_kind, arrays, manifest, len(catalogue))
    except MissingExtraError:
        raise  # nothing is wrong with the model
    except WarmstartError as error:
        raise ArtifactError(f"{folder} does not fit its method: {error}; train it again") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ArtifactError(
            f"{folder} does not fit its method {manifest.method!r} "
            f"({type(error).__name__}: {error}); train it again"
        ) from None
    inner = method.method if isinstance(method, WithNewItems) else method
    origin = dict(manifest.data)
    try:
        met = KnownIds.parse(origin.pop(_MET)) if _MET in origin else None
    except DataError as error:
        raise ArtifactError(f"{folder}: {error}; get the model again") from None
    fitted = Fitted(method, catalogue, origin, met)
    return kind._restored(manifest.method, manifest.seed, inner, fitted)


def read_manifest(path: str | Path) -> Manifest:
    """Return the manifest of a saved model, the rest of which is not looked at.

    Raises:
        ArtifactError: there is none, it is damaged, or its format is newer than this code.
    """
    folder = Path(path)
    sealed.check_folder(folder, _FILES)
    values = sealed.read_manifest(folder, newest=FORMAT, ours=warmstart.__version__)
    try:
        return Manifest.parse(values)
    except WarmstartError as error:
        raise ArtifactError(
            f"{folder / MANIFEST} is malformed: {str(error)[:300]}; get the model again"
        ) from None


# Writing


def _arrays_of(method: Any) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:  # noqa: ANN401
    inner = method.method if isinstance(method, WithNewItems) else method
    state: State = inner.state()
    # order="C", for safetensors writes the memory as it lies
    arrays = {name: np.asarray(array, order="C") for name, array in state.arrays.items()}
    if any(name.startswith("warmstart:") for name in arrays):
        raise ArtifactError("a method's arrays must not be called warmstart:…; rename them")
    if isinstance(method, WithNewItems):
        n = method.neighbours
        arrays[_NEW + "data"], arrays[_NEW + "indices"] = n.data, n.indices.astype(np.int64)
        arrays[_NEW + "indptr"] = n.indptr.astype(np.int64)
    sealed.check_arrays(arrays)
    return arrays, state.meta


def _catalogue_table(catalogue: Catalogue) -> pa.Table:
    columns: dict[str, Any] = {
        _ID: catalogue.items.values,
        _LIKES: pa.array(catalogue.likes.astype(np.int64)),
    }
    if catalogue.removed is not None:
        columns[_REMOVED] = pa.array(catalogue.removed)
    known = pa.table({}) if catalogue.table is None else catalogue.table
    for name in known.column_names:
        column = known[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_duration(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.int64())
        columns[name] = column
    return pa.table(columns)


def _parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    # without Arrow's own schema there is no extension type that a reader could revive
    pq.write_table(table.replace_schema_metadata(None), buffer, store_schema=False)
    return bytes(buffer.getvalue())


# Reading


def _catalogue(blob: bytes, manifest: Manifest, folder: Path) -> Catalogue:
    path, info = folder / CATALOGUE, manifest.catalogue
    try:
        file = pq.ParquetFile(pa.BufferReader(blob))
        meta = file.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        if meta.num_rows != info.n_items or meta.num_columns > _MOST_COLUMNS:
            raise ArtifactError(
                f"{path} has {meta.num_rows} items and {meta.num_columns} columns where the "
                f"manifest says {info.n_items} items; get the model again"
            )
        if size > _LARGEST_TABLE:
            raise ArtifactError(
                f"{path} unpacks to {size:,} bytes, more than the {_LARGEST_TABLE:,} that are "
                "read; train the model on an items table with fewer or shorter columns"
            )
        if b"ARROW:schema" in (meta.metadata or {}):
            raise ArtifactError(f"{path} brings an Arrow schema of its own; refused")
        table = file.read()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtifactError(f"{path} is not a whole Parquet file ({reason})") from None
    if any(isinstance(f.type, pa.BaseExtensionType) for f in table.schema):
        raise ArtifactError(f"{path} holds an Arrow extension type; refused")
    if table.column_names[:2] != [_ID, _LIKES] or not pa.types.is_integer(table[_LIKES].type):
        raise ArtifactError(f"{path} does not begin with the items' ids and likes; refused")
    ours, removed = [_ID, _LIKES], None
    if info.n_removed:
        ours.append(_REMOVED)
        if table.column_names[2:3] != [_REMOVED] or not pa.types.is_boolean(table[_REMOVED].type):
            raise ArtifactError(f"{path} does not say which items were removed; refused")
        removed = np.array(table[_REMOVED].to_pylist())
        if table[_REMOVED].null_count or int(removed.sum()) != info.n_removed:
            raise ArtifactError(
                f"{path} does not say of {info.n_removed} items that they were removed, as the "
                "manifest does; get the model again"
            )
    try:
        return Catalogue(
            items=Ids(table[_ID].combine_chunks()),
            table=table.drop_columns(ours) if info.has_table else None,
            likes=table[_LIKES].to_numpy().astype(np.int64),
            n_users=info.n_users,
            schema=Schema.parse(info.schema_),
            user_features=_space(info.user_features),
            item_features=_space(info.item_features),
            item_encoders=info.item_encoders,
            n_new=info.n_new,
            removed=removed,
        )
    except (WarmstartError, pa.ArrowException, ValueError, TypeError) as error:
        raise ArtifactError(f"{folder}: the catalogue is malformed: {str(error)[:300]}") from None


def _method(
    kind: Any,  # noqa: ANN401
    arrays: dict[str, npt.NDArray[Any]],
    manifest: Manifest,
    n_items: int,
) -> Any:  # noqa: ANN401
    own = {name: array for name, array in arrays.items() if not name.startswith(_NEW)}
    method = kind.from_state(State(own, manifest.state))
    new = {n.removeprefix(_NEW): a for n, a in arrays.items() if n.startswith(_NEW)}
    if new:
        shape = (manifest.catalogue.n_new, n_items - manifest.catalogue.n_new)
        parts = (new["data"], new["indices"], new["indptr"])
        method = WithNewItems(method, sp.csr_array(parts, shape=shape))
    for matrix in _sparse_parts(method, depth=4):
        matrix.check_format(full_check=True)  # an index that points nowhere is a write there
    scores = method.score(Histories.empty(1, _no_features(manifest)))
    if scores.shape != (1, n_items) or not np.isfinite(scores).all():
        raise ValueError(f"it gives scores of shape {scores.shape} for {n_items} items, or NaN")
    return method


def _sparse_parts(value: Any, depth: int) -> Iterator[Any]:  # noqa: ANN401
    """Yield every sparse matrix in an object's attributes, lists, mappings and dataclasses."""
    if sp.issparse(value):
        if value.format in ("csr", "csc"):
            yield value
    elif depth:
        inside: Any = ()
        if isinstance(value, Mapping):
            inside = value.values()
        elif isinstance(value, list | tuple):
            inside = value
        elif is_dataclass(value) and not isinstance(value, type):
            inside = [getattr(value, f.name) for f in fields(value)]
        elif hasattr(value, "__dict__") and not isinstance(value, type | Config):
            inside = vars(value).values()
        for one in inside:
            yield from _sparse_parts(one, depth - 1)


def _no_features(manifest: Manifest) -> Any:  # noqa: ANN401
    space = _space(manifest.catalogue.user_features)
    return None if space is None else space.one({})


def _space(blocks: list[dict[str, Any]] | None) -> FeatureSpace | None:
    return None if blocks is None else FeatureSpace.from_json(json.dumps(blocks))


def _plain(space: FeatureSpace | None) -> Any:  # noqa: ANN401
    return None if space is None else json.loads(space.to_json())
