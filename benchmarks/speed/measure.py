"""The measurements. Ours and the floor take turns, so that a busy machine slows both alike.

The floor is what scoring costs at the least when the query vectors are given: one product with
the model's own matrix of item vectors, and NumPy's `argpartition` for the first ten.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks.speed.models import drawn
from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig


class SpeedConfig(Config):
    """Sizes of the measurements.

    Attributes:
        users: new users in the batch.
        shots: likes of each.
        k: length of the lists.
        pairs: turns of the batch; the median counts.
        large_items: catalogue of the single user.
        single_users: turns of the single user, each another user.
        cost_users, cost_items, cost_shots: where the cost is measured.
        cost_batch: users in one batch where items or shots vary.
        repeats: runs at each of these points; the median counts.
        seed: of everything drawn.
    """

    users: int = Field(10_000, ge=1)
    shots: int = Field(10, ge=0)
    k: int = Field(10, ge=1)
    pairs: int = Field(11, ge=1)
    large_items: int = Field(100_000, ge=100)
    single_users: int = Field(60, ge=1)
    cost_users: tuple[int, ...] = (1_000, 2_000, 4_000, 8_000, 16_000)
    cost_items: tuple[int, ...] = (12_500, 25_000, 50_000, 100_000)
    cost_shots: tuple[int, ...] = (0, 5, 10, 20, 40, 60, 80)
    cost_batch: int = Field(1_000, ge=1)
    repeats: int = Field(5, ge=1)
    seed: int = Field(0, ge=0)


def batch(model: Default, config: SpeedConfig) -> dict[str, Any]:
    """Measure many users at once on one catalogue."""
    rng = np.random.default_rng(config.seed)
    vectors, k = model.scorer.vectors, config.k
    events = new_users(model.parts.log_popularity, config.users, config.shots, rng)
    queries = rng.standard_normal((config.users, len(vectors)), np.float32)

    def floor() -> None:
        best_of(queries @ vectors, k)

    def blocked() -> None:
        size = max(64, (1 << 20) // vectors.shape[1])
        for start in range(0, len(queries), size):
            best_of(queries[start : start + size] @ vectors, k)

    times = in_turns([lambda: model.top_k(events, k), floor, blocked], config.pairs)
    return {
        "users": config.users,
        "items": vectors.shape[1],
        "shots": config.shots,
        "width": len(vectors),
        "ours_seconds": median(times[0]),
        "floor_seconds": median(times[1]),
        "ratio": median(times[0] / times[1]),
        "blocked_floor_seconds": median(times[2]),
        "ratio_to_blocked_floor": median(times[0] / times[2]),
        "pairs": config.pairs,
    }


def single(model: Default, config: SpeedConfig) -> dict[str, Any]:
    """Measure one user at a time on a large catalogue."""
    rng = np.random.default_rng(config.seed)
    vectors, k = model.scorer.vectors, config.k
    everybody = new_users(model.parts.log_popularity, config.single_users, config.shots, rng)
    users = iter([everybody.take(np.array([u])) for u in range(len(everybody))])
    query = rng.standard_normal((1, len(vectors)), np.float32)
    model.top_k(everybody.take(np.array([0])), k)  # nobody's first touch of memory is measured
    times = in_turns(
        [lambda: model.top_k(next(users), k), lambda: best_of(query @ vectors, k)], len(everybody)
    )
    return {
        "users": len(everybody),
        "items": vectors.shape[1],
        "shots": config.shots,
        "width": len(vectors),
        "ours_seconds": median(times[0]),
        "floor_seconds": median(times[1]),
        "ratio": median(times[0] / times[1]),
        "pairs": len(everybody),
    }


def cost(model: Default, config: SpeedConfig) -> dict[str, Any]:
    """Measure seconds against users, items and shots, and fit a line to each."""
    rng = np.random.default_rng(config.seed)
    log_popularity = model.parts.log_popularity

    def seconds(method: Default, n_users: int, shots: int) -> float:
        events = new_users(method.parts.log_popularity, n_users, shots, rng)
        return median(in_turns([lambda: method.top_k(events, config.k)], config.repeats)[0])

    seconds(model, config.cost_batch, config.shots)
    by_users = [seconds(model, n, config.shots) for n in config.cost_users]
    by_shots = [seconds(model, config.cost_batch, shots) for shots in config.cost_shots]
    by_items = [
        seconds(drawn(n, DefaultConfig(), rng), config.cost_batch, config.shots)
        for n in config.cost_items
    ]
    here = {"items": len(log_popularity), "shots": config.shots, "users": config.cost_batch}
    return {
        "users": line(config.cost_users, by_users) | {k: here[k] for k in ("items", "shots")},
        "items": line(config.cost_items, by_items) | {k: here[k] for k in ("users", "shots")},
        "shots": line(config.cost_shots, by_shots) | {k: here[k] for k in ("users", "items")},
    }


def line(x: tuple[int, ...], seconds: list[float]) -> dict[str, Any]:
    """Return the points, and the straight line nearest to them.

    Example:
        >>> line((1, 2, 3), [3.0, 5.0, 7.0])["slope_seconds"]
        2.0
    """
    slope, start = np.polyfit(x, seconds, 1)
    residual = np.asarray(seconds) - (slope * np.asarray(x) + start)
    r2 = 1 - float(residual @ residual) / max(float(np.var(seconds)) * len(seconds), 1e-30)
    return {
        "x": list(x),
        "seconds": seconds,
        "slope_seconds": round(float(slope), 12),
        "start_seconds": round(float(start), 12),
        "r_squared": r2,
    }


def new_users(
    log_popularity: FloatArray, n_users: int, shots: int, rng: np.random.Generator
) -> Histories:
    """Draw `shots` different items for each user; popular ones more often."""
    n_items = len(log_popularity)
    items: IntArray = np.empty((n_users, shots), np.int32)
    for user in range(n_users if shots else 0):
        chance = log_popularity + rng.gumbel(size=n_items)
        items[user] = np.argpartition(chance, n_items - shots)[n_items - shots :]
    return Histories(np.arange(n_users + 1) * shots, items.ravel(), np.ones(items.size, np.float32))


def best_of(scores: FloatArray, k: int) -> IntArray:
    """Return the `k` best items of each row, in no order: the floor's half of the ranking."""
    n_items = scores.shape[1]
    return np.argpartition(scores, n_items - k, axis=1)[:, n_items - k :]


def in_turns(work: list[Callable[[], object]], turns: int) -> list[np.ndarray]:
    """Return the seconds of each turn, one array for each kind of work."""
    times = np.empty((len(work), turns))
    for turn in range(turns):
        for kind, do in enumerate(work):
            begun = perf_counter()
            do()
            times[kind, turn] = perf_counter() - begun
    return list(times)


def median(times: np.ndarray) -> float:
    """Return the median as a plain number."""
    return float(np.median(times))
