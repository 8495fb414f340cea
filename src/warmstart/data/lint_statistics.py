"""What is a column made of? Of training rows, or of rows that training could not know?

A column of users or items is compared with every statistic that rows allow: how many there are,
of how many others, first and last time; mean, sum, extremes and spread of each numeric column, and
in how many rows it reaches each of its levels. Whatever is a strictly determined monotone function
of a statistic (the count itself, its logarithm, its rank, ten bins of it) is explained by it,
unless chance could have put the values into that order; so is a mean that is shrunk towards some
value. A column leaks when rows of the test explain it and training rows alone do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

from warmstart.data.findings import Finding
from warmstart.data.lint_rows import Codes, Float64, Known, Rows, Side, plain_numbers
from warmstart.data.tables import Source

_CHANCE = log(1e-12)  # an order that random values take more often than this is no evidence
_FEWEST = 15
_SAME = 1e-6  # of the range: closer values are one value that was rounded
_MOST_LEVELS = 12
_EXACT, _LEAST = 1e-6, 1e-3  # shares of variance


@dataclass(frozen=True, slots=True)
class Statistics:
    """What some rows tell of each user or item.

    Attributes:
        title: which rows.
        of: name → (keys,) values; NaN where the rows tell nothing.
        sums: column → (keys,) sums, for shrunken means.
        counts: (keys,) rows of each.
    """

    title: str
    of: Mapping[str, Float64]
    sums: Mapping[str, Float64]
    counts: Float64

    @classmethod
    def gather(
        cls,
        title: str,
        tables: Sequence[Rows],
        side: Side,
        n_keys: int,
        without: Collection[str] = (),
    ) -> Statistics:
        """Compute every statistic of the rows of some tables.

        Args:
            title: which rows.
            tables: of them.
            side: of users or of items.
            n_keys: how many there are.
            without: columns to leave out: those that are features themselves.
        """
        key = np.concatenate([t.key(side) for t in tables])
        other_side: Side = "item" if side == "user" else "user"
        other = np.concatenate([t.key(other_side) for t in tables])
        counts = np.bincount(key, minlength=n_keys).astype(np.float64)
        pairs = np.unique(key * (1 + int(other.max(initial=0))) + other)
        distinct = np.bincount(pairs // (1 + int(other.max(initial=0))), minlength=n_keys)
        of: dict[str, Float64] = {
            "the number of rows": counts,
            f"the number of {other_side}s": distinct.astype(np.float64),
        }
        sums: dict[str, Float64] = {}
        if all(t.time is not None for t in tables):
            time = np.concatenate([t.time for t in tables if t.time is not None])
            of |= dict(_extremes("time", key, time, n_keys))
        common = set.intersection(*({*t.values} for t in tables)) - {*without}
        for name in sorted(common):
            values = np.concatenate([t.values[name] for t in tables])
            told = np.isfinite(values)
            n = np.bincount(key[told], minlength=n_keys)
            sums[name] = np.bincount(key[told], values[told], minlength=n_keys).astype(float)
            squares = np.bincount(key[told], values[told] ** 2, minlength=n_keys)
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = sums[name] / n
                spread = np.sqrt(np.maximum(squares / n - mean**2, 0))
            of |= {f"the mean {name}": mean, f"the sum of {name}": sums[name]}
            of[f"the spread of {name}"] = np.where(n > 0, spread, np.nan)
            of |= dict(_extremes(name, key, values, n_keys))
            levels = np.unique(values[told])
            if len(levels) <= _MOST_LEVELS:
                for level in levels[1:]:
                    reached = key[told][values[told] >= level]
                    n_reached = np.bincount(reached, minlength=n_keys)
                    title_of = f"the number of rows with {name} of {level:g} or more"
                    of[title_of] = n_reached.astype(np.float64)
        return cls(title, of, sums, counts)


def whole_period(
    source: Source,
    rows: Codes,
    side: Side,
    names: Sequence[str],
    good: Sequence[Statistics],
    bad: Sequence[Statistics],
    known: Known,
) -> Iterator[Finding]:
    """Give the columns of a table that only rows of the test explain.

    Args:
        source: a table.
        rows: (rows,) the user or item of each.
        side: which of both.
        names: columns to look at.
        good: statistics of what training knows.
        bad: statistics of what it does not.
        known: names them.
    """
    key, first = np.unique(rows, return_index=True)
    met = bad[0].counts[key] > 0  # of others the tables do not tell what a column could say
    key, first = key[met], first[met]
    if not len(key):
        return
    for name in names:
        x = plain_numbers(source.table[name])[first]
        why = explained(x, key, bad)
        if why is None or explained(x, key, good) is not None:
            continue
        by, what = why
        clean = good[0].of.get(what)
        known_then = np.full(len(key), np.nan) if clean is None else clean[key]
        apart = np.where(np.isfinite(x), np.abs(np.nan_to_num(known_then) - by.of[what][key]), -1)
        worst = int(np.nan_to_num(apart, nan=-1).argmax())
        row = int(first[worst])
        line = None if source.first_line is None else row + source.first_line
        yield Finding(
            "whole-period", source.name, row + 1, line, name,
            f"{x[worst]:.6g} for {side} {known.name(side, int(key[worst]))!r}, for whom "
            f"{what} is {by.of[what][key[worst]]:.6g} over {by.title} and "
            f"{known_then[worst]:.6g} over training rows",
            int(np.isfinite(x).sum()),
            f"the column follows {what} over {by.title}, not over what training knows",
            "compute it from the training rows alone",
        )  # fmt: skip


def explained(x: Float64, key: Codes, among: Sequence[Statistics]) -> tuple[Statistics, str] | None:
    """Return whose statistic determines a column, and its name; None where nothing does."""
    for statistics in among:
        for name, values in statistics.of.items():
            if follows(x, values[key]):
                return statistics, name
        for name, sums in statistics.sums.items():
            if _shrunken(x, sums[key], statistics.counts[key]):
                return statistics, f"the mean {name}"
    return None


def follows(x: Float64, statistic: Float64) -> bool:
    """Whether `x` is a monotone function of a statistic, and no chance.

    Example:
        >>> count = np.arange(40.0) % 17
        >>> follows(np.log1p(count), count), follows(count[::-1], count)
        (True, False)
    """
    told = np.isfinite(x) & np.isfinite(statistic)
    x, statistic = x[told], statistic[told]
    if len(x) < _FEWEST:
        return False
    order = np.lexsort((x, statistic))
    ordered, by = x[order], statistic[order]
    close = _SAME * max(float(ordered.max() - ordered.min()), 1e-300)
    step = np.diff(ordered)
    tied = np.diff(by) <= 1e-9 * np.maximum(1, np.abs(by[1:]))
    if (np.abs(step[tied]) > close).any():
        return False
    if (step < -close).any() and (step > close).any():
        return False
    levels = np.sort(x)
    edges = np.flatnonzero(np.diff(levels) > close)
    sizes = np.diff(np.concatenate([[0], edges + 1, [len(x)]]))
    return log(2) + sum(lgamma(n + 1) for n in sizes) - lgamma(len(x) + 1) < _CHANCE


def of_test(
    source: Source, rows: Codes, side: Side, names: Sequence[str], taught: Rows
) -> Iterator[Finding]:
    """Give the columns of training statistics that tell of users or items without training rows.

    One value for all of them is a default, and no leak.
    """
    unmet = ~np.isin(rows, taught.key(side))
    for name in names:
        x = plain_numbers(source.table[name])
        told = np.flatnonzero(unmet & np.isfinite(x))
        if len(np.unique(x[told])) < 2:
            continue
        row = int(told[0])
        line = None if source.first_line is None else row + source.first_line
        yield Finding(
            "test-in-statistics", source.name, row + 1, line, name, f"{x[row]:.6g}", len(told),
            f"a training statistic tells {side}s without training rows apart",
            f"compute it from training rows, and give these {side}s one default",
        )  # fmt: skip


def _extremes(name: str, key: Codes, values: Float64, n_keys: int) -> Iterator[tuple[str, Float64]]:
    for word, start, ufunc in (("first", np.inf, np.fmin), ("last", -np.inf, np.fmax)):
        out = np.full(n_keys, start)
        ufunc.at(out, key, values)
        out[np.isinf(out)] = np.nan
        what = word if name == "time" else {"first": "least", "last": "greatest"}[word]
        yield f"the {what} {name}", out


def _shrunken(x: Float64, sums: Float64, counts: Float64) -> bool:
    """Whether x = (sum + a · m) / (count + a) for some a and m, and the sum is what matters."""
    told = np.isfinite(x) & (counts > 0)
    x, sums, counts = x[told], sums[told], counts[told]
    if len(x) < _FEWEST:
        return False
    target = x * counts
    without = np.column_stack([np.ones(len(x)), x])
    base = target - without @ np.linalg.lstsq(without, target, rcond=None)[0]
    own = sums - without @ np.linalg.lstsq(without, sums, rcond=None)[0]
    varies, moves = float(base @ base), float(own @ own)
    if varies <= _LEAST * float(((target - target.mean()) ** 2).sum()) or moves <= 0:
        return False
    left = varies - float(base @ own) ** 2 / moves
    return left <= _EXACT * varies
