"""Logs of ads: every bad row is refused where it stands, and a later table is coded alike."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.ads.coding import Coding
from warmstart.ads.log import AdLog
from warmstart.core.errors import DataError

GOOD = {
    "user": ["a", "b", "a", None],
    "ad": [1, 2, 1, 2],
    "click": [1, 0, 1, 0],
    "buy": [1, None, 0, 0],
    "kinds": ["x|y", "y", "x", "y"],
    "age": [1.5, 2, 3, 4],
    "p": [0.5, 0.5, 0.1, 1.0],
}
NAMES = {"conversion": "buy", "ad_columns": ["kinds"], "user_columns": ["age"], "propensity": "p"}


def test_a_table_becomes_codes():
    log = AdLog.from_table(GOOD, **NAMES)
    assert log.user.tolist() == [0, 1, 0, -1]
    assert log.ad.tolist() == [0, 1, 0, 1]
    assert log.conversion.tolist() == [1, 0, 0, 0]
    assert log.fields["kinds=y"].tolist() == [1, 1, 0, 1]
    assert log.fields["age"].tolist() == [0, 1, 2, 3]
    assert log.coding.fields_of("ad") == {"kinds=y": 2, "kinds=x": 2}


def test_a_later_table_is_coded_alike_and_strangers_are_minus_one():
    coding = Coding.from_json(AdLog.from_table(GOOD, **NAMES).coding.to_json())
    later = {"user": ["z", "b"], "ad": ["2", "9"], "kinds": ["y|new", None], "age": [3.0, 99]}
    log = AdLog.read(later, coding)
    assert log.user.tolist() == [-1, 1]
    assert log.ad.tolist() == [1, -1]
    assert log.fields["kinds=y"].tolist() == [1, 0]
    assert log.fields["age"].tolist() == [2, -1]
    assert np.isnan(log.click).all()
    met = AdLog.read(later, coding, meet=True)
    assert met.user.tolist() == [2, 1]
    assert met.ad.tolist() == [1, 2]
    assert list(met.coding.ads) == [1, 2, 9]


def test_numbers_are_cut_by_training_alone():
    rng = np.random.default_rng(0)
    train = {
        "ad": rng.integers(3, size=400),
        "click": np.arange(400) % 2,
        "x": rng.normal(size=400),
    }
    log = AdLog.from_table(train, user=None, context_columns=["x"])
    inner = np.quantile(train["x"], np.arange(1, 8) / 8)
    later = log.encode({"ad": [0, 0, 0], "x": [-50.0, inner[3] + 1e-9, 50.0]})
    assert later.fields["x"].tolist() == [0, 4, 7]
    assert np.bincount(log.fields["x"]).tolist() == [50] * 8


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["x", "y", " x ", "x|y", "z", "", None]),
    st.one_of(st.none(), st.floats(-9, 9, allow_nan=False), st.sampled_from([1.0, 2, 1.5])),
    st.sampled_from(["1", "2", "7", None]),
)
def test_one_occasion_is_coded_as_a_table_of_one_row_is(text, number, digit):
    rng = np.random.default_rng(0)
    train = {
        "ad": [1, 2] * 40, "click": [0, 1] * 40, "cat": ["x", "y"] * 40, "many": ["x|y", "y"] * 40,
        "few": [1.0, 1.5, 2.0, 2.0] * 20, "wide": rng.normal(size=80), "int": [1, 2] * 40,
    }  # fmt: skip
    columns = ["cat", "many", "few", "wide", "int"]
    coding = AdLog.from_table(train, user=None, context_columns=columns).coding
    row = {"cat": text, "many": text, "few": number, "wide": number, "int": digit}
    one = coding.encode_one("context", row)
    table = pa.table({n: pa.array([v], pa.string() if n in ("cat", "many", "int") else pa.float64())
                      for n, v in row.items()})  # fmt: skip
    assert {n: c.tolist() for n, c in one.items()} == {
        n: c.tolist() for n, c in coding.encode_columns("context", table).items()
    }


def test_chinese_names_and_values():
    table = {"用户": ["甲", "乙", "甲"], "广告": ["茶", "酒", "酒"], "点击": [1, 0, 0],
             "城市": ["北京", "上海", "北京"]}  # fmt: skip
    log = AdLog.from_table(table, user="用户", ad="广告", click="点击", user_columns=["城市"])
    assert list(log.coding.ads) == ["茶", "酒"]
    assert log.fields["城市"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("change", "names", "says"),
    [
        ({"click": [1, 0, 2, 0]}, {}, "click of row 2 of ad log is 2, not 0 or 1 (1 of 4 rows"),
        ({"click": ["1", "0", "yes", "0"]}, {}, "click of row 2 of ad log is 'yes'"),
        ({"click": [1, 0, None, 0]}, {}, "click of row 2 of ad log is None"),
        ({"click": [1, 0, float("nan"), 0]}, {}, "click of row 2"),
        ({"buy": [1, 1, 0, 0]}, {}, "row 1 of ad log has a conversion without a click"),
        ({"buy": [1, 0, -1, 0]}, {}, "conversion of row 2 of ad log is -1"),
        ({"click": [0, 0, 0, 0], "buy": [0] * 4}, {}, "all 4 rows of ad log have click 0"),
        ({"click": [1] * 4}, {}, "name no click column"),
        ({"buy": [0, 0, 0, 0]}, {}, "all 2 clicks of ad log of which it is told have conversion 0"),
        ({"ad": [1, None, 2, 2]}, {}, "ad of row 1 of ad log is None, not an id"),
        ({"p": [0.5, 0, 1, 1]}, {}, "propensity of row 1 of ad log is 0.0, not a probability"),
        ({}, {"user": "who"}, "no column 'who' for the user (it has: user, ad,"),
        ({}, {"context_columns": ["age"]}, "'age' is named as user feature and as context"),
        ({"click": [], "ad": [], "user": []}, {}, "different lengths"),
    ],
)
def test_bad_tables_are_refused_with_the_row(change, names, says):
    with pytest.raises(DataError) as error:
        AdLog.from_table(GOOD | change, **(NAMES | names))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bad_row_of_a_file_is_told_by_its_line(tmp_path):
    pa.csv.write_csv(pa.table({"user": [1, 2], "ad": [1, 2], "click": [0, 7]}), tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"line 3 of t\.csv is 7"):
        AdLog.from_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no such file"):
        AdLog.from_table(tmp_path / "none.csv")
    (tmp_path / "e.csv").write_text("user,ad,click\n")
    with pytest.raises(DataError, match="has no rows"):
        AdLog.from_table(tmp_path / "e.csv")


def test_a_table_without_a_column_of_the_training_is_refused():
    log = AdLog.from_table(GOOD, **NAMES)
    with pytest.raises(DataError, match="no user column 'age', which the model was trained on"):
        log.encode({"user": ["a"], "ad": [1], "kinds": ["x"]})
    with pytest.raises(DataError, match="has not seen a context column 'hour'"):
        log.coding.encode_one("context", {"hour": 3})


def test_conversions_before_their_click_are_refused():
    table = {"ad": [1, 2], "click": [1, 1], "t": [100.0, 100.0], "buy": [1, 0], "bt": [90.0, None]}
    with pytest.raises(DataError, match="at or after its click"):
        AdLog.from_table(
            table, user=None, click=None, conversion="buy", timestamp="t",
            conversion_timestamp="bt",
        )  # fmt: skip
