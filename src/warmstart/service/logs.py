"""Logs for machines: one JSON object a line, of what happened and how long it took.

They hold no key, no user, no item, no text and no query string: a route is named by its pattern,
and an error by its type and the lines of our code that it came through.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

LOGGER = logging.getLogger("warmstart.service")


class JsonLines(logging.Formatter):
    """Writes a record's `fields` as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.msg,
        }
        return orjson.dumps(line | getattr(record, "fields", {})).decode()


def configure(stream: TextIO | None = None) -> None:
    """Send the service's log to a stream, stderr by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    LOGGER.handlers, LOGGER.propagate = [handler], False
    LOGGER.setLevel(logging.INFO)


def log(event: str, **fields: Any) -> None:  # noqa: ANN401
    """Write one line."""
    if LOGGER.isEnabledFor(logging.INFO):
        # not by LOGGER.info, which looks for the line of code that called it
        record = LOGGER.makeRecord(
            LOGGER.name, logging.INFO, "", 0, event, (), None, extra={"fields": fields}
        )
        LOGGER.handle(record)


def failed(event: str, error: BaseException, **fields: Any) -> None:  # noqa: ANN401
    """Write one line on an error: its type and where it was, not what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-8:]]
    known = {"error": type(error).__name__, "where": where}
    LOGGER.error(event, extra={"fields": known | fields})
