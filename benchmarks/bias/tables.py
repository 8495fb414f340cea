"""The table of remedies and their price, from the newest committed result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TITLES = {
    "ml-1m": "MovieLens-1M, 2,500 users, a third of the usual training",
    "ml-1m-texts": "MovieLens-1M, films with at least ten likes and their texts",
    "lastfm-hetrec": "Last.fm (HetRec 2011)",
    "ml-1m-cold": "MovieLens-1M, 2,500 users, a fifth of the films without training rows",
}
_HALF, _MOST_LOSS = 0.5, -2.0

Line = Callable[[Sequence[str]], str]
Short = Callable[[float], str]


def remedies_table(line: Line, short: Short) -> str:
    """Return a table for each dataset, and a sentence on who halves the lift at two percent."""
    paths = sorted(RESULTS.glob("remedies-*.json"))
    if not paths:
        return "No result is committed yet; `python -m benchmarks.bias.remedies` adds one."
    found = {path: json.loads(path.read_text("utf8")) for path in paths}
    path = max(found, key=lambda p: found[p]["date"])
    record, parts = found[path], []
    for case, title in TITLES.items():
        rows = [row for row in record["rows"] if row["case"] == case]
        if rows:
            cold = case == "ml-1m-cold"
            parts.append(f"*{title}*")
            parts.append(_cold_lines(rows, line, short) if cold else _lines(rows, line, short))
            if not cold:
                parts.append(_verdict(rows))
    parts.append(_about(path.stem, record))
    return "\n\n".join(parts)


def _lines(rows: Sequence[dict[str, Any]], line: Line, short: Short) -> str:
    columns = sorted({column for row in rows for column in row["gaps"]})
    head = ["", "shots", "nDCG@10", "against as it is", "lift", "kept", "long tail", "Gini",
            "coverage", *(f"gap by {c}" for c in columns)]  # fmt: skip
    out = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for row in rows:
        same = row["method"] == "as it is"
        gaps = [
            f"{short(g['gap'])} ({g['worst']}; {short(g['by_chance'])} by chance)"
            for g in (row["gaps"].get(c) for c in columns)
            if g
        ]
        out.append(
            line([
                row["method"], str(row["shots"]), short(row["ndcg@10"]),
                "" if same else f"{row['percent']:+.1f} % ({row['percent_low']:+.1f} to "
                f"{row['percent_high']:+.1f})",
                f"{row['lift']:.2f} ({row['lift_low']:.2f} to {row['lift_high']:.2f})",
                "" if same else f"{100 * row['lift_kept']:.0f} % ({100 * row['kept_low']:.0f} to "
                f"{100 * row['kept_high']:.0f})",
                f"{100 * row['aplt']:.1f} %", short(row["gini"]), f"{100 * row['coverage']:.0f} %",
                *gaps,
            ])
        )  # fmt: skip
    return "\n".join(out)


def _cold_lines(rows: Sequence[dict[str, Any]], line: Line, short: Short) -> str:
    head = [
        "",
        "shots",
        "nDCG@10",
        "against as it is",
        "places of cold films",
        "their share of likes",
    ]
    out = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for row in rows:
        against = "" if row["method"] == "as it is" else (
            f"{row['percent']:+.1f} % ({row['percent_low']:+.1f} to {row['percent_high']:+.1f})"
        )  # fmt: skip
        out.append(
            line([
                row["method"], str(row["shots"]), short(row["ndcg@10"]), against,
                f"{100 * row['cold_places']:.2f} %", f"{100 * row['cold_liked']:.1f} %",
            ])
        )  # fmt: skip
    return "\n".join(out)


def _verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Say who halves the lift at two percent of nDCG, at which numbers of shots."""
    said = []
    for shots in sorted({row["shots"] for row in rows}):
        at = [r for r in rows if r["shots"] == shots and r["method"] != "as it is"]
        halved = [r for r in at if r["percent"] >= _MOST_LOSS and r["lift_kept"] <= _HALF]
        if halved:
            said.append(f"at {shots} shots {' and '.join(r['method'] for r in halved)}")
            continue
        chosen = [r for r in at if "half the lift" not in r["method"]]
        best = min(chosen, key=lambda r: r["lift_kept"])
        said.append(
            f"at {shots} shots none does ({best['method']} keeps {100 * best['lift_kept']:.0f} % "
            f"for {max(-best['percent'], 0):.1f} %)"
        )
    return f"Who halves the lift for at most 2 % of nDCG: {'; '.join(said)}."


def _about(stem: str, record: dict[str, Any]) -> str:
    seeds = ", ".join(f"{TITLES[c]} {len(s)}" for c, s in record["seeds"].items())
    tasks = ", ".join(
        f"{TITLES[c]} {max(r['tasks'] for r in record['rows'] if r['case'] == c):,}"
        for c in record["seeds"]
    )
    config = record["config"]["fits"]
    made = {fit["name"] for fit in record["fits_made"]}
    said = [
        f"{name}: {word} {config[key]:g}, set beforehand"
        for name, word, key in (
            ("inverse propensity", "power", "propensity_power"),
            ("group-aware", "tilt", "group_tilt"),
        )
        if name in made
    ]
    return (
        f"Cold users, whole catalogue; splits: {seeds}; tasks: {tasks}. Intervals are 95 % over "
        f"users, paired. Strengths of the penalty are chosen on users held out of training at each "
        f"number of shots. {'; '.join(said)}{'. ' if said else ''}"
        f"`benchmarks/bias/results/{stem}.json`."
    )
