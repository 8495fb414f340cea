"""Adapting in NumPy against the learners in torch, and episodes as padded tensors."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from warmstart.core.types import Histories
from warmstart.meta.amortised import Amortised
from warmstart.meta.anil import ANIL
from warmstart.meta.closed_form import ClosedForm
from warmstart.meta.episodes import Episodes, draw_episodes
from warmstart.meta.foma import FOMA
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import Examples, Problem
from warmstart.meta.losses import likelihood
from warmstart.meta.maml import MAML
from warmstart.meta.meta_sgd import MetaSGD
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import AmortisedConfig, ClosedFormConfig, FOMAConfig, InnerConfig
from warmstart.models.query_vector import HIDDEN, QueryVectorScorer
from warmstart.recommenders.adapting import (
    by_amortisation,
    by_closed_form,
    by_descent,
    evidence_of,
)
from warmstart.recommenders.batches import ItemSample, padded, ranking_support, ranking_tasks

N_ITEMS, DIM, DISLIKE, SHRINKAGE = 23, 5, 0.3, 3.0
INNER = {"inner_steps": 3, "inner_lr": 0.4}
LEARNERS = {
    "maml": MAML(InnerConfig(**INNER)),
    "fomaml": FOMAML(InnerConfig(**INNER)),
    "anil": ANIL(InnerConfig(**INNER)),
    "meta-sgd": MetaSGD(InnerConfig(**INNER)),
    "reptile": Reptile(InnerConfig(**INNER)),
    "foma, kind 0": FOMA(FOMAConfig(**INNER, kinds=2)),
    "foma, kind 1": FOMA(FOMAConfig(**INNER, kinds=2)),
    "amortised": Amortised(AmortisedConfig(hidden_dim=7)),
    "amortised, codes of their own": Amortised(AmortisedConfig(hidden_dim=7)),
    "closed-form": ClosedForm(ClosedFormConfig(prior_scale=0.8, noise=0.6)),
}


def histories(shots, *, features=0, seed=0):
    """Return users of so many events, likes and dislikes, some of them of one item twice."""
    rng = np.random.default_rng(seed)
    n = int(np.sum(shots))
    values = np.where(rng.random(n) < 0.7, rng.uniform(0.2, 1, n), rng.uniform(-1, 0, n))
    known = sp.csr_array(rng.random((len(shots), features)) * (rng.random(features) < 0.7))
    return Histories(
        np.concatenate([[0], np.cumsum(shots)]),
        rng.integers(0, N_ITEMS, n).astype(np.int32),
        values.astype(np.float32),
        features=known.astype(np.float32) if features else None,
    )


def trained(name, features):
    """Return a problem and meta-parameters as if training had moved them all."""
    torch.manual_seed(3)
    model = QueryVectorScorer(
        torch.linspace(-4, -1, N_ITEMS),
        n_features=features,
        embedding_dim=DIM,
        code_dim=7 if name.endswith("own") else 0,
    ).eval()
    problem = Problem.of(model, likelihood(SHRINKAGE))
    start = LEARNERS[name].init(problem)
    return problem, {n: p + 0.3 * torch.randn_like(p) for n, p in start.items()}


def served(name, problem, meta, users):
    """Return what NumPy makes of the users."""
    arrays = {n: p.numpy() for n, p in meta.items()}
    if name == "closed-form":
        return by_closed_form(arrays, users, dislike=DISLIKE).scores(arrays)
    if name.startswith("amortised"):
        return by_amortisation(arrays, users, dislike=DISLIKE).scores(arrays)
    learner = LEARNERS[name]
    if isinstance(learner, MAML):
        moved = learner.moved(problem)
        arrays |= {f"step_size/{n}": np.float32(INNER["inner_lr"]) for n in moved}
    queries = by_descent(
        arrays,
        users,
        dislike=DISLIKE,
        shrinkage=SHRINKAGE,
        steps=INNER["inner_steps"],
        kind=int(name.endswith("1")),
    )
    return queries.scores(arrays)


def trained_scores(name, problem, meta, users):
    """Return the log-probabilities that torch makes of the users."""
    support = ranking_support(users, N_ITEMS, DISLIKE)
    n, kind = len(users), torch.full((len(users),), int(name.endswith("1")))
    support = Examples(support.inputs, support.labels, support.mask, kind)
    every = torch.arange(N_ITEMS).expand(n, N_ITEMS)
    catalogue = Examples.of((every, *support.inputs[1:]), torch.zeros(n, N_ITEMS), kind=kind)
    adapted = LEARNERS[name].adapt(problem, meta, support)
    return problem.predict(meta, adapted, catalogue).numpy()


@pytest.mark.parametrize("features", [0, 4], ids=["strangers", "known"])
@pytest.mark.parametrize("name", LEARNERS)
def test_numpy_scores_what_torch_has_trained(name, features):
    problem, meta = trained(name, features)
    users = histories([3, 0, 1, 9, 4, 0, 17], features=features)
    found = served(name, problem, meta, users)
    expected = trained_scores(name, problem, meta, users)
    assert found.dtype == np.float32
    assert found.std(axis=1).min() > 0.1  # enough to tell the items apart
    # a log-probability is a score less a number of the user's own
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        expected - expected.mean(axis=1, keepdims=True),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_events_move_the_scores_and_nobody_elses(name):
    problem, meta = trained(name, 4)
    users = histories([5, 0, 2, 12], features=4)
    found = served(name, problem, meta, users)
    without = served(name, problem, meta, users.first(0))
    moved = np.abs(found - without).max(axis=1)
    assert (moved[[0, 2, 3]] > 1e-2).all()
    assert moved[1] == 0
    for user in range(4):
        alone = served(name, problem, meta, users.take(np.array([user])))
        np.testing.assert_allclose(alone[0], found[user], rtol=1e-4, atol=1e-5)
    torch_alone = trained_scores(name, problem, meta, users.first(0))
    np.testing.assert_allclose(np.ptp(torch_alone - without, axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_serving_leaves_what_was_learned_alone(name):
    problem, meta = trained(name, 4)
    kept = {n: p.clone() for n, p in meta.items()}
    users = histories([5, 0, 2], features=4)
    values = users.values.copy()
    served(name, problem, meta, users)
    torch.testing.assert_close(meta, kept, rtol=0, atol=0)
    np.testing.assert_array_equal(users.values, values)


def test_step_sizes_of_zero_and_shrinkage_without_end_leave_the_start():
    _, meta = trained("meta-sgd", 0)
    users = histories([4, 8])
    arrays = {n: p.numpy() for n, p in meta.items()}
    start = arrays["query"] @ arrays["map"] @ arrays["items"].T + arrays["trust"] * arrays["bias"]
    still = arrays | {n: 0 * a for n, a in arrays.items() if n.startswith("step_size/")}
    settings = {"dislike": DISLIKE, "steps": 3}
    for weights, shrinkage in ((still, 0.0), (arrays, 1e9)):
        queries = by_descent(weights, users, shrinkage=shrinkage, **settings)
        np.testing.assert_allclose(queries.scores(arrays), [start, start], rtol=1e-4, atol=1e-4)


def test_of_a_very_long_history_the_closed_form_solves_the_last_events():
    problem, meta = trained("closed-form", 0)
    long = histories([230, 3])
    last = Histories(np.array([0, 200, 203]), long.items[30:], long.values[30:])
    found = served("closed-form", problem, meta, long)
    np.testing.assert_allclose(found, served("closed-form", problem, meta, last), atol=1e-5)


def test_a_like_says_one_and_a_dislike_its_share():
    users = Histories(
        np.array([0, 2, 2, 3]), np.array([4, 1, 0], np.int32), np.array([0.2, -0.5, -1], np.float32)
    )
    expected = np.zeros((3, 6))
    expected[0, 4], expected[0, 1], expected[2, 0] = 1, -0.15, -0.3
    np.testing.assert_allclose(evidence_of(users, 6, 0.3).toarray(), expected, rtol=1e-6)


# -------------------------------------------------------------------------------------- tasks


@pytest.fixture
def evidence():
    rng = np.random.default_rng(1)
    signed = np.where(rng.random((30, N_ITEMS)) < 0.75, 1.0, -1.0)
    matrix = sp.csr_array((signed * (rng.random((30, N_ITEMS)) < 0.6)).astype(np.float32))
    matrix.eliminate_zeros()
    return matrix


def test_tasks_hold_the_episodes_and_their_padding(evidence):
    rng = np.random.default_rng(2)
    features = sp.csr_array(np.eye(30, dtype=np.float32))
    episodes = draw_episodes(evidence, np.arange(30), rng, max_shots=6, features=features)
    kind = np.arange(30) % 2
    tasks = ranking_tasks(episodes, DISLIKE, rng, most=99, kind=kind)
    support, query = tasks.support, tasks.query
    assert support.mask.sum(dim=1).tolist() == episodes.support.shots.tolist()
    assert not support.labels[~support.mask].any()
    for user in range(30):
        a, b = episodes.support.indptr[user : user + 2]
        real = support.mask[user]
        assert support.inputs[0][user, real].tolist() == episodes.support.items[a:b].tolist()
        expected = np.where(episodes.support.values[a:b] > 0, 1, -DISLIKE)
        np.testing.assert_allclose(support.labels[user, real], expected)
        liked = episodes.query[[user]].indices
        assert sorted(query.inputs[0][user, query.mask[user]].tolist()) == sorted(liked.tolist())
    for examples in (support, query):
        np.testing.assert_array_equal(examples.inputs[1], features.toarray())
        assert examples.kind.tolist() == kind.tolist()
    assert (query.labels == 1).all()


def test_a_task_weighs_the_root_of_its_query(evidence):
    rng = np.random.default_rng(2)
    episodes = draw_episodes(evidence, np.arange(30), rng)
    weight = ranking_tasks(episodes, DISLIKE, rng, most=4).weight
    roots = np.sqrt(episodes.query.sum(axis=1))
    np.testing.assert_allclose(weight, roots / roots.sum(), rtol=1e-5)
    assert float(weight.sum()) == pytest.approx(1, rel=1e-5)


def test_of_a_long_query_so_many_are_drawn_evenly(evidence):
    rng = np.random.default_rng(2)
    likes = sp.csr_array((evidence.toarray()[:3] > 0).astype(np.float32))
    episodes = Episodes(Histories.empty(3), likes)
    counts, drawn = np.diff(likes.indptr), np.zeros((3, N_ITEMS))
    for _ in range(600):
        query = ranking_tasks(episodes, DISLIKE, rng, most=5).query
        assert query.mask.shape == (3, 5)
        assert query.mask.all()
        items = query.inputs[0].numpy()
        assert all(len(set(row)) == 5 for row in items)
        np.add.at(drawn, (np.arange(3)[:, None], items), 1)
    share = 5 / counts
    error = np.sqrt(600 * share * (1 - share))[:, None]
    expected = 600 * share[:, None] * likes.toarray()
    assert (np.abs(drawn - expected) <= 4.5 * error * likes.toarray()).all()


def test_what_was_shown_is_hidden_from_the_query(evidence):
    rng = np.random.default_rng(2)
    episodes = draw_episodes(evidence, np.arange(30), rng)
    tasks = ranking_tasks(episodes, DISLIKE, rng, most=8)
    problem, meta = trained("maml", 0)
    every = torch.arange(N_ITEMS).expand(30, N_ITEMS)
    asked = Examples.of((every, *tasks.query.inputs[1:]), torch.zeros(30, N_ITEMS))
    start = {"query": meta["query"].expand(30, DIM)}
    found = problem.predict(meta, start, asked)
    shown = torch.from_numpy(episodes.support.matrix(N_ITEMS).toarray() != 0)
    assert (found[shown] < HIDDEN / 2).all()
    left = torch.where(shown, 0.0, found.exp()).sum(dim=1)
    torch.testing.assert_close(left, torch.ones(30))
    logits = meta["items"] @ (meta["query"] @ meta["map"]) + meta["trust"] * meta["bias"]
    for user in range(30):
        expected = torch.log_softmax(logits[~shown[user]], dim=0)
        torch.testing.assert_close(found[user, ~shown[user]], expected, rtol=1e-4, atol=1e-4)


def test_ragged_rows_are_filled_up():
    indptr, values = np.array([0, 2, 2, 5]), np.array([7, 8, 1, 2, 3])
    rows, mask = padded(indptr, values, 4)
    assert rows.tolist() == [[7, 8, 0, 0], [0, 0, 0, 0], [1, 2, 3, 0]]
    assert mask.sum(axis=1).tolist() == [2, 0, 3]
    assert padded(indptr, values)[0].shape == (3, 3)
    assert padded(np.zeros(3, int), values[:0])[0].shape == (2, 0)


def sampled_problem():
    torch.manual_seed(3)
    model = QueryVectorScorer(torch.log_softmax(torch.randn(400), 0), embedding_dim=6)
    likes = sp.csr_array((np.random.default_rng(0).random((30, 400)) < 0.06).astype(np.float32))
    rng = np.random.default_rng(1)
    episodes = draw_episodes(likes, np.arange(30), rng, max_shots=5)
    return Problem.of(model, likelihood(2.0)), ranking_tasks(episodes, 0.3, rng, most=20)


def test_a_sample_of_the_whole_catalogue_changes_no_gradient():
    problem, tasks = sampled_problem()
    learner, meta = FOMAML(), problem.parameters()
    sample = ItemSample.draw(tasks, np.full(400, 1 / 400), 400, np.random.default_rng(0))
    assert len(sample.items) == 400
    losses, gradients = learner.gradients(problem, meta, tasks)
    again, found = learner.gradients(problem, sample.tables(meta), sample.tasks(tasks))
    torch.testing.assert_close(again, losses)
    for name, gradient in sample.spread(found, meta).items():
        torch.testing.assert_close(gradient, gradients[name])


def test_samples_estimate_the_sum_over_the_catalogue_without_bias():
    problem, tasks = sampled_problem()
    meta, rng = problem.parameters(), np.random.default_rng(5)
    every = np.concatenate([s.inputs[0][s.mask].numpy() for s in (tasks.support, tasks.query)])
    outside = np.setdiff1d(np.arange(400), every)  # here only the even draw decides
    share = np.bincount(every, minlength=400) / len(every)
    sums = []
    for _ in range(400):
        sample = ItemSample.draw(tasks, share, 100, rng)
        kept = np.isin(sample.items.numpy(), outside)
        tables = sample.tables(meta)
        sums.append(float(torch.exp(tables["bias"] + tables["log_weight"])[kept].sum()))
    whole = float(torch.exp(meta["bias"])[outside].sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - whole) < 4 * error
    assert error < 0.02 * whole


def test_how_seldom_an_item_is_drawn_has_nothing_to_do_with_the_trust_in_popularity():
    problem, tasks = sampled_problem()
    learner, meta = FOMAML(), problem.parameters() | {"trust": torch.tensor(0.3)}
    losses, gradients = learner.gradients(problem, meta, tasks)
    share, rng = np.full(400, 1 / 400), np.random.default_rng(2)
    found = []
    for _ in range(60):
        sample = ItemSample.draw(tasks, share, 200, rng)
        again, slopes = learner.gradients(problem, sample.tables(meta), sample.tasks(tasks))
        found.append([float(again.mean()), float(slopes["trust"])])
    wanted = [float(losses.mean()), float(gradients["trust"])]
    np.testing.assert_allclose(np.mean(found, axis=0), wanted, rtol=0.05)
