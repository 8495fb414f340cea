"""nDCG itself as the outer loss: `python -m benchmarks.learners.objective`.

Each learner is meta-trained on each split with the softmax loss, with the softmax loss for as many
more epochs as the policy gradient gets, and with the softmax loss and then the policy gradient. All
see the same cold users; differences are paired by task and resampled by user.

The settings of the policy were chosen by `--search` on validation users of the first split (two
draws of them), with the amortised learner alone; the other learners take them as they are. A
result is added, never edited.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray
from warmstart.data import Split, SplitConfig, load_dataset, make_split
from warmstart.evaluation.metrics import ndcg
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.meta.settings import PolicyConfig
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.tuning import build, validation_split

RESULTS = Path(__file__).parent / "results"
CANDIDATES: list[dict[str, Any]] = [
    {},
    {"objective": "ndcg", "policy": {"temperature": 1.0}},
    {"objective": "ndcg", "policy": {"temperature": 0.5}},
    {"objective": "ndcg", "policy": {"temperature": 0.25}},
    {"objective": "ndcg", "policy": {"temperature": 0.1}},
    {"objective": "ndcg", "policy": {"temperature": 1.0, "outer_lr": 3e-3}},
    {"objective": "ndcg", "policy": {"temperature": 0.5, "outer_lr": 3e-3}},
    {"objective": "ndcg", "policy": {"temperature": 0.25, "outer_lr": 3e-3}},
]


class Objective(Config):
    """Settings of the comparison.

    Attributes:
        dataset: a named dataset.
        learners: which.
        shots: numbers of shots.
        splits: how many, with the seeds 0, 1, …
        test_fraction: share of users held out.
        policy: settings of the policy gradient.
    """

    dataset: str = "ml-100k"
    learners: tuple[str, ...] = ("amortised", "closed-form", "foma")
    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    splits: int = Field(3, ge=1)
    test_fraction: float = 0.1
    policy: PolicyConfig = PolicyConfig()


def variants(name: str, policy: PolicyConfig) -> dict[str, dict[str, Any]]:
    """Return the settings of a learner by the name of its objective."""
    epochs = build(name, {}).config.outer.epochs  # type: ignore[attr-defined]
    return {
        "softmax": {},
        "softmax, as long": {"outer": {"epochs": epochs + policy.epochs}},
        "ndcg": {"objective": "ndcg", "policy": policy.model_dump()},
    }


def judged(
    method: Any,  # noqa: ANN401  (a Method)
    split: Split,
    shots: tuple[int, ...],
) -> npt.NDArray[np.float64]:
    """Return (shots, tasks) nDCG@10; equal scores are put into an order by lot."""
    tasks, found = split.tasks, []
    lot = generator(0, "ties").permutation(tasks.query.shape[1])
    for k in shots:
        support = tasks.at(k)
        scores: FloatArray = np.array(method.score(support), np.float32)
        scores[support.rows, support.items] = -np.inf
        top, _ = top_k(np.ascontiguousarray(scores[:, lot]), 10)
        found.append(ndcg(np.where(top < 0, -1, lot[top]), tasks.query, 10))
    return np.stack(found)


def search(learner: str, shots: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return nDCG@10 of every candidate on validation users of the first split."""
    split, tried = make_split(load_dataset("ml-100k"), SplitConfig(seed=0)), []
    for settings in CANDIDATES:
        values = []
        for seed in (0, 1):
            inner = validation_split(split, seed)
            method = build(learner, settings).fit(inner.train, seed=seed)
            values.append(judged(method, inner, shots).mean(axis=1))
        quality = np.mean(values, axis=0)
        tried.append(
            {
                "learner": learner,
                "settings": settings,
                "nDCG@10": dict(zip(map(str, shots), quality.round(4).tolist(), strict=True)),
                "mean": round(float(quality.mean()), 4),
            }
        )
        print(tried[-1], flush=True)
    return tried


def compared(
    values: dict[str, npt.NDArray[np.float64]], users: npt.NDArray[Any], shots: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Return a row for each number of shots and one for their mean, by variant.

    Args:
        values: variant → (shots, tasks) nDCG@10.
        users: (tasks,) who they are.
        shots: numbers of shots.
    """
    table = {name: np.vstack([v, v.mean(axis=0)]) for name, v in values.items()}
    rows = []
    for against in ("softmax", "softmax, as long"):
        low, high = bootstrap_interval((table["ndcg"] - table[against]).T, clusters=users)
        found = []
        for at, k in enumerate([*shots, "mean"]):
            ours, theirs = table["ndcg"][at], table[against][at]
            found.append(
                {
                    "shots": k,
                    "against": against,
                    "ndcg": float(ours.mean()),
                    "softmax": float(theirs.mean()),
                    "difference": float((ours - theirs).mean()),
                    "ci_low": float(low[at]),
                    "ci_high": float(high[at]),
                    "p": paired_permutation(ours, theirs, clusters=users),
                }
            )
        adjusted = holm(np.array([row["p"] for row in found[:-1]])).tolist()
        rows += [r | {"p_holm": p} for r, p in zip(found, [*adjusted, found[-1]["p"]], strict=True)]
    return rows


def run(config: Objective, now: datetime) -> dict[str, Any]:
    """Train every learner three ways on every split, and compare."""
    begun, code, data = time.perf_counter(), records.commit(), load_dataset(config.dataset)
    rows: list[dict[str, Any]] = []
    seconds: dict[str, dict[str, list[float]]] = {}
    n_tasks = 0
    splits = [
        make_split(data, SplitConfig(seed=seed, test_fraction=config.test_fraction))
        for seed in range(config.splits)
    ]
    users = np.concatenate([split.tasks.users for split in splits])
    for learner in config.learners:
        values: dict[str, list[npt.NDArray[np.float64]]] = {}
        for seed, split in enumerate(splits):
            for name, settings in variants(learner, config.policy).items():
                start = time.perf_counter()
                method = build(learner, settings).fit(split.train, seed=seed)
                spent = seconds.setdefault(learner, {}).setdefault(name, [])
                spent.append(round(time.perf_counter() - start, 1))
                values.setdefault(name, []).append(judged(method, split, config.shots))
                print(learner, seed, name, values[name][-1].mean(), spent[-1], flush=True)
        joined = {name: np.concatenate(parts, axis=1) for name, parts in values.items()}
        n_tasks = len(users)
        rows += [{"learner": learner} | row for row in compared(joined, users, config.shots)]
    return {
        "experiment": "objective",
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"user-cold, {config.test_fraction:.0%} of the users held out, full catalogue; "
        f"nDCG@10 of {n_tasks:,} tasks; differences paired by task, resampled by user",
        "rows": rows,
        "fit_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Compare, or search, and add the result."""
    parser = argparse.ArgumentParser(description="nDCG itself as the outer loss.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--search", action="store_true", help="choose the policy's settings")
    parser.add_argument("--learners", default=",".join(Objective().learners))
    parser.add_argument("--dataset", default=Objective().dataset)
    chosen = parser.parse_args()

    def work() -> None:
        now, names = datetime.now(UTC), tuple(chosen.learners.split(","))
        if chosen.search:
            record = {
                "experiment": "objective-search",
                "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "dataset": "ml-100k",
                "protocol": "validation users of the split with seed 0, drawn twice; nDCG@10",
                "candidates": [r for name in names for r in search(name, Objective().shots)],
                "hardware": hardware(),
                "versions": versions(),
                "commit": records.commit(),
            }
        else:
            record = run(Objective(dataset=chosen.dataset, learners=names), now)
        stem = f"{record['experiment']}-{record['dataset']}"
        print(records.add(records.spelled(record), stem, record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
