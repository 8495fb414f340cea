"""Measure the promises about speed and add a result: `python -m benchmarks.speed`.

The catalogue of the batch is ML-1M's, from `WARMSTART_DATA` where that is set, otherwise likes
drawn in its shape. Results are added, never edited.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks import records
from benchmarks.speed import measure, models
from benchmarks.speed.measure import SpeedConfig
from benchmarks.speed.plot import plot_cost
from warmstart.data import load_dataset
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig

RESULTS = Path(__file__).parent / "results"
SHAPE = (6_040, 3_706, 95)
"""Users, items and likes a user of ML-1M."""


def catalogue(config: SpeedConfig) -> tuple[str, sp.csr_array]:
    """Return ML-1M's likes, or likes drawn in its shape, and which of them it is."""
    if os.environ.get("WARMSTART_DATA"):
        return "ml-1m", load_dataset("ml-1m").at_least(users_per_item=1).positives()
    n_users, n_items, shots = SHAPE
    rng = np.random.default_rng(config.seed)
    share = np.log(rng.dirichlet(np.full(n_items, 0.5)) + 1e-7).astype(np.float32)
    drawn = measure.new_users(share, n_users, shots, rng)
    return "drawn in the shape of ml-1m", drawn.matrix(n_items)


def run(config: SpeedConfig, *, now: datetime) -> dict[str, Any]:
    """Measure everything and return the record."""
    begun, code, most = perf_counter(), records.commit(), os.cpu_count() or 1
    data, likes = catalogue(config)
    model = models.fitted(likes, DefaultConfig(), np.random.default_rng(config.seed))
    found: dict[str, Any] = {"batch": [], "single": []}
    for threads in sorted({1, most}):
        with blas_threads(threads) as got:
            found["batch"].append({"threads": got, **measure.batch(model, config)})
    with blas_threads(most) as got:
        found["cost"] = {"threads": got, "lines": measure.cost(model, config)}
    del model
    large = models.drawn(config.large_items, DefaultConfig(), np.random.default_rng(config.seed))
    for threads in sorted({1, most}):
        with blas_threads(threads) as got:
            found["single"].append({"threads": got, **measure.single(large, config)})
    return {
        "benchmark": "speed",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "catalogue": data,
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": perf_counter() - begun,
        **found,
    }


@contextmanager
def blas_threads(threads: int) -> Iterator[int]:
    """Let BLAS have so many threads, and tell how many it took."""
    with threadpool_limits(threads, "blas"):
        yield max(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")


def write(record: dict[str, Any], out: Path) -> Path:
    """Add the JSON and the plot of the cost."""
    path = records.add(records.spelled(record), "speed", record["date"], out)
    plot_cost(record["cost"]["lines"], record["cost"]["threads"], path.with_suffix(".svg"))
    return path


def main(arguments: list[str] | None = None) -> int:
    """Measure, write, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description="Measure the promises about speed.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    record = run(SpeedConfig(), now=datetime.now(UTC))
    print(write(record, parser.parse_args(arguments).out))
    held = True
    for name, most in (("batch", 2.0), ("single", 1.5)):
        for found in record[name]:
            held &= found["ratio"] <= most
            print(
                f"{name}, {found['threads']} threads: {1e3 * found['ours_seconds']:,.1f} ms, "
                f"{found['ratio']:.2f} × the floor (promised: at most {most:g} ×)"
            )
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
