"""How long an answer takes without any language model: `python -m benchmarks.asking.latency`.

A catalogue of invented films with texts and genres; requests in English and in Chinese, by users
with and without a history, each with reasons. What is built once for a catalogue is built before.
Wall time counts whatever else the machine does, CPU time does not: both are given.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import load_dataset
from warmstart.recommenders import LLMRecommender, Recommender
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

RESULTS = Path(__file__).parent / "results"
REQUESTS = (
    "five quiet films about the sea, no horror", "推荐一些电影", "想看安静的电影，不要暴力",
    "something like {title}", "类似《{title}》的电影", "comedies or westerns",
    "a story of two friends and a long journey", "关于友情的故事", "what should I watch tonight?",
    "再来几部浪漫的", "not too violent, something funny", "top 10 adventures",
)  # fmt: skip


class Latency(Config):
    """Settings of the measurement.

    Attributes:
        items: in the catalogue.
        users: that the model is trained on.
        requests: how many are timed.
        seed: of everything.
        model: settings of the default; how long it was trained changes no time measured here.
    """

    items: int = Field(10_000, ge=10)
    users: int = Field(2_000, ge=10)
    requests: int = Field(240, ge=1)
    seed: int = Field(0, ge=0)
    model: DefaultConfig = DefaultConfig.parse({"folds": 2, "training": {"epochs": 2}})


def run(folder: Path, config: Latency, now: datetime) -> dict[str, Any]:
    """Train, ask, and time; `folder` is not read."""
    code = records.commit()
    data = load_dataset(
        "synthetic", n_users=config.users, n_items=config.items, n_events=40, seed=config.seed
    )
    data, _ = encode_items(data)
    model = Recommender(config=config.model, seed=config.seed).fit(data, progress=False)
    asked = LLMRecommender(recommender=model)
    titles = [model.catalogue.titles.title(i) for i in range(len(model.catalogue))]
    rng = generator(config.seed, "latency")
    for request in REQUESTS:
        asked.ask(request.format(title=titles[0]), history=[model.catalogue.items[1]])
    wall, cpu = [], []
    for n in range(config.requests):
        request = REQUESTS[n % len(REQUESTS)].format(title=titles[int(rng.integers(len(titles)))])
        shots = int(rng.choice([0, 3, 10]))
        history = [model.catalogue.items[int(i)] for i in rng.choice(len(titles), shots, False)]
        begun, used = time.perf_counter(), time.process_time()
        asked.ask(request, history=history)
        wall.append(1000 * (time.perf_counter() - begun))
        cpu.append(1000 * (time.process_time() - used))
    return {
        "experiment": "asking-latency",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "wall_ms": {f"p{q}": float(np.percentile(wall, q)) for q in (50, 95, 99)},
        "cpu_ms": {f"p{q}": float(np.percentile(cpu, q)) for q in (50, 95, 99)},
        "load_average": list(os.getloadavg()),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "hardware": hardware(),
        "versions": versions(),
    }


if __name__ == "__main__":
    sys.exit(
        records.command(
            "Time of an answer without any model.",
            Latency,
            run,
            folder=".",
            stem="asking-latency",
            out=RESULTS,
        )
    )
