"""What a learner is: a way to adapt a module to many tasks at once, and to be trained for it.

A learner receives a module and tensors; it knows no dataset. All tasks of a batch are adapted
together: their support sets are padded to one length, and a mask says what is real, so that the
same code serves zero shots and twenty. Three ideas carry every file of this room:

- `Problem`: a module, a loss, and which of its parameters a task may move;
- `Examples`: padded inputs, labels and mask, the tasks along the first axis;
- `Learner`: `init` names everything that is meta-learned, `adapt` maps it and a batch of support
  sets to the parameters of each task, `gradients` is the meta-gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DivergedError

Params = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(predictions, labels, mask, kind) of one task → scalar; the mask is 1 at real examples."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a batch of tasks, padded to one length.

    Attributes:
        inputs: what the module takes, each (tasks, …); most have the examples as second axis.
        labels: (tasks, examples).
        mask: (tasks, examples) true where an example is real.
        kind: (tasks,) which kind of task it is; all zeros where there is one kind.
    """

    inputs: tuple[Tensor, ...]
    labels: Float[Tensor, "tasks examples"]
    mask: Bool[Tensor, "tasks examples"]
    kind: Int[Tensor, " tasks"]

    @classmethod
    def of(
        cls,
        inputs: tuple[Tensor, ...],
        labels: Float[Tensor, "tasks examples"],
        mask: Bool[Tensor, "tasks examples"] | None = None,
        kind: Int[Tensor, " tasks"] | None = None,
    ) -> Examples:
        """Return examples that are all real and of one kind unless said otherwise."""
        mask = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
        kind = torch.zeros(len(labels), dtype=torch.long) if kind is None else kind
        return cls(inputs, labels, mask, kind)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, tasks: Tensor) -> Examples:
        """Return these tasks, in this order."""
        return Examples(
            tuple(x[tasks] for x in self.inputs),
            self.labels[tasks],
            self.mask[tasks],
            self.kind[tasks],
        )


@dataclass(frozen=True, slots=True)
class Tasks:
    """A batch of tasks.

    Attributes:
        support: what each is adapted on.
        query: what it is judged on.
        weight: (tasks,) how much each counts in the outer loss; sums to 1.
    """

    support: Examples
    query: Examples
    weight: Float[Tensor, " tasks"]

    @classmethod
    def of(cls, support: Examples, query: Examples) -> Tasks:
        """Return tasks that count alike."""
        return cls(support, query, torch.full((len(query),), 1.0 / max(1, len(query))))


@dataclass(frozen=True, slots=True)
class Problem:
    """A module, what it is judged by, and what a task may move.

    Any `nn.Module` will do. It may name, in class attributes, the parameters that no task moves
    (`shared`, such as tables of vectors) and those of its `head`, or have a submodule `head`.
    Without them every parameter may move, and the head is the module that holds the last one.

    Attributes:
        model: the module; its own parameters are only where meta-training starts.
        loss: of one task; what a task descends on, and what its query is judged by.
        adapted: names of the parameters that a task may move.
        head: the few of them that ANIL, FOMA, the amortised learner and the closed form move.
        judge: what the query is judged by instead, where that is another loss.
    """

    model: nn.Module
    loss: Loss
    adapted: tuple[str, ...]
    head: tuple[str, ...]
    judge: Loss | None = None

    @classmethod
    def of(
        cls, model: nn.Module, loss: Loss, *, block: str = "all", judge: Loss | None = None
    ) -> Problem:
        """Read what the module says about its parameters.

        Args:
            model: any module.
            loss: of one task.
            block: "all" lets every parameter move that is not shared, "head" the head alone.
            judge: what the query is judged by, where that is another loss.

        Raises:
            ConfigError: the module has no parameter that may move, or `block` is neither.
        """
        if block not in ("all", "head"):
            raise ConfigError(f"block must be 'all' or 'head', got {block!r}")
        shared = getattr(model, "shared", ())
        shared = shared if isinstance(shared, tuple) else ()
        free = tuple(n for n, _ in model.named_parameters() if n not in shared)
        if not free:
            raise ConfigError(f"{type(model).__name__} has no parameter that a task may move")
        head = getattr(model, "head", None)
        if isinstance(head, nn.Module):
            head = tuple(f"head.{n}" for n, _ in head.named_parameters())
        if not isinstance(head, tuple) or not head:
            last = free[-1].rpartition(".")[0]
            head = tuple(n for n in free if n.rpartition(".")[0] == last)
        return cls(model, loss, head if block == "head" else free, head, judge)

    def parameters(self) -> Params:
        """Return a copy of the module's parameters: where meta-training starts."""
        return {n: p.detach().clone() for n, p in self.model.named_parameters()}

    def predict(self, meta: Params, adapted: Params, examples: Examples) -> Tensor:
        """Return (tasks, examples) predictions with each task's own parameters."""
        shared = self._rest(meta, adapted)

        def one(own: Params, inputs: tuple[Tensor, ...]) -> Tensor:
            found: Tensor = functional_call(self.model, {**shared, **own}, inputs)
            return found

        return vmap(one, randomness="different")(adapted, examples.inputs)

    def call(self, method: str, meta: Params, examples: Examples) -> Any:  # noqa: ANN401
        """Return what another method of the module makes of each task's examples, unadapted."""
        weights = {f"model.{n}": meta[n] for n, _ in self.model.named_parameters()}
        module = _Calls(self.model, method)
        each = vmap(lambda *i: functional_call(module, weights, i), randomness="different")
        return each(*examples.inputs)

    def losses(self, meta: Params, adapted: Params, examples: Examples) -> Tensor:
        """Return (tasks,) losses of queries with each task's own parameters."""
        e, mask = examples, examples.mask.to(examples.labels.dtype)
        each = vmap(self._loss_of_one(meta, adapted, self.judge), randomness="different")
        found: Tensor = each(adapted, e.inputs, e.labels, mask, e.kind)
        return found

    def inner_gradients(self, meta: Params, adapted: Params, examples: Examples) -> Params:
        """Return each task's gradient of its loss by its own parameters, (tasks, …) each."""
        e, mask = examples, examples.mask.to(examples.labels.dtype)
        each = vmap(grad(self._loss_of_one(meta, adapted)), randomness="different")
        found: Params = each(adapted, e.inputs, e.labels, mask, e.kind)
        return found

    def _loss_of_one(
        self, meta: Params, adapted: Params, judge: Loss | None = None
    ) -> Callable[..., Tensor]:
        """Return the loss of one task as a function of its own parameters and examples."""
        shared, by = self._rest(meta, adapted), judge or self.loss

        def loss(
            own: Params, inputs: tuple[Tensor, ...], labels: Tensor, mask: Tensor, kind: Tensor
        ) -> Tensor:
            found = functional_call(self.model, {**shared, **own}, inputs)
            return by(found, labels, mask, kind)

        return loss

    def _rest(self, meta: Params, adapted: Params) -> Params:
        own = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        return {n: p for n, p in meta.items() if n in own and n not in adapted}


class _Calls(nn.Module):
    """Calls a method by name where `functional_call` calls a module."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401  (whatever the method returns)
        return getattr(self.model, self.method)(*inputs)


@runtime_checkable  # so that beartype can check arguments of this type in tests
class Learner(Protocol):
    """How to adapt, and how to be trained for it; one file of `warmstart.meta` each.

    Register one under the entry point `warmstart.learners` and the recommenders know it by name.
    """

    config_type: ClassVar[type[Config]]
    config: Any

    def __init__(self, config: Config | None = None) -> None: ...

    def init(self, problem: Problem) -> Params:
        """Return all that is meta-learned: the module's parameters, and what the learner adds."""

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return the adapted parameters of each task, (tasks, …); `meta` is left alone."""

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return the (tasks,) query losses and the meta-gradient, by the names of `meta`."""


def per_task(meta: Params, names: tuple[str, ...], n_tasks: int) -> Params:
    """Return the named parameters once for each task, without copying."""
    return {n: meta[n].expand(n_tasks, *meta[n].shape) for n in names}


def descend(
    problem: Problem,
    meta: Params,
    start: Params,
    support: Examples,
    step_sizes: Mapping[str, Tensor | float],
    *,
    steps: int,
    first_order: bool,
) -> Params:
    """Return `start` after some steps of gradient descent on each task's support.

    Args:
        problem: module and loss.
        meta: parameters that the tasks share.
        start: (tasks, …) where each task starts; only these move.
        support: padded; a task without real examples stays where it starts, as long as its loss
            is then constant.
        step_sizes: by name, a number or anything that broadcasts to (tasks, …).
        steps: how many.
        first_order: treat the inner gradients as constants.
    """
    own = start
    for _ in range(steps):
        if first_order:
            with torch.no_grad():
                steepest = problem.inner_gradients(meta, own, support)
        else:
            steepest = problem.inner_gradients(meta, own, support)
        own = {n: p - step_sizes[n] * steepest[n] for n, p in own.items()}
    return own


def through_adaptation(
    learner: Learner, problem: Problem, meta: Params, tasks: Tasks
) -> tuple[Tensor, Params]:
    """Return query losses and meta-gradient by backpropagation through `learner.adapt`.

    Whether that is of second or first order is decided by what `adapt` lets gradients through.
    """
    leaves = {n: p.detach().requires_grad_() for n, p in meta.items()}
    adapted = learner.adapt(problem, leaves, tasks.support)
    losses = problem.losses(leaves, adapted, tasks.query)
    total = (tasks.weight * losses).sum()
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    gradients = {
        n: torch.zeros_like(p) if g is None else g
        for (n, p), g in zip(leaves.items(), found, strict=True)
    }
    return losses.detach(), gradients


def check_finite(
    losses: Tensor,
    meta: Params,
    settings: Config,
    whose: Callable[[int], str] = "{} of the batch".format,
) -> None:
    """Stop where an inner loop ran away.

    Args:
        losses: (tasks,) query losses.
        meta: the meta-parameters that gave them.
        settings: of the learner; its step size stands in the message.
        whose: task → what it is called.

    Raises:
        DivergedError: a loss or a meta-parameter is not finite.
    """
    values = settings.model_dump()
    with_ = ", ".join(f"{n}={v:g}" for n, v in values.items() if isinstance(v, int | float))
    mend = "lower inner_lr or inner_steps" if "inner_lr" in values else "lower outer_lr"
    bad = (~torch.isfinite(losses)).nonzero().flatten()
    if len(bad):
        raise DivergedError(
            f"{len(bad)} of {len(losses)} tasks diverged while adapting with {with_} (first: the "
            f"task {whose(int(bad[0]))}); {mend}"
        )
    for name, value in meta.items():
        if not bool(torch.isfinite(value).all()):
            raise DivergedError(f"{name} is no longer finite, with {with_}; lower outer_lr")
