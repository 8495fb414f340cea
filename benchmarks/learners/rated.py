"""The legacy protocol on pairs: `python -m benchmarks.learners.rated ml-100k ml-1m`.

Ten rated items of each cold user are ordered; the five with the highest ratings are positive, ties
drawn by lot; a user's marks are averaged over several draws of ten. Chance is nDCG@5 = .5 exactly,
and the item mean beats several published methods, so both stand beside every learner, and so do
popularity and the item mean with the user's own bias (which moves all ten alike). The support is k
of the user's other ratings, in random order. Every learner adapts the same network of pairs with
the same training. A result is added, never edited.
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
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.learners.behaviours import write
from warmstart.core.config import Config
from warmstart.core.errors import DivergedError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation.rated import evaluate_rated
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.recommenders.chance import Chance
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.itemmean import ItemMean
from warmstart.recommenders.named import learners
from warmstart.recommenders.pair import Pair, PairConfig
from warmstart.recommenders.popularity import Popularity

RESULTS = Path(__file__).parent / "results"
MEAN = "item mean"


class RatedConfig(Config):
    """Settings of the measurement.

    Attributes:
        shots: ratings shown.
        splits: how many, with the seeds 0, 1, …
        test_fraction: share of users held out.
        query: rated items that are ordered.
        draws: of these items, for each user.
        pair: settings of the network and its training, the same for every learner.
    """

    shots: tuple[int, ...] = (1, 5, 20, 90)
    splits: int = Field(5, ge=1)
    test_fraction: float = 0.2
    query: int = 10
    draws: int = Field(8, ge=1)
    pair: dict[str, Any] = Field(default_factory=dict)


class WithUserBias(ItemMean):
    """Item mean, and how far the user's own ratings lie above it."""

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) predictions."""
        scores = super().score(histories)
        above = histories.values - self.means[histories.items]
        sums = np.bincount(histories.rows, above, minlength=len(histories))
        return scores + (sums / (histories.shots + 5))[:, None].astype(np.float32)


class AskedOnly:
    """A pair method that scores what is asked about, and leaves the rest of the catalogue at 0."""

    def __init__(self, method: Pair, ratings: sp.csr_array) -> None:
        self.method, self.ratings = method, ratings

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) predictions."""
        items = self.ratings.indices.reshape(len(histories), -1)
        scores = np.zeros(self.ratings.shape, np.float32)
        np.put_along_axis(scores, items, self.method.predict(histories, items), axis=1)
        return scores


def cold_users(
    data: Dataset, users: np.ndarray, config: RatedConfig, seed: int
) -> tuple[np.ndarray, list[tuple[Histories, sp.csr_array]]]:
    """Return who has enough ratings, and for each draw supports and the ratings of ten others."""
    seeds = generator(seed, "draws").integers(0, 2**31, config.draws)
    drawn = [_draw(data, users, config, int(s)) for s in seeds]
    return drawn[0][0], [(support, ratings) for _, support, ratings in drawn]


def _draw(data: Dataset, users: np.ndarray, config: RatedConfig, seed: int) -> Any:  # noqa: ANN401
    rows = data.histories(users, order="random", seed=seed)
    enough = rows.shots >= config.query + 20
    rows = rows.take(np.flatnonzero(enough))
    rank = np.arange(len(rows.items)) - np.repeat(rows.indptr[:-1], rows.shots)
    asked = rank < config.query
    where = (rows.rows[asked], rows.items[asked])
    ratings = sp.csr_array((rows.values[asked] + 2, where), shape=(len(rows), data.n_items))
    support = Histories(
        np.concatenate([[0], np.cumsum(rows.shots - config.query)]),
        rows.items[~asked],
        rows.values[~asked],
        features=rows.features,
    )
    return users[enough], support, ratings


def run(dataset: str, config: RatedConfig, now: datetime) -> dict[str, Any]:
    """Fit every learner on every split, and judge its cold users."""
    begun, code, data = time.perf_counter(), records.commit(), load_dataset(dataset)
    found: dict[tuple[str, int, str], list[np.ndarray]] = {}
    costs: dict[str, list[tuple[float, float]]] = {}
    clusters, failed = [], {}
    for seed in range(config.splits):
        order = generator(seed, "cold").permutation(data.n_users)
        n_cold = round(config.test_fraction * data.n_users)
        cold, rows = np.sort(order[:n_cold]), np.isin(data.interactions.user, order[:n_cold])
        train = data.restrict(~rows)
        who, draws = cold_users(data, cold, config, seed)
        clusters.append(who)
        methods: dict[str, Any] = {
            "chance": Chance(),
            "popularity": Popularity(),
            MEAN: ItemMean(),
            "item mean + user bias": WithUserBias(),
        }
        for name in learners():
            if name != "default":
                methods[name] = Pair(PairConfig.parse({**config.pair, "learner": name}))
        for name, method in methods.items():
            start = time.perf_counter()
            try:
                method.fit(train, seed=seed)
            except DivergedError as error:
                failed[name] = str(error)
                continue
            fitted, judging = time.perf_counter() - start, 0.0
            for k in config.shots:
                marks: dict[str, list[np.ndarray]] = {}
                start = time.perf_counter()
                for support, ratings in draws:
                    judged = evaluate_rated(
                        AskedOnly(method, ratings) if isinstance(method, Pair) else method,
                        support.first(k),
                        ratings,
                        ranker=top_k,
                        rng=generator(seed, "ties"),
                        n_query=config.query,
                    )
                    for metric, values in judged.items():
                        marks.setdefault(metric, []).append(values)
                judging = (time.perf_counter() - start) / len(draws)
                for metric, parts in marks.items():
                    found.setdefault((name, k, metric), []).append(np.mean(parts, axis=0))
            costs.setdefault(name, []).append((fitted, 1e6 * judging / len(who)))
            last = {k: round(float(found[name, k, "nDCG@5"][-1].mean()), 4) for k in config.shots}
            print(dataset, seed, name, f"{fitted:.0f} s", last, flush=True)
    found = {key: parts for key, parts in found.items() if key[0] not in failed}
    clustered = np.concatenate(clusters)
    rows_out = []
    for (name, k, metric), parts in found.items():
        ours = np.concatenate(parts)
        low, high = bootstrap_interval(ours[:, None], clusters=clustered)
        row: dict[str, Any] = {"method": name, "shots": k, "metric": metric, "tasks": len(ours),
                               "mean": float(ours.mean()), "ci_low": float(low[0]),
                               "ci_high": float(high[0])}  # fmt: skip
        for other, key in ((MEAN, "item_mean"), ("maml", "maml")):
            if other in failed:
                continue
            theirs = np.concatenate(found[other, k, metric])
            low, high = bootstrap_interval((ours - theirs)[:, None], clusters=clustered)
            row[f"minus_{key}"] = [float((ours - theirs).mean()), float(low[0]), float(high[0])]
        row["p"] = paired_permutation(
            ours, np.concatenate(found[MEAN, k, metric]), clusters=clustered
        )
        rows_out.append(row)
    for metric in ("nDCG@5", "MRR"):
        own = [r for r in rows_out if r["method"] in learners() and r["metric"] == metric]
        for row, p in zip(own, holm(np.array([r["p"] for r in own])), strict=True):
            row["p_holm"] = float(p)
    return {
        "experiment": "rated",
        "dataset": dataset,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": "legacy: ten rated items of each cold user, the better five positive; cold "
        f"users with at least 30 ratings, {config.draws} draws each; support: k other ratings in "
        "random order",
        "rows": rows_out,
        "costs": {
            n: {"fit_seconds": round(float(np.mean([f for f, _ in c])), 1),
                "us_per_user": round(float(np.mean([u for _, u in c])), 1)}
            for n, c in costs.items()
        },
        "failed": failed,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def main() -> int:
    """Run on the datasets that are named."""
    parser = argparse.ArgumentParser(description="Order ten rated items of cold users.")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        for dataset in chosen.datasets:
            values: dict[str, Any] = {}
            if dataset == "ml-1m":  # six times the users: a third of the epochs, and fewer splits
                outer = {"epochs": 10, "batch_size": 64, "outer_lr": 3e-3, "weight_decay": 10.0}
                values = {"test_fraction": 0.1, "splits": 3, "pair": {"outer": outer}}
            config = RatedConfig.parse(values | json.loads(chosen.settings))
            print(write(run(dataset, config, datetime.now(UTC)), chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
