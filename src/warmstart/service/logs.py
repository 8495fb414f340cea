"""Logs for machines: one JSON object a line, of what happened and how long it took.

They hold no key, no user, no item, no text and no query string: a route is named by its pattern,
and an error by its type and the lines of our code that it came through.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

LOGGER = logging.getLogger("warmstart.service")


class _Told(logging.LogRecord):
    """A record without where it comes from: to find that out takes longer than to write it."""

    def __init__(self, event: str, fields: dict[str, Any]) -> None:
        now = time.time()
        self.__dict__.update(_NOWHERE, msg=event, fields=fields, created=now, msecs=now % 1 * 1000)


_NOWHERE: dict[str, Any] = logging.makeLogRecord(
    {"name": "warmstart.service", "levelno": logging.INFO, "levelname": "INFO"}
).__dict__


class JsonLines(logging.Formatter):
    """Writes a record's `fields` as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
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
        LOGGER.handle(_Told(event, fields))


def failed(event: str, error: BaseException, **fields: Any) -> None:  # noqa: ANN401
    """Write one line on an error: its type and where it was, not what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-8:]]
    known = {"error": type(error).__name__, "where": where}
    LOGGER.error(event, extra={"fields": known | fields})
