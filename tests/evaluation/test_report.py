import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from warmstart.core.errors import DataError, MissingExtraError
from warmstart.evaluation import Evaluation, Report, Row
from warmstart.evaluation.plot import plot_shots, spread
from warmstart.evaluation.summary import against_best, costs, rows_of


def judged(values, coverage=0.5):
    return Evaluation({"nDCG@10": np.array(values)}, {"coverage@10": coverage}, 10.0, 30.0)


@pytest.fixture
def results():
    return {
        "ours": {0: [judged([0.1, 0.3]), judged([0.2], 0.7)]},
        "good": {0: [judged([0.1, 0.2]), judged([0.3])]},
        "bad": {0: [judged([0.0, 0.1]), judged([0.1])]},
    }


USERS = [np.array([4, 7]), np.array([4])]


def test_rows_by_hand(results):
    rows = {(r.method, r.metric, r.split): r for r in rows_of(results, USERS, scenario="warm")}
    assert len(rows) == 3 * 2 * 3
    pooled = rows["ours", "nDCG@10", "all"]
    assert (pooled.mean, pooled.tasks, pooled.shots) == (pytest.approx(0.2), 3, 0)
    # two users: the resamples are (4, 4), (4, 7), (7, 7), with means .15, .2, .3
    assert (pooled.ci_low, pooled.ci_high) == (pytest.approx(0.15), pytest.approx(0.3))
    assert rows["ours", "nDCG@10", 1].mean == pytest.approx(0.2)
    shown = rows["ours", "coverage@10", "all"]
    assert (shown.mean, shown.ci_low) == (pytest.approx(0.6), None)


def test_ours_is_tested_against_the_best_of_the_others(results):
    (record,) = against_best(results, USERS, ours="ours", others=["good", "bad"])
    assert record["best"] == "good"
    assert record["difference"] == pytest.approx(0.0)
    assert record["p"] == record["p_holm"] == 1


def test_costs_average_over_splits_and_shots(results):
    assert costs(results["ours"])["us_per_ranked_user"] == 30


def test_json_has_exactly_the_published_keys_and_reads_back(tmp_path, results):
    report = Report({"dataset": "toy"}, tuple(rows_of(results, USERS, scenario="user-cold")))
    report.write(tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())
    assert list(found) == ["run", "rows"]
    assert list(found["rows"][0]) == [
        "method", "scenario", "shots", "metric", "mean", "ci_low", "ci_high", "tasks", "split",
    ]  # fmt: skip
    assert Report.read(tmp_path / "r.json") == report
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match="no comparison report"):
        Report.read(tmp_path / "broken.json")


def curve(method, values):
    return [
        Row(method, "user-cold", k, "nDCG@10", v, v - 0.01, v + 0.01, 100, "all")
        for k, v in zip((0, 1, 5), values, strict=True)
    ]


def test_the_plot_is_a_picture_of_the_asked_width(tmp_path):
    rows = curve("default", (0.3, 0.4, 0.5)) + curve("popularity", (0.3, 0.3, 0.3))
    rows += curve("default (shuffled support)", (0.3, 0.29, 0.28)) + curve("plug-in", (0, 0.1, 0.5))
    report = Report({"dataset": "toy"}, tuple(rows))
    plot_shots(report, tmp_path / "a.png", width_inches=3.5)
    head = (tmp_path / "a.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(head[16:20], "big") == 3.5 * 300
    plot_shots(report, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    for label in ("warmstart", "Popularity", "plug-in", "support", "toy, cold users (100 tasks)"):
        assert f">{label}<" in drawn
    with pytest.raises(DataError, match="no metric 'MAP'; it has nDCG@10"):
        plot_shots(report, tmp_path / "b.png", metric="MAP")


def test_without_matplotlib_the_install_line_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"warmstart\[compare\]"):
        plot_shots(Report({}, tuple(curve("a", (1, 2, 3)))), tmp_path / "a.png")


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 1)), min_size=1, max_size=6))
def test_labels_do_not_overlap_and_move_as_little_as_possible(labels):
    labels.sort()
    wanted, heights = (list(x) for x in zip(*labels, strict=True))
    spots = spread(wanted, heights)
    gaps = [(a + b) / 2 for a, b in pairwise(heights)]
    assert all(b - a >= g - 1e-9 for a, b, g in zip(spots, spots[1:], gaps, strict=False))
    cost = sum((a - b) ** 2 for a, b in zip(spots, wanted, strict=True))
    free = [
        {"type": "ineq", "fun": lambda x, i=i, g=g: x[i + 1] - x[i] - g} for i, g in enumerate(gaps)
    ]
    best = minimize(lambda x: np.sum((x - wanted) ** 2), spots, constraints=free, method="SLSQP")
    assert cost <= best.fun + 1e-5
