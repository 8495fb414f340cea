"""The last lists and how long they took: what an operator looks at, kept in memory alone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from warmstart.core.errors import DataError
from warmstart.data import FeatureSpace
from warmstart.evaluation.bias import group_gap
from warmstart.recommenders.catalogue import Catalogue

Known = Mapping[str, Any]

_LISTS = 1_000
_PLACES = 10  # of a list: one request for 500 items would outweigh fifty lists that people see
_TIMES = 5_000
_SHUFFLES = 400


@dataclass(frozen=True, slots=True)
class Groups:
    """How popular the last lists of each group of users were.

    Attributes:
        column: of what is known of users.
        popularity: group → the mean place of its lists, as in `Lately`.
        lists: group → how many they are.
        gap: the largest difference.
        by_chance: what it would be if groups meant nothing.
        p: how often chance gives such a gap.
    """

    column: str
    popularity: dict[str, float]
    lists: dict[str, int]
    gap: float
    by_chance: float
    p: float


@dataclass(frozen=True, slots=True)
class Lately:
    """Figures of one tenant's last lists.

    Attributes:
        lists: how many they are.
        coverage: share of the items that can be recommended which stood on any of them.
        popularity: mean place, from 0 to 1, of what was listed among all items by their likes;
            .5 is what chance gives, 1 the most liked item alone.
        top_share: share of all places that went to the tenth of the items listed most.
        groups: by user column, how popular the lists of each group were, and whether they differ
            by more than chance.
    """

    lists: int
    coverage: float
    popularity: float
    top_share: float
    groups: tuple[Groups, ...] = ()


class Window:
    """Remembers the last lists of each tenant, and the last times."""

    def __init__(self) -> None:
        self._lists: dict[str, deque[tuple[tuple[str | int, ...], Known]]] = {}
        self._seconds: deque[float] = deque(maxlen=_TIMES)

    def listed(self, tenant: str, items: tuple[str | int, ...], known: Known | None = None) -> None:
        """Remember the first places of a list, and what was said of the user it was for."""
        if tenant not in self._lists:
            self._lists[tenant] = deque(maxlen=_LISTS)
        self._lists[tenant].append((items[:_PLACES], known or {}))

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
        kept = list(self._lists.get(tenant, ()))
        lists = [items for items, _ in kept]
        counts = Counter(item for one in lists for item in one)
        items = list(counts)
        at = catalogue.items.find(items)
        times = np.array([counts[item] for item in items])[at >= 0]
        at = at[at >= 0]
        if not len(at):
            return None
        shown = catalogue.items.take(at)
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
            _groups(kept, dict(zip(shown, place.tolist(), strict=True)), catalogue),
        )


def _groups(
    kept: list[tuple[tuple[str | int, ...], Known]],
    place: Mapping[str | int, float],
    catalogue: Catalogue,
) -> tuple[Groups, ...]:
    """Return the gaps between groups of users by each column that the model reads."""
    space, found = catalogue.user_features, []
    means = [[place[i] for i in items if i in place] for items, _ in kept]
    popularity = np.array([np.mean(one) if one else np.nan for one in means])
    for block in () if space is None else space.blocks:
        if block.kind == "multi-category":
            continue
        cells = {block.column: [known.get(block.column) for _, known in kept]}
        belongs = FeatureSpace([block]).transform(cells)
        codes = np.full(len(kept), -1)
        codes[belongs.tocoo().row] = belongs.tocoo().col
        try:
            gap = group_gap(popularity, codes, resamples=_SHUFFLES)
        except DataError:  # fewer than two groups were asked for often enough
            continue
        names = [block.names[g].removeprefix(f"{block.column}=") for g in gap.groups]
        found.append(
            Groups(
                block.column,
                dict(zip(names, gap.means.tolist(), strict=True)),
                dict(zip(names, gap.tasks.tolist(), strict=True)),
                gap.gap,
                gap.by_chance,
                gap.p,
            )
        )
    return tuple(found)
