"""The tables of `docs/service.md`, from the newest results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_LATER = 4  # records that are shown

Line = Callable[[Iterable[str]], str]


def _records(stem: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (file stem, record) of all results of a kind, the oldest first."""
    found = [(p.stem, json.loads(p.read_text("utf8"))) for p in RESULTS.glob(f"{stem}-2*.json")]
    return sorted(found, key=lambda one: one[1]["date"])


def http_table(line: Line) -> str:
    """Return what the service keeps up with, the last records side by side."""
    shown = _records("http")[-_LATER:]
    names = [f"{r['date'][:10]}, `{r['commit'][:7]}`" for _, r in shown]
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("model", _model),
        ("connections", lambda r: str(r["config"]["connections"])),
        ("lists a second: ten events, one core", _lists),
        ("a FastAPI route that does nothing, on the same core in turns", _nothing),
        ("ratio (asked: .5)", lambda r: f"{r['throughput']['ratio']:.2f}"),
        ("a FastAPI route that reads the same request and does nothing", _only_read),
        ("ratio", lambda r: _ratio(r["throughput"].get("ratio_to_only_read"))),
        ("at half of that: median, 99th percentile (asked: 25 ms)",
         lambda r: _times(r["half_load"])),
        ("lists right after an event that did not know it, of 200",
         lambda r: str(r["stale_reads"]["stale"])),
        ("durable events a second, in batches of 500",
         lambda r: f"{r['events']['events_per_second']:,.0f}"),
        ("256 connections where there is room for 64: answers by status", _statuses),
        ("memory that a second such crowd adds", _added),
        ("100,000 items ranked as a whole, both cores, 150 lists a second asked for",
         lambda r: _large(r.get("large"))),
        ("the same with `--approximate` (asked: 10, 50 ms)",
         lambda r: _large(r.get("large_approximate"))),
        ("load average of the machine meanwhile", lambda r: f"{r['load_average'][0]:.1f}"),
    ]  # fmt: skip
    lines = [line(["", *names]), line([":--", *("--:" for _ in shown)])]
    lines += [line([name, *(cell(r) for _, r in shown)]) for name, cell in rows]
    files = ", ".join(f"`{stem}.json`" for stem, _ in shown)
    return "\n".join([*lines, "", f"Records: {files} in `benchmarks/service/results`."])


def approximate_table(line: Line) -> str:
    """Return how much the approximate index finds, and how fast."""
    known = _records("approximate")
    if not known:
        return "No record yet: `python -m benchmarks.service.approximate MODEL`."
    stem, r = known[-1]
    whole, alone = r["recall_at_10"], r["recall_at_10_of_the_index_alone"]
    told = r["milliseconds"]
    rows = [
        ("recall@10 against ranking everything", _share(whole)),
        *((f"… of users with {name} events", _share(one))
          for name, one in r["recall_at_10_by_shots"].items()),
        (f"… of {alone['candidates']} candidates of the index alone, without the neighbours",
         _share(alone)),
        ("everything ranked: median, 99th percentile", _both(told["exact"])),
        ("by the index: median, 99th percentile", _both(told["approximate"])),
        ("times faster", f"{r['speed_ratio']:.0f}"),
        ("seconds to build the index", f"{r['build_seconds']:.0f}"),
    ]  # fmt: skip
    lines = [line([f"{r['config']['items']:,} items, {r['width']} numbers each", ""])]
    lines += [line([":--", "--:"]), *(line(row) for row in rows)]
    about = (
        f"Items between the {r['model']['items']:,} of a model fitted on {r['model']['dataset']}; "
        f"{whole['users']} users with 0 to 20 events, one thread. `{stem}.json`, commit "
        f"`{r['commit'][:7]}`."
    )
    return "\n".join([*lines, "", about])


def posterior_table(line: Line) -> str:
    """Return what a cached posterior would save and cost."""
    known = _records("posterior")
    if not known:
        return "No record yet: `python -m benchmarks.service.posterior`."
    stem, r = known[-1]
    names = {
        "read_events": "read a user's ten events",
        "adapt_alone": "adapt to one user alone",
        "adapt_together": f"adapt to one of {r['config']['batch']} users together",
        "rank_alone": "adapt and rank, alone",
        "rank_together": f"adapt and rank, one of {r['config']['batch']}",
        "read_posterior": f"read {r['posterior_bytes']:,} bytes that were kept",
        "write_posterior": "write them",
    }
    lines = [line(["", "µs a user"]), line([":--", "--:"])]
    lines += [line([names[key], f"{us:,.0f}"]) for key, us in r["microseconds_a_user"].items()]
    return "\n".join([*lines, "", f"Medians. `{stem}.json`, commit `{r['commit'][:7]}`."])


def _model(r: dict[str, Any]) -> str:
    about = r.get("model", {"drawn": True})
    fitted = f"{about.get('dataset')}, {about.get('n_items', 0):,} items"
    return f"drawn, {r['config']['items']:,} items" if about["drawn"] else fitted


def _lists(r: dict[str, Any]) -> str:
    return _median(r, "recommend")


def _nothing(r: dict[str, Any]) -> str:
    return _median(r, "noop")


def _only_read(r: dict[str, Any]) -> str:
    return _median(r, "only_read") if "only_read" in r["throughput"]["turns"][0] else "–"


def _ratio(told: float | None) -> str:
    return "–" if told is None else f"{told:.2f}"


def _median(r: dict[str, Any], what: str) -> str:
    rates = sorted(turn[what]["per_second"] for turn in r["throughput"]["turns"])
    return f"{rates[len(rates) // 2]:,.0f}"


def _times(told: dict[str, Any]) -> str:
    return f"{told['p50_ms']:.0f}, {told['p99_ms']:.0f} ms"


def _both(told: dict[str, float]) -> str:
    return f"{told['p50']:,.1f}, {told['p99']:,.1f} ms"


def _large(told: dict[str, Any] | None) -> str:
    return "–" if told is None else f"{told['per_second']:.0f} a second, {_times(told)}"


def _statuses(r: dict[str, Any]) -> str:
    return ", ".join(f"{n:,} × {s}" for s, n in r["overload"]["statuses"].items())


def _added(r: dict[str, Any]) -> str:
    before, after = r["overload"]["bytes_before"], r["overload"]["bytes_after"]
    return "–" if before is None else f"{(after - before) / 1e6:.1f} MB"


def _share(told: dict[str, Any]) -> str:
    return f"{told['mean']:.3f} ± {told['half_interval']:.3f}"
