"""Meta-training of a `PairScorer`: one kind of task or several at once, under any learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray, Progress
from warmstart.meta.learner import Learner, Params, Problem, Tasks, check_finite
from warmstart.meta.losses import by_kind, log_loss, squared
from warmstart.meta.outer import outer_loop
from warmstart.meta.settings import OuterConfig
from warmstart.models.pair import PairScorer
from warmstart.recommenders.checkpoint import Checkpoint
from warmstart.recommenders.pair_tasks import PairKind, draw_pair_tasks, together

Arrays = dict[str, npt.NDArray[Any]]
_TABLES = ("user_features", "item_features", "users", "items")
_FIXED = ("user_features", "item_features", "user_offset", "item_offset", "met")
_FOLDS = 10
_EXAM_SHOTS = (1, 5, 20)
_ID_DROPOUT = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """The users, or the items, of the pairs.

    Attributes:
        size: how many there are.
        features: (size, features) what is known of them, or None.
    """

    size: int
    features: sp.csr_array | None

    @property
    def width(self) -> int:
        """How many features there are."""
        return 0 if self.features is None else int(self.features.shape[1])

    def table(self) -> FloatArray:
        """Return (1 + size, features) dense features under a first row that is not read."""
        table = np.zeros((self.size + 1, self.width), np.float32)
        if self.features is not None:
            table[1:] = self.features.toarray()
        return table


@dataclass(frozen=True, slots=True)
class PairTraining:
    """How to train.

    Attributes:
        block: which parameters gradient learners move, "all" or "head".
        embedding_dim: width of the vectors of ids, for each kind of users' tasks.
        hidden: widths of the hidden layers.
        dropout: see `warmstart.models.pair`.
        max_shots: most pairs in a support.
        query_pairs: most pairs in a query.
        shrinkage: labels of the overall mean with which every offset starts.
        weakness: see `warmstart.meta.losses.squared`, where it is the shrinkage.
        validation_fraction: share of the users, and of the items (at most 1,000 each), whose tasks
            choose the weights.
        outer: the outer loop; a batch holds `batch_size` tasks of every kind.
    """

    block: str
    embedding_dim: int
    hidden: tuple[int, ...]
    dropout: float
    max_shots: int
    query_pairs: int
    shrinkage: float
    weakness: float
    validation_fraction: float
    outer: OuterConfig


def pair_problem(arrays: Mapping[str, npt.NDArray[Any]], kinds: Sequence[PairKind],
                 how: PairTraining) -> Problem:  # fmt: skip
    """Return the network over these tables with the losses of these kinds."""
    tables = (torch.from_numpy(np.asarray(arrays[n], np.float32)) for n in _TABLES)
    model = PairScorer(*tables, kinds=len(kinds), hidden=how.hidden, dropout=how.dropout)
    losses = [(log_loss if kind.binary else squared)(how.weakness) for kind in kinds]
    return Problem.of(model, losses[0] if len(losses) == 1 else by_kind(losses), block=how.block)


def train_pairs(
    kinds: Sequence[PairKind],
    users: Side,
    items: Side,
    learner: Learner,
    how: PairTraining,
    *,
    seed: int,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    name_of: Callable[[str, int], str] = "{} {}".format,
) -> Arrays:
    """Meta-train on tasks of several kinds at once and return everything learned, by name.

    Args:
        kinds: which pairs; kind i has the number i.
        users: of the pairs.
        items: of the pairs.
        learner: how to adapt.
        how: settings.
        seed: the same seed gives the same result.
        progress: told how far training has come.
        checkpoint: where to keep the training, and to continue it from.
        name_of: (role, index) → what a task is called in errors.

    Raises:
        DivergedError: an inner loop ran away.
    """
    title, rng = type(learner).__name__, generator(seed, "pairs", type(learner).__name__)
    kinds, held, trained = _hold_out(kinds, users.size, items.size, how, rng)
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        folds = {side: rng.integers(1, _FOLDS + 1, n) for side, n in
                 (("user", users.size), ("item", items.size))}  # fmt: skip
        for kind, out in zip(kinds, held, strict=True):
            folds[kind.who][out] = 0  # they are not in what is said at all
        offsets = _offsets(kinds, trained, folds, how.shrinkage)
        arrays = _tables(kinds, trained, users, items, offsets, how, generator(seed, "factors"))
        problem = pair_problem(arrays, kinds, how)
        meta = {n: torch.nn.Parameter(p) for n, p in learner.init(problem).items()}
        able = [i for i, rows in enumerate(trained) if len(rows)]
        if not able:
            return _export(meta, arrays)

        def tasks_of(
            i: int,
            who: IntArray,
            rng: np.random.Generator,
            **more: Any,  # noqa: ANN401  (what `draw_pair_tasks` takes)
        ) -> Tasks:
            own, other = (users, items) if kinds[i].who == "user" else (items, users)
            return draw_pair_tasks(
                kinds[i],
                who,
                rng,
                offsets=offsets[kinds[i].who][folds[kinds[i].who][who]],
                known=own.features,
                n_other_features=other.width,
                max_shots=how.max_shots,
                query_pairs=how.query_pairs,
                **more,
            )

        def step(rng: np.random.Generator) -> float:
            drawn = [
                rng.choice(trained[i], min(how.outer.batch_size, len(trained[i])), replace=False)
                for i in able
            ]
            batches = [
                tasks_of(i, who, rng, id_dropout=_ID_DROPOUT)
                for i, who in zip(able, drawn, strict=True)
            ]
            tasks = together(batches, [kinds[i].weight for i in able])
            called = [(kinds[i].who, int(w)) for i, who in zip(able, drawn, strict=True)
                      for w in who]  # fmt: skip
            values = {n: p.detach() for n, p in meta.items()}
            problem.model.train()
            losses, gradients = learner.gradients(problem, values, tasks)
            check_finite(losses, values, learner.config, lambda t: "of " + name_of(*called[t]))
            for name, gradient in gradients.items():
                meta[name].grad = gradient
            return float((tasks.weight * losses).sum())

        exams = [
            tasks_of(i, held[i], generator(seed, "exam", i, k), shots=k)
            for i in able
            for k in sorted({min(k, how.max_shots) for k in _EXAM_SHOTS})
            if len(held[i])
        ]
        problem.model.eval()
        before = [mean_loss(learner, problem, _values(meta), e) for e in exams]

        def validate() -> float:
            problem.model.eval()
            now = [mean_loss(learner, problem, _values(meta), e) for e in exams]
            return -float(np.mean(np.array(now) / np.maximum(before, 1e-9)))

        def on_step(done: int, total: int, loss: float) -> None:
            if progress is not None and (done == total or done % 5 == 0):
                progress(done, total, f"meta-training {title} on pairs, loss {loss:.3f}")

        outer_loop(
            meta,
            step,
            max(len(trained[i]) for i in able),
            how.outer,
            rng=generator(seed, "episodes"),
            decayed=("users", "items"),
            validate=validate if exams else None,
            on_step=on_step,
            resume=None if checkpoint is None else checkpoint.stored(title),
            on_check=None if checkpoint is None else partial(checkpoint.store, title),
        )
        return _export(meta, arrays)


def mean_loss(learner: Learner, problem: Problem, meta: Params, tasks: Tasks) -> float:
    """Return the mean query loss after adapting to the supports."""
    adapted = learner.adapt(problem, meta, tasks.support)
    return float(problem.losses(meta, adapted, tasks.query).detach().mean())


def asked(arrays: Arrays, items: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the indices by which a `PairScorer` knows items: negative where nobody met them."""
    return np.where(arrays["met"][items], 1 + items, -1 - items).astype(np.int64)


def served(arrays: Arrays) -> Params:
    """Return the meta-parameters among the arrays."""
    return {
        n: torch.from_numpy(np.array(a, np.float32)) for n, a in arrays.items() if n not in _FIXED
    }


def _hold_out(
    kinds: Sequence[PairKind],
    n_users: int,
    n_items: int,
    how: PairTraining,
    rng: np.random.Generator,
) -> tuple[list[PairKind], list[IntArray], list[IntArray]]:
    """Return the kinds, and of each the tasks that choose the weights and those trained on.

    The same users are held out of all kinds of users' tasks, and out of the items' tasks.
    """
    sizes = {"user": n_users, "item": n_items}
    apart = {
        role: rng.permutation(n)[: min(int(how.validation_fraction * n), 1_000)]
        for role, n in sizes.items()
    }
    kept: list[PairKind] = []
    held: list[IntArray] = []
    trained: list[IntArray] = []
    for kind in kinds:
        if kind.who == "item":
            kind = replace(kind, labels=_without(kind.labels, apart["user"]))
        able = np.flatnonzero(np.diff(kind.labels.indptr) >= 2)
        out = np.isin(able, apart[kind.who])
        kept.append(kind)
        held.append(able[out])
        trained.append(able[~out])
    return kept, held, trained


def _without(labels: sp.csr_array, columns: IntArray) -> sp.csr_array:
    """Return the matrix without the entries of some columns, stored zeros kept."""
    left = ~np.isin(labels.indices, columns)
    rows = np.repeat(np.arange(labels.shape[0]), np.diff(labels.indptr))[left]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=labels.shape[0]))])
    return sp.csr_array((labels.data[left], labels.indices[left], indptr), shape=labels.shape)


def _tables(
    kinds: Sequence[PairKind],
    trained: Sequence[IntArray],
    users: Side,
    items: Side,
    offsets: Mapping[str, FloatArray],
    how: PairTraining,
    rng: np.random.Generator,
) -> Arrays:
    """Return the network's tables; vectors start at truncated SVD.

    The dimensions of each kind of users' tasks stand side by side.
    """
    dim, sizes = how.embedding_dim, (users.size, items.size)
    width = dim * sum(kind.who == "user" for kind in kinds)
    vectors = [rng.normal(0, 0.03, (n + 1, width)).astype(np.float32) for n in sizes]
    of_users = [i for i, kind in enumerate(kinds) if kind.who == "user"]
    for i, kind in enumerate(kinds):
        if kind.who != "user":
            continue
        labels = kind.labels[trained[i]]
        share = np.arange(dim) + dim * of_users.index(i)
        left = labels.astype(np.float64)
        left.data = left.data - (0 if kind.binary else offsets["user"][0, i, 1 + left.indices])
        rank = min(len(share), min(left.shape) - 1)
        if rank < 1 or not np.abs(left.data).sum() > 0:
            continue
        u, s, vt = svds(left, k=rank, v0=rng.normal(size=min(left.shape)))
        scale, columns = np.sqrt(len(trained[i])), share[:rank]
        vectors[0][np.ix_(1 + trained[i], columns)] += (u * scale).astype(np.float32)
        vectors[1][1:, columns] += (vt.T * (s / scale)).astype(np.float32)
    met = np.zeros(items.size, bool)
    for kind, rows in zip(kinds, trained, strict=True):
        if kind.who == "user":
            met[kind.labels[rows].indices] = True
    return {
        "met": met,
        "users": vectors[0],
        "items": vectors[1],
        "user_features": users.table(),
        "item_features": items.table(),
        "user_offset": offsets["item"][0],
        "item_offset": offsets["user"][0],
    }


def _offsets(
    kinds: Sequence[PairKind],
    trained: Sequence[IntArray],
    folds: Mapping[str, IntArray],
    shrinkage: float,
) -> dict[str, FloatArray]:
    """Return for each role (1 + folds, kinds, 1 + others) what is said of the other side.

    The first is what all tasks say; the others leave out one fold of the tasks each, so that no
    task finds its own labels in what is said. The first column is the stranger's: nothing.
    """
    most = {role: max((k.labels.shape[1] for k in kinds if k.who == role), default=0)
            for role in folds}  # fmt: skip
    found = {role: np.zeros((1 + _FOLDS, len(kinds), 1 + n), np.float32)
             for role, n in most.items()}  # fmt: skip
    for i, (kind, rows) in enumerate(zip(kinds, trained, strict=True)):
        labels, n = kind.labels[rows], kind.labels.shape[1]
        fold = np.repeat(folds[kind.who][rows], np.diff(labels.indptr))
        place, shape = fold * n + labels.indices, (1 + _FOLDS, n)
        counts = np.bincount(place, minlength=shape[0] * n).reshape(shape)
        sums = np.bincount(place, labels.data, minlength=shape[0] * n).reshape(shape)
        left_out = np.arange(1 + _FOLDS)[:, None] > 0
        counts, sums = (x.sum(axis=0) - np.where(left_out, x, 0) for x in (counts, sums))
        found[kind.who][:, i, 1:] = _offset(counts, sums, kind, shrinkage)
    return found


def _offset(counts: Any, sums: Any, kind: PairKind, shrinkage: float) -> FloatArray:  # noqa: ANN401
    """Return a shrunken mean, or shrunken log-odds, from (folds, others) counts and sums."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if kind.negatives:  # what is counted is who met it, against pairs drawn evenly
        return np.asarray(np.log((counts + 1.0) / total * counts.shape[1]), np.float32)
    if not kind.binary:
        return np.asarray(sums / np.maximum(counts + shrinkage, 1e-9), np.float32)
    mean = np.clip(sums.sum(axis=1, keepdims=True) / total, 0.01, 0.99)
    share = (sums + (shrinkage + 1) * mean) / (counts + shrinkage + 1)
    return np.asarray(np.log(share) - np.log1p(-share), np.float32)


def _values(meta: Mapping[str, Tensor]) -> Params:
    return {n: p.detach() for n, p in meta.items()}


def _export(meta: Mapping[str, Tensor], arrays: Arrays) -> Arrays:
    fixed = {n: arrays[n] for n in _FIXED}
    return fixed | {n: p.detach().numpy().copy() for n, p in meta.items()}
