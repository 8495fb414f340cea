"""Bias figures of methods whose lists are known beforehand."""

import numpy as np
import pytest

from warmstart.data import Dataset, load_dataset
from warmstart.recommenders import Recommender
from warmstart.service.bias import measured


@pytest.fixture(scope="module")
def data():
    return load_dataset("synthetic", n_users=200, n_items=80, n_events=20, seed=5)


def test_popularity_shows_the_eleven_most_liked_items_to_everybody(data):
    fitted = Recommender("popularity").fit(data, progress=False).fitted
    found = measured(fitted)
    # ten of them to most; whoever likes one of the ten sees the eleventh instead
    assert found["coverage"] == 11 / 80
    assert found["tail"] == found["new"] == 0
    places = 100 * (np.arange(80) + 0.5) / 80  # percentiles, the least popular first
    assert places[-11:-1].mean() <= found["popularity"] <= places[-10:].mean()
    assert found["catalogue"] == pytest.approx(50)
    assert found["gini"] > 1 - 11 / 80 - 0.05  # all eleven alike would be 1 - 11/80
    assert found["gap"] == 0  # it knows no groups


def test_chance_favours_nobody(data):
    found = measured(Recommender("random").fit(data, progress=False).fitted)
    assert found["coverage"] == 1
    # equal visitors get equal lists, so these are some 40 lists: the standard error is 1.4
    assert abs(found["popularity"] - 50) < 5
    assert abs(found["tail"] - 0.5) < 0.1
    assert found["gini"] < 0.35


def test_items_that_were_removed_or_added_are_counted_so(data):
    model = Recommender("popularity").fit(data, progress=False)
    best = model.recommend(k=30)
    model.remove_items([one.item for one in best])
    found = measured(model.fitted)
    assert found["coverage"] == 11 / 50
    assert found["catalogue"] == pytest.approx(50)


def test_a_catalogue_too_small_to_be_unfair():
    rows = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 2, 1]}
    model = Recommender("popularity").fit(Dataset.from_tables(rows), progress=False)
    found = measured(model.fitted)
    assert found["coverage"] == 1
    model.remove_items([1])
    assert measured(model.fitted) == {"visitors": 0, "k": 10, "groups": []}
