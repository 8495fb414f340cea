"""FOMA over several behaviours of the same users and items: ratings, clicks, conversions.

One network is meta-trained on all of them at once, and if wanted in both roles: tasks of users
and tasks of items. Each kind of task has a start and step sizes of its own; vectors and layers are
shared, so that a behaviour of which little is known borrows what the others have taught. The
learner is `warmstart.meta.foma`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError, MissingExtraError
from warmstart.core.types import Progress
from warmstart.meta.settings import FOMAConfig, OuterConfig

if TYPE_CHECKING:
    from warmstart.recommenders.pair_tasks import PairKind
    from warmstart.recommenders.pair_training import PairTraining

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What users did to items.

    Attributes:
        labels: (users, items) a label for each pair that has one; 0 may be stored.
        kind: "rating" predicts numbers; "binary" labels that are 0 or 1 where both were seen,
            such as whether a click became a sale; "event" what is only known where it happened,
            such as clicks: other items are drawn evenly against it.
    """

    labels: sp.csr_array
    kind: Literal["rating", "binary", "event"] = "event"


class BehavioursConfig(Config):
    """Settings.

    Attributes:
        roles: whose tasks are trained on; with "item" a new item can be predicted from its first
            users, too, at some cost for the users' tasks.
        item_weight: how much a task of an item counts, against 1 for one of a user.
        adapt: FOMA's inner loop; `kinds` is filled in.
        embedding_dim: width of the vectors of ids, for each behaviour.
        hidden: widths of the hidden layers.
        dropout: share of the network's features that a training step leaves out.
        max_shots: most pairs in a support.
        query_pairs: most pairs in a query.
        shrinkage: labels of the overall mean with which every offset starts.
        weakness: of one event: examples that are right already which a loss is taken over.
        validation_fraction: share of each kind's tasks (at most 1,000) that choose the weights.
        outer: the outer loop; a batch holds `batch_size` tasks of every kind.
    """

    roles: tuple[Literal["user", "item"], ...] = ("user",)
    item_weight: float = Field(0.2, ge=0)
    adapt: FOMAConfig = FOMAConfig(inner_steps=3, inner_lr=0.1)
    embedding_dim: int = Field(32, ge=1)
    hidden: tuple[int, ...] = (64, 64)
    dropout: float = Field(0.7, ge=0, lt=1)
    max_shots: int = Field(20, ge=1)
    query_pairs: int = Field(20, ge=1)
    shrinkage: float = Field(5.0, ge=0)
    weakness: float = Field(5.0, ge=0)
    validation_fraction: float = Field(0.05, gt=0, lt=1)
    outer: OuterConfig = OuterConfig(epochs=30, batch_size=64, outer_lr=3e-3, weight_decay=100.0)


class Behaviours:
    """Predict several behaviours of one user, or of one item, from a few of their pairs.

    Attributes:
        names: of the behaviours, in the order of the kinds.
        arrays: everything meta-learned.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> taste = np.sign(rng.normal(size=(80, 1))) * np.sign(rng.normal(size=(1, 30)))
        >>> rated = sp.csr_array(np.where(rng.random((80, 30)) < 0.5, taste, 0))
        >>> config = BehavioursConfig(embedding_dim=4, hidden=(8,), max_shots=5)
        >>> model = Behaviours(config).fit({"rating": Behaviour(rated, "rating")})
        >>> like, dislike = np.flatnonzero(taste[0] > 0), np.flatnonzero(taste[0] < 0)
        >>> found = model.predict("rating", [like[:3]], [[1.0] * 3], [[like[5], dislike[5]]])
        >>> bool(found[0, 0] > found[0, 1])
        True
    """

    names: list[str]
    arrays: dict[str, Array]

    def __init__(self, config: BehavioursConfig | None = None) -> None:
        self.config = config or BehavioursConfig()
        if "user" not in self.config.roles:
            raise ConfigError("roles must hold 'user'; 'item' may be left out")

    def fit(
        self,
        behaviours: Mapping[str, Behaviour],
        *,
        user_features: sp.csr_array | None = None,
        item_features: sp.csr_array | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Meta-train on all behaviours at once.

        Args:
            behaviours: by name; all over the same users and items.
            user_features: (users, features).
            item_features: (items, features).
            seed: the same seed gives the same model.
            progress: told how far training has come.

        Raises:
            ConfigError: a kind of behaviour that there is not.
            DataError: no behaviour, shapes that differ, or labels that do not fit their kind.
            MissingExtraError: torch is not installed.
        """
        try:
            from warmstart.meta.foma import FOMA
            from warmstart.recommenders.pair_training import Side, train_pairs
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", extra="train") from None
        behaviours = {name: _checked(name, b) for name, b in behaviours.items()}
        shapes = {name: b.labels.shape for name, b in behaviours.items()}
        if len(set(shapes.values())) != 1:
            raise DataError(f"the behaviours have the shapes {shapes}; give all of them one shape")
        (n_users, n_items), self.names = next(iter(shapes.values())), list(behaviours)
        for known, n, side in (
            (user_features, n_users, "users"),
            (item_features, n_items, "items"),
        ):
            if known is not None and known.shape[0] != n:
                raise DataError(f"{known.shape[0]} rows of features for {n} {side}; give one each")
        self._behaviours = {n: b.kind for n, b in behaviours.items()}
        kinds = self._kinds({n: b.labels for n, b in behaviours.items()})
        users, items = Side(n_users, user_features), Side(n_items, item_features)
        self._widths = (users.width, items.width)
        adapt = self.config.adapt.model_copy(update={"kinds": len(kinds)})
        self._learner = FOMA(adapt)
        self.arrays = train_pairs(
            kinds, users, items, self._learner, self._training(), seed=seed, progress=progress
        )
        return self

    def predict(
        self,
        behaviour: str,
        others: Sequence[Sequence[int]] | Array,
        labels: Sequence[Sequence[float]] | Array,
        asked: Sequence[Sequence[int]] | Array,
        features: sp.csr_array | None = None,
        *,
        role: Literal["user", "item"] = "user",
    ) -> npt.NDArray[np.float32]:
        """Return (tasks, pairs) predictions for users, or items, whom training has not met.

        Args:
            behaviour: which.
            others: of each new user, the items of the support; of each new item, the users.
            labels: of each, their labels.
            asked: (tasks, pairs) which items, or users, to predict; the results are numbers of
                ratings, else logits.
            features: (tasks, features) what is known of the new users or items.
            role: whose tasks these are.

        Raises:
            ConfigError: no such behaviour, a role that was not trained, or nothing is fitted.
            DataError: an index is outside the data, or the lists do not fit together.
        """
        if not hasattr(self, "arrays"):
            raise ConfigError("nothing is fitted yet; call fit first")
        if behaviour not in self.names:
            known = ", ".join(self.names)
            raise ConfigError(f"no behaviour is called {behaviour!r}; there are: {known}")
        if role not in self.config.roles:
            raise ConfigError(f"no {role}s' tasks were trained; add {role!r} to roles")
        import torch

        from warmstart.recommenders import pair_training
        from warmstart.recommenders.batches import padded
        from warmstart.recommenders.pair_tasks import known_features, pair_examples, said_of

        kinds = self._kinds({n: sp.csr_array((0, 0)) for n in self.names})
        kind = kinds[self.names.index(behaviour) + (len(self.names) if role == "item" else 0)]
        own, far = self._widths if role == "user" else self._widths[::-1]
        met = self.arrays["met"] if role == "user" else np.ones(len(self.arrays["users"]) - 1, bool)
        shown, said, wanted = _lists(others, labels, asked, len(met))
        if features is not None and features.shape != (len(shown), own):
            raise DataError(
                f"features of the shape {features.shape}; give one row for each of the "
                f"{len(shown)} {role}s, and {own} columns"
            )
        problem = pair_training.pair_problem(self.arrays, kinds, self._training())
        meta = pair_training.served(self.arrays)
        problem.model.eval()
        indptr = np.concatenate([[0], np.cumsum([len(i) for i in shown])]).astype(np.int64)
        flat = np.concatenate([*shown, np.zeros(0, np.int64)])
        met_by, mask = padded(indptr, np.where(met[flat], 1 + flat, -1 - flat))
        told, _ = padded(indptr, np.concatenate([*said, np.zeros(0, np.float32)]))
        about = known_features(features, np.arange(len(shown)), own)
        offsets = self.arrays["item_offset" if role == "user" else "user_offset"]
        said_before = said_of(offsets, met_by)
        support = pair_examples(met_by, told, mask, about, said_before, far, kind)
        signed = np.where(met[wanted], 1 + wanted, -1 - wanted)
        real = np.ones(wanted.shape, bool)
        query = pair_examples(
            signed, np.zeros(wanted.shape, np.float32), real, about, said_of(offsets, signed), far,
            kind,
        )  # fmt: skip
        with torch.no_grad():
            adapted = self._learner.adapt(problem, meta, support)
            found = problem.predict(meta, adapted, query)
        return np.asarray(found, np.float32)

    def _kinds(self, labels: Mapping[str, sp.csr_array]) -> list[PairKind]:
        from warmstart.recommenders import pair_tasks

        kinds: list[pair_tasks.PairKind] = []
        for role in ("user", "item"):
            if role not in self.config.roles:
                continue
            for name, matrix in labels.items():
                what = self._behaviours[name]
                kinds.append(
                    pair_tasks.PairKind(
                        matrix if role == "user" else sp.csr_array(matrix.T),
                        who=role,
                        number=len(kinds),
                        negatives=1.0 if what == "event" else 0.0,
                        binary=what != "rating",
                        weight=1.0 if role == "user" else self.config.item_weight,
                    )
                )
        return kinds

    def _training(self) -> PairTraining:
        from warmstart.recommenders import pair_training

        c = self.config
        return pair_training.PairTraining(
            "head", c.embedding_dim, c.hidden, c.dropout, c.max_shots, c.query_pairs, c.shrinkage,
            c.weakness, c.validation_fraction, c.outer,
        )  # fmt: skip


def _checked(name: str, behaviour: Behaviour) -> Behaviour:
    """Return the behaviour with sparse rows, if its labels are what its kind says."""
    if behaviour.kind not in ("rating", "binary", "event"):
        raise ConfigError(
            f"behaviour {name!r} is of the kind {behaviour.kind!r}; choose rating, binary or event"
        )
    labels = sp.csr_array(behaviour.labels)
    labels.sum_duplicates()
    bad = ~np.isfinite(labels.data)
    if behaviour.kind != "rating":
        bad |= (labels.data != 0) & (labels.data != 1)
    if bad.any():
        raise DataError(
            f"{bad.sum()} labels of {name!r} do not fit its kind, {behaviour.kind} (first: "
            f"{labels.data[bad][0]}); numbers for ratings, 0 or 1 for the others"
        )
    return replace(behaviour, labels=labels)


def _lists(others: Any, labels: Any, asked: Any, n: int) -> Any:  # noqa: ANN401
    """Return supports and what is asked as arrays, if they fit together."""
    try:
        shown = [np.asarray(row, np.int64).reshape(len(row)) for row in others]
        said = [np.asarray(row, np.float32).reshape(len(row)) for row in labels]
        wanted = np.asarray(asked, np.int64)
    except (TypeError, ValueError):
        raise DataError("supports, labels and pairs to predict are lists of lists") from None
    if wanted.ndim != 2 or not len(shown) == len(said) == len(wanted):
        raise DataError(
            f"{len(shown)} supports, {len(said)} lists of labels, and pairs to predict of the "
            f"shape {wanted.shape}; give one row of each for every task"
        )
    for row, (items, told) in enumerate(zip(shown, said, strict=True)):
        if len(items) != len(told) or not np.isfinite(told).all():
            raise DataError(f"task {row}: {len(items)} pairs, labels {told.tolist()}; one each")
    for what in (*shown, wanted):
        if what.size and not 0 <= what.min() <= what.max() < n:
            raise DataError(f"an index lies outside 0 … {n - 1}: {what.ravel().tolist()[:10]}")
    return shown, said, wanted
