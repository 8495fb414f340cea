"""A model, judged on people it has never met: accuracy, bias, gaps, calibration, in one value."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray, Progress, Scorer, State
from warmstart.data import Dataset, FeatureSpace, Tasks
from warmstart.evaluation import Evaluation, evaluate, shuffled_support
from warmstart.evaluation.bias import group_gap, liked_popularity
from warmstart.evaluation.metrics import percentiles
from warmstart.evaluation.protocol import PROTOCOL
from warmstart.evaluation.significance import holm
from warmstart.evaluation.summary import against_best, rows_of
from warmstart.index import top_k
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.popularity import Popularity
from warmstart.recommenders.recommender import Recommender
from warmstart.recommenders.reporting.findings import SHUFFLED, Findings, Gap, Mixture
from warmstart.recommenders.reporting.groups import by_taste, groups_of
from warmstart.recommenders.reporting.measures import (
    Figure,
    Judged,
    bands_of,
    figures_of,
    figures_of_taste,
    mixtures_of,
    ranks_at,
)
from warmstart.recommenders.reporting.people import People, ReportConfig, judged_people
from warmstart.recommenders.reporting.probabilities import reading_of
from warmstart.recommenders.reporting.text_prior import text_prior_of
from warmstart.recommenders.tuning import build, choose, grid_of, validation_split

_FEWEST_CATEGORIES, _MOST_CATEGORIES = 2, 60


def report_on(
    model: Recommender,
    data: Dataset,
    config: ReportConfig | None = None,
    *,
    progress: Progress | None = None,
    command: str = "",
) -> Findings:
    """Judge a model on the people of a table whom it has not trained on.

    Where the table also holds exactly the model's training rows, as a data set whose users were
    partly held out does, baselines are fitted on them, too; else popularity alone stands beside.

    Args:
        model: fitted or loaded.
        data: ratings of people, and what is known of them.
        config: settings.
        progress: told how far the work has come.
        command: the command line, for the record.

    Raises:
        ConfigError: the model does not tell whom it was trained on, or a column is not there.
        DataError: all people were trained on, or nobody likes enough.

    Example:
        >>> from warmstart.data import load_dataset, make_split
        >>> data = load_dataset("synthetic")
        >>> model = Recommender("itemknn").fit(make_split(data).train)
        >>> found = report_on(model, data, ReportConfig(shots=(0, 5), baselines=()))
        >>> found.methods, found.figure("gini", "itemknn", 5).value < 1
        (['itemknn', 'popularity', 'shuffled'], True)
    """
    begun, config = time.perf_counter(), config or ReportConfig()
    fitted, catalogue = model.fitted, model.catalogue
    stage = _Stages(8 + 2 * len(config.baselines), progress)
    stage.next("reading")
    people = judged_people(fitted, data, config)
    categories = _categories(catalogue, config.categories)
    ways = list(groups_of(people.data, people.tasks.users, config.by))
    tasks, likes, shots = people.tasks, catalogue.likes, config.shots
    ends, seed = (min(shots), max(shots)), config.seed
    stage.next("judging lists")
    name = model.name
    judged = {name: _judged(fitted.method, people, config, likes, ranked=True)}
    judged |= {n: _judged(m, people, config, likes) for n, m in _others(people, config, likes, name,
                                                                        stage)}  # fmt: skip
    control = {
        k: _evaluated(fitted.method, people, k, config, likes, shuffled=True) for k in shots if k
    }
    matrix = None if categories is None else categories.matrix
    figures = [
        figure
        for method, did in judged.items()
        for figure in figures_of(method, did, tasks, likes, matrix, seed)
    ]
    figures += figures_of_taste(tasks, likes, seed)
    for row in rows_of({SHUFFLED: {k: [e] for k, e in control.items()}}, [tasks.users],
                       scenario="user-cold", seed=seed):  # fmt: skip
        if row.metric == "nDCG@10" and row.split == "all":
            figures.append(Figure("ndcg", SHUFFLED, row.shots, row.mean, row.ci_low, row.ci_high))
    stage.next("groups")
    ways.append(by_taste(liked_popularity(tasks.query, percentiles(likes.astype(np.float64)))))
    gaps = _gaps(ways, judged[name], ends, seed)
    stage.next("categories")
    mixture = None if categories is None else _mixture(categories, judged[name], tasks, ends)
    stage.next("probabilities")
    readings = tuple(reading_of(fitted.method, tasks, k, seed) for k in ends)
    stage.next("texts")
    texts = text_prior_of(
        fitted, tasks, shots=ends[1], items_at_most=config.items_at_most, seed=seed
    )
    against = against_best(
        {n: {k: [e] for k, e in did.lists.items()} for n, did in judged.items()},
        [tasks.users],
        ours=name,
        others=[n for n in judged if n != name],
        seed=seed,
    )
    return Findings(
        about=_about(model, people, config, command, time.perf_counter() - begun),
        figures=tuple(figures),
        against=tuple(against),
        bands=tuple(bands_of(judged[name], tasks, likes, ends)),
        gaps=tuple(gaps),
        mixture=mixture,
        readings=readings,
        texts=texts,
    )


def _others(
    people: People, config: ReportConfig, likes: IntArray, name: str, stage: _Stages
) -> list[tuple[str, Scorer]]:
    """Return popularity and, where the training rows are here, the baselines fitted on them."""
    counts = likes.astype(np.float32)
    found: list[tuple[str, Scorer]] = []
    if name != "popularity":
        found.append(("popularity", Popularity.from_state(State({"counts": counts}))))
    if people.split is None:
        return found
    inner = None
    for method in config.baselines:
        if method in (name, "popularity"):
            continue
        settings: dict[str, Any] = {}
        if grid_of(method, config.tune):
            inner = inner or validation_split(people.split, config.seed)
            stage.next(f"tuning {method}")
            chosen = choose(method, inner, config.shots, tune="once", seed=config.seed,
                            stage=lambda _: lambda done, total, message: None)  # fmt: skip
            settings = chosen.groups()[0][0]
        stage.next(f"fitting {method}")
        scorer = build(method, settings)
        scorer.fit(people.split.train, seed=config.seed)
        found.append((method, scorer))
    return found


def _judged(
    scorer: Scorer, people: People, config: ReportConfig, likes: IntArray, *, ranked: bool = False
) -> Judged:
    lists = {k: _evaluated(scorer, people, k, config, likes) for k in config.shots}
    ranks = {k: ranks_at(scorer, people.tasks, k) for k in config.shots} if ranked else {}
    return Judged(lists, ranks)


def _evaluated(
    scorer: Scorer,
    people: People,
    shots: int,
    config: ReportConfig,
    likes: IntArray,
    *,
    shuffled: bool = False,
) -> Evaluation:
    support = people.tasks.at(shots)
    given = support
    if shuffled and len(support) > 1:
        given = shuffled_support(support, generator(config.seed, "shuffled", shots))
    return evaluate(
        scorer,
        given,
        people.tasks.query,
        ranker=top_k,
        popularity=likes.astype(np.float32),
        candidates=people.tasks.candidates,
        seen=support,
        seed=config.seed,
    )


def _gaps(ways: list[Any], judged: Judged, ends: tuple[int, int], seed: int) -> list[Gap]:
    gaps = []
    for shots in ends:
        values, found = judged.lists[shots].per_task["nDCG@10"], []
        for way in ways:
            try:
                found.append((way, group_gap(values, way.codes, seed=seed)))
            except DataError:  # fewer than two groups have enough people
                continue
        corrected = holm(np.array([gap.p for _, gap in found]))
        gaps += [
            Gap(way.column, shots, tuple(way.names[g] for g in gap.groups), gap, float(p))
            for (way, gap), p in zip(found, corrected, strict=True)
        ]
    return gaps


@dataclass(frozen=True, slots=True)
class _Categories:
    column: str
    names: tuple[str, ...]
    matrix: sp.csr_array  # (items, categories)


def _categories(catalogue: Catalogue, wanted: str | None) -> _Categories | None:
    """Return the item column whose categories are compared, the named one or the first that fits.

    Raises:
        ConfigError: the named column holds no categories.
    """
    space = catalogue.item_features
    blocks = [] if space is None else [b for b in space.blocks if b.kind != "number"]
    if wanted is not None and wanted not in [b.column for b in blocks]:
        known = ", ".join(b.column for b in blocks)
        raise ConfigError(f"no item column {wanted!r} holds categories; those are: {known}")
    for block in sorted(blocks, key=lambda b: b.kind != "multi-category"):
        fits = _FEWEST_CATEGORIES <= len(block.values) <= _MOST_CATEGORIES
        if catalogue.table is not None and (block.column == wanted if wanted else fits):
            matrix = FeatureSpace([block]).transform(catalogue.table)
            return _Categories(block.column, block.values, matrix)
    return None


def _mixture(
    categories: _Categories, judged: Judged, tasks: Tasks, ends: tuple[int, int]
) -> Mixture:
    shares = mixtures_of(judged, tasks, categories.matrix, ends)
    order = np.argsort(-shares["liked"], kind="stable")
    return Mixture(
        categories.column,
        tuple(categories.names[i] for i in order),
        {name: values[order].tolist() for name, values in shares.items()},
    )


def _about(
    model: Recommender, people: People, config: ReportConfig, command: str, seconds: float
) -> dict[str, Any]:
    catalogue, met = model.catalogue, model.fitted.met
    removed = 0 if catalogue.removed is None else int(catalogue.removed.sum())
    return {
        "command": command,
        "config": config.model_dump(mode="json"),
        "model": {
            "method": model.name,
            "seed": model.seed,
            **model.fitted.origin,
            "training_users": None if met is None else met.count,
            "items": len(catalogue) - removed,
            "new_items": catalogue.n_new,
        },
        "people": {
            "data": people.data.name,
            "judged": len(people.tasks),
            "likes": int(people.tasks.query.nnz),
            "met": people.n_met,
            "few": people.n_few,
            "spared": people.n_spared,
            "unknown_rows": people.n_unknown,
            "training_rows_here": people.split is not None,
        },
        "protocol": PROTOCOL,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(seconds, 1),
    }


class _Stages:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.progress, self.done = total, progress, 0

    def next(self, message: str) -> None:
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total, message)
        self.done += 1
