"""A small model, a real store, and a real server on a free port."""

import shutil

import pytest
from tests.recommenders.small import SMALL
from tests.service.running import Running

from warmstart.data import load_dataset
from warmstart.recommenders import Recommender


def trained(seed):
    data = load_dataset("synthetic", n_users=200, n_items=80, n_events=20, seed=5)
    training = SMALL.training.model_copy(update={"epochs": 3})
    config = SMALL.model_copy(update={"training": training})
    return Recommender("default", config=config, seed=seed).fit(data, progress=False)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """A folder with two models of the same catalogue: `first` and `second`."""
    folder = tmp_path_factory.mktemp("models")
    trained(3).save(folder / "first")
    second = Recommender("itemknn").fit(
        load_dataset("synthetic", n_users=200, n_items=80, n_events=20, seed=5), progress=False
    )
    second.save(folder / "second")
    return folder


@pytest.fixture(scope="session")
def running(shelf, tmp_path_factory):
    """One service for all tests that leave the models and the catalogue alone."""
    with Running(shelf / "first", tmp_path_factory.mktemp("store") / "events.sqlite") as server:
        yield server


@pytest.fixture
def fresh(shelf, tmp_path):
    """Start a service of one test's own."""
    started = []

    def start(model="first", **config):
        copies = tmp_path / "models"
        if not copies.exists():
            shutil.copytree(shelf, copies)
        server = Running(copies / model, tmp_path / "events.sqlite", **config)
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.__exit__()
