"""FOMA: fast adaptation on multiple tasks; our reading of a name that no paper defines.

A first-order meta-gradient over a large batch of *different kinds* of tasks at once: users and
items, ratings, clicks and conversions. Every kind has a start and step sizes of its own, both
learned; everything below the head is shared and learns from all of them; only the head is
adapted, so that adapting costs a handful of numbers and forgets nothing.

Relatives: FOMAML and Meta-SGD (the gradient and the step sizes), ANIL (only the head moves), s²Meta
(arXiv:1906.00391: a learned start, steps and stop for each scenario) and CCML; see docs/foma.md.
"First-Order Manifold Data Augmentation" shares the letters and nothing else.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from warmstart.core.config import Config
from warmstart.meta.learner import Examples, Params, Problem, Tasks, descend, through_adaptation
from warmstart.meta.meta_sgd import PREFIX
from warmstart.meta.settings import FOMAConfig

START = "start/"
"""What the names of learned starts begin with, before the name of their parameter."""


class FOMA:
    """First order, many kinds of tasks, learned starts and step sizes, the head alone."""

    config_type: ClassVar[type[Config]] = FOMAConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or FOMAConfig()

    def init(self, problem: Problem) -> Params:
        """Return the module's parameters, and per kind a start and step sizes of the head."""
        meta, kinds = problem.parameters(), self.config.kinds
        starts = {START + n: meta[n].expand(kinds, *meta[n].shape).clone() for n in problem.head}
        steps = {
            PREFIX + n: torch.full((kinds, *meta[n].shape), self.config.inner_lr)
            for n in problem.head
        }
        return {n: p for n, p in meta.items() if n not in problem.head} | starts | steps

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's head after the inner steps from the start of its kind."""
        return descend(
            problem,
            meta,
            {n: meta[START + n][support.kind] for n in problem.head},
            support,
            {n: meta[PREFIX + n][support.kind] for n in problem.head},
            steps=self.config.inner_steps,
            first_order=True,
        )

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the meta-gradient."""
        return through_adaptation(self, problem, meta, tasks)
