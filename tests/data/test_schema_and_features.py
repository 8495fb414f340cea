"""Kinds of columns, guessed and overruled; their encoding; ratings and events as evidence."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.core.errors import ConfigError
from warmstart.data import Column, Dataset, EvidenceRule, FeatureSpace
from warmstart.data.schema import Schema, infer_column

N = 40


@pytest.mark.parametrize(
    ("name", "values", "kind", "separator"),
    [
        ("genres", ["Action|Drama", "Comedy", "Drama"] * N, "multi-category", "|"),
        ("cast", ["Tom Hanks, Tim Allen", "Tom Hanks", "Meg Ryan, Tom Hanks"] * N,
         "multi-category", ", "),
        ("age", list(range(N)), "number", None),
        ("price", [f"{i}.5" for i in range(N)], "number", None),
        ("gender", ["F", "M"] * N, "category", None),
        ("类型", ["剧情", "喜剧", "科幻"] * N, "category", None),
        ("plot", [f"a long story of a man called {i}, who left his home and" for i in range(N)],
         "text", None),
        ("poster", [f"posters/{i}.jpg" for i in range(N)], "image", None),
        ("preview", [f"sounds/{i}.ogg" for i in range(N)], "audio", None),
        ("zip", [f"{i:05}" for i in range(N)], "ignore", None),
        ("tags", [["a", "b"], ["b"], []] * N, "multi-category", None),
    ],
)  # fmt: skip
def test_the_kind_of_a_column_is_guessed(name, values, kind, separator):
    column = infer_column(name, pa.chunked_array([values]))
    assert column.kind == kind
    if separator:
        assert column.separator.strip() == separator.strip()


def test_a_schema_overrules_what_is_guessed_and_survives_json():
    items = {"item": [1, 2], "year": [1990, 2000], "genres": ["a/b", "b"]}
    rows = {"user": ["x", "y"], "item": [1, 2]}
    schema = {"items": {"year": "category", "genres": {"kind": "multi-category", "separator": "/"}}}
    data = Dataset.from_tables(rows, items, schema=schema)
    assert data.schema.items["year"].kind == "category"
    assert data.item_features.names == ["year=1990", "year=2000", "genres=b", "genres=a"]
    assert Schema.from_json(data.schema.to_json()) == data.schema


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"itmes": {}}', "itmes"),
        ('{"items": {"a": "colour"}}', "colour"),
    ],
)
def test_a_wrong_schema_is_refused(text, says):
    with pytest.raises(ConfigError, match=says):
        Schema.from_json(text)


def test_features_are_one_hot_and_what_is_unknown_is_missing():
    table = pa.table({"sex": ["F", "M", "F"] * 10, "age": list(range(30))})
    space = FeatureSpace.fit(table, {"sex": Column(kind="category"), "age": Column(kind="number")})
    coded = space.transform(table).toarray()
    assert (coded.sum(axis=1) == 2).all()
    ages = [name for name in space.names if name.startswith("age")]
    assert len(ages) == 8
    np.testing.assert_array_equal(coded[:, space.names.index("sex=F")], [1, 0, 1] * 10)
    unknown = space.transform(pa.table({"sex": ["X", None], "age": [None, 999]})).toarray()
    assert unknown[0].sum() == 0
    assert unknown[1].sum() == 1  # an age beyond all others is in the last bin
    assert unknown[1, -1] == 1


def test_ratings_become_likes_and_dislikes_on_their_own_scale():
    rule = EvidenceRule().fitted(np.array([1.0, 2, 3, 4, 5]))
    np.testing.assert_allclose(
        rule.values(np.array([1.0, 2, 3, 4, 5])), [-1, -0.7, -0.4, 0.5, 1], rtol=1e-6
    )
    half_stars = EvidenceRule().fitted(np.arange(0.5, 5.5, 0.5))
    assert (half_stars.values(np.array([3.5, 4.0])) > 0).tolist() == [False, True]


@pytest.mark.parametrize(
    ("ratings", "likes"),
    [
        ([4, 5], [True, True]),
        ([3, 4, 5], [False, True, True]),
        ([3.5, 4, 4.5, 5], [False, True, True, True]),
        ([7, 8, 10], [False, True, True]),
        ([0, 1], [False, True]),
        ([-1, 1], [False, True]),
        ([0, 3, 4, 5], [False, False, True, True]),
    ],
)
def test_a_table_of_high_ratings_alone_keeps_the_whole_scale(ratings, likes):
    ratings = np.array(ratings, np.float64)
    assert (EvidenceRule().fitted(ratings).values(ratings) > 0).tolist() == likes


def test_counts_and_constant_ratings_say_nothing_against_an_item():
    for ratings in ([3.0, 3.0], [1.0, 500.0, 20.0]):
        rule = EvidenceRule().fitted(np.array(ratings))
        assert (rule.values(np.array(ratings)) == 1).all()


@given(st.floats(1, 5), st.floats(1, 5))
def test_a_higher_rating_never_says_less(a, b):
    rule = EvidenceRule(low=1, high=5, threshold=4)
    low, high = rule.values(np.array([min(a, b), max(a, b)]))
    assert -1 <= low <= high <= 1


def test_events_are_read_by_their_names():
    rows = {"user": [1, 1, 1, 1], "item": [1, 2, 3, 4], "event": ["Click", "skip", "wave", None]}
    data = Dataset.from_tables(rows)
    assert data.interactions.value.tolist() == [1, -1, 1, 1]
    assert any("wave" in note for note in data.report.notes)
    schema = {"evidence": {"events": {"wave": -0.5}}}
    again = Dataset.from_tables(rows, schema=schema)
    assert again.interactions.value.tolist() == [1, -1, -0.5, 1]
