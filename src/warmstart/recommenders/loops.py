"""The loops of compiled scoring: one user after the other, and each row while it is in cache.

Everywhere `alpha` and `said` are (events,), and `out` is written to, (users, items) scores unless
it says otherwise. Nothing is checked: an item that is not there is read past the end. Columns are
read as unsigned, for whom Numba need not ask whether they count from the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from warmstart.core.types import FloatArray, IntArray

Rows: TypeAlias = tuple[IntArray, IntArray, FloatArray]
"""A sparse matrix: where the entries of each row end, their columns, what they are."""

Doubles: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class Events(NamedTuple):
    """What users did.

    Attributes:
        ends: (users + 1,) where the events of each user begin and end.
        items: (events,) dense item index.
        values: (events,) signed evidence.
    """

    ends: IntArray
    items: IntArray
    values: FloatArray


class Prior(NamedTuple):
    """What the closed form believes before any event, but for the covariance.

    Attributes:
        mean: (items,) of the liking.
        variance: (items,) of it.
        noise: of an observation, and what comes to it with the variance.
        relative: see `noise`.
        dislike: what a dislike says, against 1 for a like.
        most: events of one user that are heeded, the last ones.
    """

    mean: FloatArray
    variance: FloatArray
    noise: np.float32
    relative: np.float32
    dislike: np.float32
    most: int


_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def _compiled(loop: _Loop) -> _Loop:
    freely = {"reassoc", "contract", "nsz"}  # so that sums are vectorised; infinities stay
    make = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=freely)
    return cast(_Loop, make(loop))


@_compiled
def _solve(a: Doubles, b: Doubles, n: int) -> None:
    """Solve the first `n` equations in place, by Gauss with pivots."""
    for at in range(n):
        pivot = at
        for row in range(at + 1, n):
            if abs(a[row, at]) > abs(a[pivot, at]):
                pivot = row
        if pivot != at:
            for column in range(at, n):
                a[at, column], a[pivot, column] = a[pivot, column], a[at, column]
            b[at], b[pivot] = b[pivot], b[at]
        for row in range(at + 1, n):
            by = a[row, at] / a[at, at]
            if by != 0:
                for column in range(at, n):
                    a[row, column] -= by * a[at, column]
                b[row] -= by * b[at]
    for at in range(n - 1, -1, -1):
        total = b[at]
        for column in range(at + 1, n):
            total -= a[at, column] * b[column]
        b[at] = total / a[at, at]


@_compiled
def _longest(ends: IntArray) -> int:
    most = 0
    for user in range(len(ends) - 1):
        most = max(most, ends[user + 1] - ends[user])
    return most


@_compiled
def weigh_whole(events: Events, prior: Prior, covariance: FloatArray, out: FloatArray) -> None:
    """Write the (events,) weights of each user's last events; see `meta.belief`."""
    ends, items, _ = events
    width = min(_longest(ends), prior.most)
    gram, right = np.empty((width, width)), np.empty(width)
    for user in range(len(ends) - 1):
        first = max(ends[user], ends[user + 1] - prior.most)
        n = ends[user + 1] - first
        for a in range(n):
            row = covariance[items[first + a]]
            for b in range(n):
                gram[a, b] = row[items[first + b]]
        _weigh(first, n, events, prior, gram, right, out)


@_compiled
def weigh_sparse(events: Events, prior: Prior, trained: Rows, added: Rows, out: FloatArray) -> None:
    """Write the same where the covariance is the sum of two sparse matrices, rows in order."""
    ends, items, _ = events
    width = min(_longest(ends), prior.most)
    gram, right = np.empty((width, width)), np.empty(width)
    for user in range(len(ends) - 1):
        first = max(ends[user], ends[user + 1] - prior.most)
        n = ends[user + 1] - first
        for a in range(n):
            for b in range(a):
                i, j = items[first + a], items[first + b]
                one = _entry(trained, i, j) + _entry(added, i, j)
                other = _entry(trained, j, i) + _entry(added, j, i)
                gram[a, b] = gram[b, a] = max(one, other)
        _weigh(first, n, events, prior, gram, right, out)


@_compiled
def _entry(matrix: Rows, row: int, column: int) -> np.float32:
    ends, columns, data = matrix
    if row + 1 >= len(ends):
        return np.float32(0)
    low, high = ends[row], ends[row + 1]
    while low < high:
        middle = (low + high) // 2
        if columns[middle] < column:
            low = middle + 1
        else:
            high = middle
    if low < ends[row + 1] and columns[low] == column:
        return np.float32(data[low])
    return np.float32(0)


@_compiled
def _weigh(
    first: int, n: int, events: Events, prior: Prior, gram: Doubles, right: Doubles, out: FloatArray
) -> None:
    _, items, values = events
    mean, variance, noise, relative, dislike, _ = prior
    for a in range(n):
        item, value = items[first + a], values[first + a]
        gram[a, a] = variance[item] + (noise + relative * variance[item])
        right[a] = (value if value > 0 else -dislike * value) - mean[item]
    _solve(gram, right, n)
    for a in range(n):
        out[first + a] = right[a]


@_compiled
def fold_in(
    events: Events, factors: FloatArray, spread: FloatArray, alpha: np.float32, out: FloatArray
) -> None:
    """Write (users, factors) as `IALS.fold_in` does where there are fewer shots than factors."""
    ends, items, values = events
    width = _longest(ends)
    small, right, liked = np.empty((width, width)), np.empty(width), np.empty(width, np.int64)
    for user in range(len(ends) - 1):
        n = 0
        for event in range(ends[user], ends[user + 1]):
            new = values[event] > 0
            for a in range(n):
                new = new and liked[a] != items[event]
            if new:
                liked[n] = items[event]
                n += 1
        for a in range(n):
            right[a] = 1
            w = spread[liked[a]]
            for b in range(n):
                v, total = factors[liked[b]], np.float32(0)
                for f in range(len(v)):
                    total += w[f] * v[f]
                small[a, b] = (alpha - 1) * total
            small[a, a] += 1
        _solve(small, right, n)
        for a in range(n):
            w, by = spread[liked[a]], np.float32(alpha * right[a])
            for f in range(len(w)):
                out[user, f] += by * w[f]


@_compiled
def said(events: Events, dislike: np.float32) -> FloatArray:
    """Return (events,) evidence as the memories take it; that of an item stands at its first."""
    ends, items, values = events
    said = np.zeros(len(items), np.float32)
    for user in range(len(ends) - 1):
        start, stop = ends[user], ends[user + 1]
        for event in range(start, stop):
            first = start
            while items[first] != items[event]:
                first += 1
            said[first] += values[event]
        root = np.float32(np.sqrt(np.float32(stop - start)))
        for event in range(start, stop):
            if said[event] < 0:
                said[event] *= dislike
            said[event] /= root
    return said


@_compiled
def add_whole(
    events: Events,
    alpha: FloatArray,
    covariance: FloatArray,
    closed: FloatArray,
    tempering: FloatArray,
    out: FloatArray,
) -> None:
    """Add what a dense covariance moves, one user's row after the other."""
    ends, items, _ = events
    n_items = out.shape[1]
    moved, scale = np.empty(n_items, np.float32), np.zeros(n_items, np.float32)
    for user in range(len(out)):
        if user == 0 or (closed[user] != closed[user - 1]).any():
            scale[:] = 0
            for p in range(len(tempering)):
                temper, by = tempering[p], closed[user, p]
                for i in range(n_items):
                    scale[i] += by * temper[i]
        moved[:] = 0
        for event in range(ends[user], ends[user + 1]):
            row, by = covariance[items[event]], alpha[event]
            for i in range(n_items):
                moved[i] += by * row[i]
        scores = out[user]
        for i in range(n_items):
            scores[i] += moved[i] * scale[i]


@_compiled
def add_tempered(
    events: Events,
    alpha: FloatArray,
    matrix: Rows,
    closed: FloatArray,
    tempering: FloatArray,
    out: FloatArray,
) -> None:
    """Add what a sparse covariance moves."""
    ends, items, _ = events
    rows, columns, data = matrix
    for user in range(len(out)):
        scores = out[user]
        for event in range(ends[user], ends[user + 1]):
            for at in range(rows[items[event]], rows[items[event] + 1]):
                item, scale = np.uint32(columns[at]), np.float32(0)
                for p in range(len(tempering)):
                    scale += closed[user, p] * tempering[p, item]
                scores[item] += alpha[event] * data[at] * scale


@_compiled
def add_rows(
    events: Events, said: FloatArray, weights: FloatArray, matrix: Rows, out: FloatArray
) -> None:
    """Add rows of a memory, each by what was said of its item and the user's weight."""
    ends, items, _ = events
    rows, columns, data = matrix
    for user in range(len(out)):
        scores = out[user]
        for event in range(ends[user], ends[user + 1]):
            by = said[event] * weights[user]
            for at in range(rows[items[event]], rows[items[event] + 1]):
                scores[np.uint32(columns[at])] += by * data[at]


@_compiled
def lend(
    events: Events,
    said: FloatArray,
    matrix: Rows,
    unmet: IntArray,
    new: Mask,
    gates: FloatArray,
    out: FloatArray,
) -> None:
    """Place the unmet items by what likes lend to them; see `lent.with_lent`."""
    ends, items, _ = events
    rows, columns, data = matrix
    lent = np.empty(len(unmet), np.float32)
    for user in range(len(out)):
        lent[:] = 0
        root = np.float32(np.sqrt(np.float32(ends[user + 1] - ends[user])))
        for event in range(ends[user], ends[user + 1]):
            by = said[event] * root
            for at in range(rows[items[event]], rows[items[event] + 1]):
                lent[np.uint32(columns[at])] += by * data[at]
        gate = gates[user]
        for place in range(len(unmet)):
            item, line = unmet[place], 3 if new[place] else 1
            whole = out[user, item] + gate[0] * lent[place]
            out[user, item] = gate[line + 1] + gate[line] * whole


@_compiled
def rank(events: Events, barred: Mask, out: FloatArray, best: IntArray, scores: FloatArray) -> int:
    """Write each user's best unseen items and scores; return a row that holds NaN, or -1."""
    ends, items, _ = events
    k = best.shape[1]
    for user in range(len(out)):
        row, some, high = out[user], best[user], scores[user]
        for event in range(ends[user], ends[user + 1]):
            row[items[event]] = -np.inf
        for item in range(len(barred)):
            if barred[item]:
                row[item] = -np.inf
        edge = high[k - 1]
        for item in range(len(row)):
            score = row[item]
            if score <= edge:
                continue
            if score != score:
                return user
            place = k - 1
            while place > 0 and high[place - 1] < score:
                high[place], some[place] = high[place - 1], some[place - 1]
                place -= 1
            high[place], some[place] = score, item
            edge = high[k - 1]
    return -1
