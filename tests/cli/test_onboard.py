"""The interview in the terminal with piped keys, and interviews played from a file."""

import io
import json

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from warmstart.data import load_dataset
from warmstart.recommenders import load
from warmstart.recommenders.onboarding.policies import POLICIES


@pytest.fixture
def keys(monkeypatch):
    """Type these answers."""
    return lambda *lines: monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))


@pytest.fixture(scope="module")
def newcomers(tmp_path_factory):
    """Ratings of 30 users from the same world whom the model has not met, one item unknown."""
    data = load_dataset("synthetic", n_users=150, n_items=60, seed=6)
    rows = data.interactions
    mine = rows.user < 30
    table = pa.table(
        {
            "user": pa.array([f"new {u}" for u in rows.user[mine]]),
            "item": data.items.values.take(pa.array(rows.item[mine])).cast(pa.string()),
            "rating": rows.rating[mine],
        }
    )
    odd = pa.table({"user": ["new 0"], "item": ["no such item"], "rating": [3.0]})
    path = tmp_path_factory.mktemp("new") / "ratings.parquet"
    pq.write_table(pa.concat_tables([table, odd.cast(table.schema)]), path)
    return path


def test_the_list_sharpens_with_the_answers(run, trained, keys, tmp_path):
    keys("l", "x", "d", "n", "s", "4", "e")
    out = tmp_path / "interview.json"
    code, said, _ = run("onboard", trained, "--json", out)
    assert code == 0
    record = json.loads(out.read_text("utf8"))
    answers = [question["answer"] for question in record["questions"]]
    assert answers == ["like", "dislike", "not seen", "skip", 4.0]
    items = [question["item"] for question in record["questions"]]
    assert len(set(items)) == 5
    assert "'x' is none of the keys" in said
    assert said.count("   1  ") == 4  # after the like, the dislike, the rating, and at the end
    # the last list is what the model recommends after these answers
    model = load(trained)
    expected = model.recommend([items[0], (items[4], 4.0)], dislikes=[items[1]], k=5)
    assert [line["item"] for line in record["list"]] == [r.item for r in expected]
    assert not {items[0], items[1], items[4]} & {line["item"] for line in record["list"]}


def test_the_end_of_the_input_is_enough(run, trained, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, said, _ = run("onboard", trained)
    assert code == 0
    assert said.count("   1  ") == 1


def test_it_stops_when_another_question_changes_little(run, trained, keys):
    keys(*["l"] * 60)
    code, said, _ = run("onboard", trained, "--questions", 60)
    assert code == 0
    assert "Another question is expected to change little." in said
    assert 1 < said.count("people") < 60


def test_the_file_is_played_against_every_policy(run, trained, newcomers, tmp_path):
    out = tmp_path / "played.json"
    code, said, _ = run("onboard", trained, "--simulate", newcomers, "--policies", "all",
                        "--questions", 3, "--json", out)  # fmt: skip
    assert code == 0
    record = json.loads(out.read_text("utf8"))
    rows = record["rows"]
    assert set(rows[0]) == {
        "policy", "world", "questions", "metric", "mean", "ci_low", "ci_high", "users"
    }  # fmt: skip
    found = {(r["policy"], r["world"], r["questions"], r["metric"]) for r in rows}
    assert found == {
        (policy, world, number, metric)
        for policy in POLICIES
        for world in ("open", "closed")
        for number in range(4)
        for metric in ("rmse", "ndcg@10", "answered")
    }
    assert all(r["ci_low"] <= r["mean"] <= r["ci_high"] for r in rows)
    assert {r["users"] for r in rows if r["metric"] != "ndcg@10"} == {30}
    assert record["unknown_ratings"] == 1
    assert "1 ratings name items outside the catalogue" in said
    of = {(r["policy"], r["world"], r["questions"], r["metric"]): r["mean"] for r in rows}
    assert of["random", "closed", 3, "answered"] == 3  # all of them have four ratings to give
    assert of["random", "open", 3, "answered"] < of["popularity", "open", 3, "answered"]
    starts = {r["mean"] for r in rows if r["questions"] == 0 and r["metric"] == "rmse"}
    assert len(starts) == 1
    assert set(record["identical"]["open"]) == set(POLICIES)
    assert record["identical"]["open"]["popularity"] == 1
    lines = [line.split() for line in said.splitlines()]
    assert next(line[-2:] for line in lines if line[:1] == ["popularity"]) == ["100", "%"]
    again = tmp_path / "again.json"
    run("onboard", trained, "--simulate", newcomers, "--policies", "thompson,popularity",
        "--questions", 2, "--json", again)  # fmt: skip
    fewer = json.loads(again.read_text("utf8"))["rows"]
    assert [r for r in fewer if r["policy"] == "thompson" and r["questions"] == 2] == [
        r for r in rows if r["policy"] == "thompson" and r["questions"] == 2
    ]


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [
        ({"user": [1], "item": [2]}, (), "no column rating"),
        ({"item": [1], "rating": [2]}, (), "user"),
        ({"user": [], "item": [], "rating": []}, (), "no rows"),
        ({"user": [1, 1], "item": ["x", "y"], "rating": [3, 4]}, (), "none of the 1 users"),
        ({"user": [1, 1], "item": [1, 2], "rating": [3, 40]}, (), "off the scale"),
        ({"user": [1], "item": [1], "rating": [3]}, ("--policies", "oracle"), "'oracle'"),
        ({"user": [1], "item": [1], "rating": [3]}, ("--policies", ","), "names none"),
        ({"user": [1], "item": [1], "rating": [3]}, ("--questions", 0), "at least 1"),
    ],
)
def test_what_cannot_be_played_is_one_line(run, trained, tmp_path, table, options, told):
    path = tmp_path / "ratings.csv"
    csv.write_csv(pa.table(table), path)
    code, _, error = run("onboard", trained, "--simulate", path, *options)
    assert code == 2
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_an_empty_file_and_a_missing_one_are_one_line(run, trained, tmp_path):
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("empty.parquet", "empty.csv", "gone.parquet"):
        code, _, error = run("onboard", trained, "--simulate", tmp_path / name)
        assert code == 2
        assert len(error.strip().splitlines()) == 1
        assert name in error


def test_a_model_that_has_not_learned_to_ask_says_so(run, tables, newcomers, keys, tmp_path):
    out = tmp_path / "knn"
    run("train", "--interactions", tables / "train.parquet", "--method", "itemknn", "--out", out)
    code, _, error = run("onboard", out, "--simulate", newcomers)
    assert code == 2
    assert "has not learned to ask" in error
    keys("l", "e")
    code, said, _ = run("onboard", out)  # but it asks, by what the numbers of likes tell
    assert code == 0
    assert "of people know it" in said
