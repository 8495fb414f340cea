"""Videos that nobody has met, by image and sound: `python -m benchmarks.content.tiktok`.

A fifth of the videos with at least five likes is cold; users show what they like of the others, and
only the cold videos are ranked. The default is trained once a split, without content; then its cold
videos borrow by image, sound or both. Beside it stand the default that knows nothing of them,
chance, and on the same content a ridge regression per user and centred cosines. Popularity is not
defined: nobody has liked a cold video. Weights and penalties are chosen on an inner set of cold
videos; no test video is looked at.

The data is private: `WARMSTART_DATA/tiktok-diffmm`, with the vectors that come with it. A result is
added, never edited.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from benchmarks import records
from benchmarks.content.cold import METRICS, Judged, bare, cosine, ridge
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.data import Dataset, SplitConfig, make_split
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig

RESULTS = Path(__file__).parent / "results"
RIDGE = "ridge per user, image and audio"
CHOICES = {"audio": ("audio",), "image": ("image",), "image and audio": ("image", "audio")}


class TikTok(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        item_fraction: share of the videos that are cold.
        least_likes: videos with fewer leave the catalogue.
        users: warm users who are judged in each split, at most; most users have three or four
            likes in all, so one like of a warm video is enough to be asked.
        model: settings of the default.
    """

    splits: int = Field(3, ge=1)
    item_fraction: float = 0.2
    least_likes: int = 5
    users: int = 5_000
    model: DefaultConfig = DefaultConfig()


def videos(folder: Path) -> Dataset:
    """Return the likes of all three files, with the vectors of image and sound.

    Raises:
        ConfigError: the folder lacks them.
    """
    parts = [folder / f"{name}.parquet" for name in ("trn", "val", "tst")]
    vectors = {name: folder / f"{name}_feat.npy" for name in ("image", "audio")}
    for path in (*parts, *vectors.values()):
        if not path.is_file():
            raise ConfigError(
                f"there is no {path}; set WARMSTART_DATA to a folder that has tiktok-diffmm/"
            )
    table = pa.concat_tables([pq.read_table(path) for path in parts])
    columns = {name: table[name].to_numpy() for name in ("user", "item")}
    data = Dataset.from_tables(columns, name="tiktok-diffmm")
    for name, path in vectors.items():
        values = np.load(path)
        data = data.with_item_vectors(name, np.arange(len(values)), values)
    return data


def run(folder: Path, config: TikTok, now: datetime) -> dict[str, Any]:
    """Judge every choice of content on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = videos(folder)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= config.least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    judged = Judged(tuple(METRICS))
    chosen: dict[str, list[dict[str, Any]]] = {}
    seconds = []
    for seed in range(config.splits):
        split = make_split(
            data,
            SplitConfig(
                scenario="item-cold", seed=seed, item_fraction=config.item_fraction,
                max_shots=100_000, min_support=1,
            ),
        )  # fmt: skip
        order = generator(seed, "judged").permutation(len(split.tasks))[: config.users]
        tasks = split.tasks.take(np.sort(order))
        cold = np.flatnonzero(tasks.candidates)
        train, content = split.train.positives(), split.train.content
        relevant = tasks.query[:, cold].toarray()
        likes = tasks.support.matrix(data.n_items)
        judge = judged.split(relevant, tasks.users, seed)
        judge("chance", generator(seed, "chance").random(relevant.shape))
        for name, wanted in CHOICES.items():
            parts = [cosine(content[c], likes, cold, centred=True) for c in wanted]
            judge(f"centred cosine, {name}", np.sum(parts, axis=0))
        for name, wanted in CHOICES.items():
            some = {c: content[c] for c in wanted}
            judge(f"ridge per user, {name}", ridge(some, likes, train, cold, seed))
        start = time.perf_counter()
        plain = Default(config.model).fit(bare(split.train), seed=seed, keep_folds=True)
        seconds.append(round(time.perf_counter() - start, 1))
        judge("warmstart, no content", plain.score(tasks.support)[:, cold])
        unmet = np.flatnonzero(np.bincount(train.indices, minlength=data.n_items) == 0)
        for name, wanted in CHOICES.items():
            some = {c: content[c] for c in wanted}
            mapped = ContentMap.learn(some, train, seed=seed)
            assert mapped is not None
            chosen.setdefault(name, []).append(mapped.about())
            own = {c: block.take(unmet) for c, block in some.items()}
            placed = plain.borrowing(mapped, unmet, own, train)
            judge(f"warmstart, {name}", placed.score(tasks.support)[:, cold])
    return {
        "experiment": "tiktok",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"item-cold: {config.item_fraction:.0%} of {data.n_items:,} videos with at "
        f"least {config.least_likes} likes; {sum(map(len, judged.who)):,} tasks of warm users, "
        "who show all their likes of the other videos; all cold videos are ranked",
        "rows": judged.rows(RIDGE),
        "chosen": chosen,
        "fit_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Videos that nobody has met.",
        TikTok,
        run,
        folder="tiktok-diffmm",
        stem="cold-items-tiktok",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
