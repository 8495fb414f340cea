"""Whether scores can be read as probabilities: the softmax of the scores, held against likes.

The default method is trained as if the softmax over the catalogue were the chance that an item is
the next one liked. After training its parts are weighed for good lists and not for good
probabilities, so the reading is checked here, and again with the one temperature that makes it most
likely, chosen on half of the people and judged on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.rng import generator
from warmstart.data import Tasks
from warmstart.evaluation.calibration import Reliability, reliability

_BINS, _ROOM = 10, 1 << 22
_TEMPERATURES = np.exp(np.linspace(np.log(0.1), np.log(30), 60))


@dataclass(frozen=True, slots=True)
class Reading:
    """How true a reading of the scores as chances is.

    Attributes:
        shots: after how many likes.
        people: how many were judged.
        plain: scores as they come.
        tempered: scores over the temperature.
        temperature: the mean of the two halves' temperatures.
        misplaced: share of the probability that lies on the wrong items, bin by bin.
        misplaced_tempered: the same with the temperature.
    """

    shots: int
    people: int
    plain: Reliability
    tempered: Reliability
    temperature: float
    misplaced: float
    misplaced_tempered: float


def reading_of(scorer: Any, tasks: Tasks, shots: int, seed: int) -> Reading:  # noqa: ANN401
    """Hold the softmax of the scores against what people went on to like.

    Args:
        scorer: the model.
        tasks: the people.
        shots: after how many likes.
        seed: of the halves.
    """
    most = max(2, _ROOM // max(1, tasks.query.shape[1]))
    some = np.arange(min(len(tasks), most))
    support = tasks.at(shots).take(some)
    scores = np.array(scorer.score(support), np.float64)
    scores[support.rows, support.items] = -np.inf
    if tasks.candidates is not None:
        scores[:, ~tasks.candidates] = -np.inf
    truth = tasks.query[some].toarray().astype(np.float64)
    truth /= truth.sum(axis=1, keepdims=True)
    half = generator(seed, "halves").permutation(len(some)) % 2 == 0
    tempered, chosen = np.empty_like(scores), []
    for part in (half, ~half):
        temperature = _best_temperature(scores[~part], truth[~part])
        tempered[part] = _softmax(scores[part] / temperature)
        chosen.append(temperature)
    open_ = np.isfinite(scores)
    plain = _softmax(scores)
    found = [reliability(p[open_], truth[open_], bins=_BINS, by="mass") for p in (plain, tempered)]
    wrong = [0.5 * r.error * float(r.cases.sum()) / len(some) for r in found]
    return Reading(shots, len(some), found[0], found[1], float(np.mean(chosen)), wrong[0], wrong[1])


def _best_temperature(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> float:
    if not len(scores):
        return 1.0
    finite = np.where(np.isfinite(scores), scores, 0.0)
    spread = max(1e-12, float(np.nanstd(np.where(np.isfinite(scores), scores, np.nan))))
    losses = []
    for temperature in _TEMPERATURES * spread:
        z = scores / temperature
        top = z.max(axis=1)
        normal = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
        losses.append(float((normal - (truth * finite).sum(axis=1) / temperature).mean()))
    return float(_TEMPERATURES[int(np.argmin(losses))] * spread)


def _softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
