"""Off-policy estimates against enumeration, hand-computed numbers and simulated logs."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.onboarding.ope import CAMPAIGNS, OpenBandit, campaign_rows

from warmstart.core.errors import ConfigError, DataError
from warmstart.evaluation.ope import (
    Impressions,
    doubly_robust,
    fold_rates,
    ips,
    logged,
    snips,
    verdict,
)

SHOWN = np.array([0.5, 0.3, 0.2])  # what the log shows
JUDGED = np.array([0.1, 0.2, 0.7])
RATES = np.array([0.2, 0.5, 0.9])


def every_log(n):
    """Yield every possible log of n impressions: its probability, actions and clicks."""
    for actions in itertools.product(range(3), repeat=n):
        for clicks in itertools.product((0.0, 1.0), repeat=n):
            a, r = np.array(actions), np.array(clicks)
            chance = np.prod(SHOWN[a] * np.where(r == 1, RATES[a], 1 - RATES[a]))
            yield chance, a, r


@pytest.mark.parametrize("wrong", [0.0, 0.4])
def test_ips_and_doubly_robust_are_unbiased_over_every_possible_log(wrong):
    model = np.array([0.1, 0.9, 0.3]) * wrong  # a bad model may not bias the doubly robust
    total = by_ips = by_dr = 0.0
    for chance, a, r in every_log(3):
        log = Impressions(r, SHOWN[a])
        total += chance
        by_ips += chance * ips(log, JUDGED[a]).value
        expected = np.full(3, JUDGED @ model)
        by_dr += chance * doubly_robust(log, JUDGED[a], model[a], expected).value
    assert total == pytest.approx(1)
    assert by_ips == pytest.approx(JUDGED @ RATES)
    assert by_dr == pytest.approx(JUDGED @ RATES)


def test_the_doubly_robust_needs_no_right_propensities_if_its_model_is_right():
    value = 0.0
    for chance, a, r in every_log(3):
        log = Impressions(r, np.full(3, 0.9))
        value += chance * doubly_robust(log, JUDGED[a], RATES[a], np.full(3, JUDGED @ RATES)).value
    assert value == pytest.approx(JUDGED @ RATES)


def test_values_agree_with_those_computed_by_hand():
    log = Impressions(np.array([1.0, 0, 2, 1]), np.array([0.5, 0.25, 0.5, 1.0]))
    target = np.array([0.25, 0.5, 1.0, 0.0])  # weights 1/2, 2, 2, 0
    assert logged(log).value == 1.0
    assert ips(log, target).value == pytest.approx((0.5 + 4) / 4)
    assert snips(log, target).value == pytest.approx(4.5 / 4.5)
    found = doubly_robust(log, target, np.array([1.0, 1, 1, 0]), np.array([1.0, 1, 0, 0]))
    assert found.value == pytest.approx((1 + (1 - 2) + 2 + 0) / 4)
    assert found.effective == pytest.approx(4.5**2 / (0.25 + 4 + 4))
    assert found.mean_weight == pytest.approx(4.5 / 4)
    # terms .5 0 4 0: gaps -.625 -1.125 2.875 -1.125
    squares, fourths = 0.625**2 + 2 * 1.125**2 + 2.875**2, 0.625**4 + 2 * 1.125**4 + 2.875**4
    assert ips(log, target).events == pytest.approx(squares**2 / fourths)


def test_without_skewness_the_interval_is_students():
    rewards = np.repeat([0.0, 1.0], 50)
    found = logged(Impressions(rewards, np.ones(100)))
    half = 1.9842 * rewards.std(ddof=1) / 10  # t with 99 degrees of freedom
    assert (found.ci_low, found.ci_high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)


def drawn(rng, n, target, rates, per_user=1):
    """Return a log of a random policy and its actions; a user's clicks come together."""
    a = rng.integers(0, len(target), n)
    user = np.repeat(np.arange(n // per_user), per_user)
    mood = rng.gamma(2, 0.5, n // per_user)[user] if per_user > 1 else 1.0
    clicks = (rng.random(n) < rates[a] * mood).astype(float)
    return Impressions(clicks, np.full(n, 1 / len(target)), user if per_user > 1 else None), a


@pytest.mark.parametrize("per_user", [1, 20])
def test_intervals_cover_the_truth_as_often_as_they_say(per_user):
    rng, n, runs = np.random.default_rng(per_user), 2000, 1500
    hits = {"IPS": 0, "SNIPS": 0, "DR": 0}
    for i in range(runs):
        if i % 50 == 0:
            target = rng.dirichlet(np.ones(10))
            rates = rng.uniform(0.01, 0.04, 10)  # some fifty clicks, unevenly weighted
        log, a = drawn(rng, n, target, rates, per_user)
        fold, q = fold_rates(log, a, 10, rng=rng)
        found = [ips(log, target[a]), snips(log, target[a])]
        found.append(doubly_robust(log, target[a], q[fold, a], (q @ target)[fold]))
        for e in found:
            hits[e.estimator] += e.ci_low <= target @ rates <= e.ci_high
    for name in ("IPS", "SNIPS", "DR"):
        assert 0.93 <= hits[name] / runs <= 0.97, name  # the standard error is .006


def test_users_widen_the_interval_as_copies_of_their_impressions_must():
    rng = np.random.default_rng(3)
    log, a = drawn(rng, 500, JUDGED, RATES)
    once = ips(log, JUDGED[a])
    four = Impressions(log.reward.repeat(4), log.propensity.repeat(4), np.arange(500).repeat(4))
    copied = ips(four, JUDGED[a].repeat(4))
    assert (copied.ci_low, copied.ci_high) == pytest.approx((once.ci_low, once.ci_high))
    assert copied.clusters == 500
    alone = ips(Impressions(four.reward, four.propensity), JUDGED[a].repeat(4))
    assert alone.ci_high - alone.ci_low < 0.55 * (once.ci_high - once.ci_low)


def test_a_policy_that_the_log_does_not_cover_is_told_by_the_mean_weight():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2, 5000)  # of three actions the log never shows the last
    log = Impressions((rng.random(5000) < RATES[a]).astype(float), np.full(5000, 0.5))
    assert ips(log, JUDGED[a]).mean_weight == pytest.approx(JUDGED[:2].sum(), abs=0.02)


def test_rates_of_a_fold_have_not_seen_it():
    rng = np.random.default_rng(1)
    user, cell = rng.integers(0, 40, 300), rng.integers(0, 4, 300)
    log = Impressions(rng.random(300), np.full(300, 0.25), user)
    fold, rates = fold_rates(log, cell, 5, rng=rng, folds=3, prior_events=2.0)
    assert all(len(np.unique(fold[user == u])) == 1 for u in np.unique(user))
    assert np.bincount(fold).min() > 0
    for out in range(3):
        mean = log.reward[fold != out].mean()
        for c in range(5):
            seen = log.reward[(fold != out) & (cell == c)]
            expected = (seen.sum() + 2.0) / (len(seen) + 2.0 / mean)
            assert rates[out, c] == pytest.approx(expected)


def test_the_gate_claims_nothing_from_little_data():
    rng = np.random.default_rng(5)
    log, a = drawn(rng, 300, JUDGED, RATES / 10)
    found = verdict(ips(log, JUDGED[a]).minus(logged(log)), effect=0.01)
    assert found.claim == "insufficient data"
    assert found.more > 300
    assert str(found).startswith("insufficient data: about ")
    silent = Impressions(np.zeros(300), np.full(300, 0.3))  # nobody clicked: nothing is known
    nothing = verdict(ips(silent, JUDGED[a]).minus(logged(silent)), effect=0.01)
    assert (nothing.claim, nothing.more) == ("insufficient data", 300 * 19)


@pytest.mark.parametrize(("effect", "judged"), [(0.03, JUDGED), (0.012, SHOWN[::-1])])
def test_so_many_more_impressions_as_the_gate_asks_for_settle_it(effect, judged):
    rng, rates = np.random.default_rng(6), np.array([0.08, 0.1, 0.12])

    def asked(n):
        a = rng.choice(3, n, p=SHOWN)
        log = Impressions((rng.random(n) < rates[a]).astype(float), SHOWN[a])
        difference = ips(log, judged[a]).minus(logged(log))
        return verdict(difference, effect=effect), difference

    wanted = [n + found.more for n in [1000] * 100 for found, _ in [asked(n)] if found.more]
    assert len(wanted) > 40
    n = int(np.median(wanted))
    widths = [d.ci_high - d.ci_low for _, d in (asked(n) for _ in range(200))]
    assert np.median(widths) == pytest.approx(effect, rel=0.15)
    settled = np.mean([asked(int(1.1 * n))[0].more == 0 for _ in range(200)])
    assert settled > 0.9
    # a true difference of nought or of the whole effect needs fewer; far fewer settle nothing
    assert np.mean([asked(n // 5)[0].more == 0 for _ in range(200)]) < 0.5


def test_the_gate_says_what_much_data_shows():
    rng = np.random.default_rng(7)

    def said(judged, effect):
        a = rng.choice(3, 40_000, p=SHOWN)
        log = Impressions((rng.random(40_000) < RATES[a]).astype(float), SHOWN[a])
        return str(verdict(ips(log, judged[a]).minus(logged(log)), effect=effect))

    assert said(JUDGED, 0.01) == "higher"
    assert said(np.array([1.0, 0, 0]), 0.01) == "lower"
    assert said(np.array([0.54, 0.23, 0.23]), 0.03) == "no difference as large as 0.03"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"propensity": np.array([0.5, 0.0])}, r"propensity of impression 1 is 0\.0"),
        ({"propensity": np.array([1.5, 1.0])}, r"propensity of impression 0 is 1\.5"),
        ({"reward": np.array([np.nan, 1.0])}, "reward of impression 0 is nan"),
        ({"propensity": np.ones(3)}, "propensity has 3 values for 2"),
        ({"reward": np.zeros(0), "propensity": np.zeros(0)}, "the log is empty"),
        ({"user": np.array(["a"])}, "user has 1 values for 2"),
    ],
)
def test_a_bad_log_is_refused(change, says):
    with pytest.raises(DataError, match=says):
        Impressions(**({"reward": np.ones(2), "propensity": np.ones(2)} | change))


def test_bad_requests_are_refused():
    log = Impressions(np.ones(2), np.ones(2))
    with pytest.raises(DataError, match=r"target of impression 1 is 2\.0"):
        ips(log, np.array([1.0, 2.0]))
    with pytest.raises(DataError, match="shows nothing of what the log shows"):
        snips(log, np.zeros(2))
    with pytest.raises(DataError, match="expected of impression 0 is inf"):
        doubly_robust(log, np.ones(2), np.array([np.inf, 1]), np.ones(2))
    with pytest.raises(DataError, match="cell of impression 1 is 3"):
        fold_rates(log, np.array([0, 3]), 3, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="folds must be at least 2"):
        fold_rates(log, np.array([0, 1]), 3, rng=np.random.default_rng(0), folds=1)
    with pytest.raises(ConfigError, match="level must lie between"):
        logged(log, level=95)
    with pytest.raises(ConfigError, match="effect must be a number above 0"):
        verdict(logged(log), effect=0)
    with pytest.raises(DataError, match="needs one log, got 2 and 3"):
        logged(log).minus(logged(Impressions(np.ones(3), np.ones(3))))


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_the_random_log_tells_what_thompson_sampling_earned(campaign):
    folder = Path(os.environ.get("WARMSTART_DATA", ".")) / "open-bandit-sample"
    if not folder.is_dir():
        pytest.skip("no WARMSTART_DATA/open-bandit-sample here")
    rows = campaign_rows(folder, campaign, OpenBandit())
    truth = {"all": 0.0042, "men": 0.0069, "women": 0.0046}[campaign]
    judged = [row for row in rows if row["estimator"] != "random policy"]
    assert len(judged) == 6
    for row in judged:
        assert row["bts"] == pytest.approx(truth, abs=1e-9)
        assert row["ci_low"] <= truth <= row["ci_high"]
        assert 2_000 < row["effective"] < 4_000
        # some forty clicks with uneven weights allow no claim that one policy is better
        assert row["verdict"].startswith("insufficient data: about ")
