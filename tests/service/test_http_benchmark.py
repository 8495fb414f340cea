"""The benchmark of the service, in small."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from benchmarks.service import http, load


@pytest.mark.slow
def test_every_measurement_gives_its_figures():
    config = http.HttpConfig(
        items=300, large_items=400, connections=4, seconds=0.5, turns=1, reads=3
    )
    record = http.run(config, datetime(2026, 1, 2, tzinfo=UTC))
    assert 0 < record["throughput"]["ratio"] < 1.5
    assert record["half_load"]["statuses"].keys() == {"200"}
    assert record["events"]["events_per_second"] > 100
    assert record["stale_reads"] == {"reads": 3, "stale": 0}
    assert record["overload"]["statuses"].keys() <= {"200", "503"}
    assert record["large"]["requests"] == 75
    json.dumps(record)


def test_the_load_generator_keeps_its_pace_and_counts_what_comes_back(running):
    body = json.dumps({"k": 1}).encode()
    request = (
        f"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {running.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    wrong = request.replace(b"/v1/recommend", b"/v1/elsewhere")
    plan = {"port": running.port, "connections": 2, "seconds": 0.5, "rate": 40}
    seconds, statuses = asyncio.run(load.paced(plan, [request, wrong]))
    assert len(seconds) == 20
    assert sorted(statuses) == [200] * 10 + [404] * 10
    assert all(s > 0 for s in seconds)
    seconds, statuses = asyncio.run(load.closed(plan, [request]))
    assert set(statuses) == {200}
    assert len(seconds) == len(statuses) > 5
