"""Choose the settings of a baseline on validation users, never on test users.

The validation users are carved out of a split's *training* users by the very rule that made the
split. The best regularisation depends on the number of shots ("per-shot" answers that with one
setting each); in use a method has one setting, so "once" takes the best on average.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from warmstart.core.registry import lookup
from warmstart.core.types import Method, Progress
from warmstart.data import Split, SplitConfig, make_split
from warmstart.evaluation import evaluate
from warmstart.index import top_k
from warmstart.recommenders.popularity import likes_per_item

Settings = dict[str, Any]
Tune = Literal["no", "once", "per-shot"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that won on validation users.

    Attributes:
        by_shots: number of shots → settings.
        seconds: how long the search took.
    """

    by_shots: dict[int, Settings]
    seconds: float = 0.0

    def groups(self) -> list[tuple[Settings, list[int]]]:
        """Return every distinct setting with the numbers of shots that it serves.

        Example:
            >>> Choice({0: {"reg": 1}, 1: {"reg": 3}, 5: {"reg": 1}}).groups()
            [({'reg': 1}, [0, 5]), ({'reg': 3}, [1])]
        """
        found: list[tuple[Settings, list[int]]] = []
        for shots, settings in self.by_shots.items():
            served = next((s for known, s in found if known == settings), None)
            if served is None:
                found.append((settings, [shots]))
            else:
                served.append(shots)
        return found


def grid_of(name: str, tune: Tune) -> Sequence[Settings]:
    """Return the settings to try for the method registered as `name`.

    A method declares what is worth trying in a class attribute `grid`, a tuple of settings; one
    without it chooses for itself while it is fitted.
    """
    grid: Sequence[Settings] = getattr(lookup("methods", name), "grid", ())
    return grid if tune != "no" else ()


def build(name: str, settings: Settings) -> Method:
    """Return the method registered as `name`, not yet fitted, with these settings."""
    kind = lookup("methods", name)
    method: Method = kind(kind.config_type.parse(settings))
    return method


def validation_split(split: Split, seed: int) -> Split:
    """Return a split of the training rows alone, made by the same rule."""
    update: dict[str, Any] = {"seed": seed + 1_000_003}
    if split.config.by == "files":
        update["by"] = "random"
    return make_split(split.train, SplitConfig.parse(split.config.model_dump() | update))


def choose(
    name: str,
    inner: Split,
    shots: Sequence[int],
    *,
    tune: Tune,
    seed: int,
    stage: Callable[[str], Progress],
) -> Choice:
    """Fit every setting of the grid on `inner.train` and keep the best by nDCG@10.

    Args:
        name: of the method; it has a grid.
        inner: the validation split.
        shots: numbers of shots to choose for.
        tune: "once" for one setting that is best on average, "per-shot" for one each.
        seed: given to every fit.
        stage: name of a fit that begins → where it reports to.
    """
    begun, grid = time.perf_counter(), grid_of(name, tune)
    popularity = likes_per_item(inner.train.positives())
    quality = np.empty((len(grid), len(shots)))
    for i, settings in enumerate(grid):
        spelled = ", ".join(f"{key}={value:g}" for key, value in settings.items())
        method = build(name, settings)
        method.fit(inner.train, seed=seed, progress=stage(f"tuning {name}: {spelled}"))
        for j, k in enumerate(shots):
            result = evaluate(
                method,
                inner.tasks.at(k),
                inner.tasks.query,
                ranker=top_k,
                popularity=popularity,
                candidates=inner.tasks.candidates,
                seen=inner.tasks.seen,
                seed=seed,
            )
            quality[i, j] = result.per_task["nDCG@10"].mean()
    best = quality.argmax(axis=0)
    if tune == "once":
        best[:] = quality.mean(axis=1).argmax()
    by_shots = {k: dict(grid[i]) for k, i in zip(shots, best, strict=True)}
    return Choice(by_shots, time.perf_counter() - begun)
