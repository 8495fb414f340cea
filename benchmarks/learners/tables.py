"""The tables of `docs/learners.md` and `docs/foma.md`, from the results beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from warmstart.evaluation import Report

RESULTS = Path(__file__).parent / "results"
SCENARIOS = ("user-cold", "item-cold", "both-cold", "new-items")
_FILE_ORDER = (
    "*Order of the file* is what popularity falls back to where nobody has met an item: all scores "
    "are equal, and equal scores keep the order of the catalogue, which MovieLens lists famous "
    "films first. It is no method, and no service has it for new items. Later results break ties "
    "by lot, which leaves such a row at chance."
)
_BY_LOT = (
    "*Equal scores* is what popularity comes to where nobody has met an item: an order by lot, "
    "which is chance."
)
_NOTHING = "No result is committed yet; `python -m benchmarks.learners.{0}` adds one."


def newest(experiment: str, dataset: str | None = None) -> tuple[str, dict[str, Any]] | None:
    """Return (file stem, record) of the newest result of an experiment."""
    found: tuple[str, dict[str, Any]] | None = None
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text("utf8"))
        record = record.get("run", record)  # comparisons keep the rows apart
        if record["experiment"] != experiment or dataset not in (None, record["dataset"]):
            continue
        if found is None or record["date"] > found[1]["date"]:
            found = path.stem, record
    return found


def compare_tables(dataset: str, line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return one table for each scenario: nDCG@10 by shots, and what it costs."""
    parts = []
    for scenario in SCENARIOS:
        name = f"{dataset}-{scenario}"
        known = newest(name)
        if known is None:
            continue
        report = Report.read(RESULTS / f"{known[0]}.json")
        run, shots = report.run, report.shots
        cold_items = scenario in ("item-cold", "both-cold")
        by_lot = "by lot" in run["protocol"]
        methods = [m for m in report.methods if "(" not in m]
        if cold_items:
            methods.remove("popularity")  # it knows nothing of these items, see _FILE_ORDER
        best = {k: max(report.value(m, k) for m in methods) for k in shots}
        lines = [line([scenario, *map(str, shots), "fit s", "µs adapt", "µs rank"])]
        lines.append(line([":--", *("--:" for _ in range(len(shots) + 3))]))
        for method in report.methods:
            cells = []
            for k in shots:
                row = report.row(method, k)
                if row is None:
                    cells.append("–")
                    continue
                mean = short(row.mean)
                mean = f"**{mean}**" if method in methods and row.mean >= best[k] else mean
                half = short(((row.ci_high or 0) - (row.ci_low or 0)) / 2)
                cells.append(f"{mean} ± {half}")
            spent = run["timings"].get(method)
            costs = ["–"] * 3 if spent is None else [
                f"{spent['fit_seconds']:.0f}", f"{spent['us_per_adaptation']:.0f}",
                f"{spent['us_per_ranked_user']:.0f}",
            ]  # fmt: skip
            label = method
            if cold_items and method == "popularity":
                label = "equal scores" if by_lot else "order of the file"
            lines.append(line([label, *cells, *costs]))
        tasks = max(row.tasks for row in report.rows if row.split == "all")
        about = (
            f"*{run['title']}*: {run['note']} {len(run['seeds'])} splits (seeds "
            f"{', '.join(map(str, run['seeds']))}), {tasks:,} tasks. "
            f"{(_BY_LOT if by_lot else _FILE_ORDER) if cold_items else _lead(run)} "
            f"`benchmarks/learners/results/{known[0]}.json`, commit `{run['commit'][:12]}`."
        )
        parts.append("\n".join([*lines, "", about]))
    return "\n\n".join(parts) or _NOTHING.format(f"compare {dataset}-user-cold")


def _lead(run: dict[str, Any]) -> str:
    """Say how the first method stands against the best of the others."""
    said = [
        f"{r['difference']:+.3f} ({r['best']}, p {r['p_holm']:.3f}) at {r['shots']}"
        for r in run.get("significance", [])
        if r["metric"] == "nDCG@10"
    ]
    first = run["config"]["methods"][0]
    return f"{first} against the best other: {'; '.join(said)} shots." if said else ""


def rated_tables(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return the legacy protocol: nDCG@5 and MRR of ten rated items."""
    parts = []
    for dataset in ("ml-1m", "ml-100k"):
        known = newest("rated", dataset)
        if known is None:
            continue
        stem, record = known
        shots = record["config"]["shots"]
        of = {(r["method"], r["shots"], r["metric"]): r for r in record["rows"]}
        methods = list(dict.fromkeys(r["method"] for r in record["rows"]))
        most = max(shots)
        lines = [line([f"{dataset}, nDCG@5 at … ratings", *map(str, shots), f"MRR at {most}",
                       f"minus maml at {most}", "fit s"])]  # fmt: skip
        lines.append(line([":--", *("--:" for _ in range(len(shots) + 3))]))
        for method in methods:
            cells = []
            for k in shots:
                r = of[method, k, "nDCG@5"]
                star = "\\*" if r.get("p_holm", 1) < 0.05 else ""
                sign = "" if not star or r["minus_item_mean"][0] > 0 else "−"
                half = short((r["ci_high"] - r["ci_low"]) / 2)
                cells.append(f"{short(r['mean'])}{sign}{star} ± {half}")
            r = of[method, most, "nDCG@5"]
            cells.append(short(of[method, most, "MRR"]["mean"]))
            if "minus_maml" in r:
                mean, low, high = r["minus_maml"]
                cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]")
            else:
                cells.append("–")
            lines.append(line([method, *cells, f"{record['costs'][method]['fit_seconds']:.0f}"]))
        tasks = max(r["tasks"] for r in record["rows"])
        parts.append("\n".join([*lines, "", (
            f"{record['protocol']}; {len(record['seeds'])} splits, {tasks:,} tasks. `*`: "
            f"unlike the item mean, paired permutation, Holm, p < .05 (`−`: below it). "
            f"`benchmarks/learners/results/{stem}.json`, commit `{record['commit'][:12]}`."
        )]))  # fmt: skip
    return "\n\n".join(parts) or _NOTHING.format("rated ml-100k")


def behaviours_tables(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return what training on several behaviours at once does to each of them."""
    parts = []
    for dataset in ("ml-1m", "ml-100k"):
        known = newest("behaviours", dataset)
        if known is None:
            continue
        stem, record = known
        of = {(r["variant"], r["behaviour"], r["shots"]): r for r in record["rows"]}
        plain = ["item's rate", "alone"]
        variants = [v for v in dict.fromkeys(r["variant"] for r in record["rows"])
                    if v not in plain]  # fmt: skip
        head = [f"{dataset}, loss", "shots", *plain]
        lines = [line([*head, *(f"{v}, against alone" for v in variants)])]
        lines.append(line([":--", *("--:" for _ in (*head[1:], *variants))]))
        for name in dict.fromkeys(r["behaviour"] for r in record["rows"]):
            for k in record["config"]["shots"]:
                own = [of[v, name, k] for v in plain]
                half = [(r["loss_high"] - r["loss_low"]) / 2 for r in own]
                cells = [f"{short(r['loss'])} ± {short(h)}" for r, h in zip(own, half, strict=True)]
                for variant in variants:
                    r = of[variant, name, k]
                    star = "\\*" if r["p_holm"] < 0.05 else ""
                    cells.append(
                        f"{r['difference']:+.4f}{star} [{r['ci_low']:+.4f}, {r['ci_high']:+.4f}]"
                    )
                lines.append(line([name, str(k), *cells]))
        tasks = max(r["tasks"] for r in record["rows"])
        parts.append("\n".join([*lines, "", (
            f"{record['protocol']}; {len(record['seeds'])} splits, up to {tasks:,} users; "
            f"below zero is better; 95 % interval, `*` p < .05 (paired permutation, Holm). "
            f"`benchmarks/learners/results/{stem}.json`, commit `{record['commit'][:12]}`."
        )]))  # fmt: skip
    return "\n\n".join(parts) or _NOTHING.format("behaviours ml-100k")


def cost_tables(line: Callable[[Iterable[str]], str]) -> str:
    """Return the time of a meta-step, of an adaptation, and the memory of MAML."""
    known = newest("cost")
    if known is None:
        return _NOTHING.format("cost")
    stem, record = known
    first = [line(["one meta-step", "ms", "times faster than looped MAML"])]
    first.append(line([":--", "--:", "--:"]))
    for r in record["meta_steps"]:
        first.append(line([r["learner"], f"{r['ms']:.1f}", f"{r['times_faster']:.1f}"]))
    columns = [(u, k) for u in (1, 1024) for k in (1, 5, 20)]
    second = [line(["µs per user", *(f"{u:,} × {k} events" for u, k in columns)])]
    second.append(line([":--", *("--:" for _ in columns)]))
    of = {(r["learner"], r["users"], r["shots"]): r["us_per_user"] for r in record["adaptations"]}
    for name in dict.fromkeys(r["learner"] for r in record["adaptations"]):
        second.append(line([name, *(f"{of[name, u, k]:,.1f}" for u, k in columns)]))
    memory = record["memory"]
    about = (
        f"{record['protocol']}; {record['threads']} threads. Second-order MAML over MovieLens-1M: "
        f"{memory['fit_seconds']:.0f} s, at most {memory['peak_gb']:.2f} GB. "
        f"`benchmarks/learners/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n".join([*first, "", *second, "", about])


def search_table(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return every setting that was tried, with its mean nDCG@10 on validation users."""
    records = [json.loads(p.read_text("utf8")) for p in RESULTS.glob("search-*.json")]
    records.sort(key=lambda record: record["date"])
    if not records:
        return _NOTHING.format("search")
    tried: dict[str, list[dict[str, Any]]] = {}
    for record in records:  # a later search of a learner replaces an earlier one
        tried |= {
            name: [c for c in record["candidates"] if c["learner"] == name]
            for name in {c["learner"] for c in record["candidates"]}
        }
    lines = [
        line(["learner", "settings", "mean nDCG@10", "fit s"]),
        line([":--", ":--", "--:", "--:"]),
    ]
    for name in sorted(tried):
        best = max(c["mean"] for c in tried[name])
        for c in tried[name]:
            mean = f"**{short(c['mean'])}**" if c["mean"] == best else short(c["mean"])
            lines.append(
                line([name, f"`{_spelled(c['settings'])}`", mean, f"{c['fit_seconds']:.0f}"])
            )
    return "\n".join(lines)


def _spelled(settings: dict[str, Any], prefix: str = "") -> str:
    said = []
    for name, value in settings.items():
        if isinstance(value, dict):
            said.append(_spelled(value, f"{prefix}{name}."))
        else:
            said.append(f"{prefix}{name}={value:g}")
    return " ".join(said)


def objective_table(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return what nDCG as the outer loss is worth, the newest result of each learner."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("objective-ml-*.json")):
        record = json.loads(path.read_text("utf8"))
        for name in {row["learner"] for row in record["rows"]}:
            if name not in found or record["date"] > found[name][1]["date"]:
                found[name] = path.stem, record
    if not found:
        return _NOTHING.format("objective")
    first = next(iter(found.values()))[1]
    shots = [row["shots"] for row in first["rows"] if row["against"] == "softmax"]
    shots = list(dict.fromkeys(shots))
    lines = [line(["learner", "outer loss", *map(str, shots), "fit s"])]
    lines.append(line([":--", ":--", *("--:" for _ in shots), "--:"]))
    for name in sorted(found):
        record = found[name][1]
        rows = [row for row in record["rows"] if row["learner"] == name]
        for against in ("softmax", "softmax, as long", "ndcg"):
            column = "ndcg" if against == "ndcg" else "softmax"
            own = [r for r in rows if r["against"] == (against if column == "softmax" else
                                                       "softmax")]  # fmt: skip
            spent = record["fit_seconds"][name][against]
            cells = [short(r[column]) for r in own]
            lines.append(line([name, against, *cells, f"{sum(spent) / len(spent):.0f}"]))
        for against in ("softmax", "softmax, as long"):
            own = [r for r in rows if r["against"] == against]
            cells = [
                f"{r['difference']:+.3f} ({r['ci_low']:+.3f} to {r['ci_high']:+.3f})"
                f"{'*' if r['p_holm'] < 0.05 else ''}"
                for r in own
            ]
            lines.append(line([name, f"ndcg − {against}", *cells, ""]))
    names = ", ".join(f"`benchmarks/learners/results/{stem}.json`" for stem, _ in found.values())
    about = (
        f"{first['protocol'][0].upper()}{first['protocol'][1:]}, {len(first['seeds'])} splits "
        f"(seeds {', '.join(map(str, first['seeds']))}), 95 % intervals; `*`: p < .05 by a paired "
        f"permutation test, Holm-corrected over the shots (the mean is one test more). {names}, "
        f"commit `{first['commit'][:12]}`. Seconds are those of a busy machine."
    )
    return "\n".join([*lines, "", about])


def objective_search_table(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return what was tried for the policy gradient, on validation users."""
    known = newest("objective-search")
    if known is None:
        return _NOTHING.format("objective --search")
    stem, record = known
    candidates = record["candidates"]
    best = max(c["mean"] for c in candidates)
    lines = [line(["learner", "settings", "mean nDCG@10"]), line([":--", ":--", "--:"])]
    for c in candidates:
        policy = c["settings"].get("policy")
        said = f"`ndcg {_spelled(policy, 'policy.')}`" if policy else "softmax alone"
        mean = f"**{short(c['mean'])}**" if c["mean"] == best else short(c["mean"])
        lines.append(line([c["learner"], said, mean]))
    said = f"{record['protocol'][0].upper()}{record['protocol'][1:]}"
    about = f"{said}. `benchmarks/learners/results/{stem}.json`."
    return "\n".join([*lines, "", about])
