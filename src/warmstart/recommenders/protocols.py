"""What a method may offer beyond `warmstart.core.types.Method`; every hook is optional.

`Recommender` asks for a hook with `isinstance` and falls back where it is absent: to the dense
scores for ranking, to leaving one event out for reasons, to content neighbours for new items.
"""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.types import FloatArray, Histories, IntArray
from warmstart.data.content import Content


@runtime_checkable
class RanksFast(Protocol):
    """Ranks without writing down every score."""

    def top_k(
        self, histories: Histories, k: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Return (users, min(k, items)) item indices and scores, best first.

        Neither an item of the user's history nor one outside `allowed` is returned; a list that
        runs out of items ends in index -1 with score -inf.
        """


@runtime_checkable
class Explains(Protocol):
    """Knows which event brought an item onto the list."""

    def contributions(self, histories: Histories, items: IntArray) -> FloatArray:
        """Return (items, events) what each event of one user adds to each item's score."""


@runtime_checkable
class HasItemVectors(Protocol):
    """Has item vectors whose cosine says how alike two items are."""

    def item_vectors(self) -> FloatArray:
        """Return (items, dim) vectors."""


@runtime_checkable
class HasPosterior(Protocol):
    """Knows how sure it is of what a user likes."""

    def posterior(self, histories: Histories) -> tuple[FloatArray, FloatArray]:
        """Return (users, items) means of the liking and their standard deviations.

        The scale is the method's own; it need not be that of the scores.
        """


@runtime_checkable
class TakesNewItems(Protocol):
    """Can score items that nobody has interacted with, from their content."""

    def with_items(self, content: Content, n_new: int) -> Self:
        """Return the method for a catalogue with `n_new` more items at its end.

        Args:
            content: of the new items, by the blocks that the dataset's `content` had; blocks that
                are not there are lacking.
            n_new: how many there are.
        """


@runtime_checkable
class TakesNewContent(Protocol):
    """Can be told that something else is known of its items."""

    def with_content(self, content: Content, items: IntArray) -> Self:
        """Return the method with other content of some items.

        Args:
            content: of these items; blocks that are not there stay as they were.
            items: (items,) dense indices.
        """


@runtime_checkable
class HearsFirstUsers(Protocol):
    """Can place new items by those who liked them first."""

    def with_first_users(self, likes: sp.csr_array, items: IntArray) -> Self:
        """Return the method with some items placed by their first users, too.

        Args:
            likes: (users, items) ones at what these users like, of the new items and the others.
            items: (items,) dense indices of the new items, which nobody liked in training.
        """


@runtime_checkable
class Adjusts(Protocol):
    """Has settings of scoring that can change without training."""

    def adjusted(self, **settings: Any) -> Self:  # noqa: ANN401
        """Return the method under other settings."""


@runtime_checkable
class Reports(Protocol):
    """Can say what its training found."""

    def report(self) -> dict[str, Any]:
        """Return plain JSON values: what was learned, and figures on validation users."""
