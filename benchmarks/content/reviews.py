"""Reviews as content of items and of users: `python -m benchmarks.content.reviews`.

Amazon's musical instruments, with the text of every review. A fifth of the users is cold; they show
k likes, and all items are ranked. The default knows

- ids only;
- reviews of the items, pooled over their authors, from training rows alone;
- those, and what a cold user wrote about the k items: its cosine with the reviews of each item is
  added with the weight that ranks best on validation users of the same split.

Beside them stand popularity, item-kNN and EASE. The data is private: `WARMSTART_DATA` names a
folder that holds amazon-musical-instruments/. A result is added, never edited.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from benchmarks import records
from benchmarks.content.cold import Judged
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.types import FloatArray, Histories
from warmstart.data import Dataset, SplitConfig, make_split
from warmstart.data.reviews import Reviews, read_reviews
from warmstart.data.splits import Split
from warmstart.encoders import VectorCache, encode
from warmstart.encoders.reviews import pooled
from warmstart.encoders.text import SentenceEncoder
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders import Recommender
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.review_vectors import MODALITY, encode_reviews
from warmstart.recommenders.trust import standardised

RESULTS = Path(__file__).parent / "results"
IDS, ITEMS = "warmstart, ids only", "warmstart, item reviews"
BOTH = "warmstart, item and user reviews"
_GRID = (0.0, 0.1, 0.25, 0.5, 1.0)


class ReviewsConfig(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        shots: likes that a cold user shows.
        test_fraction: share of the users that are cold.
        model: settings of the default.
    """

    splits: int = Field(5, ge=1)
    shots: tuple[int, ...] = (0, 1, 2, 3, 5)
    test_fraction: float = 0.2
    model: DefaultConfig = DefaultConfig()


class Writers:
    """What users wrote about what they show.

    Args:
        reviews: all of them.
        data: whose users and items are meant.
    """

    def __init__(self, reviews: Reviews, data: Dataset) -> None:
        found = encode(SentenceEncoder(), reviews.texts, cache=VectorCache())
        self.vectors, self.known = found.vectors, found.known
        user = data.users.find(reviews.users.values)[reviews.user].astype(np.int64)
        self.pair = user * data.n_items + data.items.find(reviews.items.values)[reviews.item]
        self.n_items = data.n_items

    def said(self, users: Any, shown: Histories) -> tuple[FloatArray, Any]:  # noqa: ANN401
        """Return (users, dim) pooled vectors of what each wrote on what they show, and who did."""
        pairs = np.asarray(users, np.int64)[shown.rows] * self.n_items + shown.items
        place = {int(pair): row for pair, row in zip(pairs, shown.rows, strict=True)}
        rows = [i for i, pair in enumerate(self.pair) if int(pair) in place and self.known[i]]
        group = np.array([place[int(self.pair[i])] for i in rows], np.int64)
        author = self.pair[rows] % self.n_items  # one voice for each item that is written about
        return pooled(self.vectors[rows], group, author, len(users))


def run(folder: Path, config: ReviewsConfig, now: datetime) -> dict[str, Any]:
    """Judge every method on every split."""
    begun, code = time.perf_counter(), records.commit()
    path = folder / "reviews.parquet"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; set WARMSTART_DATA to a folder that has it")
    table = pq.read_table(path)
    data = Dataset.from_tables(table, name="amazon-musical-instruments")
    reviews = read_reviews(table)
    writers = Writers(reviews, data)
    judged = {k: Judged() for k in config.shots}
    weights: list[dict[str, float]] = []
    for seed in range(config.splits):
        split = _split(data, config, seed)
        inner = _split(split.train, config, seed + 1_000)
        weights.append(_chosen(inner, reviews, writers, config, seed))
        models = {
            name: Recommender(name, seed=seed).fit(split.train, progress=False).method
            for name in ("popularity", "itemknn", "ease")
        }
        models[IDS] = Default(config.model).fit(split.train, seed=seed)
        content = encode_reviews(split.train, reviews).data
        models[ITEMS] = Default(config.model).fit(content, seed=seed)
        for k, judge_at in judged.items():
            support = split.tasks.at(k)
            judge = judge_at.split(split.tasks.query.toarray(), split.tasks.users, seed)
            for name, model in models.items():
                judge(name, _unseen(model.score(support), support))
            heard = _heard(content, writers, split, support)
            weight = np.float32(weights[-1][str(k)])
            both = standardised(models[ITEMS].score(support)) + weight * heard
            judge(BOTH, _unseen(both, support))
    return {
        "experiment": "reviews",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"user-cold: {config.test_fraction:.0%} of {data.n_users:,} users are cold, "
        f"all of {data.n_items:,} items are ranked; query past the {max(config.shots)}th like; "
        f"{sum(map(len, judged[config.shots[0]].who)):,} tasks",
        "rows": {str(k): found.rows(IDS) for k, found in judged.items()},
        "weights": weights,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _split(data: Dataset, config: ReviewsConfig, seed: int) -> Split:
    return make_split(
        data,
        SplitConfig(seed=seed, test_fraction=config.test_fraction, max_shots=max(config.shots)),
    )


def _heard(content: Dataset, writers: Writers, split: Split, support: Histories) -> FloatArray:
    """Return (users, items) standardised cosines of the users' words and the items' reviews."""
    block = content.content[MODALITY]
    values, mean = block.dense(), block.dense()[block.known].mean(axis=0)
    items = np.where(block.known[:, None], values - mean, np.float32(0))
    said, who = writers.said(split.tasks.users, support)
    spoken = np.where(who[:, None], said - mean, np.float32(0))
    for rows in (items, spoken):
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return standardised(np.asarray(spoken @ items.T, np.float32))


def _chosen(
    inner: Split, reviews: Reviews, writers: Writers, config: ReviewsConfig, seed: int
) -> dict[str, float]:
    """Return the best weight of the words at each number of shots, on validation users."""
    content = encode_reviews(inner.train, reviews).data
    model = Default(config.model).fit(content, seed=seed)
    found = {}
    for k in config.shots:
        support = inner.tasks.at(k)
        scores = standardised(model.score(support))
        heard = _heard(content, writers, inner, support)
        marks = []
        for weight in _GRID:
            top, _ = top_k(_unseen(scores + np.float32(weight) * heard, support), 10)
            marks.append(float(ndcg(top, inner.tasks.query, 10).mean()))
        found[str(k)] = _GRID[int(np.argmax(marks))]
    return found


def _unseen(scores: FloatArray, shown: Histories) -> FloatArray:
    out = np.array(scores, np.float32)
    out[shown.rows, shown.items] = -np.inf
    return out


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Reviews as content of items and users.",
        ReviewsConfig,
        run,
        folder="amazon-musical-instruments",
        stem="reviews-amazon",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
