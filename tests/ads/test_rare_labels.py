"""Rare labels, where Newton's steps overshoot: against a search, and against planted rates."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, roc_auc_score

from warmstart.ads.click_model import ClickModel
from warmstart.ads.log import AdLog
from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace


@pytest.mark.parametrize("positives", [1, 150, 299])
def test_the_mode_is_found_from_a_rare_start(positives):
    n, offset, sd = 300, -6.5, 2.0
    label = (np.arange(n) < positives).astype(float)
    examples = Labelled.of(np.ones((n, 1)), label, np.full(n, offset), np.zeros(n, int), 1)
    found = laplace(HeadPrior(np.zeros(1), sd**2 * np.eye(1)), examples, steps=12).mean[0, 0]

    def loss(w):
        z = offset + w
        return (np.logaddexp(0, z) - label * z).sum() + w**2 / (2 * sd**2)

    assert found == pytest.approx(minimize_scalar(loss, bounds=(-5, 20)).x, abs=0.02)


def test_rare_conversions_are_told_apart_by_ad():
    rng = np.random.default_rng(0)
    rate = np.repeat([0.001, 0.001, 0.001, 0.3], 10)
    chance = np.concatenate([np.repeat(np.arange(40), 150), rng.integers(40, size=6_000)])
    label = (rng.random(len(chance)) < rate[chance]).astype(int)
    early = np.arange(len(chance)) < 9_000
    table = {"ad": chance, "click": label, "hour": rng.integers(24, size=len(chance))}
    log = AdLog.from_table(
        {n: v[early] for n, v in table.items()}, user=None, context_columns=["hour"]
    )
    late = log.encode({n: v[~early] for n, v in table.items()})
    found = ClickModel().fit(log).probabilities(late)
    truth = rate[chance[~early]]
    assert roc_auc_score(late.click, found) > roc_auc_score(late.click, truth) - 0.01
    constant = np.full(len(late), label[early].mean())
    best = log_loss(late.click, truth)
    assert log_loss(late.click, found) - best < 0.2 * (log_loss(late.click, constant) - best)
