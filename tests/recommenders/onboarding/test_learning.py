"""What practice learns on planted users: better questions than random ones."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from warmstart.core.rng import generator
from warmstart.core.types import Histories
from warmstart.meta.question_policy import Episodes, policy_loss, train_policy
from warmstart.meta.settings import QuestionPolicyConfig
from warmstart.recommenders.onboarding.config import OnboardingConfig
from warmstart.recommenders.onboarding.features import START
from warmstart.recommenders.onboarding.judging import ranking_after
from warmstart.recommenders.onboarding.learning import closed_form, learn_onboarding
from warmstart.recommenders.onboarding.policies import POLICIES
from warmstart.recommenders.onboarding.respondents import interview, respondents
from warmstart.recommenders.onboarding.simulation import rows_of, simulate

CONFIG = OnboardingConfig.parse(
    {
        "belief": {"dim": 3, "seen_dim": 2, "reg": 2.0},
        "policy": {"updates": 30, "questions": 5, "batch_users": 24},
        "list_length": 6,
    }
)


def planted(n_users, seed, n_items=40):
    """Whole stars; a few items that all know divide people, most are known to few and dull."""
    rng = np.random.default_rng(seed)
    loud = np.arange(n_items) < 10
    loading = np.random.default_rng(98).normal(size=(2, n_items)) * np.where(loud, 1.5, 0.2)
    stars = 3 + rng.normal(size=(n_users, 2)) @ loading
    stars = np.clip(np.round(stars + rng.normal(0, 0.4, stars.shape)), 1, 5)
    seen = rng.random(stars.shape) < np.where(loud, 0.7, 0.15)
    rows, columns = np.nonzero(seen)
    return sp.csr_array((stars[rows, columns], (rows, columns)), shape=stars.shape)


def evidence(ratings):
    return np.where(np.asarray(ratings) >= 4, 1, -0.5).astype(np.float32)


@pytest.fixture(scope="module")
def knowledge():
    return learn_onboarding(planted(300, 0), evidence, CONFIG, seed=1)


@pytest.fixture(scope="module")
def people():
    return respondents(planted(200, 2), seed=3)


def test_everything_learned_asks_better_than_random(knowledge, people):
    reached = {
        name: interview(
            POLICIES[name], knowledge, people, questions=5, rng=generator(4, name)
        ).rmse[:, -1]
        for name in ("random", "information-gain", "greedy-list", "reinforce")
    }
    for name in ("information-gain", "greedy-list", "reinforce"):
        gap = reached[name] - reached["random"]
        assert gap.mean() < -4 * gap.std() / np.sqrt(len(gap))  # 4 standard errors


def test_training_earns_more_than_it_began_with(monkeypatch):
    """A policy that starts without any idea learns from rewards alone."""
    ratings = planted(300, 5)
    begun = learn_onboarding(ratings, evidence, CONFIG, seed=1)
    people = respondents(planted(1_000, 6), seed=7)
    start = np.zeros_like(START)
    monkeypatch.setattr("warmstart.recommenders.onboarding.learning.STARTS", {"blind": start})
    learned = learn_onboarding(ratings, evidence, CONFIG, seed=1)
    assert not np.array_equal(learned.weights, start)
    blind = replace(begun, weights=start)
    rmse = [
        interview(POLICIES["reinforce"], k, people, questions=5, rng=generator(0)).rmse[:, 1:]
        for k in (learned, blind)
    ]
    gap = (rmse[0] - rmse[1]).mean(axis=1)
    assert gap.mean() < -3 * gap.std() / np.sqrt(len(gap))


def test_the_same_seed_learns_the_same(knowledge):
    again = learn_onboarding(planted(300, 0), evidence, CONFIG, seed=1)
    for name, array in knowledge.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_few_users_do_not_practise():
    found = learn_onboarding(planted(20, 8), evidence, CONFIG)
    assert found.weights is not None
    np.testing.assert_array_equal(found.weights, START)
    assert found.listed is not None


def test_the_loss_has_the_gradient_by_hand():
    """Steps, rows and samples must not be confused: against a slow sum over every question."""
    rng = np.random.default_rng(0)
    steps, samples, tasks, items, width = 3, 2, 4, 5, 6
    rows = samples * tasks
    allowed = np.ones((steps, rows, items), bool)
    allowed[1, :, 0] = False
    actions = rng.integers(1, items, (steps, rows))
    reward = rng.normal(size=(steps, rows)).astype(np.float32)
    shown = rng.normal(size=(steps, rows, items, width)).astype(np.float32)
    episodes = Episodes(shown, allowed, actions, reward, samples)
    weights = torch.tensor(rng.normal(size=width).astype(np.float32), requires_grad=True)
    policy_loss(weights, episodes, QuestionPolicyConfig(entropy=0)).backward()
    theta, by_hand = weights.detach().numpy(), np.zeros(width)
    for step in range(steps):
        for task in range(tasks):
            for sample in range(samples):
                row, other = sample * tasks + task, (1 - sample) * tasks + task
                logits = np.where(allowed[step, row], shown[step, row] @ theta, -np.inf)
                chance = np.exp(logits - logits.max())
                chance /= chance.sum()
                phi = shown[step, row]
                slope = phi[actions[step, row]] - chance @ phi
                by_hand -= (reward[step, row] - reward[step, other]) * slope
    np.testing.assert_allclose(weights.grad.numpy(), by_hand / (steps * rows), atol=1e-5)


def test_the_weights_that_validation_found_best_are_kept():
    def play(weights, rng):
        shown = rng.normal(size=(1, 4, 3, 2)).astype(np.float32)
        actions = np.zeros((1, 4), np.int64)
        return Episodes(shown, np.ones((1, 4, 3), bool), actions, np.ones((1, 4), np.float32), 2)

    start = np.zeros(2, np.float32)
    kept = train_policy(
        play, start, QuestionPolicyConfig(updates=4), validate=lambda w: -abs(w).sum()
    )
    np.testing.assert_array_equal(kept, start)


def test_ranking_is_ndcg_by_hand(people):
    score = closed_form(planted(300, 0), evidence, CONFIG)
    some = people.take(np.arange(6))
    known = learn_onboarding(planted(300, 0), evidence, OnboardingConfig(fewest_users=10_000))
    found = interview(POLICIES["popularity"], known, some, questions=3, rng=generator(0))
    marks = ranking_after(found, some, 2, score, evidence)
    for user in range(6):
        said = [(i, v) for i, v in zip(found.items[user, :2], found.values[user, :2], strict=True)
                if np.isfinite(v)]  # fmt: skip
        items = np.array([i for i, _ in said], np.int32)
        values = evidence(np.array([v for _, v in said]))
        scores = score(Histories(np.array([0, len(said)]), items, values))[0].copy()
        scores[items] = -np.inf
        top = np.argsort(-scores, kind="stable")[:10]
        query = some.query[[user]]
        liked = set(query.indices[query.data >= 4].tolist())
        gains = [1 / np.log2(2 + place) for place, item in enumerate(top) if item in liked]
        ideal = sum(1 / np.log2(2 + place) for place in range(min(10, len(liked))))
        if liked:
            assert marks[user] == pytest.approx(sum(gains) / ideal)
        else:
            assert np.isnan(marks[user])


def test_simulation_is_the_interviews_one_by_one(knowledge, people):
    score = closed_form(planted(300, 0), evidence, CONFIG)
    games = simulate(
        knowledge, people, score=score, evidence=evidence, questions=4, seed=9,
        policies=["popularity", "thompson"],
    )  # fmt: skip
    assert [(g.policy, g.world) for g in games] == [
        ("popularity", "open"),
        ("thompson", "open"),
        ("popularity", "closed"),
        ("thompson", "closed"),
    ]
    game = games[1]
    one = interview(
        POLICIES["thompson"], knowledge, people, questions=4,
        rng=generator(9, "policy", "thompson", "open", 0),
    )  # fmt: skip
    np.testing.assert_array_equal(game.items, one.items)
    np.testing.assert_array_equal(game.values["answered"], one.answered)
    for number in range(5):  # who said nothing new is not scored again, and has the same mark
        slow = ranking_after(one, people, number, score, evidence)
        np.testing.assert_allclose(game.values["ndcg@10"][:, number], slow)
    assert games[0].identical == 1
    assert game.identical < 0.2
    rows = rows_of(games, seed=1)
    assert {(r.questions, r.metric) for r in rows} == {
        (n, m) for n in range(5) for m in ("rmse", "ndcg@10", "answered")
    }
    of = {(r.policy, r.world, r.questions, r.metric): r for r in rows}
    row = of["thompson", "open", 4, "rmse"]
    assert row.mean == pytest.approx(one.rmse[:, 4].mean())
    assert row.ci_low < row.mean < row.ci_high
    assert row.users == len(people)
    closed = of["popularity", "closed", 4, "answered"]
    assert closed.mean > of["popularity", "open", 4, "answered"].mean
