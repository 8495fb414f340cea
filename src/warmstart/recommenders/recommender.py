"""The public face: fit on a dataset, then recommend to users whom nobody has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from warmstart.core import registry
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, Histories, Progress
from warmstart.data import Dataset
from warmstart.data.known import KnownIds
from warmstart.index import top_k
from warmstart.index.approximate import ApproximateConfig
from warmstart.meta.exploring import checked_share
from warmstart.recommenders import changing
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.checkpoint import can_resume
from warmstart.recommenders.encoding import trusted
from warmstart.recommenders.filters import Filter, Mask
from warmstart.recommenders.fitted import Fitted, with_barred
from warmstart.recommenders.history import Entry, as_histories, read_history
from warmstart.recommenders.lists import Lists, Recommendation, numbered, with_propensities
from warmstart.recommenders.named import registered_name, with_learner
from warmstart.recommenders.new_users import read_new_users
from warmstart.recommenders.onboarding.asking import Question, next_question
from warmstart.recommenders.onboarding.simulation import Simulation, simulate_file
from warmstart.recommenders.progress import progress_bar
from warmstart.recommenders.protocols import HasItemVectors
from warmstart.recommenders.reasons import reasons
from warmstart.recommenders.rules import Rules


class Recommender:
    """A method by name, a catalogue, and everything between people and dense indices.

    Example:
        >>> from warmstart.data import Dataset
        >>> rows = {"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]}
        >>> model = Recommender("itemknn").fit(Dataset.from_tables(rows))
        >>> [(r.item, r.rank) for r in model.recommend(["b"], k=2)]
        [('a', 1), ('c', 2)]
    """

    def __init__(
        self,
        method: str | Any = "default",  # noqa: ANN401  (a name, or a Method)
        *,
        learner: str | None = None,
        config: Config | Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        """Choose a method.

        Args:
            method: a name registered under `warmstart.methods`, or a method itself.
            learner: name of a meta-learner, such as "maml", to find query vectors with; together
                with `method="pair"`, to adapt the network over user and item with.
            config: the method's settings, as its settings class or as plain values.
            seed: the same seed, data and settings give the same model.

        Raises:
            ConfigError: an unknown method, learner or setting, or a seed below 0.
        """
        if learner is not None:
            method, config = with_learner(method, learner, config)
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
            raise ConfigError(f"seed must be a whole number of at least 0, got {seed!r}")
        if isinstance(method, str):
            self.name, kind = method, registry.lookup("methods", method)
            if isinstance(config, Mapping):
                config = kind.config_type.parse(dict(config))
            self._method = kind(config)
        else:
            if config is not None:
                raise ConfigError("give the settings to the method itself, or name the method")
            self.name, self._method = registered_name(method), method
        self.seed = int(seed)
        self._fitted: Fitted | None = None

    @property
    def config(self) -> Config:
        """The method's settings."""
        return self._method.config  # type: ignore[no-any-return]

    @property
    def method(self) -> Any:  # noqa: ANN401  (a Method)
        """The method, fitted or not; after `add_items`, the one that knows the new items."""
        return self._method if self._fitted is None else self._fitted.method

    @property
    def fitted(self) -> Fitted:
        """What was fitted.

        Raises:
            ConfigError: nothing yet.
        """
        if self._fitted is None:
            raise ConfigError("the recommender is not fitted; call fit(data), or load a saved one")
        return self._fitted

    @property
    def catalogue(self) -> Catalogue:
        """The items that are recommended."""
        return self.fitted.catalogue

    def fit(
        self,
        data: Dataset,
        *,
        progress: bool | Progress | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn from a dataset.

        Args:
            data: its training rows are what is learned from.
            progress: None shows a bar where stderr is a terminal, True always, False never; or
                a callable `(done, total, message)`.
            checkpoint: folder in which a method that can be resumed keeps what it has got so
                far, and from which it goes on; other methods leave it alone.

        Raises:
            ConfigError: the settings do not fit the data.
            MissingExtraError: the method needs an extra that is not installed.
        """
        extra: dict[str, Any] = {}
        if checkpoint is not None and can_resume(self._method):
            extra["checkpoint"] = Path(checkpoint)
        if callable(progress):
            method = self._method.fit(data, seed=self.seed, progress=progress, **extra)
        else:
            with progress_bar(f"training {self.name}", show=progress) as bar:
                method = self._method.fit(data, seed=self.seed, progress=bar, **extra)
        self._method = method
        origin = {
            "dataset": data.name,
            "fingerprint": data.fingerprint,
            "n_users": data.n_users,
            "n_items": data.n_items,
            "n_interactions": len(data.interactions),
        }
        met = KnownIds.of(data.users.take(np.unique(data.interactions.user)))
        self._fitted = Fitted(method, Catalogue.of(data), origin, met)
        return self

    def recommend(
        self,
        history: Iterable[Entry] = (),
        *,
        text: str | None = None,
        user: Mapping[str, Any] | None = None,
        dislikes: Iterable[Entry] = (),
        k: int = 10,
        exclude: Iterable[str | int] = (),
        filter: Filter | None = None,
        now: float | None = None,
        explain: bool = True,
        trust_encoders: bool = False,
        explore: float = 0.0,
        rng: np.random.Generator | None = None,
        rules: Rules | Mapping[str, Any] | None = None,
    ) -> list[Recommendation]:
        """Return the `k` best items for one user, none of whose events need have been trained on.

        Args:
            history: what the user did: ids, titles or nearly titles, pairs `(item, rating)`, or
                mappings with `item` and `rating`, `value`, `event`, `timestamp`.
            text: what the user asks for in their own words, English or Chinese, with what they
                do not want; alone, or beside a history.
            user: what is known of the user, such as `{"age": 25}`; the columns of the users
                table that the model was trained with.
            dislikes: items that the user does not like; they move the list, too.
            k: how many; fewer come back where fewer are allowed.
            exclude: further items that must not come back, as ids or titles.
            filter: a condition on the item columns, see `warmstart.recommenders.filters`.
            now: seconds since the epoch; events after it are left out.
            explain: whether to give reasons; they cost one more scoring per event.
            trust_encoders: whether to send the text to an encoder with settings that the model
                brings, such as an address; see `add_items`.
            explore: share of the list's places that go to items of which the model is unsure, by
                Thompson sampling; `Recommendation.propensity` says how likely each was, see
                `warmstart.meta.exploring`.
            rng: draws what is explored; None draws anew each time.
            rules: boosts, pins, quotas and diversity, see `warmstart.recommenders.rules`; scores
                are then standard deviations over the items that may be shown.

        Raises:
            UnknownItemError: an item is not in the catalogue, or a title fits several; the error
                proposes the nearest ones.
            ConfigError: `k` is below 1, `explore` is no share, the filter or a rule is malformed,
                text is given to a model that does not know what its items are about, or a list
                with pins, quotas or diversity is to explore.
            DataError: an entry is malformed, `user` names an unknown column, or the text says
                nothing.
            MissingExtraError: the encoder of texts is not installed.
        """
        served, share = self.fitted, checked_share(explore)
        catalogue = served.catalogue
        rule = catalogue.schema.evidence
        events = read_history(history, catalogue.titles, rule, dislikes=dislikes, now=now)
        histories = as_histories(events, catalogue.known_of(user))
        allowed = catalogue.allowed(filter, exclude)
        heard = None
        if text is not None:
            trusted(served.text_encoders, trust_encoders)
            heard = served.words.hear(text)
        wish = None if heard is None else heard.scores
        explored = None
        wanted = Rules.parse(dict(rules)) if isinstance(rules, Mapping) else rules
        if share and wanted and (wanted.pin or wanted.quota or wanted.diversity):
            raise ConfigError(
                "a list with pins, quotas or diversity cannot explore: its propensities would not "
                "be known; leave them out, or explore, or use boosts"
            )
        if wanted and not share:
            found, scores = served.arrange(histories, k, wanted, allowed, wish)
        elif share:
            draws = np.random.default_rng() if rng is None else rng
            explored, scored = served.explore(
                histories, k, allowed, wish=wish, share=share, rng=draws, rules=wanted
            )
            listed = explored.items[0] >= 0
            found, scores = explored.items[0][listed], scored[0]
        else:
            ranked, scored = served.rank(histories, k, allowed, wish=wish)
            found, scores = ranked[0][ranked[0] >= 0], scored[0]
        lines = [""] * len(found)
        if explain:
            lines = reasons(served.method, histories, found, catalogue)
            if heard is not None:
                told = events or not heard.scores.any()
                lines = served.words.reasons(heard, found, lines if told else None)
        shown = numbered(catalogue, found, scores, lines)
        return shown if explored is None else with_propensities(shown, explored)

    def recommend_batch(
        self,
        histories: Any = None,  # noqa: ANN401  (Histories, a frame, a table, columns, a path)
        *,
        users: Any = None,  # noqa: ANN401
        k: int = 10,
        exclude: Iterable[str | int] = (),
        exclude_pairs: Any = None,  # noqa: ANN401
        filter: Filter | None = None,
        candidates: Mask | None = None,
        on_bad_rows: Any = "raise",  # noqa: ANN401
        explore: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> Lists:
        """Return the lists of many users at once.

        Args:
            histories: ready `Histories`, or a table (frame, Arrow, mapping of columns, path) with
                `user`, `item` and optionally rating, timestamp, event. Events on items outside
                the catalogue are left out and counted; a user of whom nothing is left gets what
                a user without history gets.
            users: table with `user` and what is known of them; users without events are listed,
                too. Not together with ready `Histories`, which carry their features.
            k: how many items each.
            exclude: items that nobody must get.
            exclude_pairs: table of `user`, `item`: items that these users must not get.
            filter: a condition on the item columns.
            candidates: (items,) which items may be returned.
            on_bad_rows: "raise" refuses tables with bad rows, "drop" leaves the rows out.
            explore: as in `recommend`, for each user by themselves; `Lists.propensity` says how
                likely every place was.
            rng: draws what is explored; None draws anew each time.

        Raises:
            ConfigError: `k` is below 1, `explore` is no share, or the filter is malformed.
            DataError: a table cannot be read.
        """
        served, share = self.fitted, checked_share(explore)
        catalogue = served.catalogue
        allowed = catalogue.allowed(filter, exclude)
        if candidates is not None:
            chosen = catalogue.where(candidates)
            allowed = chosen if allowed is None else allowed & chosen
        ids, n_events, n_users = None, 0, 0
        if isinstance(histories, Histories):
            if users is not None or exclude_pairs is not None:
                raise ConfigError("ready Histories have no user ids to join other tables to")
            told, barred = histories, None
        else:
            new = read_new_users(histories, users, catalogue, on_bad_rows=on_bad_rows)
            told, barred, ids = new.histories, None, new.users
            n_events, n_users = new.n_unknown_events, new.n_unknown_users
            if exclude_pairs is not None:
                barred = with_barred(told, ids, exclude_pairs, catalogue)
        if not share:
            items, scores = served.rank(told, k, allowed, barred)
            return Lists(items, scores, ids, catalogue.items, n_events, n_users)
        draws = np.random.default_rng() if rng is None else rng
        found, scores = served.explore(told, k, allowed, barred, share=share, rng=draws)
        return Lists(
            found.items, scores, ids, catalogue.items, n_events, n_users,
            found.propensity, found.new,
        )  # fmt: skip

    def next_question(
        self,
        history: Iterable[Entry] = (),
        *,
        dislikes: Iterable[Entry] = (),
        not_seen: Iterable[str | int] = (),
        skipped: Iterable[str | int] = (),
        policy: str | None = None,
        filter: Filter | None = None,
        seed: int = 0,
    ) -> Question | None:
        """Return which item to ask a new user about next, or None where nothing is left to ask.

        Put the answer into `history`, `dislikes` or `not_seen` and ask again; stop when the
        question is not `worth_asking`. Models that have not learned to ask, because they are
        older or of another method, ask by what the numbers of likes tell.

        Args:
            history: what the user did or said so far, as in `recommend`.
            dislikes: items that the user does not like.
            not_seen: items that the user does not know; that tells something, too.
            skipped: items that are not asked about (again); that tells nothing.
            policy: how to choose, see `warmstart.recommenders.onboarding.policies`; by default
                the one that asks best.
            filter: a condition on the item columns.
            seed: of policies with chance.

        Raises:
            UnknownItemError: an item is not in the catalogue, or a title fits several.
            ConfigError: no such policy, or the model has not learned it.
            DataError: an entry is malformed.

        Example:
            >>> from warmstart.data import Dataset
            >>> rows = {"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]}
            >>> model = Recommender("itemknn").fit(Dataset.from_tables(rows))
            >>> model.next_question(policy="popularity").item
            'a'
            >>> model.next_question(["a"], policy="popularity", skipped=["b"]).item
            'c'
        """
        catalogue = self.fitted.catalogue
        events = read_history(
            history, catalogue.titles, catalogue.schema.evidence, dislikes=dislikes
        )
        passed = [catalogue.titles.find(item) for item in skipped]
        return next_question(
            getattr(self.fitted.method, "onboarding", None),
            catalogue,
            as_histories(events),
            not_seen=[catalogue.titles.find(item) for item in not_seen],
            skipped=passed,
            allowed=catalogue.allowed(filter, ()),
            policy=policy,
            rng=generator(seed, "question", len(events), len(passed)),
        )

    def simulate_onboarding(
        self,
        ratings: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
        *,
        policies: Iterable[str] | None = None,
        questions: int = 10,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Simulation:
        """Play new users whose ratings are known against policies that ask questions.

        Args:
            ratings: table of `user`, `item` and `rating`; all its users are new.
            policies: names; None for all.
            questions: most of one interview; every number up to it is judged.
            seed: of the choice of the ratings that judge, and of policies with chance.
            progress: told how far the work has come.

        Raises:
            DataError: the table cannot be read, or holds no ratings of items of the catalogue.
            ConfigError: the model has not learned to ask, an unknown policy, or no question.
        """
        return simulate_file(
            self.fitted.method,
            self.catalogue,
            ratings,
            policies=policies,
            questions=questions,
            seed=seed,
            progress=progress,
        )

    def similar_items(self, item: str | int, k: int = 10) -> list[Recommendation]:
        """Return the `k` items most like one item.

        By the cosine of the method's item vectors; where it has none, what the method recommends
        to somebody who likes this item and nothing else.

        Raises:
            UnknownItemError: the item is not in the catalogue.
            ConfigError: `k` is below 1.
        """
        served = self.fitted
        catalogue = served.catalogue
        index = catalogue.titles.find(item)
        history = as_histories(read_history([item], catalogue.titles, catalogue.schema.evidence))
        if isinstance(served.method, HasItemVectors):
            vectors = served.method.item_vectors()
            norms = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
            cosine = (vectors @ vectors[index]) / (norms * norms[index])
            scores = cosine[None].astype(np.float32)
            items, scores = top_k(scores, k, seen=history, candidates=catalogue.served(None))
            how = "its item vector points the same way"
        else:
            items, scores = served.rank(history, k, None)
            how = f"ranks high for those who like {catalogue.titles.title(index)}"
        found = items[0][items[0] >= 0]
        return numbered(catalogue, found, scores[0], [how] * len(found))

    def approximate(self, config: ApproximateConfig | None = None) -> Self:
        """Find candidates by an approximate index from now on; it is built now, and not saved.

        Lists by taste alone are then ranked among the index's candidates and the neighbours of the
        user's events, with exact scores; filters and seen items are heeded exactly. Texts, rules,
        exploration and batches with pairs to exclude rank all items, as does the whole model where
        its catalogue is so small that it is faster.

        Raises:
            ConfigError: the method is not one that can.
            MissingExtraError: faiss is not installed.
        """
        method = self.fitted.method
        if not hasattr(method, "approximated"):
            raise ConfigError(
                f"the method {self.name!r} has no approximate index; the default method has"
            )
        self._fitted = replace(self.fitted, method=method.approximated(config))
        return self

    def compile(self) -> Self:
        """Rank by compiled loops from now on: the same lists, sooner.

        The first time on a machine this takes some seconds; what was compiled is kept.

        Raises:
            ConfigError: the method is not one that can.
            MissingExtraError: numba is not installed.
        """
        method = self.fitted.method
        if not hasattr(method, "compiled"):
            raise ConfigError(f"the method {self.name!r} has no compiled loops; the default has")
        self._fitted = replace(self.fitted, method=method.compiled())
        return self

    def add_items(
        self,
        table: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
        *,
        vectors: Mapping[str, FloatArray] | None = None,
        root: str | Path | None = None,
        trust_encoders: bool = False,
    ) -> Self:
        """Add items that nobody has seen; they can be recommended at once.

        The method scores them from their content if it can; else they borrow the scores of the
        trained items most like them by the item columns. The model changes as a whole or not at
        all, and calls that are running finish on the old catalogue.

        Args:
            table: item ids, and the item columns that the model was trained with; texts, images
                and sounds are encoded as they were in training.
            vectors: modalities that were given as vectors in training: name → (new items, dim).
            root: folder that the files named by the table must lie in; None trusts every path.
            trust_encoders: whether to use encoders other than the local ones with the settings
                that the model brings; such an encoder may send texts, and the key that an
                environment variable holds, to the address that the model names.

        Raises:
            DataError: an id is missing, occurs twice or is in the catalogue already, even if it was
                removed.
            ConfigError: an encoder is not the one of the training.
            MissingExtraError: an encoder is not installed.
        """
        self._fitted = changing.added(
            self.fitted, table, vectors=vectors, root=root, trust_encoders=trust_encoders
        )
        return self

    def update_items(
        self,
        table: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
        *,
        vectors: Mapping[str, FloatArray] | None = None,
        root: str | Path | None = None,
        trust_encoders: bool = False,
    ) -> Self:
        """Change what is known of items; a removed one is back.

        Columns that the table lacks stay. Titles and filters change at once. Items that nobody
        liked in training are placed anew by their content, if the method places them by it;
        the others keep what was learned of them, and items that come later borrow from what they
        are now. The model changes as a whole or not at all.

        Args:
            table: ids of the catalogue's items, and the columns that change.
            vectors: modalities that were given as vectors in training: name → (rows, dim).
            root: as in `add_items`.
            trust_encoders: as in `add_items`.

        Raises:
            UnknownItemError: an id is not in the catalogue; proposes the nearest ones.
            DataError: an id is missing or occurs twice, or a column's type does not fit.
            ConfigError: an encoder is not the one of the training.
            MissingExtraError: an encoder is not installed.
        """
        self._fitted = changing.updated(
            self.fitted, table, vectors=vectors, root=root, trust_encoders=trust_encoders
        )
        return self

    def warm_up_items(self, interactions: Any, *, on_bad_rows: Any = "raise") -> Self:  # noqa: ANN401
        """Hear the first users of new items, so that these are placed by more than their content.

        n users count n / (n + τ), the content τ / (n + τ); τ was chosen in training. Items that
        somebody liked in training stay where they are. Nothing is trained, and the model changes
        as a whole or not at all.

        Args:
            interactions: table of `user`, `item` and optionally rating, timestamp, event: what the
                users who like new items did, *with their events on other items*, by which they
                are known. Give all that is known of an item so far: it replaces what an earlier
                call said of it.
            on_bad_rows: "raise" refuses tables with bad rows, "drop" leaves the rows out.

        Raises:
            DataError: the table cannot be read, or nobody in it likes a new item.
            ConfigError: the method, or this model, cannot hear them.
        """
        self._fitted = changing.warmed(self.fitted, interactions, on_bad_rows=on_bad_rows)
        return self

    def remove_items(self, ids: Iterable[str | int]) -> Self:
        """Take items out of every list; what was learned from them stays, so histories name them.

        The items are removed as a whole or not at all; removing one twice changes nothing. With
        all of them removed the lists are empty. `update_items` brings an item back.

        Args:
            ids: of the items; titles are not looked up, since nobody asks whether they were meant.

        Raises:
            UnknownItemError: an id is not in the catalogue; proposes the nearest ones.
        """
        self._fitted = changing.removed(self.fitted, ids)
        return self

    def adjust(self, **settings: Any) -> Self:  # noqa: ANN401
        """Change how lists are made, without training: remedies against bias, at a price.

        Args:
            **settings: of the default method, `popularity_penalty` and `cold_norm`; what they cost
                stands in the documentation under Bias.

        Raises:
            ConfigError: the method has no such setting, or a value is out of range.
        """
        self._fitted = changing.adjusted(self.fitted, settings)
        return self

    def copy(self) -> Self:
        """Return a recommender that shares everything, and whose items change on their own."""
        return self._restored(self.name, self.seed, self._method, self.fitted)

    def save(self, path: str | Path, *, created: str | None = None) -> Path:
        """Write the model as a folder: safetensors, Parquet and JSON, hashed, no pickle.

        Args:
            path: the folder; a model that is there is replaced once the new one is whole.
            created: time of creation for the record; without it equal models are equal files.

        Raises:
            ArtifactError: the path holds something that is no model, or cannot be written.
        """
        from warmstart.recommenders.artifact import save

        return save(self, path, created=created)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a saved model; needs NumPy alone and runs no code from the file.

        Raises:
            ArtifactError: it is damaged, hostile, of a newer format, or of a method that is not
                installed.
        """
        from warmstart.recommenders.artifact import load

        return load(path, cls)

    @classmethod
    def _restored(cls, name: str, seed: int, method: Any, fitted: Fitted) -> Self:  # noqa: ANN401
        model = cls.__new__(cls)
        model.name, model.seed, model._method, model._fitted = name, seed, method, fitted
        return model


def load(path: str | Path) -> Recommender:
    """Read a saved model; see `Recommender.load`."""
    return Recommender.load(path)
