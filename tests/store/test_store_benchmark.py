"""The benchmark of the store measures what it says, and its result keeps the promises."""

import json

from benchmarks.service import store as benchmark


def test_the_benchmark_counts_what_the_store_holds(tmp_path):
    small = '{"events": 300, "users": 20, "batch": 70, "single": 16, "callers": 4, "reads": 10}'
    assert benchmark.main(["--out", str(tmp_path), "--settings", small]) == 0
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert record["training"]["rows"] == 300 + 16 + 4 * 2
    assert 0 < record["read_milliseconds"]["events"]["p50"]
    assert record["database"] == "sqlite"


def test_the_newest_results_keep_the_promises():
    results = [json.loads(path.read_text()) for path in benchmark.RESULTS.glob("store-*.json")]
    for database in ("sqlite", "postgresql"):
        newest = max((r for r in results if r["database"] == database), key=lambda r: r["date"])
        assert newest["config"]["events"] >= 1_000_000
        assert newest["durable_events_per_second"]["batched"] >= benchmark.PROMISED
        assert newest["ready_seconds"] <= 5.0
