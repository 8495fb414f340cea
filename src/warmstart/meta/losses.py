"""Losses of one task; padded examples do not count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as fn
from torch import Tensor

from warmstart.meta.learner import Loss


def squared(shrinkage: float = 0.0) -> Loss:
    """Return half the mean squared error: for ratings.

    Args:
        shrinkage: how many further examples that are right already the mean is taken over: one
            event is weak evidence, and moves a task by 1 / (1 + shrinkage) of what many would.
    """
    return _mean(lambda found, labels: 0.5 * (found - labels) ** 2, shrinkage)


def log_loss(shrinkage: float = 0.0) -> Loss:
    """Return the mean logistic loss of logits against labels in [0, 1]: for clicks.

    Args:
        shrinkage: as in `squared`.
    """
    return _mean(lambda found, labels: fn.softplus(found) - labels * found, shrinkage)


def likelihood(shrinkage: float = 0.0) -> Loss:
    """Return minus the mean log-probability, weighted by signed evidence: for rankings.

    Args:
        shrinkage: as in `squared`.
    """
    return _mean(lambda found, labels: -labels * found, shrinkage)


def _mean(each: Callable[[Tensor, Tensor], Tensor], shrinkage: float) -> Loss:
    def loss(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
        count = (mask.sum() + shrinkage).clamp(min=1)
        return (mask * each(predictions, labels)).sum() / count

    return loss


def by_kind(losses: Sequence[Loss]) -> Loss:
    """Return the loss that judges each task by the loss of its kind.

    Example:
        >>> loss = by_kind([squared(), log_loss()])
        >>> one, half = torch.ones(1), torch.tensor([0.5])
        >>> float(loss(half, one, one, torch.tensor(0)))
        0.125
    """

    def mixed(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
        each = torch.stack([loss(predictions, labels, mask, kind) for loss in losses])
        return torch.where(torch.arange(len(losses)) == kind, each, 0.0).sum()

    return mixed
