"""Reading the bytes of a file that a table names, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warmstart.core.errors import DataError


def read_file(content: Any, root: str | Path | None, *, most_bytes: int) -> bytes | None:  # noqa: ANN401
    """Return the bytes of a content that is a path, or bytes already; None where it is missing.

    Args:
        content: a path, absolute or below `root`; bytes; None or an empty path.
        root: the folder that files must lie in, links resolved; None trusts every path.
        most_bytes: a larger file is refused unread.

    Raises:
        DataError: there is no such file, it lies outside `root`, is empty or too large.
    """
    if content is None or (isinstance(content, float) and content != content):
        return None
    if isinstance(content, bytes | bytearray | memoryview):
        raw = bytes(content)
        if len(raw) > most_bytes:
            raise DataError(f"{len(raw):,} bytes are more than {most_bytes:,}; make it smaller")
        return raw or None
    if not isinstance(content, str | Path):
        raise DataError(f"expected a path or bytes, got {type(content).__name__}")
    if not str(content).strip():
        return None
    try:
        path = Path(content)
        if root is not None:
            folder = Path(root).resolve()
            path = (folder / path).resolve()
            if not path.is_relative_to(folder):
                raise DataError(f"{content!s} lies outside the folder {root}; move it there")
        if not path.is_file():
            raise DataError(f"there is no file {content!s}; mend the path, or leave it empty")
        if path.stat().st_size > most_bytes:
            raise DataError(
                f"{content!s} has {path.stat().st_size:,} bytes, more than {most_bytes:,}; make "
                "it smaller"
            )
        if not path.stat().st_size:
            raise DataError(f"{content!s} has 0 bytes; fetch it again, or leave it out")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{content!s} cannot be read: {error}; mend the path") from None
