"""Meta-training of the encoder: its loss by a slow loop, its schedule, and that it learns."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from warmstart.core.types import Histories
from warmstart.meta.encoder import meta_train, outer_loss
from warmstart.meta.episodes import draw_episodes
from warmstart.meta.outer import one_cycle
from warmstart.meta.settings import OuterConfig
from warmstart.models.set_encoder import SetEncoder


@pytest.fixture
def likes():
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 2, 120)
    chance = np.where(np.arange(24) % 2 == taste[:, None], 0.6, 0.05)
    found = (rng.random((120, 24)) < chance).astype(np.float32)
    found[:, 0] = 1
    return sp.csr_array(found)


def encoder_of(likes):
    torch.manual_seed(0)
    share = np.asarray(likes.sum(axis=0)).ravel() + 1
    bias = torch.from_numpy(np.log(share / share.sum()).astype(np.float32))
    return SetEncoder(bias, hidden_dim=16, embedding_dim=8, dropout=0.0)


def test_the_outer_loss_is_a_weighted_softmax_over_what_is_not_in_the_support(likes):
    encoder = encoder_of(likes).eval()
    with torch.no_grad():
        encoder.items.mul_(20)
    episodes = draw_episodes(likes, np.arange(20), np.random.default_rng(3), max_shots=4)
    rng = np.random.default_rng(0)
    found = float(outer_loss(encoder, episodes, OuterConfig(), rng).detach())
    logits = (encoder(episodes.support) @ encoder.items.T + encoder.bias).detach().numpy()
    total, weights = 0.0, 0.0
    for user in range(20):
        own = episodes.support.items[slice(*episodes.support.indptr[user : user + 2])]
        row = logits[user].astype(float)
        row[own] = -np.inf
        log_share = row - np.log(np.exp(row).sum())
        asked = episodes.query[[user]].indices
        total -= log_share[asked].sum() / np.sqrt(len(asked))
        weights += np.sqrt(len(asked))
    assert found == pytest.approx(total / weights, rel=1e-4)


def test_a_sampled_softmax_comes_close_to_the_whole_one(likes):
    encoder = encoder_of(likes).eval()
    episodes = draw_episodes(likes, np.arange(60), np.random.default_rng(3), max_shots=0)

    def loss(config, seed):
        return float(outer_loss(encoder, episodes, config, np.random.default_rng(seed)).detach())

    whole = loss(OuterConfig(), 0)
    config = OuterConfig(sampled_items=20)  # fewer than the 24 there are
    draws = [loss(config, seed) for seed in range(200)]
    # each positive is added to ten draws, so that the sum over items is a little too large
    assert np.mean(draws) == pytest.approx(whole, abs=0.15)


def test_the_step_size_rises_and_falls_to_zero():
    sizes = [one_cycle(t / 100) for t in range(101)]
    assert sizes[0] == pytest.approx(0.04)
    assert np.argmax(sizes) == 10
    assert max(sizes) == pytest.approx(1.0)
    assert (np.diff(sizes[10:]) <= 0).all()
    assert sizes[-1] == pytest.approx(0, abs=1e-12)


def test_training_learns_the_planted_taste_and_keeps_the_best_weights(likes):
    encoder, marks = encoder_of(likes), []

    def draw(rng, size):
        return draw_episodes(likes, rng.choice(120, size, replace=False), rng, max_shots=5)

    three = Histories(np.array([0, 3]), np.array([2, 8, 14], np.int32), np.ones(3, np.float32))

    def validate(model):
        with torch.no_grad():
            scores = (model(three) @ model.items.T + model.bias)[0]
        marks.append(float(scores[4::2].mean() - scores[1::2].mean()))
        return marks[-1]

    before = encoder.state_dict()["items"].clone()
    config = OuterConfig(epochs=100, batch_size=60, outer_lr=0.02, checks=2)
    trained = meta_train(
        encoder, draw, 120, config, rng=np.random.default_rng(0), validate=validate
    )
    assert not torch.equal(before, trained.items)
    assert max(marks) > 1.0  # films of one taste are apart from those of the other
    assert validate(trained) == pytest.approx(max(marks))
