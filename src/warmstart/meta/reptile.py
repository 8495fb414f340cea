"""Reptile: move the start towards where ordinary training on each task ends.

A task's support and query are trained on together, since nothing is differentiated twice; the
meta-gradient is (start - end) / (inner_lr · inner_steps), the mean inner gradient. Parameters
that the inner loop leaves alone, such as tables of item vectors, are not in the paper: they take
the gradient of the query loss after adapting to the support, as in FOMAML, or few events would
find vectors that were only ever met by adapted users of many.

Reference: Nichol, Achiam & Schulman 2018, arXiv:1803.02999.
"""

from __future__ import annotations

import torch
from torch import Tensor

from warmstart.meta.learner import Examples, Params, Problem, Tasks
from warmstart.meta.maml import MAML


class Reptile(MAML):
    """First order, and without a split of the task."""

    first_order = True

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and Reptile's direction."""
        with torch.no_grad():
            per_task = getattr(problem.model, "per_task", ())
            end = self.adapt(problem, meta, together(tasks.support, tasks.query, per_task))
            adapted = self.adapt(problem, meta, tasks.support)
        shared = {n: p.detach().requires_grad_() for n, p in meta.items() if n not in end}
        losses = problem.losses(shared, adapted, tasks.query)
        total = (tasks.weight * losses).sum()
        found = (
            torch.autograd.grad(total, list(shared.values()), allow_unused=True) if shared else ()
        )
        way = self.config.inner_lr * self.config.inner_steps
        gradients = {
            n: torch.einsum("t,t...->...", tasks.weight, meta[n].detach() - p) / way
            for n, p in end.items()
        }
        for (name, p), g in zip(shared.items(), found, strict=True):
            gradients[name] = torch.zeros_like(p) if g is None else g
        return losses.detach(), gradients


def together(support: Examples, query: Examples, per_task: tuple[int, ...] = ()) -> Examples:
    """Return the examples of both; an input that is one per task is the support's.

    Example:
        >>> a = Examples.of((torch.zeros(1, 2),), torch.zeros(1, 2))
        >>> together(a, a).labels.shape
        torch.Size([1, 4])
    """
    pairs = zip(support.inputs, query.inputs, strict=True)
    inputs = tuple(
        s if i in per_task else torch.cat([s, q], dim=1) for i, (s, q) in enumerate(pairs)
    )
    return Examples(
        inputs,
        torch.cat([support.labels, query.labels], dim=1),
        torch.cat([support.mask, query.mask], dim=1),
        query.kind,
    )
