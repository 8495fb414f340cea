"""Models exchanged under load: no answer fails, and none is of two models."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest
import urllib3

import warmstart as ws


def answers_of(shelf, likes, k):
    """What each model alone gives."""
    return {
        name: [r.item for r in ws.load(shelf / name).recommend(likes, k=k, explain=False)]
        for name in ("first", "second")
    }


def test_under_load_nothing_fails_and_nothing_is_mixed(fresh, shelf):
    running = fresh(most_at_once=1_000)
    likes = [5, 9, 14]
    truth = answers_of(shelf, likes, 10)
    assert truth["first"] != truth["second"]
    running.liked("reader", *likes)
    stop, found = threading.Event(), []

    def read(body):
        while not stop.is_set():
            found.append(running.ask("POST", "/v1/recommend", body))

    bodies = [{"history": likes}, {"history": likes, "explain": True}, {"history": likes, "k": 10}]
    threads = [threading.Thread(target=read, args=(body,)) for body in bodies * 2]
    [one.start() for one in threads]
    seen = set()
    for n in range(12):
        name = ("second", "first")[n % 2]
        if n % 3 == 2:
            told = running.good("POST", "/v1/models/rollback")
        else:
            told = running.good("POST", "/v1/models", {"path": name})
        seen.add(told["current"].split("@")[0])
        after = running.good("POST", "/v1/recommend", {"history": likes})
        assert after["model"] == told["current"]
    stop.set()
    [one.join() for one in threads]
    assert seen == {"first", "second"}
    assert len(found) > 50
    by_model = set()
    for status, _, data in found:
        assert status == 200, data
        name = data["model"].split("@")[0]
        by_model.add(name)
        assert [line["item"] for line in data["items"]] == truth[name]
    assert by_model == {"first", "second"}


def test_the_collector_leaves_what_serves_alone_and_lets_go_of_what_served(fresh):
    running = fresh()
    assert gc.get_freeze_count() > 0
    served = weakref.ref(running.service.shelf.current.model)
    for name in ("second", "first"):
        running.good("POST", "/v1/models", {"path": name})
    assert gc.get_freeze_count() > 0
    assert served() is None


def test_a_damaged_model_or_one_from_elsewhere_does_not_serve(fresh, tmp_path):
    running = fresh()
    before = running.good("GET", "/v1/models")
    assert set(before["available"]) == {"first", "second"}
    broken = tmp_path / "models" / "broken"
    shutil.copytree(tmp_path / "models" / "second", broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert running.refused("POST", "/v1/models", {"path": "broken"}) == (422, "bad_model")
    shutil.copytree(tmp_path / "models" / "second", tmp_path / "elsewhere")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "elsewhere")
    for path in ("../elsewhere", str(tmp_path / "elsewhere"), "link", ".", "..", "/", "\0"):
        status, _, data = running.ask("POST", "/v1/models", {"path": path})
        assert status in (400, 422), (path, data)
    assert running.refused("POST", "/v1/models", {"path": "nothing"}) == (422, "bad_model")
    assert running.refused("POST", "/v1/models/rollback") == (409, "conflict")
    assert running.good("GET", "/v1/models")["current"] == before["current"]


def test_changes_of_items_reach_the_model_that_is_rolled_back_to(fresh):
    running = fresh()
    running.good("POST", "/v1/models", {"path": "second"})
    running.good("PUT", "/v1/items", {"items": [{"item": 9001, "title": "Dust"}]})
    told = running.good("POST", "/v1/models/rollback")
    assert told["current"].startswith("first@")
    assert told["previous"].startswith("second@")
    answer = running.good("POST", "/v1/recommend", {"k": 200})
    assert 9001 in [line["item"] for line in answer["items"]]


def test_the_same_model_anew_leaves_the_one_to_go_back_to(fresh):
    running = fresh()
    for _ in range(2):
        told = running.good("POST", "/v1/models", {"path": "second"})
        assert told["previous"].startswith("first@")
    assert running.good("POST", "/v1/models/rollback")["current"].startswith("first@")


def test_a_conversation_ends_with_its_model(fresh):
    running = fresh()
    data = running.good("POST", "/v1/ask", {"query": "funny comedies"})
    import json

    name = json.loads(data.splitlines()[0])["conversation"]
    running.good("POST", "/v1/ask", {"query": "more", "conversation": name})
    running.good("POST", "/v1/models", {"path": "second"})
    asked = {"query": "more", "conversation": name}
    assert running.refused("POST", "/v1/ask", asked)[0] == 404


def _ready(http, url, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            answer = http.request("GET", f"{url}/readyz", timeout=5)
            if answer.status == 200:
                return answer.json()
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service did not come up")


@pytest.fixture
def process(shelf, tmp_path):
    """`warmstart serve` as people run it."""
    import socket

    shutil.copytree(shelf, tmp_path / "models")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", tmp_path / "models" / "first", "--port", port, "--no-auth", "--store",
             f"sqlite:///{tmp_path}/e.sqlite", "--models", tmp_path / "models"]  # fmt: skip
    command = [sys.executable, "-m", "warmstart.cli", *map(str, words)]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield running, f"http://127.0.0.1:{port}", tmp_path
        finally:
            running.kill()
            running.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_the_newest_model_is_loaded_at_a_signal_and_events_outlive_a_kill(process):
    running, url, tmp_path = process
    http = urllib3.PoolManager(retries=False)
    assert _ready(http, url)["model"].startswith("first@")
    event = {"id": "e1", "user": "u", "item": 5, "event": "like", "timestamp": 1.7e9}
    kept = http.request("POST", f"{url}/v1/events", json={"events": [event]}, timeout=30)
    assert kept.json() == {"accepted": 1, "duplicates": 0, "refused": []}
    manifest = tmp_path / "models" / "second" / "manifest.json"
    os.utime(manifest, (time.time() + 60,) * 2)
    running.send_signal(signal.SIGHUP)
    until = time.monotonic() + 30
    while not _ready(http, url)["model"].startswith("second@"):
        assert time.monotonic() < until
        time.sleep(0.05)
    running.kill()
    running.wait()
    from warmstart.store import open_store

    store = open_store(f"sqlite:///{tmp_path}/e.sqlite")
    assert [e.id for e in store.events("default", "u")] == ["e1"]
    store.close()
    http.clear()
