"""How lists of candidates are judged: per list, and between methods, a user being one cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.core.rng import generator
from warmstart.evaluation import metrics
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.recommenders.scenarios import Lists

ROUTE, PLAIN = "embedding: ridge", "plain multi-task"
METRICS = ("nDCG@10", "AUC", "AUC against famous films")


def metrics_of(scores: Any, liked: Any, ties: Any, others: int) -> dict[str, Any]:  # noqa: ANN401
    """Return (lists,) values of each metric; equal scores rank by lot.

    Args:
        scores: (lists, candidates).
        liked: (lists, candidates).
        ties: (lists, candidates) an order by lot in each list.
        others: how many candidates, the last, were drawn by fame.
    """
    relevant = sp.csr_array(liked.astype(np.float32))
    order = np.lexsort((ties, -np.asarray(scores, np.float64)), axis=1)
    famous = np.array(scores, np.float32)
    famous[:, : famous.shape[1] - others][~liked[:, : liked.shape[1] - others]] = -np.inf
    return {
        "nDCG@10": metrics.ndcg(order, relevant, 10),
        "AUC": metrics.auc(np.asarray(scores, np.float32), relevant),
        "AUC against famous films": metrics.auc(famous, relevant),
    }


def ndcg_of(scores: Any, lists: Lists) -> Any:  # noqa: ANN401
    """Return (lists,) nDCG@10."""
    ties = by_lot(scores.shape, generator(0, "lot"))
    return metrics_of(scores, lists.liked, ties, 1)["nDCG@10"]


def by_lot(shape: tuple[int, ...], rng: np.random.Generator) -> Any:  # noqa: ANN401
    """Return (lists, candidates) an order of each list by lot."""
    return rng.permuted(np.tile(np.arange(shape[1]), (shape[0], 1)), axis=1)


def rows_of(table: dict[str, dict[str, Any]], clusters: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return means, intervals, and paired differences to the embedding route and plain tuning."""
    rows = []
    for name, values in table.items():
        row: dict[str, Any] = {"method": name}
        for metric, per_list in values.items():
            low, high = bootstrap_interval(per_list, clusters=clusters)
            row[metric] = [float(per_list.mean()), float(low), float(high)]
        for other, key in ((ROUTE, "minus_embedding"), (f"{PLAIN}, adapted", "minus_plain")):
            if name != other and other in table:
                gap = values["nDCG@10"] - table[other]["nDCG@10"]
                low, high = bootstrap_interval(gap, clusters=clusters)
                p = paired_permutation(
                    values["nDCG@10"], table[other]["nDCG@10"], clusters=clusters
                )
                row[key] = [float(gap.mean()), float(low), float(high)]
                row[f"p_{key}"] = p
        rows.append(row)
    for key in ("p_minus_embedding", "p_minus_plain"):
        with_p = [row for row in rows if key in row]
        for row, p in zip(with_p, holm(np.array([r[key] for r in with_p])), strict=True):
            row[key] = float(p)
    return rows


def log_softmax(scores: Any) -> Any:  # noqa: ANN401
    shifted = np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
