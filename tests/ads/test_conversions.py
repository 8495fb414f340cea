"""Late conversions: against the truth that was planted, and against doing nothing about them."""

import numpy as np
import pytest

from warmstart.ads.conversions import fit_delays, targets
from warmstart.ads.log import AdLog
from warmstart.core.errors import ConfigError, DataError

DAYS = 30.0


def planted(draw, *, n=40_000, rate=0.2, seed=0):
    """Clicks over a month of which some convert after a drawn delay; seen is what came in time."""
    rng = np.random.default_rng(seed)
    clicked = rng.uniform(0, DAYS, n)
    will = rng.random(n) < np.where(np.arange(n) % 2, 1.5, 0.5) * rate
    delay = draw(rng, n)
    seen = will & (clicked + delay <= DAYS)
    table = {
        "ad": np.arange(n) % 2, "t": clicked, "buy": seen.astype(int),
        "bt": np.where(seen, clicked + delay, np.nan),
    }  # fmt: skip
    log = AdLog.from_table(
        table, user=None, click=None, conversion="buy", timestamp="t", conversion_timestamp="bt"
    )
    return log, will


SHAPES = {
    "exponential": lambda rng, n: rng.exponential(6.0, n),
    "lognormal": lambda rng, n: rng.lognormal(1.0, 1.0, n),
    "two kinds": lambda rng, n: np.where(
        rng.random(n) < 0.7, rng.exponential(0.1, n), rng.uniform(5, 12, n)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_curve_is_the_planted_distribution(shape):
    log, _ = planted(SHAPES[shape])
    found = targets(log, seen_until=DAYS).curve
    every = SHAPES[shape](np.random.default_rng(9), 400_000)
    at = np.array([0.1, 1.0, 3.0, 7.0, 14.0])
    truth = [(every <= t).mean() / (every <= DAYS).mean() for t in at]
    np.testing.assert_allclose(found.arrived(at), truth, atol=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_targets_are_unbiased_where_labels_are_not(shape):
    log, will = planted(SHAPES[shape])
    found = targets(log, seen_until=DAYS)
    for ad in (0, 1):
        rows = found.rows[log.ad[found.rows] == ad]
        truth = will[rows].mean()  # what these very clicks came to in the end
        ours = found.target[log.ad[found.rows] == ad].mean()
        naive = log.conversion[rows].mean()
        assert ours == pytest.approx(truth, rel=0.05)
        assert abs(naive - truth) > 2 * abs(ours - truth)


def test_a_naive_exponential_is_no_match_for_two_kinds_of_delays():
    """The mean delay of what was seen gives an exponential curve that is far off."""
    log, _ = planted(SHAPES["two kinds"])
    curve = targets(log, seen_until=DAYS).curve
    seen = log.delay_seconds[log.conversion == 1]
    at, truth = 1.0, 0.7
    assert abs(curve.arrived(np.array([at]))[0] - truth) < 0.03
    assert abs(1 - np.exp(-at / seen.mean()) - truth) > 0.2


def test_nothing_cut_off_is_the_empirical_distribution():
    delay = np.random.default_rng(1).exponential(1, 500)
    curve = fit_delays(delay, np.full(500, 1e9))
    at = np.array([0.1, 0.5, 2.0])
    np.testing.assert_allclose(curve.arrived(at), [(delay <= t).mean() for t in at], atol=1e-9)


def test_without_times_the_labels_are_final():
    table = {"ad": [1, 2, 1, 2], "click": [1, 1, 0, 1], "buy": [1, 0, 0, None]}
    log = AdLog.from_table(table, user=None, conversion="buy")
    found = targets(log)
    assert found.rows.tolist() == [0, 1]  # nothing is told of the last, and no click no target
    assert found.target.tolist() == [1, 0]
    assert found.curve is None


def test_what_makes_no_sense_is_refused():
    log, _ = planted(SHAPES["exponential"], n=500)
    with pytest.raises(ConfigError, match="least_share"):
        targets(log, least_share=0)
    with pytest.raises(DataError, match="before the log's last click"):
        targets(log, seen_until=3.0)
    with pytest.raises(DataError, match="came 2 s after a click that was 1 s old"):
        fit_delays(np.array([2.0]), np.array([1.0]))
    with pytest.raises(DataError, match="no conversion has a delay"):
        fit_delays(np.zeros(0), np.zeros(0))
