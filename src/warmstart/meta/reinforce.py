"""REINFORCE: the gradient of an expected reward that cannot be differentiated itself.

    ∇ E[R(a)] = E[(R(a) - b) ∇ log π(a)]        a ~ π

The reward may be anything that can be computed: nDCG, or what a model has gained by an answer. A
baseline b that does not depend on a leaves the expectation as it is and takes variance away:

- leave-one-out: the mean reward of the other samples of the same task;
- self-critical: the reward of the action that the policy would take without chance.

References: Williams 1992, Mach. Learn. 8:229–256; leave-one-out: Kool et al. 2019, "Buy 4
REINFORCE samples, get a baseline for free!"; self-critical: Rennie et al. 2017, arXiv:1612.00563.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from warmstart.core.errors import ConfigError

Baseline = Literal["none", "leave-one-out", "self-critical"]


def reinforce(
    log_prob: Float[Tensor, "samples tasks"],
    reward: Float[Tensor, "samples tasks"],
    *,
    baseline: Baseline = "leave-one-out",
    greedy_reward: Float[Tensor, " tasks"] | None = None,
) -> Float[Tensor, ""]:
    """Return a loss whose gradient estimates minus the gradient of the mean expected reward.

    The value of the loss means nothing; report the reward.

    Args:
        log_prob: log-probability of each sampled action, or of all actions of an episode.
        reward: what it earned; no gradient flows through it.
        baseline: what is subtracted from the reward.
        greedy_reward: of the action without chance, for "self-critical".

    Raises:
        ConfigError: the shapes differ, or the baseline lacks what it needs.

    Example:
        >>> import torch
        >>> logits = torch.zeros(2, requires_grad=True)
        >>> log_prob = logits.log_softmax(0)[torch.tensor([[0], [1]])]  # one task, both actions
        >>> reinforce(log_prob, torch.tensor([[1.0], [0.0]])).backward()
        >>> logits.grad.tolist()  # down the loss is towards action 0
        [-0.5, 0.5]
    """
    if log_prob.ndim != 2 or log_prob.shape != reward.shape:
        raise ConfigError(
            f"log_prob {tuple(log_prob.shape)} and reward {tuple(reward.shape)} must both be "
            "(samples, tasks)"
        )
    reward = reward.detach()
    loss: Tensor = -((reward - _baseline(reward, baseline, greedy_reward)) * log_prob).mean()
    return loss


def _baseline(reward: Tensor, baseline: Baseline, greedy_reward: Tensor | None) -> Tensor | float:
    samples = len(reward)
    if baseline == "none":
        return 0.0
    if baseline == "leave-one-out":
        if samples < 2:
            raise ConfigError("leave-one-out needs at least 2 samples of each task, got 1")
        return (reward.sum(dim=0) - reward) / (samples - 1)
    if greedy_reward is None or greedy_reward.shape != reward.shape[1:]:
        raise ConfigError("self-critical needs greedy_reward of shape (tasks,)")
    return greedy_reward.detach()
