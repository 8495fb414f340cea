"""What lists are like at every number of likes, and what adaptation changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import IntArray
from warmstart.data import Tasks
from warmstart.evaluation.bias import (
    Mask,
    category_miscalibration,
    liked_popularity,
    listed_share,
    long_tail,
    popularity_lift,
    popularity_opportunity,
    ranks_of,
)
from warmstart.evaluation.metrics import PerUser, mean_popularity, percentiles
from warmstart.evaluation.protocol import Evaluation
from warmstart.evaluation.significance import bootstrap_interval, ratio_interval

_ROOM = 1 << 24  # scores held at once
BANDS = (0, 1, 5, 20, 100)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report.

    Attributes:
        measure: its name.
        method: whose lists; "taste" for what the people themselves like.
        shots: after how many likes; None where it does not depend on them, "change" for the last
            minus the first.
        value: the mean over people, or what all lists together have.
        ci_low: lower end of the 95 % interval over people; None where there is none.
        ci_high: upper end.
    """

    measure: str
    method: str
    shots: int | str | None
    value: float
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """Items about equally popular, and what becomes of them.

    Attributes:
        low: least number of training likes.
        high: most; None for no end.
        items: share of the catalogue.
        likes: share of what the judged people like.
        places: number of shots → share of the places on the lists.
        standing: number of shots → the mean place of the liked ones in the whole ranking, from 0,
            the top, to 1; .5 is chance. NaN where nobody likes any.
    """

    low: int
    high: int | None
    items: float
    likes: float
    places: dict[int, float]
    standing: dict[int, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a method did at each number of shots.

    Attributes:
        lists: shots → what `evaluate` found.
        ranks: shots → (relevant entries,) places of liked items in the whole ranking.
    """

    lists: Mapping[int, Evaluation]
    ranks: Mapping[int, npt.NDArray[np.float64]]


def ranks_at(scorer: Any, tasks: Tasks, shots: int) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Return (relevant entries,) at which place of the whole ranking each liked item stands."""
    support, found = tasks.at(shots), []
    step = max(1, _ROOM // max(1, tasks.query.shape[1]))
    for start in range(0, len(tasks), step):
        some = np.arange(start, min(start + step, len(tasks)))
        part = support.take(some)
        scores = np.array(scorer.score(part), np.float32)
        scores[part.rows, part.items] = -np.inf
        if tasks.candidates is not None:
            scores[:, ~tasks.candidates] = -np.inf
        found.append(ranks_of(scores, tasks.query[some]))
    return np.concatenate(found)


def figures_of(
    method: str,
    judged: Judged,
    tasks: Tasks,
    likes: IntArray,
    categories: sp.csr_array | None,
    seed: int,
) -> list[Figure]:
    """Return every measure at every number of shots, and the last minus the first.

    Args:
        method: its name.
        judged: what it did.
        tasks: the people.
        likes: (items,) training likes.
        categories: (items, categories), or None.
        seed: of the bootstrap over people.
    """
    by_user: dict[str, dict[int, PerUser]] = {}
    overall: dict[str, dict[int, tuple[float, float | None, float | None]]] = {}
    tail = long_tail(likes)
    for shots, found in judged.lists.items():
        top = found.top
        values = {
            "ndcg": found.per_task["nDCG@10"],
            "popularity": found.per_task["popularity_percentile@10"],
            "tail": listed_share(top, tail),
        }
        if shots in judged.ranks:
            values["pru"], pri = popularity_opportunity(judged.ranks[shots], tasks.query, likes)
            overall.setdefault("pri", {})[shots] = (pri, None, None)
        if categories is not None:
            values["miscalibration"] = category_miscalibration(top, tasks.query, categories)
        for name, value in values.items():
            by_user.setdefault(name, {})[shots] = value
        lift = popularity_lift(top, tasks.query, likes, seed=seed)
        overall.setdefault("lift", {})[shots] = lift
        overall.setdefault("coverage", {})[shots] = (found.overall["coverage@10"], None, None)
        overall.setdefault("gini", {})[shots] = (found.overall["Gini@10"], None, None)
    figures = []
    for name, at in by_user.items():
        figures += [_of_people(name, method, shots, value, seed) for shots, value in at.items()]
        first, last = at[min(at)], at[max(at)]
        figures.append(_of_people(name, method, "change", last - first, seed))
    for name, told in overall.items():
        figures += [Figure(name, method, shots, *told[shots]) for shots in told]
        change = told[max(told)][0] - told[min(told)][0]
        ends: tuple[float, float] | tuple[None, None] = (None, None)
        if name == "lift":
            ends = _change_of_lift(judged.lists, tasks, likes, seed)
        figures.append(Figure(name, method, "change", change, *ends))
    return [f for f in figures if np.isfinite(f.value)]


def figures_of_taste(tasks: Tasks, likes: IntArray, seed: int) -> list[Figure]:
    """Return the same of what the people themselves like, which lists could be like."""
    rank, tail = percentiles(likes.astype(np.float64)), long_tail(likes)
    return [
        _of_people("popularity", "taste", None, liked_popularity(tasks.query, rank), seed),
        _of_people("tail", "taste", None, liked_popularity(tasks.query, tail), seed),
    ]


def bands_of(judged: Judged, tasks: Tasks, likes: IntArray, ends: tuple[int, int]) -> list[Band]:
    """Return what becomes of items nobody liked in training, of rare ones, and of popular ones.

    Args:
        judged: what the model did.
        tasks: the people.
        likes: (items,) training likes.
        ends: the numbers of shots to tell of.
    """
    served = np.ones(len(likes), bool) if tasks.candidates is None else tasks.candidates
    wanted = tasks.query.indices
    competing = served.sum() - tasks.at(max(ends)).shots.mean()
    bands = []
    for low, above in zip(BANDS, (*BANDS[1:], None), strict=True):
        inside: Mask = (likes >= low) & served & (likes < above if above is not None else True)
        if not inside.any():
            continue
        liked = inside[wanted]
        standing = {}
        for shots in ends:
            ranks = judged.ranks[shots][liked]
            standing[shots] = float((ranks.mean() - 1) / (competing - 1)) if len(ranks) else np.nan
        bands.append(
            Band(
                low,
                None if above is None else above - 1,
                float(inside.sum() / served.sum()),
                float(liked.mean()),
                {s: float(np.nanmean(listed_share(judged.lists[s].top, inside))) for s in ends},
                standing,
            )
        )
    return bands


def mixtures_of(
    judged: Judged, tasks: Tasks, categories: sp.csr_array, ends: tuple[int, int]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return (categories,) shares of what is liked, of the lists at both ends, and of items.

    People count alike, and an item in several categories counts for each in equal parts.
    """
    weights = np.maximum(np.asarray(categories.sum(axis=1)), 1)
    of_item = sp.csr_array(sp.diags_array(1 / weights) @ (categories > 0).astype(np.float64))

    def share(of_people: sp.csr_array) -> npt.NDArray[np.float64]:
        mixed = np.asarray((of_people @ of_item).todense())
        total = mixed.sum(axis=1, keepdims=True)
        kept = total[:, 0] > 0
        return np.asarray((mixed[kept] / total[kept]).mean(axis=0))

    found = {"liked": share(tasks.query)}
    for name, shots in zip(("first", "last"), ends, strict=True):
        top = judged.lists[shots].top
        rows, there = np.repeat(np.arange(len(top)), top.shape[1]), top.ravel() >= 0
        ones = (np.ones(int(there.sum())), (rows[there], top.ravel()[there]))
        found[name] = share(sp.csr_array(sp.coo_array(ones, shape=tasks.query.shape)))
    whole = np.asarray(of_item.sum(axis=0))
    found["catalogue"] = whole / max(whole.sum(), 1)
    return found


def _of_people(
    measure: str, method: str, shots: int | str | None, values: PerUser, seed: int
) -> Figure:
    known = values[np.isfinite(values)]
    if not len(known):
        return Figure(measure, method, shots, np.nan)
    low, high = bootstrap_interval(known, seed=seed)
    return Figure(measure, method, shots, float(known.mean()), float(low), float(high))


def _change_of_lift(
    lists: Mapping[int, Evaluation], tasks: Tasks, likes: IntArray, seed: int
) -> tuple[float, float]:
    taste = liked_popularity(tasks.query, likes)
    first, last = (
        mean_popularity(lists[s].top, likes.astype(np.float64)) for s in (min(lists), max(lists))
    )
    kept = np.isfinite(first) & np.isfinite(last) & np.isfinite(taste)
    _, low, high = ratio_interval((last - first)[kept], taste[kept], seed=seed)
    return low, high
