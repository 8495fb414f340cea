"""What content gives to cold users over known films: `python -m benchmarks.content.users`.

A tenth of the users is cold; they show k likes, and all films are ranked. The default is trained
twice: with what is known of the films (texts, people, genres, year), which gives it one more
memory,
and without. Age, gender and occupation of the users are known to both. Beside them stand popularity
and item-kNN. The data is private, as that of `cold_items`. A result is added, never edited.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.content.catalogue import described
from benchmarks.content.cold import Judged, bare
from warmstart.core.config import Config
from warmstart.data import SplitConfig, make_split
from warmstart.recommenders import Recommender
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig

RESULTS = Path(__file__).parent / "results"
WITHOUT, WITH = "warmstart, no content", "warmstart, content"


class UsersConfig(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        shots: likes that a cold user shows.
        least_likes: films with fewer leave the catalogue.
        model: settings of the default.
    """

    splits: int = Field(3, ge=1)
    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    least_likes: int = 10
    model: DefaultConfig = DefaultConfig()


def run(folder: Path, config: UsersConfig, now: datetime) -> dict[str, Any]:
    """Judge both models on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = described(folder, config.least_likes, users=True)
    found = {k: Judged() for k in config.shots}
    reports = []
    for seed in range(config.splits):
        split = make_split(data, SplitConfig(seed=seed, max_shots=max(config.shots)))
        models = {
            name: Recommender(name, seed=seed).fit(split.train, progress=False).method
            for name in ("popularity", "itemknn")
        }
        models[WITHOUT] = Default(config.model).fit(bare(split.train), seed=seed)
        models[WITH] = Default(config.model).fit(split.train, seed=seed)
        reports.append(models[WITH].report()["gates"])
        for k, judged in found.items():
            support = split.tasks.at(k)
            relevant = split.tasks.query.toarray()
            judge = judged.split(relevant, split.tasks.users, seed)
            for name, model in models.items():
                scores = np.asarray(model.score(support), np.float32).copy()
                scores[support.rows, support.items] = -np.inf
                judge(name, scores)
    return {
        "experiment": "users",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"user-cold: 10% of the users are cold, all of {data.n_items:,} films with at "
        f"least {config.least_likes} likes are ranked; query past the "
        f"{max(config.shots)}th like; {sum(map(len, found[config.shots[0]].who)):,} tasks",
        "rows": {str(k): judged.rows(WITHOUT) for k, judged in found.items()},
        "gates": reports,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Content for cold users over known films.",
        UsersConfig,
        run,
        folder="ml-1m",
        stem="users-ml-1m",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
