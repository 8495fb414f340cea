"""Exploration: some places of a list go to items that might be better than they are known to be.

The list keeps its order. A share of its places, drawn evenly, is given to items from outside of it,
in proportion to the chance that each is the best of those outside: the choice of Thompson sampling,
where an item's score is normal with the mean and the spread that the posterior gives it. So the
item shown is seldom a bad one, and often one of which the model is unsure.

How likely it was that an item stood at its place is known exactly, which off-policy evaluation
needs:

    an item of the list, at its own place      1 - share
    an item from outside, at any place         share · chance to be explored

The chances are integrals over one variable, and m different items are drawn from outside by
systematic sampling, in which every item's chance to be among them is exactly what it is meant to
be. An error of the integral would move what is explored, never the truth of the propensity.
Everything is done for all users at once; each is drawn for by itself.

Deliberately simple: the items' scores are drawn as if they were independent, and an item of the
list never moves to another place, so a log says nothing of lists that reorder its head.

References: Thompson 1933, doi:10.1093/biomet/25.3-4.285; Madow 1949, doi:10.1214/aoms/1177729988
(systematic sampling with unequal chances).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError
from warmstart.core.types import IntArray

_Values = npt.NDArray[np.floating[Any]]
_Chances = npt.NDArray[np.float64]

MOST_CANDIDATES = 1_000
"""Items from outside that are weighed, the most promising by mean plus three spreads."""

_STEPS = 200  # of the integral
_CERTAIN = 1 - 1e-9  # below 1, so that no item can be drawn twice
_LEAST = 1e-9  # what a candidate that is hardly ever best still gets, against all together


@dataclass(frozen=True, slots=True)
class Explored:
    """Lists of which some places are explored.

    Attributes:
        items: (users, k) dense items; -1 where a list has run out.
        propensity: (users, k) probability of each to stand where it stands.
        new: (users, k) whether the place was given to an item from outside.
    """

    items: IntArray
    propensity: _Chances
    new: npt.NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Explored]) -> Explored:
        """Return the lists of several groups of users, one after the other."""
        return cls(
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.propensity for part in parts]),
            np.concatenate([part.new for part in parts]),
        )


def checked_share(explore: Any) -> float:  # noqa: ANN401  (whatever a caller gives)
    """Return the share of places to explore.

    Raises:
        ConfigError: it is no number from 0 to below 1.
    """
    number = isinstance(explore, int | float | np.number) and not isinstance(explore, bool)
    if not number or not 0 <= explore < 1:
        raise ConfigError(f"explore must be a share from 0 to below 1, got {explore!r}; try 0.1")
    return float(explore)


def explore(
    listed: IntArray,
    scores: _Values,
    spread: _Values,
    share: float,
    rng: np.random.Generator,
) -> Explored:
    """Return lists with some places given to items from outside, and their propensities.

    Args:
        listed: (users, k) dense items, best first; -1 where there are no more.
        scores: (users, items) means; -inf where an item must not be shown.
        spread: (users, items) standard deviations on the scale of the scores.
        share: of the places that are explored, on average.
        rng: draws.

    Example:
        >>> scores, spread = np.arange(6.0)[None, ::-1], np.ones((1, 6))
        >>> found = explore(np.array([[0, 1]]), scores, spread, 0.5, np.random.default_rng(1))
        >>> found.items.tolist(), found.propensity.round(2).tolist()
        ([[0, 2]], [[0.5, 0.36]])
    """
    n, k = listed.shape
    outside = np.array(scores, np.float64)
    whole = listed >= 0
    outside[np.nonzero(whole)[0], listed[whole]] = -np.inf
    if not k or not np.isfinite(outside).any():
        return Explored(listed, np.ones((n, k)), np.zeros((n, k), bool))
    pool = _most_promising(outside, spread)
    chance = np.zeros(pool.shape)
    for one in np.flatnonzero(np.isfinite(outside).any(axis=1)).tolist():
        open_ = np.isfinite(outside[one, pool[one]])
        candidates = pool[one, open_]
        chance[one, open_] = best_chances(outside[one, candidates], spread[one, candidates])
    few, rest = divmod(share * k, 1)
    room = (chance > 0).sum(axis=1)
    sizes = [np.minimum(int(few) + more, room) for more in (0, 1)]
    among = [inclusion_chances(chance, size) for size in sizes]
    odds = np.array([1 - rest, rest])
    more = rng.random(n) < rest
    drawn = systematic_samples(np.where(more[:, None], among[1], among[0]), rng)
    places = np.argsort(rng.random((n, k)), axis=1)[:, : drawn.shape[1]]
    user, at = np.nonzero(drawn >= 0)
    new = drawn[user, at]
    items = listed.copy()
    kept = 1 - (odds[0] * sizes[0] + odds[1] * sizes[1]) / k
    propensity = np.repeat(kept[:, None], k, axis=1)
    items[user, places[user, at]] = pool[user, new]
    either = odds[0] * among[0][user, new] + odds[1] * among[1][user, new]
    propensity[user, places[user, at]] = either / k
    return Explored(items, propensity, items != listed)


def best_chances(mean: _Values, spread: _Values) -> _Chances:
    """Return (items,) the chance that each of some independent normal scores is the largest.

    P(i) = ∫ φᵢ(x) Π_{j ≠ i} Φⱼ(x) dx, by cells over which the product hardly changes; 0 for items
    that are not among the `MOST_CANDIDATES` most promising.

    Args:
        mean: (items,) of each score.
        spread: (items,) its standard deviation; if all are 0, every item is as likely.

    Example:
        >>> best_chances(np.array([0.0, 0.0, -1.0]), np.ones(3)).round(3).tolist()
        [0.443, 0.443, 0.113]
    """
    from scipy.special import log_ndtr, ndtr  # a tenth of a second to import, and seldom asked for

    mu, sd = np.asarray(mean, np.float64), np.asarray(spread, np.float64)
    chance = np.zeros(len(mu))
    if not sd.any():
        return np.full(len(mu), 1 / len(mu))
    sd = np.maximum(sd, 1e-6 * sd.max())
    at = np.argsort(-(mu + 3 * sd), kind="stable")[:MOST_CANDIDATES]
    chance[at] = _LEAST / len(at)
    edges = np.linspace((mu - 4 * sd)[at].max(), (mu + 6 * sd)[at].max(), _STEPS + 1)
    at = at[(mu + 6 * sd)[at] > edges[0]]  # the others are below all of it
    mu, sd = mu[at, None], sd[at, None]
    inside = np.diff(ndtr((edges - mu) / sd), axis=1)
    below = log_ndtr(((edges[1:] + edges[:-1]) / 2 - mu) / sd)
    found = (inside * np.exp(below.sum(axis=0) - below)).sum(axis=1)
    total = found.sum()
    chance[at] += found / total if total else 1 / len(at)
    chance /= chance.sum()
    return chance


def inclusion_chances(chance: _Chances, size: IntArray) -> _Chances:
    """Return (users, items) chances to be in a sample: in proportion, none above 1.

    Args:
        chance: (users, items), each row adding up to 1, or all 0.
        size: (users,) of the samples, at most as many as have a chance.

    Example:
        >>> inclusion_chances(np.array([[0.7, 0.2, 0.1]]), np.array([2])).round(3).tolist()
        [[1.0, 0.667, 0.333]]
    """
    some = chance > 0
    everyone = size >= some.sum(axis=1)
    found, sure = size[:, None] * chance, np.zeros(chance.shape, bool)
    while (beyond := (found > _CERTAIN) & ~everyone[:, None]).any():
        sure |= beyond
        left = size - _CERTAIN * sure.sum(axis=1)
        others = np.where(sure, 0, chance).sum(axis=1)
        rest = chance * (left / np.maximum(others, 1e-300))[:, None]
        found = np.where(sure, _CERTAIN, rest)
    return np.where(everyone[:, None], some, found)


def systematic_samples(among: _Chances, rng: np.random.Generator) -> IntArray:
    """Return (users, most drawn) different items of each row, each with exactly its chance.

    A row has as many as its chances add up to, and -1 after them. Its items are laid end to end,
    in an order by lot, each as long as its chance; a comb with teeth at distance 1 is thrown on
    them.

    Example:
        >>> among = np.array([[0.5, 0.25, 0.75, 0.5], [0.0, 0.0, 1.0, 0.0]])
        >>> (systematic_samples(among, np.random.default_rng(0)) >= 0).sum(axis=1).tolist()
        [2, 1]
    """
    size = np.rint(among.sum(axis=1))
    order = np.argsort(rng.random(among.shape), axis=1)
    ends = np.cumsum(np.take_along_axis(among, order, axis=1), axis=1)
    total = ends[:, -1:].copy()
    ends *= size[:, None] / np.maximum(total, 1e-12)
    at_the_end = ends >= size[:, None] * (1 - 1e-15)
    ends[at_the_end] = np.inf  # so that rounding leaves no gap
    first = rng.random(len(among))
    found = np.full((len(among), int(size.max(initial=0))), -1, np.int64)
    for tooth in range(found.shape[1]):
        hit = (ends > (first + tooth)[:, None]).argmax(axis=1)
        found[:, tooth] = np.where(tooth < size, order[np.arange(len(order)), hit], -1)
    return found


def _most_promising(scores: _Chances, spread: _Values) -> IntArray:
    """Return (users, candidates) the items with the highest mean plus three spreads."""
    most = min(MOST_CANDIDATES, scores.shape[1])
    reach = scores + 3 * np.asarray(spread, np.float64)
    if most < scores.shape[1]:
        at = np.argpartition(-reach, most - 1, axis=1)[:, :most]
    else:
        at = np.broadcast_to(np.arange(most), reach.shape)
    return np.ascontiguousarray(at)
