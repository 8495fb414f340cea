"""`warmstart compare`: the k-shot table of several methods on one data set."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmstart.cli._shared import check_folder, write_json
from warmstart.core.errors import ConfigError
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation import Report
from warmstart.evaluation.plot import plot_shots
from warmstart.recommenders.comparison import CONTROL, CompareConfig, run_comparison
from warmstart.recommenders.named import learners as known_learners
from warmstart.recommenders.named import with_learner

_METHODS = "default,popularity,itemknn,ease,ials,multvae"
_File = Annotated[Path | None, typer.Option(show_default=False)]


def compare(
    data: Annotated[
        str | None, typer.Option(help="A named data set or a folder.", show_default=False)
    ] = None,
    interactions: _File = None,
    items: _File = None,
    users: _File = None,
    scenario: Annotated[
        str, typer.Option(help="warm, user-cold, item-cold or both-cold.")
    ] = "user-cold",
    methods: Annotated[
        str, typer.Option(help="The first is tested against the best of the others.")
    ] = _METHODS,
    learners: Annotated[
        str | None,
        typer.Option(
            help="Meta-learners to compare, such as maml,foma, or all; they come before the "
            "methods, the default method first.",
            show_default=False,
        ),
    ] = None,
    shots: Annotated[str, typer.Option(help="Sizes of the support set.")] = "0,1,3,5,10,20",
    tasks_of: Annotated[
        str, typer.Option(help="users, or items: a new item and its first users.")
    ] = "users",
    splits: Annotated[int, typer.Option(help="How many splits.")] = 3,
    seed: Annotated[int, typer.Option(help="Of splits, fits and resamples.")] = 0,
    tune: Annotated[
        str,
        typer.Option(
            help="Baselines get one setting (once), one per number of shots (per-shot: the "
            "stronger opponent) or their defaults (no); chosen on validation users."
        ),
    ] = "once",
    max_shots: Annotated[
        int, typer.Option(help="The query set starts after this many interactions.")
    ] = 20,
    json: Annotated[
        Path | None, typer.Option(help="Write every number here.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the k-shot curves here (png, pdf, svg).", show_default=False),
    ] = None,
) -> None:
    """Compare methods on users that none of them has seen, with intervals, tests and costs."""
    config = CompareConfig.parse(
        {
            "methods": _with_learners(methods, learners),
            "scenario": scenario,
            "tasks_of": tasks_of,
            "shots": tuple(_numbers(shots)),
            "splits": splits,
            "seed": seed,
            "tune": tune,
            "split": {"max_shots": max_shots},
        }
    )
    for path in (json, plot):
        check_folder(path)
    report = _run(_load(data, interactions, items, users), config)
    console = Console(stderr=json is not None and str(json) == "-")
    for table in (shots_table(report), verdicts_table(report), costs_table(report)):
        if table.row_count:
            console.print(table)
            console.print()
    if json is not None:
        write_json(json, report.to_json())
        console.print(f"numbers: {json}")
    if plot is not None:
        plot_shots(report, plot)
        console.print(f"plot: {plot}")


def shots_table(report: Report, metric: str = "nDCG@10") -> Table:
    """Return the table of one metric: methods × shots, the best of each column bold.

    A star marks where the first method differs from the best other one (p < 0.05 after Holm).
    """
    tasks = max((row.tasks for row in report.rows if row.split == "all"), default=0)
    table = _table(f"{metric} by shots: {report.run.get('dataset', '')}, {tasks:,} tasks")
    table.caption = "below each mean: its 95 % interval; * p < 0.05 against the best other"
    table.add_column("method", no_wrap=True)
    for k in report.shots:
        table.add_column(str(k), justify="center", no_wrap=True)
    judged = [m for m in report.methods if not m.endswith(CONTROL)]
    best = {k: max(report.value(m, k, metric) for m in judged) for k in report.shots}
    starred = {
        record["shots"]
        for record in report.run.get("significance", [])
        if record["p_holm"] < 0.05 and record["metric"] == metric
    }
    for method in report.methods:
        cells = []
        for k in report.shots:
            row = report.row(method, k, metric)
            if row is None:
                cells.append("–")
                continue
            star = "*" if k in starred and method == report.methods[0] else ""
            text = f"{_short(row.mean)}{star}"
            text = f"[bold]{text}[/bold]" if method in judged and row.mean >= best[k] else text
            if row.ci_low is not None and row.ci_high is not None:
                text += f"\n[dim]{_short(row.ci_low)}–{_short(row.ci_high)}[/dim]"
            cells.append(text)
        table.add_row("shuffled\nsupport" if method.endswith(CONTROL) else method, *cells)
    return table


def verdicts_table(report: Report) -> Table:
    """Return the first method against the best of the others at each number of shots."""
    table = _table("against the best of the others (paired permutation, Holm)")
    for title in ("shots", "best other", "its mean", "difference", "95 % interval", "p"):
        table.add_column(title, justify="left" if title == "best other" else "right")
    for r in report.run.get("significance", []):
        percent = "" if r["percent"] is None else f" ({r['percent']:+.1f} %)"
        table.add_row(
            str(r["shots"]),
            r["best"],
            _short(r["mean_best"]),
            f"{r['difference']:+.4f}{percent}",
            f"{r['ci_low']:+.4f} to {r['ci_high']:+.4f}",
            f"{r['p_holm']:.4f}",
        )
    return table


def costs_table(report: Report) -> Table:
    """Return what each method costs, and what its lists look like at the most shots."""
    most = max(report.shots)
    table = _table(f"cost; lists at {most} shots")
    table.add_column("method", no_wrap=True)
    metrics = {
        "Rec.@20": "Recall@20",
        "MRR": "MRR",
        "cover.": "coverage@10",
        "Gini": "Gini@10",
        "pop. %": "popularity_percentile@10",
    }
    for title in ("fit s", "µs adapt", "µs rank", *metrics):
        table.add_column(title, justify="right")
    for method, spent in report.run.get("timings", {}).items():
        looks = [report.value(method, most, metric) for metric in metrics.values()]
        table.add_row(
            method,
            "–" if spent["fit_seconds"] is None else f"{spent['fit_seconds']:.1f}",
            f"{spent['us_per_adaptation']:.0f}",
            f"{spent['us_per_ranked_user']:.0f}",
            *(_short(value) for value in looks[:-1]),
            f"{looks[-1]:.1f}",
        )
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _short(value: float) -> str:
    """Spell a share as papers do: .412."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _run(data: Dataset, config: CompareConfig) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compare", total=None)

        def progress(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        command = shlex.join(["warmstart", *sys.argv[1:]])
        return run_comparison(data, config, progress=progress, command=command)


def _load(
    data: str | None, interactions: Path | None, items: Path | None, users: Path | None
) -> Dataset:
    if (data is None) == (interactions is None):
        raise ConfigError("give either --data NAME|FOLDER or --interactions FILE")
    if data is not None:
        return load_dataset(data)
    tables: dict[str, Any] = {"interactions": interactions, "items": items, "users": users}
    return Dataset.from_files(**tables)


def _with_learners(methods: str, wanted: str | None) -> tuple[str, ...]:
    """Return the methods to compare, the learners in front."""
    chosen = _words(methods)
    if wanted is None:
        return tuple(chosen)
    names = known_learners() if wanted.strip() == "all" else _words(wanted)
    for name in names:
        with_learner("default", name)  # refuses an unknown one
    return tuple(dict.fromkeys([*names, *chosen]))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise ConfigError(f"--shots {text!r} is no list of whole numbers such as 0,1,5") from None
