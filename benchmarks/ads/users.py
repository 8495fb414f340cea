"""New users: log loss after a few events, `python -m benchmarks.ads.users ml-100k`.

A fifth of the users is kept from training. Of each, with more than 20 rows, a random order is
drawn: the order within a session of MovieLens is the site's own. The first 20 are events, the rest
is asked, the same rows for every number of events. A rating of 4 or more counts as a click: proxy.

    none     the model as it meets a stranger: columns of the user and the ad, no event
    bias     one number a user on top of that, its prior learned over training users
    default  the whole taste, `ClickModel.update`; ads learn from these events as well
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from benchmarks import records
from warmstart.ads.click_config import ClickConfig
from warmstart.ads.click_model import ClickModel
from warmstart.ads.cold_benchmark import proxy_log, proxy_table
from warmstart.ads.log import AdLog
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import load_dataset
from warmstart.evaluation.cold_ads import AdSplit, log_losses
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.meta.logistic_belief import HeadPrior, Labelled, laplace, sigmoid
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"
METHODS = ("none", "bias", "default")


class UsersConfig(Config):
    """Settings: splits of the users, what is shown, and the model's own."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    held_out: float = Field(0.2, gt=0, lt=1)
    shots: tuple[int, ...] = (0, 1, 3, 5, 10, 20)
    click: ClickConfig = ClickConfig()


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of new users: which is the how-manieth of its user."""

    log: AdLog
    rank: npt.NDArray[Any]


def measure(data: Any, config: UsersConfig) -> dict[str, Any]:  # noqa: ANN401
    table = proxy_table(data)
    losses: dict[tuple[str, int], list[npt.NDArray[np.float64]]] = {}
    who: list[npt.NDArray[Any]] = []
    for seed in config.seeds:
        model, asked = _split(table, config, seed)
        query = asked.rank >= max(config.shots)
        final = asked.log.take(query)
        users, at = np.unique(final.user, return_inverse=True)
        counts = np.bincount(at)
        who.append(asked.log.coding.users.values.take(users).to_numpy(zero_copy_only=False))

        def note(method: str, shots: int, logits: npt.NDArray[Any],
                 final: AdLog = final, at: Any = at, counts: Any = counts) -> None:  # noqa: ANN401  # fmt: skip
            each = np.bincount(at, log_losses(final.click, sigmoid(logits))) / counts
            losses.setdefault((method, shots), []).append(each)

        before = model.logits(asked.log).astype(np.float64)
        variance = model.arrays["taste_covariance"][:1, :1]
        done = 0
        for shots in config.shots:
            shown = asked.rank < shots
            model.update(asked.log.take(shown & (asked.rank >= done)))
            done = shots
            one = Labelled.of(
                np.ones((int(shown.sum()), 1)), asked.log.click[shown], before[shown],
                asked.log.user[shown], len(asked.log.coding.users),
            )  # fmt: skip
            bias = laplace(HeadPrior(np.zeros(1), variance), one).mean[:, 0]
            note("none", shots, before[query])
            note("bias", shots, before[query] + bias[final.user])
            note("default", shots, model.logits(final))
    rows = []
    for method in METHODS:
        for shots in config.shots:
            own = np.concatenate(losses[method, shots])
            gain = np.concatenate(losses["none", shots]) - own
            same = np.unique(np.concatenate(who), return_inverse=True)[1]
            low, high = bootstrap_interval(own, clusters=same)
            worse, better = bootstrap_interval(gain, clusters=same)
            rows.append(
                {"method": method, "shots": shots, "metric": "logloss", "mean": float(own.mean()),
                 "ci_low": float(low), "ci_high": float(high), "gain": float(gain.mean()),
                 "gain_low": float(worse), "gain_high": float(better), "tasks": len(own)}
            )  # fmt: skip
    return {"dataset": data.name, "rows": rows, "seeds": list(config.seeds)}


def _split(table: pa.Table, config: UsersConfig, seed: int) -> tuple[ClickModel, _Asked]:
    rng = generator(seed, "new users")
    users = np.asarray(table["user"])
    out = np.isin(users, rng.permutation(users.max() + 1)[: int(config.held_out * users.max())])
    none = np.zeros(0, np.int64)
    log, _ = proxy_log(table, AdSplit(np.flatnonzero(~out), (none, none, none), none, none))
    model = ClickModel(config.click).fit(log, seed=seed)
    rows = np.flatnonzero(out)
    rows = rows[np.bincount(users[rows])[users[rows]] > max(config.shots)]
    rows = rows[
        np.isin(np.asarray(table["ad"])[rows], np.asarray(log.coding.ads.values.to_pylist()))
    ]
    rows = rows[np.lexsort((rng.random(len(rows)), users[rows]))]
    coding = log.coding.with_users([int(u) for u in np.unique(users[rows])])
    asked = AdLog.read(table.take(rows), coding)
    rank = np.arange(len(rows)) - np.searchsorted(users[rows], users[rows])
    model.add_users(coding, asked)
    return model, _Asked(asked, rank)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON")
    chosen = parser.parse_args()

    def work() -> None:
        config = UsersConfig.parse(json.loads(chosen.settings))
        now, start = datetime.now(UTC), time.perf_counter()
        found = measure(load_dataset(chosen.data), config)
        record = {
            "benchmark": "new users of ads",
            "date": now.isoformat(timespec="seconds"),
            "config": config.model_dump(mode="json"),
            "label": "proxy: a rating of 4 or more counts as a click",
            **found,
            "wall_seconds": round(time.perf_counter() - start, 1),
            "commit": records.commit(),
            "versions": versions(),
            "hardware": hardware(),
        }
        stem = f"users-{chosen.data}"
        print(records.add(records.spelled(record), stem, record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
