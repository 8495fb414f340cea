"""Does FOMA's mixture of tasks pay? `python -m benchmarks.learners.behaviours ml-100k ml-1m`.

Three behaviours of the same users: *clicks* (a film was rated at all, against films drawn
evenly), *ratings*, and *conversions* (a rated film got five stars), of which only one in twenty is
known, as sales are rarer than clicks. FOMA is trained on all of them together (with and without
tasks of items) and on each of them alone, with as many steps and tasks of its own a step. Both
choose among the same settings, by their loss on validation users. Cold users show k pairs of a
behaviour; the loss on 20 further pairs is compared user by user. What an item's own rate predicts,
without any learning, stands beside them. A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.recommenders.behaviours import Behaviour, Behaviours, BehavioursConfig
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"


class BehavioursExperiment(Config):
    """Settings of the measurement.

    Attributes:
        shots: pairs that a cold user shows.
        seeds: of the splits, one each; of 0, cold users were looked at when FOMA was made.
        test_fraction: share of users held out.
        known_conversions: share of the rated pairs whose conversion is known in training.
        query_pairs: pairs that are judged.
        model: settings of the network and the training.
        candidates: changes of the settings to choose among, by the loss on validation users.
        items_too: whether to try the mixture with tasks of items as well.
    """

    shots: tuple[int, ...] = (0, 1, 5, 10)
    seeds: tuple[int, ...] = (5, 6, 7)
    test_fraction: float = 0.2
    known_conversions: float = 0.05
    query_pairs: int = 20
    model: BehavioursConfig = BehavioursConfig.parse(
        {"outer": {"epochs": 10_000, "max_steps": 400}}  # as many steps for every variant
    )
    candidates: tuple[dict[str, Any], ...] = (
        {},
        {"dropout": 0.3},
        {"outer": {"weight_decay": 300.0}},
        {"weakness": 0.0},
    )
    items_too: bool = True


RATE = "item's rate"
VARIANTS = {"together": ("user",), "together, items' tasks too": ("user", "item")}


def behaviours_of(
    data: Dataset, trained: np.ndarray, share: float, seed: int
) -> dict[str, Behaviour]:
    """Return the three behaviours of the training users."""
    stars = data.evidence()
    stars.data = np.interp(stars.data, [-1, -0.7, -0.4, 0.5, 1], [1, 2, 3, 4, 5])
    keep = np.zeros(stars.shape[0], bool)
    keep[trained] = True
    stars.data[~np.repeat(keep, np.diff(stars.indptr))] = np.nan
    known = np.isfinite(stars.data)
    rows = np.repeat(np.arange(stars.shape[0]), np.diff(stars.indptr))

    def chosen(mask: np.ndarray, values: np.ndarray) -> sp.csr_array:
        coordinates = (rows[mask], stars.indices[mask])
        return sp.csr_array((values[mask].astype(np.float32), coordinates), shape=stars.shape)

    sold = generator(seed, "conversions").random(len(known)) < share
    return {
        "click": Behaviour(chosen(known, np.ones(len(known))), "event"),
        "rating": Behaviour(chosen(known, (stars.data - 3.58) / 1.12), "rating"),
        "conversion": Behaviour(chosen(known & sold, (stars.data == 5) * 1.0), "binary"),
    }


def tasks_of(
    data: Dataset, users: np.ndarray, name: str, most: int, n_query: int, seed: int
) -> dict[str, Any]:
    """Return what cold users show (up to `most` pairs) and are judged on, of one behaviour."""
    stars, rng = data.evidence()[users], generator(seed, "tasks", name)
    stars.data = np.interp(stars.data, [-1, -0.7, -0.4, 0.5, 1], [1, 2, 3, 4, 5])
    pairs = {"who": [], "items": [], "labels": [], "asked": [], "truth": []}
    for row, user in enumerate(users):
        own = slice(stars.indptr[row], stars.indptr[row + 1])
        order = rng.permutation(own.stop - own.start)
        items, value = stars.indices[own][order], stars.data[own][order]
        if name == "click":
            met = np.isin(np.arange(data.n_items), items)
            others = rng.permutation(np.flatnonzero(~met))
            half = (most + n_query) // 2
            if len(items) < half or len(others) < half:
                continue
            items = np.stack([items[:half], others[:half]], axis=1).ravel()
            label = np.tile([1.0, 0.0], half)
        else:
            label = (value - 3.58) / 1.12 if name == "rating" else (value == 5) * 1.0
        if len(items) < most + n_query:
            continue
        pairs["who"].append(user)
        pairs["items"].append(items[:most])
        pairs["labels"].append(label[:most])
        pairs["asked"].append(items[most : most + n_query])
        pairs["truth"].append(label[most : most + n_query])
    return {n: np.array(v) for n, v in pairs.items()}


def loss_of(name: str, found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (users,) the mean loss on what is asked: squared error, or log loss."""
    if name == "rating":
        return ((found - truth) ** 2).mean(axis=1)
    chance = np.clip(expit(found.astype(np.float64)), 1e-6, 1 - 1e-6)
    return -(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)).mean(axis=1)


def losses(
    model: Behaviours, name: str, tasks: dict[str, Any], k: int, known: sp.csr_array
) -> np.ndarray:
    """Return (users,) the loss after k pairs."""
    items, labels = tasks["items"][:, :k], tasks["labels"][:, :k]
    return loss_of(name, model.predict(name, items, labels, tasks["asked"], known), tasks["truth"])


def item_rate(name: str, behaviour: Behaviour, tasks: dict[str, Any]) -> np.ndarray:
    """Return (users,) the loss of the item's own rate, drawn towards that of all items."""
    labels, n = behaviour.labels, behaviour.labels.shape[1]
    counts = np.bincount(labels.indices, minlength=n)
    sums = np.bincount(labels.indices, labels.data, minlength=n)
    if name == "click":  # against films drawn evenly
        found = np.log((counts + 1) * n / labels.nnz)
    else:
        found = (sums + 10 * labels.data.mean()) / (counts + 10)
    if name == "conversion":
        found = np.log(found) - np.log1p(-found)
    return loss_of(name, found[tasks["asked"]], tasks["truth"])


def changed(
    model: BehavioursConfig, change: dict[str, Any], roles: tuple[str, ...]
) -> BehavioursConfig:
    """Return the settings with some replaced."""
    values = model.model_dump() | {"roles": roles}
    for name, value in change.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    return BehavioursConfig.parse(values)


def chosen(
    data: Dataset,
    trained: np.ndarray,
    names: tuple[str, ...],
    config: BehavioursExperiment,
    seed: int,
) -> dict[str, Any]:
    """Return the change of the settings that predicts these behaviours best on validation users."""
    order = generator(seed, "validation").permutation(trained)
    n_held = round(config.test_fraction * len(trained))
    held, rest = np.sort(order[:n_held]), np.sort(order[n_held:])
    every = behaviours_of(data, rest, config.known_conversions, seed)
    given = {name: every[name] for name in names}
    tasks = {n: tasks_of(data, held, n, max(config.shots), config.query_pairs, seed) for n in names}
    content, marks = data.item_features.transform(data.item_table), []
    for change in config.candidates:
        model = Behaviours(changed(config.model, change, ("user",))).fit(
            given, user_features=data.user_matrix, item_features=content, seed=seed
        )
        marks.append(0.0)
        for name in names:
            known = data.user_matrix[tasks[name]["who"]]
            plain = item_rate(name, given[name], tasks[name]).mean()
            for k in config.shots:
                marks[-1] += losses(model, name, tasks[name], k, known).mean() / plain
    return config.candidates[int(np.argmin(marks))]


def run(dataset: str, config: BehavioursExperiment, now: datetime) -> dict[str, Any]:
    """Train together and alone on every split, and compare the losses user by user."""
    begun, code, data = time.perf_counter(), records.commit(), load_dataset(dataset)
    content = data.item_features.transform(data.item_table)
    found: dict[tuple[str, str, int], list[np.ndarray]] = {}
    clusters: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, list[float]] = {}
    picked: dict[str, list[dict[str, Any]]] = {}
    for seed in config.seeds:
        users = generator(seed, "cold").permutation(data.n_users)
        n_cold = round(config.test_fraction * data.n_users)
        cold, trained = np.sort(users[:n_cold]), np.sort(users[n_cold:])
        every = behaviours_of(data, trained, config.known_conversions, seed)
        tasks = {
            n: tasks_of(data, cold, n, max(config.shots), config.query_pairs, seed) for n in every
        }
        for name in every:
            clusters.setdefault(name, []).append(tasks[name]["who"])
            rate = item_rate(name, every[name], tasks[name])
            for k in config.shots:
                found.setdefault((RATE, name, k), []).append(rate)
        runs = {v: (tuple(every), roles) for v, roles in VARIANTS.items()
                if config.items_too or "item" not in roles}  # fmt: skip
        runs |= {f"{name} alone": ((name,), ("user",)) for name in every}
        choices: dict[tuple[str, ...], dict[str, Any]] = {}
        for variant, (names, roles) in runs.items():
            if names not in choices:
                choices[names] = chosen(data, trained, names, config, seed)
            picked.setdefault(variant, []).append(choices[names])
            settings = changed(config.model, choices[names], roles)
            start = time.perf_counter()
            model = Behaviours(settings).fit(
                {name: every[name] for name in names},
                user_features=data.user_matrix,
                item_features=content,
                seed=seed,
            )
            seconds.setdefault(variant, []).append(time.perf_counter() - start)
            for name in names:
                known = data.user_matrix[tasks[name]["who"]]
                for k in config.shots:
                    key = ("alone" if variant.endswith("alone") else variant, name, k)
                    found.setdefault(key, []).append(losses(model, name, tasks[name], k, known))
            print(dataset, seed, variant, f"{seconds[variant][-1]:.0f} s", choices[names],
                  flush=True)  # fmt: skip
    rows = []
    for (variant, name, k), values in found.items():
        alone = np.concatenate(found["alone", name, k])
        ours, who = np.concatenate(values), np.concatenate(clusters[name])
        low, high = bootstrap_interval(ours[:, None], clusters=who)
        row: dict[str, Any] = {"variant": variant, "behaviour": name, "shots": k,
                               "loss": float(ours.mean()), "loss_low": float(low[0]),
                               "loss_high": float(high[0]), "tasks": len(ours)}  # fmt: skip
        if variant != "alone":
            low, high = bootstrap_interval((ours - alone)[:, None], clusters=who)
            row |= {
                "difference": float((ours - alone).mean()),
                "ci_low": float(low[0]),
                "ci_high": float(high[0]),
                "p": paired_permutation(ours, alone, clusters=who),
            }
        rows.append(row)
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant]
        if not own:
            continue
        for row, p in zip(own, holm(np.array([r["p"] for r in own])), strict=True):
            row["p_holm"] = float(p)
    return {
        "experiment": "behaviours",
        "dataset": dataset,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": list(config.seeds),
        "protocol": "cold users; k pairs of a behaviour shown, further pairs judged; loss: "
        "squared error of standardised ratings, log loss of clicks and conversions",
        "rows": rows,
        "chosen": picked,
        "fit_seconds": {v: round(float(np.mean(s)), 1) for v, s in seconds.items()},
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def write(record: dict[str, Any], out: Path) -> Path:
    """Add a result; the name tells what, data, day and contents."""
    stem = f"{record['experiment']}-{record['dataset']}"
    return records.add(records.spelled(record), stem, record["date"], out)


def main() -> int:
    """Run on the datasets that are named."""
    parser = argparse.ArgumentParser(description="FOMA on several behaviours, together and alone.")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        config = BehavioursExperiment.parse(json.loads(chosen.settings))
        for dataset in chosen.datasets:
            print(write(run(dataset, config, datetime.now(UTC)), chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
