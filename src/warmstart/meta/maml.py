"""MAML: a start from which a few gradient steps on a task lead to a good model of that task.

The meta-gradient is exact: it runs through the inner steps, Hessians included.

Reference: Finn, Abbeel & Levine 2017, arXiv:1703.03400, Algorithm 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from warmstart.core.config import Config
from warmstart.meta.learner import (
    Examples,
    Params,
    Problem,
    Tasks,
    descend,
    per_task,
    through_adaptation,
)
from warmstart.meta.settings import InnerConfig


class MAML:
    """Second-order MAML over every parameter that is not shared."""

    config_type: ClassVar[type[Config]] = InnerConfig
    first_order: ClassVar[bool] = False

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or InnerConfig()

    def init(self, problem: Problem) -> Params:
        """Return the module's own parameters."""
        return problem.parameters()

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's parameters after the inner steps."""
        names = self.moved(problem)
        return descend(
            problem,
            meta,
            per_task(meta, names, len(support)),
            support,
            dict.fromkeys(names, self.config.inner_lr),
            steps=self.config.inner_steps,
            first_order=self.first_order,
        )

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the meta-gradient."""
        return through_adaptation(self, problem, meta, tasks)

    def moved(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the parameters that the inner loop moves."""
        return problem.adapted
