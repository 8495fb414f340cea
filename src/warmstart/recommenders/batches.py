"""Episodes as the padded tensors that learners take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from warmstart.core.types import Histories, IntArray
from warmstart.meta.episodes import Episodes
from warmstart.meta.learner import Examples, Params, Tasks
from warmstart.recommenders.adapting import PER_ITEM, evidence_of


def padded(
    indptr: IntArray, values: npt.NDArray[Any], width: int | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return (rows, width) ragged rows filled up with zeros, and where they are real.

    Example:
        >>> padded(np.array([0, 2, 3]), np.array([5, 6, 7]))[0].tolist()
        [[5, 6], [7, 0]]
    """
    lengths = np.diff(indptr)
    width = int(lengths.max(initial=0)) if width is None else width
    mask = np.arange(width) < lengths[:, None]
    out = np.zeros(mask.shape, values.dtype)
    out[mask] = values[np.arange(len(values))]
    return out, mask


def ranking_support(histories: Histories, n_items: int, dislike: float) -> Examples:
    """Return histories as the support of a `QueryVectorScorer`."""
    said = evidence_of(histories, n_items, dislike)
    items, mask = padded(said.indptr, said.indices.astype(np.int64))
    labels, _ = padded(said.indptr, said.data)
    n = len(histories)
    nothing = torch.zeros(n, 0, dtype=torch.long)
    inputs = (torch.from_numpy(items), _known(histories, n), nothing, torch.zeros(n, 0))
    return Examples.of(inputs, torch.from_numpy(labels), torch.from_numpy(mask))


def ranking_tasks(
    episodes: Episodes,
    dislike: float,
    rng: np.random.Generator,
    *,
    most: int,
    kind: IntArray | None = None,
) -> Tasks:
    """Return episodes as tasks of a `QueryVectorScorer`.

    Args:
        episodes: supports and liked queries.
        dislike: what a clear dislike weighs, against 1 for a like.
        rng: draws the query items where there are more than `most`.
        most: query items of one task.
        kind: (episodes,) which kind of task each is, or None for one kind.
    """
    support = ranking_support(episodes.support, episodes.query.shape[1], dislike)
    query = episodes.query
    counts = np.diff(query.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(len(row)), row))
    rank = np.arange(len(row)) - np.repeat(query.indptr[:-1], counts)
    kept = order[rank < most]
    indptr = np.concatenate([[0], np.cumsum(np.minimum(counts, most))])
    items, mask = padded(indptr, query.indices[kept].astype(np.int64))
    inputs = (
        torch.from_numpy(items),
        support.inputs[1],
        support.inputs[0],
        support.mask.to(torch.float32),
    )
    labels = torch.ones(items.shape)
    weight = np.sqrt(counts).astype(np.float32)
    weight /= max(float(weight.sum()), 1e-12)
    kinds = None if kind is None else torch.from_numpy(kind.astype(np.int64))
    return Tasks(
        Examples.of(support.inputs, support.labels, support.mask, kinds),
        Examples.of(inputs, labels, torch.from_numpy(mask), kinds),
        torch.from_numpy(weight),
    )


def over_catalogue(tasks: Tasks, n_items: int) -> Tasks:
    """Return tasks whose query is every item that is not in the support, 1 where relevant."""
    items, known, seen, weight = tasks.query.inputs
    nothing = torch.zeros(len(items), n_items)
    labels = nothing.scatter_add(1, items, tasks.query.mask.to(nothing.dtype)).clamp(max=1)
    mask = nothing.scatter_add(1, seen, weight) == 0
    every = torch.arange(n_items).expand(len(items), n_items)
    query = Examples.of((every, known, seen, weight), labels, mask, tasks.query.kind)
    return replace(tasks, query=query)


@dataclass(frozen=True, slots=True)
class ItemSample:
    """A part of a large catalogue, so that one step costs no more than a small one.

    Its items are those of the tasks and others drawn evenly. The softmax over it stands for the
    one over everything: a logit is raised by the log of how seldom its item is drawn.

    Attributes:
        items: (sample,) catalogue indices, ascending.
        log_chance: (sample,) log of the chance that an item is in such a sample.
        n_items: size of the catalogue.
    """

    items: Tensor
    log_chance: Tensor
    n_items: int

    @classmethod
    def draw(
        cls, tasks: Tasks, share: npt.NDArray[np.floating], size: int, rng: np.random.Generator
    ) -> ItemSample:
        """Draw about `size` items beside those of the tasks.

        Args:
            tasks: whose supports and queries must be in it.
            share: (items,) of the likes.
            size: how many are drawn evenly.
            rng: draws them.
        """
        sides, n_items = (tasks.support, tasks.query), len(share)
        needed = [side.inputs[0][side.mask].numpy() for side in sides]
        events = sum(map(len, needed))
        even = size / n_items
        drawn = np.flatnonzero(rng.random(n_items) < even)
        items = np.unique(np.concatenate([drawn, *needed]))
        missed = (1 - even) * np.exp(-events * share[items])
        chance = np.log(np.maximum(1 - missed, 1e-9)).astype(np.float32)
        return cls(torch.from_numpy(items), torch.from_numpy(chance), n_items)

    def tables(self, meta: Params) -> Params:
        """Return the meta-parameters with the rows of these items alone."""
        out = {n: p[self.items] if n in PER_ITEM else p for n, p in meta.items()}
        return out | {"log_weight": -self.log_chance}

    def tasks(self, tasks: Tasks) -> Tasks:
        """Return the tasks with items numbered by their place in the sample."""
        place = torch.zeros(self.n_items, dtype=torch.long)
        place[self.items] = torch.arange(len(self.items))

        def moved(side: Examples) -> Examples:
            items, known, seen, weight = side.inputs
            return replace(side, inputs=(place[items], known, place[seen], weight))

        return replace(tasks, support=moved(tasks.support), query=moved(tasks.query))

    def spread(self, gradients: Params, meta: Params) -> Params:
        """Return the gradients by all items; nothing for those outside the sample."""
        whole = {n: torch.zeros_like(meta[n]) for n in PER_ITEM if n in gradients}
        for name, gradient in whole.items():
            gradient[self.items] = gradients[name]
        rest = {n: g for n, g in gradients.items() if n != "log_weight"}
        return rest | whole


def _known(histories: Histories, n: int) -> Tensor:
    features: sp.csr_array | None = histories.features
    if features is None:
        return torch.zeros(n, 0)
    return torch.from_numpy(features.toarray().astype(np.float32))
