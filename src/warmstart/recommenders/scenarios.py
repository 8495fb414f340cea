"""Scenarios: parts of a catalogue that a model can be tuned to, and lists of candidates from them.

A scenario is what one shelf holds: items that share a value of a column, such as a genre. An item
with several values lies on the smallest of their shelves alone, so no two scenarios share an item,
and what is learned on some says nothing by name about the items of another.

A list asks for one user: these they liked, which of those would they like too? What they liked and
what is asked about both lie on the scenario's shelf.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.errors import DataError
from warmstart.core.types import IntArray
from warmstart.data import Dataset


@dataclass(frozen=True, slots=True)
class Scenario:
    """A part of the catalogue.

    Attributes:
        name: the value that its items share.
        items: (items,) dense indices.
    """

    name: str
    items: IntArray


@dataclass(frozen=True, slots=True)
class Lists:
    """Questions about candidates.

    Attributes:
        users: (lists,) who is asked for.
        shown: (lists, shown) items they liked.
        candidates: (lists, candidates) items, those they liked first.
        liked: (lists, candidates) which of them they liked.
    """

    users: IntArray
    shown: IntArray
    candidates: IntArray
    liked: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)


def scenarios_of(data: Dataset, column: str = "genres") -> tuple[Scenario, ...]:
    """Return the shelves of a catalogue, the largest first.

    Args:
        data: with a table of items.
        column: of values apart by `|`; an item without any is on no shelf.

    Raises:
        DataError: there is no such column, or it has no values.

    Example:
        >>> import pyarrow as pa
        >>> items = pa.table({"item": [1, 2, 3], "genres": ["Drama", "War|Drama", "Drama"]})
        >>> likes = pa.table({"user": [7, 7, 7], "item": [1, 2, 3]})
        >>> shelves = scenarios_of(Dataset.from_tables(interactions=likes, items=items))
        >>> [(s.name, s.items.tolist()) for s in shelves]
        [('Drama', [0, 2]), ('War', [1])]
    """
    table = data.item_table
    if table is None or column not in table.column_names:
        known = "no table of items" if table is None else ", ".join(table.column_names)
        raise DataError(f"items have no column {column!r} to make scenarios of; they have: {known}")
    values = [
        [v.strip() for v in ("" if cell is None else str(cell)).split("|") if v.strip()]
        for cell in table[column].to_pylist()
    ]
    counts = Counter(v for cell in values for v in set(cell))
    shelves: dict[str, list[int]] = {}
    for item, cell in enumerate(values):
        if cell:
            shelves.setdefault(min(cell, key=lambda v: (counts[v], v)), []).append(item)
    if not shelves:
        raise DataError(f"the column {column!r} is empty; name one whose values items share")
    order = sorted(shelves, key=lambda name: (-len(shelves[name]), name))
    return tuple(Scenario(name, np.array(shelves[name])) for name in order)


def who_likes(
    evidence: sp.csr_array, scenario: Scenario, users: IntArray, *, least: int
) -> IntArray:
    """Return those of `users` who like at least `least` items of a scenario."""
    likes = (evidence[users][:, scenario.items] > 0).sum(axis=1)
    return np.asarray(users[np.asarray(likes).ravel() >= least])


def draw_lists(
    evidence: sp.csr_array,
    scenario: Scenario,
    users: IntArray,
    rng: np.random.Generator,
    *,
    shown: int = 4,
    liked: int = 1,
    uniform: int = 7,
    popular: int = 0,
) -> Lists:
    """Return a list for each of `users`; a user may be named more than once.

    Args:
        evidence: (all users, items) signed; above zero is a like.
        scenario: whose items are asked about.
        users: each with at least `shown` + 1 likes on the shelf; with fewer than `shown` + `liked`
            the first of `liked` are all there are, and more of the others fill the list.
        rng: source of the draws.
        shown: likes in the question.
        liked: most further likes among the candidates.
        uniform: candidates without an event of the user, each as likely as another.
        popular: candidates without an event of the user, as likely as they are liked by anybody.

    Raises:
        DataError: a user has too few likes, or the shelf too few items.
    """
    rows = evidence[:, scenario.items].tocsr()
    fame = np.asarray((rows > 0).sum(axis=0), np.float64).ravel() + 0.1
    out_shown, out_candidates, out_liked = [], [], []
    for user in users:
        row = rows[[user]]
        likes = rng.permutation(row.indices[row.data > 0])
        others = rng.permutation(np.setdiff1d(np.arange(len(scenario.items)), row.indices))
        if len(likes) <= shown or len(others) < liked + uniform + popular:
            raise DataError(
                f"user {user} has {len(likes)} likes and {len(others)} items left on the shelf "
                f"{scenario.name!r}; {shown + 1} likes and {liked + uniform + popular} are needed"
            )
        targets = likes[shown : shown + liked]
        known = others[:0]
        if popular:
            weight = fame[others] / fame[others].sum()
            known = rng.choice(others, popular, replace=False, p=weight)
        rest = others[~np.isin(others, known)][: liked - len(targets) + uniform]
        row_of = np.concatenate([targets, rest, known])
        out_shown.append(scenario.items[likes[:shown]])
        out_candidates.append(scenario.items[row_of])
        out_liked.append(np.arange(len(row_of)) < len(targets))
    return Lists(
        np.asarray(users),
        np.array(out_shown, np.int64).reshape(len(users), shown),
        np.array(out_candidates, np.int64),
        np.array(out_liked),
    )


def without_one(lists: Lists, rng: np.random.Generator, scenario: Scenario, n: int) -> Lists:
    """Return lists that ask for each shown item given the others: for a user's gates.

    Args:
        lists: of a scenario.
        rng: source of the draws.
        scenario: whose other items stand beside the one that is asked for.
        n: how many others; none of them is shown or a candidate of the user's list.

    Returns:
        Lists of `shown` - 1 items, those of one user after another.
    """
    users, shown, candidates = [], [], []
    for user, row, asked in zip(lists.users, lists.shown, lists.candidates, strict=True):
        free = np.setdiff1d(scenario.items, np.concatenate([row, asked]))
        for place, item in enumerate(row):
            users.append(user)
            shown.append(np.delete(row, place))
            candidates.append([item, *rng.choice(free, n, replace=False)])
    found = np.array(candidates, np.int64)
    first = np.zeros(found.shape, np.bool_)
    first[:, 0] = True
    return Lists(np.array(users), np.array(shown, np.int64), found, first)
