"""Write the tables of the README and of the docs: results from committed JSON, names from code.

`python -m benchmarks.tables` rewrites whatever stands between two markers of one name,

    <!-- results:start -->
    <!-- results:end -->

in the README and in `docs/`; with `--check` it writes nothing and exits with 1 when a table is
stale. The names are those of `TABLES`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.ads.real_table import policy_table, real_table
from benchmarks.asking import list_tables, safety_tables
from benchmarks.asking import tables as asking
from benchmarks.asking.tuning_table import tuning_table
from benchmarks.bias.tables import remedies_table
from benchmarks.content import tables as content
from benchmarks.content.text_tables import text_to_list_table
from benchmarks.learners import tables as learners
from benchmarks.onboarding import tables as onboarding
from benchmarks.onboarding.ope_table import ope_table
from benchmarks.service import tables as service
from warmstart.data.columns import ALIASES
from warmstart.data.evidence import EVENTS
from warmstart.evaluation import Report, Row
from warmstart.recommenders.comparison import CONTROL

ROOT = Path(__file__).parents[1]
COLD_USERS = ROOT / "benchmarks" / "cold_users" / "results"
HEADLINE = "nDCG@10"
NAMES = {
    "default": "warmstart",
    "popularity": "popularity",
    "itemknn": "item-kNN",
    "ease": "EASE",
    "ials": "iALS",
    "multvae": "Mult-VAE",
    "random": "chance",
    "itemmean": "item mean",
}
ORDER = ("ml-1m", "lastfm-hetrec", "ml-100k")
"""Datasets that come first; others follow by name."""


def newest(folder: Path = COLD_USERS) -> dict[str, tuple[str, Report]]:
    """Return dataset → (file stem, report): the newest result of each."""
    found: dict[str, tuple[str, Report]] = {}
    for path in sorted(folder.glob("*.json")):
        report = Report.read(path)
        name = report.run["dataset"]
        if name not in found or report.run["date"] > found[name][1].run["date"]:
            found[name] = (path.stem, report)
    ranks = {name: place for place, name in enumerate(ORDER)}
    names = sorted(found, key=lambda name: (ranks.get(name, len(ranks)), name))
    return {name: found[name] for name in names}


def short_table(results: Mapping[str, tuple[str, Report]]) -> str:
    """Return one table of all datasets: nDCG@10 by shots with intervals, and the cost."""
    if not results:
        return "No result is committed yet; `python -m benchmarks.cold_users.run ml-100k` adds one."
    reports = [report for _, report in results.values()]
    shots = sorted({k for report in reports for k in report.shots})
    lines = [_line(["nDCG@10 at … shots", *map(str, shots), "µs"])]
    lines.append(_line([":--", *("--:" for _ in shots), "--:"]))
    for report in reports:
        lines.append(_line([f"*{report.run['title']}*", *("" for _ in shots), ""]))
        for method in _methods(report):
            lines.append(
                _line([_name(report, method), *_cells(report, method, shots), _us(report, method)])
            )
    captions = [_caption(report) for report in reports]
    return "\n".join([*lines, "", "\n\n".join(captions), "", f"{_LEGEND} {_protocol(reports)}"])


def long_tables(results: Mapping[str, tuple[str, Report]]) -> str:
    """Return a section for each dataset: plot, metrics, tests, costs, lists, and provenance."""
    if not results:
        return "No result is committed yet; `python -m benchmarks.cold_users.run ml-100k` adds one."
    sections = []
    for stem, report in results.values():
        title = report.run["title"]
        parts = [
            f"## {title}",
            f"![k-shot curves on {title}](images/results/{stem}.svg){{ width=620 }}",
            f"{_caption(report)} {_protocol([report])}",
            "### nDCG@10",
            _metric_table(report, HEADLINE, control=True),
            "### Recall@20",
            _metric_table(report, "Recall@20"),
            "### MRR",
            _metric_table(report, "MRR"),
            "### Against the best of the others, nDCG@10",
            _verdicts(report),
            "### Cost, and what the lists look like",
            _costs(report),
            _provenance(stem, report),
        ]
        sections.append("\n\n".join(parts))
    return "\n\n".join([_LEGEND, *sections])


def aliases_table() -> str:
    """Return the column names that are understood."""
    names = [_line([part, ", ".join(ALIASES[part])]) for part in ALIASES]
    return "\n".join([_line(["part", "names"]), _line([":--", ":--"]), *names])


def events_table() -> str:
    """Return what the known events are worth."""
    worth = sorted(set(EVENTS.values()), reverse=True)
    lines = [
        _line([f"{value:+g}" if value else "0", ", ".join(n for n in EVENTS if EVENTS[n] == value)])
        for value in worth
    ]
    return "\n".join([_line(["evidence", "events"]), _line(["--:", ":--"]), *lines])


def dislikes_table() -> str:
    """Return what dislikes beside the likes are worth."""
    records = newest_records(ROOT / "benchmarks" / "dislikes" / "results", "config", "dataset")
    if not records:
        return "No result is committed yet; `python -m benchmarks.dislikes` adds one."
    parts = []
    for stem, found in records:
        rows = found["rows"]
        values = {
            "likes alone": [short(r["likes_alone"]) for r in rows],
            "and up to 5 dislikes": [short(r["with_dislikes"]) for r in rows],
            "difference": [f"{r['difference']:+.4f}" for r in rows],
            "95 % interval": [f"{r['ci_low']:+.4f} to {r['ci_high']:+.4f}" for r in rows],
            "p (Holm)": [f"{r['p_holm']:.4f}" for r in rows],
        }
        lines = [_line(["nDCG@10 at … likes", *(str(r["shots"]) for r in rows)])]
        lines += [_line([":--", *("--:" for _ in rows)])]
        lines += [_line([name, *cells]) for name, cells in values.items()]
        about = (
            f"{found['config']['dataset']}, {len(found['seeds'])} splits (seeds "
            f"{', '.join(map(str, found['seeds']))}), {found['tasks']:,} cold users who dislike "
            f"something, {found['mean_dislikes_shown']:.1f} dislikes shown on average; "
            f"`benchmarks/dislikes/results/{stem}.json`."
        )
        parts.append("\n".join([*lines, "", about]))
    return "\n\n".join(parts)


def speed_table() -> str:
    """Return the promises about speed, and what was measured."""
    records = newest_records(ROOT / "benchmarks" / "speed" / "results", "benchmark")
    if not records:
        return "No result is committed yet; `make bench` adds one."
    ((stem, found),) = records
    names = {
        "batch": ("{users:,} new users of {shots} likes, {items:,} items", 2.0),
        "single": ("one user of {shots} likes, {items:,} items", 1.5),
    }
    lines = [_line(["adapt and exact top 10", "threads", "ours", "floor", "ratio", "promised"])]
    lines.append(_line([":--", "--:", "--:", "--:", "--:", "--:"]))
    for kind, (what, most) in names.items():
        for r in found[kind]:
            ours, floor = (f"{1e3 * r[f'{side}_seconds']:,.1f} ms" for side in ("ours", "floor"))
            lines.append(
                _line(
                    [
                        what.format(**r),
                        str(r["threads"]),
                        ours,
                        floor,
                        f"{r['ratio']:.2f}",
                        f"≤ {most:g}",
                    ]
                )
            )
    hardware = found["hardware"]
    return "\n".join(
        [
            *lines,
            "",
            f"Medians of turns taken one after the other. Catalogue of the batch: "
            f"{found['catalogue']}; {hardware['cpus']} × {hardware['processor']}; "
            f"`benchmarks/speed/results/{stem}.json`.",
            "",
            f"![Seconds against users, items and shots](images/results/{stem}.svg)",
        ]
    )


def newest_records(folder: Path, *keys: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (file stem, record) of the newest result for each value found under `keys`."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        record = value = json.loads(path.read_text("utf8"))
        for key in keys:
            value = value[key]
        if value not in found or record["date"] > found[value][1]["date"]:
            found[value] = (path.stem, record)
    return [found[name] for name in sorted(found)]


TABLES: dict[str, Callable[[], str]] = {
    "ads-real": lambda: real_table(_line),
    "ads-off-policy": lambda: policy_table(_line),
    "aliases": aliases_table,
    "events": events_table,
    "results": lambda: short_table(newest()),
    "dislikes": dislikes_table,
    "speed": speed_table,
    "results-in-full": lambda: long_tables(newest()),
    "learners-ml-1m": lambda: learners.compare_tables("ml-1m", _line, short),
    "learners-ml-100k": lambda: learners.compare_tables("ml-100k", _line, short),
    "learners-rated": lambda: learners.rated_tables(_line, short),
    "learners-behaviours": lambda: learners.behaviours_tables(_line, short),
    "learners-cost": lambda: learners.cost_tables(_line),
    "learners-search": lambda: learners.search_table(_line, short),
    "onboarding-choice": lambda: onboarding.choice_table(_line),
    "onboarding-ml-100k": lambda: onboarding.compare_tables("ml-100k", _line),
    "onboarding-ml-1m": lambda: onboarding.compare_tables("ml-1m", _line),
    "cold-films": lambda: content.cold_table("cold-items", "cold_items", _line, short),
    "content-speed": lambda: content.speed_tables(_line),
    "content-users": lambda: content.shots_table("users", "rows", _line, short),
    "both-cold-films": lambda: content.shots_table("catalogue", "both_cold", _line, short),
    "mixed-catalogue": lambda: content.mixed_table(_line, short),
    "reviews": lambda: content.shots_table("reviews", "rows", _line, short),
    "warm-up": lambda: content.warm_up_table(_line, short),
    "text-to-list": lambda: text_to_list_table(_line, short),
    "asking-quality": lambda: list_tables.quality_tables(_line),
    "asking-latency": lambda: list_tables.latency_table(_line),
    "attacks": lambda: safety_tables.attacks_table(_line),
    "reranking": lambda: safety_tables.reranking_table(_line),
    "parsing": lambda: asking.parsing_table(_line, short),
    "extraction": lambda: asking.extraction_table(_line, short),
    "objective": lambda: learners.objective_table(_line, short),
    "objective-search": lambda: learners.objective_search_table(_line, short),
    "ope": lambda: ope_table(_line),
    "service-http": lambda: service.http_table(_line),
    "service-approximate": lambda: service.approximate_table(_line),
    "service-posterior": lambda: service.posterior_table(_line),
    "tuning": lambda: tuning_table(_line, short),
    "remedies": lambda: remedies_table(_line, short),
    "cold-videos": lambda: content.cold_table("tiktok", "tiktok", _line, short),
}
"""Marker name → what stands between its markers."""

_LEGEND = (
    "Mean over tasks ± half of its 95 % bootstrap interval; the best of each column is bold. `*`: "
    "better than the best of the other methods (or, on another row, better than warmstart), "
    "paired permutation test with Holm's correction over the columns, p < .05. µs: from a user's "
    "events to their exact top 10, per user, in batches on the machine that the result names."
)


def rewritten(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """Return `text` with everything between known markers made anew.

    Raises:
        ValueError: a marker has no end, or its name is unknown.
    """
    for name in re.findall(r"^<!-- ([\w-]+):start -->$", text, re.MULTILINE):
        if name not in tables:
            raise ValueError(f"no table is called {name!r}; there are: {', '.join(tables)}")
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(start)
        if end not in rest:
            raise ValueError(f"{start} has no {end}; add it")
        after = rest.partition(end)[2]
        text = f"{before}{start}\n{tables[name]()}\n{end}{after}"
    return text


def pages() -> Iterable[Path]:
    """Return the files that may hold tables."""
    return (*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md")))


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the tables, or check them."""
    parser = argparse.ArgumentParser(description="Write the tables from committed results.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    check = parser.parse_args(arguments).check
    stale = []
    for path in pages():
        text = path.read_text("utf8")
        fresh = rewritten(text)
        if fresh != text:
            stale.append(path)
            if not check:
                path.write_text(fresh, "utf8")
    for path in stale:
        what = "stale; run: python -m benchmarks.tables" if check else "rewritten"
        print(f"{path.relative_to(ROOT)}: {what}")
    return int(check and bool(stale))


def _methods(report: Report) -> list[str]:
    return [method for method in report.methods if not method.endswith(CONTROL)]


def _name(report: Report, method: str) -> str:
    if method.endswith(CONTROL):
        return f"{NAMES.get(report.methods[0], report.methods[0])}, shuffled support"
    name = NAMES.get(method, method)
    return f"**{name}**" if method == report.methods[0] else name


def _cells(
    report: Report, method: str, shots: Iterable[int], metric: str = HEADLINE
) -> Iterable[str]:
    for k in shots:
        row = report.row(method, k, metric)
        if row is None:
            yield "–"
            continue
        judged = [report.value(name, k, metric) for name in _methods(report)]
        best = max(value for value in judged if not math.isnan(value))
        mean = short(row.mean)
        if method in _methods(report) and row.mean >= best:
            mean = f"**{mean}**"
        yield mean + _star(report, method, k, metric) + _half_width(row)


def _star(report: Report, method: str, shots: int, metric: str) -> str:
    for found in report.run.get("significance", []):
        if (found["shots"], found["metric"]) == (shots, metric) and found["p_holm"] < 0.05:
            winner = found["ours"] if found["difference"] > 0 else found["best"]
            return "\\*" if method == winner else ""
    return ""


def _half_width(row: Row) -> str:
    if row.ci_low is None or row.ci_high is None:
        return ""
    return f" ± {short((row.ci_high - row.ci_low) / 2)}"


def _us(report: Report, method: str) -> str:
    spent = report.run.get("timings", {}).get(method)
    return "–" if spent is None else f"{spent['us_per_ranked_user']:,.0f}"


def _caption(report: Report) -> str:
    run = report.run
    seeds, n_splits = ", ".join(map(str, run["seeds"])), len(run["seeds"])
    tasks = max(row.tasks for row in report.rows if row.split == "all")
    splits = "1 split (seed" if n_splits == 1 else f"{n_splits} splits (seeds"
    return f"*{run['title']}*: {run['scenario']}, {splits} {seeds}), {tasks:,} tasks. {run['note']}"


def _protocol(reports: Iterable[Report]) -> str:
    tuned = {
        "no": "baselines with their default settings",
        "once": "baselines tuned on validation users",
        "per-shot": "baselines tuned on validation users, anew for each number of shots",
    }
    said = dict.fromkeys(
        f"{report.run['protocol']}; {tuned[report.run['config']['tune']]}" for report in reports
    )
    return f"Protocol: {' | '.join(said)}."


def _metric_table(report: Report, metric: str, *, control: bool = False) -> str:
    lines = [_line(["shots", *map(str, report.shots)])]
    lines.append(_line([":--", *("--:" for _ in report.shots)]))
    for method in report.methods if control else _methods(report):
        cells = _cells(report, method, report.shots, metric)
        lines.append(_line([_name(report, method), *cells]))
    return "\n".join(lines)


def _verdicts(report: Report) -> str:
    lines = [_line(["shots", "best other", "its mean", "difference", "95 % interval", "p (Holm)"])]
    lines.append(_line(["--:", ":--", "--:", "--:", ":-:", "--:"]))
    for r in report.run.get("significance", []):
        percent = "" if r["percent"] is None else f" ({r['percent']:+.1f} %)"
        lines.append(
            _line(
                [
                    str(r["shots"]),
                    NAMES.get(r["best"], r["best"]),
                    short(r["mean_best"]),
                    f"{r['difference']:+.4f}{percent}",
                    f"{r['ci_low']:+.4f} to {r['ci_high']:+.4f}",
                    f"{r['p_holm']:.4f}",
                ]
            )
        )
    return "\n".join(lines)


def _costs(report: Report) -> str:
    most = max(report.shots)
    looks = ("coverage@10", "Gini@10", "popularity_percentile@10")
    lines = [
        _line(
            [
                *("method", "fit s", "tuning s", "µs to adapt", "µs to adapt and rank"),
                *(f"coverage@10 at {most} shots", "Gini@10", "popularity percentile@10"),
            ]
        )
    ]
    lines.append(_line([":--", *("--:" for _ in range(7))]))
    for method, spent in report.run.get("timings", {}).items():
        coverage, gini, percentile = (report.value(method, most, metric) for metric in looks)
        lines.append(
            _line(
                [
                    _name(report, method),
                    f"{spent['fit_seconds']:.1f}",
                    f"{spent['tune_seconds']:.1f}",
                    f"{spent['us_per_adaptation']:,.0f}",
                    f"{spent['us_per_ranked_user']:,.0f}",
                    short(coverage),
                    short(gini),
                    f"{percentile:.1f}",
                ]
            )
        )
    return "\n".join(lines)


def _provenance(stem: str, report: Report) -> str:
    run = report.run
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    hardware: dict[str, Any] = run["hardware"]
    return (
        f"Result `benchmarks/cold_users/results/{stem}.json`, {run['date'][:10]}, commit "
        f"`{run['commit'][:12]}`, data fingerprint `{run['fingerprint'][:16]}…`, "
        f"{run['wall_seconds']:,.0f} s on {hardware['cpus']} × {hardware['processor']}; {versions}."
    )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def short(value: float) -> str:
    """Spell a share as papers do.

    Example:
        >>> short(0.4123), short(-0.05), short(1.0)
        ('.412', '-.050', '1.000')
    """
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


if __name__ == "__main__":
    sys.exit(main())
