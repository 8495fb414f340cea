"""Bodies, rates, crowds: small answers, flat memory, and never a fault of ours."""

import asyncio
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from benchmarks.service import load
from tests.service.process import Served


def test_a_body_beyond_the_limit_is_refused_whether_it_says_so_or_not(fresh):
    running = fresh(most_body_bytes=10_000)
    big = b'{"text": "' + b"x" * 20_000 + b'"}'
    assert running.refused("POST", "/v1/recommend", raw=big) == (413, "too_large")
    with socket.create_connection(("127.0.0.1", running.port), 10) as raw:
        raw.sendall(
            b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\n"
            + f"Authorization: Bearer {running.key}\r\n\r\n".encode()
        )
        for _ in range(10):
            raw.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_comes_is_not_waited_for(fresh):
    running = fresh(seconds_to_read=0.3)
    with socket.create_connection(("127.0.0.1", running.port), 10) as raw:
        raw.sendall(
            b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: application/json\r\n"
            + f"Authorization: Bearer {running.key}\r\n\r\n".encode()
            + b'{"k"'
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 408")


def test_what_is_not_json_is_refused(running):
    for raw, headers, status in (
        (b"k=3", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b'{"k": 3', {}, 422),
        (b"", {}, 422),
        (b"[" * 100_000, {}, None),
        (b'{"k":' * 50_000, {}, None),
        (b'{"k": 1' + b"0" * 5_000 + b"}", {}, None),
        (b'{"history": ["\\ud800"]}', {}, 422),
        (b'{"text": "\xff\xfe"}', {}, None),
        (b'{"k": NaN}', {}, None),
        (b'{"diversity": 1e999}', {}, None),
        (b"null", {}, 422),
        (b'{"k": 3, "k": 4, "__proto__": {}}', {}, 422),
    ):
        got = running.refused("POST", "/v1/recommend", raw=raw, headers=headers)[0]
        assert got == status if status else got in (400, 422), raw[:40]


def test_unknown_paths_and_methods_are_plain_refusals(running):
    assert running.refused("GET", "/v1/nothing") == (404, "not_found")
    assert running.refused("GET", "/v1/recommend") == (405, "method_not_allowed")
    assert running.ask("OPTIONS", "/v1/recommend")[0] == 405
    assert running.ask("GET", "/../../etc/passwd", key=None)[0] == 404


def test_a_key_that_asks_too_often_waits(fresh):
    running = fresh(rate="5/minute")
    calm = running.new_key("default", "read")
    answers = [running.ask("GET", "/v1/model") for _ in range(7)]
    assert [status for status, *_ in answers] == [200] * 5 + [429] * 2
    assert 1 <= int(answers[-1][1]["Retry-After"]) <= 60
    assert running.ask("GET", "/v1/model", key=calm)[0] == 200


def test_a_crowd_is_told_to_come_again(fresh):
    running = fresh(most_at_once=2, threads=1)
    answers, lock = [], threading.Lock()

    def come():
        for _ in range(15):
            body = {"history": [5, 9], "explain": True, "k": 50}
            status, headers, data = running.ask("POST", "/v1/recommend", body)
            with lock:
                answers.append((status, headers.get("Retry-After"), data))

    crowd = [threading.Thread(target=come) for _ in range(12)]
    [one.start() for one in crowd]
    [one.join() for one in crowd]
    statuses = {status for status, *_ in answers}
    assert statuses == {200, 503}
    for status, retry, data in answers:
        assert (retry is not None) == (status == 503)
        assert len(data["items"]) == 50 if status == 200 else data["error"]["code"] == "overloaded"
    assert running.good("GET", "/healthz", key=None) == {"ok": True}
    text = running.ask("GET", "/metrics", key=None)[2].decode()
    assert "warmstart_requests_running 0.0" in text


def test_a_store_that_fails_is_told_and_not_hidden(fresh):
    running = fresh()
    running.liked("u", 5)
    running.store.close()
    status, headers, data = running.ask("POST", "/v1/recommend", {"user": "u"})
    assert status in (401, 503)
    for body in ({"events": [{"id": "x", "user": "u", "item": 5}]},):
        status, headers, data = running.ask("POST", "/v1/events", body)
        assert (status, data["error"]["code"]) == (503, "store")
        assert headers["Retry-After"]
    assert running.ask("GET", "/readyz", key=None)[0] == 503
    assert running.ask("GET", "/healthz", key=None)[0] == 200
    told = running.logged("store_failed")
    assert all("closed" in line["reason"] for line in told)
    assert told


def test_late_bodies_keep_nobody_out(fresh):
    running = fresh(seconds_to_read=2.0, most_reading=8)
    slow = [socket.create_connection(("127.0.0.1", running.port), 10) for _ in range(6)]
    for raw in slow:
        raw.sendall(
            b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            + f"Authorization: Bearer {running.key}\r\n\r\n".encode()
        )
    time.sleep(0.2)
    assert running.ask("POST", "/v1/recommend", {"k": 1})[0] == 200
    [raw.close() for raw in slow]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system tells no memory")
def test_three_times_too_many_get_an_answer_or_a_time_and_memory_stays(shelf, tmp_path):
    """What the service can do in a second is measured; then three times as much comes."""
    with Served(
        shelf / "first", tmp_path, "--most-at-once", "8", "--rate", "1500/minute"
    ) as served:
        served.settle()
        body = json.dumps({"history": [5, 9, 14], "k": 20, "explain": True}).encode()
        request = (
            b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        ) + body
        calm = {"port": served.port, "connections": 4, "seconds": 1.0}
        took, statuses = asyncio.run(load.closed(calm, [request]))
        assert set(statuses) <= {200, 429}
        sizes = []
        for _ in range(2):
            crowd = calm | {"connections": 64, "rate": 3 * max(len(took), 300)}
            _, statuses = asyncio.run(load.paced(crowd, [request]))
            assert set(statuses) <= {200, 429, 503}
            assert {429, 503} & set(statuses)
            sizes.append(served.resident_bytes())
        assert sizes[1] <= 1.02 * sizes[0]
        # the rate of this minute is used up
        status, headers, told = served.ask("POST", "/v1/recommend", {"k": 1})
        assert (status, told["error"]["code"]) == (429, "too_many_requests")
        assert 1 <= int(headers["Retry-After"]) <= 60
