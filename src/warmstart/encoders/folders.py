"""Folders of models in Hugging Face's format: what may be read, and what decides vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warmstart.core.errors import ArtifactError

DECIDING = ("*.safetensors", "*.json", "*.txt", "*.model")  # weights, settings, vocabulary


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress and notes of loading off the terminal; settings are left as they were."""
    from transformers import utils

    logging: Any = utils.logging
    shown = logging.is_progress_bar_enabled()
    said = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(said)
        if shown:
            logging.enable_progress_bar()


def check_weights(folder: Path) -> None:
    """Refuse a model that has pickles where safetensors must be."""
    if not any(folder.rglob("*.safetensors")):
        raise ArtifactError(f"{folder} holds no .safetensors file; save the model in that format")
    for pickle in folder.rglob("pytorch_model*.bin"):
        if not any(pickle.parent.glob("*.safetensors")):
            raise ArtifactError(f"{pickle} is a pickle, and those are not read; save safetensors")


def fingerprint(folder: Path) -> str:
    """Return a hash of every file that decides the vectors, by its place and content."""
    digest = hashlib.sha256()
    for path in sorted({p for pattern in DECIDING for p in folder.rglob(pattern)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())
        digest.update(content)
    return digest.hexdigest()[:32]


def first_line(error: Exception) -> str:
    """Return the first line of an error that others wrote."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
