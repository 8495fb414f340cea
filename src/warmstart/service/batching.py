"""Users who ask at the same time are ranked together.

Most of what one user costs is the overhead of many small steps, and together they share it. Nobody
waits for company: those whose requests are there already go together, whoever finds the threads
idle goes at once, and those who come meanwhile go together next.

A catalogue that is ranked in a few milliseconds is ranked by the event loop itself: to hand over to
a thread and back takes as long, and on one core there is nobody to hand over to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.protocols import RanksFast

_MOST = 64  # users at once
_MOST_SCORES = 1 << 23  # of one batch
_MOST_SCORES_HERE = 1 << 18  # of one batch that the event loop ranks


@dataclass(frozen=True, slots=True)
class _Waiting:
    fitted: Fitted
    history: Histories
    k: int
    done: asyncio.Future[tuple[IntArray, FloatArray]]


class Batches:
    """Ranks users in batches, in a pool of threads; belongs to one event loop."""

    def __init__(
        self, pool: Executor, threads: int, told: Callable[[int], None] | None = None
    ) -> None:
        """Set up.

        Args:
            pool: of the threads.
            threads: batches at one time.
            told: is told the size of every batch.
        """
        self._pool, self._free, self._told = pool, threads, told
        self._waiting: list[_Waiting] = []
        self._called = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def rank(self, fitted: Fitted, history: Histories, k: int) -> tuple[IntArray, FloatArray]:
        """Return one user's (k,) items and scores, as `Fitted.rank` gives them.

        Args:
            fitted: what ranks.
            history: the user, alone.
            k: length of the list.
        """
        done: asyncio.Future[tuple[IntArray, FloatArray]]
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(fitted, history, k, done))
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._gather, 0)
        return await done

    def _gather(self, before: int) -> None:
        """Start when no further request is there already: each turn of the loop reads some."""
        if before < len(self._waiting) < _MOST:
            asyncio.get_running_loop().call_soon(self._gather, len(self._waiting))
            return
        self._called = False
        self._start()

    def _start(self) -> None:
        while self._free and self._waiting:
            batch = self._next()
            fitted = batch[0].fitted
            few = len(batch) * len(fitted.catalogue) <= _MOST_SCORES_HERE
            if few and isinstance(fitted.method, RanksFast):
                self._rank_here(batch)
                continue
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> list[_Waiting]:
        """Take the first, and everybody who can go with them."""
        first = self._waiting[0]
        most = max(1, min(_MOST, _MOST_SCORES // max(1, len(first.fitted.catalogue))))
        batch, rest = list[_Waiting](), list[_Waiting]()
        for one in self._waiting:
            fits = len(batch) < most and _together(first, one)
            (batch if fits else rest).append(one)
        self._waiting = rest
        return batch

    def _rank_here(self, batch: list[_Waiting]) -> None:
        try:
            self._tell(batch)
            _answer(batch, *_ranked(batch))
        except Exception as error:
            _fail(batch, error)

    async def _run(self, batch: list[_Waiting]) -> None:
        try:
            self._tell(batch)
            loop = asyncio.get_running_loop()
            items, scores = await loop.run_in_executor(self._pool, _ranked, batch)
            _answer(batch, items, scores)
        except BaseException as error:
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._free += 1
            self._start()

    def _tell(self, batch: list[_Waiting]) -> None:
        if self._told is not None:
            self._told(len(batch))


def _answer(batch: list[_Waiting], items: IntArray, scores: FloatArray) -> None:
    for row, one in enumerate(batch):
        if not one.done.done():
            one.done.set_result((items[row, : one.k], scores[row, : one.k]))


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for one in batch:
        if not one.done.done():
            one.done.set_exception(error)


def _together(a: _Waiting, b: _Waiting) -> bool:
    same = a.fitted is b.fitted and (a.history.times is None) == (b.history.times is None)
    return same and (a.history.features is None) == (b.history.features is None)


def _ranked(batch: list[_Waiting]) -> tuple[IntArray, FloatArray]:
    histories = joined([one.history for one in batch])
    return batch[0].fitted.rank(histories, max(one.k for one in batch))


def joined(histories: list[Histories]) -> Histories:
    """Return users one after another; all have times and features, or none has.

    Example:
        >>> one = Histories(np.array([0, 1]), np.array([7]), np.ones(1, np.float32))
        >>> joined([one, one]).indptr.tolist(), joined([one, one]).items.tolist()
        ([0, 1, 2], [7, 7])
    """
    if len(histories) == 1:
        return histories[0]
    ends = np.cumsum([0, *(len(h.items) for h in histories)])
    times: Any = None
    if histories[0].times is not None:
        times = np.concatenate([h.times for h in histories])
    features = None
    if histories[0].features is not None:
        features = _stacked([h.features for h in histories])
    return Histories(
        ends,
        np.concatenate([h.items for h in histories]),
        np.concatenate([h.values for h in histories]),
        times,
        features,
    )


def _stacked(rows: Sequence[Any]) -> sp.csr_array:
    """Return single rows as one matrix; `scipy.sparse.vstack` takes as long as to rank them."""
    ends = np.cumsum([0, *(len(row.indices) for row in rows)])
    data, columns = (np.concatenate([getattr(row, n) for row in rows]) for n in ("data", "indices"))
    return sp.csr_array((data, columns, ends), shape=(len(rows), rows[0].shape[1]))
