"""What every method promises, as checks that the author of a plug-in runs on their own.

    from warmstart.testing import CONTRACTS, Subject

    @pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
    def test_contract(contract):
        contract(Subject(MyMethod, load_dataset("synthetic", n_users=200)))

Each contract is a function of a `Subject`; it raises `BrokenContract` and says what was expected,
what came instead, and for which user.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy as st

from warmstart.core.errors import ConfigError, WarmstartError
from warmstart.core.types import FloatArray, Histories, Method, State
from warmstart.data import Dataset, Split, SplitConfig, make_split
from warmstart.recommenders import Recommender

_TOLERANCE = 1e-4  # of the spread of the scores: float32 sums in another order


class BrokenContract(AssertionError):
    """A method does not keep a promise; the message says which and how."""


@dataclass(frozen=True)
class Subject:
    """A method on the bench.

    Attributes:
        build: returns the method, not yet fitted; its class, or a function.
        data: what it is fitted on, less a fifth of the users, who are asked afterwards.
        seed: of the fit and of the split.
    """

    build: Callable[[], Method]
    data: Dataset
    seed: int = 0

    @cached_property
    def split(self) -> Split:
        """Training rows and users whom the method has not met."""
        config = SplitConfig(test_fraction=0.2, max_shots=4, seed=self.seed, support="all")
        return make_split(self.data, config)

    @cached_property
    def method(self) -> Method:
        """The method, fitted."""
        return self.build().fit(self.split.train, seed=self.seed)

    @cached_property
    def users(self) -> Histories:
        """Cold users: some of whom nothing is known, some with one event, some with four."""
        support = self.split.tasks.at(4).take(np.arange(min(24, len(self.split.tasks))))
        shots = np.array([0, 1, 4])[np.arange(len(support)) % 3]
        rank = np.arange(len(support.items)) - np.repeat(support.indptr[:-1], support.shots)
        keep = rank < np.repeat(shots, support.shots)
        return replace(
            support,
            indptr=np.concatenate([[0], np.cumsum(np.minimum(shots, support.shots))]),
            items=support.items[keep],
            values=support.values[keep],
            times=None if support.times is None else support.times[keep],
        )

    @cached_property
    def scores(self) -> FloatArray:
        """The method's scores of the catalogue for `users`."""
        return np.asarray(self.method.score(self.users))


Contract = Callable[[Subject], None]


def settings_survive_json(subject: Subject) -> None:
    """Settings are read back from their JSON, and an unknown key is refused."""
    config = subject.build().config
    kind = type(config)
    back = kind.parse(json.loads(config.model_dump_json()))
    _demand(back == config, f"the settings read back from JSON are {back!r}, not {config!r}")
    try:
        kind.parse({"no_such_setting": 1})
    except ConfigError:
        return
    raise BrokenContract(f"{kind.__name__} takes the unknown setting no_such_setting=1")


def scores_are_finite(subject: Subject) -> None:
    """`score` returns one finite number per user and item."""
    wanted = (len(subject.users), subject.data.n_items)
    scores = subject.scores
    _demand(scores.shape == wanted, f"the scores have shape {scores.shape}, not {wanted}")
    wrong = np.argwhere(~np.isfinite(scores))
    _demand(not len(wrong), f"{len(wrong)} scores are not finite (first: user, item {wrong[:1]})")


def scoring_changes_nothing(subject: Subject) -> None:
    """Adapting to users leaves the fitted method as it was."""
    before = {name: a.copy() for name, a in subject.method.state().arrays.items()}
    first = np.array(subject.method.score(subject.users))
    again = np.asarray(subject.method.score(subject.users))
    _alike(again, first, "scored a second time")
    for name, array in subject.method.state().arrays.items():
        _demand(np.array_equal(array, before[name]), f"scoring changed the array {name!r}")


def refit_is_the_same(subject: Subject) -> None:
    """The same data and seed give the same scores."""
    again = subject.build().fit(subject.split.train, seed=subject.seed)
    _alike(np.asarray(again.score(subject.users)), subject.scores, "fitted again")


def state_is_complete(subject: Subject) -> None:
    """`from_state` serves the same scores from arrays and JSON that went through files."""
    state = subject.method.state()
    arrays = {name: np.asarray(array, order="C") for name, array in state.arrays.items()}
    meta = json.loads(json.dumps(state.meta, allow_nan=False))
    restored = type(subject.method).from_state(State(st.load(st.save(arrays)), meta))
    _alike(np.asarray(restored.score(subject.users)), subject.scores, "restored from its state")
    _demand(
        restored.config == subject.method.config,
        f"the restored settings are {restored.config!r}, not {subject.method.config!r}",
    )


def one_by_one_is_the_same(subject: Subject) -> None:
    """A user's scores do not depend on who else is scored."""
    alone = [
        np.asarray(subject.method.score(subject.users.take(np.array([user]))))
        for user in range(len(subject.users))
    ]
    _alike(np.concatenate(alone), subject.scores, "scored one by one")


def lists_hold_nothing_seen(subject: Subject) -> None:
    """Lists hold items of the catalogue, each once, none of the user's own."""
    model = _recommender(subject)
    lists = model.recommend_batch(subject.users, k=10)
    for user, items in enumerate(lists.items):
        found = items[items >= 0]
        own = subject.users.take(np.array([user])).items
        _demand(not np.isin(found, own).any(), f"user {user} is given an item of their history")
        _demand(len(set(found.tolist())) == len(found), f"user {user} is given an item twice")
        _demand(bool((found < subject.data.n_items).all()), f"user {user} is given no item at all")


def a_long_list_is_the_rest_of_the_catalogue(subject: Subject) -> None:
    """With `k` beyond the catalogue, everything unseen comes back once."""
    lists = _recommender(subject).recommend_batch(subject.users, k=subject.data.n_items + 7)
    for user, items in enumerate(lists.items):
        own = subject.users.take(np.array([user])).items
        wanted = set(range(subject.data.n_items)) - set(own.tolist())
        found = items[items >= 0].tolist()
        _demand(sorted(found) == sorted(wanted), f"user {user} gets {len(found)} of {len(wanted)}")


def nobody_and_dislikes_are_served(subject: Subject) -> None:
    """A user without any event, one with dislikes alone, and an empty batch are all scored."""
    n = subject.data.n_items
    features = subject.users.features
    one = None if features is None else features[[0]]
    ends, values = np.array([0, n - 1], np.int32), np.array([-1, -0.5], np.float32)
    disliked = Histories(np.array([0, 2]), ends, values, features=one)
    for name, histories in (
        ("a user without events", Histories.empty(1, one)),
        ("a user of dislikes alone", disliked),
        ("nobody", subject.users.take(np.zeros(0, np.int64))),
    ):
        try:
            scores = np.asarray(subject.method.score(histories))
        except WarmstartError:
            raise
        except Exception as error:
            raise BrokenContract(f"{name}: score raised {type(error).__name__}: {error}") from error
        _demand(scores.shape == (len(histories), n), f"{name}: scores of shape {scores.shape}")
        _demand(bool(np.isfinite(scores).all()), f"{name}: some scores are not finite")


CONTRACTS: tuple[Contract, ...] = (
    settings_survive_json,
    scores_are_finite,
    scoring_changes_nothing,
    refit_is_the_same,
    state_is_complete,
    one_by_one_is_the_same,
    lists_hold_nothing_seen,
    a_long_list_is_the_rest_of_the_catalogue,
    nobody_and_dislikes_are_served,
)
"""Every contract of a method."""


def check_method(build: Callable[[], Method], data: Dataset, *, seed: int = 0) -> None:
    """Hold a method to every contract.

    Args:
        build: returns the method, not yet fitted.
        data: a small dataset with at least 25 users of 5 likes or more.
        seed: of the fit.

    Raises:
        BrokenContract: a promise is not kept.

    Example:
        >>> from warmstart.data import load_dataset
        >>> from warmstart.recommenders.itemknn import ItemKNN
        >>> check_method(ItemKNN, load_dataset("synthetic", n_users=60, n_items=30))
    """
    subject = Subject(build, data, seed)
    for contract in CONTRACTS:
        contract(subject)


def _recommender(subject: Subject) -> Recommender:
    model = Recommender(subject.build(), seed=subject.seed)
    return model.fit(subject.split.train, progress=False)


def _alike(found: FloatArray, wanted: FloatArray, how: str) -> None:
    spread = float(np.ptp(wanted)) or 1.0
    _demand(found.shape == wanted.shape, f"{how}, the scores have shape {found.shape}")
    off = np.abs(found.astype(np.float64) - wanted)
    if off.size and not off.max() <= _TOLERANCE * spread:
        user, item = np.unravel_index(int(np.argmax(off)), off.shape)
        raise BrokenContract(
            f"{how}, item {item} scores {found[user, item]:g} for user {user}, not "
            f"{wanted[user, item]:g}"
        )


def _demand(kept: Any, otherwise: str) -> None:  # noqa: ANN401  (a bool, NumPy's or Python's)
    if not kept:
        raise BrokenContract(otherwise)
