"""New ads, cold and after each of three batches: `python -m benchmarks.ads.cold ml-100k`.

Ratings of 4 or more stand for clicks; every result says "proxy". A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import records
from warmstart.ads.cold_benchmark import ColdAdsConfig, cold_ads
from warmstart.data import load_dataset
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--settings", default="{}", help="JSON")
    chosen = parser.parse_args()

    def work() -> None:
        config = ColdAdsConfig.parse(json.loads(chosen.settings))
        now, start = datetime.now(UTC), time.perf_counter()

        def progress(done: int, total: int, message: str) -> None:
            print(f"{done}/{total} {message} {time.perf_counter() - start:.0f} s", file=sys.stderr)

        found = cold_ads(load_dataset(chosen.data), config, progress=progress)
        record = {
            "benchmark": "cold ads",
            "date": now.isoformat(timespec="seconds"),
            "config": config.model_dump(mode="json"),
            **found,
            "wall_seconds": round(time.perf_counter() - start, 1),
            "commit": records.commit(),
            "versions": versions(),
            "hardware": hardware(),
        }
        path = records.add(
            records.spelled(record), f"cold-{chosen.data}", record["date"], chosen.out
        )
        print(path)

    return records.told(work)


if __name__ == "__main__":
    sys.exit(main())
