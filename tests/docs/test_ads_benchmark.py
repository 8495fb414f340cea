"""The scores of the ads' benchmark against scikit-learn, and its tables against its records."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.ads import real_table
from benchmarks.ads.real_logs import smoothed
from benchmarks.ads.scores import calibration_error, counted_rows_of, placements, rows_of
from benchmarks.tables import _line
from sklearn.metrics import log_loss, roc_auc_score
from tests.docs.test_docs import run as run_page


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    chance = rng.beta(1, 30, 4_000).round(3)
    return chance, (rng.random(4_000) < chance).astype(float)


def test_scores_are_those_of_scikit_learn(drawn):
    chance, label = drawn
    constant, rough = np.full(len(label), label.mean()), (chance + 0.03) / 2
    found = {"constant": [constant], "smoothed": [rough], "default": [chance, chance]}
    rows = {(r["method"], r["metric"]): r for r in rows_of(found, label)}
    auc, loss = rows["default", "auc"], rows["default", "logloss"]
    assert auc["mean"] == pytest.approx(roc_auc_score(label, chance))
    assert loss["mean"] == pytest.approx(log_loss(label, np.clip(chance, 1e-7, 1)))
    assert rows["constant", "auc"]["mean"] == 0.5
    gap = loss["mean"] - rows["constant", "logloss"]["mean"]
    assert loss["against_constant"] == pytest.approx(gap)
    assert loss["difference_ci"][0] < gap < loss["difference_ci"][1] < 0
    gap = loss["mean"] - log_loss(label, rough)
    assert loss["against_smoothed"] == pytest.approx(gap)
    assert loss["smoothed_ci"][0] < gap < loss["smoothed_ci"][1]


def test_the_interval_of_auc_is_as_wide_as_auc_varies():
    rng = np.random.default_rng(1)
    areas, widths = [], []
    for _ in range(300):
        label = np.repeat([1.0, 0.0], [30, 600])
        score = rng.normal(label, 1.5)
        above, below = placements(score, label)
        areas.append(above.mean())
        widths.append(np.sqrt(above.var(ddof=1) / 30 + below.var(ddof=1) / 600))
    assert np.mean(widths) == pytest.approx(np.std(areas), rel=0.12)


def test_calibration_counts_what_is_too_high(drawn):
    chance, label = drawn
    assert calibration_error(chance, label) < 0.01
    assert calibration_error(chance + 0.2, label) == pytest.approx(0.2, abs=0.01)


def test_counts_are_scored_as_their_rows_would_be():
    events, trials, rate = np.array([2.0, 0.0]), np.array([5.0, 3.0]), np.array([0.3, 0.1])
    label = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    each = log_loss(label, np.repeat(rate, trials.astype(int)), normalize=False)
    found = {"constant": [rate], "smoothed": [rate + 0.1], "default": [rate]}
    rows = counted_rows_of(found, events, trials)
    assert rows[2]["mean"] == pytest.approx(each / 2)
    assert rows[2]["against_constant"] == 0
    assert rows[2]["against_smoothed"] == pytest.approx(rows[2]["mean"] - rows[1]["mean"])


def test_smoothed_rates_shrink_as_much_as_the_counts_are_alike():
    rng = np.random.default_rng(2)
    code = np.repeat(np.arange(50), 200)
    ones = np.ones(len(code))
    same, rate = smoothed(code, (rng.random(len(code)) < 0.1).astype(float), ones)
    assert np.abs(same - rate).mean() < 0.012  # unsmoothed: .017
    own = np.repeat(rng.uniform(0, 0.5, 50), 200)
    other, _ = smoothed(code, (rng.random(len(code)) < own).astype(float), ones)
    assert np.abs(other - own[::200]).mean() < 0.03


def test_every_committed_row_is_in_the_table():
    table = real_table.real_table(_line)
    for path in real_table.RESULTS.glob("real-*.json"):
        record = json.loads(path.read_text("utf8"))
        assert not record["commit"].endswith("+")
        if path.stem in table:
            for row in record["rows"]:
                if row["metric"].startswith("logloss"):
                    assert f"{row['mean']:.5f}" in table


def test_the_page_runs_and_its_rules_hold(capsys):
    page = Path(__file__).parents[2] / "docs" / "ads.md"
    names = run_page(page, page.read_text("utf8"))
    first = [line.split() for line in capsys.readouterr().out.splitlines()[:3]]
    assert [row[0] for row in first] == ["1", "2", "3"]
    worth = [int(row[2]) for row in first]
    assert worth == sorted(worth, reverse=True)
    listed = [line.ad for line in names["found"]]
    assert 5 not in listed  # capped
    assert "summer sale" in names["model"].coding.ads
