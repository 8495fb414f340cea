"""The learners against slow loops, closed forms, numbers by hand and finite differences."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.linear_model import BayesianRidge
from torch import nn
from torch.func import functional_call

from warmstart.core.errors import ConfigError, DivergedError
from warmstart.meta.amortised import Amortised
from warmstart.meta.anil import ANIL
from warmstart.meta.closed_form import ClosedForm, design_of, posterior_mean
from warmstart.meta.foma import FOMA
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import (
    Examples,
    Learner,
    Params,
    Problem,
    Tasks,
    check_finite,
    descend,
    per_task,
)
from warmstart.meta.losses import by_kind, likelihood, log_loss, squared
from warmstart.meta.maml import MAML
from warmstart.meta.meta_sgd import MetaSGD
from warmstart.meta.outer import outer_loop
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import (
    AmortisedConfig,
    ClosedFormConfig,
    FOMAConfig,
    InnerConfig,
    OuterConfig,
)
from warmstart.models.pair import PairScorer
from warmstart.models.query_vector import QueryVectorScorer


def only(examples: Examples, shots: int) -> Examples:
    """Return the examples with all but the first of each task masked."""
    return replace(examples, mask=examples.mask & (torch.arange(examples.mask.shape[1]) < shots))


INNER = {"inner_steps": 2, "inner_lr": 0.2}
LEARNERS = {
    "maml": MAML(InnerConfig(**INNER)),
    "fomaml": FOMAML(InnerConfig(**INNER)),
    "anil": ANIL(InnerConfig(**INNER)),
    "meta-sgd": MetaSGD(InnerConfig(**INNER)),
    "reptile": Reptile(InnerConfig(**INNER)),
    "foma": FOMA(FOMAConfig(**INNER, kinds=2)),
    "amortised": Amortised(AmortisedConfig(hidden_dim=6)),
    "closed-form": ClosedForm(ClosedFormConfig(prior_scale=0.7, noise=0.8)),
}
BY_DESCENT = ("maml", "fomaml", "anil", "meta-sgd", "reptile", "foma")
EXACT = ("maml", "anil", "meta-sgd", "amortised", "closed-form")

# ------------------------------------------------------------------ the modules and their tasks

SHOTS, QUERIES = torch.tensor([4, 0, 1, 2, 4]), torch.tensor([5, 2, 1, 3, 4])
N_TASKS, KIND = len(SHOTS), torch.tensor([0, 1, 1, 0, 0])


@dataclass(frozen=True)
class Case:
    """A problem, a batch of tasks, and which inputs have one entry per example."""

    problem: Problem
    tasks: Tasks
    per_example: tuple[int, ...]

    def but(self, examples: Examples, change: Callable) -> Examples:
        """Return the examples with everything that is one per example changed alike."""
        inputs = tuple(
            change(x) if i in self.per_example else x for i, x in enumerate(examples.inputs)
        )
        return replace(
            examples, inputs=inputs, labels=change(examples.labels), mask=change(examples.mask)
        )

    def alone(self, examples: Examples, task: int) -> Examples:
        """Return one task without its padding."""
        n = int(examples.mask[task].sum())
        return self.but(examples.take(torch.tensor([task])), lambda x: x[:, :n])

    def shuffled(self, examples: Examples) -> Examples:
        """Return each task's examples, real and padded, in another order."""
        order = torch.rand(examples.mask.shape).argsort(dim=1)
        return self.but(examples, lambda x: x[torch.arange(len(x))[:, None], order])

    def widened(self, examples: Examples) -> Examples:
        """Return the examples padded further, with what other tasks hold and large labels."""
        wide = self.but(examples, lambda x: torch.cat([x, x.roll(1, 0)], dim=1))
        n = examples.mask.shape[1]
        wide.mask[:, n:] = False
        wide.labels[:, n:] = 9.0
        return wide


def ranking_case(features=3):
    torch.manual_seed(1)
    model = QueryVectorScorer(torch.linspace(-4, -1, 12), n_features=features, embedding_dim=4)
    drawn = torch.rand(N_TASKS, 12).argsort(dim=1)
    support, query, known = drawn[:, :4], drawn[:, 4:9], torch.randn(N_TASKS, features)
    real, asked = torch.arange(4) < SHOTS[:, None], torch.arange(5) < QUERIES[:, None]
    said = torch.where(torch.rand(N_TASKS, 4) < 0.7, 1.0, -0.3)
    none = torch.zeros(N_TASKS, 0, dtype=torch.long)
    tasks = Tasks(
        Examples.of((support, known, none, torch.zeros(N_TASKS, 0)), said, real, KIND),
        Examples.of((query, known, support, real.float()), torch.ones(N_TASKS, 5), asked, KIND),
        torch.tensor([0.1, 0.2, 0.2, 0.2, 0.3]),
    )
    return Case(Problem.of(model, likelihood(1.0)), tasks, (0,))


def pair_case():
    """Ratings of new users (kind 0) and clicks on new items (kind 1)."""
    torch.manual_seed(2)
    model = PairScorer(
        torch.randn(7, 3),
        torch.randn(9, 2),
        torch.randn(2, 7) * 0.3,
        torch.randn(2, 9) * 0.3,
        torch.randn(7, 3) * 0.3,
        torch.randn(9, 3) * 0.3,
        hidden=(5,),
    )
    of_user = KIND == 0

    def examples(counts, width):
        users = torch.randint(1, 7, (N_TASKS, width)) * ~of_user[:, None]
        items = torch.randint(1, 9, (N_TASKS, width)) * of_user[:, None]
        labels = torch.where(of_user[:, None], torch.randn(N_TASKS, width), items % 2.0)
        inputs = (users, items, user_features, item_features, KIND)
        return Examples.of(inputs, labels, torch.arange(width) < counts[:, None], KIND)

    user_features = torch.randn(N_TASKS, 3) * of_user[:, None]
    item_features = torch.randn(N_TASKS, 2) * ~of_user[:, None]
    tasks = Tasks.of(examples(SHOTS, 4), examples(QUERIES, 5))
    return Case(Problem.of(model, by_kind([squared(), log_loss()])), tasks, (0, 1))


def plain_case():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
    return Case(Problem.of(model, squared()), linear_tasks(SHOTS, QUERIES, dim=3), (0,))


def linear_tasks(shots, queries, *, dim):
    """Return tasks of noisy labels that are linear in `dim` random inputs."""
    truth = torch.randn(len(shots), dim, 1)

    def examples(counts):
        x = torch.randn(len(counts), int(counts.max()), dim)
        y = (x @ truth)[..., 0] + 0.1 * torch.randn(x.shape[:2])
        kind = KIND if len(counts) == N_TASKS else None
        return Examples.of((x,), y, torch.arange(x.shape[1]) < counts[:, None], kind)

    return Tasks.of(examples(shots), examples(queries))


CASES = {"ranking": ranking_case, "pair": pair_case, "plain": plain_case}


def double(value):
    """Return tensors, examples, tasks or a case with floats of 64 bits."""
    match value:
        case torch.Tensor():
            return value.double() if value.is_floating_point() else value
        case Examples():
            inputs = tuple(double(x) for x in value.inputs)
            return Examples(inputs, double(value.labels), value.mask, value.kind)
        case Tasks():
            return Tasks(double(value.support), double(value.query), double(value.weight))
        case Case():
            value.problem.model.double()
            return replace(value, tasks=double(value.tasks))
        case dict():
            return {n: double(p) for n, p in value.items()}


def meta_of(learner, problem):
    """Return meta-parameters as if training had moved them all."""
    torch.manual_seed(4)
    return {n: p + 0.1 * torch.randn_like(p) for n, p in learner.init(problem).items()}


@dataclass(frozen=True)
class Setting:
    name: str
    learner: Learner
    case: Case
    meta: Params

    def after(self, support: Examples, query: Examples | None = None) -> torch.Tensor:
        """Return what is predicted of the query after adapting to the support."""
        problem = self.case.problem
        adapted = self.learner.adapt(problem, self.meta, support)
        return problem.predict(self.meta, adapted, query or self.case.tasks.query)


def setting_of(learner, case):
    case = CASES[case]()
    case.problem.model.eval()
    return Setting(learner, LEARNERS[learner], case, meta_of(LEARNERS[learner], case.problem))


def doubled(setting):
    return replace(setting, case=double(setting.case), meta=double(setting.meta))


def each(learners, cases=tuple(CASES)):
    able = [(a, b) for b in cases for a in learners if b != "plain" or a in BY_DESCENT]
    return pytest.mark.parametrize(("learner", "case"), able)


every_learner = each(LEARNERS)

# -------------------------------------------------------------------------- what all must keep


@every_learner
def test_tasks_adapted_together_equal_each_alone_without_padding(learner, case):
    s = setting_of(learner, case)
    case, tasks, problem = s.case, s.case.tasks, s.case.problem
    together = s.learner.adapt(problem, s.meta, tasks.support)
    losses, gradients = s.learner.gradients(problem, s.meta, tasks)
    total = {n: torch.zeros_like(p) for n, p in s.meta.items()}
    for task in range(N_TASKS):
        support, query = case.alone(tasks.support, task), case.alone(tasks.query, task)
        own = s.learner.adapt(problem, s.meta, support)
        for name in together:
            torch.testing.assert_close(own[name][0], together[name][task], rtol=1e-5, atol=1e-5)
        one = Tasks(support, query, tasks.weight[[task]])
        loss, gradient = s.learner.gradients(problem, s.meta, one)
        torch.testing.assert_close(loss[0], losses[task], rtol=1e-5, atol=1e-5)
        for name in total:
            total[name] += gradient[name]
    torch.testing.assert_close(total, gradients, rtol=1e-4, atol=1e-5)


@every_learner
def test_the_order_of_the_support_does_not_matter(learner, case):
    s = setting_of(learner, case)
    tasks = s.case.tasks
    turned = replace(tasks, support=s.case.shuffled(tasks.support))
    torch.testing.assert_close(s.after(turned.support), s.after(tasks.support))
    torch.testing.assert_close(
        s.learner.gradients(s.case.problem, s.meta, turned),
        s.learner.gradients(s.case.problem, s.meta, tasks),
        rtol=1e-4,
        atol=1e-5,
    )


@every_learner
def test_padding_says_nothing(learner, case):
    s = setting_of(learner, case)
    tasks = s.case.tasks
    wide = replace(tasks, support=s.case.widened(tasks.support), query=s.case.widened(tasks.query))
    torch.testing.assert_close(s.after(wide.support), s.after(tasks.support))
    torch.testing.assert_close(
        s.learner.gradients(s.case.problem, s.meta, wide),
        s.learner.gradients(s.case.problem, s.meta, tasks),
        rtol=1e-4,
        atol=1e-5,
    )


@every_learner
def test_without_examples_a_task_keeps_the_prior(learner, case):
    s = setting_of(learner, case)
    support, problem = s.case.tasks.support, s.case.problem
    nothing = replace(support, mask=torch.zeros_like(support.mask))
    other = replace(nothing, inputs=s.case.shuffled(support).inputs, labels=support.labels + 5)
    narrow = s.case.but(nothing, lambda x: x[:, :0])
    found = s.after(nothing)
    names = {"anil": problem.head, "closed-form": problem.head[:1]}.get(learner, problem.adapted)
    if learner == "foma":
        start = {n: s.meta[f"start/{n}"][KIND] for n in problem.head}
    else:
        start = per_task(s.meta, names, N_TASKS)
    if learner == "amortised":  # what it writes of no example at all is learned, not the start
        torch.testing.assert_close(s.after(other), found, rtol=0, atol=1e-6)
        torch.testing.assert_close(s.after(narrow), found, rtol=0, atol=1e-6)
        return
    unadapted = problem.predict(s.meta, start, s.case.tasks.query)
    for prediction in (found, s.after(other), s.after(narrow)):
        assert torch.equal(prediction, unadapted)


@every_learner
def test_examples_move_predictions(learner, case):
    s = setting_of(learner, case)
    support = s.case.tasks.support
    moved = (s.after(support) - s.after(only(support, 0))).abs().amax(dim=1)
    assert (moved[SHOTS > 0] > 1e-3).all()
    assert (moved[SHOTS == 0] < 1e-6).all()


@every_learner
def test_adapting_leaves_everything_else_alone(learner, case):
    s = setting_of(learner, case)
    model, tasks = s.case.problem.model, s.case.tasks
    kept = {n: p.clone() for n, p in (s.meta | model.state_dict()).items()}
    before = tasks.support.labels.clone(), tasks.support.mask.clone()
    s.learner.adapt(s.case.problem, s.meta, tasks.support)
    s.learner.gradients(s.case.problem, s.meta, tasks)
    torch.testing.assert_close(s.meta | model.state_dict(), kept, rtol=0, atol=0)
    torch.testing.assert_close((tasks.support.labels, tasks.support.mask), before, rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())
    assert not any(p.requires_grad for p in s.meta.values())


@every_learner
def test_gradients_come_by_the_names_of_what_is_learned(learner, case):
    s = setting_of(learner, case)
    losses, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    assert gradients.keys() == s.learner.init(s.case.problem).keys()
    for name, gradient in gradients.items():
        assert gradient.shape == s.meta[name].shape
        assert torch.isfinite(gradient).all()
    adapted = s.learner.adapt(s.case.problem, s.meta, s.case.tasks.support)
    direct = s.case.problem.losses(s.meta, adapted, s.case.tasks.query)
    torch.testing.assert_close(losses, direct)


@each(EXACT)
def test_the_meta_gradient_equals_finite_differences(learner, case):
    s = doubled(setting_of(learner, case))
    _, gradients = s.learner.gradients(s.case.problem, s.meta, s.case.tasks)
    way = {n: torch.randn_like(p) for n, p in s.meta.items()}

    def loss(distance):
        meta = {n: p + distance * way[n] for n, p in s.meta.items()}
        adapted = s.learner.adapt(s.case.problem, meta, s.case.tasks.support)
        return s.case.tasks.weight @ s.case.problem.losses(meta, adapted, s.case.tasks.query)

    slope = sum((gradients[n] * way[n]).sum() for n in way)
    step = 1e-5
    torch.testing.assert_close(slope, (loss(step) - loss(-step)) / (2 * step), rtol=1e-6, atol=1e-7)


@each(BY_DESCENT)
def test_descent_equals_a_plain_loop_over_tasks(learner, case):
    s = doubled(setting_of(learner, case))
    problem, tasks = s.case.problem, s.case.tasks
    leaves = {n: p.clone().requires_grad_() for n, p in s.meta.items()}
    total, adapted = 0.0, s.learner.adapt(problem, s.meta, tasks.support)
    for task in range(N_TASKS):
        support, query = s.case.alone(tasks.support, task), s.case.alone(tasks.query, task)
        own = slow_descent(learner, problem, leaves, support)
        for name, value in own.items():
            torch.testing.assert_close(value, adapted[name][task])
        total = total + tasks.weight[task] * slow_loss(problem, leaves | own, query)
    assert own.keys() == adapted.keys()
    if learner != "reptile":  # whose direction is not a gradient; see below
        found = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
        _, gradients = s.learner.gradients(problem, s.meta, tasks)
        torch.testing.assert_close(gradients, dict(zip(leaves, found, strict=True)))


def slow_loss(problem, values, one):
    weights = {n: values[n] for n, _ in problem.model.named_parameters()}
    found = functional_call(problem.model, weights, tuple(x[0] for x in one.inputs))
    return problem.loss(found, one.labels[0], torch.ones_like(one.labels[0]), one.kind[0])


def slow_descent(learner, problem, meta, support):
    names = problem.head if learner in ("anil", "foma") else problem.adapted
    kind = int(support.kind[0])
    own = {n: meta[f"start/{n}"][kind] if learner == "foma" else meta[n] for n in names}
    sizes = dict.fromkeys(names, INNER["inner_lr"])
    if learner == "meta-sgd":
        sizes = {n: meta[f"step_size/{n}"] for n in names}
    if learner == "foma":
        sizes = {n: meta[f"step_size/{n}"][kind] for n in names}
    for _ in range(INNER["inner_steps"]):
        loss = slow_loss(problem, meta | own, support)
        steepest = torch.autograd.grad(loss, list(own.values()), create_graph=True)
        if learner in ("fomaml", "reptile", "foma"):
            steepest = [g.detach() for g in steepest]
        own = {n: own[n] - sizes[n] * g for n, g in zip(names, steepest, strict=True)}
    return own


# ----------------------------------------------------------------------------- MAML and FOMAML


def linear_problem(dim, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(dim, 1, bias=False), nn.Flatten(0)).double()
    return Problem.of(model, squared())


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


# ----------------------------------------------------------------------------- the closed form


class Linear(nn.Module):
    """x ↦ (x B) · w, with all that any learner asks for."""

    head: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(self, dim, width):
        super().__init__()
        self.code_dim = width
        self.body = nn.Parameter(torch.randn(dim, width) * dim**-0.5)
        self.weight = nn.Parameter(torch.randn(width) * 0.1)

    def forward(self, x):
        return self.design(x)[0] @ self.weight

    def design(self, x):
        return x @ self.body, torch.zeros(len(x), dtype=x.dtype)

    def codes(self, x):
        return x @ self.body


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


# ------------------------------------------------------------------------------- meta-training


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


# -------------------------------------------------------------------------- what may go wrong


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
