"""The closed form: Bayesian linear regression of the head, its prior learned through the solve.

The module's prediction is linear in the head's weights w over the features φ(x) of an example.
With the prior w ~ N(m, L Lᵀ) and noise σ², the support (Φ, y) gives

    mean       m + Λ Φᵀ (Φ Λ Φᵀ + σ² I)⁻¹ (y - Φ m)              Λ = L Lᵀ
    covariance Λ - Λ Φᵀ (Φ Λ Φᵀ + σ² I)⁻¹ Φ Λ

by one shots × shots solve, not dim × dim: a cold user has far fewer shots than dimensions. m, L,
σ, the features, and by how much a like of 1 should move a score are trained by the query loss.
Where predictions are logits, a label counts by how far it lies from the chance predicted without
it, so that a click withheld never speaks for an item.

Reference: Bertinetto et al. 2019, arXiv:1805.08136 (R2-D2); Bishop 2006, eq. 3.49–3.54; in the
form over items instead of features see `warmstart.meta.belief`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.meta.learner import Examples, Params, Problem, Tasks, through_adaptation
from warmstart.meta.settings import ClosedFormConfig


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of the head's weights after a support set.

    Attributes:
        mean: (tasks, dim).
        covariance: (tasks, dim, dim).
    """

    mean: Float[Tensor, "tasks dim"]
    covariance: Float[Tensor, "tasks dim dim"]


class ClosedForm:
    """One solve from a support set to a head."""

    config_type: ClassVar[type[Config]] = ClosedFormConfig

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or ClosedFormConfig()

    def init(self, problem: Problem) -> Params:
        """Return the module's parameters, the factor of the prior, the noise and the target.

        Raises:
            ConfigError: the module has no `design`.
        """
        if not hasattr(problem.model, "design"):
            raise ConfigError(
                f"the closed form needs a module with `design`, which "
                f"{type(problem.model).__name__} lacks; choose maml, fomaml, anil, meta-sgd, "
                "reptile or foma"
            )
        meta = problem.parameters()
        dim = meta[problem.head[0]].numel()
        return meta | {
            "prior/factor": torch.eye(dim) * self.config.prior_scale,
            "prior/log_noise": torch.tensor(math.log(self.config.noise)),
            "prior/target": torch.tensor(1.0),
        }

    def adapt(self, problem: Problem, meta: Params, support: Examples) -> Params:
        """Return each task's posterior mean."""
        name = problem.head[0]
        features, offset = design_of(problem, meta, support)
        mask = support.mask.to(features.dtype)
        labels = meta["prior/target"] * support.labels - offset
        if self.config.logits:
            before = features @ meta[name]
            chance = torch.sigmoid(before + offset)
            labels = before + meta["prior/target"] * (support.labels - chance)
        mean = posterior_mean(
            features,
            labels,
            mask,
            prior_mean=meta[name],
            factor=meta["prior/factor"],
            noise=meta["prior/log_noise"].exp(),
        )
        return {name: mean}

    def gradients(self, problem: Problem, meta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
        """Return query losses and the meta-gradient."""
        return through_adaptation(self, problem, meta, tasks)

    def posterior(self, problem: Problem, meta: Params, support: Examples) -> Posterior:
        """Return mean and covariance of each task: the uncertainty that is left."""
        features, _ = design_of(problem, meta, support)
        factor, noise = meta["prior/factor"], meta["prior/log_noise"].exp()
        z = features * support.mask.to(features.dtype)[..., None]
        gain = _gain(z @ factor, noise)
        left = z @ factor @ factor.T
        return Posterior(
            self.adapt(problem, meta, support)[problem.head[0]],
            factor @ factor.T - left.mT @ gain @ left,
        )


def posterior_mean(
    features: Float[Tensor, "tasks shots dim"],
    labels: Float[Tensor, "tasks shots"],
    mask: Float[Tensor, "tasks shots"],
    *,
    prior_mean: Float[Tensor, " dim"],
    factor: Float[Tensor, "dim dim"],
    noise: Float[Tensor, ""],
) -> Float[Tensor, "tasks dim"]:
    """Return (tasks, dim) posterior means; padded examples say nothing.

    Args:
        features: Φ of each task.
        labels: y.
        mask: 1 where an example is real.
        prior_mean: m.
        factor: L.
        noise: σ, the standard deviation of a label.
    """
    z = features * mask[..., None]
    residual = (labels - features @ prior_mean) * mask
    along = z @ factor
    # what cannot be solved becomes NaN, which `check_finite` names
    weights, _ = torch.linalg.solve_ex(_covariance(along, noise), residual[..., None])
    mean: Tensor = prior_mean + (along * weights).sum(dim=1) @ factor.T
    return mean


def _covariance(along: Tensor, noise: Tensor) -> Tensor:
    covariance: Tensor = along @ along.mT + noise**2 * torch.eye(along.shape[1], dtype=along.dtype)
    return covariance


def _gain(along: Tensor, noise: Tensor) -> Tensor:
    gain: Tensor = torch.linalg.inv(_covariance(along, noise))
    return gain


def design_of(problem: Problem, meta: Params, examples: Examples) -> tuple[Tensor, Tensor]:
    """Return (tasks, examples, dim) features, and (tasks, examples) what is predicted anyway."""
    found: tuple[Tensor, Tensor] = problem.call("design", meta, examples)
    return found
