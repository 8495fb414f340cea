"""Nothing is different in an A/A split: how often our own tests say otherwise.

The unit is the task's user (or the ad): several tasks of one user share the user's taste, and rows
that pass for independent ones find differences where there are none.
"""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.evaluation import bootstrap_interval, holm, metrics, paired_permutation

EXPERIMENTS = 1_000


@pytest.fixture(scope="module")
def experiments():
    """A/A: (experiments, tasks) differences of two methods alike, 60 users of 1 to 9 tasks.

    Two thirds of the variance is the user's own, as when a method suits some users by chance.
    """
    rng = np.random.default_rng(11)
    users = np.repeat(np.arange(60), rng.integers(1, 10, 60))
    own = rng.normal(0, np.sqrt(2), (EXPERIMENTS, 60))[:, users]
    return users, own + rng.standard_t(5, (EXPERIMENTS, len(users))) * np.sqrt(3 / 5)


def permuted(differences, clusters):
    nothing = np.zeros(differences.shape[1])
    return np.array(
        [
            paired_permutation(d, nothing, seed=s, clusters=clusters, resamples=400)
            for s, d in enumerate(differences)
        ]
    )


def test_clustered_permutation_gives_five_percent_of_false_alarms(experiments):
    users, differences = experiments
    share = (permuted(differences, users) < 0.05).mean()
    # the standard error of the share is .007
    assert 0.03 <= share <= 0.07


def test_rows_that_pass_for_tasks_give_too_many(experiments):
    users, differences = experiments
    assert (permuted(differences[:300], None) < 0.05).mean() > 0.2
    ends = [bootstrap_interval(d, resamples=400) for d in differences[:300]]
    low, high = np.array(ends).T
    assert ((low > 0) | (high < 0)).mean() > 0.2
    assert len(np.unique(users)) < len(users)


def test_clustered_intervals_exclude_nothing_five_times_in_a_hundred(experiments):
    users, differences = experiments
    ends = [
        bootstrap_interval(d, seed=s, clusters=users, resamples=600)
        for s, d in enumerate(differences)
    ]
    low, high = np.array(ends).T
    share = ((low > 0) | (high < 0)).mean()
    assert 0.03 <= share <= 0.07


def test_two_rankers_that_know_nothing_differ_by_chance_alone():
    """From lists over nDCG to p: 25 users in three splits, a ranker's list drawn once a user."""
    rng, n_items, alarms, naive = np.random.default_rng(5), 30, 0, 0
    users = np.tile(np.arange(25), 3)
    for number in range(600):
        wanted = (rng.random((25, n_items)) < 0.2) | (np.arange(n_items) == number % n_items)
        relevant = sp.csr_array(wanted.astype(np.float32)[users])
        sides = []
        for _ in range(2):
            lists = rng.random((25, n_items)).argsort(axis=1)[:, :10]
            sides.append(metrics.ndcg(lists[users], relevant, 10))
        alarms += paired_permutation(*sides, seed=number, clusters=users, resamples=400) < 0.05
        naive += paired_permutation(*sides, seed=number, resamples=400) < 0.05
    assert 0.03 <= alarms / 600 <= 0.07  # the standard error is .009
    assert naive / 600 > 0.15


def test_ads_are_clusters_as_well_as_users():
    """Clicks of 40 ads under two models that are alike: log losses of the impressions of an ad."""
    rng, alarms = np.random.default_rng(8), 0
    ads = np.repeat(np.arange(40), rng.integers(5, 60, 40))
    for number in range(500):
        rate = rng.beta(2, 6, 40)
        clicks = rng.random(len(ads)) < rate[ads]
        losses = []
        for _ in range(2):
            guess = np.clip(rate * np.exp(rng.normal(0, 0.4, 40)), 0.01, 0.99)[ads]
            losses.append(-np.where(clicks, np.log(guess), np.log1p(-guess)))
        alarms += paired_permutation(*losses, seed=number, clusters=ads, resamples=400) < 0.05
    assert 0.03 <= alarms / 500 <= 0.07


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_that_of_statsmodels(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(seed)
    p = rng.random(rng.integers(1, 40)) ** rng.integers(1, 6)
    if seed % 2:
        p = np.round(p, 1)  # ties, zeros and ones
    _, expected, _, _ = multitest.multipletests(p, method="holm")
    np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_holm_keeps_the_chance_of_any_false_alarm():
    rng = np.random.default_rng(3)
    p = rng.random((2_000, 12))
    assert 0.035 <= np.mean([holm(row).min() < 0.05 for row in p]) <= 0.065
    assert (p.min(axis=1) < 0.05).mean() > 0.4
