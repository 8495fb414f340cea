"""The comparison: methods × splits × shots on cold users, with intervals, tests and costs.

On fairness: every baseline is tuned on validation users out of the training rows, then fitted
again on all of them; all methods rank the same candidates for the same tasks.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import Progress, Scorer
from warmstart.data import Dataset, Split, SplitConfig, make_split
from warmstart.evaluation import Evaluation, Report, evaluate, shuffled_support
from warmstart.evaluation.protocol import PROTOCOL
from warmstart.evaluation.summary import against_best, costs, rows_of
from warmstart.index import top_k
from warmstart.recommenders.popularity import likes_per_item
from warmstart.recommenders.tuning import Choice, Tune, build, choose, grid_of, validation_split

CONTROL = "(shuffled support)"


class CompareConfig(Config):
    """Settings of a comparison.

    Attributes:
        methods: registered names; the first is tested against the best of the others.
        scenario: warm, user-cold, item-cold or both-cold.
        tasks_of: "users", or "items": the roles exchanged, a new item and its first users.
        shots: sizes of the support set.
        splits: how many splits, made with the seeds `seed`, `seed + 1`, …
        seed: of splits, fits, resamples and permutations.
        tune: whether baselines get one setting ("once"), one for each number of shots
            ("per-shot", a stronger opponent), or their defaults ("no").
        shuffled: also run the first method on supports that belong to other users.
        split: further settings of the splits, see `warmstart.data.SplitConfig`.
    """

    methods: tuple[str, ...] = ("default", "popularity", "itemknn", "ease", "ials", "multvae")
    scenario: Literal["warm", "user-cold", "item-cold", "both-cold"] = "user-cold"
    tasks_of: Literal["users", "items"] = "users"
    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    splits: int = Field(3, ge=1)
    seed: int = Field(0, ge=0)
    tune: Tune = "once"
    shuffled: bool = True
    split: dict[str, Any] = Field(default_factory=dict)

    @field_validator("methods", "shots")
    @classmethod
    def _some_and_distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError("give at least one, and none twice")
        return values

    @field_validator("shots")
    @classmethod
    def _ascending(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        if min(shots) < 0:
            raise ValueError("a number of shots cannot be negative")
        return tuple(sorted(shots))

    def split_config(self, number: int) -> SplitConfig:
        """Return the settings of one split."""
        values = {"scenario": self.scenario, "seed": self.seed + number, **self.split}
        chosen = SplitConfig.parse(values)
        if max(self.shots) > chosen.max_shots:
            raise ConfigError(
                f"shots={max(self.shots)} is more than the split's max_shots={chosen.max_shots}; "
                "ask for fewer shots or raise max_shots"
            )
        return chosen


def run_comparison(
    data: Dataset,
    config: CompareConfig | None = None,
    *,
    splits: Sequence[Split] | None = None,
    fitted: Mapping[str, Scorer] | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Report:
    """Compare methods on `data` and return every number with its interval.

    Args:
        data: the whole dataset; splits are made of it here.
        config: what to compare.
        splits: ready-made splits of `data` instead, the roles exchanged where they shall be.
        fitted: methods that were already fitted on `splits[0].train`; one split only.
        progress: where to report.
        command: the command line, for the record.

    Raises:
        ConfigError: an unknown method or setting, or `fitted` without exactly one ready split.
        DataError: the data cannot be split as asked.
        MissingExtraError: a method needs an extra that is not installed.

    Example:
        >>> from warmstart.data import load_dataset
        >>> config = CompareConfig(methods=("itemknn", "popularity"), shots=(0, 5), splits=1)
        >>> report = run_comparison(load_dataset("synthetic"), config)
        >>> report.value("itemknn", 5) > report.value("popularity", 5)
        True
    """
    begun, config, fitted = time.perf_counter(), config or CompareConfig(), fitted or {}
    if fitted and (splits is None or len(splits) != 1):
        raise ConfigError("fitted methods need the one split whose training rows they saw")
    if config.tasks_of == "items" and splits is None:
        data = data.exchanged()
    n_splits = config.splits if splits is None else len(splits)
    wanted = [config.split_config(s) for s in range(n_splits)] if splits is None else []
    stages = _Stages(_work(config, n_splits, fitted), progress)
    ours, control = config.methods[0], f"{config.methods[0]} {CONTROL}"
    results: dict[str, dict[int, list[Evaluation]]] = {}
    settings: dict[str, list[Any]] = {name: [] for name in config.methods}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in config.methods}
    users, about = [], []
    for number in range(n_splits):
        split = make_split(data, wanted[number]) if splits is None else splits[number]
        users.append(np.asarray(split.tasks.users))
        about.append(_about(split))
        inner: Split | None = None
        for name in config.methods:
            choice = Choice({k: {} for k in config.shots})
            if name not in fitted and grid_of(name, config.tune):
                inner = inner or validation_split(split, config.seed + number)
                choice = choose(
                    name,
                    inner,
                    config.shots,
                    tune=config.tune,
                    seed=config.seed + number,
                    stage=stages.named(f"split {number + 1}/{n_splits}"),
                )
            spent, report = 0.0, stages.begin(f"split {number + 1}/{n_splits}, {name}")
            for chosen, shots in choice.groups():
                start = time.perf_counter()
                method = fitted.get(name)
                if method is None:
                    method = build(name, chosen)
                    method.fit(split.train, seed=config.seed + number, progress=report)
                spent += time.perf_counter() - start
                for k in shots:
                    _add(results, name, k, _judge(method, split, k))
                    if config.shuffled and name == ours and k:
                        shuffled = _judge(method, split, k, shuffle=config.seed)
                        _add(results, control, k, shuffled)
            settings[name].append(_spelled(choice))
            seconds[name].append((spent / len(choice.groups()), choice.seconds))
    stages.end()
    results = {name: dict(sorted(by_shots.items())) for name, by_shots in results.items()}
    timings = {
        name: {
            "fit_seconds": None  # it came fitted
            if name in fitted
            else round(float(np.mean([fit for fit, _ in spent])), 3),
            "tune_seconds": round(float(np.mean([tune for _, tune in spent])), 3),
            **costs(results[name]),
        }
        for name, spent in seconds.items()
    }
    run = {
        "command": command,
        "config": config.model_dump(mode="json"),
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "hardware": hardware(),
        "protocol": PROTOCOL,
        "scenario": config.scenario,
        "seeds": [config.seed + number for number in range(n_splits)],
        "settings": settings,
        "significance": against_best(
            results, users, ours=ours, others=config.methods[1:], seed=config.seed
        ),
        "splits": about,
        "timings": timings,
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }
    rows = rows_of(results, users, scenario=config.scenario, seed=config.seed)
    return Report(run, tuple(rows))


class _Stages:
    """One bar over many fits: each is a stage, told in hundredths."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.progress, self.begun = max(1, total), progress, 0

    def begin(self, title: str) -> Progress:
        before, self.begun = self.begun, self.begun + 1

        def report(done: int, total: int, message: str) -> None:
            if self.progress is not None:
                share = min(100, 100 * done // max(1, total))
                self.progress(100 * before + share, 100 * self.total, message)

        report(0, 1, title)
        return lambda done, total, message: report(done, total, f"{title}: {message}")

    def named(self, prefix: str) -> Any:  # noqa: ANN401  (a callable from title to Progress)
        return lambda title: self.begin(f"{prefix}, {title}")

    def end(self) -> None:
        if self.progress is not None:
            self.progress(100 * self.total, 100 * self.total, "done")


def _work(config: CompareConfig, n_splits: int, fitted: Mapping[str, Scorer]) -> int:
    """Return how many fits there will be; an unknown method is refused before any of them."""
    return n_splits * sum(
        1 if name in fitted else 1 + len(grid_of(name, config.tune)) for name in config.methods
    )


def _judge(method: Scorer, split: Split, shots: int, shuffle: int | None = None) -> Evaluation:
    support = split.tasks.at(shots)
    given = support
    if shuffle is not None:
        given = shuffled_support(support, generator(shuffle, "shuffled", shots))
    return evaluate(
        method,
        given,
        split.tasks.query,
        ranker=top_k,
        popularity=likes_per_item(split.train.positives()),
        candidates=split.tasks.candidates,
        seen=split.tasks.seen or support,
        seed=split.config.seed,
    )


def _add(
    results: dict[str, dict[int, list[Evaluation]]], name: str, shots: int, result: Evaluation
) -> None:
    results.setdefault(name, {}).setdefault(shots, []).append(result)


def _spelled(choice: Choice) -> dict[str, Any]:
    """Return the one setting, or the setting of each number of shots."""
    groups = choice.groups()
    return groups[0][0] if len(groups) == 1 else {str(k): s for k, s in choice.by_shots.items()}


def _about(split: Split) -> dict[str, Any]:
    return {
        "config": split.config.model_dump(mode="json"),
        "fingerprint": split.fingerprint,
        "tasks": len(split.tasks.users),
        "training_rows": len(split.train.interactions.user),
    }


def hardware() -> dict[str, Any]:
    """Return what this machine computes with, for the record of a result."""
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    return {"cpus": os.cpu_count(), "machine": platform.machine(), "processor": name}


def versions() -> dict[str, str]:
    """Return the versions of Python and of what decides the numbers, for the record of a result."""
    found = {"python": platform.python_version()}
    for package in ("warmstart", "numpy", "scipy", "torch", "implicit"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
