"""One list out of four voices: the adapted user, the meaning of the words, the words, the crowd.

    score = heard + lexical · BM25 + taste · trust(k) · the user's scores, standardised

Every item of the catalogue that the conditions leave is scored, so the union of the candidates is
exact. What the user likes by name is history of the same user vector, what they dislike is a
dislike. The crowd speaks through the user's scores, which are popularity where nothing is known; a
method that says nothing then is given the number of likes. `trust(k)` was learned in training
(`trust`); the two weights of `Fusion` were chosen on validation users
(`benchmarks/asking/quality.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError, MissingExtraError
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.index import top_k
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.asking.lexical import Lexical
from warmstart.recommenders.encoding import trusted
from warmstart.recommenders.filters import Mask
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.trust import UNLEARNED, standardised
from warmstart.recommenders.words import Heard, Words

MOST_CHOICES = 60
"""So many of the best are looked at for a diverse list."""


class Fusion(Config):
    """How much the voices count beside what the words mean.

    Attributes:
        taste: times the trust that training has learned.
        lexical: of the best BM25 score in the catalogue, on the scale of the meaning's.
    """

    taste: float = 2.0
    lexical: float = 8.0


@dataclass(frozen=True, slots=True)
class Found:
    """A list, and what was heard on the way.

    Attributes:
        items: (at most k,) dense indices, best first.
        scores: of these items.
        heard: what the words say by their meaning, or None.
        flags: what could not be done.
    """

    items: IntArray
    scores: FloatArray
    heard: Heard | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retriever:
    """Finds items of one fitted model.

    Attributes:
        fitted: the model and its catalogue.
        fusion: weights of the voices.
        trust_encoders: whether to send words to an encoder with settings that the model brings.
        praise: item → what its reviewers praise, see `praise`.
    """

    fitted: Fitted
    fusion: Fusion = field(default_factory=Fusion)
    trust_encoders: bool = False
    praise: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def attributes(self) -> Attributes:
        """What the catalogue can be asked about."""
        return Attributes.of(self.fitted.catalogue)

    @cached_property
    def lexical(self) -> Lexical:
        """What the items say."""
        return Lexical.of(self.fitted.catalogue)

    @cached_property
    def words(self) -> Words | None:
        """Hears words by their meaning; None for a model that knows no texts or categories."""
        try:
            trusted(self.fitted.text_encoders, self.trust_encoders)
            return self.fitted.words
        except (ConfigError, MissingExtraError):
            return None

    def prepare(self) -> None:
        """Build what the first request would have to wait for."""
        _ = self.attributes.mentions("a"), self.fitted.catalogue.titles.bearing("a"), self._kinds
        self._wish(["a quiet evening"], [])

    def find(
        self,
        histories: Histories,
        k: int,
        *,
        likes: Sequence[str] = (),
        dislikes: Sequence[str] = (),
        mask: Mask | None = None,
    ) -> Found:
        """Return the best unseen items for one user.

        Args:
            histories: of the one user, with the items that the request names.
            k: how many.
            likes: phrases that the items should be like.
            dislikes: phrases that they should not be like.
            mask: (items,) which may be returned; None for all.
        """
        heard: Heard | None = None
        flags: list[str] = []
        scores = self.taste(histories)
        if likes or dislikes:
            wish, heard, flags = self._wish(likes, dislikes)
            trust = getattr(self.fitted.method, "trust", UNLEARNED).at(histories.shots)[0]
            if wish.any():
                scores = wish + self.fusion.taste * trust * scores
            else:
                flags.append("the words fit nothing in particular")
        allowed = self.fitted.catalogue.served(mask)
        items, best = top_k(
            scores[None].astype(np.float32),
            min(k, len(scores)),
            seen=histories,
            candidates=allowed,
        )
        there = items[0] >= 0
        return Found(items[0][there], best[0][there], heard, tuple(flags))

    def taste(self, histories: Histories) -> FloatArray:
        """Return (items,) one user's scores, standardised; popularity where they say nothing."""
        scores = np.asarray(self.fitted.method.score(histories), np.float32)
        if not np.ptp(scores) > 0:
            scores = np.log1p(self.fitted.catalogue.likes[None].astype(np.float32))
        found: FloatArray = standardised(scores)[0]
        return found

    def diverse(self, histories: Histories, k: int, mask: Mask | None = None) -> Found:
        """Return a list for somebody who says nothing: of the best, those unlike each other.

        Each item in turn is the one whose score less its likeness to those listed is best; alike
        are items of the same categories.

        Args:
            histories: of the one user.
            k: how many.
            mask: (items,) which may be returned; None for all.
        """
        found = self.find(histories, max(k, MOST_CHOICES), mask=mask)
        kinds = [frozenset(self.kinds(int(i))) for i in found.items]
        left = list(range(len(found.items)))
        order: list[int] = []
        while left and len(order) < k:
            best = max(left, key=lambda i: float(found.scores[i]) - _likeness(i, order, kinds))
            order.append(best)
            left.remove(best)
        return Found(found.items[order], found.scores[order], None)

    def kinds(self, item: int) -> list[tuple[str, str]]:
        """Return (column, value) of an item, of the columns with few values."""
        return self._kinds[item]

    @cached_property
    def _kinds(self) -> list[list[tuple[str, str]]]:
        catalogue, known = self.fitted.catalogue, self.attributes
        found: list[list[tuple[str, str]]] = [[] for _ in range(len(catalogue))]
        for column, values in known.values.items():
            if len(values) <= 100:
                for value in values:
                    for item in np.flatnonzero(catalogue.where({column: value})):
                        found[item].append((column, value))
        return found

    def _wish(
        self, likes: Sequence[str], dislikes: Sequence[str]
    ) -> tuple[FloatArray, Heard | None, list[str]]:
        """Return (items,) how well each item answers the words."""
        flags: list[str] = []
        heard = None
        wish: Any = np.zeros(len(self.fitted.catalogue), np.float32)
        if self.words is None:
            flags.append("the model knows no texts: words are matched by their letters")
        else:
            try:
                heard = self.words.heard(list(likes), list(dislikes))
                wish = wish + heard.scores
            except (DataError, MissingExtraError) as error:
                flags.append(f"the words were not encoded: {error}")
        for sign, phrases in ((1, likes), (-0.3, dislikes)):
            matched = self.lexical.score(phrases)
            best = float(matched.max(initial=0))
            if best > 0:
                weight = self.fusion.lexical if heard is not None else 4.0
                wish = wish + np.float32(sign * weight / best) * matched
        return wish, heard, flags


def _likeness(item: int, listed: Sequence[int], kinds: Sequence[frozenset[Any]]) -> float:
    """Return how much an item is like those listed, at most about 1."""
    if not listed or not kinds[item]:
        return 0.0
    shares = [len(kinds[item] & kinds[o]) / max(1, len(kinds[item] | kinds[o])) for o in listed]
    return 0.7 * max(shares) + 0.3 * sum(shares) / len(shares)
