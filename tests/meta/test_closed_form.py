"""The closed form is Bayesian linear regression, by four other ways to it."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import BayesianRidge
from tests.meta.cases import (
    N_TASKS,
    Linear,
    doubled,
    linear_problem,
    setting_of,
)

from warmstart.meta.closed_form import ClosedForm, design_of, posterior_mean
from warmstart.meta.learner import (
    Examples,
    Problem,
    descend,
)
from warmstart.meta.losses import squared


def test_the_closed_form_is_the_bottom_of_its_objective():
    s = doubled(setting_of("closed-form", "ranking"))
    support = s.case.tasks.support
    features, offset = design_of(s.case.problem, s.meta, support)
    by_hand = s.meta["items"][support.inputs[0]] @ s.meta["map"].T
    torch.testing.assert_close(features, by_hand)
    told = (support.inputs[1] @ s.meta["users"] @ s.meta["map"])[:, None]
    torch.testing.assert_close(offset, (s.meta["items"][support.inputs[0]] * told).sum(-1))
    found = s.learner.adapt(s.case.problem, s.meta, support)["query"].requires_grad_()
    wrong = s.meta["prior/target"] * support.labels - offset - (features @ found[..., None])[..., 0]
    away = found - s.meta["query"]
    precision = torch.linalg.inv(s.meta["prior/factor"] @ s.meta["prior/factor"].T)
    variance = s.meta["prior/log_noise"].exp() ** 2
    objective = (support.mask * wrong**2).sum() / variance + (away @ precision * away).sum()
    (slope,) = torch.autograd.grad(objective, found)
    assert away.detach().abs().max() > 0.1
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ["ranking", "pair"])
def test_the_posterior_is_bayesian_regression_by_the_primal_formula(case):
    s = doubled(setting_of("closed-form", case))
    support, head = s.case.tasks.support, s.case.problem.head[0]
    features, offset = design_of(s.case.problem, s.meta, support)
    posterior = s.learner.posterior(s.case.problem, s.meta, support)
    precision = torch.linalg.inv(s.meta["prior/factor"] @ s.meta["prior/factor"].T)
    variance = s.meta["prior/log_noise"].exp() ** 2
    for task in range(N_TASKS):
        real = support.mask[task]
        z = features[task, real]
        y = s.meta["prior/target"] * support.labels[task, real] - offset[task, real]
        covariance = torch.linalg.inv(precision + z.T @ z / variance)
        mean = covariance @ (precision @ s.meta[head] + z.T @ y / variance)
        torch.testing.assert_close(posterior.mean[task], mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(posterior.covariance[task], covariance, rtol=1e-6, atol=1e-6)


def test_the_posterior_is_that_of_scikit_learn():
    x, y = (t[0].numpy() for t in _one_regression(shots=20, dim=5))
    ridge = BayesianRidge(fit_intercept=False).fit(x, y)
    torch.manual_seed(0)
    problem, learner = Problem.of(Linear(5, 5).double(), squared()), ClosedForm()
    eye = torch.eye(5, dtype=torch.double)
    meta = learner.init(problem) | {
        "body": eye,
        "weight": torch.zeros(5, dtype=torch.double),
        "prior/factor": eye * float(ridge.lambda_) ** -0.5,
        "prior/log_noise": torch.tensor(-0.5 * np.log(ridge.alpha_)),
    }
    support = Examples.of((torch.from_numpy(x)[None],), torch.from_numpy(y)[None])
    posterior = learner.posterior(problem, meta, support)
    np.testing.assert_allclose(posterior.mean[0], ridge.coef_, rtol=1e-6)
    np.testing.assert_allclose(posterior.covariance[0], ridge.sigma_, rtol=1e-5, atol=1e-8)


def test_many_inner_steps_with_a_penalty_end_at_the_closed_form():
    problem, noise = linear_problem(3), torch.tensor(0.6, dtype=torch.double)
    x, y = _one_regression(shots=4, dim=3)
    factor = torch.tensor([[0.8, 0, 0], [0.3, 1.2, 0], [-0.2, 0.1, 0.9]], dtype=torch.double)
    start = problem.parameters()["0.weight"]
    # the prior as further examples: |y - X w|² / σ² + |L⁻¹ (w - m)|² is one sum of squares
    prior = torch.linalg.inv(factor)[None]
    rows = torch.cat([x / noise, prior], dim=1)
    labels = torch.cat([y / noise, prior @ start[0]], dim=1)
    hessian = rows[0].T @ rows[0] / rows.shape[1]
    end = descend(
        problem,
        problem.parameters(),
        {"0.weight": start[None]},
        Examples.of((rows,), labels),
        {"0.weight": 1 / float(torch.linalg.eigvalsh(hessian)[-1])},
        steps=250,
        first_order=True,
    )
    mean = posterior_mean(x, y, torch.ones_like(y), prior_mean=start[0], factor=factor, noise=noise)
    torch.testing.assert_close(end["0.weight"][:, 0], mean, rtol=1e-6, atol=1e-6)


def _one_regression(*, shots, dim):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shots, dim))
    y = x @ rng.normal(size=dim) + 0.5 * rng.normal(size=shots)
    return torch.from_numpy(x)[None], torch.from_numpy(y)[None]
