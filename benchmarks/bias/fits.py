"""The models that the comparison of remedies needs: `python -m benchmarks.bias.fits FOLDER`.

They take an hour of two cores, so they are fitted once, each with the commit that fitted it, and
kept in a folder from which `benchmarks.bias.remedies` goes on. Only whoever wrote these files
should read them: they are pickles. A fit that is missing is a row that is missing.

`--saved MODEL` adds a model saved of the rows that `benchmarks.asking.quality` trains on: the
default on MovieLens-1M with texts, whose validation users it has not met.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.asking.quality import Quality
from benchmarks.cold_users.run import load_data, load_experiment
from benchmarks.content.cold_items import films
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.data import Dataset, Split, SplitConfig, make_split
from warmstart.recommenders import load
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig

Case = Literal["lastfm-hetrec", "ml-1m", "ml-1m-cold", "ml-1m-texts"]

AS_IS = "as it is"


_LIGHT: dict[str, Any] = {
    "folds": 2,
    "training": {"epochs": 20},
    "factors": [{"factors": 64, "reg": 100.0, "alpha": 20.0}],
    "gate_users": 1_000,
    "onboarding": {"policy": {"updates": 0}},
}


class FitsConfig(Config):
    """Settings of the fits.

    Attributes:
        model: of the default method; what is learned about asking does not touch lists.
        light: of the fits on MovieLens-1M, a third of the usual training.
        most_users: of MovieLens-1M that are drawn.
        propensity_power: of the fit by inverse propensity.
        group_tilt: of the fit that knows groups; where users have columns.
        test_fraction: share of the users held out, by dataset.
        cold_items: share of the films that training has not met, in the case `ml-1m-cold`.
        seeds: of splits and fits.
    """

    model: dict[str, Any] = Field(
        default_factory=lambda: {"onboarding": {"policy": {"updates": 0}}}
    )
    light: dict[str, Any] = Field(default_factory=lambda: dict(_LIGHT))
    most_users: int = Field(2_500, ge=100)
    propensity_power: float = 0.25
    group_tilt: float = 3.0
    test_fraction: dict[str, float] = Field(
        default_factory=lambda: {"lastfm-hetrec": 0.2, "ml-1m": 0.3, "ml-1m-cold": 0.3}
    )
    cold_items: float = 0.2
    seeds: tuple[int, ...] = (0, 1)

    def fits(self) -> list[tuple[int, Case, str, dict[str, Any]]]:
        """Return seed, case, name and settings of every fit, the most needed first."""
        ips = {"propensity_power": self.propensity_power}
        groups = {"group_tilt": self.group_tilt}
        found: list[tuple[int, Case, str, dict[str, Any]]] = []
        for seed in self.seeds:
            found += [
                (seed, "ml-1m", AS_IS, self.light),
                (seed, "ml-1m", "group-aware", self.light | groups),
                (seed, "ml-1m", "inverse propensity", self.light | ips),
                (seed, "lastfm-hetrec", AS_IS, self.model),
                (seed, "lastfm-hetrec", "inverse propensity", self.model | ips),
                (seed, "ml-1m-cold", AS_IS, self.light),
            ]
        return found


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit, and what it was fitted on."""

    case: Case
    name: str
    seed: int
    method: Default
    settings: dict[str, Any]
    commit: str
    seconds: float | None


def split_of(case: Case, data: Dataset, config: FitsConfig, seed: int) -> Split:
    """Return a user-cold split; in the cold case, some items lose their training rows besides."""
    if case == "ml-1m-texts":
        test, inner = _of_texts(data)
        known = inner.train.user_matrix  # as the model, which was trained on these rows, knows them
        assert known is not None
        support = replace(test.tasks.support, features=known[test.tasks.users])
        train = replace(test.train, user_features=inner.train.user_features)
        return replace(test, train=train, tasks=replace(test.tasks, support=support))
    chosen = SplitConfig(seed=seed, test_fraction=config.test_fraction[case])
    split = make_split(data, chosen)
    if case != "ml-1m-cold":
        return split
    train = split.train
    cold = generator(seed, "cold items").random(train.n_items) < config.cold_items
    rows = train.interactions
    return replace(split, train=train.restrict(~cold[rows.item]))


def data_of(case: Case, config: FitsConfig) -> Dataset:
    """Return the dataset of a case."""
    if case == "lastfm-hetrec":
        return load_data(load_experiment(case))
    if case != "ml-1m-texts":
        data = load_data(load_experiment("ml-1m"))
        drawn = generator(0, "users of the benchmark").permutation(data.n_users)
        kept = np.isin(data.interactions.user, drawn[: config.most_users])
        return data.restrict(kept).at_least(users_per_item=1, items_per_user=1)
    data = films(Path(os.environ.get("WARMSTART_DATA", ".")) / "ml-1m", users=True)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= Quality().least_likes
    return data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)


def saved_fit(folder: Path) -> Fit:
    """Return a saved model of `benchmarks.asking.quality`, and who chooses strengths for it.

    Raises:
        ConfigError: it was trained on other rows.
    """
    model = load(folder)
    _, inner = _of_texts(data_of("ml-1m-texts", FitsConfig()))
    rows = len(inner.train.interactions), inner.train.n_items
    found = model.fitted.origin["n_interactions"], model.fitted.origin["n_items"]
    if rows != found:
        raise ConfigError(f"{folder} was trained on {found} rows and items, not on {rows}")
    method = model.method
    method.held = ((method.parts, inner.tasks.users),)
    settings = method.config.model_dump()
    return Fit("ml-1m-texts", AS_IS, 0, method, settings, "of the saved model", None)


def _of_texts(data: Dataset) -> tuple[Split, Split]:
    """Return the split of test users, and inside its training rows that of validation users."""
    seed = Quality().seed
    test = make_split(data, SplitConfig(seed=seed))
    return test, make_split(test.train, SplitConfig(seed=seed + 1))


def path_of(folder: Path, case: str, name: str, seed: int) -> Path:
    """Return where a fit is kept."""
    return folder / f"{case}-{name.replace(' ', '-')}-{seed}.pickle"


def main() -> int:
    """Fit what is not in the folder yet."""
    parser = argparse.ArgumentParser(description="Fit the models of the comparison of remedies.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--saved", type=Path, help="model of benchmarks.asking.quality")
    chosen = parser.parse_args()
    folder = chosen.folder

    def work() -> None:
        config, code = FitsConfig(), records.commit()
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.saved is not None:
            fit = saved_fit(chosen.saved)
            path_of(folder, fit.case, fit.name, fit.seed).write_bytes(pickle.dumps(fit))
            return
        for seed, case, name, settings in config.fits():
            path = path_of(folder, case, name, seed)
            if path.exists():
                continue
            split = split_of(case, data_of(case, config), config, seed)
            begun = time.process_time()
            method = Default(DefaultConfig.parse(settings))
            method.fit(split.train, seed=seed, keep_folds=True)
            spent = time.process_time() - begun
            fit = Fit(case, name, seed, method, settings, code, round(spent, 1))
            path.write_bytes(pickle.dumps(fit))
            print(path.name, round(spent), "s of CPU", np.round(_last(method), 4), flush=True)

    return records.told(work)


def _last(method: Default) -> float:
    return float(method.quality[-1]["ndcg@10"]) if method.quality else float("nan")


if __name__ == "__main__":
    sys.exit(main())
