"""Tables of every kind to one dataset; bad rows to a report."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.core.errors import DataError
from warmstart.data import Dataset

ROWS = {
    "user": ["小明", "ann", "ann", "bob"],
    "item": ["霸王别姬", "Alien", "霸王别姬", "x" * 256],
    "rating": [5.0, 4.0, 1.0, 3.0],
    "timestamp": [10, 30, 20, 40],
}
ITEMS = {
    "item": ["Alien", "霸王别姬", "x" * 256, "new"],
    "genres": ["Horror|Sci-Fi", "Drama", None, "Drama|Horror"],
}


def as_jsonl(table, path):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in table.to_pylist()))
    return path


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "csv", "tsv", "parquet", "jsonl"])
def test_every_kind_of_table_gives_the_same_dataset(kind, tmp_path):
    def convert(columns, name):
        table, path = pa.table(columns), tmp_path / f"{name}.{kind}"
        match kind:
            case "pandas":
                return pd.DataFrame(columns)
            case "polars":
                return pl.DataFrame(columns)
            case "arrow":
                return table
            case "csv" | "tsv":
                options = pa.csv.WriteOptions(delimiter="," if kind == "csv" else "\t")
                pa.csv.write_csv(table, path, options)
            case "parquet":
                pq.write_table(table, path)
            case "jsonl":
                as_jsonl(table, path)
        return path

    plain = Dataset.from_tables(ROWS, ITEMS)
    found = Dataset.from_tables(convert(ROWS, "rows"), convert(ITEMS, "items"))
    assert found.fingerprint == plain.fingerprint
    assert list(found.users) == ["小明", "ann", "bob"]
    assert found.n_items == 4  # an item that nobody met is in the catalogue
    assert found.schema.items["genres"].kind == "multi-category"


def test_integer_ids_stay_integers_and_texts_stay_texts():
    numbers = Dataset.from_tables({"user": [7, 7, 3], "item": [1, 2, 1]})
    texts = Dataset.from_tables({"user": ["7", "7", "3"], "item": ["01", "2", "01"]})
    assert list(numbers.users) == [7, 3]
    assert list(texts.items) == ["01", "2"]


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=4), st.integers(-9, 9), st.integers(1, 5)),
        min_size=1,
        max_size=30,
        unique=True,  # a row that repeats another one whole is left out, with a note
    )
)
@settings(deadline=None, max_examples=60)
def test_indices_lead_back_to_the_ids_of_every_row(rows):
    rows = [(u, i, r) for u, i, r in rows if u.strip()]
    if not rows:
        return
    users, items, ratings = map(list, zip(*rows, strict=True))
    data = Dataset.from_tables({"user": users, "item": items, "rating": ratings})
    found = data.interactions
    assert [data.users[int(u)] for u in found.user] == users
    assert [data.items[int(i)] for i in found.item] == items
    assert data.positives().nnz <= len(set(zip(users, items, strict=True)))


def test_repeated_rows_of_a_pair_are_one_event_with_their_mean():
    rows = {"user": ["a", "a", "b"], "item": [1, 1, 2], "rating": [5, 1, 3]}
    data = Dataset.from_tables(rows)
    assert len(data.interactions) == 3
    single = {r: v for r, v in zip((5, 1), data.interactions.value[:2], strict=True)}
    assert data.evidence().toarray()[0, 0] == pytest.approx(np.mean(list(single.values())))


BAD = {
    "user": ["a", "", "b", "c", "d"],
    "item": [1, 2, 3, None, 5],
    "rating": [5, 4, float("nan"), 3, 2],
}


def test_bad_rows_are_refused_with_row_column_cause_and_mend():
    with pytest.raises(DataError, match=r"3 of 5 rows are bad.*row 2.*'user'.*empty"):
        Dataset.from_tables(BAD)
    kept = Dataset.from_tables(BAD, on_bad_rows="drop")
    assert [kept.users[int(u)] for u in kept.interactions.user] == ["a", "d"]
    assert kept.report.n_refused == 3
    found = {(e.row, e.column) for e in kept.report.examples}
    assert found == {(2, "user"), (3, "rating"), (4, "item")}
    assert all(e.cause and e.mend for e in kept.report.examples)


def test_an_id_of_300_characters_and_a_repeated_row_are_reported():
    with pytest.raises(DataError, match=r"longer than 256 characters, got 'xxx.*300 char"):
        Dataset.from_tables({"user": ["x" * 300], "item": [1]})
    twice = Dataset.from_tables({"user": ["a", "a"], "item": [1, 1], "rating": [5, 5]})
    assert len(twice.interactions) == 1
    assert any("1 exact repetitions" in note for note in twice.report.notes)


def test_the_report_names_the_line_of_a_text_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("user,item,timestamp\na,1,2020-01-01\nb,2,soon\nc,3,2020-01-02\n")
    report = Dataset.from_files(path, on_bad_rows="drop").report
    (bad,) = report.examples
    assert (bad.table, bad.line, bad.column, bad.value) == ("rows.csv", 3, "timestamp", "'soon'")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"user": [], "item": []}, "no rows"),
        ({"user": ["a"], "thing": [1]}, "no item column"),
        ({"user": [None, ""], "item": [1, 2]}, "2 of 2 rows are bad"),
        ({"user": ["a", "b"], "item": [1, 2], "rating": ["good", "bad"]}, "rating"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(rows, says):
    with pytest.raises(DataError, match=says):
        Dataset.from_tables(rows)


def test_a_wrong_path_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        Dataset.from_files(tmp_path / "nowhere.csv")


def test_one_interaction_is_a_dataset():
    data = Dataset.from_tables({"user": ["a"], "item": ["b"]})
    assert data.positives().toarray().tolist() == [[1.0]]


def test_usual_names_of_columns_are_understood(tmp_path):
    rows = {"UserID": [1, 2], "movie_id": [3, 4], "Stars": [1, 5], "created-at": [5, 6]}
    data = Dataset.from_tables(rows)
    kinds = {name: column.kind for name, column in data.schema.interactions.items()}
    assert kinds == {
        "UserID": "user",
        "movie_id": "item",
        "Stars": "rating",
        "created-at": "timestamp",
    }
