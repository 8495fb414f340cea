"""Whether to depart from the base: planted departures are found, and noise is left alone."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from warmstart.ads.clear_shares import clear_shares
from warmstart.ads.click_model import ClickModel
from warmstart.ads.log import AdLog
from warmstart.meta.logistic_belief import sigmoid


def design_of(rng, n):
    return np.column_stack([np.ones(n), rng.normal(size=(n, 3)), rng.normal(size=n)])


def test_planted_shares_are_found():
    rng = np.random.default_rng(0)
    design, offset = design_of(rng, 20_000), rng.normal(-1, 0.5, 20_000)
    planted = np.array([0.4, -0.2, 0.6, 0.0, -0.3])
    label = (rng.random(20_000) < sigmoid(offset + design @ planted)).astype(float)
    found = clear_shares(design, label, offset, rng.integers(100, size=20_000))
    np.testing.assert_allclose(found, planted, atol=0.05)
    assert found[3] >= 0


@pytest.mark.parametrize("seed", range(5))
def test_departures_that_are_noise_are_left_alone(seed):
    rng = np.random.default_rng(seed)
    design, offset = design_of(rng, 3_000), np.full(3_000, -4.0)
    label = (rng.random(3_000) < sigmoid(offset + 0.5)).astype(float)
    found = clear_shares(design, label, offset, np.arange(3_000) // 60)
    assert found[1:4].tolist() == [0, 0, 0]
    assert found[0] == pytest.approx(0.5, abs=0.35)


def test_one_group_alone_shows_nothing_clear():
    """All the gain comes from one ad: its rows are many, and still one observation."""
    rng = np.random.default_rng(2)
    design, offset = design_of(rng, 4_000), np.zeros(4_000)
    group = np.where(np.arange(4_000) < 2_000, 0, np.arange(4_000) // 40)
    helped = np.where(group == 0, design[:, 2], 0)
    label = (rng.random(4_000) < sigmoid(2 * helped)).astype(float)
    by_row = clear_shares(design, label, offset, np.arange(4_000))
    by_group = clear_shares(design, label, offset, group)
    assert by_row[2] > 0.3
    assert by_group[2] == 0


@pytest.fixture(scope="module", params=[12, 80])
def nothing(request):
    """Sixty clicks that depend on nothing, of few ads or of many: a log, later rows, the model."""
    rng = np.random.default_rng(request.param)
    n = 24_000
    table = {
        "user": rng.integers(400, size=n), "ad": rng.integers(request.param, size=n),
        "click": (rng.random(n) < 0.005).astype(int), "hour": rng.integers(24, size=n),
    }  # fmt: skip
    table |= {"kind": table["ad"] % 9, "age": table["user"] % 6}
    half = np.arange(n) < n // 2
    log = AdLog.from_table(
        {name: v[half] for name, v in table.items()},
        user_columns=["age"], ad_columns=["kind"], context_columns=["hour"],
    )  # fmt: skip
    late = log.encode({name: v[~half] for name, v in table.items()})
    return log, late, ClickModel().fit(log)


def test_a_log_that_says_nothing_costs_next_to_nothing(nothing):
    log, late, model = nothing
    found = log_loss(late.click, model.probabilities(late))
    assert found < log_loss(late.click, np.full(len(late), log.click.mean())) + 1e-3


def test_events_teach_what_a_log_did_not(nothing):
    log, _, model = nothing
    mine = log.take(np.flatnonzero(log.user == 7)[:1])
    other = log.take(np.flatnonzero((log.user != 7) & (log.ad != mine.ad[0]))[:1])
    before, beside = model.probabilities(mine)[0], model.probabilities(other)[0]
    for _ in range(8):
        model.update(mine, targets=np.ones(1))
    assert model.probabilities(mine)[0] > 3 * before
    assert model.probabilities(other)[0] == pytest.approx(beside)
