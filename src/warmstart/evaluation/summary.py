"""From the evaluations of several methods on the same tasks to rows, tests and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from warmstart.core.types import IntArray
from warmstart.evaluation.protocol import Evaluation
from warmstart.evaluation.report import Row
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation

HEADLINE = "nDCG@10"

Results = Mapping[str, Mapping[int, Sequence[Evaluation]]]
"""Method → number of shots → one evaluation a split, on the same tasks for all methods."""


def rows_of(
    results: Results, users: Sequence[IntArray], *, scenario: str, seed: int = 0
) -> list[Row]:
    """Return one row per method, shots, metric and split, and the pooled rows, split "all".

    Pooled per-task metrics are means over all tasks, resampled by user; pooled coverage and Gini
    are means over splits, since lists of different splits may come from different catalogues.

    Args:
        results: what the methods did.
        users: for each split, the (tasks,) user of each task.
        scenario: named in the rows.
        seed: of the bootstrap.
    """
    rows: list[Row] = []
    names: list[int | Literal["all"]] = [*range(len(users)), "all"]
    for name in names:
        chosen = list(range(len(users))) if name == "all" else [name]
        cells = [
            (method, shots, metric, np.concatenate([at[s].per_task[metric] for s in chosen]))
            for method, by_shots in results.items()
            for shots, at in by_shots.items()
            for metric in at[0].per_task
        ]
        table = np.column_stack([values for *_, values in cells])
        n_tasks, clusters = len(table), np.concatenate([users[s] for s in chosen])
        low, high = bootstrap_interval(table, seed=seed, clusters=clusters)
        rows += [
            Row(method, scenario, shots, metric, mean, lo, hi, n_tasks, name)
            for (method, shots, metric, _), mean, lo, hi in zip(
                cells, _plain(table.mean(axis=0)), _plain(low), _plain(high), strict=True
            )
        ]
        rows += [
            Row(method, scenario, shots, metric, _mean(values), None, None, n_tasks, name)
            for method, by_shots in results.items()
            for shots, at in by_shots.items()
            for metric in at[0].overall
            for values in [[at[s].overall[metric] for s in chosen]]
        ]
    return rows


def against_best(
    results: Results,
    users: Sequence[IntArray],
    *,
    ours: str,
    others: Sequence[str],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Test `ours` against the best of `others` at every number of shots, pooled over splits.

    The best is the one with the highest mean on these very tasks, which favours `others`. The
    tests are paired by task, flip signs by user, and are corrected by Holm over the shots.

    Returns:
        One record per number of shots: `shots`, `metric`, `ours`, `best`, their means, the
        difference with its interval, its size in percent, `p` and `p_holm`.
    """
    clusters, found = np.concatenate([np.asarray(u) for u in users]), []
    for shots, at in results[ours].items():
        rivals = {name: _pooled(results[name][shots]) for name in others if shots in results[name]}
        if not rivals:
            continue
        mine = _pooled(at)
        best = max(rivals, key=lambda name: float(rivals[name].mean()))
        difference = mine - rivals[best]
        low, high = bootstrap_interval(difference, seed=seed, clusters=clusters)
        theirs = float(rivals[best].mean())
        found.append(
            {
                "shots": shots,
                "metric": HEADLINE,
                "ours": ours,
                "best": best,
                "mean_ours": float(mine.mean()),
                "mean_best": theirs,
                "difference": float(difference.mean()),
                "ci_low": float(low),
                "ci_high": float(high),
                "percent": 100 * float(difference.mean()) / theirs if theirs else None,
                "p": paired_permutation(mine, rivals[best], seed=seed, clusters=clusters),
            }
        )
    corrected = holm(np.array([record["p"] for record in found]))
    return [r | {"p_holm": p} for r, p in zip(found, corrected.tolist(), strict=True)]


def costs(by_shots: Mapping[int, Sequence[Evaluation]]) -> dict[str, Any]:
    """Return microseconds per adaptation and per ranked user: overall means, and by shots."""
    adapt = {k: _mean([e.us_per_adaptation for e in at]) for k, at in by_shots.items()}
    rank = {k: _mean([e.us_per_ranked_user for e in at]) for k, at in by_shots.items()}
    return {
        "us_per_adaptation": round(_mean(list(adapt.values())), 2),
        "us_per_ranked_user": round(_mean(list(rank.values())), 2),
        "us_per_adaptation_by_shots": {str(k): round(v, 2) for k, v in adapt.items()},
        "us_per_ranked_user_by_shots": {str(k): round(v, 2) for k, v in rank.items()},
    }


def _pooled(at: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
    return np.concatenate([e.per_task[HEADLINE] for e in at])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _plain(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(v) for v in np.round(values, 6)]
