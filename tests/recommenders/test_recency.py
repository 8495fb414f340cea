"""What is rising: measured on the last likes, and only where time is known."""

import numpy as np
import pytest
from tests.recommenders.small import SMALL

from warmstart.core.types import Histories
from warmstart.data import Dataset
from warmstart.recommenders.default import Default
from warmstart.recommenders.recency import learn_recency


def test_the_rise_is_the_log_ratio_of_late_and_all_time_shares():
    rng = np.random.default_rng(0)
    items, times = rng.integers(0, 5, 4000).astype(np.int32), np.arange(4000.0)
    items[3500:] = rng.integers(3, 5, 500)  # of late only two of the five
    share = np.bincount(items, minlength=5) / 4000
    found = learn_recency(items, times, np.log(share), share=0.05)
    weight = 0.5 ** ((3999 - times) / 200)
    late = np.array([weight[items == i].sum() for i in range(5)])
    expected = np.log((late + 100 * share) / (weight.sum() + 100) / share)
    np.testing.assert_allclose(found.rise, expected, atol=1e-4)
    assert found.rise[4] > 0 > found.rise[0]


def test_a_user_of_long_ago_is_not_told_what_rises_today():
    found = learn_recency(np.int32([0, 1] * 50), np.arange(100.0), np.log([0.5, 0.5]), share=0.1)
    ones = np.ones(2, np.float32)
    times = np.array([0.0, 98.0])
    users = Histories(np.array([0, 1, 2, 2]), np.int32([0, 1]), ones, times)
    trust = found.trust(users)
    assert trust[2] == 1  # nobody knows when: taken for a newcomer
    assert trust[0] < 0.01 < 0.8 < trust[1] < 1
    assert (found.trust(Histories.empty(2)) == 1).all()


@pytest.mark.parametrize("dated", [True, False])
def test_new_users_get_what_is_rising_where_times_are_known(dated):
    """Two halves of a year with different favourites; newcomers come after both."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(300), 6)
    late = user >= 150
    item = np.concatenate([rng.permutation(20)[:6] + 20 * (u >= 150) for u in range(300)])
    rows = {"user": user, "item": item}
    if dated:
        rows["timestamp"] = 1_600_000_000 + user * 86_400
    assert late.any()
    method = Default(SMALL).fit(Dataset.from_tables(rows), seed=0)
    top, _ = method.top_k(Histories.empty(1), 10)
    data = Dataset.from_tables(rows)
    new = [data.items[int(i)] >= 20 for i in top[0]]
    assert all(new) if dated else (method.parts.recency is None)
