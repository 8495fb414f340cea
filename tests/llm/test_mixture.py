"""Gates against a fine grid, by hand, and on planted users."""

import numpy as np
import pytest

from warmstart.llm.mixture import fit_gates, mixed


def objective(weights, log_probs, prior):
    return np.log(np.exp(log_probs) @ weights).sum() + (prior * np.log(weights)).sum()


@pytest.mark.parametrize("prior", [0.3, 2.0])
def test_gates_are_the_mode_that_a_grid_finds(prior):
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet([1, 1, 1], (4, 5))) + rng.normal(size=(4, 5, 1))
    found = fit_gates(log_probs, prior=prior)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
    steps = np.linspace(0.001, 0.999, 200)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b < 0.9995]
    for user in range(4):
        values = [objective(w, log_probs[user], prior) for w in grid]
        assert objective(found[user], log_probs[user], prior) >= max(values) - 1e-9
        np.testing.assert_allclose(found[user], grid[int(np.argmax(values))], atol=0.02)


def test_planted_users_find_their_adapter():
    rng = np.random.default_rng(1)
    users, events, adapters, candidates = 60, 6, 4, 8
    own = rng.integers(adapters, size=users)
    scores = rng.normal(size=(users, events, adapters, candidates)) * 2
    truth = scores[np.arange(users), :, own]  # (users, events, candidates)
    noise = rng.gumbel(size=truth.shape)
    chosen = (truth + noise).argmax(axis=-1)
    log_all = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    at = chosen[:, :, None, None]
    log_probs = np.take_along_axis(log_all, np.broadcast_to(at, (*at.shape[:2], 4, 1)), -1)[..., 0]
    gates = fit_gates(log_probs, prior=0.5)
    assert (gates.argmax(axis=1) == own).mean() > 0.8
    assert gates[np.arange(users), own].mean() > 2 / adapters


def test_without_events_the_prior_speaks():
    prior = np.array([3.0, 1.0])
    assert fit_gates(np.zeros((2, 0, 2)), prior=prior).tolist() == [[0.75, 0.25]] * 2
    some = np.log(np.array([[[0.9, 0.1], [0.1, 0.9]]]))
    half = fit_gates(some, np.array([[True, False]]), prior=prior)
    np.testing.assert_allclose(half, fit_gates(some[:, :1], prior=prior))
    hidden = fit_gates(some, np.array([[False, False]]), prior=prior)
    np.testing.assert_allclose(hidden, [[0.75, 0.25]])


def test_a_mixture_of_one_is_that_one():
    scores = np.random.default_rng(2).normal(size=(3, 2, 5)) * 30
    alone = mixed(scores, np.tile([0.0, 1.0], (3, 1)))
    log_odds = scores[:, 1]
    expected = log_odds - np.log(np.exp(log_odds).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(alone, expected, rtol=1e-9)
    np.testing.assert_allclose(np.exp(mixed(scores, np.full((3, 2), 0.5))).sum(axis=1), 1)
