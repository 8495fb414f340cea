"""Remedies against bias and their price: `python -m benchmarks.bias.remedies --fits FOLDER`.

Cold users show k likes, the whole catalogue is ranked, and each remedy stands beside the model as
it is: nDCG@10 with the paired difference, popularity lift, long tail, coverage, and the gaps
between groups. Strengths of the popularity penalty are chosen on training users whom the parts of
a fold have not seen, at each number of shots: the one with the least lift among those that cost at
most two percent of nDCG there. The fits are those of `python -m benchmarks.bias.fits FOLDER`.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.bias.fits import AS_IS, Case, Fit, FitsConfig, data_of, path_of, split_of
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.types import Histories
from warmstart.data import Dataset, Split
from warmstart.evaluation import metrics
from warmstart.evaluation.bias import group_gap, liked_popularity, long_tail_share
from warmstart.evaluation.significance import bootstrap_interval, ratio_interval, resampled_means
from warmstart.index import top_k
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.popularity import likes_per_item
from warmstart.recommenders.remedies import fame_of, penalise, prices

RESULTS = Path(__file__).parent / "results"
CASES: tuple[Case, ...] = ("ml-1m", "ml-1m-texts", "lastfm-hetrec", "ml-1m-cold")
PENALTY = "popularity penalty"
Base = dict[int, tuple[float, float]]
"""Shots → nDCG@10 and lift."""


class RemediesConfig(Config):
    """Settings of the comparison.

    Attributes:
        shots: likes that a cold user shows.
        strengths: of the popularity penalty, to choose from.
        most_loss: share of nDCG that a remedy may cost on validation users.
        cold_norms: tried in the case with cold films.
        columns: of the users, whose groups are compared.
        fits: the fits that are compared.
    """

    shots: tuple[int, ...] = (0, 5, 20)
    strengths: tuple[float, ...] = (
        0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
        0.9, 1.0, 1.2, 1.5, 2.0, 3.0,
    )  # fmt: skip
    most_loss: float = Field(0.02, gt=0, lt=1)
    cold_norms: tuple[float, ...] = (0.5, 1.0)
    columns: tuple[str, ...] = ("gender", "age")
    fits: FitsConfig = FitsConfig()


@dataclass(slots=True)
class Lists:
    """What one method gave at one number of shots: values of each task, and of all lists."""

    ndcg: list[np.ndarray] = field(default_factory=list)
    popularity: list[np.ndarray] = field(default_factory=list)
    tail: list[np.ndarray] = field(default_factory=list)
    cold: list[np.ndarray] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    gini: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Asked:
    """One dataset: who was asked, and what each method gave them."""

    users: list[np.ndarray] = field(default_factory=list)
    taste: list[np.ndarray] = field(default_factory=list)
    groups: dict[str, list[np.ndarray]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    found: dict[tuple[str, int], Lists] = field(default_factory=dict)
    strengths: list[dict[str, Any]] = field(default_factory=list)
    cold_liked: list[np.ndarray] = field(default_factory=list)


def run(folder: Path, config: RemediesConfig, now: datetime) -> dict[str, Any]:
    """Judge every fit that the folder holds, under every remedy."""
    begun, code = perf_counter(), records.commit()
    cases: dict[str, Asked] = {}
    fitted, seeds_of = [], {}
    for name in CASES:
        data = None
        for seed in config.fits.seeds:
            fits = list(_stored(folder, name, seed, config.fits))
            if not fits or fits[0].name != AS_IS:
                continue
            data = data or data_of(name, config.fits)
            split = split_of(name, data, config.fits, seed)
            case = cases.setdefault(name, Asked())
            seeds_of.setdefault(name, []).append(seed)
            _asked(case, data, split, config)
            for fit in fits:
                about = {"case": fit.case, "name": fit.name, "seed": seed, "commit": fit.commit}
                own = {"settings": fit.settings, "cpu_seconds": fit.seconds}
                fitted.append(about | own)
            for title, method in _methods(name, fits, split, config, case):
                for k in config.shots:
                    lists = case.found.setdefault((title, k), Lists())
                    _judge(lists, method, split, k)
            print(name, seed, "judged", flush=True)
    if not cases:
        raise ConfigError(f"{folder} holds no fits; run python -m benchmarks.bias.fits {folder}")
    return {
        "benchmark": "remedies",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": seeds_of,
        "fits_made": fitted,
        "versions": versions(),
        "hardware": hardware(),
        "wall_seconds": round(perf_counter() - begun, 1),
        "chosen": {name: case.strengths for name, case in cases.items()},
        "rows": [row for name, case in cases.items() for row in _rows(name, case, config)],
    }


def _stored(folder: Path, case: Case, seed: int, config: FitsConfig) -> Iterable[Fit]:
    for name in dict.fromkeys((AS_IS, *(name for _, _, name, _ in config.fits()))):
        path = path_of(folder, case, name, seed)
        if path.exists():
            fit = pickle.loads(path.read_bytes())
            fit.method.config = DefaultConfig.parse(fit.settings)
            yield fit


def _methods(
    name: str, fits: list[Fit], split: Split, config: RemediesConfig, case: Asked
) -> Iterable[tuple[str, Default]]:
    """Give every remedy's title and model."""
    plain = fits[0].method
    if name == "ml-1m-cold":
        yield AS_IS, plain
        for value in config.cold_norms:
            yield f"cold norm {value:g}", plain.adjusted(cold_norm=value)
        return
    likes = split.train.positives()
    base: Base | None = None
    for fit in fits:
        yield fit.name, fit.method
        if fit.name == "group-aware":
            continue
        cheap, half, base = chosen_strengths(fit, likes, split, config, base)
        title = PENALTY if fit.name == AS_IS else f"{fit.name} and {PENALTY}"
        for title_of, chosen in ((title, cheap), (f"{title} for half the lift", half)):
            said = {str(k): s for k, s in chosen.items()}
            case.strengths.append({"method": title_of, "seed": fit.seed, "strength": said})
            yield title_of, fit.method.adjusted(popularity_penalty=chosen)


def chosen_strengths(
    fit: Fit, likes: sp.csr_array, split: Split, config: RemediesConfig, base: Base | None
) -> tuple[dict[int, float], dict[int, float], Base]:
    """Return, by number of shots, strengths for the least lift at 2 %, and for half the lift.

    Args:
        fit: with the parts of its folds.
        likes: (users, items) of the training users.
        split: their features.
        config: what is allowed.
        base: nDCG@10 and lift of the model as it is on the same users; None where this is it.

    Returns:
        The strength with the least lift among those that cost little enough, 0 where none does;
        the least strength that halves the lift, or the greatest; and the model as it is.
    """
    models = [(_Scored(fit.method.of_fold(parts)), users) for parts, users in fit.method.held]
    tried = {}
    for strength in config.strengths:
        scorers = [(partial(model.under, strength), users) for model, users in models]
        features = split.train.user_matrix
        tried[strength] = prices(scorers, likes, features, config.shots, seed=fit.seed)
    if base is None:
        base = {row["shots"]: (row["ndcg@10"], row["lift"]) for row in tried[0.0]}
    best = {k: (0.0, np.inf) for k in config.shots}
    half = dict.fromkeys(config.shots, max(config.strengths))
    for strength, rows in tried.items():
        for row in rows:
            k = row["shots"]
            allowed = row["ndcg@10"] >= (1 - config.most_loss) * base[k][0]
            if row["lift"] <= 0.5 * base[k][1]:
                half[k] = min(half[k], strength)
            if allowed and abs(row["lift"]) < best[k][1]:
                best[k] = (strength, abs(row["lift"]))
    return {k: strength for k, (strength, _) in best.items()}, half, base


class _Scored:
    """Scores each set of histories once, and penalises a copy under every strength."""

    def __init__(self, method: Default) -> None:
        self.method = method.adjusted(popularity_penalty=0.0)
        self.known: dict[bytes, np.ndarray] = {}
        self.fame = fame_of(method.parts.log_popularity)

    def under(self, strength: float, histories: Histories) -> np.ndarray:
        key = histories.indptr.tobytes() + histories.items.tobytes()
        if key not in self.known:
            self.known[key] = self.method.score(histories)
        scores = self.known[key].copy()
        penalise(scores, histories, self.fame, strength)
        return scores


def _asked(case: Asked, data: Dataset, split: Split, config: RemediesConfig) -> None:
    """Remember who is asked, what they like, and to which groups they belong."""
    users = split.tasks.users
    popularity = likes_per_item(split.train.positives()).astype(np.float64)
    case.users.append(users)
    liked = data.positives()[users]
    case.taste.append(liked_popularity(liked, popularity))
    unmet = popularity == 0
    case.cold_liked.append(liked_popularity(liked, unmet.astype(np.float64)))
    space, matrix, start = split.train.user_features, split.train.user_matrix, 0
    for block in () if space is None or matrix is None else space.blocks:
        size = len(block.names)
        if block.column in config.columns:
            own = matrix[:, start : start + size][users].toarray()
            codes = np.where(own.any(axis=1), own.argmax(axis=1), -1)
            names = case.names.setdefault(block.column, list(block.names))
            place = np.array([names.index(n) if n in names else -1 for n in block.names])
            codes = np.where(codes >= 0, place[codes], -1)
            case.groups.setdefault(block.column, []).append(codes)
        start += size


def _judge(lists: Lists, method: Default, split: Split, k: int) -> None:
    popularity = likes_per_item(split.train.positives()).astype(np.float64)
    shown = split.tasks.at(k)
    top, _ = top_k(method.score(shown), 10, seen=shown)
    lists.ndcg.append(metrics.ndcg(top, split.tasks.query, 10))
    lists.popularity.append(metrics.mean_popularity(top, popularity))
    lists.tail.append(long_tail_share(top, popularity))
    lists.cold.append(metrics.mean_popularity(top, (popularity == 0).astype(np.float64)))
    shown_times = metrics.exposure(top, split.train.n_items)
    lists.coverage.append(metrics.coverage(shown_times))
    lists.gini.append(metrics.gini(shown_times))


def _rows(name: str, case: Asked, config: RemediesConfig) -> Iterable[dict[str, Any]]:
    """Give one row for each remedy and number of shots, over the splits that have its fit."""
    for (title, k), lists in case.found.items():
        n = len(lists.ndcg)  # the first splits; later ones may lack this fit
        who, taste = np.concatenate(case.users[:n]), np.concatenate(case.taste[:n])
        base = case.found[(AS_IS, k)]
        mine, theirs = np.concatenate(lists.ndcg), np.concatenate(base.ndcg[:n])
        low, high = bootstrap_interval(mine - theirs, clusters=who)
        popularity = np.concatenate(lists.popularity)
        before = np.concatenate(base.popularity[:n])
        ratio = ratio_interval(popularity, taste, clusters=who)
        drawn = resampled_means(np.column_stack([popularity, before, taste]), clusters=who)
        kept = np.quantile(
            (drawn[:, 0] - drawn[:, 2]) / (drawn[:, 1] - drawn[:, 2]), [0.025, 0.975]
        )
        lift, lift_before = ratio[0] - 1, before.mean() / taste.mean() - 1
        row: dict[str, Any] = {
            "case": name, "method": title, "shots": k, "tasks": len(mine), "splits": n,
            "ndcg@10": float(mine.mean()),
            "percent": 100 * float((mine - theirs).mean() / theirs.mean()),
            "percent_low": 100 * float(low / theirs.mean()),
            "percent_high": 100 * float(high / theirs.mean()),
            "lift": lift, "lift_low": ratio[1] - 1, "lift_high": ratio[2] - 1,
            "lift_kept": float(lift / lift_before),
            "kept_low": float(kept[0]), "kept_high": float(kept[1]),
            "arp": float(popularity.mean()), "aplt": float(np.concatenate(lists.tail).mean()),
            "cold_places": float(np.concatenate(lists.cold).mean()),
            "cold_liked": float(np.concatenate(case.cold_liked[:n]).mean()),
            "coverage": float(np.mean(lists.coverage)), "gini": float(np.mean(lists.gini)),
            "gaps": {},
        }  # fmt: skip
        for column, codes in case.groups.items():
            found = group_gap(mine, np.concatenate(codes[:n]))
            worst = int(found.means.argmin())
            row["gaps"][column] = {
                "gap": found.gap, "gap_low": found.gap_low, "gap_high": found.gap_high,
                "by_chance": found.by_chance, "p": found.p,
                "worst": case.names[column][int(found.groups[worst])],
                "worst_mean": float(found.means[worst]),
            }  # fmt: skip
        yield row


def main() -> int:
    """Read the command line, measure and add the result."""
    parser = argparse.ArgumentParser(description="Compare remedies against bias, with their price.")
    parser.add_argument("--fits", type=Path, required=True, help="folder of benchmarks.bias.fits")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()

    def work() -> None:
        record = run(chosen.fits, RemediesConfig(), datetime.now(UTC))
        print(records.add(records.spelled(record), "remedies", record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
