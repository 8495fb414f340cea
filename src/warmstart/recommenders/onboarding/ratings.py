"""Ratings as onboarding reads them: from the training data, from new users, from a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import Histories
from warmstart.data import Dataset
from warmstart.data.evidence import EvidenceRule
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.onboarding.respondents import Respondents, respondents


def training_ratings(data: Dataset) -> sp.csr_array:
    """Return (users, items) ratings, the mean over repeats; what is not stored was not seen.

    Where the data have no ratings, the signed evidence: then only what was met can be learned.
    """
    rows, shape = data.interactions, (data.n_users, data.n_items)
    if rows.rating is None or not data.schema.evidence.reads_ratings:
        return data.evidence().astype(np.float64)
    return _mean(rows.user, rows.item, np.asarray(rows.rating, np.float64), shape)


def ratings_of(
    values: npt.NDArray[np.floating[Any]], rule: EvidenceRule
) -> npt.NDArray[np.float64]:
    """Return the ratings that signed evidence stands for; evidence itself without a scale.

    Example:
        >>> rule = EvidenceRule(low=1, high=5, threshold=4)
        >>> ratings_of(rule.values(np.array([1.0, 3.0, 4.0, 5.0])), rule).round(3).tolist()
        [1.0, 3.0, 4.0, 5.0]
    """
    given: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    if not rule.reads_ratings:
        return given
    low, high, middle = float(rule.low or 0), float(rule.high or 0), float(rule.threshold or 0)
    likes = middle + (given - 0.5) / 0.5 * (high - middle)
    dislikes = low + (given + 1) / 0.9 * (middle - low)
    return np.clip(np.where(given > 0, likes, dislikes), low, high)


@dataclass(frozen=True, slots=True)
class RatedUsers:
    """New users whose ratings were read.

    Attributes:
        people: who can be asked and judged.
        n_unknown: ratings of items outside the catalogue, left out.
        n_alone: users of whom fewer than two ratings are left, left out.
    """

    people: Respondents
    n_unknown: int
    n_alone: int


def read_rated_users(
    source: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
    catalogue: Catalogue,
    *,
    query_share: float = 0.3,
    seed: int = 0,
) -> RatedUsers:
    """Read a table of `user`, `item`, `rating`.

    Args:
        source: the table.
        catalogue: items outside it are left out and counted.
        query_share: of each user's ratings, which judge.
        seed: of the choice of these.

    Raises:
        DataError: it cannot be read, has no rows or no ratings, a rating is off the scale of the
            model, or no user is left.
    """
    data = Dataset.from_tables(source)
    rows, rule = data.interactions, catalogue.schema.evidence
    if rows.rating is None:
        raise DataError("the ratings have no column rating; give user, item and rating")
    given = np.asarray(rows.rating, np.float64)
    missing = np.flatnonzero(~np.isfinite(given))
    if len(missing):
        raise DataError(
            f"{len(missing):,} of {len(given):,} rows have no rating (first: row {missing[0]}); "
            "leave them out"
        )
    if rule.reads_ratings:
        low, high = float(rule.low or 0), float(rule.high or 0)
        off = np.flatnonzero((given < low) | (given > high))
        if len(off):
            raise DataError(
                f"{len(off):,} of {len(given):,} ratings are off the scale of the model, {low:g} "
                f"to {high:g} (first: {given[off[0]]:g}, row {off[0]}); convert them"
            )
    item = _places(catalogue, data)[rows.item]
    known = item >= 0
    matrix = _mean(rows.user[known], item[known], given[known], (data.n_users, len(catalogue)))
    space = catalogue.user_features
    features = None if space is None else space.transform(pa.table({"": pa.nulls(data.n_users)}))
    people = respondents(matrix, query_share=query_share, seed=seed, features=features)
    if not len(people):
        raise DataError(
            f"none of the {data.n_users:,} users has two ratings of items in the catalogue "
            f"({int((~known).sum()):,} ratings are of other items); give ratings of its items"
        )
    return RatedUsers(people, int((~known).sum()), data.n_users - len(people))


def known_values(histories: Histories, rule: EvidenceRule) -> npt.NDArray[np.float64]:
    """Return (events,) the ratings that a history stands for."""
    return ratings_of(histories.values, rule)


def _places(catalogue: Catalogue, data: Dataset) -> npt.NDArray[np.int64]:
    return np.asarray(catalogue.items.find(data.items.values), np.int64)


def _mean(
    user: npt.NDArray[Any],
    item: npt.NDArray[Any],
    rating: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> sp.csr_array:
    """Return the mean rating of each pair; a mean of 0 stays stored."""
    key = user.astype(np.int64) * shape[1] + item
    pairs, at = np.unique(key, return_inverse=True)
    values = np.bincount(at, rating) / np.maximum(np.bincount(at), 1)
    indptr = np.searchsorted(pairs, np.arange(shape[0] + 1) * shape[1])
    return sp.csr_array((values, pairs % shape[1], indptr), shape=shape)
