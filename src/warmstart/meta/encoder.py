"""Meta-training of the set encoder: many episodes, one softmax over the catalogue.

The outer loss of one episode is the mean log-probability of its query items under a softmax over
all items that are not in its support, weighted by the square root of their number (a user with
ten times the likes teaches more, but not ten times more). Large catalogues use a sampled softmax
with the logQ correction (Bengio & Senécal 2008; Yi et al. 2019, doi:10.1145/3298689.3346996).
Remedies against bias weigh likes and tasks otherwise; see `warmstart.meta.remedies`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.core.types import Histories
from warmstart.meta.episodes import Episodes
from warmstart.meta.outer import TrainingState, outer_loop
from warmstart.meta.remedies import tilted
from warmstart.meta.settings import OuterConfig


@runtime_checkable
class Encoder(Protocol):
    """A torch module that turns histories into query vectors over its own item vectors."""

    items: nn.Parameter
    bias: nn.Parameter

    def __call__(self, histories: Histories) -> Tensor:
        """Return (users, dim) query vectors; score items by `query @ items.T + bias`."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return the parameters by name."""

    def train(self) -> Any:  # noqa: ANN401
        """Drop units from now on."""

    def eval(self) -> Any:  # noqa: ANN401
        """Drop none from now on."""


E = TypeVar("E", bound=Encoder)


def meta_train(
    encoder: E,
    draw: Callable[[np.random.Generator, int], Episodes],
    n_users: int,
    config: OuterConfig,
    *,
    rng: np.random.Generator,
    like_weight: npt.NDArray[np.float32] | None = None,
    group_tilt: float = 0.0,
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
        like_weight: (items,) what a like of each item weighs; None for alike.
        group_tilt: how much more the tasks of groups with higher losses weigh, where the episodes
            tell groups.
        validate: quality of an encoder, higher is better; None keeps the last weights.
        on_step: told (done, total, loss) after each step.
        resume: continue from here; the result is that of an uninterrupted run.
        on_check: told the whole state at each check, to store it.
    """

    def step(rng: np.random.Generator) -> float:
        encoder.train()
        loss = outer_loss(
            encoder,
            draw(rng, min(config.batch_size, n_users)),
            config,
            rng,
            like_weight=like_weight,
            group_tilt=group_tilt,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def quality() -> float:
        encoder.eval()
        return 0.0 if validate is None else validate(encoder)

    outer_loop(
        dict(encoder.named_parameters()),
        step,
        n_users,
        config,
        rng=rng,
        decayed=("events", "items"),
        validate=None if validate is None else quality,
        on_step=on_step,
        resume=resume,
        on_check=on_check,
    )
    encoder.eval()
    return encoder


def outer_loss(
    encoder: Encoder,
    episodes: Episodes,
    config: OuterConfig,
    rng: np.random.Generator,
    *,
    like_weight: npt.NDArray[np.float32] | None = None,
    group_tilt: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the weighted negative log-likelihood of the query items."""
    query, n_items = episodes.query, episodes.query.shape[1]
    counts = np.diff(query.indptr)
    weight = 1.0 / np.sqrt(np.maximum(counts, 1))
    weight /= max(float((counts * weight).mean()), 1e-12) * len(counts)
    weight = np.repeat(weight, counts).astype(np.float32)
    if like_weight is not None:
        weight = weight * like_weight[query.indices]
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
    each = torch.from_numpy(weight) * likelihood
    if group_tilt and episodes.groups is not None:
        per_task = torch.zeros(len(counts)).index_add(0, rows, likelihood.detach())
        losses = -per_task.numpy() / np.maximum(counts, 1)
        each = each * torch.from_numpy(tilted(episodes.groups, losses, group_tilt))[rows]
    return -each.sum()


def _simplex(share: Any) -> Any:  # noqa: ANN401
    share = share.astype(np.float64)
    return share / share.sum()
