"""The tables of `docs/safety.md`, from the results beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.asking.list_tables import newest

_NOTHING = "No result is committed yet; `python -m benchmarks.asking.{0}` adds one."
_COUNTED = ("queries", "crashes", "outside", "seen", "violations", "unfounded", "leaks")
_NAMES = {
    "queries": "requests",
    "outside": "items outside the catalogue",
    "seen": "seen items",
    "violations": "failing a condition",
    "unfounded": "unfounded reasons",
    "leaks": "secrets told",
}

Line = Callable[[Iterable[str]], str]


def attacks_table(line: Line) -> str:
    """Return what attackers reached, and what an attacked item gained.

    Args:
        line: spells a row.
    """
    known = newest("asking-attacks")
    if known is None:
        return _NOTHING.format("attacks")
    stem, record = known
    lines = [
        line(["read by", "items listed", *(_NAMES.get(name, name) for name in _COUNTED)]),
        line([":--", *("--:" for _ in range(len(_COUNTED) + 1))]),
    ]
    for path in record["paths"]:
        cells = [f"{path['items']:,}", *(f"{path[name]:,}" for name in _COUNTED)]
        lines.append(line([path["name"], *cells]))
    surfaces = ("all", "title", "plot", "review")
    lines += [
        "",
        line(["mean ranks that an attacked item gains", *surfaces, "worst attack"]),
        line([":--", *("--:" for _ in range(len(surfaces) + 1))]),
    ]
    for row in record["ranks"]:
        cells = [_gain(row.get(surface)) for surface in surfaces]
        lines.append(line([row["name"], *cells, f"{row['all']['worst']:+.1f}"]))
    hardware = record["hardware"]
    slowest = max(path["slowest_ms"] for path in record["paths"][:1])
    about = (
        f"{record['cases']} cases. *Rules alone* hear words through an encoder of the texts, too; "
        f"{record['paths'][0]['cpu_ms']:.0f} ms of the processor a request, checks included, the "
        f"slowest {slowest:,.0f} ms. Brackets: 95 % bootstrap interval over attacks, and how many. "
        f"{hardware['cpus']} × {hardware['processor']}, which had other work. "
        f"`benchmarks/asking/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", about])


def reranking_table(line: Line) -> str:
    """Return what reordering by a language model does to a list.

    Args:
        line: spells a row.
    """
    known = newest("asking-reranking")
    if known is None:
        return _NOTHING.format("reranking")
    stem, record = known
    config = record["config"]
    base, low, high = record["base_ndcg"]
    lines = [
        line(["most ranks moved", "weight", "nDCG", "difference", "95 % interval", "pays"]),
        line(["--:", "--:", "--:", "--:", ":-:", ":--"]),
        line(["not reordered", "–", f"{base:.3f} ± {(high - low) / 2:.3f}", "–", "–", "–"]),
    ]
    for row in record["rows"]:
        mean, low, high = row["difference"]
        cells = [str(row["most_ranks"]), f"{row['weight']:g}", f"{row['ndcg']:.3f}",
                 f"{mean:+.3f}", f"{low:+.3f} to {high:+.3f}",
                 "yes" if row["worth_it"] else "no"]  # fmt: skip
        lines.append(line(cells))
    about = (
        f"{record['protocol'][0].upper()}{record['protocol'][1:]}. {config['model']} orders the "
        f"best {config['candidates']}, {record['cpu_seconds_per_request']:.1f} s of one processor "
        f"a request, without a deadline. `benchmarks/asking/results/{stem}.json`, commit "
        f"`{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", about])


def _gain(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    low, high = found["ci"]
    return f"{found['mean']:+.2f} [{low:+.2f}, {high:+.2f}; {found['attacks']}]"
