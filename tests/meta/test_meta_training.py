"""Meta-training finds what tasks share, and what may go wrong is named."""

import numpy as np
import pytest
import torch
from tests.meta.cases import BY_DESCENT, LEARNERS, Linear, only, plain_case
from torch import nn

from warmstart.core.errors import ConfigError, DivergedError
from warmstart.meta.amortised import Amortised
from warmstart.meta.closed_form import ClosedForm
from warmstart.meta.foma import FOMA
from warmstart.meta.learner import (
    Examples,
    Problem,
    Tasks,
    check_finite,
)
from warmstart.meta.losses import by_kind, likelihood, log_loss, squared
from warmstart.meta.maml import MAML
from warmstart.meta.outer import outer_loop
from warmstart.meta.settings import (
    AmortisedConfig,
    ClosedFormConfig,
    FOMAConfig,
    InnerConfig,
    OuterConfig,
)


def ray_tasks(rng, n_tasks=32):
    """Return tasks y = u · (x · ray): sixteen shots say u at once, if the ray is known."""
    ray = np.full(6, 6**-0.5)

    def examples(n):
        x = rng.normal(size=(n_tasks, n, 6)).astype(np.float32)
        return Examples.of((torch.from_numpy(x),), torch.from_numpy(u * (x @ ray)).float())

    u = 1.5 * rng.normal(size=(n_tasks, 1))
    return Tasks.of(examples(16), examples(10))


@pytest.mark.parametrize("name", LEARNERS)
def test_meta_training_finds_what_the_tasks_have_in_common(name):
    torch.manual_seed(0)
    inner = {"inner_steps": 3, "inner_lr": 0.07}
    learner = {
        "foma": lambda: FOMA(FOMAConfig(**inner)),
        "amortised": lambda: Amortised(AmortisedConfig(hidden_dim=32, dropout=0.0)),
        "closed-form": lambda: ClosedForm(ClosedFormConfig(noise=2.0)),
    }.get(name, lambda: type(LEARNERS[name])(InnerConfig(**inner)))()
    problem = Problem.of(Linear(6, 4), squared())
    meta = {n: nn.Parameter(p) for n, p in learner.init(problem).items()}

    def values():
        return {n: p.detach() for n, p in meta.items()}

    def step(rng):
        losses, gradients = learner.gradients(problem, values(), ray_tasks(rng))
        for parameter, gradient in gradients.items():
            meta[parameter].grad = gradient
        return float(losses.mean())

    def loss_after(shots):
        test = ray_tasks(np.random.default_rng(99), 300)
        adapted = learner.adapt(problem, values(), only(test.support, shots))
        return float(problem.losses(values(), adapted, test.query).mean())

    untrained = loss_after(16)
    config = OuterConfig(epochs=60, batch_size=32, outer_lr=0.03)
    outer_loop(meta, step, 32, config, rng=np.random.default_rng(1))
    assert loss_after(16) < 0.3 * untrained
    assert loss_after(16) < 0.3 * loss_after(0)


def test_a_step_size_that_runs_away_is_named():
    case = plain_case()
    learner = MAML(InnerConfig(inner_steps=3, inner_lr=1e15))
    meta = learner.init(case.problem)
    losses, _ = learner.gradients(case.problem, meta, case.tasks)
    message = r"4 of 5 tasks diverged .*inner_steps=3, inner_lr=1e\+15 .*the task of user 'u0'\)"
    with pytest.raises(DivergedError, match=message):
        check_finite(losses, meta, learner.config, lambda task: f"of user 'u{task}'")
    with pytest.raises(DivergedError, match="the task 0 of the batch"):
        check_finite(losses, meta, learner.config)


def test_a_meta_parameter_that_is_not_finite_is_named():
    config, fine = InnerConfig(), torch.ones(2)
    check_finite(fine, {"map": fine}, config)
    with pytest.raises(DivergedError, match=r"map is no longer finite.*outer_lr"):
        check_finite(fine, {"query": fine, "map": fine / 0}, config)


def test_a_module_without_free_parameters_is_refused():
    class Table(nn.Embedding):
        shared = ("weight",)

    with pytest.raises(ConfigError, match="Table has no parameter"):
        Problem.of(Table(3, 2), squared())
    with pytest.raises(ConfigError, match="Tanh has no parameter"):
        Problem.of(nn.Tanh(), squared())


def test_without_a_word_from_the_module_the_head_is_its_last_layer():
    problem = plain_case().problem
    assert problem.adapted == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert problem.head == ("2.weight", "2.bias")
    assert Problem.of(nn.Linear(2, 1), squared()).head == ("weight", "bias")


@pytest.mark.parametrize("learner", ["amortised", "closed-form"])
def test_a_module_that_a_learner_cannot_use_gets_the_names_of_those_that_work(learner):
    problem = Problem.of(nn.Linear(3, 1), squared())
    with pytest.raises(ConfigError, match="Linear lacks") as error:
        LEARNERS[learner].init(problem)
    for name in BY_DESCENT:
        assert name in str(error.value)
        LEARNERS[name].init(problem)


def test_each_kind_is_judged_by_its_own_loss():
    prediction, label = torch.randn(4), torch.tensor([0.0, 1.0, 1.0, 0.0])
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0])
    a, p = prediction[:3].numpy(), torch.sigmoid(prediction[:3]).numpy()
    of_ratings = 0.5 * (a[0] ** 2 + (a[1] - 1) ** 2 + (a[2] - 1) ** 2) / 3
    of_clicks = -(np.log(1 - p[0]) + np.log(p[1]) + np.log(p[2])) / 3
    mixed = by_kind([squared(), log_loss()])
    assert mixed(prediction, label, mask, torch.tensor(0)) == pytest.approx(of_ratings, rel=1e-5)
    assert mixed(prediction, label, mask, torch.tensor(1)) == pytest.approx(of_clicks, rel=1e-5)
    shrunk = likelihood(2.0)(prediction, label, mask, torch.tensor(0))
    assert shrunk == pytest.approx(-float(prediction[1] + prediction[2]) / 5, rel=1e-5)
