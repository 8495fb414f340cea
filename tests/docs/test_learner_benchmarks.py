"""The benchmarks of the learners run on little, say what they should, and are tabulated."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from benchmarks.cold_users.run import Experiment
from benchmarks.learners import behaviours, compare, cost, rated, search, tables
from benchmarks.tables import _line, short

from warmstart.recommenders.named import learners
from warmstart.recommenders.tuning import build

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OUTER = {"epochs": 1, "batch_size": 64}


def test_every_experiment_compares_known_methods():
    names = {path.stem for path in compare.EXPERIMENTS.glob("*.json")}
    assert {f"{d}-{s}" for d in ("ml-1m", "ml-100k") for s in tables.SCENARIOS} <= names
    for path in compare.EXPERIMENTS.glob("*.json"):
        experiment = Experiment.parse(json.loads(path.read_text("utf8")))
        assert set(learners()[1:]) <= set(experiment.compare.methods)


def test_every_learner_has_the_same_budget_and_the_winner_is_its_default():
    assert {len(c) for c in search.CANDIDATES.values()} == {4}
    tried = {}
    for path in sorted(search.RESULTS.glob("search-*.json")):
        for found in json.loads(path.read_text("utf8"))["candidates"]:
            tried.setdefault(found["learner"], {})[json.dumps(found["settings"])] = found["mean"]
    assert set(tried) == set(learners()[1:])
    for name, marks in tried.items():
        best = json.loads(max(marks, key=lambda settings: marks[settings]))
        chosen = build(name, {}).config
        assert build(name, best).config == chosen, name


def test_rated_pairs_put_chance_at_one_half_beside_the_item_mean(tmp_path, monkeypatch):
    pair = {"embedding_dim": 4, "hidden": (8,), "outer": OUTER}
    config = rated.RatedConfig(shots=(1, 5), splits=1, draws=2, test_fraction=0.4, pair=pair)
    record = rated.run("synthetic", config, NOW)
    of = {(r["method"], r["shots"], r["metric"]): r for r in record["rows"]}
    assert {m for m, _, _ in of} == {
        "chance", "popularity", "item mean", "item mean + user bias", *learners()[1:]
    }  # fmt: skip
    chance = of["chance", 5, "nDCG@5"]
    assert abs(chance["mean"] - 0.5) < 4 * (chance["ci_high"] - chance["ci_low"]) / 4
    assert of["item mean", 5, "nDCG@5"]["minus_item_mean"] == [0, 0, 0]
    # a bias of the user moves all ten alike
    assert of["item mean + user bias", 5, "MRR"]["mean"] == pytest.approx(
        of["item mean", 5, "MRR"]["mean"], abs=0.02
    )
    record["dataset"] = "ml-100k"
    rated.write(record, tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.rated_tables(_line, short)
    assert "| item mean |" in text
    assert f"{record['rows'][0]['tasks']:,} tasks" in text


def test_behaviours_are_compared_with_themselves_alone(tmp_path, monkeypatch):
    config = behaviours.BehavioursExperiment.parse(
        {
            "shots": (0, 4),
            "seeds": (3,),
            "known_conversions": 0.3,
            "query_pairs": 6,
            "candidates": ({}, {"weakness": 0.0}),
            "items_too": False,
            "model": {"embedding_dim": 4, "hidden": (8,), "outer": OUTER},
        }
    )
    record = behaviours.run("synthetic", config, NOW)
    rows = {(r["variant"], r["behaviour"], r["shots"]): r for r in record["rows"]}
    assert set(rows) == {
        (v, b, k)
        for v in ("together", "alone", "item's rate")
        for b in ("click", "rating", "conversion")
        for k in (0, 4)
    }
    for (variant, behaviour, k), row in rows.items():
        assert row["loss_low"] < row["loss"] < row["loss_high"]
        if variant != "alone":
            alone = rows["alone", behaviour, k]["loss"]
            assert row["difference"] == pytest.approx(row["loss"] - alone)
            assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    record["dataset"] = "ml-100k"
    behaviours.write(record, tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| conversion | 4 |" in tables.behaviours_tables(_line, short)


def test_what_a_cold_user_shows_is_not_what_is_asked():
    from warmstart.data import load_dataset

    data = load_dataset("synthetic", n_users=60, n_items=80)
    for name in ("click", "rating", "conversion"):
        found = behaviours.tasks_of(data, np.arange(60), name, 4, 6, 0)
        both = np.concatenate([found["items"], found["asked"]], axis=1)
        assert all(len(set(row)) == 10 for row in both.tolist())
    clicks = behaviours.tasks_of(data, np.arange(60), "click", 4, 6, 0)
    met = data.evidence().toarray() != 0
    assert (met[clicks["who"][:, None], clicks["asked"]] == (clicks["truth"] > 0)).all()


def test_all_tasks_at_once_cost_less_than_one_after_the_other():
    steps = {row["learner"]: row["times_faster"] for row in cost.meta_steps(5)}
    assert set(steps) == {"maml, looped", "fomaml, looped", *learners()[1:]}
    assert steps["fomaml"] > 1.5  # 8 is promised on a quiet machine without checks of shapes
    assert steps["closed-form"] > 5  # and 40
