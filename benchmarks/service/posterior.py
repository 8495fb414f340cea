"""Whether a cached posterior would pay: `python -m benchmarks.service.posterior`.

A user's state is their events. What adapts the model to them could be kept in the store as well,
and be read instead of made again. The events have to be read all the same: they tell which items
were seen, which neighbours move, and whether the cached posterior is still that of the last event.
So what a cache saves is the adaptation, and what it costs is to read what was kept, and to write it
after each event. Results are added, never edited.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.speed.models import drawn
from warmstart.core.config import Config
from warmstart.core.types import Histories
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.store import Event, open_store

RESULTS = Path(__file__).parent / "results"


class PosteriorConfig(Config):
    """Sizes.

    Attributes:
        items: of the model.
        users: whose events are stored.
        events: of each.
        batch: users that are adapted to together under load.
        repeats: of each measurement.
        seed: of everything drawn.
    """

    items: int = Field(3_706, ge=100)
    users: int = Field(2_000, ge=1)
    events: int = Field(10, ge=1)
    batch: int = Field(32, ge=1)
    repeats: int = Field(300, ge=1)
    seed: int = Field(0, ge=0)


def microseconds(call: Callable[[int], object], repeats: int, users: int = 1) -> float:
    """Return the median time of a call, for each user."""
    times = []
    for at in range(repeats):
        begun = perf_counter()
        call(at)
        times.append(perf_counter() - begun)
    return 1e6 * float(np.median(times)) / users


def run(config: PosteriorConfig, now: datetime) -> dict[str, Any]:
    """Measure and return the record."""
    begun, code, rng = perf_counter(), records.commit(), np.random.default_rng(config.seed)
    model = drawn(config.items, DefaultConfig(), rng)
    with tempfile.TemporaryDirectory() as name:
        store = open_store(Path(name) / "events.sqlite")
        items = rng.integers(0, config.items, (config.users, config.events))
        for user, liked in enumerate(items.tolist()):
            some = [
                Event(f"{user}-{n}", user, i, "like", None, float(n)) for n, i in enumerate(liked)
            ]
            store.append("t", some)
        ends = np.arange(0, config.batch * config.events + 1, config.events)
        ones = np.ones(config.batch * config.events, np.float32)
        many = Histories(ends, items[: config.batch].astype(np.int32).ravel(), ones)
        one = many.take(np.array([0]))
        kept = model.asked(one).queries.tobytes()
        beside = sqlite3.connect(Path(name) / "posteriors.sqlite", isolation_level=None)
        beside.execute("PRAGMA journal_mode = WAL")
        beside.execute("CREATE TABLE posteriors (user INTEGER PRIMARY KEY, last TEXT, held BLOB)")
        write = "INSERT OR REPLACE INTO posteriors VALUES (?, ?, ?)"
        beside.executemany(write, [(u, f"{u}-9", kept) for u in range(config.users)])

        def read(at: int) -> object:
            (held,) = beside.execute(
                "SELECT held FROM posteriors WHERE user = ? AND last = ?",
                (at % config.users, f"{at % config.users}-9"),
            ).fetchone()
            return np.frombuffer(held, np.float32)

        n = config.repeats
        found = {
            "read_events": microseconds(lambda at: store.events("t", at % config.users), n),
            "adapt_alone": microseconds(lambda _: model.asked(one), n),
            "adapt_together": microseconds(lambda _: model.asked(many), n, config.batch),
            "rank_alone": microseconds(lambda _: model.top_k(one, 10), n),
            "rank_together": microseconds(lambda _: model.top_k(many, 10), n, config.batch),
            "read_posterior": microseconds(read, n),
            "write_posterior": microseconds(
                lambda at: beside.execute(write, (at % config.users, "x", kept)), n
            ),
        }
        again = model.asked(one).queries.tobytes()
        beside.close()
        store.close()
    return {
        "benchmark": "posterior",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "microseconds_a_user": found,
        "posterior_bytes": len(kept),
        "rebuilt_to_the_same_bytes": again == kept,
        "load_average": os.getloadavg(),
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": perf_counter() - begun,
    }


def main() -> int:
    """Measure and add the result."""

    def work() -> None:
        record = run(PosteriorConfig(), datetime.now(UTC))
        print(json.dumps(record["microseconds_a_user"], indent=1))
        print(records.add(records.spelled(record), "posterior", record["date"], RESULTS))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
