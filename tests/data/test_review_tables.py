"""Tables of reviews under other people's names, and what is wrong with some."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from warmstart.core.errors import DataError
from warmstart.data.reviews import read_reviews

ROWS = {
    "reviewerID": ["ann", "bo", "ann", "cy"],
    "asin": ["x", "y", "y", "x"],
    "reviewText": ["A warm sound.", "It broke,\nafter a week.", "音色温暖", "Good &amp; cheap"],
    "overall": [5.0, 1.0, 4.0, 4.0],
    "unixReviewTime": [1393545600, 1363392000, 1377648000, 1392336000],
}


def write(folder, suffix, rows):
    path = folder / f"reviews{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table(rows), path)
    elif suffix == ".csv":
        csv.write_csv(pa.table(rows), path)
    else:
        lines = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf8")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_same(tmp_path, suffix):
    found = read_reviews(write(tmp_path, suffix, ROWS))
    assert [found.users[i] for i in found.user] == ROWS["reviewerID"]
    assert [found.items[i] for i in found.item] == ROWS["asin"]
    assert list(found.texts) == [*ROWS["reviewText"][:3], "Good & cheap"]
    np.testing.assert_array_equal(found.rating, ROWS["overall"])
    np.testing.assert_array_equal(found.time, ROWS["unixReviewTime"])
    assert [found.counts[found.items.index(i)] for i in ("x", "y")] == [2, 2]
    some = found.where(np.array([False, True, False, True]))
    assert some.texts == (found.texts[1], found.texts[3])
    assert some.rating.tolist() == [1, 4]


def test_frames_and_chinese_names_are_understood():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"用户": [1, 2], "电影": ["活着", "活着"], "评论": ["感人", None], "评分": [5, 3]}
    )
    found = read_reviews(frame)
    assert found.texts == ("感人",)
    assert list(found.users) == [1]
    assert found.rating.tolist() == [5]
    assert found.time is None
    assert "1 of 2 reviews have no text" in found.report.notes[0]


def test_what_is_no_text_is_left_out():
    rows = {"user": [1, 2, 3, 4, 5], "item": [1, 1, 2, 2, 3], "stars": ["4", "x", "1", "2", "3"]}
    rows["comment"] = ["fine", "", "  ", "NaN", None]
    found = read_reviews(rows)
    assert found.texts == ("fine",)
    assert list(found.items) == [1]
    unrated = read_reviews(
        {"user": [1, 2], "item": [1, 1], "text": ["a", "b"], "stars": ["4", "x"]}
    )
    np.testing.assert_array_equal(unrated.rating, [4, np.nan])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"user": [1], "item": [1], "words": ["a"]}, r"no text column \(it has: user, item, words"),
        ({"user": [1], "text": ["a"]}, "no item column"),
        ({"item": [1], "text": ["a"]}, "no user column"),
        ({"user": [1], "item": [1], "text": [None]}, "none of the 1 rows of reviews has a user"),
        ({"user": [1], "item": [1], "text": [float("nan")]}, "none of the 1 rows"),
        ({"user": [1], "item": [1], "text": [["a"]]}, "are list<item: string>; give one text"),
        ({"user": [None, 1], "item": [1, 1], "text": ["a", "b"]}, "row 1, .*the id is missing"),
        ({"user": [1, 1], "item": ["a", " "], "text": ["a", "b"]}, "row 2, .*the id is missing"),
        ({"user": [], "item": [], "text": []}, "has no rows"),
    ],
)
def test_wrong_tables_are_refused(rows, says):
    with pytest.raises(DataError, match=says):
        read_reviews(rows)


def test_bad_rows_can_be_dropped():
    rows = {"user": [None, 1], "item": [1, 1], "text": ["a", "b"]}
    found = read_reviews(rows, on_bad_rows="drop")
    assert found.texts == ("b",)
    assert found.report.n_refused == 1
