"""MAML and its kin against closed forms, numbers by hand and one another."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from tests.meta.cases import (
    CASES,
    KIND,
    LEARNERS,
    SHOTS,
    double,
    doubled,
    linear_problem,
    linear_tasks,
    meta_of,
    plain_case,
    ranking_case,
    setting_of,
)
from torch import nn

from warmstart.meta.foma import FOMA
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import (
    Examples,
    Problem,
    Tasks,
)
from warmstart.meta.losses import squared
from warmstart.meta.maml import MAML
from warmstart.meta.meta_sgd import MetaSGD
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import (
    FOMAConfig,
    InnerConfig,
)
from warmstart.models.query_vector import QueryVectorScorer


def quadratic_of(examples, task):
    """Return H and b of half the mean squared error of a linear model: its gradient is H w - b."""
    n = int(examples.mask[task].sum())
    x, y = examples.inputs[0][task, :n], examples.labels[task, :n]
    return x.T @ x / n, x.T @ y / n


def ended(examples, task, start, *, lr, steps):
    hessian, b = quadratic_of(examples, task)
    for _ in range(steps):
        start = start - lr * (hessian @ start - b)
    return start


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("shots", [[6], [3, 6, 2, 4]])
def test_the_meta_gradient_of_maml_on_a_linear_model_is_a_product_of_hessians(shots, steps):
    problem, lr = linear_problem(3), 0.3
    tasks = double(linear_tasks(torch.tensor(shots), torch.tensor(shots), dim=3))
    maml = MAML(InnerConfig(inner_steps=steps, inner_lr=lr))
    meta = maml.init(problem)
    _, gradients = maml.gradients(problem, meta, tasks)
    expected = torch.zeros(3, dtype=torch.double)
    for task in range(len(shots)):
        end = ended(tasks.support, task, meta["0.weight"][0], lr=lr, steps=steps)
        hessian, _ = quadratic_of(tasks.support, task)
        asked, b = quadratic_of(tasks.query, task)
        through = torch.linalg.matrix_power(torch.eye(3, dtype=torch.double) - lr * hessian, steps)
        expected += through @ (asked @ end - b) / len(shots)
    torch.testing.assert_close(gradients["0.weight"][0], expected)


def test_fomaml_takes_the_query_gradient_where_adaptation_ended():
    problem, config = linear_problem(3), InnerConfig(inner_steps=2, inner_lr=0.3)
    tasks = double(linear_tasks(torch.tensor([5, 3]), torch.tensor([4, 6]), dim=3))
    meta = problem.parameters()
    _, gradients = FOMAML(config).gradients(problem, meta, tasks)
    expected = torch.zeros(3, dtype=torch.double)
    for task in range(2):
        asked, b = quadratic_of(tasks.query, task)
        expected += asked @ ended(tasks.support, task, meta["0.weight"][0], lr=0.3, steps=2) - b
    torch.testing.assert_close(gradients["0.weight"][0], expected / 2)
    _, second = MAML(config).gradients(problem, meta, tasks)
    assert (gradients["0.weight"] - second["0.weight"]).abs().max() > 0.05


# ---------------------------------------------------------------------------------------- ANIL


def test_anil_moves_the_head_and_trains_the_body():
    s = setting_of("anil", "plain")
    adapted = s.learner.adapt(s.case.problem, s.meta, s.case.tasks.support)
    assert adapted.keys() == {"2.weight", "2.bias"}
    assert ((adapted["2.weight"] - s.meta["2.weight"]).abs().amax(dim=(1, 2)) > 1e-3).equal(
        SHOTS > 0
    )
    _, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    assert gradients["0.weight"].abs().max() > 1e-3


def test_maml_over_the_head_alone_is_anil():
    case = plain_case()
    narrow = Problem.of(case.problem.model, squared(), block="head")
    meta = case.problem.parameters()
    torch.testing.assert_close(
        LEARNERS["maml"].gradients(narrow, meta, case.tasks),
        LEARNERS["anil"].gradients(case.problem, meta, case.tasks),
    )


# ------------------------------------------------------------------------------------ Meta-SGD


def test_the_gradient_of_one_step_size_is_minus_the_product_of_two_slopes():
    problem = linear_problem(3)
    tasks = double(linear_tasks(torch.tensor([5, 3]), torch.tensor([4, 6]), dim=3))
    learner = MetaSGD(InnerConfig(inner_steps=1, inner_lr=0.3))
    meta = learner.init(problem)
    meta["step_size/0.weight"] = torch.tensor([[0.1, -0.2, 0.4]], dtype=torch.double)
    _, gradients = learner.gradients(problem, meta, tasks)
    expected, start = torch.zeros(3, dtype=torch.double), meta["0.weight"][0]
    for task in range(2):
        hessian, b = quadratic_of(tasks.support, task)
        slope = hessian @ start - b
        asked, c = quadratic_of(tasks.query, task)
        expected -= slope * (asked @ (start - meta["step_size/0.weight"][0] * slope) - c) / 2
    torch.testing.assert_close(gradients["step_size/0.weight"][0], expected)
    assert (expected != 0).all()


@pytest.mark.parametrize("case", CASES)
def test_meta_sgd_whose_step_sizes_are_alike_is_maml(case):
    s = setting_of("maml", case)
    learner = LEARNERS["meta-sgd"]
    meta = learner.init(s.case.problem) | s.meta
    losses, gradients = learner.gradients(s.case.problem, meta, s.case.tasks)
    expected, of_maml = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close({n: gradients[n] for n in of_maml}, of_maml)


# ------------------------------------------------------------------------------------- Reptile


class Level(nn.Module):
    """x ↦ level + drift · x; no task moves the drift."""

    shared: ClassVar[tuple[str, ...]] = ("drift",)

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))
        self.drift = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.level + self.drift * x


def test_reptile_on_a_parabola_is_what_the_hand_computes():
    lr, steps = 0.25, 3
    learner = Reptile(InnerConfig(inner_steps=steps, inner_lr=lr))
    problem = Problem.of(Level(), squared())
    x, y = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[3.0, 3.0, 9.0]])
    asked, answer = torch.tensor([[0.0, -1.0]]), torch.tensor([[4.0, 2.0]])
    support = Examples.of((x,), y, torch.tensor([[True, True, False]]))
    tasks = Tasks.of(support, Examples.of((asked,), answer))
    losses, gradients = learner.gradients(problem, problem.parameters(), tasks)
    # y - 2x of both sets is 1, -1, 4, 4: their mean is 2, from which the start is 1.5 away
    left = 0.75**3
    assert gradients["level"] == pytest.approx((0.5 - 2) * (1 - left) / (lr * steps))
    # adapted to the support alone, whose mean is 0, the level is 0.5 · 0.75³
    residuals = [0.5 * left - 4, 0.5 * left - 4]
    assert gradients["drift"] == pytest.approx((residuals[0] * 0 + residuals[1] * -1) / 2)
    assert losses[0] == pytest.approx(sum(r**2 for r in residuals) / 4)


def test_one_step_of_reptile_is_the_gradient_on_support_and_query_together():
    problem = linear_problem(3)
    tasks = double(linear_tasks(torch.tensor([5, 3]), torch.tensor([4, 6]), dim=3))
    learner, meta = Reptile(InnerConfig(inner_steps=1, inner_lr=0.7)), problem.parameters()
    _, gradients = learner.gradients(problem, meta, tasks)
    expected, start = torch.zeros(3, dtype=torch.double), meta["0.weight"][0]
    for task in range(2):
        (h, b), (asked, c) = quadratic_of(tasks.support, task), quadratic_of(tasks.query, task)
        n, m = int(tasks.support.mask[task].sum()), int(tasks.query.mask[task].sum())
        expected += (n * (h @ start - b) + m * (asked @ start - c)) / (n + m) / 2
    torch.testing.assert_close(gradients["0.weight"][0], expected)


def test_reptile_trains_what_it_does_not_move_as_fomaml_does():
    s = setting_of("reptile", "ranking")
    _, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    _, expected = LEARNERS["fomaml"].gradients(s.case.problem, s.meta, s.case.tasks)
    for name in QueryVectorScorer.shared[:3]:
        assert expected[name].abs().max() > 0
        torch.testing.assert_close(gradients[name], expected[name])


def test_reptile_does_not_take_features_for_examples_when_there_are_as_many():
    case = ranking_case(features=4)  # as many as the support has columns
    learner = LEARNERS["reptile"]
    meta = meta_of(learner, case.problem)
    wide = replace(case.tasks, support=case.widened(case.tasks.support))
    torch.testing.assert_close(
        learner.gradients(case.problem, meta, case.tasks),
        learner.gradients(case.problem, meta, wide),
        rtol=1e-4,
        atol=1e-5,
    )


# ---------------------------------------------------------------------------------------- FOMA


def test_foma_moves_the_head_alone():
    s = setting_of("foma", "pair")
    adapted = s.learner.adapt(s.case.problem, s.meta, s.case.tasks.support)
    assert adapted.keys() == {"weight"}
    assert "weight" not in s.meta


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_foma_has_its_own_start_and_steps_over_one_body(case):
    s = setting_of("foma", case)
    problem, tasks = s.case.problem, s.case.tasks

    def gradients_of(kind):
        of_kind = replace(tasks, weight=tasks.weight * (KIND == kind))
        return s.learner.gradients(problem, s.meta, of_kind)[1]

    both, apart = s.learner.gradients(problem, s.meta, tasks)[1], [gradients_of(k) for k in (0, 1)]
    for name, gradient in both.items():
        torch.testing.assert_close(apart[0][name] + apart[1][name], gradient)
        if name.partition("/")[0] in ("start", "step_size"):
            for kind in (0, 1):
                assert (apart[kind][name][1 - kind] == 0).all()
                assert apart[kind][name][kind].abs().max() > 0
    body = {"ranking": "items", "pair": "body.0.weight", "plain": "0.weight"}[case]
    assert all(gradients[body].abs().max() > 1e-5 for gradients in apart)


@pytest.mark.parametrize("case", CASES)
def test_after_one_step_the_step_sizes_of_foma_have_their_exact_gradient(case):
    s = doubled(setting_of("foma", case))
    learner = FOMA(FOMAConfig(inner_steps=1, kinds=2))
    _, gradients = learner.gradients(s.case.problem, s.meta, s.case.tasks)
    way = {n: torch.randn_like(p) for n, p in s.meta.items() if n.startswith("step_size/")}

    def loss(distance):
        meta = s.meta | {n: s.meta[n] + distance * way[n] for n in way}
        adapted = learner.adapt(s.case.problem, meta, s.case.tasks.support)
        return s.case.tasks.weight @ s.case.problem.losses(meta, adapted, s.case.tasks.query)

    slope = sum((gradients[n] * way[n]).sum() for n in way)
    torch.testing.assert_close(slope, (loss(1e-5) - loss(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-7)
