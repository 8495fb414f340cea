"""The tables of `docs/ask.md`, from the results beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.asking.queries_of_users import KINDS

RESULTS = Path(__file__).parent / "results"
OURS = "warmstart ask"
_NOTHING = "No result is committed yet; `python -m benchmarks.asking.{0}` adds one."

Line = Callable[[Iterable[str]], str]


def newest(experiment: str) -> tuple[str, dict[str, Any]] | None:
    """Return (file stem, record) of the newest result of an experiment."""
    found: tuple[str, dict[str, Any]] | None = None
    for path in sorted(RESULTS.glob(f"{experiment}*.json")):
        record = json.loads(path.read_text("utf8"))
        if found is None or record["date"] > found[1]["date"]:
            found = path.stem, record
    return found


def quality_tables(line: Line) -> str:
    """Return a table for each language: hit rate, nDCG, ours minus theirs, and kinds.

    Args:
        line: spells a row.
    """
    known = newest("asking-quality")
    if known is None:
        return _NOTHING.format("quality")
    stem, record = known
    parts = []
    for language, name in (("en", "English"), ("zh", "Chinese")):
        rows = [r for r in record["rows"] if r["language"] == language]
        kinds = [kind for kind in KINDS if kind in rows[0]["by_kind"]]
        lines = [
            line([f"{name}, {rows[0]['n']} requests", "hit rate@10", "nDCG@10",
                  "ours minus this, nDCG", "p (Holm)", *kinds, "ms p50 / p95", "tokens"]),
            line([":--", *("--:" for _ in range(len(kinds) + 6))]),
        ]  # fmt: skip
        lines += [line(_cells(row, kinds)) for row in rows]
        fresh = [r for r in record["unknown_users"] if r["language"] == language]
        unknown = ", ".join(f"{r['method']} {_short(r['ndcg'][0])}" for r in fresh)
        read = record["parser"][language]
        shares = ", ".join(f"{field} {100 * share:.1f} %" for field, share in read.items())
        about = f"Users who have shown nothing, nDCG@10: {unknown}. Read rightly: {shares}."
        parts.append("\n".join([*lines, "", about]))
    fusion, hardware = record["fusion"], record["hardware"]
    load = ", ".join(f"{each:.1f}" for each in record["load_average"])
    about = (
        f"{record['protocol'][0].upper()}{record['protocol'][1:]}. Fusion chosen on validation "
        f"users: taste {fusion['taste']:g}, lexical {fusion['lexical']:g}. Of {record['listed']:,} "
        f"films listed by *{OURS}*, {record['violations']} fail a condition of their request, and "
        f"{record['seen']} had been shown by the user. Milliseconds: wall time for a "
        f"request, on {hardware['cpus']} × {hardware['processor']} with other work (load "
        f"average {load}). "
        f"`benchmarks/asking/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n\n".join([*parts, about])


def latency_table(line: Line) -> str:
    """Return how long an answer takes without any language model.

    Args:
        line: spells a row.
    """
    known = newest("asking-latency")
    if known is None:
        return _NOTHING.format("latency")
    stem, record = known
    lines = [
        line(["ms for an answer, no model", "p50", "p95", "p99"]),
        line([":--", "--:", "--:", "--:"]),
    ]
    for key, name in (("wall_ms", "wall time"), ("cpu_ms", "CPU time")):
        lines.append(line([name, *(f"{record[key][p]:.1f}" for p in ("p50", "p95", "p99"))]))
    hardware = record["hardware"]
    load = ", ".join(f"{each:.1f}" for each in record["load_average"])
    about = (
        f"{record['config']['items']:,} items with texts and categories, "
        f"{record['config']['requests']} requests in English and Chinese, reasons included; "
        f"threads: {record['threads']}; {hardware['cpus']} × {hardware['processor']}, on which "
        f"other work ran (load average {load}). `benchmarks/asking/results/{stem}.json`, commit "
        f"`{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", about])


def _cells(row: dict[str, Any], kinds: Iterable[str]) -> Iterable[str]:
    yield f"**{row['method']}**" if row["method"] == OURS else row["method"]
    for metric in ("hit", "ndcg"):
        mean, low, high = row[metric]
        yield f"{_short(mean)} ± {_short((high - low) / 2)}"
    if "ours_minus" in row:
        mean, low, high = row["ours_minus"]
        yield f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
        yield f"{row['p_holm']:.4f}"
    else:
        yield from ("–", "–")
    for kind in kinds:
        yield _short(row["by_kind"][kind])
    yield f"{row['wall_ms']['p50']:.1f} / {row['wall_ms']['p95']:.1f}"
    yield f"{row['tokens']:.0f}"


def _short(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")
