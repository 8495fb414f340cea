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


def test_an_operator_sees_them(running):
    running.good("POST", "/v1/recommend", {"k": 5})
    told = running.good("GET", "/v1/stats")
    assert 0 < told["lately"]["coverage"] <= 1
    assert told["milliseconds"]["p50"] > 0
    shop = running.new_key("empty shop", "admin")
    assert running.good("GET", "/v1/stats", key=shop)["lately"] is None
