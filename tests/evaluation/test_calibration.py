"""Calibration of probabilities against a loop, scikit-learn and what is known beforehand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from warmstart.core.errors import ConfigError, DataError
from warmstart.evaluation.calibration import expected_calibration_error, reliability


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    said = rng.beta(1, 4, 3000)
    return said, rng.random(3000) < said**1.5  # too sure of itself


def test_bins_of_equal_width_equal_scikit_learn(cases):
    found = reliability(*cases, bins=10, by="width")
    happened, said = calibration_curve(cases[1], cases[0], n_bins=10)
    np.testing.assert_allclose(found.said, said)
    np.testing.assert_allclose(found.happened, happened)
    assert found.cases.sum() == 3000


def test_bins_of_equal_counts_are_cut_from_the_sorted_cases(cases):
    said, outcome = cases
    order = np.argsort(said)
    found = reliability(said, outcome, bins=12)
    expected = [(said[o].mean(), outcome[o].mean()) for o in np.split(order, 12)]
    np.testing.assert_allclose(found.said, [a for a, _ in expected])
    np.testing.assert_allclose(found.happened, [b for _, b in expected])
    error = np.mean([abs(a - b) for a, b in expected])
    assert expected_calibration_error(said, outcome, bins=12) == pytest.approx(error)


def test_an_honest_forecaster_has_next_to_no_error():
    rng = np.random.default_rng(1)
    said = rng.random(50_000)
    outcome = rng.random(50_000) < said
    assert expected_calibration_error(said, outcome) < 0.01
    assert expected_calibration_error(said / 2, outcome) == pytest.approx(0.25, abs=0.01)


def test_bins_of_equal_mass_share_the_probability_out():
    rng = np.random.default_rng(2)
    said = rng.dirichlet(np.full(200, 0.3), 40)  # one like among 200 items, 40 times
    share = (rng.random((40, 200)) < 0.5) * said
    found = reliability(said.ravel(), share.ravel(), bins=8, by="mass")
    np.testing.assert_allclose(found.said * found.cases, 40 / 8, atol=said.max())
    assert found.happened @ found.cases == pytest.approx(share.sum())
    assert found.cases[0] > 20 * found.cases[-1]  # the small probabilities are many


def test_equal_probabilities_stay_together():
    said = np.array([0.1] * 9 + [0.5])
    found = reliability(said, np.array([0, 1] * 5), bins=5)
    assert found.cases.tolist() == [9, 1]
    assert reliability(np.array([1.0, 0.0]), np.array([True, False]), by="width").error == 0


@pytest.mark.parametrize(
    ("said", "outcome", "message"),
    [
        ([0.1, 1.2], [0, 1], "between 0 and 1, got 0.1 to 1.2"),
        ([0.1, np.nan], [0, 1], "between 0 and 1"),
        ([0.1, 0.2], [0, 2], "outcomes must be 0 or 1, got 2"),
        ([0.1], [0, 1], "one each"),
        ([], [], "one each"),
    ],
)
def test_what_is_no_forecast_is_refused(said, outcome, message):
    with pytest.raises(DataError, match=message):
        reliability(np.array(said), np.array(outcome))


def test_wrong_bins_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        reliability(np.array([0.5]), np.array([1]), bins=0)
    with pytest.raises(ConfigError, match="'count', 'width' or 'mass'"):
        reliability(np.array([0.5]), np.array([1]), by="weight")
