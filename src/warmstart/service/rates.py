"""How often a key has asked, in this process: a window that begins with its first request.

The library `limits` counts by the rules; what comes with it to keep the counts starts a task, or a
thread, at every request, so they are kept here, in a dictionary that belongs to one event loop.
"""

from __future__ import annotations

import time

from limits import parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from warmstart.core.errors import ConfigError


class _Counts(Storage):
    """Counts by key; there are no more of them than good keys."""

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        count, until = self._kept.get(key, (0, 0.0))
        if until <= now:
            count, until = 0, now + expiry
        self._kept[key] = count + amount, until
        return count + amount

    def get(self, key: str) -> int:
        count, until = self._kept.get(key, (0, 0.0))
        return count if until > time.time() else 0

    def get_expiry(self, key: str) -> float:
        return self._kept.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        self._kept.clear()
        return None

    def clear(self, key: str) -> None:
        self._kept.pop(key, None)


class Rates:
    """One rate for every key."""

    def __init__(self, rate: str) -> None:
        """Set up.

        Args:
            rate: as `limits` writes it, such as "600/minute".

        Raises:
            ConfigError: it is none.
        """
        try:
            (self._rate,) = parse_many(rate)
        except ValueError:  # none, or several
            raise ConfigError(f"rate={rate!r} is not one; write one such as 600/minute") from None
        self._limiter = FixedWindowRateLimiter(_Counts())

    def wait(self, key: str) -> int:
        """Count a request; return 0 if it may pass, else after how many seconds one may."""
        if self._limiter.hit(self._rate, key):
            return 0
        left = self._limiter.get_window_stats(self._rate, key).reset_time - time.time()
        return min(max(1, round(self._rate.get_expiry())), max(1, int(left) + 1))
