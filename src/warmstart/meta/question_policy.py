"""Training a policy that asks questions, by REINFORCE on whole interviews.

The policy is linear: item i is asked with a probability proportional to exp(θ · φ_i), where φ_i are
features of the item in the state of the interview, and what was asked already is masked. The reward
that follows question t is the quality after it and after each later one, so that an early answer
that helps is worth more than a late one. Several interviews of the same user make the leave-one-out
baseline: what would also have been reached by other questions cancels, questions at random too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray
from warmstart.meta.reinforce import reinforce
from warmstart.meta.settings import QuestionPolicyConfig


@dataclass(frozen=True, slots=True)
class Episodes:
    """Interviews of a batch of users, each held `samples` times; rows are sample by sample.

    Attributes:
        features: (steps, rows, items, features).
        allowed: (steps, rows, items) what could be asked.
        actions: (steps, rows) what was asked.
        reward_to_go: (steps, rows) what the question and all later ones earned.
        samples: interviews of each user.
    """

    features: FloatArray
    allowed: npt.NDArray[np.bool_]
    actions: IntArray
    reward_to_go: FloatArray
    samples: int


def train_policy(
    play: Callable[[FloatArray, np.random.Generator], Episodes],
    start: FloatArray,
    config: QuestionPolicyConfig,
    *,
    validate: Callable[[FloatArray], float],
    seed: int = 0,
    on_update: Callable[[int], None] | None = None,
) -> FloatArray:
    """Return (features,) the weights that validation found best, those of the start among them.

    Args:
        play: holds interviews with the policy of these weights, drawing from it.
        start: (features,) weights to begin with.
        config: settings.
        validate: quality of the policy without chance on users that `play` does not ask.
        seed: the same seed gives the same weights.
        on_update: told how many updates are over.
    """
    weights = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=config.outer_lr)
    every = max(1, config.updates // config.checks)
    best, quality = start, validate(start)
    for update in range(config.updates):
        left = 1 - update / config.updates  # steps and chance grow smaller towards the end
        for group in optimizer.param_groups:
            group["lr"] = config.outer_lr * left
        episodes = play(_array(weights), generator(seed, "interviews", update))
        loss = policy_loss(weights, episodes, config, entropy=config.entropy * left)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (update + 1) % every == 0:
            found = _array(weights)
            now = validate(found)
            if now > quality:
                best, quality = found, now
        if on_update is not None:
            on_update(update + 1)
    return best


def policy_loss(
    weights: torch.Tensor,
    episodes: Episodes,
    config: QuestionPolicyConfig,
    *,
    entropy: float = 0.0,
) -> torch.Tensor:
    """Return REINFORCE's loss of interviews, less what the policy's entropy is worth."""
    logits = torch.from_numpy(episodes.features) @ weights
    logits = logits.masked_fill(~torch.from_numpy(episodes.allowed), -1e9)
    log_chance = logits.log_softmax(dim=-1)
    actions = torch.from_numpy(np.asarray(episodes.actions, np.int64))
    taken = log_chance.gather(-1, actions[..., None])[..., 0]

    def by_task(rows: Any) -> torch.Tensor:  # noqa: ANN401  (steps, rows) → (samples, tasks)
        steps = len(rows)
        grouped: torch.Tensor = rows.reshape(steps, episodes.samples, -1).transpose(0, 1)
        return grouped.reshape(episodes.samples, -1)

    reward = by_task(torch.from_numpy(episodes.reward_to_go))
    loss = reinforce(by_task(taken), reward, baseline=config.baseline)
    if entropy:
        loss = loss + entropy * (log_chance.exp() * log_chance).sum(dim=-1).mean()
    return loss


def _array(weights: torch.Tensor) -> FloatArray:
    found: FloatArray = weights.detach().numpy().copy()
    return found
