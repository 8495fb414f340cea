"""The pair method: any learner on a network over user and item, for ratings and clicks.

It predicts what one user says of one item, and ranks by that. Where the data have ratings it
learns them; else it learns clicks, against items drawn at random. It is the form of MeLU, dear for
ranking a catalogue (every pair goes through the network) and at home where pairs are asked about.
Serving adapts a network, so it needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field
from scipy.sparse.linalg import svds

from warmstart.core import registry
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, IntArray, Progress, State
from warmstart.meta.settings import OuterConfig

if TYPE_CHECKING:
    from torch import Tensor

    from warmstart.meta.learner import Learner, Params, Problem, Tasks

_ROOM = 1 << 15  # pairs that go through the network at once
_EXAM_SHOTS = (1, 5, 20)


class PairConfig(Config):
    """Settings of the pair method.

    Attributes:
        learner: a name registered under `warmstart.learners`.
        adapt: the learner's own settings.
        block: whether a gradient learner moves all of the network or its head alone.
        target: "rating" or "click"; None takes ratings where there are dislikes.
        embedding_dim: width of the vectors of ids.
        hidden: widths of the hidden layers.
        max_shots: most pairs in a support.
        query_pairs: most pairs in a query.
        negatives: of clicks: pairs drawn at random for each pair that happened.
        shrinkage: ratings of the overall mean with which every item's mean starts.
        validation_fraction: share of the training users (at most 1,000) who choose the weights.
        outer: the outer loop.
    """

    learner: str = "closed-form"
    adapt: dict[str, Any] = Field(default_factory=dict)
    block: Literal["all", "head"] = "all"
    target: Literal["rating", "click"] | None = None
    embedding_dim: int = Field(16, ge=1)
    hidden: tuple[int, ...] = (64, 64)
    max_shots: int = Field(20, ge=1)
    query_pairs: int = Field(20, ge=1)
    negatives: float = Field(1.0, gt=0)
    shrinkage: float = Field(5.0, ge=0)
    validation_fraction: float = Field(0.05, gt=0, lt=1)
    outer: OuterConfig = OuterConfig(epochs=30, batch_size=64, outer_lr=3e-3, weight_decay=0.3)


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
        learner = self._learner()
        import torch

        from warmstart.meta.learner import check_finite
        from warmstart.meta.outer import outer_loop
        from warmstart.recommenders.pair_tasks import PairKind, draw_pair_tasks

        kept = None
        if checkpoint is not None:
            from warmstart.recommenders.checkpoint import open_checkpoint

            kept = open_checkpoint(checkpoint, data.fingerprint, self.config.model_dump(), seed)
        c, rng = self.config, generator(seed, "pair", self.config.learner)
        evidence, target = data.evidence(), c.target
        rates = bool((evidence.data < 0).any())
        if target == "rating" and not rates:
            raise ConfigError("target='rating' needs ratings above and below the threshold of a "
                              "like; pass target='click'")  # fmt: skip
        target = target or ("rating" if rates else "click")
        labels, centre = evidence.copy(), 0.0
        if target == "click":
            labels.data = np.ones_like(labels.data)
        elif len(labels.data):
            centre = float(labels.data.mean())
            labels.data = labels.data - np.float32(centre)
        content = None
        if data.item_features is not None and data.item_table is not None:
            content = data.item_features.transform(data.item_table)
        users = data.user_matrix
        self.about = {
            "target": target,
            "centre": centre,
            "n_user_features": 0 if users is None else users.shape[1],
            "n_item_features": 0 if content is None else content.shape[1],
        }
        kind = PairKind(labels, negatives=c.negatives if target == "click" else 0.0)
        able = rng.permutation(np.flatnonzero(np.diff(labels.indptr) >= 2))
        n_held = min(int(c.validation_fraction * len(able)), 1_000)
        held, trained = np.sort(able[:n_held]), np.sort(able[n_held:])
        drawing: dict[str, Any] = {
            "known": users,
            "n_other_features": self.about["n_item_features"],
            "max_shots": c.max_shots,
            "query_pairs": c.query_pairs,
        }
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))
            offset = _item_offset(labels[trained], target, c.shrinkage)
            vectors = _factors(labels, trained, offset, c.embedding_dim, generator(seed, "factors"))
            tables = {
                "users": vectors[0],
                "items": vectors[1],
                "user_features": _table(users, data.n_users),
                "item_features": _table(content, data.n_items),
                "user_offset": np.zeros((1, data.n_users + 1), np.float32),
                "item_offset": np.concatenate([[0], offset]).astype(np.float32)[None],
            }
            problem = self._problem(tables)
            meta = {n: torch.nn.Parameter(p) for n, p in learner.init(problem).items()}
            self.arrays = _export(meta, tables)
            if not len(trained):
                return self
            exams = [
                draw_pair_tasks(kind, held, generator(seed, "exam", k), shots=k, **drawing)
                for k in _EXAM_SHOTS
                if len(held)
            ]

            def step(rng: np.random.Generator) -> float:
                size = min(c.outer.batch_size, len(trained))
                drawn = rng.choice(trained, size, replace=False)
                tasks = draw_pair_tasks(kind, drawn, rng, **drawing)
                values = {n: p.detach() for n, p in meta.items()}
                problem.model.train()
                losses, gradients = learner.gradients(problem, values, tasks)
                check_finite(
                    losses, values, learner.config,
                    lambda task: f"of user {data.users[int(drawn[task])]!r}",
                )  # fmt: skip
                for name, gradient in gradients.items():
                    meta[name].grad = gradient
                return float((tasks.weight * losses).sum())

            def validate() -> float:
                problem.model.eval()
                values = {n: p.detach() for n, p in meta.items()}
                return -float(np.mean([_loss(learner, problem, values, e) for e in exams]))

            def on_step(done: int, total: int, loss: float) -> None:
                if progress is not None and (done == total or done % 5 == 0):
                    progress(done, total, f"meta-training {c.learner} on pairs, loss {loss:.3f}")

            outer_loop(
                meta,
                step,
                len(trained),
                c.outer,
                rng=generator(seed, "episodes", c.learner),
                decayed=("users", "items"),
                validate=validate if exams else None,
                on_step=on_step,
                resume=None if kept is None else kept.stored(c.learner),
                on_check=None if kept is None else partial(kept.store, c.learner),
            )
            self.arrays = _export(meta, tables)
        self.__dict__.pop("_served", None)
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) predictions: of ratings around their mean, or logits of clicks.

        Raises:
            MissingExtraError: torch is not installed.
        """
        _, problem, meta = self._served
        import torch

        from warmstart.meta.learner import Examples

        n_items = self.arrays["item_offset"].shape[1] - 1
        out = np.empty((len(histories), n_items), np.float32)
        size = max(1, _ROOM // max(1, n_items))
        with torch.no_grad():
            for start in range(0, len(histories), size):
                users = np.arange(start, min(start + size, len(histories)))
                adapted, inputs = self._adapt(histories.take(users))
                everything = torch.arange(1, n_items + 1).expand(len(users), n_items)
                asked = (torch.zeros_like(everything), everything, *inputs[2:])
                examples = Examples.of(asked, torch.zeros(len(users), n_items))
                out[users] = problem.predict(meta, adapted, examples).numpy()
        return out

    def _adapt(self, histories: Histories) -> Any:  # noqa: ANN401  (Params, inputs)
        from warmstart.recommenders.pair_tasks import PairKind, pair_support

        learner, problem, meta = self._served
        labels = histories.values - np.float32(self.about["centre"])
        if self.about["target"] == "click":
            labels = (histories.values > 0).astype(np.float32)
        n = self.about["n_user_features"]
        if not n:
            histories = replace(histories, features=None)
        elif histories.features is None:
            histories = replace(histories, features=sp.csr_array((len(histories), n)))
        kind = PairKind(sp.csr_array((0, 0)))
        support = pair_support(histories, labels, kind, self.about["n_item_features"])
        return learner.adapt(problem, meta, support), support.inputs

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
        settings = self.config.adapt or _USUAL.get(self.config.learner, {})
        learner: Learner = kind(kind.config_type.parse(settings))
        return learner

    def _problem(self, tables: dict[str, npt.NDArray[Any]]) -> Problem:
        import torch

        from warmstart.meta.learner import Problem
        from warmstart.meta.losses import log_loss, squared
        from warmstart.models.pair import PairScorer

        model = PairScorer(
            *(torch.from_numpy(np.asarray(tables[n], np.float32)) for n in _TABLES),
            hidden=self.config.hidden,
        )
        loss = squared if self.about["target"] == "rating" else log_loss
        return Problem.of(model, loss, block=self.config.block)

    @cached_property
    def _served(self) -> tuple[Learner, Problem, Params]:
        learner = self._learner()
        import torch

        with torch.random.fork_rng():
            problem = self._problem(self.arrays)
        problem.model.eval()
        meta = {
            n: torch.from_numpy(np.array(a, np.float32))
            for n, a in self.arrays.items()
            if n not in ("user_features", "item_features")
        }
        return learner, problem, meta


_TABLES = ("user_features", "item_features", "user_offset", "item_offset", "users", "items")
_USUAL: dict[str, dict[str, Any]] = {
    name: {"inner_steps": 3, "inner_lr": 0.1} for name in ("maml", "fomaml", "anil", "reptile")
} | {
    "meta-sgd": {"inner_steps": 2, "inner_lr": 0.1},
    "foma": {"inner_steps": 3, "inner_lr": 0.1},
    "amortised": {"hidden_dim": 64, "dropout": 0.1},
    "closed-form": {"prior_scale": 0.3, "noise": 0.5},
}


def _loss(learner: Learner, problem: Problem, meta: Params, tasks: Tasks) -> float:
    adapted = learner.adapt(problem, meta, tasks.support)
    return float(problem.losses(meta, adapted, tasks.query).detach().mean())


def _item_offset(labels: sp.csr_array, target: str, shrinkage: float) -> FloatArray:
    """Return (items,) the shrunken mean of ratings, or the log of the share of clicks."""
    n_items = labels.shape[1]
    counts = np.bincount(labels.indices, minlength=n_items)
    if target == "click":
        share = (counts + 1) / max(1, labels.shape[0])
        offset = np.log(share) - np.log(share.mean())
    else:
        sums = np.bincount(labels.indices, labels.data, minlength=n_items)
        offset = sums / np.maximum(counts + shrinkage, 1e-9)
    return np.asarray(offset, np.float32)


def _factors(
    labels: sp.csr_array, trained: IntArray, offset: FloatArray, dim: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return where the vectors of users and items start: a truncated SVD of what is left.

    Scaled so that a user's vector is of unit variance, with a row for the stranger on top; noise
    breaks the ties of everybody who is not in `trained`.
    """
    n_users, n_items = labels.shape
    vectors = [rng.normal(0, 0.03, (n + 1, dim)).astype(np.float32) for n in (n_users, n_items)]
    left = labels[trained].astype(np.float64)
    left.data = left.data - offset[left.indices]
    rank = min(dim, min(left.shape) - 1)
    if rank >= 1 and np.abs(left.data).sum() > 0:
        start = rng.normal(size=min(left.shape))
        u, s, vt = svds(left, k=rank, v0=start)
        vectors[0][1 + trained, :rank] += (u * np.sqrt(len(trained))).astype(np.float32)
        vectors[1][1:, :rank] += (vt.T * (s / np.sqrt(len(trained)))).astype(np.float32)
    return vectors[0], vectors[1]


def _table(features: sp.csr_array | None, n: int) -> FloatArray:
    """Return (1 + n, features) dense features under a first row that is not read."""
    if features is None:
        return np.zeros((n + 1, 0), np.float32)
    table = np.zeros((n + 1, features.shape[1]), np.float32)
    table[1:] = features.toarray()
    return table


def _export(
    meta: Mapping[str, Tensor], tables: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    fixed = {n: tables[n] for n in ("user_features", "item_features")}
    return fixed | {n: p.detach().numpy().copy() for n, p in meta.items()}
