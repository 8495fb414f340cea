"""Writers that are killed at random, again and again: `python kill_cycles.py URL CYCLES SEED`.

Eight writers send events one after the other, each event twice. A process that holds them is
killed with SIGKILL; the next one goes on with what was not acknowledged, as clients do. After each
kill the store is read and held against the acknowledgements. Says what it found in a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from itertools import count

from warmstart.store import Event, open_store

WRITERS = 8


def event(writer: int, i: int) -> Event:
    return Event(f"{writer}-{i}", f"writer {writer}", i, "like", None, float(i))


def write_until_killed(url: str, begin: list[int], says: int) -> None:
    """Send events; say `writer i accepted duplicates` for each when it was acknowledged twice."""
    begun = time.perf_counter()
    store = open_store(url)
    store.events("t", "writer 0")
    os.write(says, f"ready {time.perf_counter() - begun}\n".encode())

    def send(writer: int) -> None:
        for i in count(begin[writer]):
            receipts = [store.append("t", [event(writer, i)]) for _ in range(2)]
            accepted = sum(receipt.accepted for receipt in receipts)
            duplicates = sum(receipt.duplicates for receipt in receipts)
            os.write(says, f"{writer} {i} {accepted} {duplicates}\n".encode())

    threads = [threading.Thread(target=send, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cycle(url: str, begin: list[int], lines: int, seconds: float) -> list[list[str]]:
    """Kill a process so long after it said so many lines; return all that it said."""
    hears, says = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hears)
        write_until_killed(url, begin, says)
        os._exit(1)
    os.close(says)
    with open(hears, "rb") as pipe:
        first = [pipe.readline() for _ in range(lines)]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rest = pipe.read()  # what it could still say; a pipe keeps it
    return [line.decode().split() for line in [*first, *rest.splitlines()]]


def main(url: str, cycles: int, seed: int) -> None:
    rng = random.Random(seed)
    begin = [0] * WRITERS
    lost = doubled = miscounted = 0
    ready = []
    for _ in range(cycles):
        said = cycle(url, begin, rng.choice([1, 2, 20]), rng.uniform(0.0, 0.1))
        ready.append(float(said[0][1]))
        for writer, i, accepted, duplicates in said[1:]:
            # the first after a kill may have been kept without a word of it
            again = int(i) == begin[int(writer)]
            miscounted += (accepted, duplicates) not in {("1", "1"), ("0", "2") if again else ()}
        for writer, i, *_ in said[1:]:
            begin[int(writer)] = max(begin[int(writer)], int(i) + 1)
        store = open_store(url)
        for writer in range(WRITERS):
            kept = store.events("t", f"writer {writer}")
            wanted = [event(writer, i) for i in range(begin[writer])]
            lost += len(set(wanted) - set(kept))
            doubled += len(kept) - len(set(kept))
            lost += kept not in (wanted, [*wanted, event(writer, begin[writer])])
        store.close()
    found = {"lost": lost, "doubled": doubled, "miscounted": miscounted}
    json.dump({**found, "acknowledged": sum(begin), "ready_seconds": max(ready)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
