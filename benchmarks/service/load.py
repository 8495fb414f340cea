"""A load generator: keeps connections open, sends prepared requests, and times the answers.

It runs as a process of its own: `python -m benchmarks.service.load` reads one JSON plan from stdin
and prints one JSON result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

_STATUS = slice(9, 12)


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.done: asyncio.Future[int] | None = None
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer, whose length its head tells."""
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0 or self.done is None:
            return
        lower = self.buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) >= head + 4 + length:
            status, self.buffer = int(self.buffer[_STATUS]), b""
            done, self.done = self.done, None
            if not done.done():
                done.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the request as failed."""
        if self.done is not None and not self.done.done():
            self.done.set_result(0)

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its answer."""
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.done


async def closed(plan: dict[str, Any], requests: list[bytes]) -> tuple[list[float], list[int]]:
    """Keep every connection busy for so many seconds."""
    loop = asyncio.get_running_loop()
    seconds, statuses = list[float](), list[int]()
    until = time.perf_counter() + plan["seconds"]

    async def one(number: int) -> None:
        _, connection = await loop.create_connection(Connection, "127.0.0.1", plan["port"])
        at = number
        while (begun := time.perf_counter()) < until:
            statuses.append(await connection.ask(requests[at % len(requests)]))
            seconds.append(time.perf_counter() - begun)
            at += plan["connections"]
        connection.transport.close()

    await asyncio.gather(*(one(n) for n in range(plan["connections"])))
    await asyncio.sleep(0)  # so that what was closed is gone
    return seconds, statuses


async def paced(plan: dict[str, Any], requests: list[bytes]) -> tuple[list[float], list[int]]:
    """Send so many requests a second, whether or not the answers keep pace.

    The time of a request begins when it was due, so that a server that lags is not excused.
    """
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(plan["connections"]):
        _, connection = await loop.create_connection(Connection, "127.0.0.1", plan["port"])
        free.put_nowait(connection)
    seconds, statuses, tasks = list[float](), list[int](), set[asyncio.Task[None]]()
    begun = time.perf_counter()

    async def one(at: int, due: float) -> None:
        connection = await free.get()
        statuses.append(await connection.ask(requests[at % len(requests)]))
        seconds.append(time.perf_counter() - due)
        free.put_nowait(connection)

    for at in range(int(plan["rate"] * plan["seconds"])):
        due = begun + at / plan["rate"]
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(at, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().transport.close()
    await asyncio.sleep(0)
    return seconds, statuses


def main() -> None:
    """Run one plan."""
    plan = json.load(sys.stdin)
    requests = []
    for body in plan["bodies"]:
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{plan['method']} {plan['path']} HTTP/1.1\r\nHost: localhost\r\n"
        if raw:
            head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
        if plan.get("key"):
            head += f"Authorization: Bearer {plan['key']}\r\n"
        requests.append(head.encode() + b"\r\n" + raw)
    begun = time.perf_counter()
    work = paced if plan.get("rate") else closed
    seconds, statuses = asyncio.run(work(plan, requests))
    took = time.perf_counter() - begun
    seconds.sort()

    def at(share: float) -> float:
        return 1_000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))]

    counts = {str(s): statuses.count(s) for s in sorted(set(statuses))}
    result = {
        "requests": len(seconds), "per_second": len(seconds) / took, "statuses": counts,
        "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": at(1.0),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
