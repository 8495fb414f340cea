"""What the measurements of cold items share: judging, closed forms to compare with, the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import Dataset
from warmstart.data.content import Block, Content
from warmstart.evaluation.metrics import ndcg, recall
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.recommenders.content import ContentMap

PerTask = npt.NDArray[np.float64]
METRICS: dict[str, Callable[[IntArray, sp.csr_array], PerTask]] = {
    "nDCG@10": lambda top, relevant: ndcg(top, relevant, 10),
    "recall@20": lambda top, relevant: recall(top, relevant, 20),
}


class Judged:
    """What each method did on each split, task by task.

    Attributes:
        found: metric → method → (tasks,) values of each split.
        who: (tasks,) users of each split.
    """

    def __init__(self, metrics: Sequence[str] = ("nDCG@10",)) -> None:
        self.found: dict[str, dict[str, list[PerTask]]] = {name: {} for name in metrics}
        self.who: list[IntArray] = []

    def split(
        self, relevant: FloatArray, users: IntArray, seed: int
    ) -> Callable[[str, FloatArray], None]:
        """Begin a split; return what judges the (users, cold items) scores of a method by name.

        Equal scores, such as those of items without content, are put into an order by lot.

        Args:
            relevant: (users, cold items) what is to be found, above zero.
            users: (users,) who they are.
            seed: of the lots.
        """
        self.who.append(users)
        lot = generator(seed, "ties").permutation(relevant.shape[1])
        wanted = sp.csr_array(relevant[:, lot])

        def judge(name: str, scores: FloatArray) -> None:
            top, _ = top_k(np.ascontiguousarray(scores[:, lot], np.float32), 20)
            for metric, by_method in self.found.items():
                by_method.setdefault(name, []).append(METRICS[metric](top, wanted))
            first = next(iter(self.found.values()))
            print(seed, name, f"{first[name][-1].mean():.4f}", flush=True)

        return judge

    def rows(self, reference: str) -> list[dict[str, Any]]:
        """Return a row for each method: means, intervals, and the first metric against one method.

        Args:
            reference: the method that the others are tested against.
        """
        rows, who = [], np.concatenate(self.who)
        first, *more = self.found
        theirs = np.concatenate(self.found[first][reference])
        for name, parts in self.found[first].items():
            ours = np.concatenate(parts)
            low, high = bootstrap_interval(ours[:, None], clusters=who)
            row: dict[str, Any] = {"method": name, first: float(ours.mean()),
                                   "ci_low": float(low[0]), "ci_high": float(high[0])}  # fmt: skip
            for metric in more:
                row[metric] = float(np.concatenate(self.found[metric][name]).mean())
            if name != reference:
                gap = ours - theirs
                low, high = bootstrap_interval(gap[:, None], clusters=who)
                row["minus_ridge"] = [float(gap.mean()), float(low[0]), float(high[0])]
                row["p"] = paired_permutation(ours, theirs, clusters=who)
            rows.append(row)
        judged = [r for r in rows if "p" in r]
        for row, p in zip(judged, holm(np.array([r["p"] for r in judged])), strict=True):
            row["p_holm"] = float(p)
        return rows


def cosine(block: Block, likes: Any, cold: IntArray, *, centred: bool) -> FloatArray:  # noqa: ANN401
    """Return (users, cold items) cosines with the sum of what each user likes."""
    values = block.dense().copy()
    if centred:
        values[block.known] -= values[block.known].mean(axis=0)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return np.asarray((likes @ values) @ values[cold].T)


def ridge(content: Content, likes: Any, train: Any, cold: IntArray, seed: int) -> FloatArray:  # noqa: ANN401
    """Return (users, cold items) scores of a ridge regression for each user, tuned inside."""
    found = ContentMap.learn(content, train, seed=seed)
    assert found is not None
    lent = found.lend({name: block.take(cold) for name, block in content.items()})
    return np.asarray(likes[:, found.lenders] @ lent.T)


def bare(data: Dataset) -> Dataset:
    """Return a dataset of whose items nothing is known."""
    return replace(data, item_features=None, item_vectors={}, item_encoders=())
