"""From a sentence to a list: the intents are sound, and what is measured is what it says."""

import json
import re
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.content import tables, text_tables, text_to_list
from benchmarks.content.cold_items import SCHEMA
from benchmarks.content.text_to_list import (
    HALVES,
    KINDS,
    REFERENCE,
    Intent,
    Judged,
    TextToList,
    best,
    by_chance,
    cosine,
    fulfils,
    judged,
    keywords,
    mean_cosine,
    minus,
    pattern,
    read_intents,
    row,
    served,
)
from benchmarks.tables import _line, short

from warmstart.core.errors import ConfigError
from warmstart.data import Dataset
from warmstart.data.content import Block
from warmstart.recommenders.lists import Recommendation

NOW = datetime(2026, 11, 25, tzinfo=UTC)
LABELS = {
    "Action": "动作", "Adventure": "冒险", "Animation": "动画", "Children's": "儿童",
    "Comedy": "喜剧", "Crime": "犯罪", "Documentary": "纪录", "Drama": "剧情", "Fantasy": "奇幻",
    "Film-Noir": "黑色电影", "Horror": "恐怖", "Musical": "歌舞", "Mystery": "悬疑",
    "Romance": "爱情", "Sci-Fi": "科幻", "Thriller": "惊悚", "War": "战争", "Western": "西部",
}  # fmt: skip
SPELLED = {"Children's": "child", "Film-Noir": "noir", "Sci-Fi": "science fiction"}


def intent(**values):
    plain = {"id": "a", "kind": "genre", "half": "test", "en": "a", "zh": "甲"}
    return Intent.parse(plain | values)


def test_intents_are_many_and_of_every_kind_in_both_halves():
    intents = read_intents()
    assert 60 <= len(intents) <= 80
    assert len({i.id for i in intents}) == len(intents)
    for queries in ({i.en for i in intents}, {i.zh for i in intents}):
        assert len(queries) == len(intents)
    assert sum(bool(i.without) for i in intents) >= 12
    for kind in KINDS:
        halves = Counter(i.half for i in intents if i.kind == kind)
        assert set(halves) == set(HALVES)
        assert abs(halves["development"] - halves["test"]) <= 1


def test_queries_are_in_their_language():
    for i in read_intents():
        assert i.en.isascii(), i.id
        assert re.search("[\u4e00-\u9fff]", i.zh), i.id
        assert not re.search("[A-Za-z]", i.zh), i.id


def test_conditions_say_what_their_kind_promises():
    for i in read_intents():
        assert set(i.genres) | set(i.without) <= set(LABELS), i.id
        assert not set(i.genres) & set(i.without), i.id
        assert all(w == w.lower() for w in i.words), i.id
        first, last = i.years
        assert first is None or last is None or first <= last, i.id
        has = (len(i.genres), i.years != (None, None), bool(i.words), bool(i.without))
        assert {
            "genre": has == (1, False, False, False),
            "era": has == (0, True, False, False),
            "genre and era": has == (1, True, False, False),
            "plot": has == (0, False, True, False),
            "two genres": has == (2, False, False, False),
            "negation": has[0] == 1 and has[3],
        }[i.kind], i.id


def test_most_queries_of_a_genre_do_not_name_it():
    genre = [i for i in read_intents() if i.kind == "genre"]
    assert {i.genres[0] for i in genre} == set(LABELS)
    english = [SPELLED.get(i.genres[0], i.genres[0].lower()) in i.en.lower() for i in genre]
    chinese = [LABELS[i.genres[0]] in i.zh for i in genre]
    assert max(sum(english), sum(chinese)) < len(genre) / 2


def test_a_malformed_intent_is_refused(tmp_path):
    path = tmp_path / "intents.json"
    path.write_text(json.dumps({"intents": [{"id": "a", "kind": "mood"}]}))
    with pytest.raises(ConfigError, match="kind"):
        read_intents(path)


def test_conditions_hold_together():
    table = pa.table(
        {
            "genres": ["Horror|Comedy", "Horror", "Comedy", None, "Horror|Comedy|Musical"],
            "year": ["1980", "1985", None, "1989", "1990"],
            "plot": ["A dog.", None, "Dogs and cats", "Dogma", None],
            "abstract": [None, "His DOG, a friend", None, None, "the hot dog"],
        }
    )

    def of(**values):
        return fulfils(intent(**values), table).astype(int).tolist()

    assert of(genres=["Horror", "Comedy"]) == [1, 0, 0, 0, 1]
    assert of(genres=["Horror"], without=["Musical", "Sci-Fi"]) == [1, 1, 0, 0, 0]
    assert of(years=[1980, 1989]) == [1, 1, 0, 1, 0]
    assert of(years=[None, 1980]) == [1, 0, 0, 0, 0]
    assert of(words=["dog"]) == [1, 1, 0, 0, 1]
    assert of(words=["dog*"]) == [1, 1, 1, 1, 1]
    assert of(words=["cats", "friend"], genres=["Horror"]) == [0, 1, 0, 0, 0]


def test_words_are_literal():
    assert pattern(["c.a"]).search("cia") is None
    assert pattern(["high school*"]).search("two High Schools") is not None


def test_centred_cosines_equal_a_slow_loop():
    rng = np.random.default_rng(0)
    values, queries = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(3, 4))
    centre = rng.normal(size=4)
    known = np.array([True, True, False, True, True, True])
    blocks = [Block.of_vectors(values, known), Block.of_vectors(values[::-1].copy())]
    expected = np.zeros((3, 6))
    for j in range(6):
        parts = []
        for block in blocks:
            if block.known[j]:
                item = block.values[j] - block.values[block.known].mean(axis=0)
                q = queries - centre
                norms = np.linalg.norm(q, axis=1) * np.linalg.norm(item)
                parts.append(q @ item / norms)
        expected[:, j] = np.mean(parts, axis=0)
    found = mean_cosine(blocks, queries, centre=centre)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    plain = cosine(blocks[1], queries)
    unit = values[::-1] / np.linalg.norm(values[::-1], axis=1, keepdims=True)
    np.testing.assert_allclose(
        plain, queries @ unit.T / np.linalg.norm(queries, axis=1)[:, None], atol=1e-5
    )


def test_keywords_prefer_the_rarer_word_and_the_lot_breaks_ties():
    texts = ["a dog and a film", "a film", "a film", "nothing"]
    scores = keywords(texts, ["film dog", "vampire"])
    assert scores[0].argmax() == 0
    assert not scores[1].any()
    lists = {tuple(best(scores, 2, seed)[1]) for seed in range(30)}
    assert len(lists) > 4
    assert all(best(scores, 2, seed)[0, 0] == 0 for seed in range(5))


def test_lists_are_judged_as_by_hand():
    truth = np.array([[1, 1, 0, 0], [0, 0, 0, 1]], bool)
    unwanted = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], bool)
    likes = np.array([10.0, 20.0, 30.0, 40.0])
    found = judged(np.array([[0, 2], [3, -1]]), truth, unwanted, likes)
    assert found.precision.tolist() == [0.5, 0.5]  # a place that is not filled is a miss
    assert found.unwanted.tolist() == [0.5, 0]
    assert found.likes.tolist() == [20, 40]
    chance = by_chance(truth, unwanted, likes)
    assert chance.precision.tolist() == [0.5, 0.25]
    assert chance.likes.tolist() == [25, 25]


def test_chance_is_what_random_lists_have():
    rng = np.random.default_rng(0)
    truth, unwanted = rng.random((1, 200)) < 0.3, rng.random((1, 200)) < 0.1
    lists = np.stack([rng.permutation(200)[:10] for _ in range(4000)])
    many = judged(lists, np.repeat(truth, 4000, 0), np.repeat(unwanted, 4000, 0), np.ones(200))
    chance = by_chance(truth, unwanted, np.ones(200))
    assert many.precision.mean() == pytest.approx(chance.precision[0], abs=0.01)
    assert many.unwanted.mean() == pytest.approx(chance.unwanted[0], abs=0.01)


def test_a_row_tells_halves_kinds_and_languages_apart():
    intents = [
        intent(kind="genre", half="development"),
        intent(kind="negation", without=["War"]),
        intent(kind="genre"),
        intent(kind="negation", without=["War"], half="development"),
    ]
    en = Judged(np.array([1.0, 0.5, 0.1, 0.2]), np.array([0.0, 0.4, 0.0, 0.9]), np.ones(4))
    zh = Judged(np.array([0.0, 0.3, 0.1, 0.2]), np.array([0.0, 0.2, 0.0, 0.9]), np.ones(4))
    found = row("m", "test", {"en": en, "zh": zh}, intents)
    assert found["intents"] == 2
    assert found["en"]["precision"][0] == pytest.approx(0.3)
    assert found["en"]["by_kind"] == {"genre": 0.1, "negation": 0.5}
    assert found["zh"]["unwanted"][0] == pytest.approx(0.2)
    assert found["zh_minus_en"] == pytest.approx([-0.1, -0.2, 0.0])
    assert "zh_minus_en" not in row("m", "test", {"en": en}, intents)
    gap = minus("m", "development", {"en": zh}, {"en": en}, intents)
    assert gap["en"] == pytest.approx([-0.5, -1.0, 0.0])


class Echo:
    """A model that knows one list."""

    def __init__(self, items):
        self.items = items

    def recommend(self, *, text, k, explain):
        assert text
        assert not explain
        return [Recommendation(x, str(x), 1.0, i + 1) for i, x in enumerate(self.items[:k])]


def test_what_is_served_is_placed_in_the_catalogue():
    top = served(Echo(["c", "a"]), ["x", "y"], 3, ["a", "b", "c"])
    assert top.tolist() == [[2, 0, -1], [2, 0, -1]]
    with pytest.raises(ConfigError, match="'z'"):
        served(Echo(["z"]), ["x"], 3, ["a", "b", "c"])


def small_films(folder):
    kinds = ["Horror", "Comedy", "Western", "Documentary"]
    plots = ["a ghost kills everybody in a haunted house", "two friends tell very funny jokes",
             "a cowboy rides to a gunfight", "interviews with fishermen"]  # fmt: skip
    n = 40
    items = {
        "item": list(range(n)),
        "title": [f"Film {i}" for i in range(n)],
        "genres": [kinds[i % 4] for i in range(n)],
        "year": [str(1950 + i) for i in range(n)],
        "plot": [plots[i % 4] for i in range(n)],
        "abstract": ["Film 0 is a film about ghosts.", *[None] * (n - 1)],
        "poster": pa.array([None] * n, pa.string()),
        "whole": [f"Film {i} {kinds[i % 4]} {plots[i % 4]}" for i in range(n)],
    }
    rng = np.random.default_rng(0)
    rows = {
        "user": np.repeat(np.arange(30), 20),
        "item": np.concatenate([rng.permutation(n)[:20] for _ in range(30)]),
        "rating": np.full(600, 5.0),
    }
    schema = {"items": {c: k for c, k in SCHEMA["items"].items() if c in items}}
    return Dataset.from_tables(rows, items, schema=schema, name="small")


@pytest.mark.parametrize("reads", [False, True])
def test_every_method_is_judged_and_tabulated(tmp_path, monkeypatch, capsys, reads):
    wishes = [
        intent(id="scary", half="development", en="something scary", zh="吓人的",
               genres=["Horror"]),
        intent(id="cowboys", en="cowboys", zh="牛仔", genres=["Western"]),
        intent(id="no-horror", kind="negation", en="a funny film", zh="搞笑片", genres=["Comedy"],
               without=["Horror"]),
        intent(id="chess", kind="plot", en="chess", zh="国际象棋", words=["chess"]),
    ]  # fmt: skip
    monkeypatch.setattr(text_to_list, "films", small_films)
    monkeypatch.setattr(text_to_list, "read_intents", lambda: list(wishes))
    monkeypatch.setattr(text_to_list, "reads_text", lambda: reads)
    monkeypatch.setattr(text_to_list, "_trained", lambda *_: Echo([2, 6, 10, 14]))
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    config = TextToList(k=4, least_likes=1, least_matching=5)
    record = text_to_list.run(tmp_path, config, NOW)
    assert record["left_out"] == {"chess": 0}
    of = {(r["half"], r["method"]): r for r in record["rows"]}
    chance = of["test", "chance"]
    assert chance["en"]["precision"][0] == pytest.approx(0.25)
    assert chance["en"]["precision"][0] < of["test", REFERENCE]["en"]["precision"][0]
    assert of["test", "keywords"]["en"]["precision"][0] > 0.25
    assert "zh" not in of["test", "keywords"]
    assert (("test", "warmstart") in of) == reads
    assert ("warmstart is left out" in capsys.readouterr().out) != reads
    if reads:  # four films of the West for every wish
        assert of["test", "warmstart"]["zh"]["by_kind"] == {"genre": 1.0, "negation": 0.0}
        assert of["development", "warmstart"]["en"]["precision"][0] == 0
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "results")
    assert "No result" in text_tables.text_to_list_table(_line, short)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "text-to-list-a.json").write_text(json.dumps(record), "utf8")
    text = text_tables.text_to_list_table(_line, short)
    assert "| precision@4, test half | English | Chinese | Chinese − English |" in text
    assert "chess (0)" in text
    widths = {line.count("|") for line in text.split("\n\n")[0].splitlines()}
    assert len(widths) == 1
