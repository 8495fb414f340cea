"""Shrunken rates of columns: against a search, against planted rates, where there is nothing."""

import numpy as np
import pytest
from scipy.optimize import minimize

from warmstart.ads.additive import fit_additive
from warmstart.meta.logistic_belief import sigmoid


def rows(rng, n, sizes):
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def test_the_mode_is_that_of_a_search():
    rng = np.random.default_rng(0)
    sizes = [3, 5]
    codes = rows(rng, 800, sizes)
    planted = [np.linspace(-1, 1, size) for size in sizes]
    label = rng.random(800) < sigmoid(-1 + planted[0][codes[:, 0]] + planted[1][codes[:, 1]])
    found = fit_additive(codes, label.astype(float), sizes)

    def loss(x):
        first, second = x[1:4], x[4:]
        z = x[0] + first[codes[:, 0]] + second[codes[:, 1]]
        prior = (first**2).sum() / found.sd[0] ** 2 + (second**2).sum() / found.sd[1] ** 2
        return (np.logaddexp(0, z) - label * z).sum() + prior / 2

    best = minimize(loss, np.zeros(9)).x
    np.testing.assert_allclose([found.intercept, *np.concatenate(found.weights)], best, atol=0.01)
    assert (found.sd > 0.2).all()


@pytest.mark.parametrize("seed", range(6))
def test_columns_that_say_nothing_leave_the_rate_of_all_rows(seed):
    rng = np.random.default_rng(seed)
    sizes = [2, 7, 40, 300]
    codes = rows(rng, 6_000, sizes)
    label = (rng.random(6_000) < 0.01).astype(float)
    found = sigmoid(fit_additive(codes, label, sizes).logits(codes))
    np.testing.assert_allclose(found, label.mean(), rtol=0.02)


def test_of_two_columns_that_say_the_same_neither_counts_twice():
    rng = np.random.default_rng(1)
    kind = rng.integers(6, size=20_000)
    rate = np.array([0.001, 0.002, 0.01, 0.02, 0.1, 0.3])
    label = (rng.random(20_000) < rate[kind]).astype(float)
    once = fit_additive(kind[:, None], label, [6])
    twice = fit_additive(np.stack([kind, kind], axis=1), label, [6, 6])
    every = np.arange(6)
    counted = [label[kind == k].mean() for k in every]
    seen = sigmoid(twice.logits(np.stack([every, every], axis=1)))
    np.testing.assert_allclose(seen, sigmoid(once.logits(every[:, None])), rtol=0.1)
    np.testing.assert_allclose(seen[2:], counted[2:], rtol=0.1)


def test_a_value_without_rows_adds_nothing():
    label = np.tile([0.0, 0, 0, 1], 50)
    found = fit_additive(np.tile([[0], [1]], (100, 1)), label, [3])
    assert found.weights[0][2] == 0
