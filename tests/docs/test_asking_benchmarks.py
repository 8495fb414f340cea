"""Requests are labelled soundly, parsers are judged rightly, and tables say what was measured."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from benchmarks import records
from benchmarks.asking import tables
from benchmarks.asking.extraction import (
    ExtractionConfig,
    auc,
    interval,
    mean_polarity,
    of_words,
    run,
    sampled,
)
from benchmarks.asking.parsing import FIELDS, QUERIES, entries, judge, read_requests
from benchmarks.tables import _line, short
from sklearn.metrics import roc_auc_score

from warmstart.core.errors import ConfigError
from warmstart.data.reviews import read_reviews
from warmstart.encoders.polarity import Polarity
from warmstart.llm.extract import Preference
from warmstart.llm.parse import language_of
from warmstart.llm.wish import Wish

REQUESTS = read_requests()


def test_requests_are_enough_and_their_labels_hold():
    languages = [r.language for r in REQUESTS]
    assert languages.count("en") >= 60
    assert languages.count("zh") >= 30
    assert len({r.query for r in REQUESTS}) == len(REQUESTS)
    known = json.loads(QUERIES.read_text("utf8"))["attributes"]
    for r in REQUESTS:
        wish = Wish.parse(dict(r.wish))
        assert wish.language == r.language == language_of(r.query)
        for name in (*wish.likes, *wish.dislikes, *wish.liked_items, *wish.disliked_items):
            assert name.casefold() in r.query.casefold()
        for c in wish.filters:
            assert c.column == "year" or c.value in known[c.column]


def test_a_parser_that_knows_the_labels_is_perfect_and_a_silent_one_is_not():
    labels = {r.query: Wish.parse(dict(r.wish)) for r in REQUESTS}
    for row in judge(labels.get, REQUESTS):
        assert row["accuracy"] == 1.0
        assert row["precision"] in (1.0, None)
    silent = {(r["language"], r["field"]): r for r in judge(lambda query: None, REQUESTS)}
    empty = [r for r in REQUESTS if "filters" in r.wish and not r.wish["filters"]]
    labelled = [r for r in REQUESTS if "filters" in r.wish]
    assert silent["all", "filters"]["accuracy"] == pytest.approx(len(empty) / len(labelled))
    assert silent["all", "filters"]["recall"] == 0
    assert silent["all", "filters"]["precision"] is None
    assert {field for _, field in silent} == set(FIELDS)


def test_equal_meanings_are_spelled_alike():
    def wish(**values):
        return Wish.parse(values)

    one = wish(filters=[{"column": "year", "operator": "<", "value": 1990}])
    other = wish(filters=[{"column": "year", "operator": "<=", "value": 1989}])
    assert entries("filters", one) == entries("filters", other)
    words = wish(likes=["喜剧片", "轻松的"], filters=[
        {"column": "genres", "operator": "has", "value": "Comedy"}])  # fmt: skip
    assert entries("likes", words) == {"轻", "松"}
    assert entries("domain", wish(domain="电影")) == entries("domain", wish(domain="Movies"))
    assert entries("liked_items", wish(liked_items=["《活着》"])) == {"活着"}


def test_the_area_is_scikit_learns_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    good = rng.random(200) < 0.4
    scores = np.round(rng.normal(good * 0.8, 1), 1)  # with ties
    assert auc(scores, good) == pytest.approx(roc_auc_score(good, scores))
    low, high = interval(scores, good, rng)
    assert low < auc(scores, good) < high
    assert 0.05 < high - low < 0.25
    assert np.isnan(auc(scores[:2], np.array([True, True])))


def test_the_sample_is_one_review_of_an_author_half_of_them_favourable():
    n = 60
    reviews = read_reviews({
        "user": [i % 30 for i in range(n)], "item": [0] * n, "text": ["Fine."] * n,
        "rating": [5.0 if i % 3 else 2.0 for i in range(n)],
    })  # fmt: skip
    rows = sampled(reviews, ExtractionConfig(reviews=12))
    assert len(rows) == len(set(reviews.user[rows].tolist())) == 12
    assert (reviews.rating[rows] >= 4).sum() == 6


def test_polarities_of_a_text():
    scores, known = of_words(Polarity(), ["A great sound.", "A chair", "It broke, awful."])
    assert scores[0] > scores[1] == 0 > scores[2]
    assert known.tolist() == [True, False, True]
    both = [Preference("aspect", "sound", 1, "x"), Preference("aspect", "price", -1, "y")]
    assert mean_polarity(both) == 0
    assert mean_polarity([]) == 0


def test_data_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="WARMSTART_DATA"):
        run(tmp_path, ExtractionConfig(), datetime(2026, 11, 25, tzinfo=UTC))


def test_tables_say_what_was_measured(tmp_path):
    assert "No result" in tables.parsing_table(_line, short, tmp_path)
    assert "No result" in tables.extraction_table(_line, short, tmp_path)
    about = {
        "date": "2026-11-25T00:00:00Z", "protocol": "two requests", "commit": "c" * 40,
        "config": {"threads": 1}, "hardware": {"cpus": 2, "processor": "P"},
    }  # fmt: skip
    rows = [
        {"method": "m"} | row for row in judge(lambda query: Wish(count=5), REQUESTS)
    ]  # fmt: skip
    cost = {"method": "m", "seconds_median": 0.5, "seconds_p95": 1.0, "cpu_seconds_median": 0.25,
            "prompt_tokens": 700.0, "tokens": 30.0}  # fmt: skip
    parsing = about | {"experiment": "parsing", "rows": rows, "costs": [cost]}
    extraction = about | {"experiment": "extraction", "rows": [{
        "method": "m", "auc": 0.5, "ci_low": 0.4, "ci_high": 0.6, "auc_where_known": None,
        "coverage": 0.25, "cpu_seconds": 2.0, "prompt_tokens": 380.0, "tokens": 68.0,
    }]}  # fmt: skip
    for record in (parsing, extraction):
        records.add(records.spelled(record), record["experiment"], record["date"], tmp_path)
    table = tables.parsing_table(_line, short, tmp_path)
    right = next(r for r in rows if (r["language"], r["field"]) == ("en", "count"))
    assert f"{short(right['accuracy'])} ± " in next(r for r in table.split("\n") if "English" in r)
    assert "| m | 0.5 | 1 | 0.25 | 700 | 30 |" in table
    assert "| m | .500 | .400 to .600 | 25 % | – | 2 | 380 + 68 |" in tables.extraction_table(
        _line, short, tmp_path
    )
