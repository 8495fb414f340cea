"""The last lists and how long they took: what an operator looks at, kept in memory alone."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from warmstart.recommenders.catalogue import Catalogue

_LISTS = 1_000
_TIMES = 5_000


@dataclass(frozen=True, slots=True)
class Lately:
    """Figures of one tenant's last lists.

    Attributes:
        lists: how many they are.
        coverage: share of the items that can be recommended which stood on any of them.
        popularity: mean place, from 0 to 1, of what was listed among all items by their likes;
            .5 is what chance gives, 1 the most liked item alone.
        top_share: share of all places that went to the tenth of the items listed most.
    """

    lists: int
    coverage: float
    popularity: float
    top_share: float


class Window:
    """Remembers the last lists of each tenant, and the last times."""

    def __init__(self) -> None:
        self._lists: dict[str, deque[tuple[str | int, ...]]] = {}
        self._seconds: deque[float] = deque(maxlen=_TIMES)

    def listed(self, tenant: str, items: tuple[str | int, ...]) -> None:
        """Remember a list."""
        if tenant not in self._lists:
            self._lists[tenant] = deque(maxlen=_LISTS)
        self._lists[tenant].append(items)

    def took(self, seconds: float) -> None:
        """Remember how long a list took."""
        self._seconds.append(seconds)

    def milliseconds(self) -> dict[str, float]:
        """Return the median and the 99th percentile of the last lists, of all tenants."""
        if not self._seconds:
            return {}
        p50, p99 = np.quantile(list(self._seconds), [0.5, 0.99])
        return {"p50": 1_000 * float(p50), "p99": 1_000 * float(p99)}

    def figures(self, tenant: str, catalogue: Catalogue) -> Lately | None:
        """Return the figures of a tenant; None before the first list."""
        lists = list(self._lists.get(tenant, ()))
        counts = Counter(item for one in lists for item in one)
        items = list(counts)
        at = catalogue.items.find(items)
        times = np.array([counts[item] for item in items])[at >= 0]
        at = at[at >= 0]
        if not len(at):
            return None
        served = len(catalogue)
        if catalogue.removed is not None:
            served -= int(catalogue.removed.sum())
        # items with equal likes share the middle of their places
        order = np.sort(catalogue.likes)
        low = np.searchsorted(order, catalogue.likes[at], "left")
        high = np.searchsorted(order, catalogue.likes[at], "right") - 1
        place = (low + high) / 2 / max(1, len(order) - 1)
        most = np.sort(times)[::-1][: max(1, served // 10)]
        return Lately(
            len(lists),
            len(at) / max(1, served),
            float((place * times).sum() / times.sum()),
            float(most.sum() / times.sum()),
        )
