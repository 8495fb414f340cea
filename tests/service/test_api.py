"""What programs rely on: every endpoint, against the library that answers behind it."""

import json
import math

import numpy as np
import pytest

import warmstart as ws


@pytest.fixture(scope="module")
def model(shelf):
    return ws.load(shelf / "first")


def same(listed, expected):
    assert [line["item"] for line in listed] == [r.item for r in expected]
    assert [line["title"] for line in listed] == [r.title for r in expected]
    np.testing.assert_allclose(
        [line["score"] for line in listed], [r.score for r in expected], atol=1e-4
    )


def test_it_lives_and_is_ready(running):
    assert running.good("GET", "/healthz", key=None) == {"ok": True}
    ready = running.good("GET", "/readyz", key=None)
    assert ready["ok"]
    assert ready["model"].startswith("first@")


def test_a_list_is_what_the_library_gives(running, model):
    body = {"history": [{"item": 5, "event": "like"}, {"item": 9, "event": "skip"}, 11], "k": 7}
    answer = running.good("POST", "/v1/recommend", body)
    assert set(answer) == {"items", "model"}
    assert set(answer["items"][0]) == {"item", "score", "title"}
    same(answer["items"], model.recommend([5, {"item": 9, "event": "skip"}, 11], k=7))
    nobody = running.good("POST", "/v1/recommend", {})
    same(nobody["items"], model.recommend(k=10))
    assert nobody["model"] == answer["model"] == running.good("GET", "/readyz")["model"]


def test_everything_that_the_library_takes_is_taken(running, model):
    rated = {"history": [{"item": 5, "rating": 5}, {"item": 7, "rating": 1}], "dislikes": [8]}
    who, said = {"age": 20, "occupation": "student"}, "genres has Comedy and year >= 1980"
    quota = {"filter": "genres has Drama", "most": 1}
    rules = {"pin": [{"item": 20, "place": 2}], "quota": [quota]}
    cases = [
        ({"features": who}, {"user": who}),
        ({"text": "funny wedding, no horror"}, {"text": "funny wedding, no horror"}),
        ({"filters": said}, {"filter": said}),
        ({"filters": {"genres": ["Comedy", "Drama"], "year": {"min": 1980, "max": 2000}}},
         {"filter": {"genres": ["Comedy", "Drama"], "year": (1980, 2000)}}),
        ({"exclude": [1, 2, 3]}, {"exclude": [1, 2, 3]}),
        ({"boost": [{"filter": "genres has Western", "by": 2}], "diversity": 0.3},
         {"rules": {"boost": [{"filter": "genres has Western", "by": 2}], "diversity": 0.3}}),
        (rules, {"rules": rules}),
    ]  # fmt: skip
    entries = [{"item": 5, "rating": 5}, {"item": 7, "rating": 1}]
    for asked, told in cases:
        answer = running.good("POST", "/v1/recommend", rated | asked | {"k": 6})
        same(answer["items"], model.recommend(entries, dislikes=[8], k=6, explain=False, **told))


def test_reasons_and_propensities_come_when_they_are_asked_for(running, model):
    told = running.good("POST", "/v1/recommend", {"history": [5], "k": 3, "explain": True})
    assert [line["reason"] for line in told["items"]] == [
        r.reason for r in model.recommend([5], k=3)
    ]
    tried = running.good("POST", "/v1/recommend", {"history": [5], "k": 5, "explore": 0.4})
    assert all(0 < line["propensity"] <= 1 for line in tried["items"])
    assert sum(line["explored"] for line in tried["items"]) == 2


def test_every_event_counts_in_the_very_next_list(running, model):
    items = [5, 9, 14, 20, 33, 41, 50]
    for n, item in enumerate(items, 1):
        receipt = running.liked("reader", item)
        assert receipt == {"accepted": 1, "duplicates": 0, "refused": []}
        answer = running.good("POST", "/v1/recommend", {"user": "reader", "k": 8})
        times = [{"item": i, "event": "like", "timestamp": 1.7e9} for i in items[:n]]
        same(answer["items"], model.recommend(times, k=8, explain=False))
    both = running.good("POST", "/v1/recommend", {"user": "reader", "history": [60], "k": 200})
    assert {60, *items}.isdisjoint(line["item"] for line in both["items"])


def test_events_are_kept_once_and_given_back(running):
    event = {"id": "once", "user": 77, "item": 5, "event": "rating", "value": 4, "timestamp": 1.5e9}
    body = {"events": [event, event | {"id": "two", "item": 9, "timestamp": 1.4e9}]}
    assert running.good("POST", "/v1/events", body)["accepted"] == 2
    assert running.good("POST", "/v1/events", body) == {
        "accepted": 0, "duplicates": 2, "refused": [],
    }  # fmt: skip
    kept = running.good("GET", "/v1/users/77")
    assert kept["user"] == "77"
    assert [e["id"] for e in kept["events"]] == ["two", "once"]  # by time
    assert kept["events"][1] == event | {"user": "77", "value": 4.0}
    assert running.good("GET", "/v1/users/nobody")["events"] == []
    odd = "a/b %?#é 异形"
    running.liked(odd, 5)
    from urllib.parse import quote

    assert len(running.good("GET", f"/v1/users/{quote(odd, safe='')}")["events"]) == 1


def test_an_event_that_no_model_would_understand_is_refused_as_a_whole(running):
    good = {"id": "g1", "user": "careful", "item": 5}
    for bad in (
        {"event": "sneeze"}, {"event": "rating", "value": 9}, {"event": "rating"},
        {"value": math.nan}, {"timestamp": 1e300}, {"item": None}, {"item": True}, {"user": ""},
        {"user": None}, {"id": "x" * 300}, {"event": "x" * 65}, {"more": 1}, {"user": 2**70},
    ):  # fmt: skip
        body = {"events": [good, {"id": "g2", "user": "careful", "item": 5} | bad]}
        assert running.refused("POST", "/v1/events", body)[0] in (400, 422), bad
    assert running.good("GET", "/v1/users/careful")["events"] == []


def test_events_on_items_that_are_not_there_yet_wait_for_them(running, model):
    running.liked("early", 5, 999_999, "no id of ours")
    answer = running.good("POST", "/v1/recommend", {"user": "early", "k": 5})
    times = [{"item": 5, "event": "like", "timestamp": 1.7e9}]
    same(answer["items"], model.recommend(times, k=5, explain=False))


def test_similar_items_reasons_and_questions(running, model):
    same(
        running.good("POST", "/v1/similar", {"item": 5, "k": 4})["items"], model.similar_items(5, 4)
    )
    told = running.good("POST", "/v1/explain", {"history": [5, 9], "items": [20, 7]})["items"]
    assert [one["item"] for one in told] == [20, 7]
    for one in told:
        assert one["uncertainty"] > 0
        assert {e["item"] for e in one["evidence"]} <= {5, 9}
        assert all(-1 <= e["weight"] <= 1 for e in one["evidence"])
    assert max(abs(e["weight"]) for one in told for e in one["evidence"]) == pytest.approx(1)
    asked = running.good("POST", "/v1/onboarding/next", {"history": [5], "not_seen": [9]})
    expected = model.next_question([5], not_seen=[9])
    assert asked["question"]["item"] == expected.item
    assert asked["question"]["why"] == expected.why


def lines(data):
    return [json.loads(line) for line in data.splitlines()]


def test_a_request_in_words_is_answered_line_by_line(running, model):
    status, headers, data = running.ask("POST", "/v1/ask", {"query": "two funny comedies"})
    assert status == 200
    assert headers["Content-Type"] == "application/x-ndjson"
    told = lines(data)
    assert [line["type"] for line in told][:3] == ["understood", "item", "item"]
    assert told[-1]["type"] == "done"
    from warmstart.recommenders import LLMRecommender

    expected = LLMRecommender(recommender=model).ask("two funny comedies")
    assert [x["item"] for x in told if x["type"] == "item"] == [r.item for r in expected.items]
    more = {"query": "more", "conversation": told[0]["conversation"]}
    again = lines(running.good("POST", "/v1/ask", more))
    first = {x["item"] for x in told if x["type"] == "item"}
    assert first.isdisjoint(x["item"] for x in again if x["type"] == "item")
    assert running.refused("POST", "/v1/ask", more | {"conversation": "gone"})[0] == 404


def test_what_is_unknown_is_proposed_and_never_guessed(running):
    status, _, data = running.ask("POST", "/v1/recommend", {"history": ["Golden"]})
    assert (status, data["error"]["code"]) == (422, "unknown_item")
    assert data["error"]["proposals"]
    for body in ({"pin": [{"item": 10**9, "place": 1}]}, {"exclude": ["no such title at all"]}):
        assert running.refused("POST", "/v1/recommend", body) == (422, "unknown_item")


def test_the_catalogue_is_listed_by_pages(running, model):
    page = running.good("GET", "/v1/items?limit=10&by=popularity")
    assert page["total"] == len(model.catalogue)
    likes = sorted(model.catalogue.likes.tolist(), reverse=True)
    assert [row["likes"] for row in page["items"]] == likes[:10]
    assert set(page["items"][0]) >= {"item", "title", "genres", "year"}
    last = running.good("GET", f"/v1/items?offset={len(model.catalogue) - 1}")
    assert len(last["items"]) == 1


def test_the_model_is_described(running):
    about = running.good("GET", "/v1/model")
    assert about["method"] == "default"
    assert [row["shots"] for row in about["quality"]][:2] == [0, 1]


def test_the_api_describes_itself_and_is_counted(running):
    schema = running.good("GET", "/openapi.json", key=None)
    assert {
        "/v1/recommend", "/v1/similar", "/v1/events", "/v1/items", "/v1/users/{user}",
        "/v1/onboarding/next", "/v1/ask", "/v1/explain", "/healthz", "/readyz", "/metrics",
    } <= set(schema["paths"])  # fmt: skip
    for name in ("Recommend", "NewEvents", "ItemRows", "Ask", "Explain", "Similar"):
        assert schema["components"]["schemas"][name]["examples"], name
    text = running.ask("GET", "/metrics", key=None)[2].decode()
    assert 'route="/v1/recommend"' in text
    assert "warmstart_events_total" in text
    assert "reader" not in text
