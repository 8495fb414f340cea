"""Meta-SGD: MAML that also learns a step size for every parameter, its sign included.

Reference: Li et al. 2017, arXiv:1707.09835. The paper takes one inner step; more are allowed.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
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

PREFIX = "step_size/"
"""What the names of learned step sizes begin with, before the name of their parameter."""


class MetaSGD:
    """MAML with learned step sizes."""

    config_type: ClassVar[type[Config]] = InnerConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or InnerConfig(inner_steps=1)

    def init(self, problem: Problem) -> Params:
        """Return the module's own parameters and a step size for each that may move."""
        meta = problem.parameters()
        steps = {
            PREFIX + n: torch.full_like(meta[n], self.config.inner_lr) for n in problem.adapted
        }
        return meta | steps

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's parameters after the inner steps."""
        return descend(
            problem,
            meta,
            per_task(meta, problem.adapted, len(support)),
            support,
            {n: meta[PREFIX + n] for n in problem.adapted},
            steps=self.config.inner_steps,
            first_order=False,
        )

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the meta-gradient."""
        return through_adaptation(self, problem, meta, tasks)
