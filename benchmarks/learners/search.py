"""Choose the settings of each learner on validation users: `python -m benchmarks.learners.search`.

One budget for all: the candidates below, four a learner, each meta-trained once for 20 epochs on
the training users of MovieLens-1M's first split less its validation users, who judge. What wins
is written into the defaults of `warmstart.recommenders.learned`; test users are not looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation import evaluate
from warmstart.index import top_k
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.named import learners
from warmstart.recommenders.popularity import likes_per_item
from warmstart.recommenders.tuning import build, validation_split

RESULTS = Path(__file__).parent / "results"
SHOTS = (0, 1, 3, 5, 10, 20)
EPOCHS = 20

_DESCENT = [
    {"shrinkage": 10.0, "adapt": {"inner_lr": 1.0, "inner_steps": 3}},
    {"shrinkage": 10.0, "adapt": {"inner_lr": 0.3, "inner_steps": 5}},
    {"shrinkage": 6.0, "adapt": {"inner_lr": 0.3, "inner_steps": 5}},
    {"shrinkage": 6.0, "adapt": {"inner_lr": 0.1, "inner_steps": 5}},
]
_LEARNED_STEPS = [
    {"shrinkage": 10.0, "adapt": {"inner_lr": 0.5, "inner_steps": 1}},
    {"shrinkage": 10.0, "adapt": {"inner_lr": 0.5, "inner_steps": 3}},
    {"shrinkage": 6.0, "adapt": {"inner_lr": 0.5, "inner_steps": 3}},
    {"shrinkage": 6.0, "adapt": {"inner_lr": 0.3, "inner_steps": 5}},
]
CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "maml": _DESCENT,
    "fomaml": _DESCENT,
    "anil": _DESCENT,
    "reptile": _DESCENT,
    "meta-sgd": _LEARNED_STEPS,
    "foma": [
        {**settings, "adapt": {**settings["adapt"], "kinds": 2}} for settings in _LEARNED_STEPS
    ],
    "closed-form": [
        {"adapt": {"prior_scale": 1.0, "noise": 1.0}},
        {"adapt": {"prior_scale": 0.3, "noise": 1.0}},
        {"adapt": {"prior_scale": 1.0, "noise": 1.0}, "outer": {"weight_decay": 0.1}},
        {"adapt": {"prior_scale": 1.0, "noise": 1.0}, "outer": {"outer_lr": 5e-3}},
    ],
    "amortised": [
        {"adapt": {"hidden_dim": 300, "dropout": 0.4}},
        {"adapt": {"hidden_dim": 300, "dropout": 0.6}},
        {"adapt": {"hidden_dim": 300, "dropout": 0.4}, "outer": {"weight_decay": 0.1}},
        {"adapt": {"hidden_dim": 300, "dropout": 0.4}, "outer": {"outer_lr": 5e-3}},
    ],
}


def search(names: list[str]) -> list[dict[str, Any]]:
    """Return one record per candidate: settings, nDCG@10 by shots, seconds of training."""
    data = load_dataset("ml-1m")
    inner = validation_split(make_split(data, SplitConfig(seed=0)), 0)
    popularity, tasks = likes_per_item(inner.train.positives()), inner.tasks
    tried = []
    for name in names:
        for candidate in CANDIDATES[name]:
            outer = {"epochs": EPOCHS, "outer_lr": 1e-2, "weight_decay": 1e-2}
            settings = {**candidate, "outer": outer | candidate.get("outer", {})}
            begun = time.perf_counter()
            method = build(name, settings).fit(inner.train, seed=0)
            seconds = time.perf_counter() - begun
            quality = {}
            for k in SHOTS:
                found = evaluate(
                    method,
                    tasks.at(k),
                    tasks.query,
                    ranker=top_k,
                    popularity=popularity,
                    candidates=tasks.candidates,
                )
                quality[str(k)] = round(float(found.per_task["nDCG@10"].mean()), 4)
            mean = round(float(np.mean(list(quality.values()))), 4)
            tried.append(
                {"learner": name, "settings": settings, "nDCG@10": quality, "mean": mean,
                 "fit_seconds": round(seconds, 1), "tasks": len(tasks)}
            )  # fmt: skip
            print(name, json.dumps(candidate), quality, mean, f"{seconds:.0f} s", flush=True)
    return tried


def main() -> int:
    """Search for the learners that are named; for all of them without a name."""
    parser = argparse.ArgumentParser(description="Choose the settings of learners.")
    parser.add_argument("names", nargs="*", default=[n for n in learners() if n in CANDIDATES])
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    code, now = records.commit(), datetime.now(UTC)
    record = {
        "experiment": "search",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "dataset": "ml-1m",
        "protocol": "validation users of the split with seed 0; mean nDCG@10 over the shots",
        "candidates": search(chosen.names),
        "hardware": hardware(),
        "versions": versions(),
    }
    print(records.add(records.spelled(record), "search", record["date"], chosen.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
