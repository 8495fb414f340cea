"""The table of `docs/ads.md`: real clicks and conversions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_ORDER = ("open-bandit", "talkingdata", "facebook")


def real_table(line: Callable[[Iterable[str]], str]) -> str:
    """Return what every method made of every log.

    Args:
        line: spells a row.
    """
    newest: dict[str, tuple[dict[str, Any], str]] = {}
    for path in RESULTS.glob("real-*.json"):
        record = json.loads(path.read_text("utf8"))
        name = record["dataset"]
        if name not in newest or record["date"] > newest[name][0]["date"]:
            newest[name] = (record, path.stem)
    if not newest:
        return "No result is committed yet; `python -m benchmarks.ads.real_logs` adds one."
    lines = [
        line(
            [
                "log, label",
                "method",
                "AUC",
                "log loss",
                "against the constant",
                "against smoothed",
                "ECE",
            ]
        ),
        line([":--", ":--", "--:", "--:", "--:", "--:", "--:"]),
    ]
    notes = []
    for name in _ORDER:
        if name not in newest:
            continue
        record, stem = newest[name]
        cells: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        for row in record["rows"]:
            key = f"{row['log']}, {row['label']}", row["method"]
            cells.setdefault(key, {})[row["metric"]] = row
        for (log, method), by_metric in cells.items():
            loss = by_metric.get("logloss") or by_metric["logloss per event"]
            area, gap = by_metric.get("auc"), by_metric.get("ece")
            lines.append(
                line(
                    [
                        log,
                        "**warmstart**" if method == "default" else _renamed(method),
                        "" if area is None else
                        f"{area['mean']:.3f} [{area['ci_low']:.3f}, {area['ci_high']:.3f}]",
                        f"{loss['mean']:.5f}",
                        "" if method == "constant" else
                        _difference(loss["against_constant"], loss["difference_ci"]),
                        _difference(loss["against_smoothed"], loss["smoothed_ci"])
                        if method.startswith("default") else "",
                        "" if gap is None else f"{gap['mean']:.4f}",
                    ]
                )
            )  # fmt: skip
        events = {r["events"] for r in record["rows"] if "events" in r}
        seeds = ", ".join(map(str, record["seeds"]))
        notes.append(
            f"*{name}*: {record['protocol']}; seeds {seeds}; judged on "
            f"{', '.join(f'{n:,}' for n in sorted(events))} events. "
            f"`benchmarks/ads/results/{stem}.json`, commit `{record['commit'][:12]}`."
        )
    legend = (
        "Below zero is better than the constant rate, or than the smoothed rates above; `*`: the "
        "paired interval excludes zero. The log loss of *facebook* is per event, in nats."
    )
    return "\n".join([*lines, "", legend, "", "\n\n".join(notes)])


def policy_table(line: Callable[[Iterable[str]], str]) -> str:
    """Return what the off-policy report says of models of the Open Bandit logs."""
    records = [json.loads(p.read_text("utf8")) for p in RESULTS.glob("real-open-bandit-*.json")]
    if not records:
        return "No result is committed yet; `python -m benchmarks.ads.real_logs` adds one."
    record = max(records, key=lambda r: r["date"])
    lines = [
        line(["campaign", "seed", "shown: clicks per 1,000", "the model's", "may be said"]),
        line([":--", "--:", "--:", "--:", ":--"]),
    ]
    lines += [
        line(
            [
                row["campaign"],
                str(row["seed"]),
                _rate(row["shown"]),
                _rate(row["model"]),
                row["sentence"],
            ]
        )
        for row in record["off_policy"]
    ]
    return "\n".join(lines)


def _rate(estimate: dict[str, float]) -> str:
    low, high = 1000 * estimate["ci_low"], 1000 * estimate["ci_high"]
    return f"{1000 * estimate['value']:.1f} [{low:.1f}, {high:.1f}]"


def _difference(mean: float, interval: list[float]) -> str:
    low, high = interval
    sure = "\\*" if low > 0 or high < 0 else ""
    return f"{mean:+.5f}{sure} [{low:+.5f}, {high:+.5f}]"


def _renamed(method: str) -> str:
    return method.replace("default", "warmstart")
