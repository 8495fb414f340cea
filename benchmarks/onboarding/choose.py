"""What is settled before the comparison: `python -m benchmarks.onboarding.choose ml-100k ml-1m`.

Three tenths of the users, drawn once, settle the settings of REINFORCE and which policy asks by
default; `compare` never judges by them. Everything is learned from the other users; what ranks is
the closed form, which is what practice ranks by, too. A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.onboarding.compare import RESULTS, settling_users
from warmstart.core.config import Config
from warmstart.core.types import FloatArray, Histories
from warmstart.data import load_dataset
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.onboarding.config import OnboardingConfig
from warmstart.recommenders.onboarding.judging import Evidence, Score, ranking_after
from warmstart.recommenders.onboarding.learning import closed_form, learn_onboarding
from warmstart.recommenders.onboarding.policies import POLICIES
from warmstart.recommenders.onboarding.ratings import training_ratings
from warmstart.recommenders.onboarding.respondents import Respondents, Transcript, respondents
from warmstart.recommenders.onboarding.simulation import Played, simulate

COUNTED = (3, 5, 10)
"""Numbers of questions whose mean nDCG@10 decides."""


class Choice(Config):
    """Settings of the choice.

    Attributes:
        cuts: of each user's ratings into those that answer and those that judge.
        rankings: what a point of nDCG is worth beside one of RMSE, in the reward.
        policies: the opponents.
        onboarding: all other settings.
    """

    cuts: int = Field(1, ge=1)
    rankings: tuple[float, ...] = (0.1, 0.3, 1.0)
    policies: tuple[str, ...] = tuple(name for name in POLICIES if name != "reinforce")
    onboarding: OnboardingConfig = OnboardingConfig()


def run(dataset: str, config: Choice, now: datetime) -> dict[str, Any]:
    """Learn from the other users and let every policy ask the settling ones."""
    begun, code, data = perf_counter(), records.commit(), load_dataset(dataset)
    ratings, chosen = training_ratings(data), settling_users(data.n_users)
    train = ratings[np.setdiff1d(np.arange(data.n_users), chosen)]
    cuts = [respondents(ratings[chosen], seed=cut) for cut in range(config.cuts)]
    evidence = data.schema.evidence.values
    score = closed_form(train, evidence, config.onboarding)
    rows, seconds = [], {}
    for ranking in config.rankings:
        policy = config.onboarding.policy.model_copy(update={"ranking": ranking})
        length = 1 if rows else config.onboarding.list_length  # the list is known after the first
        settings = config.onboarding.model_copy(update={"policy": policy, "list_length": length})
        start = perf_counter()
        knowledge = learn_onboarding(train, evidence, settings)
        seconds[str(ranking)] = round(perf_counter() - start, 1)
        asking = [*config.policies, "reinforce"] if not rows else ["reinforce"]
        games = [
            simulate(
                knowledge, people, score=score, evidence=evidence, policies=asking,
                worlds=["open"], judged=(0, 1, *COUNTED), seed=cut,
            )
            for cut, people in enumerate(cuts)
        ]  # fmt: skip
        for place, game in enumerate(games[0]):
            label = {"policy": game.policy}
            if game.policy == "reinforce":
                label |= {"ranking": ranking, "weights": knowledge.weights.round(3).tolist()}
            parts = [played[place] for played in games]
            rows.append(label | _means(parts, cuts, score, evidence))
            shown = {k: v for k, v in rows[-1].items() if k != "weights"}
            print(dataset, json.dumps(shown), flush=True)
    return {
        "experiment": "onboarding-choice",
        "dataset": dataset,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "fingerprint": data.fingerprint,
        "seeds": list(range(config.cuts)),
        "users": len(chosen),
        "rows": rows,
        "learn_seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(perf_counter() - begun, 1),
    }


def _means(
    games: list[Played], cuts: list[Respondents], score: Score, evidence: Evidence
) -> dict[str, Any]:
    """Return means over users, and what of the nDCG is owed to striking answered items out."""
    rmse = np.concatenate([game.values["rmse"] for game in games])
    ndcg = np.concatenate([game.values["ndcg@10"] for game in games])
    struck = [_struck_out(game, people, score, evidence)
              for game, people in zip(games, cuts, strict=True)]  # fmt: skip
    return {
        "rmse": {n: round(float(rmse[:, n].mean()), 5) for n in (1, *COUNTED)},
        "ndcg@10": {n: round(float(np.nanmean(ndcg[:, n])), 5) for n in (0, 1, *COUNTED)},
        "ndcg@10, struck out alone": {5: round(float(np.nanmean(np.concatenate(struck))), 5)},
        "counted": round(float(np.nanmean(ndcg[:, COUNTED])), 5),
        "answered": round(float(np.mean([game.values["answered"][:, -1] for game in games])), 3),
        "identical": round(float(np.mean([game.identical for game in games])), 4),
    }


def _struck_out(game: Played, people: Respondents, score: Score, evidence: Evidence) -> FloatArray:
    """Return (users,) nDCG@10 after five questions of a list that is the same for everybody.

    Nothing is heard of the answers but that these items are known and leave the list.
    """
    values = np.stack([people.answers(asked) for asked in game.items.T], axis=1)
    nothing = np.zeros((len(people), 1))
    told = Transcript(game.items, values, nothing, nothing)

    def deaf(histories: Histories) -> FloatArray:
        nobody = Histories(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        return np.repeat(score(nobody), len(histories), axis=0)

    found: FloatArray = ranking_after(told, people, 5, deaf, evidence)
    return found


SETTINGS: Mapping[str, dict[str, Any]] = {"ml-100k": {"cuts": 2}}


def main() -> int:
    """Run on the datasets that are named."""
    parser = argparse.ArgumentParser(description="Settle how REINFORCE is trained, and who asks.")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        for dataset in chosen.datasets:
            values = SETTINGS.get(dataset, {}) | json.loads(chosen.settings)
            record = run(dataset, Choice.parse(values), datetime.now(UTC))
            stem = f"onboarding-choice-{dataset}"
            print(records.add(records.spelled(record), stem, record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
