"""MAML on plain arrays: `maml(...)` meta-trains any module on tasks that are rows of arrays.

The functional door to this room, for those who bring tasks of their own rather than a dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.rng import generator
from warmstart.meta.learner import Examples, Learner, Params, Problem, Tasks, check_finite
from warmstart.meta.losses import squared
from warmstart.meta.maml import MAML
from warmstart.meta.outer import outer_loop
from warmstart.meta.settings import InnerConfig, OuterConfig

Array = npt.NDArray[Any]


class LinearModel(nn.Module):
    """Predict x · w + b; the head is all there is.

    Args:
        dim: width of x.
    """

    head = ("weight",)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim + 1))
        self.code_dim = dim + 1

    def forward(self, x: Float[Tensor, "examples dim"]) -> Float[Tensor, " examples"]:
        """Return one prediction per example."""
        features, _ = self.design(x)
        return features @ self.weight

    def design(
        self, x: Float[Tensor, "examples dim"]
    ) -> tuple[Float[Tensor, "examples features"], Float[Tensor, " examples"]]:
        """Return x with a one beside it, and nothing that is predicted anyway."""
        one = torch.ones_like(x[:, :1])
        return torch.cat([x, one], dim=1), torch.zeros_like(x[:, 0])

    def codes(self, x: Float[Tensor, "examples dim"]) -> Float[Tensor, "examples features"]:
        """Return what the amortised learner reads."""
        return self.design(x)[0]


@dataclass(frozen=True, slots=True)
class MetaLearned:
    """What meta-training on arrays gives.

    Attributes:
        problem: the module and its loss.
        learner: how it adapts.
        dim: how many features an example has.
        meta: everything meta-learned, by name.
        losses: (epochs,) half the mean squared error after adaptation, epoch by epoch: what is
            trained.
    """

    problem: Problem
    learner: Learner
    dim: int
    meta: Params
    losses: list[float]

    def predict(self, support_x: Array, support_y: Array, x: Array) -> Array:
        """Return predictions for `x` after adapting to a support set.

        Args:
            support_x: (shots, dim), or (tasks, shots, dim); shots may be 0.
            support_y: (shots,) or (tasks, shots).
            x: (examples, dim) or (tasks, examples, dim).

        Raises:
            DataError: the shapes do not fit together.
        """
        alone = np.ndim(x) == 2
        support = _examples(support_x, support_y, "support")
        asked = _examples(x, np.zeros(np.shape(x)[:-1]), "x")
        if len(support) != len(asked):
            raise DataError(f"{len(support)} supports and x of {len(asked)} tasks; give one each")
        widths = {support.inputs[0].shape[2], asked.inputs[0].shape[2]}
        if widths != {self.dim}:
            raise DataError(f"examples of {sorted(widths)} features; training had {self.dim}")
        adapted = self.learner.adapt(self.problem, self.meta, support)
        found: Array = self.problem.predict(self.meta, adapted, asked).detach().numpy()
        return found[0] if alone else found

    def loss(self, support_x: Array, support_y: Array, x: Array, y: Array) -> float:
        """Return the mean squared error on (x, y) after adapting to the support.

        Raises:
            DataError: the shapes do not fit together.
        """
        _examples(x, y, "query")  # refuses labels that do not fit
        return float(np.mean((self.predict(support_x, support_y, x) - np.asarray(y)) ** 2))


def maml(
    train_task_x: Array,
    train_task_y: Array,
    test_task_x: Array,
    test_task_y: Array,
    task_size: int | None = None,
    epochs: int = 200,
    learning_rate: float = 0.01,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 1,
    model: nn.Module | None = None,
    learner: Learner | None = None,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> MetaLearned:
    """Meta-train a module on tasks given as arrays.

    Args:
        train_task_x: (tasks, shots, dim) what each task adapts on; (shots, dim) is one task.
        train_task_y: (tasks, shots) its labels.
        test_task_x: (tasks, examples, dim) what each adapted task is judged on.
        test_task_y: (tasks, examples) its labels.
        task_size: dim, if you want it checked.
        epochs: steps of the outer loop.
        learning_rate: peak step size of the outer loop (AdamW).
        inner_lr: step size of the inner loop.
        inner_steps: steps of the inner loop.
        model: any module from (examples, dim) to (examples,); a linear one by default.
        learner: how to adapt; second-order MAML with `inner_lr` and `inner_steps` by default.
        seed: the same seed gives the same result.
        progress: told (done, total, loss) after each step.

    Raises:
        ConfigError: a setting is out of range, or the module does not fit.
        DataError: the shapes do not fit together, or a value is not finite.
        DivergedError: the inner loop ran away.

    Reference: Finn et al. 2017, arXiv:1703.03400.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> w = rng.normal(3, 0.1, (64, 5))  # 64 tasks that are alike
        >>> x, x_test = rng.normal(size=(64, 4, 5)), rng.normal(size=(64, 20, 5))
        >>> y, y_test = (np.einsum("tsd,td->ts", a, w) for a in (x, x_test))
        >>> found = maml(x, y, x_test, y_test, epochs=300, learning_rate=0.1)
        >>> found.loss(x, y, x_test, y_test) < 0.2 < found.losses[0]
        True
    """
    support = _examples(train_task_x, train_task_y, "train_task")
    query = _examples(test_task_x, test_task_y, "test_task")
    dim = support.inputs[0].shape[2]
    if len(support) != len(query) or dim != query.inputs[0].shape[2]:
        raise DataError(
            f"{len(support)} train tasks of {dim} features and {len(query)} test tasks of "
            f"{query.inputs[0].shape[2]}; give both sides of the same tasks"
        )
    if task_size is not None and task_size != dim:
        raise DataError(f"task_size is {task_size}, but the examples have {dim} features")
    if seed < 0:
        raise ConfigError(f"seed must be at least 0, got {seed}")
    if isinstance(learner, str):
        raise ConfigError(f"learner={learner!r}: give a learner itself, such as FOMAML()")
    tasks, losses = Tasks.of(support, query), []
    inner = InnerConfig.parse({"inner_lr": inner_lr, "inner_steps": inner_steps})
    chosen: Learner = learner or MAML(inner)
    with torch.random.fork_rng():
        torch.manual_seed(int(generator(seed, "maml").integers(2**31)))
        problem = Problem.of(model or LinearModel(dim), squared())
        try:
            shape = problem.predict(problem.parameters(), {}, query).shape
        except RuntimeError as error:
            raise ConfigError(f"the module does not take (examples, {dim}): {error}") from None
        if shape != query.labels.shape:
            raise ConfigError(
                f"the module gives the shape {tuple(shape[1:])} for {query.labels.shape[1]} "
                "examples; it must give one number each, such as by nn.Flatten(0) at its end"
            )
        meta = {n: nn.Parameter(p) for n, p in chosen.init(problem).items()}

        def step(rng: np.random.Generator) -> float:
            values = {n: p.detach() for n, p in meta.items()}
            found, gradients = chosen.gradients(problem, values, tasks)
            check_finite(found, values, chosen.config)
            for name, gradient in gradients.items():
                meta[name].grad = gradient
            losses.append(float(found.mean()))
            return losses[-1]

        settings = {"epochs": epochs, "batch_size": len(query), "outer_lr": learning_rate}
        config = OuterConfig.parse(settings).model_copy(update={"max_steps": epochs})
        problem.model.train()
        outer_loop(meta, step, len(query), config, rng=generator(seed, "batches"), on_step=progress)
        problem.model.eval()
    return MetaLearned(problem, chosen, dim, {n: p.detach() for n, p in meta.items()}, losses)


def _examples(x: Array, y: Array, name: str) -> Examples:
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}; give arrays of numbers") from None
    x, y = (x[None], y[None]) if x.ndim == 2 else (x, y)
    if x.ndim != 3 or y.shape != x.shape[:2] or not len(x):
        raise DataError(
            f"{name}: x has the shape {x.shape} and y {y.shape}; give (tasks, examples, dim) and "
            "(tasks, examples), or one task as (examples, dim) and (examples,)"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"{name}: a value is not finite; leave such examples out")
    return Examples.of((torch.from_numpy(x),), torch.from_numpy(y))
