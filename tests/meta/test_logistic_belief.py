"""Laplace's posterior of many tasks against a general optimiser, and the one-event step."""

import numpy as np
import pytest
from scipy.optimize import minimize

from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace, learn_prior, sigmoid, told


def planted(n_tasks=3, shots=25, dim=4, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, scale, (n_tasks, dim))
    tasks = np.repeat(np.arange(n_tasks), shots)
    x, offset = rng.normal(size=(len(tasks), dim)), rng.normal(size=len(tasks))
    y = (rng.random(len(tasks)) < sigmoid(offset + (x * weights[tasks]).sum(1))).astype(float)
    return x, y, offset, tasks, weights


def test_the_mode_is_what_an_optimiser_finds_and_the_covariance_its_inverse_curvature():
    x, y, offset, tasks, _ = planted()
    prior = HeadPrior(np.full(4, 0.2), np.diag([0.5, 1.0, 2.0, 0.3]))
    shuffled = np.random.default_rng(1).permutation(len(y))
    parts = (a[shuffled] for a in (x, y, offset, tasks))
    found = laplace(prior, Labelled.of(*parts, 4), steps=10)
    inverse = np.linalg.inv(prior.covariance)
    for task in range(3):
        f, label, base = x[tasks == task], y[tasks == task], offset[tasks == task]

        def loss(w, f=f, label=label, base=base):
            z = base + f @ w
            return (np.logaddexp(0, z) - label * z).sum() + 0.5 * (w - 0.2) @ inverse @ (w - 0.2)

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
        np.testing.assert_allclose(found.mean[task], best, atol=1e-4)
        p = sigmoid(base + f @ best)
        curvature = (f * (p * (1 - p))[:, None]).T @ f + inverse
        np.testing.assert_allclose(found.covariance[task], np.linalg.inv(curvature), atol=1e-4)
    np.testing.assert_array_equal(found.mean[3], prior.mean)  # a task without examples
    np.testing.assert_allclose(found.covariance[3], prior.covariance)


def test_events_one_by_one_come_close_to_all_at_once():
    x, y, offset, tasks, _ = planted(n_tasks=1, shots=40, scale=0.5)
    prior = HeadPrior(np.zeros(4), 0.25 * np.eye(4))
    whole = laplace(prior, Labelled.of(x, y, offset, tasks, 1))
    mean, covariance = prior.mean, prior.covariance
    for f, label, base in zip(x, y, offset, strict=True):
        p = float(sigmoid(np.array(base + f @ mean)))
        mean, covariance = told(mean, covariance, f, label - p, p * (1 - p))
    np.testing.assert_allclose(mean, whole.mean[0], atol=0.15)
    np.testing.assert_allclose(covariance, whole.covariance[0], atol=0.03)


def test_one_event_is_the_gaussian_step_with_the_curvature_as_precision():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3))
    covariance, f = root @ root.T, rng.normal(size=3)
    mean, after = told(np.zeros(3), covariance, f, 0.7, 0.21)
    precise = np.linalg.inv(np.linalg.inv(covariance) + 0.21 * np.outer(f, f))
    np.testing.assert_allclose(after, precise, atol=1e-9)
    np.testing.assert_allclose(mean, precise @ f * 0.7, atol=1e-9)
    less, _ = told(np.zeros(3), covariance, f, 0.7, 0.21, elsewhere=5.0)
    assert np.linalg.norm(less) < np.linalg.norm(mean)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_the_prior_is_what_the_tasks_were_drawn_from(scale):
    x, y, offset, tasks, _ = planted(n_tasks=300, shots=40, dim=2, scale=scale)
    prior = learn_prior(Labelled.of(x, y, offset, tasks, 300), iterations=40, centred=True)
    found = np.sqrt(np.diag(prior.covariance))
    np.testing.assert_allclose(found, scale, rtol=0.25)
