"""Signed evidence: what a rating or an event says for or against an item, in [-1, 1].

With a rating scale from `low` to `high` and a `threshold` between them (by default three quarters
of the way up: 4 of 1–5, 3.875 of 0.5–5, 7.75 of 1–10), a rating r is worth

    0.5 + 0.5 · (r − threshold) / (high − threshold)      if r ≥ threshold   (a like)
    −1  + 0.9 · (r − low) / (threshold − low)             otherwise          (a dislike)

so likes fill [0.5, 1] and dislikes [−1, −0.1). The ends of the scale are those of the data, but a
table of fours and fives alone was cut out of a scale from 1 to 5, and a four is no dislike in it:
where the highest rating is 5 or 10, the scale begins at 1, or at 0.5 if there are half stars.
Ratings that are really counts (more than 20
distinct values, or whole numbers above 10), and ratings with one value only, say nothing
against an item: every row is then a like of 1. Where there is no rating, the name of the event
decides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from warmstart.core.config import Config
from warmstart.core.types import FloatArray

LIKE, DISLIKE = 1.0, -1.0
RATED = frozenset({"rating", "rate", "review"})
"""Events that may bring stars, as their value."""

UNDO = "undo"
"""Takes back what its user did with the item before: in a history nothing of it counts."""

EVENTS: dict[str, float] = {
    **dict.fromkeys(
        "view click like purchase buy play listen read watch save share cart add_to_cart "
        "bookmark favorite favourite order subscribe follow rate review".split(),
        LIKE,
    ),
    **dict.fromkeys(
        "dislike skip hide block report not_interested unlike unsubscribe return".split(), DISLIKE
    ),
    UNDO: 0.0,
}
_LIKE_SHARE = 0.75
_BLOCK = 1 << 20


class EvidenceRule(Config):
    """How ratings and events become signed evidence; fixed by the training data.

    Attributes:
        low: lowest rating of the scale; None where ratings carry no opinion.
        high: highest rating of the scale.
        threshold: ratings from here on are likes; set it to overrule the default, also for a
            column that looks like counts.
        events: event name → evidence in [-1, 1]; added to the table of known names.
    """

    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    events: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> EvidenceRule:
        scale = [v for v in (self.low, self.threshold, self.high) if v is not None]
        if not all(np.isfinite(scale)) or scale != sorted(scale):
            raise ValueError("low <= threshold <= high must hold, all finite")
        if any(not -1 <= v <= 1 for v in self.events.values()):
            raise ValueError("the evidence of an event lies in [-1, 1]")
        return self

    @property
    def reads_ratings(self) -> bool:
        """Whether a rating can be a dislike."""
        return self.low is not None and self.high is not None and self.threshold is not None

    def fitted(self, ratings: npt.NDArray[np.floating] | None) -> EvidenceRule:
        """Return the rule with its scale filled in from the ratings of the training data.

        Example:
            >>> rule = EvidenceRule().fitted(np.array([1.0, 2, 3, 4, 5]))
            >>> rule.threshold, [f"{v:.1f}" for v in rule.values(np.array([1.0, 3, 4, 5]))]
            (4.0, ['-1.0', '-0.4', '0.5', '1.0'])
            >>> EvidenceRule().fitted(np.array([4.0, 5])).threshold
            4.0
        """
        if ratings is None or not len(ratings) or self.reads_ratings:
            return self
        low, high = float(ratings.min()), float(ratings.max())
        if self.threshold is None and (low == high or _are_counts(ratings)):
            return self
        low = min(low, _usual_low(ratings)) if self.low is None else self.low
        high = high if self.high is None else self.high
        threshold = self.threshold
        if threshold is None:
            threshold = low + _LIKE_SHARE * (high - low)
        low, high = min(low, threshold), max(high, threshold)
        return self.model_copy(update={"low": low, "high": high, "threshold": threshold})

    def values(
        self,
        ratings: npt.NDArray[np.floating] | None = None,
        events: pa.Array | None = None,
        *,
        n_rows: int | None = None,
    ) -> FloatArray:
        """Return (rows,) float32 evidence of ratings, else of events, else likes of 1.

        Ratings beyond the scale count as its ends.
        """
        if ratings is not None and self.reads_ratings:
            return self._of_ratings(np.asarray(ratings))
        if events is not None:
            return self._of_events(events)
        size = len(ratings) if ratings is not None else int(n_rows or 0)
        return np.ones(size, np.float32)

    def unknown_events(self, events: pa.Array) -> list[str]:
        """Return the event names that the table does not know; they count as likes."""
        known = self._table()
        return [n for n in pc.unique(events).cast(pa.string()).to_pylist()
                if n is not None and _event(n) not in known]  # fmt: skip

    def of_event(self, name: str) -> float | None:
        """Return the evidence of one event by its name; None where the table does not know it.

        Example:
            >>> EvidenceRule().of_event("Not interested"), EvidenceRule().of_event("sneeze")
            (-1.0, None)
        """
        plain = _event(name)
        if self.events:
            return self._table().get(plain)
        return EVENTS.get(plain)

    def _table(self) -> dict[str, float]:
        return EVENTS | {_event(name): value for name, value in self.events.items()}

    def _of_ratings(self, ratings: npt.NDArray[np.floating]) -> FloatArray:
        low, high, threshold = float(self.low or 0), float(self.high or 0), self.threshold or 0.0
        up, down = max(high - threshold, 1e-12), max(threshold - low, 1e-12)
        found = np.empty(len(ratings), np.float32)
        for start in range(0, len(ratings), _BLOCK):  # in blocks: the table may be large
            some = np.clip(ratings[start : start + _BLOCK].astype(np.float64), low, high)
            likes = 0.5 + 0.5 * (some - threshold) / up if high > threshold else LIKE
            dislikes = -1 + 0.9 * (some - low) / down
            found[start : start + _BLOCK] = np.where(some >= threshold, likes, dislikes)
        return found

    def _of_events(self, events: pa.Array) -> FloatArray:
        encoded = events if pa.types.is_dictionary(events.type) else pc.dictionary_encode(events)
        table = self._table()
        names = encoded.dictionary.cast(pa.string()).to_pylist()
        worth = [LIKE if n is None else table.get(_event(n), LIKE) for n in names]
        codes = pc.fill_null(encoded.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
        found: FloatArray = np.array([*worth, LIKE], np.float32)[codes]
        return found


@lru_cache(maxsize=1_024)
def _event(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def _usual_low(ratings: npt.NDArray[np.floating]) -> float:
    """Return where the usual scale of stars or points with this highest rating begins."""
    if ratings.max() not in (5, 10):
        return np.inf
    steps = np.unique(2 * ratings)
    if (steps != np.floor(steps)).any():
        return np.inf
    return 0.5 if (steps % 2 == 1).any() else 1.0


def _are_counts(ratings: npt.NDArray[np.floating]) -> bool:
    if len(np.unique(ratings)) > 20:
        return True
    return bool(ratings.max() > 10 and (ratings == np.floor(ratings)).all())
