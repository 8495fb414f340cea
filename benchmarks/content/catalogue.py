"""Cold films among known ones, and cold users: `python -m benchmarks.content.catalogue`.

A tenth of the users and a fifth of the films with at least ten likes are cold at once. Two
questions are asked of the same models:

- both cold: users show k likes of known films, and all cold films are ranked;
- the mixed catalogue: the same users, k = 10, and all films are ranked. Where do cold films land?
  Beside nDCG stand the share of the places they get and the share of what users like that they are.

Beside the default with content stand one that knows genres alone, one that knows nothing of the
films, a ridge regression per user, centred cosines, popularity, item-kNN and EASE, which know no
content, and chance. The data is private, as that of `cold_items`. A result is added, never edited.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.content.cold import Judged, bare, cosine, ridge
from benchmarks.content.cold_items import TEXTS, films
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import Dataset, SplitConfig, make_split
from warmstart.index import top_k
from warmstart.recommenders import Recommender
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

RESULTS = Path(__file__).parent / "results"
RIDGE = "ridge per user, all content"
CONTENT = ("genres", "year", "director", "actors", *TEXTS)
KNOWS_NO_CONTENT = ("popularity", "itemknn", "ease")
_MIXED_SHOTS = 10


class CatalogueConfig(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        shots: likes that a cold user shows.
        item_fraction: share of the films that are cold.
        least_likes: films with fewer leave the catalogue.
        model: settings of the default.
    """

    splits: int = Field(3, ge=1)
    shots: tuple[int, ...] = (0, 1, 3, 5, 10)
    item_fraction: float = 0.2
    least_likes: int = 10
    model: DefaultConfig = DefaultConfig()


def described(folder: Path, least_likes: int, *, users: bool = False) -> Dataset:
    """Return the films that are liked often enough, with their content encoded; no posters."""
    data = films(folder, users=users)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    data, report = encode_items(data, TEXTS)
    print(report.summary(), flush=True)
    return data


def run(folder: Path, config: CatalogueConfig, now: datetime) -> dict[str, Any]:
    """Judge every method on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = described(folder, config.least_likes)
    both = {k: Judged() for k in config.shots}
    mixed, places = Judged(), dict[str, list[list[float]]]()
    for seed in range(config.splits):
        split = make_split(
            data,
            SplitConfig(
                scenario="both-cold", seed=seed, item_fraction=config.item_fraction,
                max_shots=max(config.shots),
            ),
        )  # fmt: skip
        tasks, train, content = split.tasks, split.train.positives(), split.train.content
        content = {name: content[name] for name in CONTENT}
        assert tasks.candidates is not None
        cold = np.flatnonzero(tasks.candidates)
        models = _models(split.train, content, config.model, seed)
        for k, judged in both.items():
            support = tasks.at(k)
            likes = support.matrix(data.n_items)
            relevant = tasks.query[:, cold].toarray()
            judge = judged.split(relevant, tasks.users, seed)
            judge("chance", generator(seed, "chance").random(relevant.shape))
            judge(
                "centred cosine, three texts",
                np.sum([cosine(content[c], likes, cold, centred=True) for c in TEXTS], axis=0),
            )
            judge(RIDGE, ridge(content, likes, train, cold, seed))
            for name, model in models.items():
                if name not in KNOWS_NO_CONTENT:
                    judge(name, model.score(support)[:, cold])
        support = tasks.at(_MIXED_SHOTS)
        wanted = data.positives()[tasks.users].toarray()
        wanted[support.rows, support.items] = 0
        judge = mixed.split(wanted, tasks.users, seed)
        lent = ridge(content, support.matrix(data.n_items), train, np.arange(data.n_items), seed)
        for name, scores in (
            ("chance", generator(seed, "chance").random(wanted.shape)),
            (RIDGE, lent),
            *((name, model.score(support)) for name, model in models.items()),
        ):
            masked = np.asarray(scores, np.float32).copy()
            masked[support.rows, support.items] = -np.inf
            judge(name, masked)
            places.setdefault(name, []).append(_places(masked, wanted, tasks.candidates))
    rows = mixed.rows("warmstart, no content")
    for row in rows:
        row["places"], row["liked"], row["hits"] = np.mean(places[row["method"]], axis=0).tolist()
    return {
        "experiment": "catalogue",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"both-cold: 10% of the users and {config.item_fraction:.0%} of "
        f"{data.n_items:,} films with at least {config.least_likes} likes are cold; "
        f"{sum(map(len, mixed.who)):,} tasks",
        "both_cold": {str(k): judged.rows(RIDGE) for k, judged in both.items()},
        "mixed": rows,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _models(
    train: Dataset, content: Mapping[str, Any], config: DefaultConfig, seed: int
) -> dict[str, Any]:
    """Return the fitted methods: with all content, with genres, without any."""
    found: dict[str, Any] = {}
    for name in KNOWS_NO_CONTENT:
        found[name] = Recommender(name, seed=seed).fit(train, progress=False).method
    plain = Default(config).fit(bare(train), seed=seed, keep_folds=True)
    likes = train.positives()
    unmet = np.flatnonzero(np.bincount(likes.indices, minlength=train.n_items) == 0)
    genres = ContentMap.learn({"genres": content["genres"]}, likes, seed=seed)
    assert genres is not None
    found["warmstart, no content"] = plain
    found["warmstart, genres"] = plain.borrowing(
        genres, unmet, {"genres": content["genres"].take(unmet)}, likes
    )
    whole = Default(config).fit(train, seed=seed, keep_folds=True)
    assert whole.content is not None
    found["warmstart, all content"] = whole.borrowing(
        whole.content, unmet, whole.content.of(unmet), likes
    )
    return found


def _places(scores: FloatArray, wanted: FloatArray, cold: Any) -> list[float]:  # noqa: ANN401
    """Return the share of cold films among the first ten, among likes, and among hits."""
    top: IntArray = top_k(scores, 10)[0]
    hits = np.take_along_axis(wanted, top, axis=1) > 0
    return [
        float(cold[top].mean()),
        float(wanted[:, cold].sum() / wanted.sum()),
        float(cold[top][hits].mean()) if hits.any() else 0.0,
    ]


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Cold films among known ones, cold users.",
        CatalogueConfig,
        run,
        folder="ml-1m",
        stem="catalogue-ml-1m",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
