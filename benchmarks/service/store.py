"""Measure the store of events and add a result: `python -m benchmarks.service.store`.

Events are durable when they count: what is measured is calls that returned after the fsync. The
floor beside them is how often the same disk syncs one block. Results are added, never edited.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import records
from warmstart.core.config import Config
from warmstart.recommenders.comparison import hardware, versions
from warmstart.store import Event, Store, open_store

RESULTS = Path(__file__).parent / "results"
PROMISED = 5_000
"""Durable events a second, in batches."""


class StoreConfig(Config):
    """How much is measured.

    Attributes:
        events: that the store holds when it is read.
        users: whose they are.
        batch: events in a call.
        single: calls of one event, by one caller.
        callers: at once, for single events.
        reads: of each kind.
        seed: draws who is read.
    """

    events: int = 1_000_000
    users: int = 50_000
    batch: int = 500
    single: int = 300
    callers: int = 32
    reads: int = 1_000
    seed: int = 0


def syncs(folder: Path, times: int) -> float:
    """Return how many blocks a second the disk takes one by one."""
    with open(folder / "block", "wb", buffering=0) as file:
        begun = perf_counter()
        for _ in range(times):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        return times / (perf_counter() - begun)


def event(name: str, i: int, config: StoreConfig) -> Event:
    """Return one event, of a user that a large prime step chooses."""
    return Event(f"{name}-{i}", i * 7_919 % config.users, i % 3_706, "like", None, float(i))


def writing(store: Store, config: StoreConfig) -> dict[str, float]:
    """Return durable events a second: one by one, of many callers, in batches."""

    def send(name: str, count: int) -> None:
        for i in range(count):
            store.append("t", [event(name, i, config)])

    begun = perf_counter()
    send("single", config.single)
    single = config.single / (perf_counter() - begun)
    begun = perf_counter()
    with ThreadPoolExecutor(config.callers) as pool:
        each = max(1, config.single // 8)
        list(pool.map(lambda k: send(f"caller {k}", each), range(config.callers)))
    shared = config.callers * each / (perf_counter() - begun)
    begun = perf_counter()
    for start in range(0, config.events, config.batch):
        some = range(start, min(start + config.batch, config.events))
        store.append("t", [event("batch", i, config) for i in some])
    batched = config.events / (perf_counter() - begun)
    return {"single": single, "callers": shared, "batched": batched}


def milliseconds(call: Callable[[int], object], config: StoreConfig) -> dict[str, float]:
    """Return the median and the 99th percentile of a call, for users drawn at random."""
    times = []
    for user in np.random.default_rng(config.seed).integers(config.users, size=config.reads):
        begun = perf_counter()
        call(int(user))
        times.append(1e3 * (perf_counter() - begun))
    return {"p50": float(np.median(times)), "p99": float(np.percentile(times, 99))}


def run(config: StoreConfig, address: str | None, now: datetime) -> dict[str, Any]:
    """Measure everything and return the record."""
    begun, code, load = perf_counter(), records.commit(), os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        floor = syncs(Path(folder), config.single)
        url = address or f"sqlite:///{folder}/events.sqlite"
        store = open_store(url)
        written = writing(store, config)
        store.close()
        opened = perf_counter()
        store = open_store(url)
        ready = perf_counter() - opened
        secret, _ = store.create_key("t", ["read"], now=now.timestamp())
        found = {
            "events": milliseconds(lambda user: store.events("t", user), config),
            "recent": milliseconds(lambda _: store.recent("t", 20), config),
            "key": milliseconds(lambda _: store.key(secret), config),
        }
        opened = perf_counter()
        rows = store.training("t").table.num_rows
        training = perf_counter() - opened
        opened = perf_counter()
        store.delete_user("t", 7, now=now.timestamp())
        deleted = perf_counter() - opened
        size = sum(path.stat().st_size for path in Path(folder).glob("events.sqlite*"))
        store.close()
    return {
        "benchmark": "store",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "database": url.partition(":")[0],
        "load_average": load[0],
        "syncs_per_second": floor,
        "durable_events_per_second": written,
        "ready_seconds": ready,
        "read_milliseconds": found,
        "training": {"rows": rows, "seconds": training},
        "delete_user_seconds": deleted,
        "bytes_per_event": size / rows if not address else None,
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": perf_counter() - begun,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, write, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description="Measure the store of events.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    parser.add_argument("--url", help="of an empty PostgreSQL database; by default a new file")
    chosen = parser.parse_args(arguments)

    def work() -> None:
        config = StoreConfig.parse(json.loads(chosen.settings))
        record = run(config, chosen.url, datetime.now(UTC))
        print(records.add(records.spelled(record), "store", record["date"], chosen.out))
        batched = record["durable_events_per_second"]["batched"]
        print(f"{batched:,.0f} durable events/s in batches (promised: {PROMISED:,})")

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
