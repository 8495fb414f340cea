import itertools

import numpy as np
import pytest

from warmstart.core.errors import ConfigError
from warmstart.evaluation import bootstrap_interval, holm, paired_permutation, worth_it


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.beta(1, 3, (80, 400))  # 400 experiments of 80 skewed values with mean 1/4
    low, high = bootstrap_interval(draws, resamples=1000)
    covered = ((low <= 0.25) & (high >= 0.25)).mean()
    # percentile intervals of skewed data cover a little less than 95 %; the standard error of
    # the share is .011, so this fails by accident about once in ten thousand seeds
    assert 0.895 <= covered <= 0.985


def test_the_interval_equals_the_normal_one_for_many_values():
    values = np.random.default_rng(1).normal(2, 3, 5000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_chunks_change_nothing_but_memory(monkeypatch):
    values = np.random.default_rng(1).random((50, 2))
    whole = bootstrap_interval(values, resamples=300)
    monkeypatch.setattr("warmstart.evaluation.significance._ROOM", 50 * 7)
    np.testing.assert_allclose(bootstrap_interval(values, resamples=300), whole)


def test_copies_of_a_user_do_not_narrow_the_interval():
    values = np.random.default_rng(2).random(60)
    once = bootstrap_interval(values)
    copies = np.repeat(values, 3), np.repeat(np.arange(60), 3)
    np.testing.assert_allclose(bootstrap_interval(copies[0], clusters=copies[1]), once)
    alone = bootstrap_interval(copies[0])
    assert alone[1] - alone[0] < 0.7 * (once[1] - once[0])


def test_the_permutation_test_errs_as_often_as_it_says():
    rng = np.random.default_rng(3)
    differences = rng.standard_t(4, (400, 40))  # the null holds in every one
    null = np.zeros(40)
    p = [paired_permutation(d, null, seed=s, resamples=400) for s, d in enumerate(differences)]
    # 20 of 400 expected at .05; outside 7 … 36 about once in five thousand seeds
    assert 7 <= sum(np.array(p) < 0.05) <= 36


def test_the_permutation_test_equals_all_sign_flips():
    d = np.array([0.3, 0.1, -0.05, 0.4, 0.2, 0.15])
    sums = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=6)]
    exact = np.mean(np.array(sums) >= abs(d.sum()) - 1e-12)
    assert paired_permutation(d, np.zeros(6), resamples=40_000) == pytest.approx(exact, abs=0.004)


def test_a_clear_difference_is_found_and_equal_methods_are_not():
    rng = np.random.default_rng(0)
    a = rng.random(300)
    assert paired_permutation(a + 0.05, a, resamples=999) == pytest.approx(1 / 1000)
    assert paired_permutation(a, a) == 1
    users = np.repeat(np.arange(3), 100)  # only three users: eight sign patterns, p at least 1/4
    assert paired_permutation(a + 0.05, a, clusters=users) > 0.2


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 by 4 3 2 1 → .02 .03 .06 .04, made monotone → .02 .03 .06 .06
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])
    assert holm(np.array([])).tolist() == []


def test_refuses_unpaired_values_and_odd_levels():
    with pytest.raises(ConfigError, match="3 and 2"):
        paired_permutation(np.ones(3), np.ones(2))
    with pytest.raises(ConfigError, match="95"):
        bootstrap_interval(np.ones(3), level=95)


def test_a_change_is_worth_it_as_rarely_by_chance_as_the_level_says():
    rng = np.random.default_rng(5)
    base, noise = rng.random((400, 60)), rng.normal(0, 0.1, (400, 60))
    by_chance = np.mean([worth_it(b, b + e) for b, e in zip(base, noise, strict=True)])
    assert by_chance <= 0.05  # 2.5 % on the upper side; the standard error of the share is .008
    truly = np.mean([worth_it(b, b + e + 0.06) for b, e in zip(base, noise, strict=True)])
    assert truly > 0.95  # the gain is 4.6 standard errors
    with pytest.raises(ConfigError, match="same tasks"):
        worth_it(base[0], base[0][1:])


def test_copies_of_a_user_do_not_make_a_change_worth_it():
    base = np.zeros(5)
    gain = np.array([0.2, -0.1, 0.15, -0.1, 0.2])
    many = np.repeat(np.arange(5), 100)
    assert worth_it(base[many], gain[many])
    assert not worth_it(base[many], gain[many], clusters=many)
