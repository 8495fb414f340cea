"""How fast the click model learns and scores: `python -m benchmarks.ads.speed`.

A planted log: 4,000 users, 1,000 ads, five columns. Timed are `AdRecommender.update` with one event
as it comes, the click model's own with one that is coded, the same by the event in one call, and
`pair_logits` of a thousand users and a thousand ads beside the bare matrix product of the same
tastes; medians of turns taken one after the other.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records
from warmstart.ads.click_model import ClickModel
from warmstart.ads.log import AdLog
from warmstart.ads.recommender import AdRecommender
from warmstart.core.rng import generator
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"
TURNS = 11


COLUMNS = {"user_columns": ["age", "city"], "ad_columns": ["kind", "size", "shop"]}


def planted(rows: int = 60_000) -> dict[str, Any]:
    rng = generator(0, "speed")
    user, ad = rng.integers(0, 4_000, rows), rng.integers(0, 1_000, rows)
    kind, place = ad % 12, rng.integers(0, 4, rows)
    p = 1 / (1 + np.exp(1.0 - (kind % 3 == user % 3) - 0.3 * (place == 0)))
    return {
        "user": user, "ad": ad, "click": (rng.random(rows) < p).astype(int),
        "age": user % 6, "city": user % 15, "kind": [f"k{k}" for k in kind],
        "size": [f"s{s}" for s in ad % 5], "shop": [f"h{h}" for h in ad % 20],
    }  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(TURNS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> int:
    def work() -> None:
        now, table = datetime.now(UTC), planted()
        log = AdLog.from_table(table, **COLUMNS)
        model = ClickModel().fit(log)
        recommender = AdRecommender().fit(table, **COLUMNS)
        event = {name: np.asarray(values)[0].item() for name, values in table.items()}
        one, many = log.take(np.arange(1)), log.take(np.arange(1_000))
        users, ads = np.arange(1_000), np.arange(1_000)
        left = model.arrays["user_mean"][users].astype(np.float32)
        right = np.ascontiguousarray(model._table[ads, 1:].T)
        pairs, product = (
            seconds(lambda: model.pair_logits(users, ads)),
            seconds(lambda: left @ right),
        )
        log_rows = log.take(np.arange(50_000))
        record = {
            "benchmark": "speed of ads",
            "date": now.isoformat(timespec="seconds"),
            "config": {"rows": len(log), "users": 4_000, "ads": 1_000, "dim": left.shape[1]},
            "recommender_update_us": 1e6 * seconds(lambda: recommender.update([event])),
            "update_us_one_call": 1e6 * seconds(lambda: model.update(one)),
            "update_us_per_event": 1e3 * seconds(lambda: model.update(many)),
            "event_us": 1e6 * seconds(lambda: model._event(5, 7, 1.0, 0.1, model._table[7])),
            "pairs_per_second": 1e6 / pairs,
            "product_ratio": pairs / product,
            "rows_per_second": len(log_rows) / seconds(lambda: model.logits(log_rows)),
            "commit": records.commit(),
            "versions": versions(),
            "hardware": hardware(),
        }
        print(records.add(records.spelled(record), "speed", record["date"], RESULTS))

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
