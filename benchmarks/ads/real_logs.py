"""Real clicks and conversions, however few: `python -m benchmarks.ads.real_logs NAME`.

open-bandit   clicks of a fashion shop, three campaigns. Trained on the first days of both policies'
              logs, tested on the last ones; then judged by the last days of the random policy:
              would showing one of the model's ten best items have earned more?
talkingdata   clicks on mobile ads of which few become installs. Trained on the first clicks, with
              only those installs known that had come by then, tested on the later ones with all of
              their installs. No count over the whole period is a feature.
facebook      ads of which impressions, clicks and conversions are known. Whole ads are left out, so
              that an ad is known by age, gender and interest alone. Conversions are per impression,
              for some ads have more of them than clicks. Of the impressions without the event
              a sample is trained on, and the odds are corrected by its share.

Rows are the constant rate, smoothed rates, and the ad recommender as it comes, with each of
several seeds; differences are paired with the constant rate, for every row or every ad.

The data is private: `WARMSTART_DATA`. A result is added, never edited.

References: He et al. 2014, doi:10.1145/2648584.2648589 (training on a sample of the negatives);
DeLong et al. 1988, doi:10.2307/2531595 (intervals of AUC).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import Field
from scipy.special import betaln, expit, logit

from benchmarks import records
from benchmarks.ads import scores
from warmstart.ads.log import AdLog
from warmstart.ads.off_policy import judge
from warmstart.ads.recommender import AdConfig, AdRecommender
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"
Numbers = npt.NDArray[np.float64]


class RealLogs(Config):
    """Settings of the measurement.

    Attributes:
        seeds: of the models; each is trained anew.
        train_share: of the rows of a log, the earliest, that are trained on.
        folds: of the ads, each left out once.
        negatives: of the impressions without the event, so many for one with it.
        low_traffic: what a new ad of *facebook* is taken for: like any other, being left out by
            lot; the sample makes ads of little traffic look better than they are.
        top: the judged policy shows one of so many best items.
        effect: the smallest difference of click rates that would matter.
        model: of the ad recommender.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    train_share: float = Field(0.6, gt=0, lt=1)
    folds: int = Field(5, ge=2)
    negatives: float = Field(1.0, gt=0)
    low_traffic: float | None = None
    top: int = Field(10, ge=1)
    effect: float = Field(0.001, gt=0)
    model: AdConfig = AdConfig()


def smoothed(code: npt.NDArray[Any], events: Numbers, trials: Numbers) -> tuple[Numbers, float]:
    """Return (values,) shrunken rates by code, and the overall rate.

    The prior is a beta distribution around the overall rate whose strength makes the counts
    likeliest, of a grid.
    """
    n = np.bincount(code, trials)
    k = np.bincount(code, events, minlength=len(n))
    rate = float(k.sum() / n.sum())

    def fit(strength: float) -> float:
        a, b = strength * rate, strength * (1 - rate)
        return float((betaln(k + a, n - k + b) - betaln(a, b)).sum())

    best = max(np.geomspace(1 / rate / 10, 1e4 / rate, 40), key=fit)
    return (k + best * rate) / (n + best), rate


# Open Bandit


def open_bandit(folder: Path, config: RealLogs) -> dict[str, Any]:
    """Clicks of three campaigns."""
    rows, reports = [], []
    for campaign in ("all", "men", "women"):
        tables = {p: _bandit_table(folder, p, campaign) for p in ("random", "bts")}
        early, late = {}, {}
        for policy, table in tables.items():
            cut = int(table.num_rows * config.train_share)
            early[policy], late[policy] = table.slice(0, cut), table.slice(cut)
        train = pa.concat_tables(early.values())
        test = pa.concat_tables(late.values())
        log = AdLog.from_table(
            train, user=None, ad="item", click="click", timestamp="time", propensity="propensity",
            user_columns=[f"user_feature_{i}" for i in range(4)],
            ad_columns=[f"item_feature_{i}" for i in range(4)], context_columns=["position"],
        )  # fmt: skip
        asked = log.encode(test)
        rates, rate = smoothed(log.ad, log.click, np.ones(len(log)))
        found = {
            "constant": [np.full(len(asked), rate)],
            "smoothed": [np.where(asked.ad < 0, rate, rates[np.maximum(asked.ad, 0)])],
            "default": [],
        }
        for seed in config.seeds:
            model = AdRecommender(config.model, seed=seed).fit(log)
            found["default"].append(model.score(asked).click)
            judged = judge(model, late["random"], effect=config.effect, top=config.top)
            reports.append(
                {
                    "campaign": campaign,
                    "seed": seed,
                    "sentence": judged.sentence,
                    "shown": _spelled(judged.logged),
                    "model": _spelled(judged.estimates[-1]),
                }
            )
        for row in scores.rows_of(found, asked.click):
            rows.append({"log": f"open-bandit {campaign}", "label": "click", **row})
    return {"rows": rows, "off_policy": reports}


def _bandit_table(folder: Path, policy: str, campaign: str) -> pa.Table:
    name = f"{policy}-{campaign}"
    table = _parquet(folder, f"open-bandit-sample/{name}-{campaign}.parquet")
    items = _parquet(folder, f"open-bandit-sample/{name}-item_context.parquet")
    by_id = {row["item_id"]: row for row in items.to_pylist()}
    columns = {
        "item": table["item_id"], "click": table["click"], "time": table["timestamp"],
        "propensity": table["propensity_score"], "position": table["position"],
    }  # fmt: skip
    columns |= {f"user_feature_{i}": table[f"user_feature_{i}"] for i in range(4)}
    ids = table["item_id"].to_pylist()
    for i in range(4):
        columns[f"item_feature_{i}"] = pa.array([by_id[x][f"item_feature_{i}"] for x in ids])
    return pa.table(columns)


# TalkingData


def talkingdata(folder: Path, config: RealLogs) -> dict[str, Any]:
    """Installs of clicks."""
    table = _parquet(folder, "talkingdata-sample/clicks.parquet")
    clicked = np.array([_seconds(t) for t in table["click_time"].to_pylist()])
    came = np.array([_seconds(t) for t in table["attributed_time"].to_pylist()])
    order = np.argsort(clicked, kind="stable")
    cut = int(len(order) * config.train_share)
    early, late = order[:cut], order[cut:]
    end = float(clicked[early].max())
    known = came <= end  # what had come when the training ended
    hour = (clicked // 3600 % 24).astype(int)
    features = {n: table[n].to_numpy() for n in ("app", "channel", "device", "os")}

    def rows(at: npt.NDArray[np.int64], installed: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {n: v[at] for n, v in features.items()} | {
            "hour": hour[at], "clicked": clicked[at], "install": installed[at].astype(int),
            "came": np.where(installed, came, np.nan)[at],
        }  # fmt: skip

    installed = ~np.isnan(came)
    truth = installed[late].astype(float)
    train = rows(early, known)
    names = {
        "user": None, "ad": "app", "click": None, "conversion": "install", "timestamp": "clicked",
        "context_columns": ["channel", "device", "os", "hour"],
    }  # fmt: skip
    plain = AdLog.from_table(train, **names)
    late_aware = AdLog.from_table(train, conversion_timestamp="came", **names)
    asked = plain.encode(rows(late, installed))
    assert plain.conversion is not None
    rates, rate = smoothed(plain.ad, plain.conversion, np.ones(len(plain)))
    found: dict[str, list[Numbers]] = {
        "constant": [np.full(len(asked), rate)],
        "smoothed": [np.where(asked.ad < 0, rate, rates[np.maximum(asked.ad, 0)])],
        "default, labels as seen": [],
        "default": [],
    }
    for seed in config.seeds:
        for name, log in (("default, labels as seen", plain), ("default", late_aware)):
            model = AdRecommender(config.model, seed=seed).fit(log, seen_until=end)
            found[name].append(np.asarray(model.score(asked).conversion))
    out = [
        {"log": "talkingdata", "label": "install of a click", **row}
        for row in scores.rows_of(found, truth)
    ]
    still = int((installed & ~known)[early].sum())
    return {
        "rows": out,
        "installs": {
            "trained": int(known[early].sum()), "came_later": still, "tested": int(truth.sum()),
        },
    }  # fmt: skip


def _seconds(text: str | None) -> float:
    if text is None:
        return float("nan")
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()


# Facebook


def facebook(folder: Path, config: RealLogs) -> dict[str, Any]:
    """Clicks and conversions per impression of ads that are left out."""
    path = folder / "facebook-ad-conversions" / "KAG_conversion_data.csv"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; set WARMSTART_DATA to a folder that has it")
    table = pa.csv.read_csv(path)
    columns = {n: np.array(table[n].to_pylist()) for n in ("age", "gender", "interest")}
    shown = table["Impressions"].to_numpy().astype(float)
    rows = []
    for label, name in (("click", "Clicks"), ("conversion", "Total_Conversion")):
        events = table[name].to_numpy().astype(float)
        found = {m: [np.zeros(len(shown)) for _ in config.seeds] for m in _FACEBOOK}
        for at, seed in enumerate(config.seeds):
            fold = generator(seed, "folds").permutation(len(shown)) % config.folds
            for out in range(config.folds):
                kept, left = np.flatnonzero(fold != out), np.flatnonzero(fold == out)
                said = _of_left_out(columns, shown, events, kept, left, config, seed)
                for method, values in said.items():
                    found[method][at][left] = values
        for row in scores.counted_rows_of(found, events, shown):
            rows.append({"log": "facebook", "label": f"{label} per impression", **row})
    return {"rows": rows, "ads": len(shown)}


_FACEBOOK = ("constant", "smoothed", "smoothed, additive", "default")


def _of_left_out(
    columns: Mapping[str, npt.NDArray[Any]], shown: Numbers, events: Numbers,
    kept: npt.NDArray[np.int64], left: npt.NDArray[np.int64], config: RealLogs, seed: int,
) -> dict[str, Numbers]:  # fmt: skip
    """Return method → rates of the ads that are left out."""
    rate = float(events[kept].sum() / shown[kept].sum())
    cell = np.unique(
        [f"{a} {g}" for a, g in zip(columns["age"], columns["gender"], strict=True)],
        return_inverse=True,
    )[1]
    of_cell, _ = smoothed(cell[kept], events[kept], shown[kept])
    additive = np.full(len(left), logit(rate))
    for values in columns.values():
        code = np.unique(values, return_inverse=True)[1]
        found, _ = smoothed(code[kept], events[kept], shown[kept])
        found = np.concatenate([found, np.full(code.max() + 1 - len(found), rate)])
        additive += logit(found[code[left]]) - logit(rate)
    return {
        "constant": np.full(len(left), rate),
        "smoothed": of_cell[cell[left]],
        "smoothed, additive": expit(additive),
        "default": _rates(columns, shown, events, kept, left, config, seed),
    }


def _rates(
    columns: Mapping[str, npt.NDArray[Any]], shown: Numbers, events: Numbers,
    kept: npt.NDArray[np.int64], left: npt.NDArray[np.int64], config: RealLogs, seed: int,
) -> Numbers:  # fmt: skip
    """Return rates of ads, learned from others: all events, a sample of what had none."""
    rng = generator(seed, "negatives")
    missed = shown[kept] - events[kept]
    share = min(1.0, config.negatives * events[kept].sum() / missed.sum())
    drawn = rng.binomial(missed.astype(np.int64), share)
    ad = np.concatenate([np.repeat(kept, events[kept].astype(int)), np.repeat(kept, drawn)])
    click = np.concatenate([np.ones(int(events[kept].sum())), np.zeros(drawn.sum())])
    order = rng.permutation(len(ad))
    rows = {n: v[ad[order]] for n, v in columns.items()}
    click_config = config.model.click.model_copy(update={"low_traffic": config.low_traffic})
    settings = config.model.model_copy(update={"click": click_config})
    model = AdRecommender(settings, seed=seed).fit(
        rows | {"ad": ad[order], "click": click[order]}, user=None, ad_columns=list(columns)
    )
    asked = {n: v[left] for n, v in columns.items()} | {"ad": left}
    odds = logit(model.score(asked).click)
    return np.asarray(expit(odds + np.log(share)))


# The command


def _parquet(folder: Path, name: str) -> pa.Table:
    if not (folder / name).is_file():
        raise ConfigError(
            f"there is no {folder / name}; set WARMSTART_DATA to a folder that has it"
        )
    return pq.read_table(folder / name)


def _spelled(estimate: Any) -> dict[str, float]:  # noqa: ANN401
    return {n: getattr(estimate, n) for n in ("value", "ci_low", "ci_high", "effective", "n")}


PROTOCOLS = {
    "open-bandit": "trained on the earliest rows of the random and the BTS log of a campaign, "
    "tested on the others; user and item features and the position",
    "talkingdata": "trained on the earliest clicks with the installs that had come by then, "
    "tested on the later clicks with all of theirs; app, channel, device, os and hour; "
    "no address, which is no person",
    "facebook": "ads left out in folds; age, gender and interest; intervals over ads",
}
MEASURES = {"open-bandit": open_bandit, "talkingdata": talkingdata, "facebook": facebook}


def run(name: str, folder: Path, config: RealLogs, now: datetime) -> dict[str, Any]:
    """Measure on one log."""
    begun, code = time.perf_counter(), records.commit()
    found = MEASURES[name](folder, config)
    return {
        "experiment": "ads-real-logs",
        "dataset": name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": list(config.seeds),
        "protocol": PROTOCOLS[name] + "; 95 % intervals",
        **found,
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Read the command line, measure, and add the result."""
    import json
    import os

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON; for trials, with --out")
    chosen = parser.parse_args()

    def work() -> None:
        config = RealLogs.parse(json.loads(chosen.settings))
        folder = Path(os.environ.get("WARMSTART_DATA", "."))
        record = run(chosen.name, folder, config, datetime.now(UTC))
        text, stem = records.spelled(record), f"real-{chosen.name}"
        print(records.add(text, stem, record["date"], chosen.out))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
