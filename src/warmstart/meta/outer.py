"""The outer loop: AdamW under a one-cycle schedule, the weights that validated best, checkpoints.

It knows parameters by name and a function that fills in their gradients; whether these came by
backpropagation through an inner loop or otherwise (Reptile) is the learner's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from warmstart.core.errors import DivergedError
from warmstart.meta.settings import OuterConfig


@dataclass(slots=True)
class TrainingState:
    """Everything that the next step depends on: what a checkpoint holds."""

    step: int
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    best: dict[str, Tensor] | None
    best_quality: float
    rng: dict[str, Any]
    torch_rng: Tensor


def outer_loop(
    parameters: Mapping[str, nn.Parameter],
    step: Callable[[np.random.Generator], float],
    n_tasks: int,
    config: OuterConfig,
    *,
    rng: np.random.Generator,
    decayed: Collection[str] = (),
    validate: Callable[[], float] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    resume: TrainingState | None = None,
    on_check: Callable[[TrainingState], None] | None = None,
) -> None:
    """Train `parameters` in place and leave them with the weights that validated best.

    Args:
        parameters: by name.
        step: draws a batch of tasks, fills in `.grad` of every parameter, and returns the loss.
        n_tasks: how many tasks make one epoch.
        config: settings.
        rng: source of batches; dropout follows torch's generator, which the caller seeds.
        decayed: names of the parameters that decay: vectors of items and users.
        validate: quality at present, higher is better; None keeps the last weights.
        on_step: told (done, total, loss) after each step.
        resume: continue from here; the result is that of an uninterrupted run.
        on_check: told the whole state at each check, and where the inner loop diverged, to
            store it.

    Raises:
        DivergedError: `step` found that adaptation ran away; the parameters are the last good.
    """
    per_epoch = max(1, -(-n_tasks // config.batch_size))
    total = min(config.epochs * per_epoch, config.max_steps)
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for n, p in parameters.items() if n in decayed],
                "weight_decay": config.weight_decay,
            },
            {"params": [p for n, p in parameters.items() if n not in decayed], "weight_decay": 0.0},
        ],
        lr=config.outer_lr,
        betas=(0.9, 0.99),
    )
    best: dict[str, Tensor] | None = None
    best_quality, start = -np.inf, 0
    if resume is not None:
        start, best, best_quality = resume.step, resume.best, resume.best_quality
        _assign(parameters, resume.weights)
        optimiser.load_state_dict(optimiser.state_dict() | resume.optimiser)
        rng.bit_generator.state = resume.rng
        torch.set_rng_state(resume.torch_rng)

    def state(done: int) -> TrainingState:
        return TrainingState(
            done,
            _copy(parameters),
            optimiser.state_dict(),
            best,
            best_quality,
            dict(rng.bit_generator.state),
            torch.get_rng_state(),
        )

    check_every = max(1, total // (2 * config.checks))
    for now in range(start, total):
        for group in optimiser.param_groups:
            group["lr"] = config.outer_lr * one_cycle(now / total)
        optimiser.zero_grad(set_to_none=True)
        try:
            loss = step(rng)
            bad = [n for n, p in parameters.items() if not _finite(p.grad)]
            if bad:
                raise DivergedError(f"the gradient of {bad[0]} is not finite; lower outer_lr")
        except DivergedError:
            if on_check is not None and all(bool(p.isfinite().all()) for p in parameters.values()):
                on_check(state(now))
            raise
        optimiser.step()
        done = now + 1
        if on_step is not None:
            on_step(done, total, loss)
        if done == total or (total - done) % check_every == 0:
            if 2 * done >= total:
                quality = validate() if validate is not None else float(done)
                if quality > best_quality:
                    best_quality, best = quality, _copy(parameters)
            if on_check is not None:
                on_check(state(done))
    if best is not None:
        _assign(parameters, best)


def one_cycle(progress: float, *, warm_up: float = 0.1) -> float:
    """Return the share of the peak step size: a cosine up, then a cosine down to zero."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - float(np.cos(np.pi * progress / warm_up)))
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warm_up) / (1 - warm_up))))


def _copy(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in parameters.items()}


@torch.no_grad()
def _assign(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    for name, p in parameters.items():
        p.copy_(weights[name])


def _finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(torch.isfinite(gradient.sum()))
