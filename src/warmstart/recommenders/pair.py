"""The pair method: any learner on a network over user and item, for ratings and clicks.

It predicts what one user says of one item, and ranks by that. Where the data have ratings it
learns them; else it learns clicks, against items drawn at random. It is the form of MeLU, dear for
ranking a catalogue (every pair goes through the network) and at home where pairs are asked about.
Serving adapts a network, so it needs torch.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from warmstart.core import registry
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.core.types import FloatArray, Histories, Progress, State
from warmstart.meta.settings import OuterConfig

if TYPE_CHECKING:
    from warmstart.meta.learner import Examples, Learner, Params, Problem
    from warmstart.recommenders.pair_tasks import PairKind
    from warmstart.recommenders.pair_training import PairTraining

_ROOM = 1 << 15  # pairs that go through the network at once


class PairConfig(Config):
    """Settings of the pair method.

    Attributes:
        learner: a name registered under `warmstart.learners`.
        adapt: the learner's own settings.
        block: whether a gradient learner moves all of the network or its head alone.
        target: "rating" or "click"; None takes ratings where there are dislikes.
        embedding_dim: width of the vectors of ids.
        hidden: widths of the hidden layers.
        dropout: share of the network's features that a training step leaves out.
        max_shots: most pairs in a support.
        query_pairs: most pairs in a query.
        negatives: of clicks: pairs drawn at random for each pair that happened.
        shrinkage: ratings of the overall mean with which every item's mean starts.
        weakness: of one event: examples that are right already which a loss is taken over.
        validation_fraction: share of the training users (at most 1,000) who choose the weights.
        outer: the outer loop.
    """

    learner: str = "closed-form"
    adapt: dict[str, Any] = Field(default_factory=dict)
    block: Literal["all", "head"] = "all"
    target: Literal["rating", "click"] | None = None
    embedding_dim: int = Field(48, ge=1)
    hidden: tuple[int, ...] = (64, 64)
    dropout: float = Field(0.3, ge=0, lt=1)
    max_shots: int = Field(40, ge=1)
    query_pairs: int = Field(20, ge=1)
    negatives: float = Field(1.0, gt=0)
    shrinkage: float = Field(5.0, ge=0)
    weakness: float = Field(5.0, ge=0)
    validation_fraction: float = Field(0.05, gt=0, lt=1)
    outer: OuterConfig = OuterConfig(epochs=30, batch_size=64, outer_lr=3e-3, weight_decay=10.0)


class Pair:
    """Score user–item pairs with a network that is adapted to each user.

    Attributes:
        arrays: everything meta-learned, and the tables of the network.
        about: what the arrays need besides: target, scale, numbers of features.
    """

    config_type: ClassVar[type[Config]] = PairConfig
    arrays: dict[str, npt.NDArray[Any]]
    about: dict[str, Any]

    def __init__(self, config: Config | None = None) -> None:
        """Choose settings.

        Raises:
            ConfigError: an unknown learner, or a setting that the learner does not have.
        """
        chosen: Any = config or PairConfig()
        self.about = {}
        self.config: Any = chosen
        if chosen.learner not in registry.names("learners"):
            registry.lookup("learners", chosen.learner)  # says which there are
        if chosen.adapt:
            self._learner()

    def fit(
        self,
        data: Any,  # noqa: ANN401  (a `warmstart.data.Dataset`)
        *,
        seed: int = 0,
        progress: Progress | None = None,
        checkpoint: Path | None = None,
    ) -> Self:
        """Meta-train on a `warmstart.data.Dataset`.

        Args:
            data: training rows; users with fewer than two pairs are left out.
            seed: the same seed gives the same model.
            progress: told how far training has come.
            checkpoint: folder to keep the training in, and to continue it from.

        Raises:
            ConfigError: ratings are wanted where the data have none.
            DivergedError: an inner loop ran away.
            MissingExtraError: torch is not installed.
        """
        self._learner()  # whatever is missing is said before anything is read
        from warmstart.recommenders.pair_training import Side, train_pairs

        kept = None
        if checkpoint is not None:
            from warmstart.recommenders.checkpoint import open_checkpoint

            kept = open_checkpoint(checkpoint, data.fingerprint, self.config.model_dump(), seed)
        labels, target = data.evidence(), self.config.target
        rates = bool((labels.data < 0).any())
        if target == "rating" and not rates:
            raise ConfigError(
                "target='rating' needs ratings above and below the threshold of a like; pass "
                "target='click'"
            )
        target, centre = target or ("rating" if rates else "click"), 0.0
        if target == "click":
            labels = data.positives()
        elif len(labels.data):
            centre = float(labels.data.mean())
            labels.data = labels.data - np.float32(centre)
        content = None
        if data.item_features is not None and data.item_table is not None:
            content = data.item_features.transform(data.item_table)
        users, items = Side(data.n_users, data.user_matrix), Side(data.n_items, content)
        self.about = {
            "target": target,
            "centre": centre,
            "n_user_features": users.width,
            "n_item_features": items.width,
        }
        self.arrays = train_pairs(
            [self._kind(labels)],
            users,
            items,
            self._learner(),
            self._training(),
            seed=seed,
            progress=progress,
            checkpoint=kept,
            name_of=lambda role, index: f"{role} {data.users[index]!r}",
        )
        self.__dict__.pop("_served", None)
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) predictions: of ratings around their mean, or logits of clicks.

        Raises:
            MissingExtraError: torch is not installed.
        """
        everything = np.arange(self.arrays["item_offset"].shape[1] - 1)
        return self.predict(
            histories, np.broadcast_to(everything, (len(histories), len(everything)))
        )

    def predict(self, histories: Histories, items: npt.NDArray[Any]) -> FloatArray:
        """Return (users, pairs) predictions of some items for each user.

        Args:
            histories: the users.
            items: (users, pairs) which items.

        Raises:
            MissingExtraError: torch is not installed.
        """
        _, problem, meta = self._served
        import torch

        from warmstart.recommenders.pair_tasks import pair_query
        from warmstart.recommenders.pair_training import asked

        out = np.empty(items.shape, np.float32)
        size = max(1, _ROOM // max(1, items.shape[1], int(histories.shots.max(initial=0))))
        with torch.no_grad():
            for start in range(0, len(histories), size):
                users = np.arange(start, min(start + size, len(histories)))
                adapted, support = self._adapt(histories.take(users))
                wanted = asked(self.arrays, items[users])
                pairs = pair_query(support, wanted, self.arrays["item_offset"])
                out[users] = problem.predict(meta, adapted, pairs).numpy()
        return out

    def _adapt(self, histories: Histories) -> tuple[Params, Examples]:
        from warmstart.recommenders.pair_tasks import pair_support
        from warmstart.recommenders.pair_training import asked

        learner, problem, meta = self._served
        labels = histories.values - np.float32(self.about["centre"])
        if self.about["target"] == "click":
            labels = (histories.values > 0).astype(np.float32)
        n = self.about["n_user_features"]
        if not n:
            histories = replace(histories, features=None)
        elif histories.features is None:
            histories = replace(histories, features=sp.csr_array((len(histories), n)))
        kind = self._kind(sp.csr_array((0, len(self.arrays["items"]) - 1)))
        others = asked(self.arrays, histories.items.astype(np.int64))
        offsets, width = self.arrays["item_offset"], self.about["n_item_features"]
        support = pair_support(histories, others, labels, offsets, kind, width)
        return learner.adapt(problem, meta, support), support

    def state(self) -> State:
        """Return everything meta-learned."""
        return State(
            dict(self.arrays), {"config": self.config.model_dump(mode="json"), **self.about}
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from what was meta-learned."""
        method = cls(PairConfig.parse(state.meta["config"]))
        method.arrays = dict(state.arrays)
        method.about = {n: v for n, v in state.meta.items() if n != "config"}
        return method

    def _learner(self) -> Learner:
        try:
            kind = registry.lookup("learners", self.config.learner)
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", extra="train") from None
        settings = _USUAL.get(self.config.learner, {}) | self.config.adapt
        if self.config.learner == "closed-form":
            settings = {"logits": self.about.get("target") == "click"} | settings
        learner: Learner = kind(kind.config_type.parse(settings))
        return learner

    def _training(self) -> PairTraining:
        from warmstart.recommenders import pair_training

        fields = pair_training.PairTraining.__dataclass_fields__
        return pair_training.PairTraining(**{name: getattr(self.config, name) for name in fields})

    def _kind(self, labels: sp.csr_array) -> PairKind:
        from warmstart.recommenders import pair_tasks

        click = self.about["target"] == "click"
        negatives = self.config.negatives if click else 0.0
        return pair_tasks.PairKind(labels, negatives=negatives, binary=click)

    @cached_property
    def _served(self) -> tuple[Learner, Problem, Params]:
        learner = self._learner()
        import torch

        from warmstart.recommenders.pair_training import pair_problem, served

        with torch.random.fork_rng():
            kind = self._kind(sp.csr_array((0, 0)))
            problem = pair_problem(self.arrays, [kind], self._training())
        problem.model.eval()
        return learner, problem, served(self.arrays)


_USUAL: dict[str, dict[str, Any]] = {
    name: {"inner_steps": 3, "inner_lr": 0.1} for name in ("maml", "fomaml", "anil", "reptile")
} | {
    "meta-sgd": {"inner_steps": 2, "inner_lr": 0.1},
    "foma": {"inner_steps": 3, "inner_lr": 0.1},
    "amortised": {"hidden_dim": 64, "dropout": 0.1},
    "closed-form": {"prior_scale": 0.3, "noise": 0.5},
}
