"""Every registered method keeps every contract, and a contract notices a method that does not."""

import numpy as np
import pytest

from warmstart.core.registry import lookup, names
from warmstart.core.types import State
from warmstart.data import load_dataset
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.itemknn import ItemKNN, ItemKNNConfig
from warmstart.recommenders.multvae import MultVAEConfig
from warmstart.recommenders.named import learners
from warmstart.recommenders.pair import PairConfig
from warmstart.testing import CONTRACTS, BrokenContract, Subject

OUTER = {"epochs": 4, "batch_size": 64}
QUICK = {
    **{
        name: lookup("methods", name).config_type.parse({"embedding_dim": 8, "outer": OUTER})
        for name in learners()
        if name != "default"
    },
    "pair": PairConfig.parse({"embedding_dim": 4, "hidden": (8,), "outer": OUTER}),
    "default": DefaultConfig.parse(
        {"hidden_dim": 24, "embedding_dim": 8, "folds": 2, "training": {"epochs": 4}}
    ),
    "multvae": MultVAEConfig(hidden=24, latent=8, epochs=4),
}
DATA = load_dataset("synthetic", n_users=160, n_items=60, seed=4)
SUBJECTS = {
    name: Subject(lambda name=name: lookup("methods", name)(QUICK.get(name)), DATA)
    for name in names("methods")
}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_a_method_keeps_its_contract(name, contract):
    contract(SUBJECTS[name])


class TakesAnything(ItemKNNConfig):
    @classmethod
    def parse(cls, values):
        return cls()


class Sloppy(ItemKNN):
    def __init__(self, config=None):
        super().__init__(config or TakesAnything())


class HasHoles(ItemKNN):
    def score(self, histories):
        scores = super().score(histories)
        scores[:, 3] = np.nan
        return scores


class Remembers(ItemKNN):
    def score(self, histories):
        self.counts = self.counts + 1
        return super().score(histories)


class Capricious(ItemKNN):
    made = 0

    def __init__(self, config=None):
        super().__init__(config)
        Capricious.made += 1
        self.mood = np.float32(Capricious.made)  # another one each time

    def score(self, histories):
        scores = super().score(histories)
        return scores + self.mood * np.arange(scores.shape[1], dtype=np.float32)


class Forgets(ItemKNN):
    def state(self):
        state = super().state()
        return State({n: np.zeros_like(a) for n, a in state.arrays.items()}, state.meta)


class LooksAround(ItemKNN):
    def score(self, histories):
        scores = super().score(histories)
        return scores - scores.mean(axis=0)


class NeedsEvents(ItemKNN):
    def score(self, histories):
        if not len(histories.items):
            raise IndexError("no events")
        return super().score(histories)


class Repeats(ItemKNN):
    def top_k(self, histories, k, allowed=None):
        return np.zeros((len(histories), k), np.int32), np.zeros((len(histories), k), np.float32)


@pytest.mark.parametrize(
    ("broken", "contract"),
    [
        (Sloppy, "settings_survive_json"),
        (HasHoles, "scores_are_finite"),
        (Remembers, "scoring_changes_nothing"),
        (Capricious, "refit_is_the_same"),
        (Forgets, "state_is_complete"),
        (LooksAround, "one_by_one_is_the_same"),
        (Repeats, "lists_hold_nothing_seen"),
        (Repeats, "a_long_list_is_the_rest_of_the_catalogue"),
        (NeedsEvents, "nobody_and_dislikes_are_served"),
    ],
)
def test_a_broken_promise_is_noticed(broken, contract):
    by_name = {c.__name__: c for c in CONTRACTS}
    subject = Subject(broken, DATA)
    keep = subject.method  # so that a second fit is another object
    assert keep
    with pytest.raises(BrokenContract):
        by_name[contract](subject)


def test_every_contract_has_a_method_that_breaks_it():
    marks = test_a_broken_promise_is_noticed.pytestmark[0].args[1]
    assert {contract for _, contract in marks} == {c.__name__ for c in CONTRACTS}
