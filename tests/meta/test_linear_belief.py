"""The belief about one user's answers against batch regression, a slow loop and planted truth."""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.meta.linear_belief import (
    LinearBeliefConfig,
    LinearPrior,
    Posterior,
    learn_ratings,
    learn_seen,
)

N_ITEMS, DIM = 12, 3


@pytest.fixture
def prior():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(DIM, DIM))
    arrays = (
        rng.normal(size=N_ITEMS), rng.normal(size=(N_ITEMS, DIM)), rng.normal(size=DIM),
        root @ root.T + np.eye(DIM), rng.uniform(0.5, 2, N_ITEMS),
    )  # fmt: skip
    return LinearPrior(*(array.astype(np.float32) for array in arrays))


def test_answers_one_by_one_are_bayesian_regression_on_all_of_them(prior):
    rng, n_users = np.random.default_rng(1), 5
    items = np.array([rng.permutation(N_ITEMS)[:6] for _ in range(n_users)])
    values, heard = rng.normal(size=items.shape), rng.random(items.shape) < 0.6
    belief = prior.start(n_users)
    for step in range(items.shape[1]):
        belief = prior.told(belief, items[:, step], values[:, step], heard[:, step])
    before = np.linalg.inv(prior.covariance)
    for user in range(n_users):
        at = items[user, heard[user]]
        f, noise = prior.factors[at], prior.noise[at]
        covariance = np.linalg.inv(before + f.T @ (f / noise[:, None]))
        wrong = values[user, heard[user]] - prior.offset[at]
        mean = covariance @ (before @ prior.mean + f.T @ (wrong / noise))
        np.testing.assert_allclose(belief.covariance[user], covariance, atol=1e-4)
        np.testing.assert_allclose(belief.mean[user], mean, atol=1e-4)


def test_the_gain_is_how_much_the_trace_falls_when_the_answer_comes(prior):
    rng = np.random.default_rng(2)
    target = prior.second_moment(rng.random(N_ITEMS))
    belief = prior.told(prior.start(2), np.array([3, 7]), np.array([1.0, -1.0]))
    found = prior.gain(belief, target)
    for item in range(N_ITEMS):
        after = prior.told(belief, np.full(2, item), np.zeros(2))
        fall = np.einsum("ude,ed->u", belief.covariance - after.covariance, target)
        np.testing.assert_allclose(found[:, item], fall, rtol=1e-3, atol=1e-5)


def test_variance_and_expectation_are_those_of_draws(prior):
    rng = np.random.default_rng(3)
    belief = prior.told(prior.start(1), np.array([0]), np.array([2.0]))
    drawn = rng.multivariate_normal(belief.mean[0], belief.covariance[0], 200_000)
    values = drawn @ prior.factors.T + prior.offset
    np.testing.assert_allclose(prior.expected(belief)[0], values.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(prior.variance(belief)[0], values.var(axis=0), rtol=0.03)


def test_who_says_nothing_stays_as_they_are(prior):
    begun = prior.start(2)
    belief = prior.told(begun, np.array([1, 2]), np.array([9.0, 9.0]), np.array([False, False]))
    assert isinstance(belief, Posterior)
    np.testing.assert_array_equal(belief.mean, begun.mean)
    np.testing.assert_array_equal(belief.covariance, begun.covariance)


def planted(n_users=500, n_items=60, seed=4):
    """Ratings of low rank and noise of variance 0.25, a third of them seen."""
    rng = np.random.default_rng(seed)
    factors = np.column_stack([np.ones(n_items), rng.normal(0, 0.7, (n_items, 2))])
    users = rng.normal(0, [0.4, 1, 1], (n_users, 3))
    values = 3 + rng.normal(0, 0.5, n_items) + users @ factors.T
    values += rng.normal(0, 0.5, values.shape)
    return values, rng.random(values.shape) < 1 / 3


def test_learned_ratings_predict_new_users_nearly_as_well_as_the_truth():
    values, seen = planted()
    rows, columns = np.nonzero(seen[:400])
    train = sp.csr_array((values[:400][rows, columns], (rows, columns)), shape=(400, 60))
    prior = learn_ratings(train, LinearBeliefConfig(dim=3, reg=2.0))
    assert (prior.factors[:, 0] == 1).all()
    assert 0.2 < prior.noise.mean() < 0.45  # 0.25, and what is not known of the items
    belief, new = prior.start(100), np.arange(400, 500)
    for item in range(0, 60, 2):
        belief = prior.told(belief, np.full(100, item), values[new, item], np.ones(100, bool))
    error = (values[new] - prior.expected(belief))[:, 1::2]
    plain = values[new][:, 1::2] - prior.expected(prior.start(100))[:, 1::2]
    assert np.sqrt(np.square(error).mean()) < 0.65  # the noise alone is 0.5
    assert np.sqrt(np.square(plain).mean()) > 1.0


def test_what_is_met_is_learned_with_chances_that_are_chances():
    rng = np.random.default_rng(5)
    kind = rng.random(400) < 0.5
    chance = np.where(kind[:, None], [0.6] * 10 + [0.05] * 10, [0.05] * 10 + [0.6] * 10)
    met = rng.random((400, 20)) < chance
    prior = learn_seen(sp.csr_array(met.astype(float)), LinearBeliefConfig(seen_dim=2))
    np.testing.assert_allclose(prior.offset, (met.sum(axis=0) + 0.5) / 401, rtol=1e-5)
    belief = prior.start(1)
    for item in (0, 1, 2):
        belief = prior.told(belief, np.array([item]), np.array([1.0]))
    found = prior.expected(belief)[0]
    assert found[3:10].min() > found[10:].max() + 0.1
    assert (prior.noise > 0).all()


def test_no_ratings_and_one_item_are_no_obstacle():
    empty = learn_ratings(sp.csr_array((3, 2)), LinearBeliefConfig(dim=2))
    assert np.isfinite(np.concatenate([empty.offset, empty.noise, empty.mean])).all()
    one = learn_seen(sp.csr_array(np.ones((3, 1))), LinearBeliefConfig())
    assert one.factors.shape == (1, 8)
    assert np.isfinite(one.noise).all()
