"""The set encoder: what must not matter does not, and NumPy serves what torch has trained."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from warmstart.core.types import Histories
from warmstart.models.set_encoder import SetEncoder
from warmstart.recommenders.training import _ensemble

N = 12


def encoder_of(seed, *, signed=True, features=3):
    torch.manual_seed(seed)
    encoder = SetEncoder(
        torch.linspace(-4, -1, N),
        n_features=features,
        hidden_dim=10,
        embedding_dim=4,
        signed=signed,
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return encoder.eval()


@pytest.fixture
def users():
    features = sp.csr_array(np.array([[1, 0, 0], [0, 0.5, 1], [0, 0, 0]], np.float32))
    values = np.array([1, 0.5, -1, 1], np.float32)
    items = np.array([3, 5, 1, 7], np.int32)
    return Histories(np.array([0, 3, 4, 4]), items, values, features=features)


def test_the_order_of_events_does_not_matter(users):
    encoder = encoder_of(0)
    turned = Histories(
        users.indptr, users.items[[2, 0, 1, 3]], users.values[[2, 0, 1, 3]], features=users.features
    )
    torch.testing.assert_close(encoder(turned), encoder(users))


def test_a_dislike_is_another_event_than_a_like(users):
    encoder = encoder_of(0)
    liked = Histories(users.indptr, users.items, np.abs(users.values), features=users.features)
    changed = (encoder(liked) - encoder(users)).abs().amax(dim=1) > 1e-4
    assert changed.tolist() == [True, False, False]


def test_dropout_is_for_training_alone(users):
    encoder = encoder_of(0)
    torch.testing.assert_close(encoder(users), encoder(users))
    encoder.train()
    assert not torch.equal(encoder(users), encoder(users))


def test_hidden_features_make_users_alike(users):
    encoder = encoder_of(0)
    encoder.dropout, encoder.feature_dropout = 0.0, 1.0
    nobody = Histories.empty(3, users.features)
    encoder.train()
    hidden = encoder(nobody)
    torch.testing.assert_close(hidden[0], hidden[1])
    encoder.eval()
    told = encoder(nobody)
    assert not torch.allclose(told[0], told[1])


@pytest.mark.parametrize(("signed", "features"), [(True, 3), (False, 3), (True, 0), (False, 0)])
def test_numpy_serves_the_mean_of_the_torch_encoders(users, signed, features):
    members = [encoder_of(seed, signed=signed, features=features) for seed in (1, 2, 3)]
    if not signed:
        users = Histories(users.indptr, users.items, np.abs(users.values), features=users.features)
    served = _ensemble(members)
    found = served.queries(users) @ served.items.T + served.bias
    expected = torch.stack([e(users) @ e.items.T + e.bias for e in members]).mean(dim=0)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-4)
