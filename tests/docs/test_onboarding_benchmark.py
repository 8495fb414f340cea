"""The benchmark of onboarding runs on little, and its page says what its code prints."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from benchmarks import records
from benchmarks.onboarding import choose, compare, tables
from benchmarks.tables import _line
from tests.docs.test_docs import run as run_page

from warmstart.recommenders.onboarding.policies import DEFAULT_POLICY, POLICIES

PAGE = Path(__file__).parents[2] / "docs" / "onboarding.md"
SMALL = {
    "hidden_dim": 8, "embedding_dim": 4, "folds": 2, "training": {"epochs": 1},
    "gate_users": 60, "gate_shots": (0, 3), "factors": [{"factors": 8}],
    "onboarding": {"policy": {"updates": 1}},
}  # fmt: skip


@pytest.fixture(scope="module")
def record():
    config = compare.OnboardingBenchmark(seeds=(0, 1), test_fraction=0.05, method=SMALL)
    return compare.run("synthetic", config, datetime(2026, 11, 25, tzinfo=UTC))


def test_the_page_prints_what_it_says(capsys):
    names = run_page(PAGE, PAGE.read_text("utf8"))
    lines = capsys.readouterr().out.splitlines()
    promised = [line[2:] for line in PAGE.read_text("utf8").splitlines() if ": error" in line]
    variance = {}
    for ours, theirs in zip(lines[-3:], [p for p in promised if p.count(":") == 1], strict=True):
        name, found, said = ours.split(":")[0], ours.split()[-1], theirs.split()[-1]
        variance[name] = float(found)
        assert float(found) == pytest.approx(float(said), rel=0.02)
    assert variance["leave-one-out"] < variance["none"] / 100
    assert names["first"].item != names["second"].item != names["third"].item
    for name in POLICIES:
        assert f"| `{name}` |" in PAGE.read_text("utf8")


def test_everybody_is_compared_on_the_same_users(record):
    rows = {(r["policy"], r["world"], r["questions"], r["metric"]): r for r in record["rows"]}
    assert {key[0] for key in rows} == set(POLICIES)
    start = {r["mean"] for key, r in rows.items() if key[2:] == (0, "rmse")}
    assert len(start) == 1
    ours = {d["policy"] for d in record["differences"]}
    assert ours == {DEFAULT_POLICY, "reinforce"}
    for gap in record["differences"]:
        means = [
            rows[name, gap["world"], gap["questions"], gap["metric"]]["mean"]
            for name in (gap["policy"], gap["other"])
        ]
        assert gap["difference"] == pytest.approx(means[0] - means[1], abs=1e-9)
        assert gap["p"] <= gap["p_holm"] <= 1
    popular = [s["saved"] for s in record["saved"] if s["policy"] == "popularity"]
    assert all(saved >= 0 for saved in popular)
    assert record["identical"]["open"]["greedy-list"] == 1


def test_nobody_is_held_out_twice_or_settles_and_judges():
    data = compare.load_dataset("synthetic")
    config = compare.OnboardingBenchmark()
    seen = set(compare.settling_users(data.n_users).tolist())
    for seed in config.seeds:
        who = set(compare.held_out(data, config, seed)[2].tolist())
        assert len(who) == round(config.test_fraction * data.n_users)
        assert not who & seen
        seen |= who
    with pytest.raises(ValueError, match="too few users for split 9"):
        compare.held_out(data, config, 9)


def test_choosing_learns_nothing_of_those_who_settle(tmp_path, monkeypatch):
    """Their ratings could be anything else: what is learned stays, and what is judged moves."""
    quick = {"policy": {"updates": 1, "questions": 10}, "list_length": 1, "practice_users": 100}
    config = choose.Choice(
        rankings=(0.3,),
        policies=("random", "popularity"),
        onboarding=choose.OnboardingConfig.parse(quick),
    )
    now, data = datetime(2026, 11, 29, tzinfo=UTC), choose.load_dataset("synthetic")
    record = choose.run("synthetic", config, now)
    assert [row["policy"] for row in record["rows"]] == ["random", "popularity", "reinforce"]
    rows, chosen = data.interactions, compare.settling_users(data.n_users)
    theirs = np.isin(rows.user, chosen)
    other = replace(rows, rating=np.where(theirs, 6 - rows.rating, rows.rating))
    monkeypatch.setattr(choose, "load_dataset", lambda name: replace(data, interactions=other))
    turned = choose.run("synthetic", config, now)
    for ours, again in zip(record["rows"], turned["rows"], strict=True):
        assert ours.get("weights") == again.get("weights")
        assert ours["rmse"] != again["rmse"]
    for row in record["rows"]:
        mean = np.mean([row["ndcg@10"][n] for n in choose.COUNTED])
        assert row["counted"] == pytest.approx(mean, abs=1e-5)
        assert 0 <= row["ndcg@10, struck out alone"][5] <= 1
    record = record | {"dataset": "ml-100k"}
    records.add(records.spelled(record), "onboarding-choice", record["date"], tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| reinforce, nDCG worth 0.3 |" in tables.choice_table(_line)
    assert "No result yet" in tables.compare_tables("ml-100k", _line)


def test_held_out_users_are_who_they_are():
    data = compare.load_dataset("synthetic")
    train, people, who = compare.held_out(data, compare.OnboardingBenchmark(), 3)
    assert not set(train.interactions.user) & set(who)
    rows = data.interactions
    for place in range(0, len(who), 40):
        theirs = set(rows.item[rows.user == who[place]].tolist())
        found = set(people.pool[[place]].indices) | set(people.query[[place]].indices)
        assert found == theirs


def test_the_tables_show_every_policy(record, tmp_path, monkeypatch):
    record = record | {"dataset": "ml-100k"}
    records.add(records.spelled(record), "onboarding-ml-100k", record["date"], tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.compare_tables("ml-100k", _line)
    for name in POLICIES:
        assert f"| {name} |" in text
    best = min(r["mean"] for r in record["rows"]
               if (r["world"], r["metric"], r["questions"]) == ("open", "rmse", 5))  # fmt: skip
    assert f"**{best:.4f}**" in text
    assert np.isfinite(best)
    assert "No result yet" in tables.compare_tables("ml-1m", _line)
