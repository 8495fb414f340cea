"""Would the model have earned more than what was shown? Judged by a log with propensities.

The judged policy shows, on every occasion of the log, one of the `top` ads that the model finds
most likely to be clicked, by lot. The log must be one that the model was not trained on: what it
knows by heart it would be credited for. Estimates and intervals are those of
`warmstart.evaluation.ope`, and so is the gate: a model is said to raise the click rate only where
the log allows it; otherwise about how many more impressions it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from warmstart.ads.log import AdLog
from warmstart.ads.recommender import AdRecommender, fingerprint
from warmstart.core.errors import ConfigError, DataError, LeakageError
from warmstart.core.types import IntArray
from warmstart.evaluation import ope

Numbers = npt.NDArray[np.float64]
Reward = Literal["click", "conversion"]

_PAIRS = 500_000  # pairs of occasion and ad that are scored at once


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What a log says of a model.

    Attributes:
        reward: what is counted, "click" or "conversion".
        top: of how many ads the judged policy shows one.
        ads: how many ads there are to choose from.
        logged: what was shown earned.
        estimates: what the model is estimated to earn: IPS, SNIPS, DR.
        verdict: on the doubly robust difference.
        sentence: the verdict in words.
    """

    reward: Reward
    top: int
    ads: int
    logged: ope.Estimate
    estimates: tuple[ope.Estimate, ...]
    verdict: ope.Verdict
    sentence: str


def judge(
    model: AdRecommender,
    table: Any,  # noqa: ANN401  (a log, or whatever `AdLog` reads)
    *,
    effect: float,
    top: int = 1,
    reward: Reward = "click",
    level: float = 0.95,
) -> PolicyReport:
    """Return what the model would have earned, and what may be said of it.

    Args:
        model: fitted on other rows.
        table: a log with propensities.
        effect: the smallest difference per impression that would matter.
        top: the policy shows one of so many best ads, by lot.
        reward: what is counted.
        level: of the intervals.

    Raises:
        ConfigError: `top` or `effect` is out of range, or the model knows no conversions.
        DataError: the log has no labels or no propensities.
        LeakageError: it is the log of the training.
    """
    log = model.encode(table)
    if log.propensity is None:
        raise DataError(
            "the log has no propensities; without them nothing can be said of what was not shown. "
            "Train with the column of the propensities named, and log them (rank(explore_share=…))"
        )
    if fingerprint(log) == model.origin.get("fingerprint"):
        raise LeakageError("this is the log of the training; judge the model by another one")
    earned = log.click if reward == "click" else log.conversion
    if earned is None or np.isnan(earned).any():
        raise DataError(f"the log lacks {reward} labels; give a 0 or a 1 for every row")
    if reward == "conversion" and model.conversion is None:
        raise ConfigError("the model knows no conversions; train on a log that has them")
    ads = np.unique(log.ad[log.ad >= 0])
    if not 1 <= top <= len(ads):
        raise ConfigError(f"top={top}, but the log shows {len(ads)} ads that the model knows")
    target, expected_target = np.zeros(len(log)), np.zeros(len(log))
    for rows in _chunks(len(log), len(ads)):
        chance = _chances(model, log.take(rows), ads, reward)
        best = np.argpartition(-chance, top - 1, axis=1)[:, :top]
        target[rows] = (ads[best] == log.ad[rows][:, None]).any(axis=1) / top
        expected_target[rows] = np.take_along_axis(chance, best, axis=1).mean(axis=1)
    who = None if log.coding.columns["user"] is None else _clusters(log)
    shown = ope.Impressions(earned, log.propensity, who)
    scores = model.score(log)
    expected = scores.click if reward == "click" else scores.click_and_conversion
    assert expected is not None
    logged = ope.logged(shown, level=level)
    found = [ope.ips(shown, target, level=level)]
    if target.any():
        found.append(ope.snips(shown, target, level=level))
    found.append(ope.doubly_robust(shown, target, expected, expected_target, level=level))
    verdict = ope.verdict(found[-1].minus(logged), effect=effect)
    return PolicyReport(
        reward, top, len(ads), logged, tuple(found), verdict, in_words(verdict, reward)
    )


def in_words(verdict: ope.Verdict, reward: Reward) -> str:
    """Return a verdict as a sentence about a rate.

    Example:
        >>> in_words(ope.Verdict("insufficient data", 18_321, 0.001), "click")
        'insufficient data: about 19,000 more impressions'
        >>> in_words(ope.Verdict("higher", 0, 0.001), "click")
        'raises the click rate'
    """
    if verdict.claim == "higher":
        return f"raises the {reward} rate"
    if verdict.claim == "lower":
        return f"lowers the {reward} rate"
    if verdict.claim == "no difference":
        return f"changes the {reward} rate by less than {verdict.effect:g}"
    return str(verdict)


def _chunks(n: int, ads: int) -> Iterator[npt.NDArray[np.int64]]:
    step = max(1, _PAIRS // ads)
    for begin in range(0, n, step):
        yield np.arange(begin, min(n, begin + step))


def _chances(model: AdRecommender, log: AdLog, ads: IntArray, reward: Reward) -> Numbers:
    """Return (occasions, ads) the modelled reward of every ad on every occasion."""
    n, m = len(log), len(ads)
    scores = model.score(model.on_occasions(log, np.repeat(np.arange(n), m), np.tile(ads, n)))
    chance = scores.click if reward == "click" else scores.click_and_conversion
    assert chance is not None
    return chance.reshape(n, m)


def _clusters(log: AdLog) -> npt.NDArray[np.int64]:
    """Return (n,) whose impression it is; strangers without a code stand alone."""
    alone = len(log.coding.users) + np.arange(len(log))
    found: npt.NDArray[np.int64] = np.where(log.user < 0, alone, log.user)
    return found
