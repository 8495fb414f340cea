"""`warmstart report` as a program calls it: strangers in, a page and numbers out."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warmstart.data import load_dataset


@pytest.fixture(scope="module")
def strangers(tables, tmp_path_factory):
    """Ratings and columns of people whom the model has not met, for the same items."""
    folder = tmp_path_factory.mktemp("strangers")
    other = load_dataset("synthetic", n_users=90, n_items=60, seed=8)
    names = pa.array([f"new {i}" for i in range(other.n_users)])
    rows = other.interactions
    columns = {
        "user": names.take(pa.array(rows.user)),
        "item": other.items.values.take(pa.array(rows.item)),
        "rating": rows.rating,
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    column = other.user_table.column_names[0]
    table = other.user_table.set_column(0, "user", names)
    assert column == "user"
    pq.write_table(table, folder / "users.parquet")
    return folder


def test_strangers_are_judged_and_told_of_in_both_languages(run, trained, strangers, tmp_path):
    args = ("report", trained, "--interactions", strangers / "rows.parquet",
            "--users", strangers / "users.parquet", "--shots", "0,3")  # fmt: skip
    code, said, _ = run(*args, "--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    assert code == 0
    assert "0 left out, for the model was trained" in " ".join(said.split())
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    page = (tmp_path / "r.html").read_text("utf8")
    assert '<html lang="en">' in page
    numbers = json.loads((tmp_path / "r.json").read_text("utf8"))
    assert numbers["about"]["people"]["judged"] > 50
    assert numbers["about"]["people"]["met"] == 0
    assert {gap["column"] for gap in numbers["gaps"]} >= {"age", "taste"}
    assert {f["method"] for f in numbers["figures"]} == {
        "default", "popularity", "shuffled", "taste",
    }  # fmt: skip
    code, _, _ = run(*args, "--lang", "zh", "--by", "age", "--html", tmp_path / "r.html")
    assert code == 0
    chinese = (tmp_path / "r.html").read_text("utf8")
    assert '<html lang="zh-Hans">' in chinese
    assert "模型报告" in chinese


def test_the_same_seed_gives_the_same_numbers(run, trained, strangers):
    told = []
    for _ in range(2):
        code, said, _ = run("report", trained, "--interactions", strangers / "rows.parquet",
                            "--shots", "0,3", "--seed", 4, "--json", "-")  # fmt: skip
        assert code == 0
        values = json.loads(said)
        told.append({k: v for k, v in values.items() if k != "about"})
    assert told[0] == told[1]


def test_people_whom_it_was_trained_on_are_refused(run, trained, tables):
    code, _, said = run("report", trained, "--interactions", tables / "train.parquet")
    assert code == 2
    assert "was trained on all 150 people" in " ".join(said.split())


def test_faults_are_one_line(run, trained, strangers, tmp_path):
    rows = strangers / "rows.parquet"
    for args, message in (
        ((), "give ratings of other people"),
        (("--data", "synthetic", "--interactions", rows), "either --data"),
        (("--users", rows), "goes with --interactions"),
        (("--interactions", rows, "--lang", "fr"), "--lang is en or zh"),
        (("--interactions", rows, "--shots", "a"), "no list of whole numbers"),
        (("--interactions", rows, "--by", "shoe"), "no user column 'shoe'"),
        (("--interactions", rows, "--html", tmp_path / "no" / "r.html"), "is no folder"),
    ):
        code, _, said = run("report", trained, *args)
        assert code == 2, args
        assert message in " ".join(said.split()), args
