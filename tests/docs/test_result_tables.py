"""The tables are made of results: right numbers, right stars, and never stale."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks import tables
from benchmarks.cold_users.run import (
    Experiment,
    known_experiments,
    load_experiment,
    overruled,
    run,
    write_result,
)

from warmstart.core.errors import ConfigError
from warmstart.evaluation import Report, Row
from warmstart.recommenders.comparison import CONTROL, CompareConfig, run_comparison

ROOT = Path(__file__).parents[2]


def report(dataset="ml-1m", date="2026-01-01T00:00:00Z", best=0.3):
    def row(method, shots, mean, half, metric="nDCG@10"):
        return Row(method, "user-cold", shots, metric, mean, mean - half, mean + half, 50, "all")

    rows = []
    for metric in ("nDCG@10", "Recall@20", "MRR"):
        rows += [row("default", 0, 0.2, 0.01, metric), row("default", 5, best, 0.02, metric)]
        rows += [row(f"default {CONTROL}", 5, 0.9, 0.03, metric)]
        rows += [row("itemknn", 0, 0.2504, 0.0124, metric), row("itemknn", 5, 0.28, 0.02, metric)]
    for metric in ("coverage@10", "Gini@10", "popularity_percentile@10"):
        rows += [
            replace(row(m, 5, 0.5, 0, metric), ci_low=None, ci_high=None)
            for m in ("default", "itemknn")
        ]
    test = {"metric": "nDCG@10", "ours": "default", "best": "itemknn", "mean_best": 0.28}
    test |= {"percent": 1.0, "ci_low": 0.0, "ci_high": 0.1}
    spent = {"fit_seconds": 1.0, "tune_seconds": 2.0, "us_per_adaptation": 10.4}
    record = {
        "experiment": dataset,
        "dataset": dataset,
        "title": f"The {dataset}",
        "note": "Everything is a like.",
        "date": date,
        "commit": "0123456789abcdef",
        "scenario": "user-cold",
        "seeds": [0, 1],
        "protocol": "full catalogue",
        "config": {"tune": "once"},
        "fingerprint": "f" * 64,
        "wall_seconds": 12.3,
        "hardware": {"cpus": 2, "processor": "a machine"},
        "versions": {"python": "3.11"},
        "timings": {m: spent | {"us_per_ranked_user": 1234.5} for m in ("default", "itemknn")},
        "significance": [
            test | {"shots": 0, "difference": -0.05, "p": 0.001, "p_holm": 0.002},
            test | {"shots": 5, "difference": 0.02, "p": 0.04, "p_holm": 0.06},
        ],
    }
    return Report(record, tuple(rows))


def test_the_short_table_by_hand():
    lines = tables.short_table({"ml-1m": ("stem", report())}).splitlines()
    assert lines[0] == "| nDCG@10 at … shots | 0 | 5 | µs |"
    assert lines[2] == "| *The ml-1m* |  |  |  |"
    # the control is no method: its .900 is not the best, and it has no row here
    assert lines[3] == "| **warmstart** | .200 ± .010 | **.300** ± .020 | 1,234 |"
    # significantly better at 0 shots, so the star is the winner's; at 5 shots p is .06
    assert lines[4] == r"| item-kNN | **.250**\* ± .012 | .280 ± .020 | 1,234 |"
    assert lines[5] == ""
    assert "2 splits (seeds 0, 1), 50 tasks. Everything is a like." in lines[6]


def test_the_long_tables_show_control_tests_and_provenance():
    text = tables.long_tables({"ml-1m": ("stem", report())})
    assert "| warmstart, shuffled support | – | .900 ± .030 |" in text
    assert "| 0 | item-kNN | .280 | -0.0500 (+1.0 %) | +0.0000 to +0.1000 | 0.0020 |" in text
    assert "| item-kNN | 1.0 | 2.0 | 10 | 1,234 | .500 | .500 | 0.5 |" in text
    assert "commit `0123456789ab`" in text
    assert "images/results/stem.svg" in text


def test_the_newest_result_of_each_dataset_counts(tmp_path):
    for day, best in (("2026-01-02", 0.31), ("2026-01-10", 0.32), ("2026-01-09", 0.33)):
        write_result(report(date=f"{day}T00:00:00Z", best=best), tmp_path)
    write_result(report(dataset="another"), tmp_path)
    write_result(report(dataset="lastfm-hetrec"), tmp_path)
    found = tables.newest(tmp_path)
    assert list(found) == ["ml-1m", "lastfm-hetrec", "another"]
    stem, chosen = found["ml-1m"]
    assert chosen.value("default", 5) == 0.32
    assert stem.startswith("ml-1m-2026-01-10-")
    assert (tmp_path / f"{stem}.svg").read_text("utf8").lstrip().startswith("<?xml")


def test_a_result_is_never_replaced(tmp_path):
    path = write_result(report(), tmp_path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="never replaced"):
        write_result(report(), tmp_path)
    assert path.read_bytes() == before


def test_only_what_stands_between_markers_is_rewritten():
    made = {"a": lambda: "fresh", "b": lambda: "other"}
    text = "one\n<!-- a:start -->\nstale\n<!-- a:end -->\ntwo `<!-- b:start -->`\n"
    fresh = tables.rewritten(text, made)
    assert fresh == text.replace("stale", "fresh")
    assert tables.rewritten(fresh, made) == fresh
    with pytest.raises(ValueError, match="no table is called 'c'"):
        tables.rewritten("<!-- c:start -->\n<!-- c:end -->\n", made)
    with pytest.raises(ValueError, match="has no <!-- a:end -->"):
        tables.rewritten("<!-- a:start -->\n", made)


def test_no_committed_table_is_stale():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tables", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", known_experiments())
def test_experiments_ask_the_same_of_every_dataset(name):
    experiment = load_experiment(name)
    assert experiment.dataset == name
    shares = {"ml-100k": 0.1, "ml-1m": 0.1, "lastfm-hetrec": 0.2}
    assert experiment.compare.split["test_fraction"] == shares[name]
    same = load_experiment("ml-1m").compare.model_dump(exclude={"split"})
    assert experiment.compare.model_dump(exclude={"split"}) == same


def test_a_setting_can_be_overruled_for_a_trial():
    trial = overruled(load_experiment("ml-100k"), ["splits=1", "shots=[5, 0]"])
    assert (trial.compare.splits, trial.compare.shots) == (1, (0, 5))
    for wrong in ("splits", "splits=one", "no_such=1"):
        with pytest.raises(ConfigError):
            overruled(load_experiment("ml-100k"), [wrong])


def test_a_run_keeps_what_the_comparison_found(tmp_path):
    compare = CompareConfig(methods=("itemknn", "popularity"), shots=(0, 5), splits=1, tune="no")
    experiment = Experiment(dataset="synthetic", title="Planted", note="", compare=compare)
    path = run("planted", experiment, now=datetime(2026, 2, 3, tzinfo=UTC), out=tmp_path)
    from warmstart.data import load_dataset

    alone = run_comparison(load_dataset("synthetic"), compare)
    found = json.loads(path.read_text("utf8"))
    assert Report.read(path).rows == alone.rows
    assert found["run"]["significance"] == alone.run["significance"]
    assert found["run"]["date"] == "2026-02-03T00:00:00Z"
    assert path.name.startswith("planted-2026-02-03-")
