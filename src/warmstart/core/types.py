"""The values that travel between rooms, and the Protocol that every method keeps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.config import Config

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Histories:
    """What is known of some users: their events in order, and their features.

    A user may have no events at all (zero shots). Items are dense catalogue indices.

    Attributes:
        indptr: (users + 1,) where each user's events begin and end.
        items: (events,) dense item index.
        values: (events,) signed evidence in [-1, 1]: 1 a clear like, -1 a clear dislike.
        times: (events,) seconds since the epoch, or None where unknown.
        features: (users, user features) sparse rows, or None where nothing is known.
    """

    indptr: IntArray
    items: IntArray
    values: FloatArray
    times: npt.NDArray[np.float64] | None = None
    features: sp.csr_array | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def empty(cls, n_users: int, features: sp.csr_array | None = None) -> Self:
        """Return `n_users` users of whom no event is known."""
        return cls(
            np.zeros(n_users + 1, np.int64),
            np.zeros(0, np.int32),
            np.zeros(0, np.float32),
            features=features,
        )

    @property
    def shots(self) -> IntArray:
        """(users,) how many events each user has."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> IntArray:
        """(events,) the user to whom each event belongs."""
        return np.repeat(np.arange(len(self)), self.shots)

    def first(self, k: int) -> Self:
        """Return the same users with only the first `k` events of each."""
        rank = np.arange(len(self.items)) - np.repeat(self.indptr[:-1], self.shots)
        keep = rank < k
        return replace(
            self,
            indptr=np.concatenate([[0], np.cumsum(np.minimum(self.shots, k))]),
            items=self.items[keep],
            values=self.values[keep],
            times=None if self.times is None else self.times[keep],
        )

    def take(self, users: IntArray) -> Self:
        """Return these users, in this order."""
        users = np.asarray(users, np.int64)
        shots = self.shots[users]
        indptr = np.concatenate([[0], np.cumsum(shots)])
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[users] - indptr[:-1], shots)
        return replace(
            self,
            indptr=indptr,
            items=self.items[at],
            values=self.values[at],
            times=None if self.times is None else self.times[at],
            features=None if self.features is None else self.features[users],
        )

    def matrix(self, n_items: int) -> sp.csr_array:
        """Return the (users, items) float32 matrix of signed evidence; repeated items add up."""
        matrix = sp.csr_array(
            (self.values, self.items, self.indptr), shape=(len(self), n_items), copy=True
        )
        matrix.sum_duplicates()
        return matrix


@dataclass(frozen=True, slots=True)
class State:
    """Everything a fitted method needs to serve: named arrays and plain JSON values."""

    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


class Progress(Protocol):
    """Where long work reports how far it has come."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Say that `done` of `total` steps are over; `message` is one short line."""


@runtime_checkable
class Scorer(Protocol):
    """Anything that can be evaluated: it scores the catalogue for users it has never met."""

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) float32 scores; higher is better; seen items are not masked."""


class Method(Scorer, Protocol):
    """A way to recommend: fitted on a `Dataset`, then scoring users it has never met.

    Register one under the entry point `warmstart.methods` and `Recommender`, `compare` and the
    contract tests know it by name.
    """

    config_type: ClassVar[type[Config]]
    config: Any

    def __init__(self, config: Config | None = None) -> None: ...

    def fit(self, data: Any, *, seed: int = 0, progress: Progress | None = None) -> Self:  # noqa: ANN401
        """Fit on a `warmstart.data.Dataset`; the same seed gives the same result."""

    def state(self) -> State:
        """Return what `from_state` needs to serve the same scores."""

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted method; needs NumPy alone."""
