"""Play new users whose ratings are known against policies, and judge what each would have asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.onboarding.judging import Evidence, Score, ranking_after
from warmstart.recommenders.onboarding.knowledge import Knowledge
from warmstart.recommenders.onboarding.policies import POLICIES, lookup
from warmstart.recommenders.onboarding.ratings import read_rated_users
from warmstart.recommenders.onboarding.respondents import (
    WORLDS,
    Respondents,
    Transcript,
    World,
    interview,
)

RMSE, NDCG, ANSWERED = "rmse", "ndcg@10", "answered"
_ROOM = 1 << 22  # pairs of users and items held at once


@dataclass(frozen=True, slots=True)
class Played:
    """What one policy did in one world, after 0, 1, … questions.

    Attributes:
        policy: name.
        world: "open" or "closed".
        items: (users, questions) what was asked; -1 where nothing was left.
        values: metric → (users, questions + 1); nDCG is NaN for who likes nothing in the query.
    """

    policy: str
    world: World
    items: IntArray
    values: dict[str, npt.NDArray[np.float64]]

    @property
    def identical(self) -> float:
        """Share of users whose questions are those of the commonest sequence."""
        _, counts = np.unique(self.items, axis=0, return_counts=True)
        return float(counts.max(initial=0) / max(1, len(self.items)))


@dataclass(frozen=True, slots=True)
class Row:
    """One mean over users and its 95 % interval."""

    policy: str
    world: World
    questions: int
    metric: str
    mean: float
    ci_low: float
    ci_high: float
    users: int


def simulate(
    knowledge: Knowledge,
    people: Respondents,
    *,
    score: Score,
    evidence: Evidence,
    policies: Sequence[str] = tuple(POLICIES),
    worlds: Iterable[World] = WORLDS,
    questions: int = 10,
    judged: Sequence[int] | None = None,
    allowed: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Played]:
    """Let every policy ask every user.

    Args:
        knowledge: what training users teach.
        people: users none of whom was trained on.
        score: ranks the catalogue after the answers.
        evidence: turns ratings into signed evidence.
        policies: names.
        worlds: "open", "closed" or both.
        questions: most of one interview.
        judged: after how many questions lists are judged; the others are NaN. None for all.
        allowed: (items,) what may be asked; None for everything.
        seed: of policies with chance.
        progress: told how far the work has come.

    Raises:
        ConfigError: an unknown policy, one that the model lacks, or fewer than 1 question.
    """
    if questions < 1:
        raise ConfigError(f"questions must be at least 1, got {questions}")
    chosen = [(name, lookup(name)) for name in policies]
    numbers = range(questions + 1) if judged is None else sorted({*judged})
    step = max(1, _ROOM // max(1, people.pool.shape[1]))
    blocks = [np.arange(s, min(s + step, len(people))) for s in range(0, len(people), step)]
    games = [(name, policy, world) for world in worlds for name, policy in chosen]
    played = []
    for done, (name, policy, world) in enumerate(games):
        if progress is not None:
            progress(done, len(games), f"{name}, {world} world")
        items, parts = [], list[dict[str, npt.NDArray[np.float64]]]()
        for number, block in enumerate(blocks):
            some = people.take(block)
            transcript = interview(
                policy, knowledge, some,
                questions=questions, world=world, allowed=allowed,
                rng=generator(seed, "policy", name, world, number),
            )  # fmt: skip
            items.append(transcript.items)
            ranked = _rankings(transcript, some, numbers, score, evidence)
            parts.append({RMSE: transcript.rmse, NDCG: ranked, ANSWERED: transcript.answered})
        values = {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}
        played.append(Played(name, world, np.concatenate(items), values))
    return played


def rows_of(played: Sequence[Played], *, seed: int = 0, users: IntArray | None = None) -> list[Row]:
    """Return the means with intervals, in which users are drawn.

    Args:
        played: of `simulate`.
        seed: of the bootstrap.
        users: (users,) who is drawn together; None when each stands alone.
    """
    rows = []
    for game in played:
        for metric, values in game.values.items():
            known = np.isfinite(values).any(axis=1)
            kept = values[known]
            numbers = np.flatnonzero(np.isfinite(kept).all(axis=0))
            clusters = None if users is None else users[known]
            low, high = bootstrap_interval(kept[:, numbers], seed=seed, clusters=clusters)
            for place, number in enumerate(numbers.tolist() if len(kept) else []):
                mean = float(kept[:, number].mean())
                ends = float(low[place]), float(high[place])
                rows.append(Row(game.policy, game.world, number, metric, mean, *ends, len(kept)))
    return rows


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it.

    Attributes:
        rows: means with intervals.
        identical: world → policy → share of users whose questions are those of the commonest
            sequence; 1 is a static list.
        n_users: how many users were asked.
        n_unknown: ratings of items outside the catalogue, left out.
        n_alone: users with fewer than two other ratings, left out.
    """

    rows: tuple[Row, ...]
    identical: dict[str, dict[str, float]]
    n_users: int
    n_unknown: int
    n_alone: int

    @property
    def notes(self) -> list[str]:
        """What was left out, in words."""
        lines = []
        if self.n_unknown:
            lines.append(f"{self.n_unknown:,} ratings name items outside the catalogue: left out")
        if self.n_alone:
            lines.append(f"{self.n_alone:,} users have fewer than two ratings: left out")
        return lines


def simulate_file(
    method: Any,  # noqa: ANN401  (a Method)
    catalogue: Catalogue,
    ratings: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
    *,
    policies: Iterable[str] | None = None,
    questions: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> Simulation:
    """Read new users' ratings and play them; see `Recommender.simulate_onboarding`."""
    if questions < 1:
        raise ConfigError(f"questions must be at least 1, got {questions}")
    names = list(POLICIES) if policies is None else list(policies)
    for name in names:
        lookup(name)
    knowledge = getattr(method, "onboarding", None)
    if knowledge is None:
        raise ConfigError(
            "the model has not learned to ask: it is older, or of another method; train the "
            "default method anew"
        )
    read = read_rated_users(ratings, catalogue, seed=seed)
    played = simulate(
        knowledge,
        read.people,
        score=method.score,
        evidence=catalogue.schema.evidence.values,
        policies=names,
        questions=questions,
        allowed=catalogue.served(None),
        seed=seed,
        progress=progress,
    )
    identical: dict[str, dict[str, float]] = {}
    for game in played:
        identical.setdefault(game.world, {})[game.policy] = round(game.identical, 4)
    rows = tuple(rows_of(played, seed=seed))
    return Simulation(rows, identical, len(read.people), read.n_unknown, read.n_alone)


def _rankings(
    transcript: Transcript,
    people: Respondents,
    numbers: Iterable[int],
    score: Score,
    evidence: Evidence,
) -> npt.NDArray[np.float64]:
    """Return (users, questions + 1) nDCG@10; who said nothing new since is not scored again."""
    answered = transcript.answered
    found = np.full(answered.shape, np.nan)
    before: int | None = None
    for number in numbers:
        changed = np.arange(len(people))
        if before is not None:
            found[:, number] = found[:, before]
            changed = np.flatnonzero(answered[:, number] > answered[:, before])
        if len(changed):
            part = transcript.take(changed)
            some = people.take(changed)
            found[changed, number] = ranking_after(part, some, number, score, evidence)
        before = number
    return found
