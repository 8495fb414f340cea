"""Keys, scopes, tenants: who may do what, and who sees what."""

import asyncio
import json
import random
import time

import pytest

from warmstart.core.errors import ConfigError
from warmstart.service.settings import ServiceConfig
from warmstart.service.who import Keys, Who
from warmstart.store import ApiKey

READ = [
    ("POST", "/v1/recommend", {}), ("POST", "/v1/similar", {"item": 5}),
    ("POST", "/v1/explain", {"items": [5]}), ("POST", "/v1/onboarding/next", {}),
    ("POST", "/v1/ask", {"query": "funny"}), ("GET", "/v1/users/u", None),
    ("GET", "/v1/items", None), ("GET", "/v1/model", None),
]  # fmt: skip
WRITE = [("POST", "/v1/events", {"events": []}), ("DELETE", "/v1/users/nobody-here", None)]
ADMIN = [
    ("PATCH", "/v1/items", {"items": [{"item": 5, "year": 1988}]}),
    ("GET", "/v1/models", None), ("GET", "/v1/events", None), ("GET", "/v1/stats", None),
]  # fmt: skip


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer ws_x", "Basic a"])
def test_without_a_good_key_nothing_is_said(running, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path, body in READ + WRITE + ADMIN:
        status, answered, data = running.ask(method, path, body, key=None, headers=headers)
        assert status == 401
        assert answered["WWW-Authenticate"] == "Bearer"
        assert data["error"]["code"] == "unauthorized"


def test_a_scope_opens_what_it_names_and_what_is_below(fresh):
    running = fresh()
    for scope, opens in (("read", READ), ("write", READ + WRITE), ("admin", READ + WRITE + ADMIN)):
        key = running.new_key("default", scope)
        for call in READ + WRITE + ADMIN:
            status = running.ask(*call, key=key)[0]
            assert status == (200 if call in opens else 403), (scope, call)


def test_a_revoked_key_opens_nothing_a_second_later(running):
    key = running.new_key("default", "read")
    assert running.ask("GET", "/v1/model", key=key)[0] == 200
    id = key.split("_")[1]
    assert running.store.revoke_key("default", id, now=time.time())
    time.sleep(running.config.key_seconds + 0.1)
    assert running.ask("GET", "/v1/model", key=key)[0] == 401


def test_a_key_is_looked_up_again_when_its_moment_is_over():
    clock, asked = [0.0], []

    async def look_up(secret):
        asked.append(secret)
        known = ApiKey("id", "t", frozenset({"read"}), 0.0)
        return known if secret == "good" and len(asked) < 3 else None

    async def play():
        keys = Keys(look_up, seconds=5, now=lambda: clock[0])
        assert await keys.who("Bearer good") == Who("t", "id", 1)
        clock[0] = 4.9
        assert (await keys.who("bearer good")).key == "id"
        assert len(asked) == 1
        clock[0] = 5.1
        await keys.who("Bearer good")
        clock[0] = 11.0
        with pytest.raises(Exception, match="opens nothing"):
            await keys.who("Bearer good")

    asyncio.run(play())
    assert asked == ["good"] * 3


def test_models_are_exchanged_by_admins_of_the_default_tenant_alone(running):
    key = running.new_key("shop", "admin")
    for method, path, body in (
        ("GET", "/v1/models", None),
        ("POST", "/v1/models", {"path": "second"}),
        ("POST", "/v1/models/rollback", None),
    ):
        assert running.refused(method, path, body, key=key) == (403, "forbidden")


def test_tenants_share_nothing(fresh):
    """Thousands of calls of two tenants on the same users, events and items."""
    running = fresh()
    keys = {name: running.new_key(name, "admin") for name in ("甲", "乙")}
    rng, truth, n_ids = random.Random(0), {"甲": {}, "乙": {}}, 0
    new = {"甲": 90_001, "乙": 90_002}
    for name, key in keys.items():
        row = {"item": new[name], "title": f"Only {name}", "genres": "Comedy"}
        running.good("POST", "/v1/items", {"items": [row]}, key=key)
    for _ in range(300):
        name = rng.choice("甲乙")
        user, item = f"u{rng.randrange(5)}", rng.randrange(1, 81)
        n_ids += 1
        event = {"id": str(rng.randrange(n_ids)), "user": user, "item": item, "timestamp": n_ids}
        told = running.good("POST", "/v1/events", {"events": [event]}, key=keys[name])
        known = {e["id"] for events in truth[name].values() for e in events}
        assert told["accepted"] == (event["id"] not in known)
        if told["accepted"]:
            truth[name].setdefault(user, []).append(event)
        if rng.random() < 0.02:
            running.good("DELETE", f"/v1/users/gone-{n_ids}", key=keys[name])
        kept = running.good("GET", f"/v1/users/{user}", key=keys[name])["events"]
        assert [e["id"] for e in kept] == [e["id"] for e in truth[name].get(user, [])]
        seen = {e["item"] for e in kept}
        listed = running.good("POST", "/v1/recommend", {"user": user, "k": 200}, key=keys[name])
        items = {line["item"] for line in listed["items"]}
        other = new["乙" if name == "甲" else "甲"]
        assert other not in items
        assert new[name] in items
        assert not seen & items
        assert len(items) == 81 - len(seen)
    for name in "甲乙":
        mine = running.good("GET", "/v1/events?k=200", key=keys[name])["events"]
        all_of = {e["id"] for events in truth[name].values() for e in events}
        assert {e["id"] for e in mine} <= all_of
        other = new["乙" if name == "甲" else "甲"]
        asked = {"history": [other]}
        assert running.refused("POST", "/v1/recommend", asked, key=keys[name])[0] == 422
        text = json.dumps(running.good("GET", "/v1/items?by=newest", key=keys[name]))
        assert f"Only {name}" in json.loads(text)["items"][0]["title"]
        assert str(other) not in text


def test_ten_thousand_crossed_reads_leak_nothing(running):
    """Every user of one tenant, looked for by another, on the level of the store."""
    from warmstart.store import Event

    secret = [
        Event(f"s{n}", f"person{n % 100}", n % 80 + 1, "like", None, float(n)) for n in range(1_000)
    ]
    running.store.append("owner", secret)
    for n in range(10_000):
        assert running.store.events("other", f"person{n % 100}") == []
    assert running.store.users("other") == []
    assert running.store.training("other").table.num_rows == 0


@pytest.mark.slow
def test_ten_thousand_crossed_calls_leak_nothing(fresh):
    """The same over HTTP: whatever one tenant asks for, nothing of another is in the answer."""
    running = fresh(rate="100000000/minute")
    owner, other = running.new_key("owner", "admin"), running.new_key("other", "admin")
    word = "owners-own-4f1d"
    for n in range(100):
        said = {"id": f"{word}-{n}", "user": f"person{n}", "item": n % 70 + 1, "event": "like"}
        running.good("POST", "/v1/events", {"events": [said]}, key=owner)
    running.good("PUT", "/v1/items", {"items": [{"item": 9001, "title": word}]}, key=owner)
    stranger = running.good("POST", "/v1/recommend", {"k": 5}, key=other)
    for n in range(10_000):
        user = f"person{n % 100}"
        method, path, body = (
            ("GET", f"/v1/users/{user}", None),
            ("POST", "/v1/recommend", {"user": user, "k": 5}),
            ("POST", "/v1/recommend", {"history": [9001]}),
            ("POST", "/v1/similar", {"item": word}),
            ("GET", "/v1/items?by=newest&limit=5", None),
            ("POST", "/v1/explain", {"user": user, "items": [5]}),
            ("GET", "/v1/events", None),
            ("DELETE", f"/v1/users/{user}", None),
        )[n % 8]
        status, _, data = running.ask(method, path, body, key=other)
        assert status in (200, 422)
        if path in ("/v1/similar",) or body == {"history": [9001]}:
            assert status == 422  # the question itself names it
        else:
            assert word not in json.dumps(data)
        if body and "k" in body:
            assert data["items"] == stranger["items"]
    for n in range(100):
        assert len(running.good("GET", f"/v1/users/person{n}", key=owner)["events"]) == 1


def test_other_sites_pages_may_not_ask(fresh):
    running = fresh(no_auth=True)
    assert running.ask("GET", "/v1/model", key=None)[0] == 200
    here = {"Origin": running.url}
    assert running.ask("GET", "/v1/model", key=None, headers=here)[0] == 200
    elsewhere = "https://evil.example", "null", "http://[", "file://"
    for headers in (*({"Origin": origin} for origin in elsewhere), {"Host": "evil.example"},
                    {"Host": "["}):  # fmt: skip
        assert running.refused("GET", "/v1/model", key=None, headers=headers)[0] == 403


@pytest.mark.parametrize("rate", ["often", "600/minute;10/second"])
def test_a_rate_that_is_none_or_two_is_refused(shelf, tmp_path, rate):
    from warmstart.service.app import create_app
    from warmstart.service.core import Service
    from warmstart.store import open_store

    config = ServiceConfig(rate=rate)
    service = Service(shelf / "second", open_store(tmp_path / "e.sqlite"), config)
    try:
        with pytest.raises(ConfigError, match=f"rate={rate!r}"):
            create_app(service)
    finally:
        service.close()
