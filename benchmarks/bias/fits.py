"""The models that the comparison of remedies needs: `python -m benchmarks.bias.fits FOLDER`.

They take an hour of two busy cores, so they are fitted once, each with the commit that fitted it,
and kept in a folder from which `benchmarks.bias.remedies` goes on. Only these files are read back,
by whoever wrote them: they are pickles.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmarks import records
from benchmarks.cold_users.run import load_data, load_experiment
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import Dataset, Split, SplitConfig, make_split
from warmstart.recommenders.default import Default
from warmstart.recommenders.default_config import DefaultConfig

Case = Literal["lastfm-hetrec", "ml-1m", "ml-1m-cold"]

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
        model: of the default method; a third of its usual training, so that an hour is enough.
        propensity_power: of the fit by inverse propensity.
        group_tilt: of the fit that knows groups; where users have columns.
        test_fraction: share of the users held out, by dataset.
        cold_items: share of the films that training has not met, in the case `ml-1m-cold`.
        most_users: of a dataset; of more, so many are drawn.
        seeds: of splits and fits.
    """

    model: dict[str, Any] = Field(default_factory=lambda: dict(_LIGHT))
    propensity_power: float = 0.25
    group_tilt: float = 3.0
    test_fraction: dict[str, float] = Field(
        default_factory=lambda: {"lastfm-hetrec": 0.2, "ml-1m": 0.3, "ml-1m-cold": 0.3}
    )
    cold_items: float = 0.2
    most_users: int = Field(2_500, ge=100)
    seeds: tuple[int, ...] = (0, 1)

    def fits(self) -> list[tuple[int, Case, str, dict[str, Any]]]:
        """Return seed, case, name and further settings of every fit, the most needed first."""
        ips = {"propensity_power": self.propensity_power}
        groups = {"group_tilt": self.group_tilt}
        found: list[tuple[int, Case, str, dict[str, Any]]] = []
        for seed in self.seeds:
            found += [
                (seed, "ml-1m", "as it is", {}),
                (seed, "lastfm-hetrec", "as it is", {}),
                (seed, "ml-1m", "group-aware", groups),
                (seed, "ml-1m", "inverse propensity", ips),
                (seed, "lastfm-hetrec", "inverse propensity", ips),
                (seed, "ml-1m-cold", "as it is", {}),
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
    seconds: float


def split_of(case: Case, data: Dataset, config: FitsConfig, seed: int) -> Split:
    """Return a user-cold split; in the cold case, some items lose their training rows besides."""
    chosen = SplitConfig(seed=seed, test_fraction=config.test_fraction[case])
    split = make_split(data, chosen)
    if case != "ml-1m-cold":
        return split
    train = split.train
    cold = generator(seed, "cold items").random(train.n_items) < config.cold_items
    rows = train.interactions
    return replace(split, train=train.restrict(~cold[rows.item]))


def data_of(case: Case, config: FitsConfig) -> Dataset:
    """Return the dataset of a case, or so many of its users as are wanted."""
    data = load_data(load_experiment("ml-1m" if case == "ml-1m-cold" else case))
    if data.n_users <= config.most_users:
        return data
    drawn = generator(0, "users of the benchmark").permutation(data.n_users)
    kept = np.isin(data.interactions.user, drawn[: config.most_users])
    return data.restrict(kept).at_least(items_per_user=1)


def path_of(folder: Path, case: str, name: str, seed: int) -> Path:
    """Return where a fit is kept."""
    return folder / f"{case}-{name.replace(' ', '-')}-{seed}.pickle"


def main() -> int:
    """Fit what is not in the folder yet."""
    parser = argparse.ArgumentParser(description="Fit the models of the comparison of remedies.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder

    def work() -> None:
        config, code = FitsConfig(), records.commit()
        folder.mkdir(parents=True, exist_ok=True)
        for seed, case, name, further in config.fits():
            path = path_of(folder, case, name, seed)
            if path.exists():
                continue
            split = split_of(case, data_of(case, config), config, seed)
            begun = time.process_time()
            settings = config.model | further
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
