"""Items without interactions: they borrow from the items whose content is like theirs.

Content comes in blocks: one for each column of categories or numbers, one for each modality of
vectors (a text, an image, a sound). Every block is centred on the items that have it, brought to
one length, and weighed; an item that lacks a block stands at its mean. Ridge regression from the
blocks to any quantity of the items is linear in that quantity, so one matrix N serves them all: a
new item's vectors, its popularity, its covariances and its rows of the memories are N times those
of the known items (around their mean).

The weights and the penalty are those that rank best an inner set of items that are made cold:
what each user likes of the others is carried over by N, which is a ridge regression per user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.linalg as la
import scipy.sparse as sp

from warmstart.core.layers import Layers, Sparse
from warmstart.core.rng import generator
from warmstart.core.room import with_room
from warmstart.core.types import FloatArray, IntArray
from warmstart.data.content import Block, Content
from warmstart.evaluation.metrics import ndcg
from warmstart.index import top_k
from warmstart.recommenders.memory import truncate
from warmstart.recommenders.parts import Parts, matrix_arrays, matrix_from, narrow

_PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
_WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)
_INNER_ITEMS, _INNER_USERS, _INNER_COLD = 2_500, 1_500, 0.2
_FEWEST = 20  # items; fewer cannot teach anything
_AT_ONCE = 4_096
_TOGETHER = 16  # new items whose rows are summed at once
_PANEL = 1 << 15  # columns of a matrix that lends to many: what it is multiplied by stays in cache
_KEPT_DIMS = 4_096  # of all blocks; up to so many the solved part of the regression is saved
_LENT = 2_000  # weights that are kept of a new item; fewer cost much of its quality


@dataclass(frozen=True)
class ContentMap:
    """How to smooth over the known items by content.

    Attributes:
        content: of the whole catalogue.
        lenders: (lenders,) indices of the items with likes, which lend.
        weights: of each block.
        penalty: ridge penalty.
        quality: nDCG@10 on the items that were made cold to choose all that.
    """

    content: Content
    lenders: IntArray
    weights: Mapping[str, float]
    penalty: float
    quality: float

    @classmethod
    def learn(cls, content: Content, likes: sp.csr_array, *, seed: int = 0) -> Self | None:
        """Choose weights and penalty; None where nothing can be learned.

        Args:
            content: of the catalogue.
            likes: (users, items) ones where a training user likes an item; items that nobody
                likes lend nothing.
            seed: which items are made cold.
        """
        counts = np.bincount(likes.indices, minlength=likes.shape[1])
        lenders = np.flatnonzero(counts > 0)
        content = {n: b for n, b in content.items() if b.dim and b.known[lenders].any()}
        if len(lenders) < _FEWEST or not content:
            return None
        content = {n: b.roomy() for n, b in content.items()}
        rng = generator(seed, "content")
        chosen = np.sort(rng.permutation(lenders)[:_INNER_ITEMS])
        cold = rng.random(len(chosen)) < _INNER_COLD
        profile = likes[:, chosen]
        warm, asked = sp.csr_array(profile[:, ~cold]), sp.csr_array(profile[:, cold])
        users = np.flatnonzero((np.diff(warm.indptr) > 0) & (np.diff(asked.indptr) > 0))
        users = np.sort(rng.permutation(users)[:_INNER_USERS])
        kernels = {name: _kernel(block.take(chosen), ~cold) for name, block in content.items()}
        weights, penalty, quality = dict.fromkeys(content, 1.0), _PENALTIES[1], -np.inf
        if not len(users):
            return cls(content, lenders, weights, penalty, 0.0)._ready()
        warm, asked = warm[users], asked[users]

        def judged(weights: Mapping[str, float], penalty: float) -> float:
            kernel = np.zeros((len(chosen), int((~cold).sum())), np.float32)
            for name, weight in weights.items():
                kernel += np.float32(weight**2) * kernels[name]
            gram = kernel[~cold]
            gram[np.diag_indices(len(gram))] += penalty
            lent = la.solve(gram, kernel[cold].T, assume_a="pos", check_finite=False)
            top, _ = top_k(np.asarray(warm @ lent, np.float32), 10)
            return float(ndcg(top, asked, 10).mean())

        for _ in range(2):
            before = quality
            for name in (None, *content):
                for value in _PENALTIES if name is None else _WEIGHTS:
                    trial = weights if name is None else weights | {name: value}
                    if not any(trial.values()):
                        continue
                    found = judged(trial, value if name is None else penalty)
                    if found > quality:
                        quality, weights = found, dict(trial)
                        penalty = value if name is None else penalty
            if quality <= before:
                break
        return cls(content, lenders, weights, penalty, quality)._ready()

    def lend(self, content: Content) -> FloatArray:
        """Return (new items, lenders) weights N.

        Args:
            content: of the new items; blocks that are not there are lacking.
        """
        n_new = len(next(iter(content.values())).known) if content else 0
        empty = {n: b.take(np.zeros(0, np.int64)) for n, b in self.content.items()}
        rows = self._rows({n: empty[n].grown(content.get(n), n_new) for n in empty})
        weights = la.cho_solve(self._factor, rows.T, check_finite=False).T
        out, start = np.zeros((len(self.lenders), n_new), np.float32), 0
        for name, (mean, weight) in self._scaling.items():
            block = self.content[name]
            own = np.ascontiguousarray(weights[:, start : start + block.dim].T) * np.float32(weight)
            lent = (block.values @ own)[self.lenders] - mean @ own
            out += np.where(block.known[self.lenders, None], lent, np.float32(0))
            start += block.dim
        return out.T

    def likeness(self, neighbours: int) -> sp.csr_array:
        """Return (items, items) inner products of content, of each item's nearest alone.

        Zeros stand for items that nobody likes: what they are worth is borrowed.
        """
        n = len(next(iter(self.content.values())).known)
        whole = self._lending(0, len(self.lenders))
        rows = []
        for start in range(0, len(self.lenders), _AT_ONCE):
            near = np.maximum(whole[start : start + _AT_ONCE] @ whole.T, 0)
            own = np.arange(len(near))
            near[own, start + own] = 0
            rows.append(truncate(near, min(neighbours, near.shape[1])))
        found = sp.coo_array(sp.vstack(rows))
        row, column = found.coords
        return sp.csr_array((found.data, (self.lenders[row], self.lenders[column])), shape=(n, n))

    def borrow(
        self,
        parts: Parts,
        new: IntArray,
        content: Content,
        *,
        neighbours: int,
    ) -> Parts:
        """Return the parts with the items `new` filled in from their content.

        Args:
            parts: fitted parts whose catalogue already has the new items.
            new: (new items,) their indices.
            content: of the new items.
            neighbours: weights kept of an item where a part is sparse.
        """
        return spread(parts, self.lend(content), self.lenders, new, neighbours=neighbours)

    def grown(self, content: Content, n_new: int) -> ContentMap:
        """Return the map for a catalogue with `n_new` further items, which lend nothing."""
        longer = {n: b.grown(content.get(n), n_new) for n, b in self.content.items()}
        grown = replace(self, content=longer)
        for name in ("_factor", "_scaling"):  # the lenders are the same
            if name in self.__dict__:
                grown.__dict__[name] = self.__dict__[name]
        return grown

    def without(self, items: IntArray) -> ContentMap:
        """Return the map in which some items lend nothing."""
        return replace(self, lenders=np.setdiff1d(self.lenders, items))

    def changed(self, content: Content, items: IntArray) -> ContentMap:
        """Return the map with other content of some items; blocks that are not there stay."""
        blocks = {
            name: block.replaced(items, content[name]) if name in content else block
            for name, block in self.content.items()
        }
        changed = replace(self, content=blocks)
        if "_factor" in self.__dict__ and not np.isin(items, self.lenders).any():
            changed.__dict__["_factor"] = self._factor
        return changed

    def rows(self, items: IntArray) -> FloatArray:
        """Return (items, all dims) centred and weighed content of some items."""
        return self._rows(self.of(items))

    def of(self, items: IntArray) -> Content:
        """Return the content of some items."""
        return {name: block.take(items) for name, block in self.content.items()}

    def unmet(self, items: IntArray) -> IntArray:
        """Return those of some items that nobody liked in training."""
        return items[~np.isin(items, self.lenders)]

    def about(self) -> dict[str, Any]:
        """Return what the arrays do not say, as plain values."""
        blocks = [
            {"name": n, "dim": b.dim, "weight": self.weights[n]} for n, b in self.content.items()
        ]
        return {"blocks": blocks, "penalty": self.penalty, "quality": self.quality}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that must be saved, by name."""
        out: dict[str, npt.NDArray[Any]] = {"content.lenders": self.lenders.astype(np.int64)}
        for i, block in enumerate(self.content.values()):
            out |= matrix_arrays(f"content.{i}.values", block.values)
            out[f"content.{i}.known"] = block.known
        if self._dims <= _KEPT_DIMS:
            # the first item that a loaded model is given need not wait seconds for it
            out["content.factor"] = np.tril(self._factor[0])
        return out

    @classmethod
    def restored(
        cls, about: dict[str, Any] | None, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> Self | None:
        """Rebuild from `about` and `arrays`, or None where there is none."""
        if about is None:
            return None
        content = {
            block["name"]: Block(
                matrix_from(dict(arrays), f"content.{i}.values", block["dim"]),
                np.asarray(arrays[f"content.{i}.known"], bool),
            ).roomy()
            for i, block in enumerate(about["blocks"])
        }
        weights = {block["name"]: float(block["weight"]) for block in about["blocks"]}
        lenders = arrays["content.lenders"]
        found = cls(content, lenders, weights, about["penalty"], about["quality"])
        if "content.factor" in arrays:
            factor, dims = arrays["content.factor"], found._dims
            if factor.shape != (dims, dims):
                raise ValueError(f"a factor of {factor.shape} for content of {dims} dimensions")
            found.__dict__["_factor"] = (factor, True)
        return found

    @property
    def _dims(self) -> int:
        """Of all blocks."""
        return sum(block.dim for block in self.content.values())

    def _ready(self) -> Self:
        """Return the map, solved now unless that is large, so that no new item waits for it."""
        if self._dims <= _KEPT_DIMS:
            _ = self._factor
        return self

    @cached_property
    def _scaling(self) -> dict[str, tuple[FloatArray, float]]:
        """Mean and factor of each block."""
        found = {}
        for name, block in self.content.items():
            mean, scale = _centre(block, self.lenders)
            found[name] = mean, self.weights[name] * scale
        return found

    def _rows(self, content: Content) -> FloatArray:
        """Return (items, all dims) centred and weighed content."""
        parts = [
            _centred(content[name], mean) * np.float32(weight)
            for name, (mean, weight) in self._scaling.items()
        ]
        return np.concatenate(parts, axis=1)

    def _lending(self, start: int, n: int = _AT_ONCE) -> FloatArray:
        """Return the rows of some lenders."""
        items = self.lenders[start : start + n]
        return self._rows({n: b.take(items) for n, b in self.content.items()})

    @cached_property
    def _factor(self) -> Any:  # noqa: ANN401  (what SciPy's `cho_factor` returns)
        dims = self._dims
        gram = np.zeros((dims, dims), np.float32)
        for start in range(0, len(self.lenders), _AT_ONCE):
            rows = self._lending(start)
            gram += rows.T @ rows
        gram[np.diag_indices(dims)] += self.penalty
        return la.cho_factor(gram, lower=True, check_finite=False)


def spread(
    parts: Parts,
    smoother: FloatArray,
    known: IntArray,
    new: IntArray,
    *,
    neighbours: int,
    appended: bool = False,
) -> Parts:
    """Return the parts with the items `new` lent to by the items `known`.

    Args:
        parts: fitted parts.
        smoother: (new items, known items) weights N.
        known: (known items,) indices.
        new: (new items,) indices.
        neighbours: weights kept of an item where a part is sparse.
        appended: whether `Parts.grown` has just made room for them: then nobody else has their
            rows of the dense arrays, which are written to, and the sparse ones hold nothing yet.
    """
    around = _around(smoother, known, len(parts.log_popularity))
    one = partial(_filled, around, new, in_place=appended)
    both = partial(_spread_both, smoother, known, new, neighbours, appended=appended)
    encoder = parts.encoder
    if encoder is not None:
        encoder = replace(
            encoder, events=one(encoder.events), items=one(encoder.items), bias=one(encoder.bias)
        )
    belief = parts.belief
    mean, variance = belief.mean.copy(), belief.variance.copy()
    mean[new] = np.exp(one(np.log(np.maximum(belief.mean, 1e-9)))[new])
    variance[new] = mean[new] - mean[new] ** 2
    return replace(
        parts,
        encoder=encoder,
        log_popularity=one(parts.log_popularity),
        recency=parts.recency and replace(parts.recency, rise=one(parts.recency.rise)),
        factors=tuple(f.extended(one(f.factors), new, in_place=appended) for f in parts.factors),
        belief=replace(belief, mean=mean, covariance=both(belief.covariance), variance=variance),
        memories={name: both(m) for name, m in parts.memories.items()},
        lent=_lending_to(smoother, known, new, parts.lent, appended=appended),
    )


def spread_by(
    smoother: FloatArray,
    known: IntArray,
    new: IntArray,
    values: FloatArray,
    *,
    in_place: bool = False,
) -> FloatArray:
    """Return (items, …) values with those of `new` lent by the known items, around their mean.

    Args:
        smoother: (new items, known items) what each lends.
        known: (known items,) their indices.
        new: (new items,) their indices.
        values: of all items.
        in_place: whether `values` may be written to.
    """
    return _filled(_around(smoother, known, len(values)), new, values, in_place=in_place)


def _around(smoother: FloatArray, known: IntArray, n_items: int) -> FloatArray:
    """Return (new items, items) weights with which mean + N (values - mean) is one product."""
    around = smoother + (1 - smoother.sum(axis=1, keepdims=True)) / np.float32(len(known))
    return _over_all(around, known, n_items)


def _filled(around: FloatArray, new: IntArray, values: FloatArray, *, in_place: bool) -> FloatArray:
    lent = around @ values.reshape(len(values), -1)
    out = values if in_place else with_room(values)
    out[new] = lent.reshape(len(new), *values.shape[1:])
    return out


def _over_all(smoother: FloatArray, known: IntArray, n_items: int) -> FloatArray:
    """Return (new items, items) weights that are 0 where an item lends nothing."""
    out = np.zeros((len(smoother), n_items), np.float32)
    out[:, known] = smoother
    return out


def _centre(block: Block, items: IntArray) -> tuple[FloatArray, float]:
    """Return the mean of those of the items that have a block, and what brings them to length 1."""
    items = items[block.known[items]]
    if not len(items):
        return np.zeros(block.dim, np.float32), 0.0
    total, squares = np.zeros(block.dim), 0.0
    for start in range(0, len(items), _AT_ONCE):
        there = block.values[items[start : start + _AT_ONCE]]
        total += np.asarray(there.sum(axis=0)).ravel()
        squares += float(np.square(there.data if sp.issparse(there) else there).sum())
    mean = (total / len(items)).astype(np.float32)
    length = squares / len(items) - float(mean @ mean)
    return mean, float(1 / np.sqrt(max(length, 1e-9)))


def _centred(block: Block, mean: FloatArray) -> FloatArray:
    return np.where(block.known[:, None], block.dense() - mean, np.float32(0))


def _kernel(block: Block, lend: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (items, lenders) inner products of one block, centred on the lenders."""
    mean, scale = _centre(block, np.flatnonzero(lend))
    rows = _centred(block, mean) * np.float32(scale)
    return np.asarray(rows @ rows[lend].T, np.float32)


def _spread_both(
    smoother: FloatArray,
    known: IntArray,
    new: IntArray,
    neighbours: int,
    matrix: FloatArray | Sparse,
    *,
    appended: bool = False,
) -> Any:  # noqa: ANN401  (dense stays dense, sparse stays sparse)
    """Fill the rows and columns of `new` with N times those of the items that lend.

    Where these have just been appended to a sparse matrix, they are laid beside it.
    """
    weights = _over_all(smoother, known, matrix.shape[0])
    if isinstance(matrix, np.ndarray):
        out = matrix if appended else matrix.copy()
        out[new] = weights @ out
        out[:, new] = out @ weights.T
        return out
    if not isinstance(matrix, Layers):
        lent = _rows_and_columns(weights, new, neighbours, [matrix])
        return Layers(matrix, lent) if appended else sp.csr_array(_without(matrix, new) + lent)
    trained, added = matrix.trained, matrix.added
    lent = _rows_and_columns(weights, new, neighbours, [trained, added])
    if not appended:
        trained, added = _without(trained, new), _without(added, new)
    return Layers(trained, sp.csr_array(added + lent))


def _rows_and_columns(
    weights: FloatArray, new: IntArray, neighbours: int, layers: Sequence[sp.csr_array]
) -> sp.csr_array:
    """Return (items, items) the largest entries of the rows and columns that are lent to `new`.

    Args:
        weights: (new items, items).
        new: (new items,) indices.
        neighbours: entries kept of a row, and of a column.
        layers: whose sum lends.
    """
    n, n_items = weights.shape
    width = n_items if n <= _TOGETHER else _PANEL
    at = [slice(start, start + width) for start in range(0, n_items, width)]
    panels = [(p, m if width == n_items else sp.csr_array(m[:, p])) for m in layers for p in at]
    parts = [slice(start, start + _TOGETHER) for start in range(0, n, _TOGETHER)]
    lending = [np.ascontiguousarray(weights[part].T) for part in parts]
    corner = np.zeros((n, n), np.float32)
    bottom, right = [], []
    for part, some in zip(parts, lending, strict=True):
        columns = np.zeros(some.shape, np.float32)
        for p, panel in panels:
            columns += panel @ some[p]
        corner[:, part] = weights @ columns
        columns[new] = 0
        right.append(truncate(np.ascontiguousarray(columns.T), neighbours))
    for part, some in zip(parts, lending, strict=True):
        rows = np.zeros(some.shape[::-1], np.float32)
        for p, panel in panels:
            rows[:, p] += (panel.T @ some).T
        rows[:, new] = corner[part]
        bottom.append(truncate(rows, neighbours))
    below, beside = sp.vstack(bottom).tocoo(), sp.vstack(right).tocoo()
    (row, column), (item, other) = below.coords, beside.coords
    data = np.concatenate([below.data, beside.data])
    places = np.concatenate([new[row], other]), np.concatenate([column, new[item]])
    return narrow(sp.csr_array((data, places), shape=(n_items, n_items)))


def _lending_to(
    smoother: FloatArray,
    known: IntArray,
    new: IntArray,
    before: sp.csr_array,
    *,
    appended: bool = False,
) -> sp.csr_array:
    """Return (items, items) weights from what is liked to new items, with those of `new` as N."""
    columns = truncate(smoother, min(_LENT, smoother.shape[1])).tocoo()
    item, lender = columns.coords
    lent = narrow(sp.csr_array((columns.data, (known[lender], new[item])), shape=before.shape))
    if not before.nnz:
        return lent
    return sp.csr_array((before if appended else _without(before, new)) + lent)


def _without(matrix: sp.csr_array, items: IntArray) -> sp.csr_array:
    """Return the matrix without the rows and columns of some items."""
    gone = np.zeros(matrix.shape[0], bool)
    gone[items] = True
    barred = gone[matrix.indices]
    for item in items:
        barred[matrix.indptr[item] : matrix.indptr[item + 1]] = True
    if not barred.any():
        return matrix
    ends = np.concatenate([[0], np.cumsum(~barred)])[matrix.indptr]
    kept = (matrix.data[~barred], matrix.indices[~barred], ends)
    return sp.csr_array(kept, shape=matrix.shape)
