"""The comparison of outer losses, and the tables of it and of off-policy evaluation."""

import json

import numpy as np
import pytest
from benchmarks.learners import objective, tables
from benchmarks.onboarding import ope_table
from benchmarks.tables import _line, short

from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation import evaluate
from warmstart.index import top_k
from warmstart.meta.settings import PolicyConfig
from warmstart.recommenders.popularity import Popularity


def test_ndcg_is_that_of_the_protocol():
    data = load_dataset("synthetic", n_users=200, n_items=60)
    split = make_split(data, SplitConfig(test_fraction=0.3, max_shots=5))
    method = Popularity().fit(split.train)
    found = objective.judged(method, split, (0, 5))
    for row, k in zip(found, (0, 5), strict=True):
        expected = evaluate(
            method, split.tasks.at(k), split.tasks.query, ranker=top_k,
            popularity=np.ones(60, np.float32),
        ).per_task["nDCG@10"]  # fmt: skip
        # equal scores are ordered by another lot
        assert row.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_the_control_trains_as_long_as_the_policy_gradient():
    policy = PolicyConfig(epochs=7)
    found = objective.variants("closed-form", policy)
    assert found["softmax, as long"]["outer"]["epochs"] == 27
    assert found["ndcg"]["policy"]["epochs"] == 7


def test_differences_are_paired_and_their_table_says_which_are_sure(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    base, users = rng.random((2, 300)), np.arange(300) // 2
    shift = np.array([[0.05], [0.0]]) + 0.01 * rng.normal(size=(2, 300))
    values = {"softmax": base, "softmax, as long": base - 0.01, "ndcg": base + shift}
    rows = objective.compared(values, users, (0, 5))
    assert [(r["shots"], r["against"]) for r in rows[:3]] == [
        (0, "softmax"), (5, "softmax"), ("mean", "softmax"),
    ]  # fmt: skip
    assert rows[0]["difference"] == pytest.approx(shift[0].mean())
    assert rows[0]["ci_low"] < rows[0]["difference"] < rows[0]["ci_high"]
    assert rows[0]["p_holm"] < 0.01 < 0.05 < rows[1]["p_holm"]
    assert rows[4]["difference"] == pytest.approx(shift[1].mean() + 0.01)
    seconds = {name: [1.0] for name in values}
    record = {"experiment": "objective", "dataset": "ml-x", "date": "2026-01-01", "seeds": [0]}
    record |= {"protocol": "made up", "commit": "c" * 40, "fit_seconds": {"foma": seconds}}
    record["rows"] = [{"learner": "foma"} | row for row in rows]
    (tmp_path / "objective-ml-x-2026-01-01-0.json").write_text(json.dumps(record))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    table = tables.objective_table(_line, short)
    assert f"{shift[0].mean():+.3f}" in table
    assert table.splitlines()[5].count("*") == 2  # at 0 shots and on average


def test_the_table_of_another_policys_log_says_what_is_covered(tmp_path, monkeypatch):
    monkeypatch.setattr(ope_table, "RESULTS", tmp_path)
    assert "No result is committed yet" in ope_table.ope_table(_line)
    row = {"campaign": "men", "estimator": "IPS", "unit": "impression", "value": 0.0057}
    row |= {"ci_low": 0.003, "ci_high": 0.009, "bts": 0.0069, "covers": True, "effective": 2869.4}
    row["verdict"] = "insufficient data: about 220,000 more impressions"
    record = {"date": "2026-01-01", "protocol": "made up", "commit": "c" * 40}
    record |= {"config": {"effect": 0.001}, "rows": [row, row | {"unit": "feature group"}]}
    (tmp_path / "ope-open-bandit-0.json").write_text(json.dumps(record))
    table = ope_table.ope_table(_line)
    assert "| men | IPS | 0.57 | 0.30 to 0.90 | 0.69 | yes | 2,869 | insufficient data" in table
