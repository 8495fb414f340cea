"""The learners on the bench, and the modules and tasks that they are tried on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from warmstart.meta.amortised import Amortised
from warmstart.meta.anil import ANIL
from warmstart.meta.closed_form import ClosedForm
from warmstart.meta.foma import FOMA
from warmstart.meta.fomaml import FOMAML
from warmstart.meta.learner import (
    Examples,
    Learner,
    Params,
    Problem,
    Tasks,
)
from warmstart.meta.losses import by_kind, likelihood, log_loss, squared
from warmstart.meta.maml import MAML
from warmstart.meta.meta_sgd import MetaSGD
from warmstart.meta.reptile import Reptile
from warmstart.meta.settings import (
    AmortisedConfig,
    ClosedFormConfig,
    FOMAConfig,
    InnerConfig,
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
        torch.randn(7, 3) * 0.3,
        torch.randn(9, 3) * 0.3,
        kinds=2,
        hidden=(5,),
    )
    of_user = KIND == 0

    def examples(counts, width):
        users = torch.randint(1, 7, (N_TASKS, width)) * ~of_user[:, None]
        items = torch.randint(1, 9, (N_TASKS, width)) * of_user[:, None]
        labels = torch.where(of_user[:, None], torch.randn(N_TASKS, width), items % 2.0)
        said = torch.randn(N_TASKS, width, 2) * 0.3
        inputs = (users, items, user_features, item_features, said, KIND)
        return Examples.of(inputs, labels, torch.arange(width) < counts[:, None], KIND)

    user_features = torch.randn(N_TASKS, 3) * of_user[:, None]
    item_features = torch.randn(N_TASKS, 2) * ~of_user[:, None]
    tasks = Tasks.of(examples(SHOTS, 4), examples(QUERIES, 5))
    return Case(Problem.of(model, by_kind([squared(), log_loss()])), tasks, (0, 1, 4))


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


def linear_problem(dim, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(dim, 1, bias=False), nn.Flatten(0)).double()
    return Problem.of(model, squared())


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
