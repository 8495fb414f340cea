"""What the commands share: one line for what goes wrong, and JSON for programs."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from warmstart.core.errors import ConfigError, WarmstartError
from warmstart.llm.clean import plain

USAGE, INTERRUPTED = 2, 130


class Interrupted(Exception):
    """Ctrl-C, with a word on what is kept."""


def run(command: Any, args: Sequence[str] | None = None) -> int:  # noqa: ANN401  (a typer command)
    """Run a command and return its exit code; nothing expected prints a traceback."""
    try:
        code = command.main(args, prog_name="warmstart", standalone_mode=False)
    except WarmstartError as error:
        return _say(f"error: {error}", USAGE)
    except Interrupted as error:
        return _say(str(error), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except typer.Exit as end:
        return int(end.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nothing is wrong
        return 0
    except OSError as error:
        return _say(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), USAGE)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own: an unknown option, a missing argument
            return _say(f"error: {error.format_message().rstrip('.')}; see --help", USAGE)
        raise
    if code == INTERRUPTED:  # typer has taken the KeyboardInterrupt already
        return _say("interrupted", INTERRUPTED)
    return int(code) if isinstance(code, int) else 0


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401
    """Write `content` as JSON (a string is taken as JSON already); `-` is standard output.

    Raises:
        ConfigError: the folder is not there.
    """
    if not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False, indent=1)
    if str(path) == "-":
        typer.echo(content)
        return
    check_folder(path)
    path.write_text(content + "\n", "utf8")


def read_settings(path: Path | None) -> dict[str, Any]:
    """Return the settings of a file, JSON or TOML; none without a file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    if path is None:
        return {}
    try:
        text = path.read_text("utf8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the settings {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"the settings {path} are not valid: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"the settings {path} must be one table of names and values")
    return found


def named_files(pairs: list[str] | None, option: str) -> dict[str, Path]:
    """Return name → file of an option that takes NAME=FILE."""
    found = {}
    for pair in pairs or []:
        name, equals, file = pair.partition("=")
        if not equals or not name or not file:
            raise ConfigError(f"{option} takes NAME=FILE, got {pair!r}")
        found[name] = Path(file)
    return found


def check_folder(path: Path | None) -> None:
    """Refuse, before the work, an output file whose folder is not there."""
    if path is not None and str(path) != "-" and not path.absolute().parent.is_dir():
        raise ConfigError(f"{path.parent} is no folder; create it or choose another file")


def rows_rule(text: str) -> Literal["raise", "drop"]:
    """Return what to do with bad rows, or refuse the word."""
    if text == "raise":
        return "raise"
    if text == "drop":
        return "drop"
    raise ConfigError(f"--on-bad-rows is raise or drop, got {text!r}")


def shown(text: str) -> Text:
    """Return what strangers wrote, such as a title, as it may be printed: no markup, no escapes."""
    return Text(plain(text))


def _say(line: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True).print(Text("\n".join(map(plain, line.split("\n")))))
    return code
