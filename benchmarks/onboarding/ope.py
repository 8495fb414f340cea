"""Judging a policy by another one's log: `python -m benchmarks.onboarding.ope`.

The Open Bandit sample holds, for each of three campaigns of a fashion shop, a week of impressions
by a random policy and a week by Bernoulli Thompson sampling (BTS), 10,000 each. From the random log
alone, what would BTS have earned? What it did earn is known, so the estimate can be checked.

BTS knew no context and changed over the week. What an estimate needs of it is how often it showed
each item at each position; that is counted in its own log. Its clicks are used for nothing but the
check. The estimate takes for granted that an item's click rate at a position did not move together
with BTS's preference for it within the week. Both logs are samples: the rate of the BTS log has a
standard error of its own, given as `bts_ci`, which the check leaves out.

The data is private: `WARMSTART_DATA/open-bandit-sample`. A result is added, never edited.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.evaluation import ope
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"
CAMPAIGNS = ("all", "men", "women")


class OpenBandit(Config):
    """Settings of the measurement.

    Attributes:
        effect: the smallest difference of click rates that would matter to the shop.
        folds: of the click model of the doubly robust estimate.
        seed: deals the folds.
    """

    effect: float = Field(0.001, gt=0)
    folds: int = Field(5, ge=2)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """One week of one policy.

    Attributes:
        item: (n,) what was shown.
        position: (n,) from 0 to 2.
        shown: what was earned, and with which propensity.
        group: (n,) the four features of the user; the log has no user ids.
    """

    item: IntArray
    position: IntArray
    shown: ope.Impressions
    group: npt.NDArray[np.str_]


def read(folder: Path, policy: str, campaign: str) -> Log:
    """Return a log.

    Raises:
        ConfigError: the folder lacks it.
    """
    path = folder / f"{policy}-{campaign}-{campaign}.parquet"
    if not path.is_file():
        raise ConfigError(
            f"there is no {path}; set WARMSTART_DATA to a folder that has open-bandit-sample/"
        )
    features = [f"user_feature_{i}" for i in range(4)]
    names = ["item_id", "position", "click", "propensity_score", *features]
    table = pq.read_table(path, columns=names)
    said = ["|".join(row) for row in zip(*(table[f].to_pylist() for f in features), strict=True)]
    clicks = table["click"].to_numpy().astype(np.float64)
    return Log(
        table["item_id"].to_numpy(),
        table["position"].to_numpy() - 1,
        ope.Impressions(clicks, table["propensity_score"].to_numpy()),
        np.array(said),
    )


def shares(log: Log, n_items: int) -> npt.NDArray[np.float64]:
    """Return (positions, items) how often each item was shown at each position."""
    counts = np.zeros((3, n_items))
    np.add.at(counts, (log.position, log.item), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def estimates(
    log: Log, target: npt.NDArray[np.float64], config: OpenBandit, *, by_group: bool = False
) -> dict[str, ope.Estimate]:
    """Return what a policy with (positions, items) shares would have earned, by estimator."""
    shown = log.shown
    if by_group:
        shown = ope.Impressions(shown.reward, shown.propensity, log.group)
    at, n_items = target[log.position, log.item], target.shape[1]
    cell = log.position * n_items + log.item
    fold, rates = ope.fold_rates(
        shown, cell, target.size, rng=generator(config.seed, "folds"), folds=config.folds
    )
    at_position = (rates.reshape(-1, *target.shape) * target).sum(axis=2)
    found = (
        ope.logged(shown),
        ope.ips(shown, at),
        ope.snips(shown, at),
        ope.doubly_robust(shown, at, rates[fold, cell], at_position[fold, log.position]),
    )
    return {e.estimator: e for e in found}


def campaign_rows(folder: Path, campaign: str, config: OpenBandit) -> list[dict[str, Any]]:
    """Return one row per estimator and unit of the interval."""
    random, bts = (read(folder, policy, campaign) for policy in ("random", "bts"))
    target = shares(bts, int(max(random.item.max(), bts.item.max())) + 1)
    truth = ope.logged(bts.shown)
    rows = []
    for unit in ("impression", "feature group"):
        found = estimates(random, target, config, by_group=unit != "impression")
        for name, e in found.items():
            difference = e.minus(found["logged"])
            rows.append(
                {
                    "campaign": campaign,
                    "estimator": "random policy" if name == "logged" else name,
                    "unit": unit,
                    "value": e.value,
                    "ci_low": e.ci_low,
                    "ci_high": e.ci_high,
                    "bts": truth.value,
                    "bts_ci": [truth.ci_low, truth.ci_high],
                    "covers": bool(e.ci_low <= truth.value <= e.ci_high),
                    "impressions": e.n,
                    "clicks": int(random.shown.reward.sum()),
                    "effective": e.effective,
                    "mean_weight": e.mean_weight,
                    "events": e.events,
                    "verdict": None
                    if name == "logged"
                    else str(ope.verdict(difference, effect=config.effect)),
                }
            )
    return rows


def run(folder: Path, config: OpenBandit, now: datetime) -> dict[str, Any]:
    """Judge BTS in every campaign."""
    begun, code = time.perf_counter(), records.commit()
    rows = [row for c in CAMPAIGNS for row in campaign_rows(folder, c, config)]
    return {
        "experiment": "ope",
        "dataset": "open-bandit-sample",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "protocol": "clicks per impression of Bernoulli Thompson sampling, estimated from the log "
        "of the random policy of the same week and campaign; BTS by its shares of items at each "
        "of three positions; 95 % intervals, corrected for skewness",
        "rows": rows,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "Judging a policy by another one's log.",
        OpenBandit,
        run,
        folder="open-bandit-sample",
        stem="ope-open-bandit",
        out=RESULTS,
    )


if __name__ == "__main__":
    sys.exit(main())
