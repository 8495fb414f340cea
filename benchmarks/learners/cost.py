"""What learners cost, in one run: `python -m benchmarks.learners.cost`.

1. One meta-step of every learner, all tasks at once, against the textbook's loop over tasks: 32
   tasks of 20 support and 20 query pairs, 5 inner steps, a network of 64-64.
2. From a history to a query vector, per user: 1, 5 and 20 events, 1 and 1,024 users at once, on a
   catalogue of 3,883 items with 64 dimensions; serving arithmetic in NumPy.
3. Peak memory and time of second-order MAML over MovieLens-1M, in a process of its own.

A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks import records
from benchmarks.learners.behaviours import write
from warmstart.core.registry import lookup
from warmstart.core.types import Histories
from warmstart.meta.learner import Examples, Problem, Tasks
from warmstart.meta.losses import squared
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.named import learners

RESULTS = Path(__file__).parent / "results"
TASKS, SHOTS, STEPS, DIM = 32, 20, 5, 32
N_ITEMS, WIDTH = 3_883, 64


class Network(nn.Module):
    """A network of 64-64 over the features of a pair."""

    head = ("weight",)
    code_dim = 65

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(DIM, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.weight = nn.Parameter(torch.randn(65) * 0.1)

    def design(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the head weighs, and nothing that is predicted anyway."""
        z = self.body(x)
        return torch.cat([z, torch.ones_like(z[:, :1])], dim=1), torch.zeros_like(z[:, 0])

    def codes(self, x: Tensor) -> Tensor:
        """Return what the amortised learner reads."""
        return self.design(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return one prediction per pair."""
        return self.design(x)[0] @ self.weight


def looped(problem: Problem, tasks: Tasks, *, first_order: bool, lr: float) -> None:
    """Take the textbook's meta-gradient: one task after the other."""
    meta = {n: p.requires_grad_() for n, p in problem.parameters().items()}
    total = torch.zeros(())
    for t in range(len(tasks.support)):
        own = dict(meta)
        for _ in range(STEPS):
            found = functional_call(problem.model, own, (tasks.support.inputs[0][t],))
            loss = 0.5 * ((found - tasks.support.labels[t]) ** 2).mean()
            slope = torch.autograd.grad(loss, list(own.values()), create_graph=not first_order)
            own = {n: p - lr * g for (n, p), g in zip(own.items(), slope, strict=True)}
        found = functional_call(problem.model, own, (tasks.query.inputs[0][t],))
        total = total + 0.5 * ((found - tasks.query.labels[t]) ** 2).mean() / len(tasks.support)
    torch.autograd.grad(total, list(meta.values()))


def milliseconds(work: Callable[[], Any], rounds: int) -> float:
    """Return the median time of some rounds after a warm-up."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return 1e3 * float(np.median(spent))


def meta_steps(rounds: int) -> list[dict[str, Any]]:
    """Return the time of one meta-step of every learner, and the ratio to looped MAML."""
    torch.manual_seed(0)
    problem = Problem.of(Network(), squared())

    def examples() -> Examples:
        return Examples.of((torch.randn(TASKS, SHOTS, DIM),), torch.randn(TASKS, SHOTS))

    tasks = Tasks.of(examples(), examples())
    work: dict[str, Callable[[], Any]] = {
        "maml, looped": lambda: looped(problem, tasks, first_order=False, lr=0.01),
        "fomaml, looped": lambda: looped(problem, tasks, first_order=True, lr=0.01),
    }
    for name in learners()[1:]:
        kind = lookup("learners", name)
        inner = {"inner_steps": STEPS, "inner_lr": 0.01}
        known = kind.config_type.model_fields
        learner = kind(kind.config_type.parse({k: v for k, v in inner.items() if k in known}))
        meta = learner.init(problem)
        work[name] = lambda learner=learner, meta=meta: learner.gradients(problem, meta, tasks)
    times = {name: milliseconds(step, rounds) for name, step in work.items()}
    slowest = times["maml, looped"]
    return [{"learner": n, "ms": round(t, 3), "times_faster": round(slowest / t, 1)}
            for n, t in times.items()]  # fmt: skip


def adaptations(rounds: int) -> list[dict[str, Any]]:
    """Return microseconds per user from a history to a query vector."""
    rng, rows = np.random.default_rng(0), []
    for name in learners()[1:]:
        method = lookup("methods", name)()
        method.arrays = _random_arrays(method, rng)
        for users in (1, 1024):
            for shots in (1, 5, 20):
                items = rng.integers(0, N_ITEMS, users * shots).astype(np.int32)
                ones = np.ones(len(items), np.float32)
                histories = Histories(np.arange(users + 1) * shots, items, ones)
                spent = milliseconds(
                    lambda method=method, histories=histories: method.adapt(histories), rounds
                )
                rows.append({"learner": name, "users": users, "shots": shots,
                             "us_per_user": round(1e3 * spent / users, 2)})  # fmt: skip
    return rows


def _random_arrays(method: Any, rng: np.random.Generator) -> dict[str, Any]:  # noqa: ANN401
    from warmstart.meta.losses import likelihood
    from warmstart.models.query_vector import QueryVectorScorer

    log_popularity = torch.from_numpy(rng.normal(-8, 1, N_ITEMS).astype(np.float32))
    scorer = QueryVectorScorer(log_popularity, **method._scorer_settings())
    learner = lookup("learners", method.learner)(method.config.adapt)
    meta = learner.init(Problem.of(scorer, likelihood()))
    arrays: dict[str, Any] = method._export(meta)
    return arrays


def memory() -> dict[str, Any]:
    """Return what one training of MAML on MovieLens-1M takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.learners.cost", "--train-maml"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _train_maml() -> None:
    from warmstart.data import load_dataset
    from warmstart.recommenders import Recommender

    data, start = load_dataset("ml-1m"), time.perf_counter()
    Recommender(learner="maml").fit(data, progress=False)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_gb": round(peak / 1e9, 2), "fit_seconds": round(seconds, 1)}))


def main() -> int:
    """Measure, and add the result."""
    parser = argparse.ArgumentParser(description="What learners cost.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--train-maml", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.train_maml:
        _train_maml()
        return 0
    code, now = records.commit(), datetime.now(UTC)
    record = {
        "experiment": "cost",
        "dataset": "ml-1m",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "threads": torch.get_num_threads(),
        "protocol": f"medians of {chosen.rounds} rounds; {TASKS} tasks, {SHOTS} + {SHOTS} pairs, "
        f"{STEPS} inner steps, 64-64; adaptation on {N_ITEMS:,} items of {WIDTH} dimensions",
        "meta_steps": meta_steps(chosen.rounds),
        "adaptations": adaptations(chosen.rounds),
        "memory": memory(),
        "hardware": hardware(),
        "versions": versions(),
    }
    for row in record["meta_steps"]:
        print(row)
    print(record["memory"])
    print(write(record, chosen.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
