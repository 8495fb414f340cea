"""The default method: adapt only a query vector, and add a handful of sparse rows.

    score = g₁(k) · encoder + g₂(k) · popularity + Σ g(k) · closed form + Σ g(k) · memory

- the encoder, meta-trained on episodes, turns features and a few events into a query vector;
- the closed form conditions a Gaussian belief about users on those events;
- the memories sum a few hundred item–item weights per event;
- the gates g(k) have learned, on users held out of all of these, whom to trust at k shots.

Nothing is trained for a new user, and the whole catalogue is ranked exactly. A like counts 1
however strong it was: which films somebody chose to rate highly says more than how highly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.core.types import FloatArray, Histories, IntArray, Progress, State
from warmstart.data.content import Content
from warmstart.index.approximate import ApproximateConfig
from warmstart.meta.belief import observation_weights, posterior
from warmstart.recommenders.content import ContentMap, spread
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.first_users import FirstUsers, hearing, lent
from warmstart.recommenders.gates import Gates
from warmstart.recommenders.lent import learn_lent_gates
from warmstart.recommenders.near import Near
from warmstart.recommenders.onboarding.knowledge import Knowledge
from warmstart.recommenders.parts import FIRST_CLOSED, Parts
from warmstart.recommenders.remedies import Strength, prices
from warmstart.recommenders.scorer import Scorer, plainly
from warmstart.recommenders.trust import UNLEARNED
from warmstart.recommenders.words import MOST_TOPICS

_ONBOARDING = "onboarding."  # before the names of its arrays

_MOST_GROUPS = 12  # values of a column of the users that are groups unless it is named


class Default:
    """Amortised prior, closed-form correction, item–item memory and learned gates.

    Attributes:
        parts: everything fitted that scores the catalogue.
        gates: how much each part counts at each number of shots.
        trust: how much taste counts beside what the user asks for in words.
        content: how items without interactions borrow from the others, or None.
        first_users: how the first users of such an item are heard, or None.
        lent_gates: how much a user's likes lend to such items directly, and where these stand among
            the known ones, or None.
        new: indices of the items that came after training.
        quality: nDCG@10 on held-out training users, by number of shots.
        price: what the remedies at scoring cost these users, without and with them.
        onboarding: what was learned about asking new users, or None.
        scorer: the parts and gates, laid out.
        near: the approximate index that finds candidates, or None where all items are ranked.
        scores_by: what makes the scorer: `Scorer`, or its compiled twin.
    """

    config_type: ClassVar[type[Config]] = DefaultConfig
    parts: Parts
    gates: Gates
    trust: Gates
    content: ContentMap | None
    first_users: FirstUsers | None
    lent_gates: Gates | None
    new: IntArray
    quality: list[dict[str, Any]]
    price: dict[str, list[dict[str, Any]]]
    onboarding: Knowledge | None
    scorer: Scorer
    near: Near | None
    scores_by: type[Scorer]

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = config or DefaultConfig()
        self.held: Sequence[tuple[Parts, IntArray]] = ()
        self.new, self.near, self.scores_by = np.zeros(0, np.int64), None, Scorer
        self.price = {}

    def fit(
        self,
        data: Any,  # noqa: ANN401  (a `warmstart.data.Dataset`)
        *,
        seed: int = 0,
        progress: Progress | None = None,
        checkpoint: Path | None = None,
        keep_folds: bool = False,
    ) -> Self:
        """Meta-train on a `warmstart.data.Dataset`.

        Args:
            data: training rows; users without any are left out.
            seed: the same seed gives the same model.
            progress: told how far training has come.
            checkpoint: folder to keep the encoders' training in; if it holds a training of the
                same data, settings and seed, that is continued.
            keep_folds: whether to keep the parts of every fold, for `borrowing`.

        Raises:
            ConfigError: `checkpoint` holds another training.
            MissingExtraError: torch is not installed.
        """
        from warmstart.recommenders.checkpoint import open_checkpoint
        from warmstart.recommenders.onboarding.learning import learn_onboarding
        from warmstart.recommenders.onboarding.ratings import training_ratings
        from warmstart.recommenders.training import meta_train_default

        kept = None
        if checkpoint is not None:
            kept = open_checkpoint(checkpoint, data.fingerprint, self.config.model_dump(), seed)
        likes = data.positives()
        self.content = ContentMap.learn(data.content, likes, seed=seed)
        likeness = None
        if self.content is not None and len(self.content.lenders) <= self.config.likeness_items:
            likeness = self.content.likeness(self.config.memory.neighbours)
        trained = meta_train_default(
            plain(data.evidence()),
            data.user_matrix,
            _times(data),
            self.config,
            seed=seed,
            likeness=likeness,
            topics=_topics(data.content),
            groups=_groups(data, self.config),
            progress=progress,
            checkpoint=kept,
        )
        self.parts, self.gates, self.quality = trained.parts, trained.gates, trained.quality
        self.trust, self.held = trained.trust, trained.held if keep_folds else ()
        unmet = np.flatnonzero(np.bincount(likes.indices, minlength=data.n_items) == 0)
        self.first_users, self.onboarding = None, None
        self.lent_gates = self._learned_lent_gates(likes, trained.held, seed)
        if len(unmet) and self.content is not None:
            content = {name: block.take(unmet) for name, block in data.content.items()}
            self.parts = self._borrowed(self.parts, unmet, content)
        self._lay_out()
        if self.config.popularity_penalty:
            features = data.user_matrix
            self.price = {
                name: self.priced(settings, trained.held, likes, features, seed)
                for name, settings in (("without", {"popularity_penalty": 0.0}), ("with", {}))
            }
        plainly = self.adjusted(popularity_penalty=0.0, cold_norm=0.0)
        self.first_users = FirstUsers.learn(self.content, likes, plainly.score, seed=seed)
        self.onboarding = learn_onboarding(
            training_ratings(data),
            data.schema.evidence.values,
            self.config.onboarding,
            seed=seed,
            progress=progress,
        )
        return self

    def borrowing(
        self, content: ContentMap, items: IntArray, own: Content, likes: sp.csr_array
    ) -> Default:
        """Return a model in which some items are new, and placed by another map of their content.

        Args:
            content: the map.
            items: (items,) which; their own likes are no longer heard.
            own: their content.
            likes: (users, items) what the model was trained on, with `keep_folds`.
        """
        other = self._copy()
        other.content, other.first_users, other.new = content, None, items
        other.lent_gates = other._learned_lent_gates(likes, self.held, 0)
        other.parts = other._borrowed(self.parts, items, own)
        other._lay_out()
        return other

    def adjusted(
        self, *, popularity_penalty: Strength | None = None, cold_norm: float | None = None
    ) -> Default:
        """Return a model with other remedies at scoring; nothing is trained.

        Args:
            popularity_penalty: as in the settings; None leaves it.
            cold_norm: as in the settings; None leaves it.

        Raises:
            ConfigError: a value is out of range.
        """
        given = {"popularity_penalty": popularity_penalty, "cold_norm": cold_norm}
        changed = {name: value for name, value in given.items() if value is not None}
        if all(getattr(self.config, name) == value for name, value in changed.items()):
            return self
        other = self._copy()
        other.config = DefaultConfig.parse(self.config.model_dump() | changed)
        other._lay_out(centre=self.scorer.centre)
        return other

    def priced(
        self,
        settings: dict[str, Any],
        held: Sequence[tuple[Parts, IntArray]],
        likes: sp.csr_array,
        features: sp.csr_array | None,
        seed: int,
        shots: Sequence[int] = (0, 5, 20),
    ) -> list[dict[str, Any]]:
        """Return what settings of `adjusted` cost users whom the parts of a fold have not seen.

        Args:
            settings: of scoring.
            held: parts of each fold, and users whom they have not seen.
            likes: (users, items) of the training users.
            features: (users, user features) or None.
            seed: of what the users show.
            shots: numbers of shots.
        """
        models = [(self.of_fold(parts).adjusted(**settings).score, users) for parts, users in held]
        return prices(models, likes, features, shots, seed=seed)

    def of_fold(self, parts: Parts) -> Default:
        """Return the model of one fold: its parts under the gates of all."""
        other = self._copy()
        other.parts, other.lent_gates, other.content = parts, None, None
        other._lay_out()
        return other

    def score(self, histories: Histories) -> FloatArray:
        """Return (users, items) scores."""
        return self.scorer.score(histories)

    def top_k(
        self, histories: Histories, k: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Return the `k` best unseen items of each user and their scores.

        Args:
            histories: whom to recommend to.
            k: length of the lists.
            allowed: (items,) which items may be returned; None for all.
        """
        if self.near is not None and len(histories):
            found = self.near.top_k(self.scorer, plainly(histories), k, allowed)
            if found is not None:
                return found
        return self.scorer.top_k(histories, k, allowed)

    def approximated(self, config: ApproximateConfig | None = None) -> Default:
        """Return a model that finds candidates by an approximate index, and ranks them exactly.

        Where the covariance is kept whole, the catalogue is so small that all of it is ranked
        sooner, and nothing changes.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        if isinstance(self.parts.belief.covariance, np.ndarray):
            return self
        other = self._copy()
        other._lay_out(self)
        other.near = Near.of(other.scorer, config)
        return other

    def compiled(self) -> Default:
        """Return a model that ranks by compiled loops; they are compiled or fetched now.

        Raises:
            MissingExtraError: numba is not installed.
        """
        other = self._copy()
        try:
            other.scores_by = import_module("warmstart.recommenders.compiled").CompiledScorer
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "numba":
                raise
            raise MissingExtraError("numba", extra="compiled") from None
        other._lay_out(self)
        return other

    def item_vectors(self) -> FloatArray:
        """Return (items, dimensions) vectors whose cosine says how alike two items are."""
        if self.parts.encoder is not None:
            return self.parts.encoder.items
        dense = self.parts.belief.covariance
        return dense if isinstance(dense, np.ndarray) else dense.toarray()

    def posterior(self, histories: Histories) -> tuple[FloatArray, FloatArray]:
        """Return (users, items) mean and standard deviation of the closed form's belief."""
        return posterior(plainly(histories), self.parts.belief, self.parts.closed_form)

    def contributions(self, histories: Histories, items: IntArray) -> FloatArray:
        """Return (items, events): how much each event of one user speaks for each item.

        Only the closed form and the memories take a score apart by event; the encoder's share is
        not split.
        """
        events = plainly(histories)
        gate, scales = self.gates.at(events.shots)[0], self.parts.scales
        after = FIRST_CLOSED + len(self.parts.powers)
        alpha = observation_weights(events, self.parts.belief, self.parts.closed_form)
        alpha_of = alpha.toarray()[0][events.items]
        dense = self.parts.belief.covariance[events.items][:, items]
        if not isinstance(dense, np.ndarray):
            dense = dense.toarray()
        tempered = (gate[FIRST_CLOSED:after] / scales[FIRST_CLOSED:after]) @ self.scorer.tempering[
            :, items
        ]
        out = alpha_of[:, None] * dense * tempered
        said = self.parts.remembered(events).toarray()[0][events.items]
        for column, memory in enumerate(self.parts.memories.values(), start=after):
            weights = memory[events.items][:, items].toarray()
            out = out + gate[column] / scales[column] * said[:, None] * weights
        return np.asarray(out.T, np.float32)

    def with_items(self, content: Content, n_new: int) -> Default:
        """Return a model whose catalogue has `n_new` more items, known by their content alone.

        Args:
            content: of the new items, by the blocks of the training.
            n_new: how many.
        """
        grown, smoother = self._copy(), None
        n_old = len(self.parts.log_popularity)
        grown.new = np.concatenate([self.new, np.arange(n_old, n_old + n_new)])
        if self.content is not None:  # first, for it refuses what does not fit
            grown.content = self.content.grown(content, n_new)
            if any(block.known.any() for block in content.values()):
                smoother = self.content.lend(content)
        grown.parts = self.parts.grown(n_new)
        if self.content is not None and smoother is not None:
            grown.parts = spread(
                grown.parts,
                smoother,
                self.content.lenders,
                n_old + np.arange(n_new),
                neighbours=self.config.memory.neighbours,
                appended=True,
            )
        if self.first_users is not None:
            grown.first_users = self.first_users.grown(n_new)
        if self.onboarding is not None:
            grown.onboarding = self.onboarding.grown(n_new)
        grown._lay_out(self)
        return grown

    def with_content(self, content: Content, items: IntArray) -> Default:
        """Return a model that knows other content of some items; unmet ones are placed by it."""
        if self.content is None:
            return self
        changed = self._copy()
        changed.content = self.content.changed(content, items)
        return changed._placed(changed.content.unmet(items))

    def with_first_users(self, likes: sp.csr_array, items: IntArray) -> Default:
        """Return a model in which unmet items are placed by their first users, too.

        Args:
            likes: (users, items) what these users like, of the new items and of the others.
            items: (items,) which are new.

        Raises:
            ConfigError: the model has not learned to hear them.
        """
        heard = hearing(self.first_users)
        warmed = self._copy()
        warmed.first_users = heard.heard(items, likes)
        return warmed._placed(items)

    def report(self) -> dict[str, Any]:
        """Return what the gates have learned, and nDCG@10 on held-out training users."""
        gates = {
            f"{shots:g}": dict(zip(self.parts.names, map(float, weights), strict=True))
            for shots, weights in zip(self.gates.shots, self.gates.weights, strict=True)
        }
        content = None if self.content is None else self.content.about()
        heard = None if self.first_users is None else self.first_users.about()
        found = {"quality": self.quality, "gates": gates, "content": content}
        return found | {"first_users": heard, "price": self.price}

    def state(self) -> State:
        """Return the arrays and settings to serve from."""
        arrays = {**self.parts.arrays(), "gate_shots": self.gates.shots}
        arrays |= {"gate_weights": self.gates.weights, "centre": self.scorer.centre}
        arrays["new_items"] = self.new
        if self.lent_gates is not None:
            gates = self.lent_gates
            arrays |= {"placing_shots": gates.shots, "placing_weights": gates.weights}
        arrays |= {"trust_shots": self.trust.shots, "trust_weights": self.trust.weights}
        meta = {
            "config": self.config.model_dump(mode="json"),
            "memories": list(self.parts.memories),
            "quality": self.quality,
            "price": self.price,
        }
        if self.onboarding is not None:
            own = self.onboarding.arrays()
            arrays |= {f"{_ONBOARDING}{name}": array for name, array in own.items()}
        if self.content is not None:
            arrays |= self.content.arrays()
            meta["content"] = self.content.about()
        if self.first_users is not None:
            arrays |= self.first_users.arrays()
            meta["first_users"] = self.first_users.about()
        return State(arrays, meta)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild from `state`; needs no torch."""
        method = cls(DefaultConfig.parse(state.meta["config"]))
        config, arrays = method.config, state.arrays
        method.parts = Parts.from_arrays(
            arrays,
            state.meta["memories"],
            closed_form=config.closed_form,
            powers=config.powers,
            dislike=config.memory_dislike,
        )
        method.gates = Gates(arrays["gate_shots"], arrays["gate_weights"])
        method.lent_gates, method.new = None, arrays.get("new_items", method.new)
        if "placing_shots" in arrays:
            method.lent_gates = Gates(arrays["placing_shots"], arrays["placing_weights"])
        method.trust = UNLEARNED
        if "trust_shots" in arrays:  # models saved before wishes were heard have none
            method.trust = Gates(arrays["trust_shots"], arrays["trust_weights"])
        method.content = ContentMap.restored(state.meta.get("content"), arrays)
        method.first_users = FirstUsers.restored(
            state.meta.get("first_users"), arrays, len(method.parts.log_popularity)
        )
        method.quality, method.price = state.meta["quality"], state.meta.get("price", {})
        asking = {
            name.removeprefix(_ONBOARDING): array
            for name, array in arrays.items()
            if name.startswith(_ONBOARDING)
        }
        method.onboarding = Knowledge.from_arrays(asking) if asking else None
        method._lay_out(centre=arrays.get("centre"))
        return method

    def _copy(self) -> Default:
        """Return a model with the same parts, to change some."""
        other = Default(self.config)
        other.parts, other.gates, other.quality = self.parts, self.gates, self.quality
        other.price = self.price
        other.trust, other.lent_gates = self.trust, self.lent_gates
        other.content, other.first_users = self.content, self.first_users
        other.new, other.onboarding, other.near = self.new, self.onboarding, self.near
        other.scores_by = self.scores_by
        other.scorer = self.scorer
        return other

    def _lay_out(self, before: Default | None = None, centre: FloatArray | None = None) -> None:
        """Make the scorer of what is fitted; see there."""
        self.scorer = self.scores_by(
            self.parts,
            self.gates,
            self.config,
            lent_gates=self.lent_gates,
            new=self.new,
            before=None if before is None else before.scorer,
            centre=centre,
        )
        self.parts = self.scorer.parts
        if self.scores_by is not Scorer:
            self._warm()

    def _warm(self) -> None:
        """Rank somebody alone and some at once, so that nothing is compiled under a request.

        Loops are compiled for the types of what they are given, down to how it lies in memory.
        """
        shots = np.minimum(self.gates.shots, len(self.parts.log_popularity)).astype(np.int64)
        items = np.concatenate([np.arange(n, dtype=np.int32) for n in shots])
        ends = np.append(0, np.cumsum(shots))  # each gate is open at one of these
        everybody = Histories(ends, items, np.ones(len(items), np.float32))
        for some in (everybody, everybody.take(np.array([len(shots) - 1]))):
            self.scorer.top_k(some, 1, None)

    def _learned_lent_gates(
        self, likes: sp.csr_array, held: Sequence[tuple[Parts, IntArray]], seed: int
    ) -> Gates | None:
        if self.content is None or not held:
            return None

        def placed(
            parts: Parts, smoother: FloatArray, lenders: IntArray, cold: IntArray
        ) -> Callable[[Histories], FloatArray]:
            plainly = self.config.model_copy(update={"popularity_penalty": 0.0, "cold_norm": 0.0})
            other, kept = Default(plainly), plainly.memory.neighbours
            other.gates, other.lent_gates = self.gates, None
            other.parts = spread(parts, smoother, lenders, cold, neighbours=kept)
            other._lay_out()
            return other.score

        models = [(partial(placed, parts), users) for parts, users in held]
        return learn_lent_gates(self.content, likes, models, seed=seed)

    def _placed(self, unmet: IntArray) -> Default:
        """Place unmet items by what is known of them now, in this very model, and return it."""
        if len(unmet):
            kept, lender = self.config.memory.neighbours, self.first_users or self.content
            assert lender is not None
            smoother = lent(unmet, self.content, self.first_users)
            self.near = self.near and self.near.without(unmet)
            self.parts = spread(self.parts, smoother, lender.lenders, unmet, neighbours=kept)
        self._lay_out(centre=self.scorer.centre)
        return self

    def _borrowed(self, parts: Parts, new: IntArray, content: Content) -> Parts:
        assert self.content is not None
        kept = self.config.memory.neighbours
        return self.content.borrow(parts, new, content, neighbours=kept)


def plain(evidence: sp.csr_array) -> sp.csr_array:
    """Return evidence in which every like is 1; dislikes keep their strength."""
    out = evidence.copy()
    out.data = np.where(out.data > 0, np.float32(1), out.data)
    return out


def _topics(content: Content) -> list[sp.csr_array]:
    """Return the columns of categories that are few enough to be asked for."""
    return [
        block.values
        for block in content.values()
        if sp.issparse(block.values) and 1 < block.dim <= MOST_TOPICS
    ]


def _groups(data: Any, config: DefaultConfig) -> sp.csr_array | None:  # noqa: ANN401
    """Return the (users, groups) membership that group-aware training balances, or None.

    Raises:
        ConfigError: a column is not among the features of the users, or there is none to balance.
    """
    if not config.group_tilt:
        return None
    blocks = () if data.user_features is None else data.user_features.blocks
    of_column, start = {}, 0
    for block in blocks:
        of_column[block.column] = np.arange(start, start + len(block.names))
        start += len(block.names)
    natural = [c for c, at in of_column.items() if 2 <= len(at) <= _MOST_GROUPS]
    chosen = config.group_columns or natural
    unknown = [c for c in chosen if c not in of_column]
    if unknown or not chosen:
        raise ConfigError(
            f"group_tilt={config.group_tilt:g} needs groups of users, and "
            + (f"there is no user column {unknown[0]!r}" if unknown else "no user column has two")
            + f"; the columns are: {', '.join(of_column) or 'none'}"
        )
    return sp.csr_array(data.user_matrix[:, np.concatenate([of_column[c] for c in chosen])])


def _times(data: Any) -> sp.csr_array | None:  # noqa: ANN401
    """Return the (users, items) times of `data.evidence()`'s entries, in the same places."""
    pairs = data.pairs
    if pairs.time is None:
        return None
    shape = (data.n_users, data.n_items)
    times = sp.csr_array((pairs.time, (pairs.user, pairs.item)), shape=shape)
    times.sort_indices()
    return times
