"""Group commit: one thread writes, and what waits together is committed together.

A commit waits for the disk, and a disk takes a few hundred a second; callers who share one get
through by the thousand. Each returns when the commit that holds its work is on the disk.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from warmstart.core.errors import StoreError
from warmstart.store.database import Connection

T = TypeVar("T")

_MOST = 1_000  # calls in one commit
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Connection], Any]
    done: Future[Any]


class GroupCommit:
    """Runs work inside shared transactions."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        tidy: Callable[[], bool],
    ) -> None:
        """Start the thread.

        Args:
            transaction: opens one that is on the disk when it closes.
            tidy: is called after each commit, and each second until it returns True; it never
                raises.
        """
        self._transaction, self._tidy = transaction, tidy
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._run, name="warmstart-store", daemon=True)
        self._thread.start()

    def __call__(self, work: Callable[[Connection], T]) -> T:
        """Do the work and return its result when it is on the disk.

        Raises:
            StoreError: the commit failed, for all whose work it held; nothing of it is kept.
        """
        job = _Job(work, Future())
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed; open it again")
            if not self._thread.is_alive():
                raise StoreError(
                    "the store was opened before this process was forked; open it here"
                )
            self._waiting.put(job)
        result: T = job.done.result()
        return result

    def close(self) -> None:
        """Do what still waits, and stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        tidy = stop = False
        while not stop:
            try:
                first = self._waiting.get(timeout=None if tidy else _PAUSE_SECONDS)
            except queue.Empty:
                tidy = self._tidy()
                continue
            jobs, stop = self._with_those_behind(first)
            if jobs:
                tidy = self._commit(jobs)

    def _with_those_behind(self, first: _Job | None) -> tuple[list[_Job], bool]:
        """Return the jobs that wait by now, and whether to stop after them."""
        jobs, job = list[_Job](), first
        while job is not None:
            jobs.append(job)
            if len(jobs) == _MOST or self._waiting.empty():
                return jobs, False
            job = self._waiting.get()
        return jobs, True

    def _commit(self, jobs: list[_Job]) -> bool:
        try:
            with self._transaction() as connection:
                results = [job.work(connection) for job in jobs]
            tidy = self._tidy()
        except Exception as error:
            for job in jobs:
                mine = StoreError(str(error)) if isinstance(error, StoreError) else error
                job.done.set_exception(mine)
            return True
        for job, result in zip(jobs, results, strict=True):
            job.done.set_result(result)
        return tidy
