"""How every benchmark adds a result: the commit of the code, and a file that is never replaced."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warmstart.core.config import Config
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


def command(
    description: str,
    config_type: type[Config],
    run: Callable[..., dict[str, Any]],
    *,
    folder: str,
    stem: str,
    out: Path,
    model: str | None = None,
) -> int:
    """Read a benchmark's command line, measure, and add the result; return the exit status.

    Args:
        description: for `--help`.
        config_type: of its settings.
        run: measures: (folder of the data, settings, now) → record, and `model=` where it is taken.
        folder: below `WARMSTART_DATA`.
        stem: of the result's name.
        out: where results go.
        model: what a saved model must be, if `run` can take one instead of training.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    if model is not None:
        parser.add_argument("--model", type=Path, help=model)
    chosen = parser.parse_args()

    def work() -> None:
        config = config_type.parse(json.loads(chosen.settings))
        data = Path(os.environ.get("WARMSTART_DATA", ".")) / folder
        more = {} if model is None else {"model": chosen.model}
        record = run(data, config, datetime.now(UTC), **more)
        print(add(spelled(record), stem, record["date"], chosen.out))

    return told(work)


def told(work: Callable[[], None]) -> int:
    """Do the work of a command and return its exit status; an error is one line."""
    try:
        work()
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
