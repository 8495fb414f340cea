"""`data describe --reviews`: what reviews say, and one line where they cannot be read."""

import json
import os

import pyarrow as pa
import pyarrow.csv as csv
import pytest

SAID = {
    "lamp": ["The switch broke.", "A terrible switch", "The cable is great", "I love the cable"],
    "novel": ["The plot is boring", "A dull plot", "The hero is charming", "A brilliant hero"],
}


@pytest.fixture
def table(tmp_path):
    rows = [
        {"user": f"{item} {number}", "item": item, "text": text, "stars": 2 if number < 2 else 5}
        for item, texts in SAID.items()
        for number, text in enumerate(texts * 3)
    ]
    rows.append({"user": "ann", "item": "rare", "text": "[red]nothing[/red] \x1b[31m", "stars": 3})
    csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "reviews.csv")
    return tmp_path / "reviews.csv"


def test_the_most_reviewed_items_are_described(run, table):
    code, said, _ = run("data", "describe", "--reviews", table)
    assert code == 0
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    for words in ("lamp, 12 reviews", "switch", "cable", "A dull plot", "rare, 1 review"):
        assert words in said
    assert "\x1b" not in said


def test_programs_get_the_same(run, table):
    code, said, _ = run("data", "describe", "--reviews", table, "--item", "novel", "--json", "-")
    assert code == 0
    found = json.loads(said)["reviews"]
    assert (found["reviews"], found["authors"], found["items"]) == (25, 25, 3)
    (about,) = found["about"]
    assert (about["item"], about["reviews"]) == ("novel", 12)
    aspects = {a["term"]: a for a in about["aspects"]}
    assert set(aspects) == {"plot", "hero"}
    assert aspects["plot"]["polarity"] < 0 < aspects["hero"]["polarity"]
    assert aspects["hero"]["authors"] == 6
    assert aspects["hero"]["example"] in SAID["novel"]


def test_a_dataset_lends_its_titles(run, table, tmp_path):
    csv.write_csv(pa.table({"user": ["a", "b"], "item": ["lamp", "novel"]}), tmp_path / "rows.csv")
    items = {"item": ["lamp", "novel"], "title": ["Lamp with a long cable", "A Hero"]}
    csv.write_csv(pa.table(items), tmp_path / "items.csv")
    code, said, _ = run(
        "data", "describe", "--interactions", tmp_path / "rows.csv", "--items",
        tmp_path / "items.csv", "--reviews", table, "--item", "lamp", "--json", "-",
    )  # fmt: skip
    assert code == 0
    found = json.loads(said)
    assert found["interactions"] == 2
    (about,) = found["reviews"]["about"]
    assert about["title"] == "Lamp with a long cable"
    assert [a["term"] for a in about["aspects"]] == ["switch"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (None, "no such file"),
        ({"user": ["a"], "item": ["b"], "words": ["c"]}, "no text column"),
        ({"user": ["a"], "item": ["b"], "text": ["NaN"]}, "none of the 1 rows"),
        ({"user": ["a", ""], "item": ["b", "b"], "text": ["c", "c"]}, "the id is missing"),
        ({"user": pa.array([], pa.string()), "item": pa.array([], pa.string()),
          "text": pa.array([], pa.string())}, "has no rows"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, tmp_path, columns, says):
    path = tmp_path / "bad.csv"
    if columns is not None:
        csv.write_csv(pa.table(columns), path)
    code, _, err = run("data", "describe", "--reviews", path)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert says in err


def test_an_unknown_item_proposes_others_and_an_item_needs_reviews(run, table):
    code, _, err = run("data", "describe", "--reviews", table, "--item", "nove")
    assert (code, "did you mean: novel" in err) == (2, True)
    code, _, err = run("data", "describe", "synthetic", "--item", "3")
    assert (code, "--item goes with --reviews FILE" in err) == (2, True)


def test_an_empty_file_is_refused(run, tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    code, _, err = run("data", "describe", "--reviews", tmp_path / "empty.csv")
    assert (code, "is an empty file" in err) == (2, True)
    assert os.linesep not in err.strip()
