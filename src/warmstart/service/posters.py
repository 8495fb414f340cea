"""Pictures of items: files below the folder of contents, which the rows of items name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warmstart.recommenders.catalogue import Catalogue

_NAMES = ("poster", "cover", "image", "picture", "thumbnail")
_ENCODERS = ("image", "image-folder")
KINDS = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""Which files are pictures, and their media types."""
_MOST_BYTES = 4 << 20


def named(catalogue: Catalogue, row: dict[str, Any]) -> str | None:
    """Return the file that a row of items names as its picture; None where it names none.

    Args:
        catalogue: whose columns they are.
        row: cells by column.
    """
    columns = [one.column for one in catalogue.item_encoders if one.encoder in _ENCODERS]
    for name in [*columns, *_NAMES]:
        value = row.get(name)
        if isinstance(value, str) and Path(value).suffix.lower() in KINDS:
            return value
    return None


def path_of(root: Path | None, name: str | None) -> Path | None:
    """Return where a picture lies; None where it is not there, or not below the folder.

    Args:
        root: the folder; None: there are no pictures.
        name: of the file, as the row has it.
    """
    if root is None or name is None:
        return None
    try:
        path = (root / name).resolve()
        if path.is_relative_to(root.resolve()) and path.suffix.lower() in KINDS:
            return path if path.is_file() and path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):  # no name of a file
        pass
    return None
