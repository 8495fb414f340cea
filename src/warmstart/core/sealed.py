"""A folder of plain files that is checked before it is believed: what saved models lie in.

A manifest (JSON with a checksum of its own) names the size and the SHA-256 of every other file, and
the type and shape of every array of a safetensors file. Writing makes the folder whole beside its
place and then moves it there. Reading refuses a folder whose files are not exactly those asked
for, a symbolic link, and a size, hash, name, type or shape that differs from the manifest, or a
number that is not finite. The hashes prove that a folder is as it was written, not who wrote it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy as st
from pydantic import Field
from safetensors import SafetensorError

from warmstart.core.config import Config
from warmstart.core.errors import ArtifactError

MANIFEST, MODEL, CARD = "manifest.json", "model.safetensors", "README.md"
_LARGEST_MANIFEST = 64 << 20
_LARGEST_FILE = 16 << 30


class File(Config):
    """One file of the folder: its size in bytes and SHA-256."""

    bytes: int = Field(ge=0, le=_LARGEST_FILE)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Tensor(Config):
    """One array: NumPy's name of its type, and its shape."""

    dtype: str = Field(max_length=20)
    shape: tuple[int, ...] = Field(max_length=8)


# Writing


def check_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse arrays that could not be read back.

    Raises:
        ArtifactError: one holds no numbers, or numbers that are not finite.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ArtifactError(f"array {name!r} is of type {array.dtype}; keep numbers only")
        if not np.isfinite(array).all():
            raise ArtifactError(f"array {name!r} holds NaN or infinity; the training failed")


def declared(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Return what the manifest says of arrays."""
    return {n: {"dtype": a.dtype.name, "shape": a.shape} for n, a in arrays.items()}


def hashed(blobs: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return what the manifest says of files."""
    return {
        name: {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
        for name, blob in blobs.items()
    }


def sealed(values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Return a manifest as JSON holds it, with its checksum.

    Args:
        values: all of it but the checksum.
        what: whose it is, for the message.

    Raises:
        ArtifactError: JSON cannot hold it.
    """
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"{what} keeps what JSON cannot hold in its state or report: {error}"
        ) from None
    found: dict[str, Any] = json.loads(text)
    return found | {"checksum": checksum(found)}


def checksum(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's canonical JSON without its checksum."""
    rest = {key: value for key, value in values.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a model depends on."""
    found = {"python": platform.python_version()}
    for package in ("numpy", "scipy", "pyarrow", "safetensors", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write(path: Path, blobs: Mapping[str, bytes]) -> Path:
    """Write a folder beside the target, and put it in its place when it is whole.

    Raises:
        ArtifactError: something else is there, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not _replaceable(target, set(blobs)):
        raise ArtifactError(f"{path} exists and is no saved model; choose another path")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror}; choose another path") from None
    try:
        for name, blob in blobs.items():
            with (fresh / name).open("wb") as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
        fresh.chmod(0o755)
        _swap(fresh, target)
    except OSError as error:
        raise ArtifactError(
            f"cannot write {path}: {error.strerror}; what was there before is still there"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return path


def _swap(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(old)  # replaces the empty folder
        try:
            fresh.rename(target)
        except OSError:
            old.rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _replaceable(target: Path, files: set[str]) -> bool:
    if not target.is_dir():
        return False
    names = {entry.name for entry in target.iterdir()}
    return not names or (MANIFEST in names and names <= files)


# Reading


def check_folder(folder: Path, files: frozenset[str]) -> None:
    """Refuse whatever is not a folder of exactly these files; the card may be missing.

    Raises:
        ArtifactError: so it is.
    """
    if not folder.exists():
        raise ArtifactError(f"no saved model at {folder}; check the path, or train one")
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is a file; a saved model is a folder with {MANIFEST}")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise ArtifactError(f"cannot read {folder}: {error.strerror}") from None
    names = {entry.name for entry in entries}
    if MANIFEST not in names:
        raise ArtifactError(f"{folder} has no {MANIFEST}: it is not a saved model")
    for entry in entries:
        if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
            raise ArtifactError(
                f"{folder / entry.name} is not a plain file (a link or a folder); refused"
            )
    missing, extra = files - {CARD} - names, names - files
    if missing or extra:
        what = f"lacks {sorted(missing)}" if missing else f"holds unexpected {sorted(extra)}"
        raise ArtifactError(f"{folder} {what}; a saved model is exactly {sorted(files)}")


def read_manifest(folder: Path, *, newest: int, ours: str) -> dict[str, Any]:
    """Return the manifest, whose checksum is right and whose format can be read.

    Args:
        folder: of the model.
        newest: format version that can be read.
        ours: the version of warmstart, for the message.

    Raises:
        ArtifactError: it is damaged, changed, or newer.
    """
    path = folder / MANIFEST
    blob = _bytes(path, _LARGEST_MANIFEST)
    try:
        values = json.loads(blob.decode("utf8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "it nests too deeply"
        raise ArtifactError(f"{path} is not JSON ({reason}); get the model again") from None
    if not isinstance(values, dict):
        raise ArtifactError(f"{path} is not a JSON object; get the model again")
    found = values.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ArtifactError(f"{path} names no format version; it is not a manifest of warmstart")
    if found > newest:
        writer = str(values.get("created_by", "a newer warmstart"))[:60]
        raise ArtifactError(
            f"{folder} has format {found}, written by {writer}; this is warmstart "
            f"{ours}, which reads up to format {newest}; run: "
            "pip install --upgrade warmstart"
        )
    if values.get("checksum") != checksum(values):
        raise ArtifactError(f"{path} was changed after it was written; get the model again")
    return values


def read_files(folder: Path, files: Mapping[str, File], *, expected: set[str]) -> dict[str, bytes]:
    """Return the files that the manifest names, each as it was written.

    Raises:
        ArtifactError: others than expected, or one differs from what the manifest says.
    """
    if set(files) != expected:
        raise ArtifactError(
            f"{folder / MANIFEST} lists the files {sorted(files)}; expected "
            f"{sorted(expected)}: the model is damaged, get it again"
        )
    blobs = {}
    for name, said in files.items():
        blob = _bytes(folder / name, said.bytes)
        if len(blob) != said.bytes or hashlib.sha256(blob).hexdigest() != said.sha256:
            raise ArtifactError(
                f"{folder / name} differs from what the manifest says ({len(blob)} bytes instead "
                f"of {said.bytes}, or another hash): it is damaged, get the model again"
            )
        blobs[name] = blob
    return blobs


def read_arrays(
    blob: bytes, said: Mapping[str, Tensor], folder: Path
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a safetensors file, which are those that the manifest names.

    Raises:
        ArtifactError: they differ, or hold what is no finite number.
    """
    path = folder / MODEL
    try:
        arrays: dict[str, npt.NDArray[Any]] = st.load(blob)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ArtifactError(f"{path} is not a whole safetensors file ({error})") from None
    found = {n: Tensor(dtype=a.dtype.name, shape=a.shape) for n, a in arrays.items()}
    if found != said:
        odd = sorted(set(found) ^ set(said)) or sorted(n for n in found if found[n] != said[n])
        raise ArtifactError(
            f"{path}: array {odd[0]!r} is not what the manifest declares; get the model again"
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ArtifactError(f"{path}: array {name!r} is of type {array.dtype}; refused")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"{path}: array {name!r} holds NaN or infinity; refused")
    return arrays


def _bytes(path: Path, largest: int) -> bytes:
    """Read a plain file of at most `largest` bytes, and not through a link."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactError(f"{path} is not a plain file; refused")
            if found.st_size > largest:
                raise ArtifactError(
                    f"{path} has {found.st_size:,} bytes where at most {largest:,} are expected; "
                    "the model is damaged, get it again"
                )
            return file.read(largest + 1)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from None


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")
