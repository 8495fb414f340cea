"""New ads' vectors: every way runs the protocol, and Meta-Embedding uses the columns."""

import numpy as np
import pytest
from tests.ads.test_click_model import N_ADS, N_NEW, planted, take

from warmstart.ads.click_config import BackboneConfig
from warmstart.ads.generators import WAYS, AdVectors, VectorsConfig
from warmstart.ads.log import AdLog
from warmstart.ads.rates import Rates
from warmstart.evaluation.cold_ads import auc, run_phases
from warmstart.meta.settings import OuterConfig


@pytest.fixture(scope="module")
def rows():
    table, _ = planted(6_000)
    old = table["ad"] < N_ADS
    log = AdLog.from_table(take(table, old), user_columns=["age"], ad_columns=["kind"])
    coding = log.coding.with_ads(list(range(N_ADS, N_ADS + N_NEW)))
    new = np.flatnonzero(~old)
    parts = np.array_split(new[:360], 3)
    batches = [AdLog.read(take(table, part), coding) for part in parts]
    return log, coding, batches, AdLog.read(take(table, new[360:]), coding)


@pytest.mark.parametrize("way", WAYS)
def test_a_new_ad_is_better_known_after_its_batches(rows, way):
    log, coding, batches, test = rows
    config = VectorsConfig(
        backbone=BackboneConfig(epochs=2), outer=OuterConfig(epochs=4, batch_size=20, outer_lr=5e-3)
    )
    model = AdVectors(way, config).fit(log, seed=0).add_ads(coding, test)
    known = model.probabilities(log)
    found = run_phases(model, batches, test)
    cold, last = (auc(test.click, found[phase]) for phase in (0, 3))
    assert cold > 0.55
    assert last > cold + 0.01
    np.testing.assert_array_equal(model.probabilities(log), known)  # known ads stay


def test_rates_are_counted_by_hand():
    table = {"user": ["a", "a", "b", "b"], "ad": [1, 2, 1, 2], "click": [1, 1, 0, 1]}
    log = AdLog.from_table(table)
    model = Rates(2.0, 4.0).fit(log)

    def odds(p):
        return np.log(p / (1 - p))

    user, ad = (2 + 2 * 0.75) / (2 + 2), (1 + 4 * 0.75) / (2 + 4)
    expected = 1 / (1 + np.exp(-(odds(user) + odds(ad) - odds(0.75))))
    assert model.probabilities(log)[0] == pytest.approx(expected)
    constant = Rates(None, None).fit(log)
    np.testing.assert_allclose(constant.probabilities(log), 0.75)
