"""The first users of new films, on MovieLens-1M: `python -m benchmarks.content.warm_up`.

A fifth of the films with at least ten likes is cold. Some users are judged on them by what they
like of the others; of those who are left, the first n who like a cold film are heard, each known by
what they like of the other films. The default is trained once a split, on the other films and with
all content; it then ranks the cold films by content alone, by content and n users, and by n users
alone. Item-kNN from the same n users stands beside it. What a model chooses (weights, τ) it chooses
in training, on films that it makes cold itself; no test film is looked at.

The data is private, as in `cold_items`. A result is added, never edited.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.content.cold_items import TEXTS, films
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.data import SplitConfig, make_split
from warmstart.evaluation.metrics import ndcg
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

RESULTS = Path(__file__).parent / "results"
CONTENT, BOTH, USERS, KNN = "content alone", "content and users", "users alone", "item-kNN"


class WarmUp(Config):
    """Settings of the measurement.

    Attributes:
        splits: how many, with the seeds 0, 1, …
        item_fraction: share of the films that are cold.
        least_likes: films with fewer leave the catalogue.
        users: users who are judged in each split; the others are heard.
        heard: how many users of each film are heard, in turn; a film that fewer like hears those.
        shrinkage: of item-kNN.
        model: settings of the default.
    """

    splits: int = Field(3, ge=1)
    item_fraction: float = 0.2
    least_likes: int = 10
    users: int = Field(1_500, ge=1)
    heard: tuple[int, ...] = (1, 3, 5, 10, 20)
    shrinkage: float = 30.0
    model: DefaultConfig = DefaultConfig()


def order_of(likes: sp.csr_array, rng: np.random.Generator) -> sp.csr_array:
    """Return (users, films) at what place each user comes among those who like a film, from 1."""
    place = sp.csc_array(likes)
    for start, stop in zip(place.indptr[:-1], place.indptr[1:], strict=True):
        place.data[start:stop] = 1 + rng.permutation(stop - start)
    return sp.csr_array(place)


def neighbours(
    shown: sp.csr_array, known: sp.csr_array, first: sp.csr_array, shrinkage: float
) -> np.ndarray:
    """Return (judged users, cold films) summed shrunken cosines with what a user likes.

    Args:
        shown: (judged users, films) their likes.
        known: (other users, films) their likes of films that are not cold.
        first: (other users, cold films) ones at the users who are heard.
        shrinkage: added to the denominator.
    """
    together = (first.T @ known).toarray()
    n, popular = (np.asarray(m.sum(axis=0)).ravel() for m in (first, known))
    return np.asarray(shown @ (together / (np.sqrt(np.outer(n, popular)) + shrinkage)).T)


def run(folder: Path, config: WarmUp, now: datetime) -> dict[str, Any]:
    """Judge every number of users on every split."""
    begun, code = time.perf_counter(), records.commit()
    data = films(folder)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= config.least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    data, report = encode_items(data, [*TEXTS, "poster"], root=folder / "posters")
    print(report.summary(), flush=True)
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    clusters, chosen, seconds, short = [], [], [], []
    for seed in range(config.splits):
        split = make_split(
            data,
            SplitConfig(
                scenario="item-cold", seed=seed, item_fraction=config.item_fraction,
                max_shots=100_000, min_support=5,
            ),
        )  # fmt: skip
        order = generator(seed, "judged").permutation(len(split.tasks))
        tasks, others = (
            split.tasks.take(np.sort(part)) for part in np.split(order, [config.users])
        )
        if not len(others):
            raise ConfigError(f"{config.users:,} users are judged, and nobody is left to be heard")
        cold = np.flatnonzero(tasks.candidates)
        relevant, clusters_of = tasks.query[:, cold].toarray(), tasks.users
        shown, known = (_likes(t.support.matrix(data.n_items)) for t in (tasks, others))
        place = order_of(sp.csr_array(others.query[:, cold]), generator(seed, "first users"))
        clusters.append(clusters_of)
        start = time.perf_counter()
        model = Default(config.model).fit(split.train, seed=seed)
        seconds.append(round(time.perf_counter() - start, 1))
        if model.first_users is None:
            raise ConfigError("the model has not learned to hear users; train it on more films")
        chosen.append(model.first_users.about())
        alone = Default.from_state(model.state())
        alone.content, alone.first_users = None, replace(model.first_users, tau=1e-9)
        short.append({n: int((place.max(axis=0).toarray() < n).sum()) for n in config.heard})

        def judge(
            name: str,
            n: int,
            scores: np.ndarray,
            relevant: np.ndarray = relevant,
            seed: int = seed,
        ) -> None:
            lot = generator(seed, "ties").permutation(scores.shape[1])
            top, _ = top_k(np.ascontiguousarray(scores[:, lot], np.float32), 10)
            of_users = ndcg(top, sp.csr_array(relevant[:, lot]), 10)
            found.setdefault((name, n), []).append(of_users)
            print(seed, name, n, f"{of_users.mean():.4f}", flush=True)

        judge("chance", 0, generator(seed, "chance").random(relevant.shape))
        judge(CONTENT, 0, model.score(tasks.support)[:, cold])
        for n in config.heard:
            first = sp.csr_array(
                ((place.toarray() <= n) & (place.toarray() > 0)).astype(np.float32)
            )
            likes = known.tolil()
            likes[:, cold] = first
            likes = sp.csr_array(likes)
            judge(BOTH, n, model.with_first_users(likes, cold).score(tasks.support)[:, cold])
            judge(USERS, n, alone.with_first_users(likes, cold).score(tasks.support)[:, cold])
            judge(KNN, n, neighbours(shown, known, first, config.shrinkage))
    who = np.concatenate(clusters)
    reference = np.concatenate(found[CONTENT, 0])
    rows = []
    for (name, n), parts in found.items():
        ours = np.concatenate(parts)
        low, high = bootstrap_interval(ours[:, None], clusters=who)
        row: dict[str, Any] = {"method": name, "users heard": n, "nDCG@10": float(ours.mean()),
                               "ci_low": float(low[0]), "ci_high": float(high[0])}  # fmt: skip
        if name != CONTENT:
            gap = ours - reference
            low, high = bootstrap_interval(gap[:, None], clusters=who)
            row["minus_content"] = [float(gap.mean()), float(low[0]), float(high[0])]
            row["p"] = paired_permutation(ours, reference, clusters=who)
        rows.append(row)
    judged = [r for r in rows if "p" in r]
    for row, p in zip(judged, holm(np.array([r["p"] for r in judged])), strict=True):
        row["p_holm"] = float(p)
    return {
        "experiment": "warm-up",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(range(config.splits)),
        "protocol": f"item-cold: {config.item_fraction:.0%} of {data.n_items:,} films with at "
        f"least {config.least_likes} likes; {config.users:,} warm users a split show all their "
        "likes of the other films; all cold films are ranked after each has heard n of the users "
        "who are not judged",
        "rows": rows,
        "chosen": chosen,
        "films that fewer like": short,
        "fit_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _likes(evidence: sp.csr_array) -> sp.csr_array:
    likes = evidence.copy()
    likes.data = (likes.data > 0).astype(np.float32)
    likes.eliminate_zeros()
    return likes


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "The first users of new films.",
        WarmUp,
        run,
        folder="ml-1m",
        stem="warm-up-ml-1m",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
