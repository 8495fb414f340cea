"""What dislikes in the support are worth: `python -m benchmarks.dislikes`.

Cold users show k likes, and then the same likes with up to five of their dislikes beside them. The
query set is the same (likes past the twentieth), so the paired difference is what the dislikes
say. Disliked items leave the ranking in both cases: that nobody recommends them is no merit of the
model. A result is added, never edited.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.core.types import Histories
from warmstart.data import Dataset, Split, SplitConfig, load_dataset, make_split
from warmstart.evaluation import metrics
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.progress import progress_bar

RESULTS = Path(__file__).parent / "results"


class DislikesConfig(Config):
    """Settings of the measurement.

    Attributes:
        dataset: a named dataset with ratings.
        shots: numbers of likes.
        most: dislikes shown, or all that a user has.
        splits: how many, made with the seeds 0, 1, …
        test_fraction: share of users held out.
    """

    dataset: str = "ml-1m"
    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    most: int = Field(5, ge=1)
    splits: int = Field(3, ge=1)
    test_fraction: float = 0.1


def run(config: DislikesConfig, *, now: datetime) -> dict[str, Any]:
    """Train on each split, and judge its cold users with and without their dislikes."""
    begun, code, data = perf_counter(), records.commit(), load_dataset(config.dataset)
    found: dict[int, list[tuple[Any, Any]]] = {k: [] for k in config.shots}
    users, shown = [], []
    for seed in range(config.splits):
        chosen = SplitConfig(seed=seed, test_fraction=config.test_fraction)
        split = make_split(data, chosen)
        with progress_bar(f"split {seed + 1}/{config.splits}") as bar:
            method = Default().fit(split.train, seed=seed, progress=bar)
        rows = dislikes_of(data, split, config.most, seed)
        keep = np.flatnonzero(rows.shots)  # who dislikes nothing has nothing to add
        users.append(split.tasks.users[keep])
        shown.append(rows.shots[keep])
        for k in config.shots:
            found[k].append(judged(method, split, k, rows, keep))
    who = np.concatenate(users)
    table = []
    for k in config.shots:
        without, given = (np.concatenate(side) for side in zip(*found[k], strict=True))
        low, high = bootstrap_interval(given - without, clusters=who)
        table.append(
            {
                "shots": k,
                "likes_alone": float(without.mean()),
                "with_dislikes": float(given.mean()),
                "difference": float((given - without).mean()),
                "ci_low": float(low),
                "ci_high": float(high),
                "p": paired_permutation(given, without, clusters=who),
            }
        )
    for row, p in zip(table, holm(np.array([row["p"] for row in table])), strict=True):
        row["p_holm"] = float(p)
    return {
        "benchmark": "dislikes",
        "metric": "nDCG@10",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "fingerprint": data.fingerprint,
        "seeds": list(range(config.splits)),
        "tasks": len(who),
        "mean_dislikes_shown": float(np.concatenate(shown).mean()),
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": round(perf_counter() - begun, 1),
        "rows": table,
    }


def dislikes_of(data: Dataset, split: Split, most: int, seed: int) -> Histories:
    """Return up to `most` dislikes of each task's user, in a seeded random order."""
    rows = data.evidence()[split.tasks.users]
    rows.data[rows.data > 0] = 0
    rows.eliminate_zeros()
    shots = np.diff(rows.indptr)
    user = np.repeat(np.arange(len(shots)), shots)
    order = np.lexsort((generator(seed, "dislikes").random(len(user)), user))
    whole = Histories(rows.indptr.astype(np.int64), rows.indices[order], rows.data[order])
    return whole.first(most)


def judged(
    method: Default, split: Split, k: int, dislikes: Histories, keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return nDCG@10 of the users in `keep` from likes alone, and from likes and dislikes."""
    likes = split.tasks.at(k)
    both = side_by_side(likes, dislikes)
    query = split.tasks.query[keep]
    sides = []
    for history in (likes, both):
        top, _ = top_k(method.score(history.take(keep)), 10, seen=both.take(keep))
        sides.append(metrics.ndcg(top, query, 10))
    return sides[0], sides[1]


def side_by_side(likes: Histories, dislikes: Histories) -> Histories:
    """Return the same users with both kinds of events.

    Example:
        >>> one = Histories(np.array([0, 1, 1]), np.int32([4]), np.float32([1]))
        >>> other = Histories(np.array([0, 0, 2]), np.int32([7, 8]), np.float32([-1, -1]))
        >>> side_by_side(one, other).items.tolist(), side_by_side(one, other).indptr.tolist()
        ([4, 7, 8], [0, 1, 3])
    """
    user = np.concatenate([likes.rows, dislikes.rows])
    order = np.argsort(user, kind="stable")
    return replace(
        likes,
        indptr=likes.indptr + dislikes.indptr,
        items=np.concatenate([likes.items, dislikes.items])[order],
        values=np.concatenate([likes.values, dislikes.values])[order],
        times=None,
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and add the result."""
    parser = argparse.ArgumentParser(description="Measure what dislikes are worth.")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args(arguments)

    def work() -> None:
        config = DislikesConfig.parse({"dataset": chosen.dataset, "splits": chosen.splits})
        record = run(config, now=datetime.now(UTC))
        text, stem = records.spelled(record), f"dislikes-{config.dataset}"
        print(records.add(text, stem, record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
