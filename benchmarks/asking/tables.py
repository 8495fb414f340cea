"""The tables of what is understood, from the results beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.asking.parsing import FIELDS

RESULTS = Path(__file__).parent / "results"
_NOTHING = "No result is committed yet; `python -m benchmarks.asking.{}` adds one."
_LANGUAGES = {"en": "English", "zh": "Chinese"}


def newest(experiment: str, results: Path = RESULTS) -> tuple[str, dict[str, Any]] | None:
    """Return (file stem, record) of the newest result of an experiment, if there is one."""
    records = {path.stem: json.loads(path.read_text("utf8")) for path in results.glob("*.json")}
    mine = [(r["date"], stem, r) for stem, r in records.items() if r["experiment"] == experiment]
    if not mine:
        return None
    _, stem, record = max(mine, key=lambda found: found[:2])
    return stem, record


def parsing_table(
    line: Callable[[Iterable[str]], str],
    short: Callable[[float], str],
    results: Path = RESULTS,
) -> str:
    """Return how well each field is understood, and what that costs.

    Args:
        line: spells a row.
        short: spells a share.
        results: where the records are.
    """
    known = newest("parsing", results)
    if known is None:
        return _NOTHING.format("parsing")
    stem, record = known
    of = {(r["method"], r["language"], r["field"]): r for r in record["rows"]}
    lines = [line(["field right", *(field.replace("_", " ") for field in FIELDS)])]
    lines.append(line([":--", *("--:" for _ in FIELDS)]))
    names = list(dict.fromkeys(r["method"] for r in record["rows"]))
    for name in names:
        for language, spelled in _LANGUAGES.items():
            cells = []
            for field in FIELDS:
                r = of[name, language, field]
                half = short((r["ci_high"] - r["ci_low"]) / 2)
                cells.append(f"{short(r['accuracy'])} ± {half}")
            lines.append(line([f"{name}, {spelled}", *cells]))
    lines += ["", line(["precision / recall, all", *(f.replace("_", " ") for f in FIELDS)])]
    lines.append(line([":--", *("--:" for _ in FIELDS)]))
    for name in names:
        rows = [of[name, "all", field] for field in FIELDS]
        cells = [f"{_share(r['precision'], short)} / {_share(r['recall'], short)}" for r in rows]
        lines.append(line([name, *cells]))
    costs = ["method", "seconds, median", "p95", "of the processor", "tokens read", "written"]
    lines += ["", line(costs), line([":--", *("--:" for _ in costs[1:])])]
    for cost in record["costs"]:
        seconds = (cost[n] for n in ("seconds_median", "seconds_p95", "cpu_seconds_median"))
        tokens = (cost.get(n) for n in ("prompt_tokens", "tokens"))
        lines.append(
            line([
                cost["method"], *(f"{s:.2g}" for s in seconds),
                *("–" if t is None else f"{t:,.0f}" for t in tokens),
            ])
        )  # fmt: skip
    return "\n".join([*lines, "", _about(stem, record)])


def extraction_table(
    line: Callable[[Iterable[str]], str],
    short: Callable[[float], str],
    results: Path = RESULTS,
) -> str:
    """Return how well what is read out of reviews agrees with their stars, and what that costs."""
    known = newest("extraction", results)
    if known is None:
        return _NOTHING.format("extraction")
    stem, record = known
    head = [
        "read by",
        "AUC",
        "95 % interval",
        "coverage",
        "AUC of those",
        "processor's s",
        "tokens",
    ]
    lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for r in record["rows"]:
        tokens = "–" if "tokens" not in r else f"{r['prompt_tokens']:,.0f} + {r['tokens']:,.0f}"
        lines.append(
            line([
                r["method"], short(r["auc"]), f"{short(r['ci_low'])} to {short(r['ci_high'])}",
                f"{100 * r['coverage']:.0f} %", _share(r["auc_where_known"], short),
                f"{r['cpu_seconds']:.2g}", tokens,
            ])
        )  # fmt: skip
    return "\n".join([*lines, "", _about(stem, record)])


def _share(value: float | None, short: Callable[[float], str]) -> str:
    return "–" if value is None else short(value)


def _about(stem: str, record: dict[str, Any]) -> str:
    hardware = record["hardware"]
    return (
        f"{record['protocol'][0].upper()}{record['protocol'][1:]}. ±: half of the 95 % bootstrap "
        f"interval. {record['config']['threads']} thread of {hardware['cpus']} × "
        f"{hardware['processor']}; the clock's seconds are of a machine that had other work, the "
        f"processor's are not. `benchmarks/asking/results/{stem}.json`, commit "
        f"`{record['commit'][:12]}`."
    )
