"""Meta-training of the set encoder: many episodes, one softmax over the catalogue.

The outer loss of one episode is the mean log-probability of its query items under a softmax over
all items that are not in its support, weighted by the square root of their number (a user with
ten times the likes teaches more, but not ten times more). Large catalogues use a sampled softmax
with the logQ correction (Bengio & Senécal 2008; Yi et al. 2019, doi:10.1145/3298689.3346996).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.core.types import Histories
from warmstart.meta.episodes import Episodes
from warmstart.meta.settings import AmortisedConfig


@runtime_checkable
class Encoder(Protocol):
    """A torch module that turns histories into query vectors over its own item vectors."""

    items: nn.Parameter
    bias: nn.Parameter

    def __call__(self, histories: Histories) -> Tensor:
        """Return (users, dim) query vectors; score items by `query @ items.T + bias`."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return the parameters by name."""

    def state_dict(self) -> dict[str, Any]:
        """Return the weights by name."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:  # noqa: ANN401
        """Take weights by name."""

    def train(self) -> Any:  # noqa: ANN401
        """Drop units from now on."""

    def eval(self) -> Any:  # noqa: ANN401
        """Drop none from now on."""


E = TypeVar("E", bound=Encoder)


@dataclass(slots=True)
class TrainingState:
    """Everything that the next step depends on: what a checkpoint holds."""

    step: int
    encoder: dict[str, Tensor]
    optimiser: dict[str, Any]
    best: dict[str, Tensor] | None
    best_quality: float
    rng: dict[str, Any]
    torch_rng: Tensor


def meta_train(
    encoder: E,
    draw: Callable[[np.random.Generator, int], Episodes],
    n_users: int,
    config: AmortisedConfig,
    *,
    rng: np.random.Generator,
    validate: Callable[[E], float] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    resume: TrainingState | None = None,
    on_check: Callable[[TrainingState], None] | None = None,
) -> E:
    """Train `encoder` in place and return it with the weights that validated best.

    Args:
        encoder: the module to train.
        draw: gives a batch of about this many episodes.
        n_users: how many users make one epoch.
        config: settings.
        rng: source of batches; dropout follows torch's generator, which the caller seeds.
        validate: quality of an encoder, higher is better; None keeps the last weights.
        on_step: told (done, total, loss) after each step.
        resume: continue from here; the result is that of an uninterrupted run.
        on_check: told the whole state at each check, to store it.
    """
    per_epoch = max(1, -(-n_users // config.batch_size))
    total = min(config.epochs * per_epoch, config.max_steps)
    vectors = {"events", "items"}
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for n, p in encoder.named_parameters() if n in vectors],
                "weight_decay": config.weight_decay,
            },
            {
                "params": [p for n, p in encoder.named_parameters() if n not in vectors],
                "weight_decay": 0.0,
            },
        ],
        lr=config.outer_lr,
        betas=(0.9, 0.99),
    )
    best: dict[str, Tensor] | None = None
    best_quality, start = -np.inf, 0
    if resume is not None:
        start, best, best_quality = resume.step, resume.best, resume.best_quality
        encoder.load_state_dict(resume.encoder)
        optimiser.load_state_dict(optimiser.state_dict() | resume.optimiser)
        rng.bit_generator.state = resume.rng
        torch.set_rng_state(resume.torch_rng)
    check_every = max(1, total // (2 * config.checks))
    for step in range(start, total):
        for group in optimiser.param_groups:
            group["lr"] = config.outer_lr * one_cycle(step / total)
        encoder.train()
        loss = outer_loss(encoder, draw(rng, min(config.batch_size, n_users)), config, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        done = step + 1
        if on_step is not None:
            on_step(done, total, float(loss.detach()))
        if done == total or (2 * done >= total and (total - done) % check_every == 0):
            encoder.eval()
            quality = validate(encoder) if validate is not None else float(done)
            if quality > best_quality:
                best_quality, best = quality, copy.deepcopy(encoder.state_dict())
            if on_check is not None:
                on_check(
                    TrainingState(
                        done,
                        encoder.state_dict(),
                        optimiser.state_dict(),
                        best,
                        best_quality,
                        dict(rng.bit_generator.state),
                        torch.get_rng_state(),
                    )
                )
    if best is not None:
        encoder.load_state_dict(best)
    encoder.eval()
    return encoder


def one_cycle(progress: float, *, warm_up: float = 0.1) -> float:
    """Return the share of the peak step size: a cosine up, then a cosine down to zero."""
    if progress < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - float(np.cos(np.pi * progress / warm_up)))
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warm_up) / (1 - warm_up))))


def outer_loss(
    encoder: Encoder, episodes: Episodes, config: AmortisedConfig, rng: np.random.Generator
) -> Float[Tensor, ""]:
    """Return the weighted negative log-likelihood of the query items."""
    query, n_items = episodes.query, episodes.query.shape[1]
    counts = np.diff(query.indptr)
    weight = 1.0 / np.sqrt(np.maximum(counts, 1))
    weight /= max(float((counts * weight).mean()), 1e-12) * len(counts)
    weight = np.repeat(weight, counts).astype(np.float32)
    vectors = encoder(episodes.support)
    rows = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    items = torch.from_numpy(query.indices.astype(np.int64))
    if n_items <= config.sampled_items:
        logits = vectors @ encoder.items.T + encoder.bias
        seen = episodes.support
        at = torch.from_numpy(seen.rows * n_items + seen.items.astype(np.int64))
        logits = logits.reshape(-1).index_fill(0, at, -1e4).reshape(logits.shape)
        likelihood = torch.log_softmax(logits, dim=1)[rows, items]
    else:
        bias = encoder.bias.detach()
        share = torch.softmax(0.75 * bias, dim=0)
        drawn = torch.from_numpy(
            rng.choice(n_items, config.sampled_items // 2, p=_simplex(share.numpy()))
        )
        logits = vectors @ encoder.items[drawn].T + encoder.bias[drawn]
        spread = torch.logsumexp(logits - torch.log(share[drawn] * len(drawn)), dim=1)
        positive = (vectors[rows] * encoder.items[items]).sum(dim=1) + encoder.bias[items]
        likelihood = positive - torch.logaddexp(spread[rows], positive)
    return -(torch.from_numpy(weight) * likelihood).sum()


def _simplex(share: Any) -> Any:  # noqa: ANN401
    share = share.astype(np.float64)
    return share / share.sum()
