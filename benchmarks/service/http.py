"""The service under load, from a second process on the same machine.

    python -m benchmarks.service.http [MODEL]

- throughput of `/v1/recommend` with a history of ten events, on a model of the size of ML-1M,
  against a FastAPI route that does nothing, and one that only reads the same request; all on one
  core, taking turns, so that a busy machine slows them alike;
- its latency at half of that throughput;
- latency on 100,000 items at a fixed rate, on all cores, ranked as a whole and by the approximate
  index;
- durable events a second, in batches;
- what a crowd gets that asks for more than there is room for, and what memory that takes;
- lists asked for right after an event, that do not know it: there must be none.

MODEL is a saved one, of ML-1M, whose histories are drawn as often as its users liked the items.
Without it the weights are drawn at random and every gate is open, which costs more than any model
that was trained; the large model is always such a one. What the approximate index finds is measured
elsewhere, in `approximate`, for that depends on the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.request import urlopen

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.speed.models import drawn
from warmstart.core.config import Config
from warmstart.data import Ids, Schema
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.recommender import Recommender
from warmstart.recommenders.recommender import load as load_model
from warmstart.service.client import Client

_HISTORIES = 200
_ROOM = 64  # requests that the server works on at one time
RESULTS = Path(__file__).parent / "results"


class HttpConfig(Config):
    """Sizes of the measurements.

    Attributes:
        items: of the model in the size of ML-1M.
        large_items: of the large one.
        events: of each history.
        connections: of the load generator.
        seconds: of each measurement.
        turns: of the routes that do nothing, and of ours.
        large_rate: requests a second to the large model.
        batch: events in one request.
        reads: lists that are asked for right after an event.
        seed: of everything drawn.
    """

    items: int = Field(3_706, ge=100)
    large_items: int = Field(100_000, ge=100)
    events: int = Field(10, ge=0)
    connections: int = Field(64, ge=1)
    seconds: float = Field(5.0, gt=0)
    turns: int = Field(7, ge=1)
    large_rate: float = Field(150.0, gt=0)
    batch: int = Field(500, ge=1)
    reads: int = Field(200, ge=1)
    seed: int = Field(0, ge=0)


class Running(NamedTuple):
    """A server."""

    port: int
    pid: int


def model(n_items: int, folder: Path, seed: int) -> Path:
    """Save a model whose weights are drawn."""
    method = drawn(n_items, DefaultConfig(), np.random.default_rng(seed))
    likes = np.ones(n_items, np.int64)
    catalogue = Catalogue(Ids(list(range(n_items))), None, likes, 6_040, Schema())
    return Recommender._restored("default", seed, method, Fitted(method, catalogue)).save(folder)


@contextmanager
def running(words: list[str], ready: str, cores: str) -> Iterator[Running]:
    """Run a server on a free port until it is no longer needed; what it compiles is compiled."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *words, "--port", str(port)]
    if cores:
        command = ["taskset", "-c", cores, *command]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=quiet)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and not _settled(f"http://127.0.0.1:{port}", ready):
            time.sleep(0.2)
        yield Running(port, server.pid)
    finally:
        server.terminate()
        server.wait()


def _settled(address: str, ready: str) -> bool:
    """Whether a server answers and, if it is ours, ranks by compiled loops where it can."""
    try:
        with urlopen(address + ready, timeout=5):
            pass
        if ready != "/readyz" or find_spec("numba") is None:
            return True
        with urlopen(address + "/metrics", timeout=5) as answer:
            return b"warmstart_model_compiled 1.0" in answer.read()
    except OSError:
        return False


def load(port: int, cores: str = "", **plan: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run the load generator as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.service.load"]
    if cores:
        command = ["taskset", "-c", cores, *command]
    done = subprocess.run(
        command,
        input=json.dumps({"port": port, **plan}),
        text=True,
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def histories(catalogue: Catalogue, config: HttpConfig) -> list[dict[str, Any]]:
    """Return requests for lists, of items drawn as often as they were liked."""
    rng = np.random.default_rng(config.seed)
    share = catalogue.likes / catalogue.likes.sum()
    drawn = [
        rng.choice(len(share), config.events, replace=False, p=share) for _ in range(_HISTORIES)
    ]
    return [
        {
            "history": [{"item": item, "event": "like"} for item in catalogue.items.take(some)],
            "k": 10,
        }
        for some in drawn
    ]


def run(fitted: Path | None, config: HttpConfig, now: datetime) -> dict[str, Any]:
    """Measure everything."""
    begun, code = time.perf_counter(), records.commit()
    apart = (os.cpu_count() or 1) > 1 and shutil.which("taskset") is not None
    one, other = ("0", "1") if apart else ("", "")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serve = ["warmstart.cli", "serve"]
        free = ["--no-auth", "--rate", "100000000/minute", "--most-at-once", str(_ROOM)]
        small = fitted or model(config.items, folder / "small", config.seed)
        loaded = load_model(small)
        catalogue, about = loaded.catalogue, {"drawn": fitted is None, **loaded.fitted.origin}
        store = ["--store", str(folder / "small.sqlite")]
        bodies = histories(catalogue, config)
        lists = {"method": "POST", "path": "/v1/recommend", "bodies": bodies}
        closed = {"connections": config.connections, "seconds": config.seconds}
        noop = ["uvicorn", "benchmarks.service.noop:app", "--log-level", "warning"]
        with (
            running([*noop, "--no-access-log"], "/noop", one) as floor,
            running([*serve, str(small), *store, *free], "/readyz", one) as server,
        ):
            turns, port = [], server.port
            for _ in range(config.turns):
                nothing = {"method": "GET", "path": "/noop", "bodies": [None]}
                read = {**lists, "path": "/noop"}
                turns.append(
                    {
                        "noop": load(floor.port, other, **nothing, **closed),
                        "only_read": load(floor.port, other, **read, **closed),
                        "recommend": load(port, other, **lists, **closed),
                    }
                )
            ours = median(t["recommend"]["per_second"] for t in turns)
            ratios = {
                name: ours / median(t[what]["per_second"] for t in turns)
                for name, what in (("ratio", "noop"), ("ratio_to_only_read", "only_read"))
            }
            found["throughput"] = {"turns": turns, **ratios}
            found["half_load"] = load(port, other, **lists, **closed, rate=ours / 2)
            found["events"] = events(port, catalogue, config)
            found["stale_reads"] = stale(port, config)
            found["overload"] = overload(server, config, lists, other)
        large = model(config.large_items, folder / "large", config.seed)
        store = ["--store", str(folder / "large.sqlite")]
        with running([*serve, str(large), *store, *free], "/readyz", "") as server:
            lists["bodies"] = histories(load_model(large).catalogue, config)
            found["large"] = load(server.port, **lists, **closed, rate=config.large_rate)
        store = ["--store", str(folder / "near.sqlite"), "--approximate"]
        with running([*serve, str(large), *store, *free], "/readyz", "") as server:
            told = load(server.port, **lists, **closed, rate=config.large_rate)
            found["large_approximate"] = told
    return {
        "benchmark": "service",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "hardware": hardware(),
        "model": about,
        "load_average": os.getloadavg(),
        "wall_seconds": time.perf_counter() - begun,
        **found,
    }


def events(port: int, catalogue: Catalogue, config: HttpConfig) -> dict[str, Any]:
    """Measure durable events a second; every request brings events that are new."""
    rng = random.Random(config.seed)
    n = max(8, round(40 * config.seconds))
    bodies = [
        {
            "events": [
                {
                    "id": f"{b}-{i}",
                    "user": f"u{rng.randrange(10_000)}",
                    "item": catalogue.items[rng.randrange(len(catalogue))],
                    "event": "like",
                    "timestamp": 1.7e9 + i,
                }
                for i in range(config.batch)
            ]
        }
        for b in range(n)
    ]
    rate = n / config.seconds
    plan = {"method": "POST", "path": "/v1/events", "bodies": bodies, "connections": 8}
    told = load(port, **plan, seconds=config.seconds, rate=rate)
    return {**told, "batch": config.batch, "events_per_second": told["per_second"] * config.batch}


def overload(
    server: Running, config: HttpConfig, lists: dict[str, Any], cores: str
) -> dict[str, Any]:
    """Come with far more connections than there is room for, twice; the second adds no memory."""
    plan = {**lists, "connections": 4 * _ROOM, "seconds": config.seconds}
    load(server.port, cores, **plan)
    before = resident_bytes(server.pid)
    told = load(server.port, cores, **plan)
    return {**told, "bytes_before": before, "bytes_after": resident_bytes(server.pid)}


def resident_bytes(pid: int) -> int | None:
    """Return a process's memory; None where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return 1_024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def stale(port: int, config: HttpConfig) -> dict[str, int]:
    """Count lists that bring an item which their user has just liked."""
    found = 0
    with Client(f"http://127.0.0.1:{port}") as client:
        for n in range(config.reads):
            user = f"reader-{n % 20}"
            liked = client.recommend(user, k=1)[0]["item"]
            client.send([{"user": user, "item": liked, "event": "like"}])
            found += liked in [line["item"] for line in client.recommend(user, k=50)]
    return {"reads": config.reads, "stale": found}


def main() -> int:
    """Measure and add the result."""
    parser = argparse.ArgumentParser(description="Measure the service under load.")
    parser.add_argument("model", type=Path, nargs="?", help="a saved model; by default one drawn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen, now = parser.parse_args(), datetime.now(UTC)

    def work() -> None:
        record = run(chosen.model, HttpConfig(), now)
        print(records.add(records.spelled(record), "http", record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
