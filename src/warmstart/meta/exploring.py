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

Deliberately simple: the items' scores are drawn as if they were independent, and an item of the
list never moves to another place, so a log says nothing of lists that reorder its head.

References: Thompson 1933, doi:10.1093/biomet/25.3-4.285; Madow 1949, doi:10.1214/aoms/1177729988
(systematic sampling with unequal chances).
"""

from __future__ import annotations

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
    """A list of which some places are explored.

    Attributes:
        items: (k,) dense items.
        propensity: (k,) probability of each to stand where it stands.
        new: (k,) whether the place was given to an item from outside.
    """

    items: IntArray
    propensity: _Chances
    new: npt.NDArray[np.bool_]


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
    """Return a list with some places given to items from outside, and its propensities.

    Args:
        listed: (k,) dense items, best first.
        scores: (items,) means; -inf where an item must not be shown.
        spread: (items,) standard deviations on the scale of the scores.
        share: of the places that are explored, on average.
        rng: draws.

    Example:
        >>> scores, spread = np.arange(6.0)[::-1], np.ones(6)
        >>> found = explore(np.array([0, 1]), scores, spread, 0.5, np.random.default_rng(2))
        >>> found.items.tolist(), found.propensity.round(2).tolist()
        ([3, 1], [0.11, 0.5])
    """
    k = len(listed)
    outside = np.isfinite(scores)
    outside[listed] = False
    pool = np.flatnonzero(outside)
    if not k or not len(pool):
        return Explored(listed, np.ones(k), np.zeros(k, bool))
    chance = best_chances(scores[pool], spread[pool])
    pool, chance = pool[chance > 0], chance[chance > 0]
    few, rest = divmod(share * k, 1)
    sizes = [min(int(few) + more, len(pool)) for more in (0, 1)]
    odds = (1 - rest, rest)
    among = [inclusion_chances(chance, m) for m in sizes]
    m = int(rng.random() < rest)
    drawn = systematic_sample(among[m], rng)
    places = rng.permutation(k)[: len(drawn)]
    items, propensity = listed.copy(), np.full(k, 1 - (odds[0] * sizes[0] + odds[1] * sizes[1]) / k)
    items[places] = pool[drawn]
    propensity[places] = (odds[0] * among[0][drawn] + odds[1] * among[1][drawn]) / k
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
    mu, sd = mu[at, None], sd[at, None]
    edges = np.linspace((mu - 4 * sd).max(), (mu + 6 * sd).max(), _STEPS + 1)
    inside = np.diff(ndtr((edges - mu) / sd), axis=1)
    below = log_ndtr(((edges[1:] + edges[:-1]) / 2 - mu) / sd)
    found = (inside * np.exp(below.sum(axis=0) - below)).sum(axis=1)
    total = found.sum()
    chance[at] = (found / total if total else 1 / len(at)) + _LEAST / len(at)
    chance /= chance.sum()
    return chance


def inclusion_chances(chance: _Chances, size: int) -> _Chances:
    """Return (items,) chances to be in a sample of `size`: in proportion, none above 1.

    Example:
        >>> inclusion_chances(np.array([0.7, 0.2, 0.1]), 2).round(3).tolist()
        [1.0, 0.667, 0.333]
    """
    if size >= len(chance):
        return np.ones(len(chance))
    found, sure = size * chance, np.zeros(len(chance), bool)
    while (found > _CERTAIN).any():
        sure |= found > _CERTAIN
        left = size - _CERTAIN * sure.sum()
        found = np.where(sure, _CERTAIN, chance * left / chance[~sure].sum())
    return found


def systematic_sample(among: _Chances, rng: np.random.Generator) -> IntArray:
    """Return different items, each with exactly its chance, as many as the chances add up to.

    The items are laid end to end, in an order by lot, each as long as its chance; a comb with
    teeth at distance 1 is thrown on them.

    Example:
        >>> len(systematic_sample(np.array([0.5, 0.25, 0.75, 0.5]), np.random.default_rng(0)))
        2
    """
    size, order = round(float(among.sum())), rng.permutation(len(among))
    ends = np.cumsum(among[order])
    ends *= size / max(ends[-1], 1e-12)
    teeth = rng.random() + np.arange(size)
    found: IntArray = order[np.minimum(np.searchsorted(ends, teeth, "right"), len(order) - 1)]
    return found
