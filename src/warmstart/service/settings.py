"""Settings of the service; what a request may hold is bounded in `schemas`."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from warmstart.core.config import Config

TENANT = "default"
"""The tenant of whoever runs the service; its admins may exchange models."""


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ServiceConfig(Config):
    """How the service runs.

    Attributes:
        no_auth: everybody is an admin; the service must then be reached by this machine alone.
        most_body_bytes: longer requests are refused.
        most_at_once: requests that are worked on at one time; further ones get 503.
        most_reading: requests whose bodies may be under way at one time.
        seconds_to_read: for a body to arrive.
        threads: that compute.
        rate: requests of one key, as the library `limits` writes them.
        key_seconds: how long a good key is believed without asking the store again, so that a
            revoked one opens nothing after that time.
        poll_seconds: how often changes of items by other processes are looked for.
        models: folder that models may be loaded from; None: beside the first one.
        content_root: folder of the images and sounds that new items name; None: they name none.
        trust_encoders: whether texts may be sent to addresses that the model names.
        approximate: whether candidates come from an approximate index, see
            `Recommender.approximate`; it is built as a model is loaded.
        deadline_seconds: for an answer of `/v1/ask`, a language model included.
    """

    no_auth: bool = False
    most_body_bytes: int = Field(2 << 20, ge=1_024, le=1 << 30)
    most_at_once: int = Field(64, ge=1)
    most_reading: int = Field(256, ge=1)
    seconds_to_read: float = Field(10.0, gt=0)
    threads: int = Field(default_factory=_cores, ge=1, le=256)
    rate: str = "60000/minute"
    key_seconds: float = Field(1.0, ge=0, le=60)
    poll_seconds: float = Field(0.5, gt=0, le=60)
    models: Path | None = None
    content_root: Path | None = None
    trust_encoders: bool = False
    approximate: bool = False
    deadline_seconds: float = Field(2.0, gt=0, le=60)
