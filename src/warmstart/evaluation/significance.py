"""How sure a difference is: bootstrap intervals, a paired permutation test, Holm's correction.

The unit that is drawn is the *cluster*: by default every task is its own, and a user who was
held out in several splits is one cluster, so that their tasks do not pass for independent ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray

_ROOM = 1 << 22  # numbers drawn at once

Values = npt.NDArray[np.floating]


def bootstrap_interval(
    values: Values,
    *,
    seed: int = 0,
    clusters: IntArray | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the percentile interval of the mean over tasks (Efron & Tibshirani 1993, ch. 13).

    All columns see the same resamples.

    Args:
        values: (tasks,) or (tasks, columns), free of NaN.
        seed: of the resamples.
        clusters: (tasks,) which tasks are drawn together; None when each stands alone.
        level: of the interval.
        resamples: how many.

    Returns:
        Lower and upper ends, each of shape () or (columns,); NaN where there is no task.

    Example:
        >>> low, high = bootstrap_interval(np.arange(101.0))
        >>> bool(43 < low < 46 and 54 < high < 57)
        True
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level}; 0.95 is usual")
    table = np.asarray(values, np.float64)
    shape, table = table.shape[1:], table.reshape(len(values), -1)
    if not len(table):
        return np.full(shape, np.nan), np.full(shape, np.nan)
    means = resampled_means(table, seed=seed, clusters=clusters, resamples=resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low.reshape(shape), high.reshape(shape)


def ratio_interval(
    part: Values,
    whole: Values,
    *,
    seed: int = 0,
    clusters: IntArray | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float, float]:
    """Return mean(part) / mean(whole) and its percentile interval; tasks are drawn whole.

    Args:
        part: (tasks,) free of NaN.
        whole: (tasks,) free of NaN, their mean above zero.
        seed: of the resamples.
        clusters: (tasks,) which tasks are drawn together; None when each stands alone.
        level: of the interval.
        resamples: how many.

    Raises:
        ConfigError: the lengths differ, or `level` is no share.

    Example:
        >>> ratio_interval(np.array([2.0, 4, 6]), np.array([1.0, 2, 3]))
        (2.0, 2.0, 2.0)
    """
    if len(part) != len(whole):
        raise ConfigError(f"a ratio needs the same tasks, got {len(part)} and {len(whole)} values")
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level}; 0.95 is usual")
    if not len(part):
        return float("nan"), float("nan"), float("nan")
    table = np.column_stack([part, whole]).astype(np.float64)
    means = resampled_means(table, seed=seed, clusters=clusters, resamples=resamples)
    ratios = means[:, 0] / means[:, 1]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(table[:, 0].sum() / table[:, 1].sum()), float(low), float(high)


def resampled_means(
    table: npt.NDArray[np.float64],
    *,
    seed: int = 0,
    clusters: IntArray | None = None,
    resamples: int = 2000,
) -> npt.NDArray[np.float64]:
    """Return (resamples, columns) means over tasks drawn with replacement.

    Args:
        table: (tasks, columns), at least one task.
        seed: of the resamples; all columns see the same ones.
        clusters: (tasks,) which tasks are drawn together; None when each stands alone.
        resamples: how many.
    """
    sums, sizes = _per_cluster(table, clusters)
    rng, n = generator(seed, "bootstrap"), len(sums)
    means = np.empty((resamples, table.shape[1]))
    step = max(1, _ROOM // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        means[start : start + rows] = (times @ sums) / (times @ sizes)[:, None]
    return means


def paired_permutation(
    ours: Values,
    theirs: Values,
    *,
    seed: int = 0,
    clusters: IntArray | None = None,
    resamples: int = 10_000,
) -> float:
    """Return the two-sided p-value of "the mean difference is zero", by random sign flips.

    Under the null hypothesis either method could have produced either value of a pair. The
    smallest value is 1 / (resamples + 1), so the test is never too sure (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585).

    Args:
        ours: (tasks,) metric of one method.
        theirs: (tasks,) metric of the other on the same tasks.
        seed: of the flips.
        clusters: (tasks,) which tasks are flipped together; None when each stands alone.
        resamples: how many random flips.
    """
    if len(ours) != len(theirs):
        raise ConfigError(
            f"a paired test needs the same tasks, got {len(ours)} and {len(theirs)} values"
        )
    if not len(ours):
        return 1.0
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    sums = _per_cluster(difference[:, None], clusters)[0][:, 0]
    observed = abs(sums.sum()) * (1 - 1e-12)  # a flip that only rounds differently is as extreme
    rng, n, extreme = generator(seed, "permutation"), len(sums), 0
    step = max(1, _ROOM // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        flips = rng.integers(0, 2, (rows, n), dtype=np.int8)
        extreme += int((np.abs(sums.sum() - 2 * (flips @ sums)) >= observed).sum())
    return (1 + extreme) / (1 + resamples)


def worth_it(
    base: Values,
    changed: Values,
    *,
    seed: int = 0,
    clusters: IntArray | None = None,
    level: float = 0.95,
) -> bool:
    """Whether a change surely helps: the paired interval of its gain lies above zero.

    For what costs something and may hurt, such as reranking by a language model: off unless this
    says so on validation users.

    Args:
        base: (tasks,) metric without the change.
        changed: (tasks,) metric with it, on the same tasks.
        seed: of the resamples.
        clusters: (tasks,) which tasks are drawn together; None when each stands alone.
        level: of the interval.

    Example:
        >>> base = np.linspace(0, 1, 50)
        >>> worth_it(base, base + 0.1), worth_it(base, base), worth_it(base, base[::-1])
        (True, False, False)
    """
    if len(base) != len(changed):
        raise ConfigError(
            f"a paired interval needs the same tasks, got {len(base)} and {len(changed)} values"
        )
    gain = np.asarray(changed, np.float64) - np.asarray(base, np.float64)
    low, _ = bootstrap_interval(gain, seed=seed, clusters=clusters, level=level)
    return bool(low > 0)


def holm(p_values: Values) -> npt.NDArray[np.float64]:
    """Return p-values adjusted for how many were asked (Holm 1979, Scand. J. Statist. 6:65–70).

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _per_cluster(
    table: npt.NDArray[np.float64], clusters: IntArray | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum the rows of each cluster; return the sums and the numbers of rows."""
    if clusters is None:
        return table, np.ones(len(table))
    _, at = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(at).astype(np.float64)
    sums = np.zeros((len(sizes), table.shape[1]))
    np.add.at(sums, at, table)
    return sums, sizes
