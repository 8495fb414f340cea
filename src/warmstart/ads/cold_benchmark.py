"""The table of cold ads: every method under the protocol of `warmstart.evaluation.cold_ads`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from warmstart.ads.click_config import ClickConfig
from warmstart.ads.click_model import ClickModel
from warmstart.ads.coding import Coding
from warmstart.ads.log import AdLog
from warmstart.ads.rates import Rates
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Progress
from warmstart.data import Dataset
from warmstart.evaluation.cold_ads import AdSplit, ad_rows, run_phases, split_ads

METHODS = (
    "default", "constant", "smoothed", "backbone", "meta-embedding", "mwuf", "maml", "foma",
)  # fmt: skip
LIKED = 4.0
"""The least rating that counts as a click."""

_USUAL = {"ml-100k": (120, 10), "ml-1m": (200, 20)}
_COLUMNS = {"user": ("age", "gender", "occupation"), "ad": ("year", "genres")}


class ColdAdsConfig(Config):
    """Settings of the comparison.

    Attributes:
        established: an ad with more rows is established; None takes what is usual for the data.
        batch: K, rows of a warm-up batch; likewise.
        seeds: how often every model is trained anew.
        seed: of the first training, and of the intervals.
        methods: names; the first is what the others are compared with.
        resamples: draws of ads for the intervals.
        click: settings of the default.
    """

    established: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1)
    seeds: int = Field(5, ge=1)
    seed: int = Field(0, ge=0)
    methods: tuple[str, ...] = METHODS
    resamples: int = Field(500, ge=20)
    click: ClickConfig = ClickConfig()


class ColdMethod(Protocol):
    """What is compared."""

    def fit(self, log: AdLog, *, seed: int = 0) -> Any:  # noqa: ANN401
        """Learn from established ads."""

    def add_ads(self, coding: Coding, log: AdLog) -> Any:  # noqa: ANN401
        """Make new ads known by their columns."""

    def probabilities(self, log: AdLog) -> npt.NDArray[Any]:
        """Return (n,) probabilities."""

    def update(self, log: AdLog) -> Any:  # noqa: ANN401
        """Learn from further rows."""


def cold_ads(
    data: Dataset,
    config: ColdAdsConfig,
    *,
    among: npt.NDArray[Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the table, and what it was made of.

    Args:
        data: with ratings, which stand for clicks: "proxy" in every result.
        config: settings.
        among: see `warmstart.evaluation.cold_ads.split_ads`; for a choice of settings.
        progress: told how far it has come.

    Raises:
        ConfigError: no such method.
        DataError: no ratings or times, or no ad is established or new.
    """
    unknown = [m for m in config.methods if m not in METHODS]
    if unknown or not config.methods:
        raise ConfigError(f"methods={config.methods!r}; choose from {', '.join(METHODS)}")
    established, batch = _sizes(data.name, config)
    table = proxy_table(data)
    ads, times = data.interactions.item, np.asarray(table["timestamp"])
    split = split_ads(ads, times, established=established, batch=batch, among=among)
    log, coding = proxy_log(table, split)
    test = AdLog.read(table.take(split.test), coding)
    batches = [AdLog.read(table.take(rows), coding) for rows in split.batches]
    found: dict[str, list[npt.NDArray[np.float64]]] = {m: [] for m in config.methods}
    seconds = dict.fromkeys(config.methods, 0.0)
    for turn in range(config.seeds):
        shared: dict[str, Any] = {}
        for place, name in enumerate(config.methods):
            if turn and name in ("constant", "smoothed"):
                continue  # nothing in them is drawn
            if progress is not None:
                done = turn * len(config.methods) + place
                progress(done, config.seeds * len(config.methods), f"{name}, seed {turn}")
            start = time.perf_counter()
            model = _fitted(name, log, config, config.seed + turn, shared)
            model.add_ads(coding, test)
            found[name].append(run_phases(model, batches, test))
            seconds[name] += time.perf_counter() - start
    rows = ad_rows(
        found, test.click, test.ad, reference=config.methods[0], seed=config.seed,
        resamples=config.resamples,
    )  # fmt: skip
    return {
        "dataset": data.name,
        "label": f"proxy: a rating of {LIKED:g} or more counts as a click",
        "protocol": "cold ads, cold/a/b/c",
        "established": established,
        "batch": batch,
        "training_rows": len(split.training),
        "training_rate": float(log.click.mean()),
        "test_rows": len(split.test),
        "test_rate": float(test.click.mean()),
        "seeds": [config.seed + turn for turn in range(config.seeds)],
        "seconds": {n: round(s, 1) for n, s in seconds.items()},
        "rows": [asdict(row) for row in rows],
    }


def proxy_table(data: Dataset) -> pa.Table:
    """Return a rating data set as a log of impressions, one row for each rating.

    Raises:
        DataError: it has no ratings or no times.
    """
    rows = data.interactions
    if rows.rating is None or rows.time is None:
        raise DataError(f"{data.name} has no ratings with times, so nothing can stand for clicks")
    columns: dict[str, Any] = {
        "user": rows.user,
        "ad": rows.item,
        "click": (rows.rating >= LIKED).astype(np.int64),
        "timestamp": rows.time,
    }
    for ids, table, names in (
        (rows.user, data.user_table, _COLUMNS["user"]),
        (rows.item, data.item_table, _COLUMNS["ad"]),
    ):
        for name in names:
            if table is not None and name in table.column_names:
                columns[name] = table[name].take(pa.array(ids))
    return pa.table(columns)


def proxy_log(table: pa.Table, split: AdSplit) -> tuple[AdLog, Coding]:
    """Return the rows of established ads as a log, and its coding with the new ads."""
    there = set(table.column_names)
    log = AdLog.from_table(
        table.take(split.training),
        timestamp="timestamp",
        user_columns=[c for c in _COLUMNS["user"] if c in there],
        ad_columns=[c for c in _COLUMNS["ad"] if c in there],
    )
    return log, log.coding.with_ads([int(ad) for ad in split.new])


def _sizes(name: str, config: ColdAdsConfig) -> tuple[int, int]:
    usual = _USUAL.get(name, (120, 10))
    return config.established or usual[0], config.batch or usual[1]


def _fitted(
    name: str, log: AdLog, config: ColdAdsConfig, seed: int, shared: dict[str, Any]
) -> ColdMethod:
    if name == "default":
        return ClickModel(config.click).fit(log, seed=seed)
    rates: dict[str, Callable[[], Rates]] = {
        "constant": lambda: Rates(None, None), "smoothed": Rates,
    }  # fmt: skip
    if name in rates:
        return rates[name]().fit(log, seed=seed)
    from warmstart.ads.generators import AdVectors

    model = AdVectors(name).fit(log, seed=seed, network=shared.get("network"))  # type: ignore[arg-type]
    shared["network"] = model.network
    return model
