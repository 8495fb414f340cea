"""A service that is killed at random: what it acknowledged over HTTP is there, once.

Eight writers send events one after the other, each twice. The process is killed with SIGKILL and
started again; the writers go on with what was not acknowledged, as clients do.
"""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import urllib3
from tests.service.process import Served

WRITERS = 8
KILLS = int(os.environ.get("WARMSTART_KILLS", 200))


def event(writer, n):
    return {"id": f"{writer}-{n}", "user": f"writer {writer}", "item": n % 79 + 1,
            "event": "like", "timestamp": 1e9 + n}  # fmt: skip


def write(served, writer, begin, said, stop):
    """Send events, each twice, until the service is gone; what was acknowledged is in `said`."""
    for n in itertools.count(begin):
        for again in (False, True):
            if stop.is_set():
                return
            try:
                status, _, told = served.ask("POST", "/v1/events", {"events": [event(writer, n)]})
            except (urllib3.exceptions.HTTPError, ValueError, IndexError):
                return
            assert status == 200, told
            said[writer].append((n, again, told["accepted"], told["duplicates"]))


def cycles(served, number, rng, seconds=float("inf")):
    """Kill and start again so often, or so long; return what was found."""
    begun, begin, done, ready = time.monotonic(), [0] * WRITERS, 0, []
    while done < number and time.monotonic() - begun < seconds:
        ready.append(served.start())
        said, stop = {w: [] for w in range(WRITERS)}, threading.Event()
        threads = [
            threading.Thread(target=write, args=(served, w, begin[w], said, stop)) for w in said
        ]
        [one.start() for one in threads]
        until = time.monotonic() + 30
        while not all(said.values()) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        served.kill()
        stop.set()
        [one.join() for one in threads]
        for writer, lines in said.items():
            assert lines, "a writer came to nothing"
            for n, again, accepted, duplicates in lines:
                # the first after a kill may have been kept without a word of it
                first = n == begin[writer] and not again
                right = (0, 1) if again else (1, 0)
                assert (accepted, duplicates) == right or (
                    first and (accepted, duplicates) == (0, 1)
                )
        for writer, lines in said.items():
            begin[writer] = lines[-1][0] + 1
        done += 1
    ready.append(served.start())
    for writer in range(WRITERS):
        _, _, told = served.ask("GET", f"/v1/users/writer%20{writer}")
        kept = [one["id"] for one in told["events"]]
        wanted = [f"{writer}-{n}" for n in range(begin[writer])]
        # one more may have been kept when its acknowledgement was cut off
        assert kept in (wanted, [*wanted, f"{writer}-{begin[writer]}"])
    return {"cycles": done, "acknowledged": sum(begin), "ready_seconds": max(ready)}


@pytest.fixture
def served(shelf, tmp_path):
    shutil.copytree(shelf, tmp_path / "models")
    one = Served(tmp_path / "models" / "first", tmp_path, "--rate", "100000000/minute")
    yield one
    if hasattr(one, "process"):
        one.kill()
    one.http.clear()


def test_nothing_is_lost_or_doubled_in_two_kills(served):
    found = cycles(served, 2, random.Random(1))
    assert found["cycles"] == 2
    assert found["acknowledged"] > WRITERS


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_in_many_kills(served, record_property):
    """200, or `WARMSTART_KILLS`; half an hour at the most: on a machine so slow, fewer."""
    found = cycles(served, KILLS, random.Random(2), seconds=1_800)
    record_property("kills", found)
    assert found["cycles"] >= min(20, KILLS)
    assert found["acknowledged"] > WRITERS * found["cycles"]


@pytest.mark.slow
def test_a_million_events_delay_the_start_by_less_than_five_seconds(served, record_property):
    from warmstart.store import Event, open_store

    empty = served.start()  # Python and the model, on this machine
    served.kill()
    store = open_store(served.store)
    for begin in range(0, 1_000_000, 10_000):
        some = range(begin, begin + 10_000)
        store.append(
            "default", [Event(i, f"u{i % 9_973}", i % 79, "like", None, float(i)) for i in some]
        )
    store.close()
    found = cycles(served, 3, random.Random(3))
    record_property("kills", found | {"empty_ready_seconds": empty})
    assert found["ready_seconds"] <= empty + 5


def test_an_fsync_comes_before_every_answer(served, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("no strace here: apt-get install strace")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    log = tmp_path / "calls"
    calls = "trace=write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"
    served.start("strace", "-f", "-y", "-s", "400", "--seccomp-bpf", "-e", calls, "-o", str(log))
    for n in range(10):
        status, _, told = served.ask("POST", "/v1/events", {"events": [event(0, n)]})
        assert (status, told["accepted"]) == (200, 1)
    traced = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text()
    os.kill(int(traced), signal.SIGKILL)
    served.process.wait(30)
    wal = re.escape(f"{tmp_path}/events.sqlite-wal")
    synced = written = False
    answered = 0
    for line in log.read_text(errors="replace").splitlines():
        if re.search(rf"pwrite64\(\d+<{wal}>", line):
            synced, written = False, True
        elif re.search(rf"f(data)?sync\(\d+<{wal}>\)\s+= 0", line):
            synced = written
        elif 'accepted\\":1' in line:
            assert synced, f"answer {answered} came before the fsync"
            synced = written = False
            answered += 1
    assert answered == 10
