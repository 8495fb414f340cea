"""Tasks of pairs: one user's ratings or clicks, or one item's, cut into support and query.

The same code draws both roles: a task of an item is a task of a user of the transposed matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from warmstart.core.types import Histories, IntArray
from warmstart.meta.learner import Examples, Tasks
from warmstart.models.pair import PairScorer
from warmstart.recommenders.batches import padded

Array = npt.NDArray[Any]
Role = Literal["user", "item"]


@dataclass(frozen=True, slots=True)
class PairKind:
    """One kind of task.

    Attributes:
        labels: (who, what) the label of every pair that has one; a label may be 0, stored.
        who: user or item: whose tasks these are.
        number: of the kind, among those trained together.
        negatives: pairs drawn evenly, outside the task's own, that join each support and query
            with the label 0, as a share of their pairs: for clicks, where only what happened is
            known.
        binary: whether labels are 0 or 1, and predictions logits.
        weight: how much the tasks of this kind count among others.
    """

    labels: sp.csr_array
    who: Role = "user"
    number: int = 0
    negatives: float = 0.0
    binary: bool = False
    weight: float = 1.0


def draw_pair_tasks(
    kind: PairKind,
    who: IntArray,
    rng: np.random.Generator,
    *,
    offsets: Array,
    known: sp.csr_array | None,
    n_other_features: int,
    max_shots: int,
    query_pairs: int,
    shots: int | None = None,
    id_dropout: float = 0.0,
) -> Tasks:
    """Cut the pairs of each of `who` into a random support and a query.

    Args:
        kind: which pairs.
        who: (tasks,) rows of its matrix, each with two pairs at least.
        rng: source of the cuts.
        offsets: (tasks, kinds, 1 + others) what is said of the other side, in each task's eyes.
        known: (all, features) what is known of each.
        n_other_features: how many features the other side has.
        max_shots: most pairs in a support; how many is drawn evenly from 0 on.
        query_pairs: most pairs in a query.
        shots: pairs in every support, where not drawn.
        id_dropout: share of the pairs whose other side is taken as never met, known by features
            alone, so that such pairs can be asked about.
    """
    rows = kind.labels[who]
    counts = np.diff(rows.indptr)
    row = np.repeat(np.arange(len(who)), counts)
    order = np.lexsort((rng.random(len(row)), row))
    rank = np.arange(len(row)) - np.repeat(rows.indptr[:-1], counts)
    wanted = rng.integers(0, max_shots + 1, len(who)) if shots is None else shots
    n_support = np.minimum(wanted, counts - 1)
    what, label = rows.indices[order], rows.data[order].astype(np.float32)
    first, last = rank < n_support[row], rank < n_support[row] + query_pairs
    features = known_features(known, who)

    def examples(chosen: Array, size: int) -> Examples:
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row[chosen], minlength=len(who)))])
        items, mask = padded(indptr, 1 + what[chosen].astype(np.int64), size)
        labels, _ = padded(indptr, label[chosen], size)
        if kind.negatives:
            items, labels, mask = _with_negatives(items, labels, mask, rows, kind.negatives, rng)
        items = np.where(rng.random(items.shape) < id_dropout, -items, items)
        said = np.take_along_axis(offsets, np.maximum(items, 0)[:, None], axis=2)
        return pair_examples(items, labels, mask, features, said, n_other_features, kind)

    support = examples(first, max_shots)
    if kind.negatives:  # half of the tasks show only what happened, as people do
        shown = rng.random(len(who)) < 0.5
        own = torch.arange(support.mask.shape[1]) < max_shots
        support = replace(support, mask=support.mask & (own | torch.from_numpy(shown)[:, None]))
    query = examples(last & ~first, query_pairs)
    return Tasks.of(support, query)


def pair_support(
    histories: Histories,
    others: Array,
    labels: Array,
    offsets: Array,
    kind: PairKind,
    n_other_features: int,
) -> Examples:
    """Return histories as supports of pairs.

    Args:
        histories: of the users.
        others: (events,) 1 + index of the item of each event, negative where nobody met it.
        labels: (events,) what each event says.
        offsets: (kinds, 1 + items) what is said of the items.
        kind: which kind of task.
        n_other_features: how many features an item has.
    """
    items, mask = padded(histories.indptr, others)
    found, _ = padded(histories.indptr, labels.astype(np.float32))
    features = known_features(histories.features, np.arange(len(histories)))
    return pair_examples(items, found, mask, features, said_of(offsets, items), n_other_features,
                         kind)  # fmt: skip


def pair_query(support: Examples, others: Array, offsets: Array) -> Examples:
    """Return other pairs of the users of some supports, to predict.

    Args:
        support: of the users.
        others: (users, pairs) 1 + index of each item, negative where training has not met it.
        offsets: (kinds, 1 + items) what is said of the items.
    """
    met, (_, _, known, nothing, _, kinds) = torch.from_numpy(others), support.inputs
    said = torch.from_numpy(np.moveaxis(offsets[:, np.maximum(others, 0)], 0, 2))
    inputs = (torch.zeros_like(met), met, known, nothing, said.contiguous(), kinds)
    return Examples.of(inputs, torch.zeros(met.shape), kind=support.kind)


def said_of(offsets: Array, others: Array) -> Array:
    """Return (tasks, kinds, pairs) what is said of the other sides; nothing of those never met.

    Args:
        offsets: (kinds, 1 + others); the first column is zero.
        others: (tasks, pairs) 1 + index of each, negative where training has not met it.
    """
    return np.moveaxis(offsets[:, np.maximum(others, 0)], 0, 1)


def pair_examples(
    others: Array,
    labels: Array,
    mask: Array,
    known: Tensor,
    said: Array,
    n_other_features: int,
    kind: PairKind,
) -> Examples:
    """Return padded pairs of strangers as what a `PairScorer` takes.

    Args:
        others: (tasks, pairs) 1 + index of the other side of each pair, negative where training
            has not met it.
        labels: (tasks, pairs).
        mask: (tasks, pairs) which are real.
        known: (tasks, features) of the stranger.
        said: (tasks, kinds, pairs) the offsets of the other side.
        n_other_features: how many features the known side has.
        kind: which kind of task.
    """
    n = len(others)
    met, stranger = torch.from_numpy(others), torch.zeros(others.shape, dtype=torch.long)
    nothing = torch.zeros(n, n_other_features)
    kinds = torch.full((n,), kind.number, dtype=torch.long)
    offsets = torch.from_numpy(np.ascontiguousarray(np.moveaxis(said, 1, 2), np.float32))
    inputs = (stranger, met, known, nothing, offsets, kinds)
    if kind.who == "item":
        inputs = (met, stranger, nothing, known, offsets, kinds)
    return Examples.of(inputs, torch.from_numpy(labels), torch.from_numpy(mask), kinds)


def together(batches: Sequence[Tasks], weights: Sequence[float]) -> Tasks:
    """Return the tasks of several batches as one.

    Args:
        batches: one of each kind.
        weights: how much each counts.
    """

    def joined(parts: list[Examples]) -> Examples:
        widths = [p.labels.shape[1] for p in parts]
        most = max(widths)

        def one(tensors: tuple[Tensor, ...]) -> Tensor:
            pairs = zip(tensors, widths, strict=True)
            return torch.cat([_widened(x, width, most) for x, width in pairs])

        return Examples(
            tuple(
                torch.cat(xs) if i in PairScorer.per_task else one(xs)
                for i, xs in enumerate(zip(*(p.inputs for p in parts), strict=True))
            ),
            one(tuple(p.labels for p in parts)),
            one(tuple(p.mask for p in parts)),
            torch.cat([p.kind for p in parts]),
        )

    return Tasks(
        joined([b.support for b in batches]),
        joined([b.query for b in batches]),
        torch.cat([b.weight * w / sum(weights) for b, w in zip(batches, weights, strict=True)]),
    )


def _widened(values: Tensor, width: int, wanted: int) -> Tensor:
    """Return (tasks, pairs, …) values with room for more pairs."""
    room = values.new_zeros(len(values), wanted - width, *values.shape[2:])
    return torch.cat([values, room], dim=1)


def known_features(known: sp.csr_array | None, who: IntArray, width: int = 0) -> Tensor:
    """Return (who, features) what is known of some; nothing is known where `known` is None."""
    if known is None:
        return torch.zeros(len(who), width)
    return torch.from_numpy(known[who].toarray().astype(np.float32))


def _with_negatives(
    items: Array,
    labels: Array,
    mask: Array,
    rows: sp.csr_array,
    share: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Add random items outside the task's own pairs with the label 0.

    A draw that hits a pair of the task is drawn again a few times, and then left out.
    """
    n = np.ceil(share * mask.sum(axis=1)).astype(int)
    width, n_items = int(np.ceil(share * items.shape[1])), rows.shape[1]
    first = np.arange(len(items))[:, None] * n_items
    taken = np.repeat(first[:, 0], np.diff(rows.indptr)) + rows.indices
    drawn = rng.integers(0, n_items, (len(items), width))
    for _ in range(8):
        own = np.isin(first + drawn, taken)
        if not own.any():
            break
        drawn[own] = rng.integers(0, n_items, int(own.sum()))
    own = np.isin(first + drawn, taken)
    return (
        np.concatenate([items, 1 + drawn], axis=1),
        np.concatenate([labels, np.zeros(drawn.shape, np.float32)], axis=1),
        np.concatenate([mask, (np.arange(width) < n[:, None]) & ~own], axis=1),
    )
