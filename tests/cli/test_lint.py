"""`warmstart data lint` from files to an exit code."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def files(tmp_path):
    """A log that is cut in time, as CSV and Parquet, with counts of all of it beside."""
    rng = np.random.default_rng(0)
    pairs = rng.permutation(np.unique(rng.integers(0, 40 * 30, 700)))
    rows = {
        "user_id": pairs // 30,
        "item_id": pairs % 30,
        "timestamp": 10**9 + np.arange(len(pairs)),
    }
    cut = int(0.7 * len(pairs))
    csv.write_csv(pa.table({n: v[:cut] for n, v in rows.items()}), tmp_path / "train.csv")
    pq.write_table(pa.table({n: v[cut:] for n, v in rows.items()}), tmp_path / "test.parquet")
    for name, used in (("whole", pairs), ("honest", pairs[:cut])):
        counts = np.bincount(used % 30, minlength=30)
        table = pa.table({"item_id": np.arange(30), "popularity": np.log1p(counts)})
        csv.write_csv(table, tmp_path / f"{name}.csv")
    return tmp_path


def test_clean_tables_pass_and_a_leak_is_told_with_row_cause_and_mend(run, files):
    tables = ("data", "lint", "--train", files / "train.csv", "--test", files / "test.parquet")
    code, said, _ = run(*tables, "--features", files / "honest.csv")
    assert code == 0
    assert "no leak; checked: shared-rows, future-rows, whole-period" in " ".join(said.split())
    code, said, _ = run(*tables, "--features", files / "whole.csv", "--json", files / "found.json")
    assert code == 1
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    (finding,) = json.loads((files / "found.json").read_text())["findings"]
    assert (finding["check"], finding["table"], finding["column"]) == (
        "whole-period", "whole.csv", "popularity",
    )  # fmt: skip
    assert finding["line"] == finding["row"] + 1
    assert finding["mend"].split()[0] in said


def test_a_split_of_a_dataset_and_results_are_checked(run, tmp_path):
    code, said, _ = run("data", "lint", "synthetic", "--scenario", "item-cold", "--json", "-")
    assert code == 0
    assert json.loads(said)["findings"] == []
    same = {"runs": [{"seed": s, "backbone_sha256": "abc"} for s in (0, 1, 2)]}
    (tmp_path / "r.json").write_text(json.dumps(same))
    code, said, _ = run("data", "lint", "--results", tmp_path / "r.json")
    assert code == 1
    assert "several seeds share one fit" in " ".join(said.split())


def test_what_cannot_be_checked_is_an_error(run, files):
    for args in ((), ("--train", files / "train.csv"), ("--fits", files / "train.csv"),
                 ("--train", files / "no.csv", "--test", files / "test.parquet"),
                 ("synthetic", "--train", files / "train.csv"),
                 ("--train", files / "train.csv", "--test", files / "test.parquet",
                  "--scenario", "cold")):  # fmt: skip
        code, _, error = run("data", "lint", *args)
        assert code == 2
        assert error.startswith("error: ")
