"""What changes a fitted recommender without training: items come, go, and become known.

Every function returns another `Fitted` and leaves the given one alone, so that a change is whole
or does not happen, and calls that are running finish on the old catalogue.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import Ids
from warmstart.data.content import Block, blocks_of
from warmstart.data.report import OnBadRows
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.encoding import encode_rows, trusted
from warmstart.recommenders.fitted import Fitted
from warmstart.recommenders.new_items import WithNewItems, content_neighbours
from warmstart.recommenders.new_users import read_ids, read_new_users
from warmstart.recommenders.popularity import liked
from warmstart.recommenders.protocols import (
    Adjusts,
    HearsFirstUsers,
    TakesNewContent,
    TakesNewItems,
)


def added(
    served: Fitted,
    table: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
    *,
    vectors: Mapping[str, FloatArray] | None = None,
    root: str | Path | None = None,
    trust_encoders: bool = False,
) -> Fitted:
    """Return what serves further items at the end of the catalogue; see `Recommender.add_items`."""
    items, rows, _ = read_ids(table, "item", served.catalogue.schema.items)
    catalogue = served.catalogue.with_items(items, rows)
    own = _encoded(catalogue, items, rows, vectors, root, trust_encoders)
    new = np.arange(len(served.catalogue), len(catalogue))
    method = served.method
    if isinstance(method, TakesNewItems):
        method = method.with_items(_blocks(catalogue, new) | own, len(new))
    else:
        more = _neighbours(catalogue, new)
        if isinstance(method, WithNewItems):
            more = sp.vstack([method.neighbours, more], format="csr")
            method = method.method
        method = WithNewItems(method, sp.csr_array(more))
    return replace(served, method=method, catalogue=catalogue)


def updated(
    served: Fitted,
    table: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
    *,
    vectors: Mapping[str, FloatArray] | None = None,
    root: str | Path | None = None,
    trust_encoders: bool = False,
) -> Fitted:
    """Return what knows something else of some items; see `Recommender.update_items`."""
    items, rows, _ = read_ids(table, "item", served.catalogue.schema.items)
    at = served.catalogue.indices(items.values)
    catalogue = served.catalogue.with_rows(at, rows)
    own = _encoded(catalogue, items, rows, vectors, root, trust_encoders)
    method = served.method
    if isinstance(method, TakesNewContent):
        method = method.with_content(_blocks(catalogue, at) | own, at)
    elif isinstance(method, WithNewItems):
        first = len(catalogue) - catalogue.n_new
        new = at[at >= first]
        both = sp.vstack([method.neighbours, _neighbours(catalogue, new)], format="csr")
        place = np.arange(catalogue.n_new)
        place[new - first] = catalogue.n_new + np.arange(len(new))
        method = replace(method, neighbours=sp.csr_array(both[place]))
    return replace(served, method=method, catalogue=catalogue)


def removed(served: Fitted, ids: Iterable[str | int]) -> Fitted:
    """Return what never recommends some items again; see `Recommender.remove_items`."""
    if isinstance(ids, str | int):
        raise DataError(f"ids is a list of items, got {ids!r}; write [{ids!r}]")
    at = served.catalogue.indices(list(ids))
    return replace(served, catalogue=served.catalogue.without(at))


def warmed(
    served: Fitted,
    interactions: Any,  # noqa: ANN401  (a frame, a table, columns, a path)
    *,
    on_bad_rows: OnBadRows = "raise",
) -> Fitted:
    """Return what has heard the first users of new items; see `Recommender.warm_up_items`."""
    catalogue, method = served.catalogue, served.method
    if not isinstance(method, HearsFirstUsers):
        raise ConfigError(
            "this method cannot hear the first users of an item; the default method and the "
            "learners on query vectors can"
        )
    users = read_new_users(interactions, None, catalogue, on_bad_rows=on_bad_rows)
    likes = liked(users.histories, len(catalogue))
    first = len(catalogue) - catalogue.n_new
    unmet = catalogue.likes == 0
    unmet[first:] = True
    count = np.bincount(likes.indices, minlength=len(catalogue))
    items = np.flatnonzero(unmet & (count > 0))
    if not len(items):
        raise DataError(
            f"none of the {len(users.histories.items)} events on known items likes a new one; "
            "give the events of the first users of new items, and these users' histories"
        )
    if users.n_unknown_events:
        warnings.warn(
            f"{users.n_unknown_events} events name items outside the catalogue and were left out",
            stacklevel=3,
        )
    known = catalogue.likes.copy()
    known[items[items >= first]] = count[items[items >= first]]
    return replace(
        served,
        method=method.with_first_users(likes, items),
        catalogue=replace(catalogue, likes=known),
    )


def adjusted(served: Fitted, settings: Mapping[str, Any]) -> Fitted:
    """Return what scores under other settings; see `Recommender.adjust`."""
    if not isinstance(served.method, Adjusts):
        raise ConfigError(
            f"{type(served.method).__name__} has no settings of scoring; the default method has"
        )
    try:
        return replace(served, method=served.method.adjusted(**settings))
    except TypeError as error:
        raise ConfigError(
            f"{error}; what can be adjusted is popularity_penalty and cold_norm"
        ) from None


def _encoded(
    catalogue: Catalogue,
    items: Ids,
    rows: pa.Table,
    vectors: Mapping[str, FloatArray] | None,
    root: str | Path | None,
    trust_encoders: bool,
) -> dict[str, Block]:
    """Return the modalities of some items: those that were given, and those encoded from rows."""
    blocks = {name: Block.of_vectors(v) for name, v in (vectors or {}).items()}
    for name, block in blocks.items():
        if len(block.known) != len(items):
            raise DataError(f"{len(block.known)} vectors {name!r} for {len(items)} items")
    if catalogue.item_encoders:
        trusted(catalogue.item_encoders, trust_encoders)
        found, report = encode_rows(catalogue.item_encoders, rows, items, root=root)
        blocks |= found
        report.warn(stacklevel=5)  # whoever called the recommender
    return blocks


def _blocks(catalogue: Catalogue, items: IntArray) -> dict[str, Block]:
    """Return what the columns of categories and numbers say of some items."""
    space = catalogue.item_features
    return {} if space is None else blocks_of(space, _features(catalogue, items))


def _neighbours(catalogue: Catalogue, items: IntArray) -> sp.csr_array:
    """Return (items, trained items) cosines by content."""
    n_old = len(catalogue) - catalogue.n_new
    new, old = (_features(catalogue, which) for which in (items, np.arange(n_old)))
    return content_neighbours(new, old, len(items), n_old)


def _features(catalogue: Catalogue, items: IntArray) -> sp.csr_array | None:
    space, table = catalogue.item_features, catalogue.table
    if space is None or table is None:
        return None
    return space.transform(table.take(pa.array(items)))
