"""The tables of `docs/cold-ads.md`: new ads, new users, and speed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Line = Callable[[Iterable[str]], str]
_METRICS = {"auc": "AUC", "gauc": "AUC per ad", "logloss": "log loss", "ece": "ECE"}
_BEST = {"auc": max, "gauc": max, "logloss": min, "ece": min}


def _newest(prefix: str) -> dict[str, tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob(f"{prefix}*.json")):
        record = json.loads(path.read_text("utf8"))
        name = record.get("dataset", "")
        if name not in found or record["date"] > found[name][1]["date"]:
            found[name] = (path.stem, record)
    return found


def cold_tables(line: Line) -> str:
    """Return every metric of every method at each phase, and the difference to the default."""
    parts = []
    for stem, record in _newest("cold-").values():
        rows = record["rows"]
        methods = list(dict.fromkeys(r["method"] for r in rows))
        phases = list(dict.fromkeys(r["phase"] for r in rows))
        for metric, name in _METRICS.items():
            own = {(r["method"], r["phase"]): r for r in rows if r["metric"] == metric}
            lines = [line([name, *phases]), line([":--", *("--:" for _ in phases)])]
            best = {p: _BEST[metric](own[m, p]["mean"] for m in methods) for p in phases}
            for method in methods:
                cells = [_cell(own[method, p], best[p], method == methods[0]) for p in phases]
                lines.append(line([method, *cells]))
            parts.append("\n".join(lines))
        parts.append(
            f"{record['dataset']}, {record['label']}; {record['training_rows']:,} rows of ads with "
            f"more than {record['established']} rows ({record['training_rate']:.1%} clicks) teach, "
            f"{rows[0]['tasks']} new ads are met in batches of {record['batch']}, "
            f"{record['test_rows']:,} rows are the test ({record['test_rate']:.1%} clicks); "
            f"{len(record['seeds'])} seeds, everything trained anew with each; "
            f"`benchmarks/ads/results/{stem}.json`."
        )
    return "\n\n".join(parts) or "No result is committed yet."


def _cell(row: dict[str, Any], best: float, reference: bool) -> str:
    text = f"{row['mean']:.4f}"
    text = f"**{text}**" if row["mean"] == best else text
    half = (row["ci_high"] - row["ci_low"]) / 2
    apart = row["difference_low"] > 0 or row["difference_high"] < 0
    return f"{text} ± {half:.3f}" + ("*" if apart and not reference else "")


def users_table(line: Line) -> str:
    """Return the log loss of new users after some events."""
    parts = []
    for stem, record in _newest("users-").values():
        rows = record["rows"]
        shots = list(dict.fromkeys(r["shots"] for r in rows))
        lines = [line(["log loss after … events", *map(str, shots)])]
        lines.append(line([":--", *("--:" for _ in shots)]))
        for method in dict.fromkeys(r["method"] for r in rows):
            own = [r for r in rows if r["method"] == method]
            lines.append(line([method, *(f"{r['mean']:.4f}" for r in own)]))
        gains = [r for r in rows if r["method"] == "default"]
        cells = (f"{r['gain']:+.4f} ({r['gain_low']:+.4f} to {r['gain_high']:+.4f})" for r in gains)
        lines.append(line(["gain of the default", *cells]))
        parts.append("\n".join(lines))
        parts.append(
            f"{record['dataset']}, {record['label']}; {rows[0]['tasks']} new users in "
            f"{len(record['seeds'])} splits; `benchmarks/ads/results/{stem}.json`."
        )
    return "\n\n".join(parts) or "No result is committed yet."


def speed_table(line: Line) -> str:
    """Return how fast the click model learns and scores."""
    found = _newest("speed")
    if not found:
        return "No result is committed yet; `python -m benchmarks.ads.speed` adds one."
    ((stem, r),) = found.values()
    lines = [
        line(["what", "measured"]),
        line([":--", "--:"]),
        line(["one event, both beliefs", f"{r['event_us']:.0f} µs"]),
        line(["one event through `ClickModel.update`", f"{r['update_us_one_call']:.0f} µs"]),
        line(["one event through `AdRecommender.update`", f"{r['recommender_update_us']:.0f} µs"]),
        line(["of a thousand events in one call, each", f"{r['update_us_per_event']:.0f} µs"]),
        line(["pairs scored a second", f"{r['pairs_per_second']:,.0f}"]),
        line(["against the bare matrix product of the tastes", f"{r['product_ratio']:.1f} ×"]),
        line(["rows of a log scored a second", f"{r['rows_per_second']:,.0f}"]),
    ]
    return "\n".join([*lines, "", f"`benchmarks/ads/results/{stem}.json`."])
