"""How fair a model's lists are, measured on simulated visitors who liked one item each.

The visitors' one like is drawn by popularity, as a real first click would be, and the same visitors
are asked again as members of each group of the users, so that a gap between groups is the model's
doing and no difference of tastes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.core.types import Histories, IntArray
from warmstart.evaluation.bias import listed_share
from warmstart.evaluation.metrics import coverage, exposure, gini, mean_popularity, percentiles
from warmstart.recommenders.fitted import Fitted

_Ranks = npt.NDArray[np.float64]

K = 10
_VISITORS = 300
_MOST_GROUPS = 12
_LEAST_ITEMS = 2


def measured(fitted: Fitted) -> dict[str, Any]:
    """Return plain figures of the lists of ten that a model gives.

    Args:
        fitted: what ranks.

    Returns:
        `visitors`, `k`; `coverage`, the share of items on at least one list; `gini` of exposure;
        `popularity`, the mean percentile of popularity of what is listed, and `catalogue`, that of
        an item drawn at random; `tail`, the share of places that the less popular half of the items
        gets; `new`, that of items added after training; `groups`, the mean percentile by column of
        the users and group; `gap`, the largest difference inside a column.
    """
    catalogue = fitted.catalogue
    served = np.ones(len(catalogue), bool) if catalogue.removed is None else ~catalogue.removed
    if served.sum() < _LEAST_ITEMS:
        return {"visitors": 0, "k": K, "groups": []}
    rank = np.zeros(len(catalogue))
    rank[served] = percentiles(catalogue.likes[served].astype(np.float64))
    visitors = _visitors(fitted, served)
    top, _ = fitted.rank(visitors, K)
    shown = exposure(top, len(catalogue))[served]
    new = np.arange(len(catalogue)) >= len(catalogue) - catalogue.n_new
    groups = _groups(fitted, visitors, rank)
    return {
        "visitors": len(visitors),
        "k": K,
        "coverage": coverage(shown),
        "gini": gini(shown),
        "popularity": _mean(top, rank),
        "catalogue": float(rank[served].mean()),
        "tail": float(np.nanmean(listed_share(top, rank < 50))),
        "new": float(np.nanmean(listed_share(top, new))),
        "groups": groups,
        "gap": max((group["gap"] for group in groups), default=None),
    }


def _visitors(fitted: Fitted, served: Any) -> Histories:  # noqa: ANN401  (a mask)
    catalogue = fitted.catalogue
    weight = np.where(served, catalogue.likes + 0.5, 0.0)
    rng = generator(0, "bias")
    items = rng.choice(len(weight), _VISITORS, p=weight / weight.sum()).astype(np.int32)
    space = catalogue.user_features
    features = None if space is None else sp.csr_array((_VISITORS, len(space)), dtype=np.float32)
    indptr = np.arange(_VISITORS + 1, dtype=np.int64)
    return Histories(indptr, items, np.ones(_VISITORS, np.float32), None, features)


def _groups(fitted: Fitted, visitors: Histories, rank: _Ranks) -> list[dict[str, Any]]:
    space = fitted.catalogue.user_features
    found = []
    for block in [] if space is None else space.blocks:
        if not 2 <= len(block.values) <= _MOST_GROUPS * 4:
            continue
        names, means = list[str](), list[float]()
        for value in block.values[:_MOST_GROUPS]:
            row = fitted.catalogue.known_of({block.column: value})
            assert row is not None
            same = sp.csr_array(sp.vstack([row] * len(visitors), format="csr"))
            asked = Histories(visitors.indptr, visitors.items, visitors.values, None, same)
            top, _ = fitted.rank(asked, K)
            names.append(str(value))
            means.append(_mean(top, rank))
        figures = [
            {"group": name, "popularity": mean} for name, mean in zip(names, means, strict=True)
        ]
        found.append({"column": block.column, "gap": max(means) - min(means), "groups": figures})
    return found


def _mean(top: IntArray, rank: _Ranks) -> float:
    return float(np.nanmean(mean_popularity(top, rank)))
