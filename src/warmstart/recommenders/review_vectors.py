"""Reviews become a modality of the items, and vectors of users, without telling what is held out.

Each review is encoded once and kept on disk; `encoders.reviews` pools them, one voice an author.

A review is an interaction with words: of a dataset that a split made, only the reviews of pairs
(user, item) that stand in its rows may speak. So a held-out user says nothing about any item, a
held-out like says nothing about its item or its user, and an item that is cold in the split has no
reviews. `of="users"` lets every review of a user speak who has rows: that is for items which are
new to the rows, yet reviewed, and it tells about likes that a split holds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from warmstart.core import registry
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, IntArray, Progress
from warmstart.data import Dataset, Id
from warmstart.data.reviews import Reviews
from warmstart.encoders import VectorCache, encode
from warmstart.encoders.reviews import pooled

MODALITY = "reviews"


@dataclass(frozen=True, slots=True)
class EncodedReviews:
    """A dataset with the modality "reviews", and what its users wrote.

    Attributes:
        data: the dataset with the modality.
        users: (users asked for, dim) pooled over what each wrote; zeros where unknown.
        users_known: (users asked for,) who has a vector.
        used: reviews that spoke.
        left_out: reviews of users, items or pairs that are not in the dataset's rows.
        faults: (row of the reviews, why) that could not be encoded.
    """

    data: Dataset
    users: FloatArray
    users_known: npt.NDArray[np.bool_]
    used: int
    left_out: int
    faults: tuple[tuple[int, str], ...]

    def summary(self) -> str:
        """Return one line for a person."""
        items = int(self.data.item_vectors[MODALITY].known.sum())
        line = f"reviews: {items:,} items from {self.used:,} reviews"
        if self.left_out:
            line += f"; {self.left_out:,} are not of the rows and left out"
        if self.faults:
            row, why = self.faults[0]
            line += f"; {len(self.faults):,} could not be encoded (first: row {row + 1}: {why})"
        return line


def encode_reviews(
    data: Dataset,
    reviews: Reviews,
    *,
    users: Sequence[Id] | None = None,
    of: Literal["rows", "users"] = "rows",
    encoder: str = "text",
    vectors: FloatArray | None = None,
    modality: str = MODALITY,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> EncodedReviews:
    """Return the dataset with the items' reviews as a modality, and vectors of users.

    Args:
        data: the training rows, such as `split.train`.
        reviews: any; those which may not speak are left out, see the module.
        users: whose vectors are wanted; by default all of the dataset's, in its order.
        of: "rows" for the reviews of pairs in the rows, "users" for all reviews of users with rows.
        encoder: a registered name.
        vectors: (reviews, dim) in place of the encoder's, such as the preferences that a language
            model extracted (`llm.extract.preference_rows`); rows that are not finite say nothing.
        modality: what it is called in the dataset.
        cache: of vectors; by default the user's.
        progress: told how far it has come.

    Raises:
        ConfigError: no such encoder, or no such `of`.
        DataError: not one vector for each review.
        MissingExtraError: the encoder is not installed.

    Example:
        >>> from warmstart.data.reviews import read_reviews
        >>> data = Dataset.from_tables({"user": ["ann", "bo"], "item": ["a", "b"]})
        >>> reviews = read_reviews(
        ...     {"user": ["ann", "cy"], "item": ["a", "b"], "text": ["A warm sound.", "Too loud."]}
        ... )
        >>> found = encode_reviews(data, reviews)
        >>> found.data.content["reviews"].known.tolist(), found.users_known.tolist()
        ([True, False], [True, False])
    """
    if of not in ("rows", "users"):
        raise ConfigError(f"of={of!r}; give 'rows' or 'users'")
    user = data.users.find(reviews.users.values)[reviews.user]
    item = data.items.find(reviews.items.values)[reviews.item]
    rows = data.pairs
    if of == "rows":
        pairs = rows.user.astype(np.int64) * data.n_items + rows.item
        speaks = np.isin(user * data.n_items + item, pairs) & (user >= 0) & (item >= 0)
    else:
        speaks = np.isin(user, rows.user)
    mine = reviews.where(speaks)
    at = np.flatnonzero(speaks)
    if vectors is None:
        found, faults = _encoded(mine.texts, encoder, cache, progress)
    else:
        found, faults = _given(vectors, len(reviews), at)
    items, known = pooled(found, item[at], user[at], data.n_items)
    again = data.with_item_vectors(
        modality, list(data.items), np.where(known[:, None], items, np.float32(np.nan))
    )
    wanted = data.users.find(list(data.users) if users is None else list(users))
    place = np.full(data.n_users + 1, -1)  # the last is nobody's
    asked = np.unique(wanted[wanted >= 0])
    place[asked] = np.arange(len(asked))
    # what one wrote about one item is one voice, as above what one wrote is
    users_said, users_known = pooled(found, place[user[at]], item[at], len(asked))
    users_said = np.concatenate([users_said, np.zeros((1, found.shape[1]), np.float32)])
    users_known = np.append(users_known, False)
    return EncodedReviews(
        data=again,
        users=users_said[place[wanted]],
        users_known=users_known[place[wanted]],
        used=len(mine) - len(faults),
        left_out=len(reviews) - len(mine),
        faults=tuple((int(at[row]), why) for row, why in faults),
    )


def review_vectors(
    reviews: Reviews,
    ids: Sequence[Id],
    *,
    by: Literal["item", "user"] = "item",
    encoder: str = "text",
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (ids, dim) vectors of new items or new users from all their reviews, and who has one.

    For `add_items(vectors={"reviews": …})`; nothing is held out here.

    Raises:
        ConfigError: no such encoder, or no such `by`.

    Example:
        >>> from warmstart.data.reviews import read_reviews
        >>> rows = {"user": [1, 2], "item": ["a", "a"], "text": ["A warm sound.", "音色温暖"]}
        >>> vectors, known = review_vectors(read_reviews(rows), ["b", "a"])
        >>> vectors.shape, known.tolist()
        ((2, 512), [False, True])
    """
    if by not in ("item", "user"):
        raise ConfigError(f"by={by!r}; give 'item' or 'user'")
    mine, other = (reviews.items, reviews.user) if by == "item" else (reviews.users, reviews.item)
    owner = reviews.item if by == "item" else reviews.user
    at = mine.find(list(ids))
    place = np.full(len(mine), -1)
    asked = np.unique(at[at >= 0])
    place[asked] = np.arange(len(asked))
    rows = np.flatnonzero(place[owner] >= 0)
    texts = [reviews.texts[i] for i in rows]
    vectors, _ = _encoded(texts, encoder, cache, progress)
    found, known = pooled(vectors, place[owner[rows]], other[rows], len(asked))
    found = np.concatenate([found, np.zeros((1, vectors.shape[1]), np.float32)])
    known = np.append(known, False)
    where = np.where(at >= 0, place[np.maximum(at, 0)], -1)
    return found[where], known[where]


def _given(
    vectors: FloatArray, n_reviews: int, at: IntArray
) -> tuple[FloatArray, list[tuple[int, str]]]:
    """Return the vectors of some reviews, and which of them say nothing."""
    every = np.asarray(vectors, np.float32)
    if every.ndim != 2 or len(every) != n_reviews:
        raise DataError(
            f"vectors of the shape {every.shape} for {n_reviews:,} reviews; give one row for each"
        )
    mine = every[at]
    silent = np.flatnonzero(~np.isfinite(mine).all(axis=1)).tolist()
    return mine, [(row, "nothing was read out of it") for row in silent]


def _encoded(
    texts: Sequence[str], name: str, cache: VectorCache | None, progress: Progress | None
) -> tuple[FloatArray, list[tuple[int, str]]]:
    """Return (texts, dim) vectors, NaN where there is none, and why."""
    kind: Any = registry.lookup("encoders", name)
    cache = VectorCache() if cache is None else cache
    done = encode(kind(), texts, cache=cache, progress=progress)
    vectors = np.where(done.known[:, None], done.vectors, np.float32(np.nan))
    return vectors, [(fault.place, fault.why) for fault in done.faults]
