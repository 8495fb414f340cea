"""What was acknowledged is on the disk: SIGKILL, system calls, and several processes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.store.addresses import new_url
from tests.store.kill_cycles import WRITERS

from warmstart.store import Event, open_store

CYCLES = Path(__file__).parent / "kill_cycles.py"

ONE_BY_ONE = """
import os, sys
from warmstart.store import Event, open_store
store = open_store(sys.argv[1])
for i in range(20):
    store.append("t", [Event(i, "ada", i, "like", None, 0.0)])
    os.write(1, b"acknowledged %d\\n" % i)
store.close()
"""

FORKED = """
import os, sys
from warmstart.core.errors import StoreError
from warmstart.store import Event, open_store
store = open_store(sys.argv[1])
if os.fork() == 0:
    try:
        store.append("t", [Event(1, "ada", 1, "like", None, 0.0)])
    except StoreError as error:
        os.write(1, str(error).encode())
    os._exit(0)
os.wait()
store.append("t", [Event(2, "ada", 1, "like", None, 0.0)])
store.close()
"""

OVERLAPPING = """
import os, sys
from warmstart.store import Event, open_store
for begin in range(0, 240, 60):
    if os.fork() == 0:
        store, accepted = open_store(sys.argv[1]), 0
        for i in range(begin, begin + 120):
            event = Event(i, f"u{i % 7}", i, "like", None, float(i))
            accepted += store.append("t", [event]).accepted
        store.close()
        os.write(1, b"%d\\n" % accepted)
        os._exit(0)
for _ in range(4):
    assert os.wait()[1] == 0
"""


def killed(url, cycles, seed):
    done = subprocess.run(
        [sys.executable, str(CYCLES), url, str(cycles), str(seed)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def check(found):
    assert (found["lost"], found["doubled"], found["miscounted"]) == (0, 0, 0)
    assert found["acknowledged"] > WRITERS
    assert found["ready_seconds"] <= 5.0


def test_nothing_is_lost_or_doubled_when_sqlite_is_killed(tmp_path):
    check(killed(f"sqlite:///{tmp_path}/events.sqlite", 20, seed=1))


def test_nothing_is_lost_or_doubled_when_a_client_of_postgresql_is_killed(request, tmp_path):
    check(killed(new_url("postgresql", tmp_path, request), 5, seed=2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_doubled_in_200_kills(kind, request, tmp_path):
    check(killed(new_url(kind, tmp_path, request), 200, seed=3))


@pytest.mark.slow
def test_a_killed_store_of_a_million_events_is_ready_in_five_seconds(tmp_path):
    path = tmp_path / "events.sqlite"
    store = open_store(path)
    for begin in range(0, 1_000_000, 10_000):
        some = range(begin, begin + 10_000)
        store.append("t", [Event(i, i % 9_973, i % 3_706, "like", 1.0, float(i)) for i in some])
    store.close()
    check(killed(f"sqlite:///{path}", 20, seed=4))


def test_an_fsync_comes_before_every_acknowledgement(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("no strace here: apt-get install strace")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    path, log = tmp_path / "events.sqlite", tmp_path / "calls"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    subprocess.run(
        ["strace", "-f", "-y", "--seccomp-bpf", "-e", calls, "-o", str(log),
         sys.executable, "-c", ONE_BY_ONE, str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    wal = re.escape(f"{path}-wal")
    synced, written, acknowledged = False, False, 0
    for line in log.read_text().splitlines():
        if re.search(rf"pwrite64\(\d+<{wal}>", line):
            synced, written = False, True
        elif re.search(rf"f(data)?sync\(\d+<{wal}>\)\s+= 0", line):
            synced = written
        elif "acknowledged" in line:
            assert synced, f"acknowledgement {acknowledged} came before the fsync"
            synced = written = False
            acknowledged += 1
    assert acknowledged == 20


def test_a_store_does_not_wait_for_a_thread_that_a_fork_left_behind(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "events.sqlite")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "forked; open it here" in done.stdout


def test_processes_that_write_at_once_lose_and_double_nothing(url):
    """Four of them, which all make the store; each has half of its events from the one before."""
    done = subprocess.run(
        [sys.executable, "-c", OVERLAPPING, url], capture_output=True, text=True, check=True
    )
    accepted = [int(line) for line in done.stdout.split()]
    store = open_store(url)
    found = [e.id for user in store.users("t") for e in store.events("t", user)]
    store.close()
    assert sorted(found) == list(range(300))
    assert sum(accepted) == 300


def test_a_deletion_in_one_process_holds_in_another_at_once(url):
    here, there = open_store(url), open_store(url)
    liked = Event("e", "ada", 1, "like", None, 0.0)
    assert here.append("t", [liked]).accepted == 1
    assert there.events("t", "ada") == [liked]
    assert there.delete_user("t", "ada", now=time.time()) == 1
    assert here.events("t", "ada") == []
    assert here.append("t", [liked]).refused == ("ada",)
    here.close()
    there.close()
