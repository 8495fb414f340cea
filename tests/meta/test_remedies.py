"""Remedies in the outer loss: what likes and tasks weigh, and that the loss heeds it."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from warmstart.meta.encoder import outer_loss
from warmstart.meta.episodes import Episodes, draw_episodes
from warmstart.meta.remedies import propensity_weights, tilted
from warmstart.meta.settings import OuterConfig
from warmstart.models.set_encoder import SetEncoder


def test_a_like_weighs_the_inverse_of_its_propensity():
    counts = np.array([4.0, 100.0, 400.0])
    weights = propensity_weights(counts, 0.5)
    assert weights[0] / weights[1] == pytest.approx(5.0, rel=1e-5)
    assert weights[1] / weights[2] == pytest.approx(2.0, rel=1e-5)
    assert counts @ weights / counts.sum() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_array_equal(propensity_weights(counts, 0.0), 1)
    rare = propensity_weights(np.array([1.0, 1e6]), 1.0)
    assert rare[0] <= 21  # cut off at 10 before the mean is 1 again, and not a million


def test_the_worst_group_weighs_most_and_equal_groups_alike():
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 3_000)
    groups = sp.csr_array(np.eye(3, dtype=np.float32)[which])
    losses = rng.normal(0, 1, 3_000)
    even = tilted(groups, losses, 5.0)
    assert even.mean() == pytest.approx(1, rel=1e-5)
    assert even.max() / even.min() < 1.7  # 5 × the difference of two means of 1,000
    worse = tilted(groups, losses + 0.5 * (which == 2), 5.0)
    of_group = [worse[which == g][0] for g in range(3)]
    assert of_group[2] > 4 * max(of_group[:2])
    np.testing.assert_array_equal(tilted(groups, losses, 0.0), 1)


def test_a_task_without_a_group_weighs_one_and_a_small_group_little_more():
    losses = np.zeros(201)
    losses[200] = 5.0
    groups = np.zeros((201, 2), np.float32)
    groups[:100, 0] = 1
    groups[200, 1] = 1  # alone, and served badly by chance
    weights = tilted(sp.csr_array(groups), losses, 1.0)
    assert weights[150] / weights[0] == pytest.approx(1.0, abs=0.1)
    assert weights[200] / weights[150] < 4
    alone = np.exp((5 - losses.mean()) / losses.std())  # what it would weigh without shrinking
    assert alone > 1e4


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    likes = sp.csr_array((rng.random((40, 15)) < 0.4).astype(np.float32))
    groups = sp.csr_array(np.eye(2, dtype=np.float32)[np.arange(40) % 2])
    torch.manual_seed(0)
    encoder = SetEncoder(torch.zeros(15), hidden_dim=8, embedding_dim=4, dropout=0.0).eval()
    with torch.no_grad():
        encoder.items.mul_(30)
    episodes = draw_episodes(likes, np.arange(40), rng, max_shots=3, groups=groups)
    return encoder, episodes


def loss(encoder, episodes, **settings):
    rng = np.random.default_rng(0)
    return float(outer_loss(encoder, episodes, OuterConfig(), rng, **settings).detach())


def slowly(encoder, episodes):
    """(tasks, items) minus the log share of each asked item, 0 elsewhere."""
    logits = (encoder(episodes.support) @ encoder.items.T + encoder.bias).detach().numpy()
    out = np.zeros(logits.shape)
    for user in range(len(out)):
        row = logits[user].astype(float)
        row[episodes.support.items[slice(*episodes.support.indptr[user : user + 2])]] = -np.inf
        asked = episodes.query[[user]].indices
        out[user, asked] = np.log(np.exp(row).sum()) - row[asked]
    return out


def test_weights_of_likes_enter_the_outer_loss_event_by_event(case):
    encoder, episodes = case
    counts, surprise = np.diff(episodes.query.indptr), slowly(encoder, episodes)
    worth = np.linspace(0.5, 2, 15).astype(np.float32)
    expected = ((surprise @ worth) / np.sqrt(counts)).sum() / np.sqrt(counts).sum()
    assert loss(encoder, episodes, like_weight=worth) == pytest.approx(expected, rel=1e-4)
    ones = np.ones(15, np.float32)
    assert loss(encoder, episodes, like_weight=ones) == pytest.approx(loss(encoder, episodes))


def test_a_tilted_loss_weighs_tasks_by_their_group(case):
    encoder, episodes = case
    counts, surprise = np.diff(episodes.query.indptr), slowly(encoder, episodes).sum(axis=1)
    weights = tilted(episodes.groups, surprise / counts, 20.0)
    assert weights.max() / weights.min() > 1.5
    expected = (weights * surprise / np.sqrt(counts)).sum() / np.sqrt(counts).sum()
    assert loss(encoder, episodes, group_tilt=20.0) == pytest.approx(expected, rel=1e-4)
    without = Episodes(episodes.support, episodes.query)
    assert loss(encoder, without, group_tilt=20.0) == loss(encoder, episodes)
