"""What a recommender returns: one user's list with reasons, or many users' lists as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from warmstart.core.types import FloatArray, IntArray
from warmstart.data import Ids

if TYPE_CHECKING:
    from warmstart.meta.exploring import Explored
    from warmstart.recommenders.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One line of a list.

    Attributes:
        item: external id.
        title: what people call it.
        score: higher is better; comparable within one list only.
        rank: from 1.
        reason: one honest line why it is here, or "" if reasons were not asked for.
        propensity: probability with which it stands at this rank; 1 unless the list explores.
        explored: whether it was put here to learn whether it suits.
    """

    item: str | int
    title: str
    score: float
    rank: int
    reason: str = ""
    propensity: float = 1.0
    explored: bool = False


def append_log(path: Path, listed: Sequence[Recommendation], *, request: str, now: float) -> None:
    """Append what was shown to a JSON Lines file: one line per place, for off-policy evaluation.

    The lines hold `request`, `time`, `rank`, `item`, `propensity`, `explored`. Joined with what was
    clicked, they are the columns of `warmstart.evaluation.ope.Impressions`.

    Args:
        path: made if it is not there.
        listed: what was shown.
        request: by which clicks find their list again.
        now: seconds since the epoch.
    """
    rows = (
        {
            "request": request,
            "time": now,
            "rank": line.rank,
            "item": line.item,
            "propensity": line.propensity,
            "explored": line.explored,
        }
        for line in listed
    )
    with path.open("a", encoding="utf8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of many users.

    Attributes:
        items: (users, k) dense item indices, best first; -1 where a list has run out of items.
        scores: (users, k) float32; -inf where `items` is -1.
        users: external user ids, or None where users have none.
        catalogue: external item ids.
        n_unknown_events: events that were left out because their item is not in the catalogue.
        n_unknown_users: users who had events, none of them known: their lists are zero-shot.
        propensity: (users, k) probability of each item to stand where it stands; None unless the
            lists explore.
        explored: (users, k) whether a place was given to learn whether its item suits.
    """

    items: IntArray
    scores: FloatArray
    users: Ids | None
    catalogue: Ids
    n_unknown_events: int = 0
    n_unknown_users: int = 0
    propensity: npt.NDArray[np.float64] | None = None
    explored: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[list[str | int]]:
        """Yield every user's list of external item ids."""
        for row in self.items:
            yield self.catalogue.take(row[row >= 0])

    def table(self) -> pa.Table:
        """Return the Arrow table `user, item, rank, score`, rank from 1, ids of their own type.

        Users without external ids are numbered from 0. Lists that explore have `propensity` and
        `explored`, too: joined with what was clicked, that is a log for `evaluation.ope`.
        """
        row, place = np.nonzero(self.items >= 0)
        items = self.catalogue.values.take(pa.array(self.items[row, place].astype(np.int64)))
        users = pa.array(row) if self.users is None else self.users.values.take(pa.array(row))
        columns = {
            "user": users,
            "item": items,
            "rank": pa.array((place + 1).astype(np.int32)),
            "score": pa.array(self.scores[row, place].astype(np.float32)),
        }
        if self.propensity is not None and self.explored is not None:
            columns["propensity"] = pa.array(self.propensity[row, place])
            columns["explored"] = pa.array(self.explored[row, place])
        return pa.table(columns)


def numbered(
    catalogue: Catalogue, items: IntArray, scores: FloatArray, reasons: Sequence[str]
) -> list[Recommendation]:
    """Return the lines of one list: items by their dense indices, their scores and reasons."""
    return [
        Recommendation(
            catalogue.items[int(item)], catalogue.titles.title(int(item)), float(score), rank, why
        )
        for rank, (item, score, why) in enumerate(zip(items, scores, reasons, strict=False), 1)
    ]


def with_propensities(listed: list[Recommendation], explored: Explored) -> list[Recommendation]:
    """Return a list that says how probable each of its places was, and which were explored."""
    return [
        replace(
            line,
            propensity=float(p),
            explored=bool(new),
            reason=f"to learn whether it suits you; {line.reason}"
            if new and line.reason
            else line.reason,
        )
        for line, p, new in zip(listed, explored.propensity[0], explored.new[0], strict=False)
    ]
