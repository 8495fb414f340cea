"""The benchmark of tuning: its routes against slow ways, its metrics and its table by hand."""

import json

import numpy as np
import pytest
import torch
from benchmarks.asking import judging, routes
from benchmarks.asking.tuning_table import tuning_table
from benchmarks.tables import _line, short
from tests.llm import tiny

from warmstart.llm.lora import AdapterConfig, ListScorer
from warmstart.recommenders.asked import ask
from warmstart.recommenders.scenarios import Lists, Scenario


def lists_of(users, shown, candidates, liked):
    return Lists(*(np.array(part) for part in (users, shown, candidates, liked)))


def test_fame_counts_each_user_once():
    support = lists_of(
        [4, 4, 6], [[0, 1], [1, 2], [0, 3]], [[5, 6], [0, 7], [1, 2]],
        [[True, False], [True, False], [True, False]],
    )  # fmt: skip
    assert routes.fame_of(support, 8).tolist() == [2, 2, 1, 1, 0, 1, 0, 0]


def test_the_ridge_of_a_user_is_least_squares_with_two_pulls():
    rng = np.random.default_rng(0)
    vectors, prior = rng.normal(size=(12, 5)), rng.normal(size=5)
    shelf = Scenario("x", np.arange(2, 12))
    support = lists_of([0], [[2, 3]], [[4, 5, 6]], [[True, False, False]])
    test = lists_of([1], [[7, 8]], [[9, 10, 2]], [[True, False, False]])
    found = routes.hierarchical(
        vectors, shelf, prior, support, test, scenario_reg=0.7, user_reg=2.0
    )

    def slow(x, y, reg, towards):  # the pull as further rows
        rows = np.vstack([x, np.sqrt(reg) * np.eye(5)])
        return np.linalg.lstsq(rows, np.concatenate([y, np.sqrt(reg) * towards]), rcond=None)[0]

    shared = slow(vectors[[4, 5, 6]], np.array([1.0, 0, 0]), 0.7, prior)
    own = slow(vectors[2:12], np.isin(np.arange(2, 12), [7, 8]) * 1.0, 2.0, shared)
    np.testing.assert_allclose(found[0], vectors[[9, 10, 2]] @ own)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = unit[[7, 8]].sum(axis=0)
    np.testing.assert_allclose(
        routes.cosine(unit, test)[0], unit[[9, 10, 2]] @ mean / np.linalg.norm(mean)
    )


def test_the_log_probability_of_a_title_is_that_of_its_tokens_one_by_one():
    weights = tiny.weights()
    titles = ["a b c", "d", "e f", "g"]
    lists = lists_of([0, 1], [[1], [2]], [[0, 3], [3, 0]], [[True, False]] * 2)
    scorer = ListScorer(weights, AdapterConfig(layers=1, rank=2))
    found = routes.title_log_probs(weights, scorer, ask(scorer, weights, titles, [lists]))
    other, told = tiny.weights(), weights.tokenizer
    for row, (shown, asked) in enumerate(zip(lists.shown, lists.candidates, strict=True)):
        before = (
            f"A person liked these films: {titles[shown[0]]}.\nWould they like these films too? "
            "Yes or No.\n"
        )
        start = told(before, add_special_tokens=False)["input_ids"]
        for place, item in enumerate(asked):
            own = told(f"{titles[item]}?", add_special_tokens=False)["input_ids"]
            logits = other.model(torch.tensor([start + own])).logits[0].log_softmax(-1)
            each = [float(logits[len(start) + i - 1, token]) for i, token in enumerate(own)]
            assert found[row, place] == pytest.approx(np.mean(each), abs=1e-3)


def test_metrics_by_hand_and_ties_by_lot():
    liked = np.array([[True, True, False, False, False]])
    scores = np.array([[0.9, 0.2, 0.5, 0.1, 0.4]])
    order = np.arange(5)[None]
    found = judging.metrics_of(scores, liked, order, 2)
    assert found["AUC"][0] == pytest.approx((3 + 1) / 6)
    assert found["AUC against famous films"][0] == pytest.approx((2 + 1) / 4)
    ideal = 1 + 1 / np.log2(3)
    assert found["nDCG@10"][0] == pytest.approx((1 + 1 / np.log2(5)) / ideal)
    same = np.zeros((1, 5))
    last = judging.metrics_of(same, liked, order[:, ::-1], 2)["nDCG@10"][0]
    assert last == pytest.approx((1 / np.log2(5) + 1 / np.log2(6)) / ideal)
    assert judging.metrics_of(same, liked, order, 2)["nDCG@10"][0] == pytest.approx(1)
    lot = judging.by_lot((200, 5), np.random.default_rng(0))
    assert (np.sort(lot, axis=1) == np.arange(5)).all()
    assert np.unique(lot[:, 0]).size == 5
    np.testing.assert_allclose(np.exp(judging.log_softmax(scores * 90)).sum(axis=1), 1)


def test_rows_compare_with_the_embeddings_and_plain_tuning():
    rng = np.random.default_rng(0)
    base = rng.random(80)
    plain = f"{judging.PLAIN}, adapted"
    table = {
        name: {m: base + gap for m in judging.METRICS}
        for name, gap in ((judging.ROUTE, 0.0), (plain, -0.1), ("better", 0.2))
    }
    rows = {r["method"]: r for r in judging.rows_of(table, np.arange(80) // 2)}
    assert "minus_embedding" not in rows[judging.ROUTE]
    assert "minus_plain" not in rows[plain]
    assert rows["better"]["minus_embedding"] == pytest.approx([0.2] * 3)
    assert rows["better"]["minus_plain"][0] == pytest.approx(0.3)
    assert rows["better"]["p_minus_embedding"] < 0.01
    assert rows["better"]["AUC"][1] < rows["better"]["AUC"][0] < rows["better"]["AUC"][2]


def test_the_table_by_hand(tmp_path):
    assert "adds one" in tuning_table(_line, short, tmp_path)
    values = {m: [0.5, 0.4, 0.6] for m in judging.METRICS}
    better = {m: [0.625, 0.6, 0.65] for m in judging.METRICS}
    record = {
        "dataset": "ml-100k", "date": "2026-01-02T00:00:00Z", "seeds": [0], "lists": 9, "users": 7,
        "config": {"known_users": 8, "tune": {"steps": 3, "final_steps": 4}},
        "rows": [
            {"method": judging.ROUTE, **better},
            {"method": "tuned", **values, "minus_embedding": [-0.125, -0.2, -0.05],
             "p_minus_embedding": 0.01},
        ],
        "splits": [{"scenarios": {"unseen": ["War"], "training": ["a", "b"]},
                    "ms_per_list": {"language model": 800.0, judging.ROUTE: 2.0},
                    "gates": {"of": ["x", "y"], "mean": [[0.25, 0.75], [0.75, 0.25]]}}],
        "hardware": {"cpus": 2, "processor": "a machine"}, "wall_seconds": 60.0,
        "commit": "0123456789abcdef",
    }  # fmt: skip
    (tmp_path / "tuning-old.json").write_text(json.dumps(record | {"date": "2025", "lists": 1}))
    (tmp_path / "tuning-new.json").write_text(json.dumps(record))
    lines = tuning_table(_line, short, tmp_path).splitlines()
    assert lines[2].startswith("| embedding: ridge | **.625** ± .025 |")
    assert lines[3] == (
        "| tuned | .500 ± .100 | .500 ± .100 | .500 ± .100 | -0.125 [-0.200, -0.050], p 0.010 | – |"
    )
    assert "unseen: War. 9 lists of 7 users" in lines[-1]
    assert "Mean gates: x 0.50, y 0.50." in lines[-1]
    assert "800 ms by the language model, 2.0 ms by the ridge" in lines[-1]
