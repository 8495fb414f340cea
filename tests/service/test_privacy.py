"""What a user said or asked for is theirs: never in a log, and gone when they go."""

import json
import time

CANARY = "canary-7f3a9c"


def test_a_secret_never_appears_in_the_log(fresh):
    """A word in every place that a request has, in good requests and in bad ones."""
    running = fresh()
    word = CANARY
    bodies = [
        ("POST", "/v1/recommend", {"user": word, "text": f"{word} comedies"}),
        ("POST", "/v1/recommend", {"history": [word]}),
        ("POST", "/v1/recommend", {"features": {word: word}}),
        ("POST", "/v1/recommend", {"filters": f"title contains {word}"}),
        ("POST", "/v1/recommend", {"filters": f"{word} = {word}"}),
        ("POST", "/v1/recommend", {word: word}),
        ("POST", "/v1/similar", {"item": word}),
        ("POST", "/v1/explain", {"user": word, "items": [5]}),
        ("POST", "/v1/ask", {"query": f"films about {word}"}),
        ("POST", "/v1/ask", {"query": "x", "conversation": word}),
        ("POST", "/v1/onboarding/next", {"history": [word]}),
        ("POST", "/v1/events", {"events": [{"id": word, "user": word, "item": word}]}),
        ("POST", "/v1/events", {"events": [{"id": word, "user": word, "item": 5, "event": word}]}),
        ("GET", f"/v1/users/{word}", None), ("DELETE", f"/v1/users/{word}", None),
        ("POST", "/v1/items", {"items": [{"item": word, "title": word}]}),
        ("POST", "/v1/items", {"items": [{"item": 9001, "title": word, "year": word}]}),
        ("PUT", "/v1/items", {"items": [{"item": 9002, "title": word}]}),
        ("DELETE", f"/v1/items/{word}", None), ("GET", f"/v1/items?by={word}", None),
        ("POST", "/v1/models", {"path": word}), ("GET", f"/v1/{word}", None),
        ("POST", f"/v1/recommend?{word}={word}", {}),
    ]  # fmt: skip
    for method, path, body in bodies:
        running.ask(method, path, body)
        running.ask(method, path, body, key=f"ws_{word}")
        running.ask(method, path, raw=json.dumps(body).encode() + word.encode())
    until = time.monotonic() + 10
    while len(running.logged("request")) < 3 * len(bodies) and time.monotonic() < until:
        time.sleep(0.05)  # a line is written after its answer is sent
    log = running.log.getvalue()
    lines = [json.loads(line) for line in log.splitlines()]
    assert sum(line["event"] == "request" for line in lines) >= 3 * len(bodies)
    assert not [line for line in lines if line["event"] == "request_failed"]
    assert word not in log
    assert running.key not in log
    assert running.key.split("_", 2)[2] not in log
    assert "films about" not in log
    assert word not in running.ask("GET", "/metrics", key=None)[2].decode()


def test_a_fault_of_ours_is_told_by_its_place_and_not_by_its_words(fresh, monkeypatch):
    running = fresh()

    def broken(*_):
        raise RuntimeError(f"a bug that quotes {CANARY}")

    monkeypatch.setattr(running.store, "events", broken)
    status, _, data = running.ask("POST", "/v1/recommend", {"user": CANARY})
    assert (status, data["error"]["code"]) == (500, "internal")
    assert CANARY not in json.dumps(data)
    (line,) = running.logged("request_failed")
    assert CANARY not in running.log.getvalue()
    assert line["error"] == "RuntimeError"
    assert any(place.startswith("test_privacy.py:") for place in line["where"])


def test_a_deleted_user_is_gone_everywhere_and_stays_gone(fresh):
    running = fresh()
    for user in ("leaver", "stayer"):
        running.liked(user, 5, 9, 14)
    before = running.store.training("default")
    nobody = running.good("POST", "/v1/recommend", {"k": 20})["items"]
    mine = running.good("POST", "/v1/recommend", {"user": "leaver", "k": 20})["items"]
    assert mine != nobody
    said = {"query": "funny comedies", "user": "leaver"}
    talk = json.loads(running.good("POST", "/v1/ask", said).splitlines()[0])["conversation"]
    running.good("POST", "/v1/ask", {"query": "more", "conversation": talk})  # names nobody
    began = time.monotonic()
    assert running.good("DELETE", "/v1/users/leaver") == {"user": "leaver", "events": 3}
    assert running.good("GET", "/v1/users/leaver")["events"] == []
    assert running.good("POST", "/v1/recommend", {"user": "leaver", "k": 20})["items"] == nobody
    assert running.refused("POST", "/v1/ask", {"query": "more", "conversation": talk})[0] == 404
    assert time.monotonic() - began < 60
    replayed = running.liked("leaver", 5, 9)
    assert replayed == {"accepted": 0, "duplicates": 0, "refused": ["leaver"]}
    mixed = [
        {"id": "m1", "user": "leaver", "item": 5}, {"id": "m2", "user": "stayer", "item": 20},
    ]  # fmt: skip
    told = running.good("POST", "/v1/events", {"events": mixed})
    assert told == {"accepted": 1, "duplicates": 0, "refused": ["leaver"]}
    after = running.store.training("default")
    assert after.table["user"].to_pylist() == ["stayer"] * 4
    assert after.fingerprint != before.fingerprint
    again = fresh()
    assert again.good("GET", "/v1/users/leaver")["events"] == []
    assert again.liked("leaver", 20)["refused"] == ["leaver"]
    assert len(again.good("GET", "/v1/users/stayer")["events"]) == 4


def test_a_conversation_ends_where_its_user_was_deleted_by_another_process(fresh):
    one, two = fresh(), fresh()
    one.liked("leaver", 5, 9)
    said = {"query": "funny comedies", "user": "leaver"}
    talk = json.loads(one.good("POST", "/v1/ask", said).splitlines()[0])["conversation"]
    two.good("DELETE", "/v1/users/leaver")
    asked = {"query": "more", "conversation": talk}
    assert one.refused("POST", "/v1/ask", asked) == (404, "not_found")
