"""The article's `LLMRecommender`, made to do what it promises: ask in your own words.

The article lets a language model write titles. Here a model, if there is one, reads the request;
the catalogue chooses, so nothing that is not in it can come out, and without any model the answer
is read by rules and as good as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import warmstart
from warmstart.core.errors import ConfigError
from warmstart.data.fetch import cache_dir
from warmstart.data.reviews import Reviews
from warmstart.llm.model import LanguageModel
from warmstart.recommenders.asking.conversation import State
from warmstart.recommenders.asking.engine import DEADLINE_SECONDS, Answer, answer
from warmstart.recommenders.asking.models import language_model
from warmstart.recommenders.asking.praise import praised
from warmstart.recommenders.asking.reorder import Reranking
from warmstart.recommenders.asking.retrieve import Fusion, Retriever
from warmstart.recommenders.history import Entry
from warmstart.recommenders.recommender import Recommender, load

_FILMS = "ml-100k"


class LLMRecommender:
    """Answers requests in English and Chinese with a list out of one catalogue.

    Example:
        >>> from warmstart.data import Dataset
        >>> rows = {"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]}
        >>> items = {"item": ["a", "b", "c"], "title": ["Heat", "Alien", "Grease"],
        ...          "genres": ["Crime", "Horror", "Musical"]}
        >>> model = Recommender("itemknn").fit(Dataset.from_tables(rows, items))
        >>> asked = LLMRecommender(recommender=model)
        >>> asked.generate_recommendation("something like Alien, no musicals")
        ['Heat']
    """

    def __init__(
        self,
        model_name: str | Path | None = None,
        *,
        recommender: Recommender | str | Path | None = None,
        model: LanguageModel | None = None,
        fusion: Fusion | None = None,
        reviews: Reviews | None = None,
        rerank: bool | Reranking = False,
        trust_encoders: bool = False,
        api_key_env: str | None = None,
    ) -> None:
        """Choose a catalogue, and a language model if you like.

        Args:
            model_name: a language model, see `asking.models.language_model`; or a folder with a
                saved recommender. None reads requests by rules.
            recommender: fitted, or the folder of a saved one. If there is none, MovieLens-100K is
                fetched, and a model of it is trained once and kept in the cache.
            model: a language model itself, instead of its name.
            fusion: how much taste and letters count beside the meaning of words.
            rerank: whether the language model reorders the head of a list, and how far; off, for
                no interval on validation users has shown that it pays (`docs/safety.md`).
            reviews: of the items, as `warmstart.data.reviews.read_reviews` reads them: reasons then
                name what several reviewers praise.
            trust_encoders: whether to send words to an encoder with settings that the saved model
                brings, such as an address.
            api_key_env: environment variable that holds the key of a server.

        Raises:
            ConfigError: `model_name` is nothing that is known, or two catalogues are given.
            ArtifactError: the saved recommender is damaged.
            MissingExtraError: the language model is not installed.
        """
        saved = model_name is not None and (Path(model_name) / "manifest.json").is_file()
        if saved and recommender is not None:
            raise ConfigError(
                f"{str(model_name)!r} is a saved recommender, and another is given; leave one out"
            )
        if model_name is not None and model is not None and not saved:
            raise ConfigError("give the language model or its name, not both")
        self.model = model
        if model_name is not None and not saved:
            self.model = language_model(str(model_name), api_key_env=api_key_env)
        chosen = model_name if saved else recommender
        self._recommender = load(chosen) if isinstance(chosen, str | Path) else chosen
        self.reranking = Reranking() if rerank is True else rerank or None
        self.fusion, self.trust_encoders = fusion or Fusion(), trust_encoders
        self.reviews = reviews

    @property
    def recommender(self) -> Recommender:
        """What knows the catalogue and its users; trained now if none was given."""
        if self._recommender is None:
            self._recommender = _films()
        return self._recommender

    def generate_recommendation(self, user_query: str, k: int = 5) -> list[str]:
        """Return the titles of a list, as the article's class does.

        Args:
            user_query: in English or Chinese.
            k: how many, unless the request says how many.

        Raises:
            DataError: the request says nothing.
        """
        return [found.title for found in self.ask(user_query, k=k).items]

    def ask(
        self,
        query: str,
        *,
        history: Iterable[Entry] = (),
        dislikes: Iterable[Entry] = (),
        user: Mapping[str, Any] | None = None,
        k: int = 10,
        state: State | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Answer:
        """Return the answer to a request, or to the next sentence of a conversation.

        Args:
            query: in English, Chinese or both.
            history: what the user did, as `Recommender.recommend` takes it.
            dislikes: items that the user does not like.
            user: what is known of the user.
            k: how many items, unless the request says how many.
            state: of the answer before; its history, user and wishes go on.
            deadline_seconds: a language model that is later is not waited for.

        Raises:
            DataError: the request says nothing, or the history is malformed.
            UnknownItemError: an item of the history is not in the catalogue.
            ConfigError: `k` is below 1, or there is no time.
        """
        return answer(
            self._retriever,
            query,
            history=history,
            dislikes=dislikes,
            user=user,
            k=k,
            state=state,
            model=self.model,
            reranking=self.reranking,
            deadline_seconds=deadline_seconds,
        )

    @property
    def _retriever(self) -> Retriever:
        """Of the catalogue as it is now: items come and go."""
        fitted = self.recommender.fitted
        if self._indexed.fitted is not fitted:
            self.__dict__.pop("_indexed")
        return self._indexed

    @cached_property
    def _indexed(self) -> Retriever:
        fitted = self.recommender.fitted
        praise = {} if self.reviews is None else praised(self.reviews, fitted.catalogue)
        retriever = Retriever(fitted, self.fusion, self.trust_encoders, praise)
        retriever.prepare()  # no part of a request's deadline
        return retriever


def _films() -> Recommender:
    """Return a recommender of MovieLens-100K, from the cache if one was trained before."""
    from warmstart.data import load_dataset

    folder = cache_dir() / "models" / f"{_FILMS}-{warmstart.__version__}"
    if (folder / "manifest.json").is_file():
        return load(folder)
    model = Recommender().fit(load_dataset(_FILMS))
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save(folder)
    return model
