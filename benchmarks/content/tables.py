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


def shots_table(
    experiment: str,
    key: str,
    line: Callable[[Iterable[str]], str],
    short: Callable[[float], str],
) -> str:
    """Return nDCG@10 by shots, and each method's difference to one of them.

    Args:
        experiment: whose newest result.
        key: under which the record has shots → rows.
        line: spells a row.
        short: spells a score.
    """
    known = newest(experiment)
    if known is None:
        return _NOTHING.format(experiment)
    stem, record = known
    by_shots = record[key]
    names = [r["method"] for r in next(iter(by_shots.values()))]
    reference = next(r["method"] for r in next(iter(by_shots.values())) if "minus_ridge" not in r)
    head = ["nDCG@10 at shots", *by_shots]
    lines = [line(head), line([":--", *("--:" for _ in by_shots)])]
    found = {k: {r["method"]: r for r in rows} for k, rows in by_shots.items()}
    for name in names:
        cells = []
        for rows in found.values():
            r, best = rows[name], short(max(x["nDCG@10"] for x in rows.values()))
            mean = short(r["nDCG@10"])
            half = short((r["ci_high"] - r["ci_low"]) / 2)
            cells.append(f"{f'**{mean}**' if mean == best else mean} ± {half}")
        lines.append(line([name, *cells]))
    lines += ["", line([f"minus *{reference}*", *by_shots]), lines[1]]
    for name in names:
        if name == reference or not name.startswith("warmstart"):
            continue
        cells = []
        for rows in found.values():
            gap, low, high = rows[name]["minus_ridge"]
            cells.append(f"{gap:+.4f} [{low:+.4f}, {high:+.4f}], p {rows[name]['p_holm']:.3f}")
        lines.append(line([name, *cells]))
    return "\n".join([*lines, "", _about(stem, record)])


def mixed_table(line: Callable[[Iterable[str]], str], short: Callable[[float], str]) -> str:
    """Return what becomes of cold films among known ones."""
    known = newest("catalogue")
    if known is None:
        return _NOTHING.format("catalogue")
    stem, record = known
    head = ["method", "nDCG@10", "places", "likes", "hits"]
    lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for r in record["mixed"]:
        half = short((r["ci_high"] - r["ci_low"]) / 2)
        shares = (f"{100 * r[name]:.1f} %" for name in ("places", "liked", "hits"))
        lines.append(line([r["method"], f"{short(r['nDCG@10'])} ± {half}", *shares]))
    return "\n".join([*lines, "", _about(stem, record)])


def warm_up_table(line: Callable[[Iterable[str]], str], short: Callable[[float], str]) -> str:
    """Return how well cold films are ranked after each has heard n users."""
    known = newest("warm-up")
    if known is None:
        return _NOTHING.format("warm_up")
    stem, record = known
    rows = record["rows"]
    heard = sorted({r["users heard"] for r in rows})
    lines = [line(["nDCG@10 after n users", *map(str, heard)])]
    lines.append(line([":--", *("--:" for _ in heard)]))
    for name in dict.fromkeys(r["method"] for r in rows):
        of = {r["users heard"]: r for r in rows if r["method"] == name}
        cells = []
        for n in heard:
            r = of.get(n)
            cells.append(
                "–"
                if r is None
                else f"{short(r['nDCG@10'])} ± {short((r['ci_high'] - r['ci_low']) / 2)}"
            )
        lines.append(line([name, *cells]))
    lines += ["", line(["minus *content alone*", *map(str, heard)]), lines[1]]
    for name in dict.fromkeys(r["method"] for r in rows if r["users heard"] > 0):
        of = {r["users heard"]: r for r in rows if r["method"] == name}
        gaps = (of[n]["minus_content"] if n in of else None for n in heard)
        cells = ["–" if g is None else f"{g[0]:+.4f} [{g[1]:+.4f}, {g[2]:+.4f}]" for g in gaps]
        lines.append(line([name, *cells]))
    return "\n".join([*lines, "", _about(stem, record)])


def _about(stem: str, record: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, record["seeds"]))
    hardware = record["hardware"]
    return (
        f"{record['protocol']}. {len(record['seeds'])} splits (seeds {seeds}); mean ± half of the "
        "95 % bootstrap interval over users; paired permutation tests, Holm's correction over the "
        f"rows. {record['wall_seconds'] / 60:,.0f} minutes on {hardware['cpus']} × "
        f"{hardware['processor']}. `benchmarks/content/results/{stem}.json`, commit "
        f"`{record['commit'][:12]}`."
    )


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
        ("one item, the first", "first"),
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
