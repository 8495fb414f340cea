"""The cold-ad protocol: who is new, what is shown when, and metrics against slow definitions."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from warmstart.core.errors import DataError
from warmstart.evaluation.cold_ads import ad_rows, auc, log_losses, run_phases, split_ads


def test_established_and_new_ads_batches_by_time_and_the_rest_for_the_test():
    rng = np.random.default_rng(0)
    ads = rng.permutation(np.repeat([0, 1, 2, 3], [30, 20, 12, 8]))
    times = rng.permutation(len(ads)).astype(float)
    found = split_ads(ads, times, established=20, batch=2)
    assert set(ads[found.training]) == {0}
    assert found.new.tolist() == [1, 2]  # 8 rows are not more than 4 K
    for ad in found.new:
        in_time = np.flatnonzero(ads == ad)[np.argsort(times[ads == ad])]
        shown = [set(b.tolist()) & set(in_time.tolist()) for b in (*found.batches, found.test)]
        parts = (in_time[:2], in_time[2:4], in_time[4:6], in_time[6:])
        assert shown == [set(part.tolist()) for part in parts]


def test_pretended_new_ads_are_cut_to_the_length_of_new_ones():
    ads = np.repeat([0, 1, 2], [40, 30, 10])
    found = split_ads(ads, np.arange(80.0), established=20, batch=2, among=np.array([1]))
    assert found.new.tolist() == [1]
    assert set(ads[found.training]) == {0}
    assert len(found.test) == 20 - 6


def test_a_split_without_new_ads_is_refused():
    with pytest.raises(DataError, match="lower one of the two"):
        split_ads(np.zeros(10, int), np.arange(10.0), established=5, batch=1)


def test_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 2, 200), rng.integers(0, 20, 200) / 20 + 0.01
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert log_losses(y, p.clip(0, 0.99)).mean() == pytest.approx(log_loss(y, p.clip(0, 0.99)))


def test_the_table_is_the_slow_computation_and_its_intervals_are_paired():
    rng = np.random.default_rng(2)
    ads = np.repeat(np.arange(40), 25)
    y = rng.integers(0, 2, 1000)
    good = np.clip(0.5 + 0.3 * (y - 0.5) + rng.normal(0, 0.2, (4, 1000)), 0.01, 0.99)
    bad = np.clip(good + rng.normal(0, 0.2, good.shape), 0.01, 0.99)
    rows = ad_rows({"good": [good], "bad": [bad, bad]}, y, ads, reference="good", resamples=200)
    table = {(r.method, r.phase, r.metric): r for r in rows}
    own = [roc_auc_score(y[ads == a], bad[1][ads == a]) for a in range(40)]
    assert table["bad", "a", "auc"].mean == pytest.approx(roc_auc_score(y, bad[1]))
    assert table["bad", "a", "gauc"].mean == pytest.approx(np.mean(own))
    assert table["bad", "a", "logloss"].mean == pytest.approx(log_loss(y, bad[1]))
    cells = np.minimum((bad[1] * 10).astype(int), 9)
    ece = sum(abs((bad[1] - y)[cells == c].sum()) for c in range(10)) / 1000
    assert table["bad", "a", "ece"].mean == pytest.approx(ece)
    worse = table["bad", "a", "logloss"]
    assert worse.ci_low < worse.mean < worse.ci_high
    assert worse.difference_high < 0  # the loss of the good one is less, surely
    paired = worse.difference_high - worse.difference_low
    assert paired < worse.ci_high - worse.ci_low
    assert table["good", "a", "auc"].difference == 0
    assert worse.tasks == 40


def test_phases_score_before_they_learn():
    class Counting:
        seen = 0.0

        def probabilities(self, log):
            return np.full(log, self.seen)

        def update(self, log):
            self.seen += log

    found = run_phases(Counting(), [0.1, 0.2, 0.3], 2)
    np.testing.assert_allclose(found, [[0, 0], [0.1, 0.1], [0.3, 0.3], [0.6, 0.6]])
