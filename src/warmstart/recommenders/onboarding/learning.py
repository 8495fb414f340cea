"""Everything that is learned about asking: the priors, the greedy list and the learned policy.

Training users practise in folds: those of one fold answer questions, and what is believed of them
comes from the others, so that the policy meets users as new as those it will serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray, Progress
from warmstart.meta.belief import BeliefConfig, learn_belief, observation_weights
from warmstart.recommenders.onboarding.config import OnboardingConfig
from warmstart.recommenders.onboarding.features import START, STARTS, features
from warmstart.recommenders.onboarding.greedy_list import forward_search
from warmstart.recommenders.onboarding.interview import Interview
from warmstart.recommenders.onboarding.judging import Evidence, Score, ranking_after
from warmstart.recommenders.onboarding.knowledge import Knowledge, learn_knowledge
from warmstart.recommenders.onboarding.respondents import (
    Respondents,
    Transcript,
    errors,
    respondents,
)
from warmstart.recommenders.parts import weighted_rows

_HORIZONS = (1, 3, 5, 10)  # numbers of questions after which lists are judged
_MOST_JUDGES = 100  # of each fold, who say which policy is the best to begin with
_VALIDATION = 0.3  # share of the practising users who choose the weights


@dataclass(frozen=True, slots=True)
class Fold:
    """Users who practise, and what is believed of them.

    Attributes:
        knowledge: of the other users.
        people: who practise.
        score: ranks the catalogue, learned from the other users; None to judge ratings alone.
    """

    knowledge: Knowledge
    people: Respondents
    score: Score | None


def learn_onboarding(
    ratings: sp.csr_array,
    evidence: Evidence,
    config: OnboardingConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Knowledge:
    """Learn the priors, then the greedy list and the policy from practice.

    Args:
        ratings: (users, items) of the training users.
        evidence: turns ratings into signed evidence.
        config: settings.
        seed: the same seed gives the same.
        progress: told how far training has come.
    """
    counts = np.diff(ratings.indptr)
    whole = learn_knowledge(ratings[np.flatnonzero(counts)], config.belief, seed=seed)
    active = np.flatnonzero(counts >= 2)
    if len(active) < config.fewest_users:
        return replace(whole, listed=_most_rated(whole, config), weights=START)
    order = generator(seed, "practice").permutation(active)
    folds = []
    for users in np.array_split(order, config.folds):
        others = ratings[np.setdiff1d(active, users)]
        folds.append(
            Fold(
                learn_knowledge(others, config.belief, seed=seed),
                respondents(
                    ratings[users[: config.practice_users // config.folds]],
                    query_share=config.query_share,
                    seed=seed,
                ),
                closed_form(others, evidence, config) if config.policy.ranking else None,
            )
        )
    listed = forward_search(
        [(fold.knowledge, fold.people) for fold in folds],
        length=config.list_length,
        most_items=config.practice_items,
    )
    weights = learn_weights(folds, evidence, config, seed=seed, progress=progress)
    return replace(whole, listed=listed, weights=weights)


def closed_form(ratings: sp.csr_array, evidence: Evidence, config: OnboardingConfig) -> Score:
    """Return what ranks the catalogue in practice: the Gaussian belief about likings.

    It is a part of the default model and hundreds of times cheaper than the whole.
    """
    liked = (evidence(ratings.data) > 0).astype(np.float32)
    likes = sp.csr_array((liked, ratings.indices, ratings.indptr), shape=ratings.shape, copy=True)
    likes.eliminate_zeros()
    settings = BeliefConfig()
    most = None if ratings.shape[1] <= config.dense_items else config.neighbours
    belief = learn_belief(likes, settings, neighbours=most)

    def score(histories: Histories) -> FloatArray:
        values = np.where(histories.values > 0, np.float32(1), histories.values)
        alpha = observation_weights(replace(histories, values=values), belief, settings)
        return weighted_rows(alpha, belief.covariance) + belief.mean

    return score


def learn_weights(
    folds: Sequence[Fold],
    evidence: Evidence,
    config: OnboardingConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> FloatArray:
    """Return (features,) the weights of the learned policy, see `warmstart.meta.question_policy`.

    Raises:
        MissingExtraError: torch is not installed.
    """
    if not config.policy.updates:
        return START
    try:
        from warmstart.meta.question_policy import Episodes, train_policy
    except ImportError:
        raise MissingExtraError("torch", extra="train") from None
    counts = np.sum([fold.knowledge.counts for fold in folds], axis=0)
    items = np.sort(np.argsort(-counts, kind="stable")[: config.practice_items])
    cut = [round((1 - _VALIDATION) * len(fold.people)) for fold in folds]
    sizes = np.array(cut) / max(1, sum(cut))
    horizons = [h for h in _HORIZONS if h <= config.policy.questions]

    def play(weights: FloatArray, rng: np.random.Generator) -> Episodes:
        number = int(rng.choice(len(folds), p=sizes))
        fold, n = folds[number], min(config.policy.batch_users, cut[number])
        users = rng.choice(cut[number], n, replace=False)
        people = fold.people.take(np.tile(users, config.policy.samples))
        seen = list[tuple[FloatArray, npt.NDArray[np.bool_], IntArray]]()

        def draw(chance: FloatArray, shown: FloatArray, left: npt.NDArray[np.bool_]) -> IntArray:
            asked: IntArray = (chance + rng.gumbel(size=chance.shape)).argmax(axis=1)
            seen.append((shown, left, asked))
            return asked

        transcript = _held(fold, people, items, weights, draw, config.policy.questions)
        shown, allowed, asked = (np.stack(part) for part in zip(*seen, strict=True))
        after = -_error(transcript, config)[:, 1:].T / config.policy.questions
        reward = np.cumsum(after[::-1], axis=0)[::-1].copy()
        if fold.score is not None and config.policy.ranking:
            for horizon in horizons:
                found = ranking_after(transcript, people, horizon, fold.score, evidence)
                part = config.policy.ranking / len(horizons)
                reward[:horizon] += part * np.nan_to_num(found)
        samples = config.policy.samples
        return Episodes(shown, allowed, asked, reward.astype(np.float32), samples)

    def judged(weights: FloatArray, begin: Sequence[int], end: Sequence[int]) -> float:
        return float(
            np.average(
                [
                    _quality(
                        replace(f, people=f.people.take(np.arange(b, e))),
                        items, weights, horizons, evidence, config,
                    )
                    for f, b, e in zip(folds, begin, end, strict=True)
                ],
                weights=sizes,
            )
        )  # fmt: skip

    def practised(weights: FloatArray) -> float:
        return judged(weights, [0] * len(cut), [min(n, _MOST_JUDGES) for n in cut])

    def validate(weights: FloatArray) -> float:
        return judged(weights, cut, [len(fold.people) for fold in folds])

    updates = min(config.policy.updates, sum(cut))  # few users have little to teach

    def on_update(done: int) -> None:
        if progress is not None:
            progress(done, updates, f"questions, update {done}")

    settings = config.policy.model_copy(update={"updates": updates})
    start = max(STARTS.values(), key=practised)
    return train_policy(play, start, settings, validate=validate, seed=seed, on_update=on_update)


def _most_rated(knowledge: Knowledge, config: OnboardingConfig) -> IntArray:
    return np.argsort(-knowledge.counts, kind="stable")[: config.list_length]


def _held(
    fold: Fold,
    people: Respondents,
    items: IntArray,
    weights: FloatArray,
    pick: Callable[[FloatArray, FloatArray, npt.NDArray[np.bool_]], IntArray],
    questions: int,
) -> Transcript:
    """Hold interviews about some items; `pick` takes one by scores, features and what is left."""
    knowledge, ratings = fold.knowledge.take(items), fold.knowledge.ratings
    state = Interview.start(knowledge, len(people))
    rmse = [errors(ratings, state.taste, people.query)]
    expected, asked, values = [state.expected_rmse(knowledge)], [], []
    for _ in range(questions):
        shown, left = features(knowledge, state), ~state.asked
        at = pick(np.where(left, shown @ weights, -np.inf), shown, left)
        asked.append(items[at])
        values.append(people.answers(items[at]))
        state = state.after(knowledge, at, values[-1])
        rmse.append(errors(ratings, state.taste, people.query))
        expected.append(state.expected_rmse(knowledge))
    return Transcript(
        np.stack(asked, axis=1),
        np.stack(values, axis=1),
        np.stack(rmse, axis=1),
        np.stack(expected, axis=1),
    )


def _error(transcript: Transcript, config: OnboardingConfig) -> npt.NDArray[np.float64]:
    """Return (users, questions + 1) the error that is rewarded for being small."""
    share = config.policy.believed
    found: npt.NDArray[np.float64] = (1 - share) * transcript.rmse + share * transcript.expected
    return found


def _quality(
    fold: Fold,
    items: IntArray,
    weights: FloatArray,
    horizons: Sequence[int],
    evidence: Evidence,
    config: OnboardingConfig,
) -> float:
    """Return what the policy without chance earns, as it is rewarded in training."""
    if not len(fold.people):
        return 0.0
    transcript = _held(
        fold, fold.people, items, weights, lambda chance, *_: chance.argmax(axis=1),
        config.policy.questions,
    )  # fmt: skip
    earned = -float(_error(transcript, config)[:, 1:].mean())
    if fold.score is not None and config.policy.ranking:
        ranked = [ranking_after(transcript, fold.people, h, fold.score, evidence) for h in horizons]
        earned += config.policy.ranking * float(np.nanmean(ranked))
    return earned
