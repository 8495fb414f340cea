"""The tables of `docs/onboarding.md`, from the results beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TITLES = {"ml-100k": "MovieLens-100K", "ml-1m": "MovieLens-1M"}
_SHOWN = (("rmse", (1, 3, 5, 10)), ("ndcg@10", (1, 3, 5, 10)))


def newest(dataset: str, experiment: str = "onboarding") -> tuple[str, dict[str, Any]] | None:
    """Return (file stem, record) of the newest result on a dataset."""
    found: tuple[str, dict[str, Any]] | None = None
    for path in sorted(RESULTS.glob("onboarding-*.json")):
        record = json.loads(path.read_text("utf8"))
        if (record["dataset"], record["experiment"]) != (dataset, experiment):
            continue
        if found is None or record["date"] > found[1]["date"]:
            found = path.stem, record
    return found


def compare_tables(dataset: str, line: Callable[[Iterable[str]], str]) -> str:
    """Return both worlds' tables, the tests of the learned policy, and where they come from."""
    known = newest(dataset)
    if known is None:
        return f"No result yet; `python -m benchmarks.onboarding.compare {dataset}` adds one."
    stem, record = known
    parts = [f"### {TITLES.get(dataset, dataset)}"]
    for world in ("open", "closed"):
        parts += [f"{world.capitalize()} world:", _world(record, world, line)]
    for policy in dict.fromkeys(d["policy"] for d in record["differences"]):
        parts += [
            f"*{policy}* minus each other policy, open world (RMSE: lower is better):",
            _differences(record, policy, line),
        ]
    parts.append(_about(stem, record))
    return "\n\n".join(parts)


def choice_table(line: Callable[[Iterable[str]], str]) -> str:
    """Return what settings and the default policy were chosen by."""
    parts = []
    for dataset, title in TITLES.items():
        known = newest(dataset, "onboarding-choice")
        if known is None:
            parts.append(f"`python -m benchmarks.onboarding.choose {dataset}` adds a result.")
            continue
        stem, record = known
        numbers = ("3", "5", "10")
        head = ["policy", *(f"RMSE {n}" for n in numbers), *(f"nDCG {n}" for n in numbers),
                "mean nDCG", "struck out alone 5", "identical"]  # fmt: skip
        lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
        best = max(row["counted"] for row in record["rows"])
        for row in record["rows"]:
            worth = f", nDCG worth {row['ranking']:g}" if "ranking" in row else ""
            mean = f"{row['counted']:.4f}"
            lines.append(
                line(
                    [
                        row["policy"] + worth,
                        *(f"{row['rmse'][n]:.4f}" for n in numbers),
                        *(f"{row['ndcg@10'][n]:.4f}" for n in numbers),
                        f"**{mean}**" if row["counted"] == best else mean,
                        f"{row['ndcg@10, struck out alone']['5']:.4f}",
                        f"{100 * row['identical']:.0f} %",
                    ]
                )
            )
        first = record["rows"][0]["ndcg@10"]["0"]
        cuts = len(record["seeds"])
        parts.append(
            f"{title}, {record['users']:,} users who settle, {cuts} "
            f"{'cut' if cuts == 1 else 'cuts'} of their ratings, open world; the closed form "
            f"ranks; before any question the nDCG@10 is {first:.4f}:\n\n"
            + "\n".join(lines)
            + f"\n\n`benchmarks/onboarding/results/{stem}.json`."
        )
    return "\n\n".join(parts)


def _world(record: dict[str, Any], world: str, line: Callable[[Iterable[str]], str]) -> str:
    rows = {(r["policy"], r["metric"], r["questions"]): r
            for r in record["rows"] if r["world"] == world}  # fmt: skip
    saved = {(s["policy"], s["metric"]): s["saved"]
             for s in record["saved"] if s["world"] == world}  # fmt: skip
    names = list(dict.fromkeys(policy for policy, _, _ in rows))
    columns = [(metric, n) for metric, numbers in _SHOWN for n in numbers]
    head = ["policy", *(f"{_called(m)} {n}" for m, n in columns), "answered", "saved", "identical"]
    lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
    best = {}
    for metric, n in columns:
        means = [rows[name, metric, n]["mean"] for name in names]
        best[metric, n] = f"{(min if metric == 'rmse' else max)(means):.4f}"
    for name in names:
        cells = []
        for metric, n in columns:
            text = f"{rows[name, metric, n]['mean']:.4f}"
            cells.append(f"**{text}**" if text == best[metric, n] else text)
        cells.append(f"{rows[name, 'answered', 10]['mean']:.2f}")
        cells.append(" / ".join(_count(saved[name, m]) for m in ("rmse", "ndcg@10")))
        cells.append(f"{100 * record['identical'][world][name]:.0f} %")
        lines.append(line([name, *cells]))
    return "\n".join(lines)


def _differences(record: dict[str, Any], policy: str, line: Callable[[Iterable[str]], str]) -> str:
    rows = {
        (d["other"], d["metric"], d["questions"]): d
        for d in record["differences"]
        if d["world"] == "open" and d["policy"] == policy
    }
    columns = [("rmse", 5), ("rmse", 10), ("ndcg@10", 5), ("ndcg@10", 10)]
    head = ["other", *(f"{_called(m)} {n}" for m, n in columns)]
    lines = [line(head), line([":--", *("--:" for _ in columns)])]
    for name in dict.fromkeys(other for other, _, _ in rows):
        cells = []
        for metric, n in columns:
            d = rows[name, metric, n]
            star = "*" if d["p_holm"] < 0.05 else ""
            cells.append(
                f"{d['difference']:+.4f}{star} ({d['ci_low']:+.4f} to {d['ci_high']:+.4f})"
            )
        lines.append(line([name, *cells]))
    return "\n".join(lines)


def _about(stem: str, record: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, record["seeds"]))
    light = record["config"].get("ranker") == "closed-form"
    ranker = "The closed form ranks." if light else "The default method ranks."
    splits = "split" if len(record["seeds"]) == 1 else "splits"
    return (
        f"Columns: after so many questions; *answered*: of ten; *saved*: questions fewer than "
        f"popularity's ten for its RMSE / nDCG, – where it is not reached; *identical*: users who "
        f"were asked the commonest sequence. {ranker} {record['interviews']:,} interviews of "
        f"{record['users']:,} users in {len(record['seeds'])} {splits} (seeds {seeds}). "
        "Brackets: 95 % bootstrap interval over users; * p < 0.05 by a paired permutation test "
        "over users, Holm's correction over the policies and numbers of questions of one metric. "
        f"`benchmarks/onboarding/results/{stem}.json`."
    )


def _called(metric: str) -> str:
    return "RMSE" if metric == "rmse" else "nDCG"


def _count(saved: int | None) -> str:
    return "–" if saved is None else str(saved)
