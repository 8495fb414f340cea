"""How every benchmark adds a result: the commit of the code, and a file that is never replaced."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmstart.core.errors import ConfigError, WarmstartError

_HERE = Path(__file__).parent


def commit() -> str:
    """Return the commit that is checked out, with `+` where tracked files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=_HERE, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def spelled(record: dict[str, Any]) -> str:
    """Return a record as the text of a result."""
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def add(text: str, stem: str, date: str, out: Path) -> Path:
    """Write a result; its name tells what, the day and the contents.

    Raises:
        ConfigError: there is such a result already.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = out / f"{stem}-{date[:10]}-{digest}.json"
    if path.exists():
        raise ConfigError(f"{path} is there already; results are added, never replaced")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf8")
    return path


def told(work: Callable[[], None]) -> int:
    """Do the work of a command and return its exit status; an error is one line."""
    try:
        work()
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
