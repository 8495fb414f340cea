"""The closed form against plain Gaussian conditioning, one user at a time."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.core.types import Histories
from warmstart.meta.belief import BeliefConfig, learn_belief, observation_weights, posterior

CONFIG = BeliefConfig()


@pytest.fixture(scope="module")
def likes():
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 3, 200)
    chance = np.where(np.arange(30) % 3 == taste[:, None], 0.5, 0.08)
    return sp.csr_array((rng.random((200, 30)) < chance).astype(np.float32))


@pytest.fixture(scope="module")
def users():
    lists = [[], [4], [4, 7, 1], [2, 5, 8, 11], [29]]
    values = np.ones(9, np.float32)
    values[3], values[8] = -1.0, -0.5  # a dislike among likes, and a dislike alone
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    return Histories(indptr, np.concatenate([np.array(i, np.int32) for i in lists]), values)


def test_the_prior_is_the_weighted_mean_and_covariance(likes):
    belief = learn_belief(likes, CONFIG)
    dense = likes.toarray().astype(float)
    weight = np.where(dense.sum(axis=1) > 0, 1 / np.maximum(dense.sum(axis=1), 1), 0)
    np.testing.assert_allclose(belief.mean, np.average(dense, axis=0, weights=weight), rtol=1e-5)
    covariance = np.cov(dense.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(belief.covariance, covariance, atol=1e-6)
    np.testing.assert_allclose(belief.variance, np.diag(covariance), atol=1e-6)
    weight = weight / weight.sum()
    assert belief.effective_users == pytest.approx(1 / (weight**2).sum())


def test_the_posterior_is_gaussian_conditioning(likes, users):
    belief = learn_belief(likes, CONFIG)
    found = observation_weights(users, belief, CONFIG) @ belief.covariance + belief.mean
    covariance = belief.covariance.astype(float)
    for user in range(len(users)):
        a, b = users.indptr[user : user + 2]
        items, values = users.items[a:b], users.values[a:b]
        said = np.where(values > 0, values, -CONFIG.dislike * values)
        noise = (
            CONFIG.noise / belief.effective_users + CONFIG.relative_noise * belief.variance[items]
        )
        seen = covariance[np.ix_(items, items)] + np.diag(noise)
        moved = covariance[:, items] @ np.linalg.inv(seen) @ (said - belief.mean[items])
        np.testing.assert_allclose(found[user], belief.mean + moved, atol=1e-5)


def test_mean_and_spread_are_those_of_gaussian_conditioning(likes, users):
    belief = learn_belief(likes, CONFIG)
    mean, spread = posterior(users, belief, CONFIG)
    expected = observation_weights(users, belief, CONFIG) @ belief.covariance + belief.mean
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    covariance = belief.covariance.astype(float)
    for user in range(len(users)):
        items = users.items[slice(*users.indptr[user : user + 2])]
        noise = CONFIG.noise / belief.effective_users + belief.variance[items]
        seen = covariance[np.ix_(items, items)] + np.diag(noise)
        left = covariance - covariance[:, items] @ np.linalg.inv(seen) @ covariance[items]
        np.testing.assert_allclose(spread[user], np.sqrt(np.diag(left)), atol=1e-4)
    np.testing.assert_allclose(spread[0], np.sqrt(belief.variance), rtol=1e-6)


def test_sparse_and_dense_rows_of_one_covariance_give_the_same_spread(likes, users):
    sparse = learn_belief(likes, CONFIG, neighbours=30)
    dense = replace(sparse, covariance=sparse.covariance.toarray())
    for found, expected in zip(
        posterior(users, sparse, CONFIG), posterior(users, dense, CONFIG), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_events_the_posterior_is_the_prior(likes):
    belief = learn_belief(likes, CONFIG)
    assert observation_weights(Histories.empty(3), belief, CONFIG).nnz == 0


def test_a_dislike_moves_the_other_way_than_a_like(likes):
    belief = learn_belief(likes, CONFIG)

    def after(value):
        one = Histories(np.array([0, 1]), np.array([3], np.int32), np.array([value], np.float32))
        return (observation_weights(one, belief, CONFIG) @ belief.covariance)[0]

    alike = np.argsort(-belief.covariance[3])[1:5]
    assert (after(1.0)[alike] > 0).all()
    assert (after(-1.0)[alike] < 0).all()


def test_sparse_rows_that_keep_everything_change_nothing(likes, users):
    dense, kept = learn_belief(likes, CONFIG), learn_belief(likes, CONFIG, neighbours=30)
    assert sp.issparse(kept.covariance)
    exact = observation_weights(users, dense, CONFIG).toarray()
    close = observation_weights(users, kept, CONFIG).toarray()
    never = (likes.T @ likes).toarray() == 0  # pairs that nobody has are left out of sparse rows
    assert not never[np.ix_([4, 7, 1, 2, 5, 8, 11, 29], [4, 7, 1, 2, 5, 8, 11, 29])].any()
    np.testing.assert_allclose(close, exact, atol=1e-5)


def test_truncated_rows_hold_the_largest_covariances(likes):
    dense = learn_belief(likes, CONFIG).covariance
    kept = learn_belief(likes, CONFIG, neighbours=6).covariance
    for item in range(30):
        row = kept[[item]].tocoo()
        np.testing.assert_allclose(np.sort(row.data), np.sort(dense[item])[-6:], atol=1e-6)


def test_only_the_last_events_of_a_very_long_history_are_solved(likes):
    belief, config = learn_belief(likes, CONFIG), BeliefConfig(max_solve=3)
    items = np.arange(8, dtype=np.int32)
    whole = Histories(np.array([0, 8]), items, np.ones(8, np.float32))
    last = Histories(np.array([0, 3]), items[-3:], np.ones(3, np.float32))
    np.testing.assert_allclose(
        observation_weights(whole, belief, config).toarray(),
        observation_weights(last, belief, config).toarray(),
    )
