"""`warmstart ads`: train, score, report; and one line for whatever is wrong."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from tests.ads.planted import impressions

QUICK = {"latent": 2, "iterations": 3, "backbone": {"epochs": 2}}
FEATURES = (
    "--user-column", "side_of_user", "--ad-column", "side", "--ad-column", "brand",
    "--context-column", "hour",
)  # fmt: skip


@pytest.fixture
def logs(tmp_path):
    csv.write_csv(pa.table(impressions(1_500)), tmp_path / "train.csv")
    csv.write_csv(pa.table(impressions(1_000, seed=4)), tmp_path / "later.csv")
    (tmp_path / "quick.json").write_text(json.dumps({"click": QUICK, "conversion": QUICK}))
    return tmp_path


def test_train_score_and_report(run, logs):
    code, said, err = run(
        "ads", "train", logs / "train.csv", "--out", logs / "m", "--conversion", "buy",
        "--propensity", "p", *FEATURES, "--config", logs / "quick.json", "--seed", 3, "--json", "-",
    )  # fmt: skip
    assert code == 0, err
    about = json.loads(said)
    assert about["rows"] == 1_500
    assert about["seed"] == 3
    code, said, err = run("ads", "score", logs / "m", logs / "later.csv", "--json", "-")
    assert code == 0, err
    rows = json.loads(said)["rows"]
    assert [r["row"] for r in rows] == list(range(1_000))
    assert all(r["click_and_conversion_probability"] <= r["click_probability"] for r in rows)
    bids = impressions(50, seed=9) | {"bid_micros": np.arange(50) * 1_000}
    csv.write_csv(pa.table(bids), logs / "bids.csv")
    args = ("--bid", "bid_micros", "--pays-for", "conversion", "--out", logs / "s.csv")
    code, said, err = run("ads", "score", logs / "m", logs / "bids.csv", *args)
    assert code == 0, err
    worth = csv.read_csv(logs / "s.csv")
    values = worth["expected_value_micros"].to_numpy()
    assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(
        values,
        worth["bid_micros"].to_numpy() * worth["click_and_conversion_probability"].to_numpy(),
        rtol=1e-5,
    )
    code, said, err = run(
        "ads",
        "report",
        logs / "m",
        logs / "later.csv",
        "--top",
        5,
        "--effect",
        0.001,
        "--json",
        "-",
    )
    assert code == 0, err
    found = json.loads(said)
    assert [r["estimator"] for r in found["rows"]] == ["logged", "IPS", "SNIPS", "DR"]
    assert (found["claim"] == "insufficient data") == ("about" in found["sentence"])
    code, said, err = run("ads", "report", logs / "m", logs / "train.csv")
    assert_one_line(code, err, "the log of the training")
    few = {n: v for n, v in impressions(20).items() if n != "hour"}
    csv.write_csv(pa.table(few), logs / "few.csv")
    code, said, err = run("ads", "score", logs / "m", logs / "few.csv")
    assert_one_line(code, err, "no context column 'hour', which the model was trained on")
    csv.write_csv(pa.table(bids | {"bid_micros": [-5] * 50}), logs / "minus.csv")
    code, said, err = run("ads", "score", logs / "m", logs / "minus.csv", "--bid", "bid_micros")
    assert_one_line(code, err, "the bid of row 0 is -5 (50 of 50 are bad)")
    code, said, err = run("ads", "score", logs / "m", logs / "bids.csv", "--bid", "出价")
    assert_one_line(code, err, "no column '出价'")


def assert_one_line(code, err, says):
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert says in err


@pytest.mark.parametrize(
    ("change", "args", "says"),
    [
        ({"click": [3, 0, 1]}, (), "click of line 2 of log.csv is 3, not 0 or 1"),
        ({"buy": [1, 1, 0]}, ("--conversion", "buy"), "a conversion without a click"),
        ({"click": [1, 1, 1]}, (), "all 3 rows of log.csv have click 1"),
        ({"click": [0, 0, 0]}, (), "all 3 rows of log.csv have click 0"),
        ({"buy": [0, 0, 0]}, ("--conversion", "buy"), "have conversion 0"),
        ({}, ("--ad", "广告"), "no column '广告' for the ad"),
        ({}, ("--context-column", "小时"), "no column '小时' for the context feature"),
        ({"点击": [1, 0, 9]}, ("--click", "点击"), "click of line 4 of log.csv is 9"),
        ({}, ("--config", "nowhere.json"), "cannot read the settings"),
    ],
)
def test_a_wrong_log_is_one_line(run, tmp_path, change, args, says):
    table = {"user": ["a", "b", "c"], "ad": [1, 2, 1], "click": [1, 0, 1]} | change
    csv.write_csv(pa.table(table), tmp_path / "log.csv")
    code, _, err = run("ads", "train", tmp_path / "log.csv", "--out", tmp_path / "m", *args)
    assert_one_line(code, err, says)
    assert not (tmp_path / "m").exists()


def test_no_file_no_rows_no_model_are_one_line(run, tmp_path):
    out = ("--out", tmp_path / "m")
    code, _, err = run("ads", "train", tmp_path / "none.csv", *out)
    assert_one_line(code, err, "no such file")
    (tmp_path / "e.csv").write_text("")
    code, _, err = run("ads", "train", tmp_path / "e.csv", *out)
    assert_one_line(code, err, "is an empty file")
    (tmp_path / "h.csv").write_text("user,ad,click\n")
    code, _, err = run("ads", "train", tmp_path / "h.csv", *out)
    assert_one_line(code, err, "has no rows")
    code, _, err = run("ads", "score", tmp_path / "m", tmp_path / "h.csv")
    assert_one_line(code, err, "no saved model")
