"""Losses of one task; padded examples do not count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as fn
from torch import Tensor

from warmstart.meta.learner import Loss


def squared(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
    """Return half the mean squared error: for ratings."""
    return 0.5 * (mask * (predictions - labels) ** 2).sum() / mask.sum().clamp(min=1)


def log_loss(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
    """Return the mean logistic loss of logits against labels in [0, 1]: for clicks."""
    each = fn.softplus(predictions) - labels * predictions
    return (mask * each).sum() / mask.sum().clamp(min=1)


def likelihood(shrinkage: float = 0.0) -> Loss:
    """Return the loss of rankings: minus the mean log-probability, weighted by signed evidence.

    Args:
        shrinkage: how many further examples that say nothing the mean is taken over: one event
            is weak evidence, and moves a task by 1 / (1 + shrinkage) of what many would.
    """

    def loss(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
        count = (mask.sum() + shrinkage).clamp(min=1)
        return -(mask * labels * predictions).sum() / count

    return loss


def by_kind(losses: Sequence[Loss]) -> Loss:
    """Return the loss that judges each task by the loss of its kind.

    Example:
        >>> loss = by_kind([squared, log_loss])
        >>> one, half = torch.ones(1), torch.tensor([0.5])
        >>> float(loss(half, one, one, torch.tensor(0)))
        0.125
    """

    def mixed(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
        each = torch.stack([loss(predictions, labels, mask, kind) for loss in losses])
        return torch.where(torch.arange(len(losses)) == kind, each, 0.0).sum()

    return mixed
