"""The shortcut of `/v1/recommend` gives what the app gives, letter by letter, good or bad."""

import json

import pytest

BODIES = [
    {}, {"k": 3}, {"history": [{"item": 5, "event": "like"}, {"item": 9, "event": "skip"}, 11]},
    {"user": 77, "k": 4}, {"user": "nobody", "history": ["5"], "dislikes": [8]},
    {"history": [5], "explain": True, "k": 2}, {"features": {"age": 20}},
    {"filters": "genres has Comedy"}, {"pin": [{"item": 20, "place": 2}], "k": 3},
    {"history": [{"item": 5, "rating": 5}], "exclude": [1, 2], "diversity": 0.3},
    # what is refused
    {"k": 0}, {"k": "3"}, {"k": 2**80}, {"more": 1}, {"history": 5}, {"history": [{}]},
    {"history": [10**9]}, {"history": ["no such title"]}, {"filters": "genres ("}, [], None, "x",
    {"history": [5], "dislikes": [5]}, {"features": {"shoe": 1}}, {"text": "x" * 2_000},
]  # fmt: skip


def both(running, body, **more):
    """Return the answers of the shortcut and of the app: a mark before the JSON leads there."""
    raw = json.dumps(body).encode()
    found = []
    for sent in (raw, b"\xef\xbb\xbf" + raw):
        status, headers, data = running.ask("POST", "/v1/recommend", raw=sent, **more)
        found.append((status, headers["Content-Type"], headers.get("Retry-After"), data))
    return found


@pytest.mark.parametrize("body", BODIES, ids=[json.dumps(body)[:40] for body in BODIES])
def test_both_ways_answer_alike(running, body):
    short, long = both(running, body)
    assert short == long


def test_who_may_not_read_or_has_no_key_is_refused_alike(running):
    for key in (None, "ws_wrong"):
        short, long = both(running, {"k": 1}, key=key)
        assert short == long
        assert short[0] == 401


def test_requests_of_both_ways_are_counted_and_logged_as_one_route(fresh):
    running = fresh()
    assert [status for status, *_ in both(running, {"k": 1})] == [200, 200]
    assert [status for status, *_ in both(running, {"history": ["no such title"]})] == [422, 422]
    lines = running.logged("request")
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/recommend", 200), ("/v1/recommend", 200),
        ("/v1/recommend", 422), ("/v1/recommend", 422),
    ]  # fmt: skip
    text = running.ask("GET", "/metrics", key=None)[2].decode()
    counted = 'warmstart_request_seconds_count{method="POST",route="/v1/recommend",status="%s"} 2.0'
    assert counted % 200 in text
    assert counted % 422 in text


def test_a_store_that_fails_is_told_alike(fresh):
    running = fresh(no_auth=True)
    running.store.close()
    short, long = both(running, {"user": "u"}, key=None)
    assert short == long
    assert short[0] == 503
    assert short[2]
    assert len(running.logged("store_failed")) == 2
