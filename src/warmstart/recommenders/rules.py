"""What a shop wants of a list beside relevance: boosts, pins, quotas and diversity.

Scores become standard deviations over the catalogue, so that a boost of 1 means the same for every
user. Then the list is filled place by place:

- a pinned item takes its place, if it may be shown at all;
- any other place goes to the item with the highest (1 - d) · score - d · likeness, where likeness
  is the largest cosine with an item that is already in the list (Carbonell & Goldstein 1998,
  doi:10.1145/290941.291025);
- no item may break a quota's most; and as soon as all places that are left are needed for the
  quotas' least, only items that help are taken.

A rule never brings back what a user has seen, or what is excluded, filtered away or removed.

Boosts go with exploration, which is then of the boosted scores. The other rules do not: whether an
item from outside may take a place would depend on all that stands around it, and how likely it was
to stand there would not be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from warmstart.core.config import Config
from warmstart.core.types import FloatArray, IntArray

_POOL = 200  # items that diversity chooses from, at least
_PER_PLACE = 10

Masks = Callable[[str], npt.NDArray[np.bool_]]


class Boost(Config):
    """Raise or lower the items that meet a condition.

    Attributes:
        filter: a condition on the item columns, see `warmstart.recommenders.filters`.
        by: standard deviations of the user's scores; below 0 lowers.
    """

    filter: str = Field(max_length=4_000)
    by: float = Field(ge=-1_000, le=1_000, allow_inf_nan=False)


class Pin(Config):
    """Give an item a place.

    Attributes:
        item: id or title.
        place: from 1.
    """

    item: str | int
    place: int = Field(ge=1, le=1_000)


class Quota(Config):
    """Bound how many items of a list meet a condition.

    Attributes:
        filter: a condition on the item columns.
        least: so many, as long as there are any that may be shown.
        most: no more than so many, pinned ones aside.
    """

    filter: str = Field(max_length=4_000)
    least: int = Field(0, ge=0, le=1_000)
    most: int | None = Field(None, ge=0, le=1_000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.most is not None and self.least > self.most:
            raise ValueError(f"least={self.least} is more than most={self.most}; exchange them")
        return self


class Rules(Config):
    """Everything that a list must heed.

    Attributes:
        boost: raised and lowered items.
        pin: items with a place of their own.
        quota: bounds on what a list holds.
        diversity: from 0, by relevance alone, to 1, as unlike each other as can be.

    Example:
        >>> Rules.parse({"boost": [{"filter": "year >= 1990", "by": 0.5}]}).boost[0].by
        0.5
    """

    boost: tuple[Boost, ...] = Field((), max_length=50)
    pin: tuple[Pin, ...] = Field((), max_length=100)
    quota: tuple[Quota, ...] = Field((), max_length=50)
    diversity: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _one_item_a_place(self) -> Self:
        places = [pin.place for pin in self.pin]
        if len(set(places)) < len(places):
            twice = next(p for p in places if places.count(p) > 1)
            raise ValueError(f"two items are pinned to place {twice}; give each its own")
        return self


def arranged(
    scores: FloatArray,
    k: int,
    rules: Rules,
    masks: Masks,
    pins: Sequence[tuple[int, int]],
    vectors: FloatArray | None,
) -> tuple[IntArray, FloatArray]:
    """Return the items of one list and their scores, in standard deviations.

    Args:
        scores: (items,) by the model; -inf where an item may not be shown.
        k: length of the list; it ends early where nothing is left that no rule forbids.
        rules: what to heed.
        masks: gives the (items,) mask of a condition.
        pins: (place from 0, item) of the pinned items.
        vectors: (items, dim) by which items are alike; None where the model has none, and
            diversity is heeded by nothing.
    """
    may, points = np.isfinite(scores), boosted(scores, rules, masks)
    quotas = [(masks(q.filter), q.least, q.most) for q in rules.quota]
    pool = _pool(points, max(_POOL, _PER_PLACE * k), [mask for mask, *_ in quotas], k)
    pinned = {place: item for place, item in pins if place < k and may[item]}
    pool = pool[~np.isin(pool, list(pinned.values()))]
    unit = None if vectors is None or not rules.diversity else _unit(vectors[pool])
    chosen: list[int] = []
    nearest = np.zeros(len(pool))
    have = [sum(bool(mask[item]) for item in pinned.values()) for mask, *_ in quotas]
    for place in range(k):
        if place in pinned:
            item = pinned[place]
        else:
            free = sum(p not in pinned for p in range(place, k))
            open_ = _open(pool, chosen, quotas, have, free)
            if not open_.any():
                if any(p > place for p in pinned):
                    continue  # what is pinned further down moves up
                break
            worth = (1 - rules.diversity) * points[pool] - rules.diversity * nearest
            at = int(np.where(open_, worth, -np.inf).argmax())
            item = int(pool[at])
            have = [h + bool(mask[item]) for h, (mask, *_) in zip(have, quotas, strict=True)]
        chosen.append(item)
        if unit is not None and vectors is not None:
            nearest = np.maximum(nearest, unit @ _unit(vectors[[item]])[0])
    found = np.array(chosen, np.int64)
    return found, points[found].astype(np.float32)


def boosted(scores: FloatArray, rules: Rules, masks: Masks) -> npt.NDArray[np.float64]:
    """Return (items,) scores in standard deviations, with the boosts; -inf stays -inf.

    Args:
        scores: (items,) by the model; -inf where an item may not be shown.
        rules: whose boosts.
        masks: gives the (items,) mask of a condition.
    """
    may = np.isfinite(scores)
    points = np.full(len(scores), -np.inf)
    shown = scores[may].astype(np.float64)
    if len(shown):
        points[may] = (shown - shown.mean()) / max(float(shown.std()), 1e-12)
    for boost in rules.boost:
        points[masks(boost.filter)] += boost.by
    return points


def _pool(
    points: npt.NDArray[np.float64], size: int, masks: Sequence[npt.NDArray[np.bool_]], k: int
) -> IntArray:
    """Return the items that a list is chosen from, best first: the best, and those of a quota."""

    def best(scores: npt.NDArray[np.float64], n: int) -> IntArray:
        order = np.argsort(-scores, kind="stable")[:n]
        return np.asarray(order[np.isfinite(scores[order])], np.int64)

    parts = [best(points, size)]
    for mask in masks:
        parts.append(best(np.where(mask, points, -np.inf), k))
        parts.append(best(np.where(mask, -np.inf, points), k))
    pool = np.unique(np.concatenate(parts))
    return pool[np.argsort(-points[pool], kind="stable")]


def _open(
    pool: IntArray,
    chosen: Sequence[int],
    quotas: Sequence[tuple[npt.NDArray[np.bool_], int, int | None]],
    have: Sequence[int],
    free: int,
) -> npt.NDArray[np.bool_]:
    """Return which of the pool may take the next place."""
    open_ = ~np.isin(pool, chosen)
    missing, helps = 0, np.zeros(len(pool), np.int64)
    for (mask, least, most), n in zip(quotas, have, strict=True):
        if most is not None and n >= most:
            open_ &= ~mask[pool]
        left = min(least - n, int((mask[pool] & open_).sum()))
        if left > 0:
            missing += left
            helps += mask[pool]
    if missing >= free and (open_ & (helps > 0)).any():
        open_ &= helps == helps[open_].max()
    return open_


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
