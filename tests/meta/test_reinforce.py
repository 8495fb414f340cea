"""REINFORCE against the gradient by enumeration of every sequence of actions."""

import itertools
import math

import pytest
import torch

from warmstart.core.errors import ConfigError
from warmstart.meta.reinforce import reinforce

N_ACTIONS, N_TASKS, SAMPLES = 4, 3, 4
ERROR_RATE = 1e-4  # of each statistical test, over all its coordinates; the seeds are fixed


@pytest.fixture
def weights():
    return torch.randn(
        N_TASKS, N_ACTIONS, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


REWARD = torch.rand(
    N_TASKS, N_ACTIONS, N_ACTIONS, generator=torch.Generator().manual_seed(2), dtype=torch.float64
)
REWARD = REWARD + 5  # far from zero, as a reward may be


def log_prob_of(weights, first, second):
    """Return the log-probability of two actions one after the other, none of them twice."""
    task = torch.arange(N_TASKS)
    masked = weights.expand(*first.shape, N_ACTIONS).scatter(-1, first[..., None], -torch.inf)
    found = weights.log_softmax(-1)[task, first]
    return found + masked.log_softmax(-1).gather(-1, second[..., None])[..., 0]


def by_enumeration(weights):
    weights = weights.clone().requires_grad_()
    expected = torch.zeros(N_TASKS, dtype=torch.float64)
    for a, b in itertools.permutations(range(N_ACTIONS), 2):
        first, second = torch.full((N_TASKS,), a), torch.full((N_TASKS,), b)
        expected = expected + log_prob_of(weights, first, second).exp() * REWARD[:, a, b]
    expected.mean().backward()
    return weights.grad


def estimates(weights, baseline, n):
    """Return (n, tasks, actions) estimates of the gradient of the mean reward."""
    rng = torch.Generator().manual_seed(3)
    chance = weights.softmax(-1).expand(n * SAMPLES, -1, -1).reshape(-1, N_ACTIONS)
    both = torch.multinomial(chance, 2, generator=rng).reshape(n, SAMPLES, N_TASKS, 2)
    greedy = weights.topk(2).indices
    task = torch.arange(N_TASKS)
    greedy_reward = REWARD[task, greedy[:, 0], greedy[:, 1]]
    # each estimate has weights of its own, so that one backward pass gives all of them
    each = weights.repeat(n, 1, 1).requires_grad_()
    first, second = both[..., 0], both[..., 1]
    wide = each[:, None].expand(-1, SAMPLES, -1, -1)
    log_prob = wide.log_softmax(-1).gather(-1, first[..., None])[..., 0]
    masked = wide.scatter(-1, first[..., None], -torch.inf)
    log_prob = log_prob + masked.log_softmax(-1).gather(-1, second[..., None])[..., 0]
    reward = REWARD[task, first, second]
    # the estimates side by side are tasks of one call: the mean over tasks is n times too small
    loss = reinforce(
        log_prob.transpose(0, 1).reshape(SAMPLES, -1),
        reward.transpose(0, 1).reshape(SAMPLES, -1),
        baseline=baseline,
        greedy_reward=greedy_reward.repeat(n) if baseline == "self-critical" else None,
    )
    (-n * loss).backward()
    return each.grad


@pytest.mark.parametrize("baseline", ["none", "leave-one-out", "self-critical"])
def test_the_estimate_is_unbiased(weights, baseline):
    found = estimates(weights, baseline, 20_000)
    truth = by_enumeration(weights)
    error = (found.mean(0) - truth) / (found.std(0) / math.sqrt(len(found)))
    # Bonferroni: every coordinate at ERROR_RATE / coordinates, two-sided
    bound = torch.distributions.Normal(0.0, 1.0).icdf(
        torch.tensor(1 - ERROR_RATE / (2 * truth.numel()))
    )
    assert error.abs().max() < bound
    assert truth.abs().max() > 0.01  # there is something to estimate


def test_a_wrong_estimate_would_be_caught(weights):
    """The power of the test above: a baseline that knows the action is biased, and is seen."""
    found = estimates(weights, "none", 20_000)
    truth = by_enumeration(weights)
    error = (0.5 * found.mean(0) - truth) / (0.5 * found.std(0) / math.sqrt(len(found)))
    assert error.abs().max() > 6


def test_both_baselines_take_variance_away(weights):
    variance = {
        name: float(estimates(weights, name, 4_000).var(0).sum())
        for name in ("none", "leave-one-out", "self-critical")
    }
    assert variance["leave-one-out"] < variance["none"] / 50  # rewards lie near 5.5
    assert variance["self-critical"] < variance["none"] / 50


def test_no_gradient_flows_through_the_reward():
    log_prob = torch.zeros(2, 1, requires_grad=True)
    reward = torch.tensor([[1.0], [3.0]], requires_grad=True)
    reinforce(log_prob, reward).backward()
    assert reward.grad is None
    assert log_prob.grad.tolist() == [[1.0], [-1.0]]


def test_what_a_baseline_lacks_is_said():
    one = torch.zeros(1, 3)
    with pytest.raises(ConfigError, match="at least 2 samples"):
        reinforce(one, one)
    with pytest.raises(ConfigError, match="greedy_reward"):
        reinforce(one, one, baseline="self-critical")
