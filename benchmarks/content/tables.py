"""The tables of `docs/meaning.md`, from the results beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_NOTHING = "No result is committed yet; `python -m benchmarks.content.{0}` adds one."


def newest(experiment: str) -> tuple[str, dict[str, Any]] | None:
    """Return (file stem, record) of the newest result of an experiment."""
    found: tuple[str, dict[str, Any]] | None = None
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text("utf8"))
        if record["experiment"] != experiment:
            continue
        if found is None or record["date"] > found[1]["date"]:
            found = path.stem, record
    return found


def cold_table(
    experiment: str,
    command: str,
    line: Callable[[Iterable[str]], str],
    short: Callable[[float], str],
) -> str:
    """Return what each method does on cold items, and its difference to the ridge."""
    known = newest(experiment)
    if known is None:
        return _NOTHING.format(command)
    stem, record = known
    rows = record["rows"]
    reference = next(r["method"] for r in rows if "minus_ridge" not in r)
    best = short(max(r["nDCG@10"] for r in rows))
    more = [name for name in ("recall@20",) if name in rows[0]]
    head = ["method", "nDCG@10", *more, f"minus *{reference}*", "95 % interval", "p (Holm)"]
    lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for r in rows:
        mean = short(r["nDCG@10"])
        mean = f"**{mean}**" if mean == best else mean
        cells = [f"{mean} ± {short((r['ci_high'] - r['ci_low']) / 2)}"]
        cells += [short(r[name]) for name in more]
        if "minus_ridge" in r:
            gap, low, high = r["minus_ridge"]
            cells += [f"{gap:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{r['p_holm']:.4f}"]
        else:
            cells += ["–", "–", "–"]
        lines.append(line([r["method"], *cells]))
    seeds = ", ".join(map(str, record["seeds"]))
    spent = ", ".join(f"{seconds:,.0f}" for seconds in record["fit_seconds"])
    hardware = record["hardware"]
    about = (
        f"{record['protocol']}. {len(record['seeds'])} splits (seeds {seeds}); mean ± half of the "
        "95 % bootstrap interval; paired permutation test, Holm's correction over the rows. The "
        f"default was trained without content in {spent} s on {hardware['cpus']} × "
        f"{hardware['processor']}. "
        f"`benchmarks/content/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", about])


def speed_tables(line: Callable[[Iterable[str]], str]) -> str:
    """Return what encoding, the cache and new items cost."""
    known = newest("content-speed")
    if known is None:
        return _NOTHING.format("speed")
    stem, record = known
    head = ["content", "encoder", "per second", "ms each", "µs from the cache", "times faster"]
    lines = [line(head), line([":--", ":--", *("--:" for _ in head[2:])])]
    for r in record["encoding"]:
        what = f"{r['kind']}, {r['mean_bytes']:,.0f} bytes"
        rate = f"{r['units_per_second']:,.0f} {r['unit']}"
        cells = [f"{r['ms_per_content']:,.1f}", f"{r['us_per_cache_hit']:,.0f}"]
        lines.append(line([what, r["encoder"], rate, *cells, f"{r['times_faster']:,.0f}"]))
    added = record["adding"]
    lines += ["", line([f"into {added['items']:,} items", "seconds", "of them the processor's"])]
    lines.append(line([":--", "--:", "--:"]))
    for name, key in (
        ("one item, the first after loading", "first"),
        ("one item", "one"),
        (f"one item, the slowest of {added['adds']}", "one_worst"),
        (f"{added['batch']:,} items at once", "batch"),
    ):
        spent = (added[f"{key}_seconds"], added[f"{key}_cpu_seconds"])
        lines.append(line([name, *(f"{seconds:.2f}" for seconds in spent)]))
    hardware = record["hardware"]
    about = (
        f"Medians of {record['encoding'][0]['repeats']} runs of encoding, {added['adds']} single "
        f"items and {added['batches']} batches, each with contents of its own; encoding included. "
        f"{record['threads']} thread of BLAS on {hardware['cpus']} × {hardware['processor']}. "
        f"`benchmarks/content/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", about])
