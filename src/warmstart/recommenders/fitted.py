"""What serving needs once a method is fitted: the method and its catalogue, ranked together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.data import Dataset, Ids
from warmstart.data.content import EncodedColumn
from warmstart.data.known import KnownIds
from warmstart.index import top_k
from warmstart.meta.exploring import Explored, explore
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.encoding import make_encoder
from warmstart.recommenders.filters import Mask
from warmstart.recommenders.protocols import HasItemVectors, HasPosterior, RanksFast
from warmstart.recommenders.rules import Rules, arranged, boosted
from warmstart.recommenders.trust import UNLEARNED, standardised
from warmstart.recommenders.words import Words

_OF_OTHER_KINDS = ("image", "image-folder", "audio")  # encoders that read no text
_SCORES_AT_ONCE = 1 << 24  # dense scores in memory: 64 MB


@dataclass(frozen=True)
class Fitted:
    """All that serving needs; replaced as a whole, so that a reader never sees half of it.

    Attributes:
        method: fitted; a `Method`, or one wrapped in `WithNewItems`.
        catalogue: what it ranks.
        origin: plain values for the record: dataset, fingerprint, counts.
        met: who was trained on; None in models that are older than this record.
    """

    method: Any
    catalogue: Catalogue
    origin: dict[str, Any] = field(default_factory=dict)
    met: KnownIds | None = None

    @cached_property
    def words(self) -> Words:
        """Hears wishes about the catalogue.

        Raises:
            ConfigError: the method knows nothing of what the items are about.
            MissingExtraError: the encoder of texts is not installed.
        """
        catalogue, known = self.catalogue, getattr(self.method, "content", None)
        if not isinstance(known, ContentMap):
            raise ConfigError(
                "the model knows nothing of what its items are about, so it cannot use text; train "
                "the default method with an items table that has texts or categories"
            )
        specs = self.text_encoders
        first = specs[0] if specs else EncodedColumn(column="", encoder="text")
        same = [s.column for s in specs if (s.encoder, s.config) == (first.encoder, first.config)]
        title = catalogue.schema.title  # a name is no description, unless there is no other text
        described = [c for c in same if c != title and c in known.content] or same
        encoder = make_encoder(first.encoder, first.config)
        return Words.of(encoder, described, known.content, catalogue.item_features, catalogue.table)

    @property
    def text_encoders(self) -> list[EncodedColumn]:
        """Which encoders read which columns of text."""
        return [e for e in self.catalogue.item_encoders if e.encoder not in _OF_OTHER_KINDS]

    def rank(
        self,
        histories: Histories,
        k: int,
        allowed: Mask | None = None,
        barred: Histories | None = None,
        wish: FloatArray | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Return (users, min(k, items)) items and scores: nothing seen, barred or removed.

        Args:
            histories: the users.
            k: length of the lists; they end in item -1 with score -inf where items run out.
            allowed: (items,) which items may be returned, or None for all.
            barred: the users' histories with further items that must not come back.
            wish: (items,) how well each item answers what the users ask for.

        Raises:
            ConfigError: `k` is below 1.
            DataError: an event is outside the catalogue.
        """
        k, n_items, method = self._checked(histories, k), len(self.catalogue), self.method
        allowed = self.catalogue.served(allowed)
        if barred is None and wish is None and isinstance(method, RanksFast):
            return method.top_k(histories, k, allowed)
        items = np.empty((len(histories), k), np.int32)
        scores = np.empty((len(histories), k), np.float32)
        step = max(1, _SCORES_AT_ONCE // max(1, n_items))
        for start in range(0, len(histories), step):
            part = np.arange(start, min(start + step, len(histories)))
            block = histories.take(part)
            seen = block if barred is None else barred.take(part)
            scored = self._scored(block, wish)
            ranked = top_k(scored, k, seen=seen, candidates=allowed)
            items[part], scores[part] = ranked
        return items, scores

    def explore(
        self,
        histories: Histories,
        k: int,
        allowed: Mask | None = None,
        barred: Histories | None = None,
        wish: FloatArray | None = None,
        *,
        share: float,
        rng: np.random.Generator,
        rules: Rules | None = None,
    ) -> tuple[Explored, FloatArray]:
        """Return lists with some places explored, and (users, k) their scores.

        The posterior's standard deviations are put on the scale of the scores by the ratio of
        how far scores and posterior means spread over the items; a method without a posterior
        is taken to be as unsure of every item as its scores spread.

        Args:
            histories: the users.
            k: length of the lists.
            allowed: as in `rank`.
            barred: as in `rank`.
            wish: as in `rank`.
            share: of the places that are explored.
            rng: draws them.
            rules: whose boosts are heeded; scores are then in standard deviations.

        Raises:
            ConfigError: `k` is below 1.
            DataError: an event is outside the catalogue.
        """
        k, allowed = self._checked(histories, k), self.catalogue.served(allowed)
        parts, step = [], max(1, _SCORES_AT_ONCE // max(1, len(self.catalogue)))
        scores = np.empty((len(histories), k), np.float32)
        for start in range(0, len(histories), step):
            part = np.arange(start, min(start + step, len(histories)))
            block = histories.take(part)
            free = self._free(block, allowed, block if barred is None else barred.take(part), wish)
            doubt = self._doubt(block, free)
            if rules is not None:
                size = np.maximum(_deviation(free, np.isfinite(free)), 1e-12)[:, None]
                doubt = np.asarray(doubt / size, np.float32)
                points = [boosted(row, rules, self.catalogue.where) for row in free]
                free = np.array(points, np.float32)
            listed, scored = top_k(free, k)
            found = explore(listed, free, doubt, share, rng)
            given = np.take_along_axis(free, np.maximum(found.items, 0), axis=1)
            scores[part] = np.where(found.items < 0, scored, given)
            parts.append(found)
        return Explored.joined(parts), scores

    def arrange(
        self,
        history: Histories,
        k: int,
        rules: Rules,
        allowed: Mask | None = None,
        wish: FloatArray | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Return one user's list by rules, and its scores in standard deviations.

        Args:
            history: the user, alone.
            k: length of the list.
            rules: what to heed.
            allowed: as in `rank`.
            wish: as in `rank`.

        Raises:
            ConfigError: `k` is below 1, or a condition is malformed.
            UnknownItemError: a pinned item is not in the catalogue.
            DataError: an event is outside the catalogue.
        """
        k, catalogue = self._checked(history, k), self.catalogue
        free = self._free(history, catalogue.served(allowed), history, wish)[0]
        pins = [(pin.place - 1, catalogue.titles.find(pin.item)) for pin in rules.pin]
        vectors = None
        if rules.diversity and isinstance(self.method, HasItemVectors):
            vectors = self.method.item_vectors()
        return arranged(free, k, rules, catalogue.where, pins, vectors)

    def _free(
        self, histories: Histories, allowed: Mask | None, barred: Histories, wish: FloatArray | None
    ) -> FloatArray:
        """Return (users, items) scores; -inf for what is barred, such as what was seen."""
        free = np.array(self._scored(histories, wish), np.float32)
        free[barred.rows, barred.items] = -np.inf
        if allowed is not None:
            free[:, ~allowed] = -np.inf
        return free

    def _doubt(self, histories: Histories, free: FloatArray) -> FloatArray:
        """Return (users, items) standard deviations, on the scale of the scores that are finite."""
        open_ = np.isfinite(free)
        spread = _deviation(free, open_)[:, None]
        if not isinstance(self.method, HasPosterior):
            return np.broadcast_to(spread, free.shape)
        mean, doubt = self.method.posterior(histories)
        scale = spread / np.maximum(_deviation(mean, open_), 1e-12)[:, None]
        found: FloatArray = np.asarray(scale * doubt, np.float32)
        return found

    def _checked(self, histories: Histories, k: int) -> int:
        """Return the length of the lists, or refuse the request."""
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise ConfigError(f"k must be a whole number of at least 1, got {k!r}")
        n_items, events = len(self.catalogue), histories.items
        if len(events) and not (0 <= events.min() and events.max() < n_items):
            bad = int(events.min() if events.min() < 0 else events.max())
            raise DataError(f"item index {bad} is outside the catalogue of {n_items} items")
        return min(int(k), n_items)

    def _scored(self, histories: Histories, wish: FloatArray | None) -> FloatArray:
        """Return (users, items) scores, by taste and by what the users ask for."""
        scored: FloatArray = self.method.score(histories)
        if wish is not None:
            trust = getattr(self.method, "trust", UNLEARNED).at(histories.shots)
            scored = wish + trust * standardised(scored)
        return scored


def _deviation(values: FloatArray, where: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (users,) standard deviation of each row's values where they count; 0 where none do."""
    n = np.maximum(where.sum(axis=1), 1)
    mean = np.where(where, values, 0).sum(axis=1, dtype=np.float64) / n
    away = np.where(where, values - mean[:, None], 0)
    found: FloatArray = np.sqrt(np.square(away).sum(axis=1) / n).astype(np.float32)
    return found


def with_barred(histories: Histories, users: Ids, pairs: Any, catalogue: Catalogue) -> Histories:  # noqa: ANN401
    """Return the histories with barred items appended.

    Args:
        histories: of the users.
        users: their external ids.
        pairs: table of `user`, `item`; ids that are not known here bar nothing.
        catalogue: of the items.
    """
    data = Dataset.from_tables(pairs)
    user = users.find(data.users.values)[data.interactions.user]
    item = catalogue.items.find(data.items.values)[data.interactions.item]
    known = (user >= 0) & (item >= 0)
    rows = np.concatenate([histories.rows, user[known]])
    items = np.concatenate([histories.items, item[known]]).astype(np.int32)
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=len(histories))
    indptr: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Histories(indptr, items[order], np.ones(len(items), np.float32))
