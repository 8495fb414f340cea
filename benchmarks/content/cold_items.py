"""Items that nobody has met, on MovieLens-1M: `python -m benchmarks.content.cold_items`.

A fifth of the films with at least ten likes is cold; users show what they like of the others, and
only the cold films are ranked. The default is trained once a split, without content; then its cold
films borrow by each choice of content. Beside it stand chance, closed forms on the same content and
cosines. Weights and penalties are chosen on an inner set of cold films; no test film is looked at.

The data is private: `WARMSTART_DATA/ml-1m` with `items_text.parquet` and `posters/`. A result is
added, never edited.
"""

from __future__ import annotations

import re
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
from benchmarks.content.cold import Judged, bare, cosine, ridge
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.data import Dataset, SplitConfig, load_dataset, make_split
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

RESULTS = Path(__file__).parent / "results"
RIDGE = "ridge per user, all content"
PEOPLE = {"kind": "multi-category", "separator": ", "}
SCHEMA = {
    "items": {"genres": {"kind": "multi-category", "separator": "|"}, "year": "number",
              "director": PEOPLE, "actors": PEOPLE, "poster": "image", "title": "text",
              "plot": "text", "abstract": "text", "whole": "text", "masked plot": "text",
              "masked abstract": "text"},
}  # fmt: skip
TEXTS = ("title", "plot", "abstract")
CHOICES: dict[str, tuple[str, ...]] = {
    "genres": ("genres",),
    "genres, year": ("genres", "year"),
    "people": ("director", "actors"),
    "text": TEXTS,
    "poster": ("poster",),
    "all but text": ("genres", "year", "director", "actors", "poster"),
    "all but people": ("genres", "year", *TEXTS, "poster"),
    "all but genres, year": ("director", "actors", *TEXTS, "poster"),
    "all but poster": ("genres", "year", "director", "actors", *TEXTS),
    "all": ("genres", "year", "director", "actors", *TEXTS, "poster"),
    "all, title and year masked": ("genres", "director", "actors", "masked plot",
                                   "masked abstract", "poster"),
}  # fmt: skip


class ColdItems(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        item_fraction: share of the films that are cold.
        least_likes: films with fewer leave the catalogue.
        users: warm users who are judged in each split.
        model: settings of the default.
    """

    splits: int = Field(3, ge=1)
    item_fraction: float = 0.2
    least_likes: int = 10
    users: int = 1_500
    model: DefaultConfig = DefaultConfig()


def films(folder: Path, *, users: bool = False) -> Dataset:
    """Return MovieLens-1M with texts, people and posters.

    Args:
        folder: with `items_text.parquet` and `posters/`.
        users: whether age, gender and the like of the users are known.

    Raises:
        ConfigError: the folder lacks them.
    """
    path = folder / "items_text.parquet"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; set WARMSTART_DATA to a folder that has ml-1m/")
    data = load_dataset("ml-1m")
    rows = data.interactions
    table = pq.read_table(path)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    titles = columns["title"]
    years = [re.findall(r"\((\d{4})\)", t)[-1:] or [None] for t in titles]
    pictures = [f"{i}.jpg" for i in columns["item_id"]]
    there = {p.name for p in (folder / "posters").glob("*.jpg")}
    items = {
        "item": pa.array(columns["item_id"]),
        "title": titles,
        "genres": columns["genres"],
        "year": [y[0] for y in years],
        "director": columns["director"],
        "actors": columns["actors"],
        "plot": columns["plot"],
        "abstract": columns["dbpedia_abstract"],
        "poster": [p if p in there else None for p in pictures],
        "whole": [
            " ".join(str(columns[c][i] or "") for c in ("title", "genres", "director", "actors",
                                                       "plot"))
            for i in range(len(titles))
        ],
        "masked plot": [masked(t, x) for t, x in zip(titles, columns["plot"], strict=True)],
        "masked abstract": [
            masked(t, x) for t, x in zip(titles, columns["dbpedia_abstract"], strict=True)
        ],
    }  # fmt: skip
    interactions = {
        "user": data.users.values.take(pa.array(rows.user)),
        "item": data.items.values.take(pa.array(rows.item)),
        "rating": rows.rating,
    }
    known = data.user_table if users else None
    return Dataset.from_tables(
        interactions, items, users=known, schema=SCHEMA, name="ml-1m with texts"
    )


def masked(title: str, text: str | None) -> str | None:
    """Return a text without the words of the title and without years."""
    if text is None:
        return None
    words = {w for w in re.findall(r"\w+", title.lower()) if len(w) > 2}
    kept = (w for w in text.split() if not (set(re.findall(r"\w+", w.lower())) & words))
    return re.sub(r"\b(1[89]|20)\d\d\b", "", " ".join(kept))


def run(folder: Path, config: ColdItems, now: datetime) -> dict[str, Any]:
    """Judge every choice of content on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = films(folder)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= config.least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    columns = [n for n, c in data.schema.items.items() if c.kind in ("text", "image")]
    data, report = encode_items(data, columns, root=folder / "posters")
    print(report.summary(), flush=True)
    judged = Judged()
    chosen: dict[str, list[dict[str, Any]]] = {}
    seconds = []
    for seed in range(config.splits):
        split = make_split(
            data,
            SplitConfig(
                scenario="item-cold", seed=seed, item_fraction=config.item_fraction,
                max_shots=100_000, min_support=5,
            ),
        )  # fmt: skip
        order = generator(seed, "judged").permutation(len(split.tasks))[: config.users]
        tasks = split.tasks.take(np.sort(order))
        cold = np.flatnonzero(tasks.candidates)
        train, content = split.train.positives(), split.train.content
        relevant = tasks.query[:, cold].toarray()
        likes = tasks.support.matrix(data.n_items)
        likes.data = (likes.data > 0).astype(np.float32)
        judge = judged.split(relevant, tasks.users, seed)
        rng = generator(seed, "chance")
        judge("chance", rng.random(relevant.shape))
        for name, centred in (("cosine", False), ("centred cosine", True)):
            judge(f"{name}, genres", cosine(content["genres"], likes, cold, centred=centred))
            judge(f"{name}, one text", cosine(content["whole"], likes, cold, centred=centred))
        for name, wanted in (
            ("ridge per user, genres", ("genres",)),
            ("ridge per user, one text", ("whole",)),
            (RIDGE, CHOICES["all"]),
            ("ridge per user, all but poster", CHOICES["all but poster"]),
        ):
            some = {c: content[c] for c in wanted}
            judge(name, ridge(some, likes, train, cold, seed))
        start = time.perf_counter()
        plain = Default(config.model).fit(bare(split.train), seed=seed, keep_folds=True)
        seconds.append(round(time.perf_counter() - start, 1))
        for name, wanted in CHOICES.items():
            some = {c: content[c] for c in wanted}
            mapped = ContentMap.learn(some, train, seed=seed)
            assert mapped is not None
            chosen.setdefault(name, []).append(mapped.about())
            unmet = np.flatnonzero(np.bincount(train.indices, minlength=data.n_items) == 0)
            own = {c: block.take(unmet) for c, block in some.items()}
            judge(
                f"warmstart, {name}",
                plain.borrowing(mapped, unmet, own, train).score(tasks.support)[:, cold],
            )
    return _record(judged, chosen, seconds, config, data, now) | {
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _record(
    judged: Judged,
    chosen: dict[str, Any],
    seconds: list[float],
    config: ColdItems,
    data: Dataset,
    now: datetime,
) -> dict[str, Any]:
    return {
        "experiment": "cold-items",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"item-cold: {config.item_fraction:.0%} of {data.n_items:,} films with at "
        f"least {config.least_likes} likes; {config.users:,} warm users a split show all their "
        "likes of the other films; all cold films are ranked",
        "rows": judged.rows(RIDGE),
        "chosen": chosen,
        "fit_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Items that nobody has met.",
        ColdItems,
        run,
        folder="ml-1m",
        stem="cold-items-ml-1m",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
