"""nDCG itself as an outer loss: a ranking policy, and REINFORCE with a leave-one-out baseline.

The Plackett–Luce policy draws a list by putting one item after the other with chances in proportion
to exp(score / temperature) among those that are left. nDCG has no gradient by the scores, but its
expectation under the policy has:

    ∇ E[nDCG] = E[ Σ_j (G_j - b_j) ∇ log π(item at place j | places before) ]

G_j is the gain from place j on, all that a choice at j can change; b_j is the mean of G_j over the
other lists that were drawn for the same task (`warmstart.meta.reinforce`).

Reference: Oosterhuis 2021, doi:10.1145/3404835.3462830 (policy gradients of Plackett–Luce).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from warmstart.meta.learner import Loss
from warmstart.meta.reinforce import reinforce
from warmstart.meta.settings import PolicyConfig

_LEAST_LEFT = 1e-6  # of the chance that is left for the items not yet placed, in float32


def expected_ndcg(config: PolicyConfig) -> Loss:
    """Return minus the mean nDCG of drawn lists; its gradient is the policy gradient.

    The examples of a task are *all* items that may be ranked, with label 1 where relevant.

    Args:
        config: how many lists, how long, and how sharp the policy is.

    Example:
        >>> loss = expected_ndcg(PolicyConfig(samples=4, length=1))
        >>> sure = torch.tensor([50.0, 0.0, 0.0])
        >>> one = torch.ones(3)
        >>> float(loss(sure, torch.tensor([1.0, 0.0, 0.0]), one, torch.tensor(0)))
        -1.0
    """

    def loss(predictions: Tensor, labels: Tensor, mask: Tensor, kind: Tensor) -> Tensor:
        logits = predictions / config.temperature - 1e4 * (1 - mask)
        length = min(config.length, len(logits))
        with torch.no_grad():
            lists = draw_lists(logits, config.samples, length)
            gains = _gains(labels * mask, lists)
            to_go = gains.flip(1).cumsum(1).flip(1)
        chosen = log_chances(logits, lists)
        surrogate = length * reinforce(chosen, to_go, baseline="leave-one-out")
        return surrogate - surrogate.detach() - to_go[:, 0].mean()

    return loss


def draw_lists(
    logits: Float[Tensor, " items"], samples: int, length: int
) -> Int[Tensor, "samples length"]:
    """Return lists drawn by the Plackett–Luce policy: the largest of logits + Gumbel noise."""
    noise = torch.rand(samples, len(logits), dtype=logits.dtype).clamp(min=1e-20)
    lists: Tensor = (logits - (-noise.log()).log()).topk(length, dim=1).indices
    return lists


def log_chances(
    logits: Float[Tensor, " items"], lists: Int[Tensor, "samples length"]
) -> Float[Tensor, "samples length"]:
    """Return the log-chance of each place of each list, given the places before it."""
    chosen = torch.log_softmax(logits, 0)[lists]
    share = chosen.exp()
    before = share.cumsum(1) - share
    return chosen - torch.log1p(-before.clamp(max=1 - _LEAST_LEFT))


def _gains(
    relevant: Float[Tensor, " items"], lists: Int[Tensor, "samples length"]
) -> Float[Tensor, "samples length"]:
    """Return what each place adds to nDCG; the ideal list is cut at the same length."""
    length = lists.shape[1]
    discount = 1 / torch.log2(torch.arange(2, length + 2, dtype=relevant.dtype))
    ideal = (discount * (torch.arange(length) < relevant.sum())).sum()
    return relevant[lists] * discount / ideal.clamp(min=1e-12)
