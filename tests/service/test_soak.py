"""An hour of everything that people ask for, at a modest rate: memory stays where it was.

`WARMSTART_SOAK_SECONDS` sets another time, `WARMSTART_SOAK_RATE` another number of requests a
second.
"""

import itertools
import os
import time
from pathlib import Path
from statistics import median

import pytest
from tests.service.process import Served

SECONDS = float(os.environ.get("WARMSTART_SOAK_SECONDS", 3_600))
RATE = float(os.environ.get("WARMSTART_SOAK_RATE", 50))
WARM = 0.15  # of the time: until then caches fill
_USERS = 500


def requests(n):
    """Return the n-th request; after some thousands all users and items have been there."""
    user, item = f"u{n % _USERS}", n * 7 % 79 + 1
    liked = {"id": f"e{n}", "user": user, "item": item, "event": ("like", "skip", "undo")[n % 3]}
    return (
        ("POST", "/v1/recommend", {"history": [item, {"item": item % 70 + 2, "event": "skip"}]}),
        ("POST", "/v1/events", {"events": [liked]}),
        ("POST", "/v1/recommend", {"user": user, "k": 20}),
        ("POST", "/v1/recommend", {"user": user, "filters": "genres has Comedy", "explain": True}),
        ("POST", "/v1/recommend", {"history": [item], "explore": 0.2, "k": 5}),
        ("POST", "/v1/similar", {"item": item}),
        ("POST", "/v1/explain", {"history": [item], "items": [item % 70 + 3]}),
        ("POST", "/v1/onboarding/next", {"history": [item]}),
        ("POST", "/v1/ask", {"query": ("two funny comedies", "a sad film")[n % 2]}),
        ("PUT", "/v1/items", {"items": [{"item": 9_000 + n % 5, "title": f"Dust {n % 9}"}]}),
        ("GET", f"/v1/users/{user}", None),
        ("DELETE", f"/v1/users/gone{n % 100}", None),
        ("POST", "/v1/recommend", {"k": 0}),
    )[n % 13]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system tells no memory")
def test_memory_stays_within_five_percent(shelf, tmp_path, record_property):
    with Served(shelf / "first", tmp_path, "--rate", "100000000/minute") as served:
        begun, statuses, sizes = time.monotonic(), {}, []
        for n in itertools.count():
            now = time.monotonic() - begun
            if now > SECONDS:
                break
            status, *_ = served.ask(*requests(n))
            statuses[status] = statuses.get(status, 0) + 1
            if n % 20 == 0:
                sizes.append((now, served.resident_bytes()))
            time.sleep(max(0.0, (n + 1) / RATE - (time.monotonic() - begun)))
    assert statuses.keys() == {200, 422}
    assert statuses[422] == pytest.approx(sum(statuses.values()) / 13, abs=2)
    ends = [
        median(size for at, size in sizes if low <= at / SECONDS <= high)
        for low, high in ((WARM, 2 * WARM), (1 - WARM, 1))
    ]
    told = {"seconds": SECONDS, "requests": sum(statuses.values()), "bytes": ends}
    record_property("soak", told)
    assert ends[1] <= 1.05 * ends[0], told
