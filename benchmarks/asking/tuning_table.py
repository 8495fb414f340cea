"""The table of `docs/lora.md`, from the newest result of `tuning`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.asking.judging import METRICS, PLAIN, ROUTE

RESULTS = Path(__file__).parent / "results"


def tuning_table(
    line: Callable[[Iterable[str]], str], short: Callable[[float], str], folder: Path = RESULTS
) -> str:
    """Return what every route does on unseen scenarios, and against the embeddings and plain LoRA.

    Args:
        line: spells a row.
        short: spells a share.
        folder: of the results.
    """
    records = [(p.stem, json.loads(p.read_text("utf8"))) for p in sorted(folder.glob("tuning-*"))]
    if not records:
        return "No result is committed yet; `python -m benchmarks.asking.tuning` adds one."
    stem, record = max(records, key=lambda found: str(found[1]["date"]))
    rows = record["rows"]
    best = {m: max(r[m][0] for r in rows if "another" not in r["method"]) for m in METRICS}
    head = ["route", *METRICS, f"minus *{ROUTE}*, nDCG@10", f"minus *{PLAIN}, adapted*, nDCG@10"]
    lines = [line(head), line([":--", *("--:" for _ in head[1:])])]
    for r in rows:
        cells = []
        for metric in METRICS:
            mean, low, high = r[metric]
            text = f"**{short(mean)}**" if mean == best[metric] else short(mean)
            cells.append(f"{text} ± {short((high - low) / 2)}")
        cells += [_gap(r, key) for key in ("minus_embedding", "minus_plain")]
        lines.append(line([r["method"], *cells]))
    return "\n\n".join(["\n".join(lines), _about(stem, record)])


def _gap(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return "–"
    gap, low, high = row[key]
    return f"{gap:+.3f} [{low:+.3f}, {high:+.3f}], p {row[f'p_{key}']:.3f}"


def _about(stem: str, record: dict[str, Any]) -> str:
    config, splits, hardware = record["config"], record["splits"], record["hardware"]
    unseen = "; ".join(", ".join(s["scenarios"]["unseen"]) for s in splits)
    cost = splits[0]["ms_per_list"]
    gates: dict[str, list[float]] = {name: [] for name in splits[0]["gates"]["of"]}
    for split in splits:
        for means in split["gates"]["mean"]:
            for name, value in zip(split["gates"]["of"], means, strict=True):
                gates[name].append(value)
    spoken = ", ".join(f"{n} {short_mean(v)}" for n, v in gates.items())
    tune, seeds = config["tune"], ", ".join(map(str, record["seeds"]))
    return (
        f"{record['dataset']}, {len(splits)} splits (seeds {seeds}); "
        f"unseen: {unseen}. {record['lists']} lists of {record['users']} users; "
        f"{config['known_users']} users of each unseen scenario are known. "
        f"{tune['steps']} outer steps over {len(splits[0]['scenarios']['training'])} scenarios, "
        f"{tune['final_steps']} steps to adapt. Mean ± half of the 95 % bootstrap interval over "
        "users; paired differences with their intervals, permutation test with Holm's correction "
        f"over the rows. Mean gates: {spoken}. One user's list: {cost['language model']:,.0f} ms "
        f"by the language model, {cost[ROUTE]:,.1f} ms by the ridge; {record['wall_seconds']:,.0f} "
        f"s in all on {hardware['cpus']} × {hardware['processor']}, shared with other work. "
        f"`benchmarks/asking/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )


def short_mean(values: list[float]) -> str:
    """Spell a mean to two places."""
    return f"{sum(values) / len(values):.2f}"
