"""Small planted data and one small model of the default method, trained once."""

import pytest
from tests.recommenders.small import SMALL

from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.recommenders import Recommender


@pytest.fixture(scope="session")
def planted():
    """600 users, 120 items, of which some have no interactions; texts, genres, demographics."""
    return load_dataset("synthetic", n_users=600, n_items=120, seed=5)


@pytest.fixture(scope="session")
def split(planted):
    config = SplitConfig(test_fraction=0.3, max_shots=8, support="positive", seed=0)
    return make_split(planted, config)


@pytest.fixture(scope="session")
def model(split):
    """The default method, small, on the training rows of `split`."""
    return Recommender("default", config=SMALL, seed=3).fit(split.train, progress=False)
