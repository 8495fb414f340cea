"""One method for every learner: item vectors, and a meta-learned way to find a user's query.

Meta-training (torch) draws episodes of training users and gives the learner their gradients;
serving (NumPy) adapts with the same arithmetic and ranks the catalogue by one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field, field_validator

from warmstart.core import registry
from warmstart.core.config import Config
from warmstart.core.errors import MissingExtraError
from warmstart.core.room import longer
from warmstart.core.types import FloatArray, Histories, IntArray, Progress, State
from warmstart.data.content import Content
from warmstart.meta.episodes import Episodes, concatenated, draw_episodes
from warmstart.meta.settings import (
    AmortisedConfig,
    ClosedFormConfig,
    FOMAConfig,
    InnerConfig,
    OuterConfig,
    PolicyConfig,
)
from warmstart.recommenders.adapting import (
    PER_ITEM,
    Queries,
    by_amortisation,
    by_closed_form,
    by_descent,
)
from warmstart.recommenders.content import ContentMap, spread_by
from warmstart.recommenders.exams import mean_ndcg
from warmstart.recommenders.first_users import FirstUsers, hearing, lent

if TYPE_CHECKING:
    from torch import Tensor

    from warmstart.recommenders.exams import Exam

# the defaults of every learner are those that benchmarks/learners/search.py chose on validation
# users of MovieLens-1M, under one budget for all
_OUTER = OuterConfig(epochs=20, outer_lr=1e-2, weight_decay=1e-2)


_BLOCK = 1_024  # users adapted at once


class LearnedConfig(Config):
    """Settings that every learner has in common.

    Attributes:
        embedding_dim: width of item vectors and query vectors.
        max_shots: most likes in a few-shot episode.
        few_shot_share: share of few-shot episodes; the others draw over the whole profile.
        most_shots: most likes in any episode.
        dislike_share: share of episodes that show dislikes, where there are any.
        dislike: what a clear dislike weighs, against 1 for a like.
        shrinkage: of the losses, support's and query's alike; see `warmstart.meta.losses`.
        query_items: query items of one episode; of more, so many are drawn.
        popularity_prior: likes added to every item before popularity is measured.
        validation_fraction: share of the training users (at most 1,000) who choose the weights.
        outer: the outer loop.
        objective: the outer loss: "softmax" over the catalogue, or after it "ndcg" itself, by a
            policy gradient.
        policy: how that is estimated.
    """

    embedding_dim: int = Field(64, ge=1)
    max_shots: int = Field(20, ge=1)
    few_shot_share: float = Field(0.7, ge=0, le=1)
    most_shots: int = Field(60, ge=1)
    dislike_share: float = Field(0.5, ge=0, le=1)
    dislike: float = Field(0.3, ge=0)
    shrinkage: float = Field(10.0, ge=0)
    query_items: int = Field(64, ge=1)
    popularity_prior: float = Field(1.0, gt=0)
    validation_fraction: float = Field(0.05, gt=0, lt=1)
    outer: OuterConfig = _OUTER
    objective: Literal["softmax", "ndcg"] = "softmax"
    policy: PolicyConfig = PolicyConfig()


class Learned:
    """A query-vector scorer under one learner; the subclasses name it.

    Attributes:
        learner: its name under the entry point `warmstart.learners`.
        arrays: everything meta-learned, by name.
        content: how items without interactions borrow from the others, or None.
        first_users: how the first users of such an item are heard, or None.
        quality: nDCG@10 on validation users by number of shots.
    """

    learner: ClassVar[str]
    config_type: ClassVar[type[Config]]
    arrays: dict[str, npt.NDArray[Any]]
    content: ContentMap | None
    first_users: FirstUsers | None
    quality: dict[str, float]

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or self.config_type()

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
            data: training rows; users with fewer than two likes are left out.
            seed: the same seed gives the same model.
            progress: told how far training has come.
            checkpoint: folder to keep the training in, and to continue it from.

        Raises:
            DivergedError: an inner loop ran away.
            MissingExtraError: torch is not installed.
        """
        kept = None
        if checkpoint is not None:
            from warmstart.recommenders.checkpoint import open_checkpoint

            kept = open_checkpoint(checkpoint, data.fingerprint, self.config.model_dump(), seed)
        try:
            from warmstart.recommenders.query_training import train_queries

            learner = registry.lookup("learners", self.learner)(self.config.adapt)
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", extra="train") from None
        meta, self.quality = train_queries(
            learner,
            data.evidence(),
            data.user_matrix,
            self.config,
            scorer=self._scorer_settings(),
            episodes=self._episodes,
            quality=self._quality,
            seed=seed,
            name=self.learner,
            name_of=lambda user: f"user {data.users[user]!r}",
            progress=progress,
            checkpoint=kept,
        )
        self.arrays = self._export(meta)
        likes = data.positives()
        self.content = ContentMap.learn(data.content, likes, seed=seed)
        unmet = np.flatnonzero(np.bincount(likes.indices, minlength=data.n_items) == 0)
        if len(unmet) and self.content is not None:
            content = {n: block.take(unmet) for n, block in data.content.items()}
            self._spread(unmet, self.content.lend(content))
        self.first_users = FirstUsers.learn(self.content, likes, self.score, seed=seed)
        return self

    def adapt(self, histories: Histories) -> Queries:
        """Return the query vectors of users, new or not."""
        raise NotImplementedError

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) scores."""
        out = np.empty((len(histories), len(self.arrays["bias"])), np.float32)
        for start in range(0, len(histories), _BLOCK):
            users = np.arange(start, min(start + _BLOCK, len(histories)))
            out[users] = self.adapt(histories.take(users)).scores(self.arrays)
        return out

    def item_vectors(self) -> FloatArray:
        """Return (items, dim) vectors whose cosine says how alike two items are."""
        vectors: FloatArray = self.arrays["items"]
        return vectors

    def with_items(self, content: Content, n_new: int) -> Self:
        """Return the method for a catalogue with `n_new` more items, known by content alone."""
        grown = self._copy()
        n_old = len(self.arrays["bias"])
        for name in PER_ITEM:
            if name in self.arrays:
                old = self.arrays[name]
                grown.arrays[name] = longer(old, n_new)
                if name == "bias":
                    grown.arrays[name][n_old:] = old.min()
        if self.content is not None:
            grown.content = self.content.grown(content, n_new)
            if any(block.known.any() for block in content.values()):
                new = np.arange(n_old, n_old + n_new)
                grown._spread(new, self.content.lend(content), in_place=True)
        if self.first_users is not None:
            grown.first_users = self.first_users.grown(n_new)
        return grown

    def with_content(self, content: Content, items: IntArray) -> Self:
        """Return the method with other content of some items; unmet ones are placed by it."""
        if self.content is None:
            return self
        changed = self._copy()
        changed.content = self.content.changed(content, items)
        unmet = changed.content.unmet(items)
        if len(unmet):
            changed._spread(unmet, lent(unmet, changed.content, changed.first_users))
        return changed

    def with_first_users(self, likes: sp.csr_array, items: IntArray) -> Self:
        """Return the method with unmet items placed by their first users, too."""
        heard = hearing(self.first_users)
        warmed = self._copy()
        warmed.first_users = heard.heard(items, likes)
        warmed._spread(items, warmed.first_users.lend(items, self.content))
        return warmed

    def report(self) -> dict[str, Any]:
        """Return nDCG@10 on validation users by number of shots."""
        return {"quality": self.quality}

    def state(self) -> State:
        """Return everything meta-learned."""
        arrays = dict(self.arrays)
        meta = {"config": self.config.model_dump(mode="json"), "quality": self.quality}
        if self.content is not None:
            arrays |= self.content.arrays()
            meta["content"] = self.content.about()
        if self.first_users is not None:
            arrays |= self.first_users.arrays()
            meta["first_users"] = self.first_users.about()
        return State(arrays, meta)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from what was meta-learned; needs NumPy alone."""
        method = cls(cls.config_type.parse(state.meta["config"]))
        method.content = ContentMap.restored(state.meta.get("content"), state.arrays)
        others = ("content.", "first_users.")
        method.arrays = {n: a for n, a in state.arrays.items() if not n.startswith(others)}
        method.first_users = FirstUsers.restored(
            state.meta.get("first_users"), state.arrays, len(method.arrays["bias"])
        )
        method.quality = state.meta["quality"]
        return method

    def _spread(self, new: IntArray, smoother: FloatArray, *, in_place: bool = False) -> None:
        lender = self.content or self.first_users
        assert lender is not None
        spread = partial(spread_by, smoother, lender.lenders, new, in_place=in_place)
        for name in PER_ITEM:
            if name in self.arrays:
                self.arrays[name] = spread(self.arrays[name]).astype(np.float32, copy=False)

    def _copy(self) -> Self:
        """Return a method with the same arrays, to change some."""
        other = type(self)(self.config)
        other.quality, other.arrays = self.quality, dict(self.arrays)
        other.content, other.first_users = self.content, self.first_users
        return other

    def _scorer_settings(self) -> dict[str, Any]:
        return {"embedding_dim": self.config.embedding_dim}

    def _episodes(
        self,
        evidence: sp.csr_array,
        users: IntArray,
        rng: np.random.Generator,
        **drawing: Any,  # noqa: ANN401  (what `draw_episodes` takes)
    ) -> tuple[Episodes, IntArray | None]:
        """Return an episode of each user, and its kind; one kind unless a learner knows more."""
        return draw_episodes(evidence, users, rng, **drawing), None

    def _quality(self, meta: Mapping[str, Tensor], exams: dict[int, Exam]) -> dict[str, float]:
        """Return nDCG@10 by number of shots with these meta-parameters."""
        candidate = type(self)(self.config)
        candidate.arrays = self._export(meta)
        return {
            str(k): mean_ndcg(candidate.score(support), support, query)
            for k, (_, support, query) in exams.items()
        }

    def _export(self, meta: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
        return {n: p.detach().numpy().copy() for n, p in meta.items()}


class _Descending(Learned):
    """A learner whose inner loop is gradient descent."""

    moved: ClassVar[tuple[str, ...]] = ("query", "trust", "map")

    def adapt(self, histories: Histories) -> Queries:
        """Return the query vectors after the inner steps."""
        c = self.config
        return by_descent(
            self.arrays,
            histories,
            dislike=c.dislike,
            shrinkage=c.shrinkage,
            steps=c.adapt.inner_steps,
        )

    def _export(self, meta: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
        arrays = super()._export(meta)
        for name in self.moved:
            arrays.setdefault(f"step_size/{name}", np.array(self.config.adapt.inner_lr, np.float32))
        return arrays


class MAMLConfig(LearnedConfig):
    """Settings of a learner with an inner loop of gradient steps.

    Attributes:
        adapt: the inner loop.
    """

    adapt: InnerConfig = InnerConfig(inner_steps=5, inner_lr=0.3)


class FOMAMLConfig(MAMLConfig):
    """Settings of FOMAML."""

    adapt: InnerConfig = InnerConfig(inner_steps=3, inner_lr=1.0)


class MetaSGDConfig(MAMLConfig):
    """Settings of Meta-SGD."""

    adapt: InnerConfig = InnerConfig(inner_steps=1, inner_lr=0.5)


class MAML(_Descending):
    """MAML of second order over query, trust and map."""

    learner: ClassVar[str] = "maml"
    config_type: ClassVar[type[Config]] = MAMLConfig


class FOMAML(_Descending):
    """MAML of first order."""

    learner: ClassVar[str] = "fomaml"
    config_type: ClassVar[type[Config]] = FOMAMLConfig


class ReptileConfig(MAMLConfig):
    """Settings of Reptile, which has no outer loss to exchange."""

    @field_validator("objective")
    @classmethod
    def _no_outer_loss(cls, objective: str) -> str:
        if objective != "softmax":
            raise ValueError("reptile follows its inner loop, not an outer loss; choose softmax")
        return objective


class Reptile(_Descending):
    """Reptile over query, trust and map."""

    learner: ClassVar[str] = "reptile"
    config_type: ClassVar[type[Config]] = ReptileConfig


class ANIL(_Descending):
    """MAML of second order over query and trust alone."""

    learner: ClassVar[str] = "anil"
    config_type: ClassVar[type[Config]] = MAMLConfig
    moved: ClassVar[tuple[str, ...]] = ("query", "trust")


class MetaSGD(_Descending):
    """MAML with learned step sizes."""

    learner: ClassVar[str] = "meta-sgd"
    config_type: ClassVar[type[Config]] = MetaSGDConfig
    moved: ClassVar[tuple[str, ...]] = ()


class FOMASettings(LearnedConfig):
    """Settings of FOMA.

    Attributes:
        adapt: the inner loop; two kinds of tasks, what a user likes and what a user meets.
        meeting_share: share of the episodes that predict what a user meets, liked or not.
    """

    adapt: FOMAConfig = FOMAConfig(inner_steps=3, inner_lr=0.5, kinds=2)
    meeting_share: float = Field(0.3, ge=0, lt=1)

    @field_validator("adapt")
    @classmethod
    def _two_kinds(cls, adapt: FOMAConfig) -> FOMAConfig:
        return adapt.model_copy(update={"kinds": 2})


class FOMA(_Descending):
    """FOMA over two kinds of tasks of the same users: what they like, and what they meet."""

    learner: ClassVar[str] = "foma"
    config_type: ClassVar[type[Config]] = FOMASettings
    moved: ClassVar[tuple[str, ...]] = ()

    def _episodes(
        self,
        evidence: sp.csr_array,
        users: IntArray,
        rng: np.random.Generator,
        **drawing: Any,  # noqa: ANN401  (what `draw_episodes` takes)
    ) -> tuple[Episodes, IntArray | None]:
        """Return episodes of likes (kind 0), and for some users of whatever they met (kind 1)."""
        n_met = round(self.config.meeting_share * len(users))
        if not n_met or not (evidence.data < 0).any():
            return super()._episodes(evidence, users, rng, **drawing)
        liking, meeting = users[:-n_met], users[-n_met:]
        met = evidence[meeting]
        met.data = np.ones_like(met.data)
        known = drawing.pop("features")
        own = None if known is None else known[meeting]
        episodes = concatenated(
            draw_episodes(evidence, liking, rng, features=known, **drawing),
            draw_episodes(met, np.arange(n_met), rng, features=own, **drawing),
        )
        return episodes, np.repeat([0, 1], [len(liking), n_met])


class AmortisedSettings(LearnedConfig):
    """Settings of the amortised learner.

    Attributes:
        adapt: the network that reads supports.
    """

    adapt: AmortisedConfig = AmortisedConfig()
    outer: OuterConfig = _OUTER.model_copy(update={"outer_lr": 5e-3})


class Amortised(Learned):
    """A network reads the support and writes the query."""

    learner: ClassVar[str] = "amortised"
    config_type: ClassVar[type[Config]] = AmortisedSettings

    def adapt(self, histories: Histories) -> Queries:
        """Return the query vectors that the network writes."""
        return by_amortisation(self.arrays, histories, dislike=self.config.dislike)

    def _scorer_settings(self) -> dict[str, Any]:
        return super()._scorer_settings() | {"code_dim": self.config.adapt.hidden_dim}


class ClosedFormSettings(LearnedConfig):
    """Settings of the closed form.

    Attributes:
        adapt: where its prior starts.
    """

    adapt: ClosedFormConfig = ClosedFormConfig()
    outer: OuterConfig = _OUTER.model_copy(update={"weight_decay": 0.1})


class ClosedForm(Learned):
    """Bayesian linear regression on the item vectors, trained through the solve."""

    learner: ClassVar[str] = "closed-form"
    config_type: ClassVar[type[Config]] = ClosedFormSettings

    def adapt(self, histories: Histories) -> Queries:
        """Return the posterior means."""
        return by_closed_form(self.arrays, histories, dislike=self.config.dislike)
