"""The approximate index on a million items: `python -m benchmarks.service.approximate MODEL`.

No public model has a million items, so one is made of a fitted model: every new item lies between
an item and one of its twenty nearest, with noise of a fifth of the spread around it, and one such
copy of each item stands for it in the lists of neighbours. Users are made up: they like items as
often as everybody does, and have 0 to 20 events. They are others than those whose queries the index
is learned from.

Measured against the exact list of each user: recall@10, with and without the neighbours, and the
time of both on one thread. Results are added, never edited.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.index import top_k
from warmstart.index.approximate import Approximate, ApproximateConfig
from warmstart.recommenders import near
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.memory import truncate
from warmstart.recommenders.near import Near, made_up
from warmstart.recommenders.parts import narrow
from warmstart.recommenders.recommender import load
from warmstart.recommenders.scorer import Asked

RESULTS = Path(__file__).parent / "results"
PROMISED = 0.95
_BLOCK, _K = 20_000, 10


class LargeConfig(Config):
    """How much is measured.

    Attributes:
        items: of the enlarged model.
        users: who ask.
        noise: around an item, in shares of the spread of each dimension.
        index: settings of the index.
        seed: of everything drawn.
    """

    items: int = Field(1_000_000, ge=1_000)
    users: int = Field(300, ge=1)
    noise: float = Field(0.2, ge=0)
    index: ApproximateConfig = ApproximateConfig()
    seed: int = Field(0, ge=0)


class Enlarged:
    """What `Near` asks of a scorer, of copies of a fitted method's items."""

    lent_gates, unmet, penalty = None, np.zeros(0, np.int64), 0.0

    def __init__(self, method: Default, config: LargeConfig) -> None:
        rng = np.random.default_rng(config.seed)
        covariance = method.parts.belief.covariance
        if isinstance(covariance, np.ndarray):  # as training keeps it where there are many items
            covariance = truncate(covariance, method.config.memory.neighbours)
        belief = replace(method.parts.belief, covariance=narrow(sp.csr_array(covariance)))
        self.small = small = type(method.scorer)(
            replace(method.parts, belief=belief),
            method.gates,
            method.config,
            lent_gates=method.lent_gates,
            new=method.new,
            before=method.scorer,
        )
        vectors = np.ascontiguousarray(method.scorer.vectors.T)
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        nearest = np.argsort(-(unit @ unit.T), axis=1)[:, 1:21]
        n = len(vectors)
        self.origin = np.concatenate([np.arange(n), rng.integers(0, n, config.items - n)])
        other = nearest[self.origin, rng.integers(0, nearest.shape[1], config.items)]
        step = 0.5 * rng.random((config.items, 1), np.float32)
        spread = np.float32(config.noise) * vectors.std(axis=0)
        self.vectors = np.empty((config.items, vectors.shape[1]), np.float32)
        for start in range(0, config.items, _BLOCK):
            some = slice(start, start + _BLOCK)
            own, theirs = vectors[self.origin[some]], vectors[other[some]]
            noise = spread * rng.standard_normal(own.shape, np.float32)
            self.vectors[some] = own + step[some] * (theirs - own) + noise
        order = np.argsort(self.origin, kind="stable")
        first = np.searchsorted(self.origin[order], np.arange(n))
        count = np.bincount(self.origin)
        self.copy = order[first + rng.integers(0, count)]
        share = small.parts.log_popularity[self.origin] - np.log(count)[self.origin]
        self.parts = replace(small.parts, log_popularity=share.astype(np.float32))

    def asked(self, histories: Histories) -> Asked:
        """Ask as the small model does."""
        return self.small.asked(replace(histories, items=self.origin[histories.items]))

    def add_moves(self, histories: Histories, asked: Asked, out: FloatArray) -> None:
        """Move one copy of each neighbour."""
        there = replace(histories, items=self.origin[histories.items])
        moved = np.zeros((len(histories), len(self.copy)), np.float32)
        self.small.add_moves(there, asked, moved)
        out[:, self.copy] += moved

    def products(self, items: IntArray, query: FloatArray) -> FloatArray:
        """Multiply the vectors of some items."""
        return self.vectors[items] @ query

    def lifted(self, history: Histories, items: IntArray, scores: FloatArray) -> FloatArray:
        """Return the scores as they are."""
        return scores

    def exact(self, history: Histories) -> IntArray:
        """Return one user's best items by all scores."""
        asked = self.asked(history)
        scores = (self.vectors @ asked.queries[0])[None]
        self.add_moves(history, asked, scores)
        return top_k(scores, _K, seen=history)[0][0]


def run(model: Path, config: LargeConfig, now: datetime) -> dict[str, Any]:
    """Measure and return the record."""
    begun, code = perf_counter(), records.commit()
    recommender = load(model)
    large = Enlarged(recommender.method, config)
    learned = made_up(large.parts.log_popularity, config.seed)
    started = perf_counter()
    index = Approximate.of(large.vectors.T, large.asked(learned).queries, config.index)
    built = perf_counter() - started
    served = Near(index, np.zeros(0, np.int64))
    everybody = made_up(large.parts.log_popularity, config.seed + 1, config.users)
    rows, seconds = [], {"exact": [], "approximate": []}
    for user in range(len(everybody)):
        history = everybody.take(np.array([user]))
        started = perf_counter()
        truth = large.exact(history)
        middle = perf_counter()
        found = served.top_k(large, history, _K, None)  # type: ignore[arg-type]
        seconds["approximate"].append(perf_counter() - middle)
        seconds["exact"].append(middle - started)
        alone = index.search(large.asked(history).queries, near._LEAST)[0]
        assert found is not None
        hits = [len(set(some) & set(truth)) / _K for some in (found[0][0], alone)]
        rows.append((int(history.shots[0]), *hits))
    shots, joined, alone = (np.array(column) for column in zip(*rows, strict=True))
    groups = {"0": shots == 0, "1-5": (shots > 0) & (shots < 6), "6-20": shots > 5}
    return {
        "benchmark": "approximate",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "model": {"items": len(recommender.catalogue), **recommender.fitted.origin},
        "width": large.vectors.shape[1],
        "recall_at_10": _mean(joined),
        "recall_at_10_of_the_index_alone": {"candidates": near._LEAST, **_mean(alone)},
        "recall_at_10_by_shots": {name: _mean(joined[at]) for name, at in groups.items()},
        "build_seconds": built,
        "milliseconds": {
            name: {
                "p50": 1e3 * float(np.median(some)), "p99": 1e3 * float(np.percentile(some, 99)),
            }
            for name, some in seconds.items()
        },
        "speed_ratio": float(np.median(seconds["exact"]) / np.median(seconds["approximate"])),
        "load_average": os.getloadavg(),
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": perf_counter() - begun,
    }  # fmt: skip


def _mean(hits: FloatArray) -> dict[str, float]:
    """Return the mean and half of its 95 % interval."""
    half = 1.96 * hits.std() / np.sqrt(max(1, len(hits)))
    return {"mean": float(hits.mean()), "half_interval": float(half), "users": len(hits)}


def main() -> int:
    """Measure, add the result, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description="Measure the approximate index.")
    parser.add_argument("model", type=Path, help="a saved model of the default method")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        config = LargeConfig.parse(json.loads(chosen.settings))
        record = run(chosen.model, config, datetime.now(UTC))
        print(records.add(records.spelled(record), "approximate", record["date"], chosen.out))
        mean = record["recall_at_10"]["mean"]
        print(f"recall@10 {mean:.3f} (promised: {PROMISED}), {record['speed_ratio']:.0f} × as fast")

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
