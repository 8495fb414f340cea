"""The leak linter finds each planted fault, and none in clean tables and in our own splits."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from warmstart.core.errors import ConfigError, DataError
from warmstart.data import (
    Dataset,
    SplitConfig,
    lint_fits,
    lint_results,
    lint_split,
    lint_tables,
    make_split,
    synthetic,
)
from warmstart.data.lint_statistics import follows

ROOT = Path(__file__).parents[2]
SCENARIOS = ("warm", "user-cold", "item-cold", "both-cold")


def log_of(seed=0, n_users=60, n_items=40, n=900, *, times=True):
    """A log in which every row has a time; users and items of uneven popularity."""
    rng = np.random.default_rng(seed)
    users = rng.choice(n_users, n, p=rng.dirichlet(np.ones(n_users)))
    items = rng.choice(n_items, n, p=rng.dirichlet(np.ones(n_items)))
    pairs = np.unique(users * n_items + items)
    rng.shuffle(pairs)
    table = {"user": pairs // n_items, "item": pairs % n_items}
    table["rating"] = rng.integers(1, 6, len(pairs)).astype(float)
    if times:
        table["timestamp"] = np.sort(rng.integers(10**9, 10**9 + 10**7, len(pairs)))
    return table


def rows_of(table, keep):
    return {name: values[keep] for name, values in table.items()}


def cut_in_time(table, share=0.7):
    n = int(share * len(table["user"]))
    order = np.arange(len(table["user"]))
    return rows_of(table, order < n), rows_of(table, order >= n)


def counts(table, side, size):
    return np.bincount(table[side], minlength=size).astype(float)


def checks(report):
    return [finding.check for finding in report.findings]


# -- rows ---------------------------------------------------------------------------------------


def test_a_clean_cut_in_time_raises_no_alarm():
    train, test = cut_in_time(log_of())
    report = lint_tables(train, test)
    assert report.findings == ()
    assert report.checked == ("shared-rows", "future-rows")


def test_training_rows_later_than_test_rows():
    train, test = cut_in_time(log_of())
    train["timestamp"] = train["timestamp"].copy()
    train["timestamp"][[4, 9]] = test["timestamp"][50:52]
    (finding,) = lint_tables(train, test).findings
    assert (finding.check, finding.row, finding.cases) == ("future-rows", 5, 2)
    assert finding.column == "timestamp"
    assert "by='random'" in finding.mend
    assert lint_tables(train, test, by="random").findings == ()


def test_each_users_own_order_is_another_question_than_one_instant_for_all():
    table = log_of()
    _, first = np.unique(table["user"][::-1], return_index=True)
    last = np.zeros(len(table["user"]), bool)
    last[len(last) - 1 - first] = True  # leave the last of each user out
    train, test = rows_of(table, ~last), rows_of(table, last)
    assert checks(lint_tables(train, test)) == ["future-rows"]
    assert lint_tables(train, test, by="user-time").findings == ()
    train["timestamp"] = train["timestamp"] + 10**8
    assert checks(lint_tables(train, test, by="user-time")) == ["future-rows"]


def test_a_log_in_which_users_meet_items_again():
    train, test = cut_in_time(log_of())
    test["user"][0], test["item"][0] = train["user"][0], train["item"][0]
    assert checks(lint_tables(train, test)) == ["shared-rows"]
    assert lint_tables(train, test, repeats=True).findings == ()
    again = {name: np.append(values, train[name][0]) for name, values in test.items()}
    (finding,) = lint_tables(train, again, by="random", repeats=True).findings
    assert (finding.check, finding.row) == ("shared-rows", len(again["user"]))


def test_what_is_judged_is_in_training_or_in_the_support():
    train, test = cut_in_time(log_of())
    test = {name: np.append(values, train[name][7]) for name, values in test.items()}
    test["timestamp"][-1] = 2 * 10**9
    support = rows_of(test, np.arange(len(test["user"])) < 3)
    found = lint_tables(train, test, support=support).findings
    by_check = {finding.check: finding for finding in found}
    assert by_check["shared-rows"].row == len(test["user"])
    assert f"user {test['user'][-1]}" in by_check["shared-rows"].value
    assert by_check["support-in-query"].cases == 3
    train, test = cut_in_time(log_of())
    clean = lint_tables(train, test, support=rows_of(train, slice(3)))
    assert clean.findings == ()


@pytest.mark.parametrize("side", ["user", "item"])
def test_users_and_items_that_are_not_cold(side):
    table = log_of(times=False)
    cold = table[side] % 5 == 0
    train, test = rows_of(table, ~cold), rows_of(table, cold)
    assert lint_tables(train, test, scenario=f"{side}-cold").findings == ()
    train = {name: np.append(values, test[name][:1]) for name, values in train.items()}
    train["item" if side == "user" else "user"][-1] = 10**6  # another partner: no shared row
    (finding,) = lint_tables(train, test, scenario=f"{side}-cold").findings
    assert (finding.check, finding.column, finding.row) == ("cold-met", side, len(train["user"]))


# -- what features are made of ------------------------------------------------------------------

TRANSFORMS = {
    "count": lambda c, t: c,
    "logarithm": lambda c, t: np.log1p(c),
    "share": lambda c, t: c / c.sum(),
    "standardised": lambda c, t: ((c - c.mean()) / c.std()).astype(np.float32),
    "rank": lambda c, t: np.searchsorted(np.sort(c), c),
    "ten bins": lambda c, t: np.digitize(c, np.quantile(c, np.linspace(0.1, 0.9, 9))),
    "mean rating": lambda c, t: np.bincount(t["item"], t["rating"], len(c)) / np.maximum(c, 1),
    "shrunken mean": lambda c, t: (np.bincount(t["item"], t["rating"], len(c)) + 31) / (c + 10),
    "likes": lambda c, t: np.bincount(t["item"], t["rating"] >= 4, len(c)),
    "last seen": lambda c, t: 2e9 - np.array([t["timestamp"][t["item"] == i].max(initial=10**9)
                                              for i in range(len(c))]),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_statistic_of_the_whole_period_is_found_and_one_of_training_is_not(name):
    table = log_of(n=3_000, n_items=60)
    train, test = cut_in_time(table)
    of_all, of_train = (TRANSFORMS[name](counts(t, "item", 60), t) for t in (table, train))
    rng = np.random.default_rng(1)
    features = {"item": np.arange(60), "year": rng.integers(1950, 2020, 60), "popular": of_all}
    (finding,) = lint_tables(train, test, features=[features]).findings
    assert (finding.check, finding.column) == ("whole-period", "popular")
    assert finding.row is not None
    assert "training rows" in finding.value
    clean = features | {"popular": of_train}
    assert lint_tables(train, test, features=[clean]).findings == ()


def test_a_count_that_stands_in_the_rows_themselves():
    table = log_of(n=3_000)
    table["user_activity"] = counts(table, "user", 60)[table["user"]]
    train, test = cut_in_time(table)
    found = lint_tables(train, test).findings
    assert {(f.check, f.column) for f in found} == {("whole-period", "user_activity")}
    honest = counts(train, "user", 60)
    train["user_activity"], test["user_activity"] = honest[train["user"]], honest[test["user"]]
    assert lint_tables(train, test).findings == ()


def test_training_statistics_that_know_test_users():
    table = log_of(times=False)
    cold = table["user"] % 5 == 0
    train, test = rows_of(table, ~cold), rows_of(table, cold)
    users = np.arange(60)
    means = np.bincount(table["user"], table["rating"], 60) / np.maximum(
        counts(table, "user", 60), 1
    )
    means[counts(train, "user", 60) > 0] = (
        np.bincount(train["user"], train["rating"], 60) / np.maximum(counts(train, "user", 60), 1)
    )[counts(train, "user", 60) > 0]
    told = {"user": users, "mean": means}
    found = lint_tables(train, test, statistics=[told], scenario="user-cold").findings
    assert [f.check for f in found] == ["test-in-statistics"]
    assert found[0].row == 1  # user 0 is held out
    unmet = counts(train, "user", 60) == 0
    for default in (3.0, np.nan):
        clean = told | {"mean": np.where(unmet, default, means)}
        assert lint_tables(train, test, statistics=[clean], scenario="user-cold").findings == ()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_users=st.integers(2, 50),
    n_items=st.integers(2, 50),
    n=st.integers(10, 600),
    levels=st.sampled_from([2, 3, 10, 10**6]),
    by=st.sampled_from(["time", "random"]),
)
def test_no_alarm_on_clean_random_tables(seed, n_users, n_items, n, levels, by):
    table = log_of(seed, n_users, n_items, n)
    assume(len(table["user"]) > 1)  # a row for each side
    rng = np.random.default_rng(seed)
    train, test = cut_in_time(table)
    if by == "random":
        held = rng.random(len(table["user"])) < 0.3
        held[:2] = True, False
        train, test = rows_of(table, ~held), rows_of(table, held)
    features = [
        {"item": np.arange(n_items), "x": rng.integers(0, levels, n_items),
         "y": rng.normal(size=n_items)},
        {"user": np.arange(n_users), "z": rng.integers(0, levels, n_users)},
    ]  # fmt: skip
    own = counts(train, "item", n_items)
    statistics = [{"item": np.arange(n_items)[own > 0], "count": own[own > 0],
                   "noisy": own[own > 0] + rng.random((own > 0).sum())}]  # fmt: skip
    report = lint_tables(train, test, features=features, statistics=statistics, by=by)
    assert report.findings == ()


@settings(max_examples=200, deadline=None)
@given(
    x=st.lists(st.integers(0, 3), min_size=15, max_size=40),
    seed=st.integers(0, 10**6),
)
def test_chance_does_not_explain(x, seed):
    statistic = np.random.default_rng(seed).permutation(len(x)).astype(float)
    assert not follows(np.array(x, float), statistic) or sorted(x) in (x, x[::-1])


# -- seeds --------------------------------------------------------------------------------------


def test_seeds_that_share_one_fit():
    runs = [
        {"seed": seed, "auc": 0.7 + seed, "model": {"sha256": name}, "data_sha256": "dd"}
        for seed, name in enumerate(("aa", "bb"))
    ]
    honest = {"seeds": [0, 1], "fits": 2, "weights_sha256": ["aa", "bb"], "runs": runs}
    assert lint_results(honest).findings == ()
    assert [f.column for f in lint_results(honest | {"fits": 1}).findings] == ["fits"]
    same = honest | {"weights_sha256": ["aa", "aa"]}
    assert [f.column for f in lint_results(same).findings] == ["weights_sha256"]
    honest["runs"][1]["model"]["sha256"] = "aa"
    (finding,) = lint_results(honest).findings
    assert finding.column == "runs[].model.sha256"
    assert "0, 1" in finding.value


def test_seeds_that_give_the_same_numbers_to_the_last_digit():
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "seed": seed, "phase": phase, "metric": m, "mean": float(rng.random())}
        for method in ("net", "popularity")
        for seed in range(3)
        for phase in "abc"
        for m in ("auc", "logloss")
    ]
    assert lint_results({"rows": rows}).findings == ()
    for method in ("net", "popularity"):
        of = [r for r in rows if r["method"] == method]
        for row, first in zip(of[6:12], of[:6], strict=True):
            row["mean"] = first["mean"]
    (finding,) = lint_results({"rows": rows}).findings  # popularity has no chance of its own
    assert finding.value == "net: 0 and 1"


def test_files_of_weights_and_of_predictions(tmp_path):
    rng = np.random.default_rng(0)
    body = rng.random((4, 3), np.float32)
    for seed in range(2):
        save_file({"backbone.w": body, "head.w": rng.random(3, np.float32)},
                  tmp_path / f"{seed}.safetensors")  # fmt: skip
        with (tmp_path / f"{seed}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["user", "score"], [1, 0.5 + seed], [2, 0.25]])
    weights = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    assert lint_fits(weights).findings == ()
    (finding,) = lint_fits(weights, backbone="backbone").findings
    assert (finding.check, finding.column, finding.cases) == ("shared-fit", "backbone*", 2)
    assert lint_fits(weights, backbone="head").findings == ()
    tables = [tmp_path / f"{seed}.csv" for seed in range(2)]
    assert lint_fits(tables).findings == ()
    tables[1].write_bytes(tables[0].read_bytes())
    assert len(lint_fits(tables).findings) == 1
    with pytest.raises(ConfigError, match="two seeds"):
        lint_fits(tables[:1])
    with pytest.raises(DataError, match="no array body"):
        lint_fits(weights, backbone="body")


def test_no_result_of_ours_passes_one_fit_off_as_several():
    results = sorted((ROOT / "benchmarks").glob("*/results/*.json"))
    assert len(results) > 20
    for path in results:
        assert lint_results(path).findings == (), path.name


# -- our own protocols --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return synthetic(n_users=150, n_items=80, seed=2)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("by", ["random", "time"])
def test_no_alarm_in_our_splits(data, scenario, by):
    config = SplitConfig(scenario=scenario, by=by, test_fraction=0.25, max_shots=4, min_support=1)
    report = lint_split(data, make_split(data, config))
    assert report.findings == ()
    assert ("future-rows" in report.checked) == (by == "time")


def test_no_alarm_where_new_items_are_tasks(data):
    turned = data.exchanged()
    split = make_split(turned, SplitConfig(max_shots=4, min_support=1, test_fraction=0.2))
    assert lint_split(turned, split).findings == ()


def test_no_alarm_in_the_protocol_of_cold_ads():
    cold_ads = pytest.importorskip("warmstart.evaluation.cold_ads")
    log = log_of(3, n_users=80, n_items=25, n=4_000)
    split = cold_ads.split_ads(log["item"], log["timestamp"], established=60, batch=3)
    tables = {
        "train": rows_of(log, split.training),
        "test": rows_of(log, split.test),
        "support": rows_of(log, np.concatenate(split.batches)),
    }
    asked = {"scenario": "item-cold", "by": "item-time"}
    assert lint_tables(**tables, **asked).findings == ()
    whole = {"item": np.arange(25), "clicks": np.bincount(log["item"], log["rating"] >= 4, 25)}
    (finding,) = lint_tables(**tables, **asked, features=[whole]).findings
    assert (finding.check, finding.column) == ("whole-period", "clicks")
    tables["support"] = rows_of(log, np.append(split.batches[0], split.test[-1]))
    found = lint_tables(**tables, **asked).findings
    assert {f.check for f in found} == {"support-in-query", "future-rows"}


def test_no_alarm_in_tasks_of_pairs(data):
    torch = pytest.importorskip("torch")
    from warmstart.recommenders.pair_tasks import PairKind, draw_pair_tasks

    labels, rng = data.evidence(), np.random.default_rng(0)
    who = np.flatnonzero(np.diff(labels.indptr) >= 6)
    trained = np.arange(data.n_users)[~np.isin(np.arange(data.n_users), who[:40])]
    tasks = draw_pair_tasks(
        PairKind(labels), who[:40], rng, offsets=np.zeros((40, 1, 1 + data.n_items)), known=None,
        n_other_features=0, max_shots=4, query_pairs=8,
    )  # fmt: skip

    def table(examples):
        task, place = torch.nonzero(examples.mask, as_tuple=True)
        return {"user": who[task.numpy()], "item": examples.inputs[1][task, place].numpy() - 1}

    rows = data.interactions
    taught = np.isin(rows.user, trained)
    train = {"user": rows.user[taught], "item": rows.item[taught]}
    support, query = table(tasks.support), table(tasks.query)
    found = lint_tables(train, query, support=support, scenario="user-cold")
    assert found.findings == ()
    both = {name: np.append(values, query[name][:1]) for name, values in support.items()}
    assert checks(lint_tables(train, query, support=both)) == ["support-in-query"]


def test_rows_that_come_again_after_the_cut_do_not_teach(data):
    rows = {"user": [], "item": [], "timestamp": []}
    rng = np.random.default_rng(0)
    for user in range(40):
        for item in rng.choice(30, 8, replace=False):
            for when in np.sort(rng.integers(0, 10**6, 2)):
                rows["user"].append(user)
                rows["item"].append(int(item))
                rows["timestamp"].append(int(when) + 10**9)
    again = Dataset.from_tables(rows)
    split = make_split(again, SplitConfig(scenario="warm", by="time", test_fraction=0.3))
    assert len(split.train.interactions) > len(split.train.pairs)  # repetitions that may teach
    assert lint_split(again, split).findings == ()


def test_a_leak_in_a_split_is_found(data):
    from dataclasses import replace

    split = make_split(data, SplitConfig(test_fraction=0.25, max_shots=4))
    found = lint_split(data, replace(split, train=data)).findings
    assert {"shared-rows", "cold-met"} <= {f.check for f in found}


# -- what cannot be read ------------------------------------------------------------------------


def test_bad_input_is_refused():
    train, test = cut_in_time(log_of(times=False))
    with pytest.raises(ConfigError, match="by='time' cannot be checked"):
        lint_tables(train, test, by="time")
    with pytest.raises(ConfigError, match="scenario='cold'"):
        lint_tables(train, test, scenario="cold")
    with pytest.raises(DataError, match="no user or item column"):
        lint_tables(train, test, features=[{"x": [1], "y": [2]}])
    with pytest.raises(DataError, match="has no user; fill it in"):
        lint_tables({"user": [1, None], "item": [1, 2]}, test)
    with pytest.raises(DataError, match="JSON"):
        lint_results("no/such/file.json")


def test_a_report_is_plain_json():
    train, _ = cut_in_time(log_of())
    told = json.loads(json.dumps(lint_tables(train, rows_of(train, slice(3))).to_dict()))
    assert {f["check"] for f in told["findings"]} == {"shared-rows", "future-rows"}
    assert all(f["cause"] and f["mend"] and f["row"] for f in told["findings"])
