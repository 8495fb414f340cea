"""Bayesian logistic regression of many small tasks: a Gaussian prior, and Laplace's posterior.

The logit of example n of task t is

    offset_n + f_n · w_t          w_t ~ N(m_t, C)

A few Newton steps find the mode of all tasks at once, a dim × dim solve each, and the curvature at
the mode is the posterior's inverse covariance. One further event moves the posterior by one
rank-one step, as in `warmstart.meta.linear_belief`, whose noise is here the curvature of the
logistic loss: with p = σ(offset + f · w), one event is worth an answer (y - p) / (p (1 - p)) with
the variance 1 / (p (1 - p)).

m and C are learned over tasks by EM, so that what a task believes before its first event is what
other tasks turned out to be. A label may be any number: the gradient is p - label.

References: Spiegelhalter & Lauritzen 1990 (the sequential update); Bishop 2006, section 4.5;
Breslow & Clayton 1993 for EM with Laplace's approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.types import IntArray

Array = npt.NDArray[np.float64]

_FLOOR = 1e-4  # least curvature of one event: where a probability is all but 0 or 1


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled examples of many tasks, those of a task side by side.

    Attributes:
        features: (n, dim).
        labels: (n,) mostly 0 or 1.
        offset: (n,) logits without the tasks' weights.
        indptr: (tasks + 1,) where each task's examples begin and end.
    """

    features: Array
    labels: Array
    offset: Array
    indptr: IntArray

    @classmethod
    def of(
        cls,
        features: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        offset: npt.NDArray[Any],
        tasks: IntArray,
        n_tasks: int,
    ) -> Labelled:
        """Sort the examples by task.

        Args:
            features: (n, dim).
            labels: (n,).
            offset: (n,).
            tasks: (n,) whose each example is; negative ones are left out.
            n_tasks: how many tasks there are.
        """
        order = np.argsort(tasks, kind="stable")
        order = order[np.searchsorted(tasks[order], 0) :]
        indptr = np.searchsorted(tasks[order], np.arange(n_tasks + 1))
        x, y, base = (np.asarray(a[order], np.float64) for a in (features, labels, offset))
        return cls(x, y, base, indptr)

    @property
    def tasks(self) -> IntArray:
        """(n,) the task of each example."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


@dataclass(frozen=True, slots=True)
class Heads:
    """What is believed of some tasks' weights.

    Attributes:
        mean: (tasks, dim).
        covariance: (tasks, dim, dim).
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class HeadPrior:
    """What is believed of a task's weights before any event.

    Attributes:
        mean: (dim,).
        covariance: (dim, dim).
    """

    mean: Array
    covariance: Array

    def start(self, n_tasks: int) -> Heads:
        """Return the belief about tasks without events."""
        return Heads(np.tile(self.mean, (n_tasks, 1)), np.tile(self.covariance, (n_tasks, 1, 1)))


def laplace(
    prior: HeadPrior, examples: Labelled, *, start: Array | None = None, steps: int = 6
) -> Heads:
    """Return each task's posterior mode and covariance; a task without examples keeps the prior.

    Args:
        prior: of every task.
        examples: of the tasks.
        start: (tasks, dim) where Newton's method starts; the prior's mean by default.
        steps: of Newton's method.

    Example:
        >>> x, y = np.ones((4, 1)), np.array([1.0, 1, 1, 0])
        >>> prior = HeadPrior(np.zeros(1), 100 * np.eye(1))
        >>> shots = Labelled.of(x, y, np.zeros(4), np.zeros(4, int), 1)
        >>> round(float(laplace(prior, shots).mean[0, 0]), 1)  # log-odds of 3 of 4 are 1.1
        1.1
    """
    inverse = np.linalg.inv(prior.covariance)
    n_tasks = len(examples.indptr) - 1
    mean = np.tile(prior.mean, (n_tasks, 1)) if start is None else start
    covariance = np.tile(prior.covariance, (n_tasks, 1, 1))
    for _ in range(steps):
        precision, gradient = _local(examples, mean)
        covariance = np.linalg.inv(precision + inverse)
        gradient -= (mean - prior.mean) @ inverse
        mean = mean + limited(np.einsum("tde,te->td", covariance, gradient))
    return Heads(mean, covariance)  # of the last step's curvature, which no longer changes


def learn_prior(
    examples: Labelled,
    *,
    iterations: int = 12,
    scale: float | Array = 0.3,
    prior_tasks: float = 2.0,
    centred: bool = False,
) -> HeadPrior:
    """Learn the mean and the covariance of the tasks' weights by EM.

    Args:
        examples: of many tasks; those without any do not count.
        iterations: of EM.
        scale: standard deviation of a weight where EM starts; one number, or one for each.
        prior_tasks: how many tasks of that standard deviation the covariance starts with.
        centred: the mean is zero and is not learned.
    """
    n_tasks, dim = len(examples.indptr) - 1, examples.features.shape[1]
    there = np.diff(examples.indptr) > 0
    first = np.eye(dim) * np.square(scale)
    prior, start = HeadPrior(np.zeros(dim), first), np.zeros((n_tasks, dim))
    for _ in range(iterations if there.any() else 0):
        found = laplace(prior, examples, start=start, steps=2)
        start = found.mean
        prior = updated(found, there, first=first, prior_tasks=prior_tasks, centred=centred)
    return prior


def updated(
    found: Heads,
    there: npt.NDArray[np.bool_],
    *,
    first: Array,
    prior_tasks: float,
    centred: bool = False,
) -> HeadPrior:
    """Return the prior under which these posteriors are most likely: EM's second half.

    Args:
        found: posteriors of the tasks.
        there: (tasks,) which of them count.
        first: (dim, dim) covariance that the estimate is shrunk to.
        prior_tasks: how many tasks that is worth.
        centred: the mean is zero and is not learned.
    """
    mean = np.zeros(len(first)) if centred else found.mean[there].mean(axis=0)
    around = found.mean[there] - mean
    spread = around.T @ around + found.covariance[there].sum(axis=0) + prior_tasks * first
    return HeadPrior(mean, spread / (int(there.sum()) + prior_tasks))


def told(
    mean: Array,
    covariance: Array,
    features: npt.NDArray[np.floating[Any]],
    wrong: float,
    curvature: float,
    elsewhere: float = 0.0,
) -> tuple[Array, Array]:
    """Return one task's belief after one event.

    Args:
        mean: (dim,) before it.
        covariance: (dim, dim) before it.
        features: (dim,) of the event.
        wrong: label minus probability before it.
        curvature: p (1 - p) before it.
        elsewhere: variance of the logit that is not this task's: the event says less of the task.
    """
    spread, curvature = covariance @ features, max(curvature, _FLOOR)
    gain = spread / (1.0 + curvature * (float(features @ spread) + elsewhere))
    return mean + gain * wrong, covariance - curvature * gain[:, None] * spread


def limited(step: Array) -> Array:
    """Return (tasks, dim) steps of Newton's method, none longer than two logits.

    Where labels are rare the curvature at the start says next to nothing of that at the end, and a
    whole step overshoots by far.
    """
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    return np.asarray(step * np.minimum(1.0, 2.0 / np.maximum(length, 1e-12)))


def _local(examples: Labelled, mean: Array) -> tuple[Array, Array]:
    """Return (tasks, dim, dim) curvatures and (tasks, dim) gradients of the log-likelihood."""
    e = examples
    logits = e.offset + np.einsum("nd,nd->n", e.features, mean[e.tasks])
    p = sigmoid(logits)
    weighted = e.features * np.maximum(p * (1 - p), _FLOOR)[:, None]
    wrong = e.features * (e.labels - p)[:, None]
    curvature = np.zeros((len(mean), mean.shape[1], mean.shape[1]))
    gradient = np.zeros_like(mean)
    for task in np.flatnonzero(np.diff(e.indptr)):
        rows = slice(e.indptr[task], e.indptr[task + 1])
        curvature[task] = e.features[rows].T @ weighted[rows]
        gradient[task] = wrong[rows].sum(axis=0)
    return curvature, gradient


def sigmoid(logits: npt.NDArray[Any] | np.floating[Any]) -> npt.NDArray[Any]:
    """Return 1 / (1 + e^-x), for any size of x."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
