"""Figures of the last lists, against a slow count."""

import numpy as np
import pytest

import warmstart as ws
from warmstart.service.lately import Window


def test_figures_are_what_counting_gives(shelf):
    model = ws.load(shelf / "second")
    catalogue, rng, window = model.catalogue, np.random.default_rng(0), Window()
    assert window.figures("t", catalogue) is None
    assert window.milliseconds() == {}
    lists = [rng.choice(catalogue.items.take(np.arange(30)), 5, replace=False) for _ in range(40)]
    for one in lists:
        window.listed("t", tuple(int(i) for i in one))
        window.took(0.002)
    window.listed("other", (79,))
    found = window.figures("t", catalogue)
    shown = [int(i) for one in lists for i in one]
    likes = dict(zip(catalogue.items, catalogue.likes.tolist(), strict=True))
    places = []
    for item in shown:
        below = sum(n < likes[item] for n in likes.values())
        equal = sum(n == likes[item] for n in likes.values())
        places.append((below + (equal - 1) / 2) / (len(likes) - 1))
    counts = sorted((shown.count(i) for i in set(shown)), reverse=True)
    assert found.lists == 40
    assert found.coverage == pytest.approx(len(set(shown)) / len(likes))
    assert found.popularity == pytest.approx(np.mean(places))
    assert found.top_share == pytest.approx(sum(counts[: len(likes) // 10]) / len(shown))
    assert window.milliseconds() == {"p50": pytest.approx(2), "p99": pytest.approx(2)}


def test_of_a_long_list_the_first_places_count(shelf):
    model, window = ws.load(shelf / "second"), Window()
    everything = model.catalogue.items.take(np.arange(len(model.catalogue)))
    window.listed("t", tuple(everything))
    assert window.figures("t", model.catalogue).coverage == 10 / len(everything)


def test_groups_that_get_more_popular_lists_are_told(shelf):
    model, rng, window = ws.load(shelf / "second"), np.random.default_rng(1), Window()
    catalogue = model.catalogue
    block = next(b for b in catalogue.user_features.blocks if b.kind == "category")
    first, second = block.values[:2]
    order = np.argsort(-catalogue.likes)
    popular = catalogue.items.take(order[: len(order) // 2])
    rare = catalogue.items.take(order[len(order) // 2 :])
    for _ in range(12):
        for group, items in ((first, popular), (second, rare), (None, rare)):
            some = [items[i] for i in rng.choice(len(items), 5, replace=False)]
            window.listed("t", tuple(some), {block.column: group} if group else None)
    told = {g.column: g for g in window.figures("t", catalogue).groups}
    assert list(told) == [block.column]
    found = told[block.column]
    assert found.lists == {first: 12, second: 12}
    assert found.popularity[first] > 0.65
    assert found.popularity[second] < 0.35
    assert found.gap == pytest.approx(found.popularity[first] - found.popularity[second])
    assert found.p < 0.01
    assert found.by_chance < found.gap / 2


def test_an_operator_sees_them(running):
    running.good("POST", "/v1/recommend", {"k": 5})
    told = running.good("GET", "/v1/stats")
    assert 0 < told["lately"]["coverage"] <= 1
    assert told["milliseconds"]["p50"] > 0
    shop = running.new_key("empty shop", "admin")
    assert running.good("GET", "/v1/stats", key=shop)["lately"] is None
