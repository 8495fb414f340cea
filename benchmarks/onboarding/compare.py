"""Every policy asks users nobody has seen: `python -m benchmarks.onboarding.compare ml-100k ml-1m`.

Each split holds users out, trains what ranks and the policies on the others, cuts each held-out
user's ratings into those that answer and those that judge, and lets every policy ask, in the open
world and in the closed one. No user is held out twice, and none on whom settings and the default
policy were chosen (`benchmarks.onboarding.choose`). A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.onboarding.knowledge import Knowledge
from warmstart.recommenders.onboarding.learning import closed_form, learn_onboarding
from warmstart.recommenders.onboarding.policies import DEFAULT_POLICY, POLICIES
from warmstart.recommenders.onboarding.ratings import read_rated_users, training_ratings
from warmstart.recommenders.onboarding.respondents import Respondents
from warmstart.recommenders.onboarding.simulation import Played, rows_of, simulate

RESULTS = Path(__file__).parent / "results"
LEARNED, POPULAR = "reinforce", "popularity"
LOWER_IS_BETTER = ("rmse",)
_SETTLING = 0.3  # share of the users who settle settings


class OnboardingBenchmark(Config):
    """Settings of the measurement.

    Attributes:
        seeds: of the splits, from 0: each holds out other users.
        test_fraction: share of the users held out in each.
        questions: of one interview.
        tested: after how many questions policies are tested against each other.
        ranker: what ranks: "default", or "closed-form", a part of it that costs seconds.
        method: settings of the default method.
        workers: splits at once.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    test_fraction: float = Field(0.14, gt=0, lt=1)
    questions: int = Field(10, ge=1)
    tested: tuple[int, ...] = (1, 3, 5, 10)
    ranker: Literal["default", "closed-form"] = "default"
    method: dict[str, Any] = Field(default_factory=dict)
    workers: int = Field(1, ge=1)


def run(dataset: str, config: OnboardingBenchmark, now: datetime) -> dict[str, Any]:
    """Train on each split and let every policy ask its held-out users."""
    begun, code, data = perf_counter(), records.commit(), load_dataset(dataset)
    split = partial(_split, dataset, config)
    if config.workers == 1:
        splits = [split(seed) for seed in config.seeds]
    else:
        with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
            splits = list(pool.map(split, config.seeds))
    users, games, seconds = (list(part) for part in zip(*splits, strict=True))
    whole = joined(games)
    clusters = np.concatenate(users)
    rows = rows_of(whole, users=clusters)
    ours = [DEFAULT_POLICY, *({LEARNED} - {DEFAULT_POLICY})]
    return {
        "experiment": "onboarding",
        "dataset": dataset,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "fingerprint": data.fingerprint,
        "seeds": list(config.seeds),
        "interviews": len(clusters),
        "users": len(np.unique(clusters)),
        "default_policy": DEFAULT_POLICY,
        "rows": [asdict(row) for row in rows if row.questions in (0, *config.tested)],
        "differences": differences(whole, clusters, ours, config.tested),
        "saved": saved(whole),
        "identical": identical(games),
        "fit_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(perf_counter() - begun, 1),
    }


def _split(
    dataset: str, config: OnboardingBenchmark, seed: int
) -> tuple[np.ndarray, list[Played], float]:
    """Return the held-out users of one split, what they were asked, and seconds of training."""
    data = load_dataset(dataset)
    train, people, who = held_out(data, config, seed)
    settings, evidence = DefaultConfig.parse(config.method), data.schema.evidence.values
    start = perf_counter()
    knowledge: Knowledge | None
    if config.ranker == "default":
        method = Default(settings).fit(train, seed=seed)
        knowledge, score = method.onboarding, method.score
    else:
        ratings = training_ratings(train)
        knowledge = learn_onboarding(ratings, evidence, settings.onboarding, seed=seed)
        score = closed_form(ratings, evidence, settings.onboarding)
    seconds = round(perf_counter() - start, 1)
    assert knowledge is not None
    played = simulate(
        knowledge,
        people,
        score=score,
        evidence=evidence,
        questions=config.questions,
        seed=seed,
    )
    told = {g.policy: [round(float(np.nanmean(g.values[m][:, n])), 4)
                       for m, n in (("rmse", 5), ("rmse", -1), ("ndcg@10", 5))]
            for g in played if g.world == "open"}  # fmt: skip
    print(dataset, seed, f"{seconds} s", told, flush=True)
    return who, played, seconds


def settling_users(n_users: int) -> np.ndarray:
    """Return the users on whom settings are chosen; no split holds them out."""
    order = generator(0, "settings users").permutation(n_users)
    return np.sort(order[: round(_SETTLING * n_users)])


def held_out(
    data: Dataset, config: OnboardingBenchmark, seed: int
) -> tuple[Dataset, Respondents, np.ndarray]:
    """Return the training data, the held-out users, and who they are."""
    n = round(config.test_fraction * data.n_users)
    others = np.setdiff1d(np.arange(data.n_users), settling_users(data.n_users))
    order = generator(0, "held out").permutation(others)
    cold = np.sort(order[seed * n : (seed + 1) * n])
    if len(cold) < n:
        raise ValueError(f"{data.name} has too few users for split {seed} of {n} others each")
    rows = data.interactions
    train = data.restrict(~np.isin(rows.user, cold))
    ours = np.flatnonzero(np.isin(rows.user, cold))
    if rows.rating is None:
        raise ValueError(f"{data.name} has no ratings")
    table = {
        "user": pa.array(rows.user[ours]),
        "item": data.items.values.take(pa.array(rows.item[ours])),
        "rating": rows.rating[ours],
    }
    people = read_rated_users(pa.table(table), Catalogue.of(train), seed=seed).people
    first = np.unique(rows.user[ours], return_index=True)[1]
    in_order = rows.user[ours][np.sort(first)]  # users are numbered as they come
    return train, people, in_order[people.users]


def joined(games: Sequence[Sequence[Played]]) -> list[Played]:
    """Return the games of all splits, users below users."""
    return [
        Played(
            one.policy,
            one.world,
            np.concatenate([split[place].items for split in games]),
            {
                metric: np.concatenate([split[place].values[metric] for split in games])
                for metric in one.values
            },
        )
        for place, one in enumerate(games[0])
    ]


def differences(
    games: Sequence[Played], clusters: np.ndarray, ours: Sequence[str], tested: Sequence[int]
) -> list[dict[str, Any]]:
    """Return paired differences of our policies to every other, Holm over a metric's rows."""
    of = {(game.policy, game.world): game for game in games}
    found = []
    for name in ours:
        for world in dict.fromkeys(game.world for game in games):
            for metric in ("rmse", "ndcg@10"):
                rows = []
                for other in POLICIES:
                    if other == name:
                        continue
                    for number in tested:
                        a = of[name, world].values[metric][:, number]
                        b = of[other, world].values[metric][:, number]
                        known = np.isfinite(a) & np.isfinite(b)
                        who = clusters[known]
                        gap = (a - b)[known]
                        low, high = bootstrap_interval(gap, clusters=who)
                        p = paired_permutation(a[known], b[known], clusters=who)
                        rows.append(
                            {"policy": name, "world": world, "metric": metric, "other": other,
                             "questions": number, "difference": float(gap.mean()),
                             "ci_low": float(low), "ci_high": float(high), "p": p}
                        )  # fmt: skip
                for row, p in zip(rows, holm(np.array([r["p"] for r in rows])), strict=True):
                    row["p_holm"] = float(p)
                found += rows
    return found


def saved(games: Sequence[Played]) -> list[dict[str, Any]]:
    """Return how many questions each policy saves to be as good as popularity at its last one.

    The quality is the mean over users; None where a policy does not get there.
    """
    of = {(game.policy, game.world): game for game in games}
    found = []
    for game in games:
        for metric in ("rmse", "ndcg@10"):
            sign = -1 if metric in LOWER_IS_BETTER else 1
            goal = sign * np.nanmean(of[POPULAR, game.world].values[metric], axis=0)[-1]
            curve = sign * np.nanmean(game.values[metric], axis=0)
            there = np.flatnonzero(curve >= goal)
            last = len(curve) - 1
            found.append(
                {"policy": game.policy, "world": game.world, "metric": metric,
                 "saved": int(last - there[0]) if len(there) else None}
            )  # fmt: skip
    return found


def identical(games: Sequence[Sequence[Played]]) -> dict[str, dict[str, float]]:
    """Return world → policy → share of users asked the commonest sequence, the mean over splits."""
    found: dict[str, dict[str, float]] = {}
    for place, one in enumerate(games[0]):
        share = float(np.mean([split[place].identical for split in games]))
        found.setdefault(one.world, {})[one.policy] = round(share, 4)
    return found


_LIGHT = {
    "folds": 2,
    "gate_users": 400,
    "factors": [{"factors": 64, "reg": 100.0, "alpha": 20.0}],
}
"""What ranks is trained in less time than by default; it is the same whoever asks."""

SETTINGS: Mapping[str, dict[str, Any]] = {
    "ml-100k": {"method": _LIGHT | {"training": {"epochs": 20}}, "workers": 3},
    "ml-1m": {"method": _LIGHT | {"training": {"epochs": 6}}, "test_fraction": 0.1},
}


def main() -> int:
    """Run on the datasets that are named."""
    parser = argparse.ArgumentParser(description="Compare policies that ask new users.")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        for dataset in chosen.datasets:
            values = SETTINGS.get(dataset, {}) | json.loads(chosen.settings)
            record = run(dataset, OnboardingBenchmark.parse(values), datetime.now(UTC))
            text = records.spelled(record)
            print(records.add(text, f"onboarding-{dataset}", record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
