"""`warmstart compare`: the k-shot table of several methods on one data set."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmstart.core.errors import ConfigError
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation import Report
from warmstart.evaluation.plot import plot_shots
from warmstart.recommenders.comparison import CompareConfig, run_comparison

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
    shots: Annotated[str, typer.Option(help="Sizes of the support set.")] = "0,1,3,5,10,20",
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
            "methods": tuple(_words(methods)),
            "scenario": scenario,
            "shots": tuple(_numbers(shots)),
            "splits": splits,
            "seed": seed,
            "tune": tune,
            "split": {"max_shots": max_shots},
        }
    )
    for path in (json, plot):  # before the work, not after it
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"{path.parent} is no folder; create it or choose another file")
    report = _run(_load(data, interactions, items, users), config)
    console = Console()
    console.print(shots_table(report))
    for line in _verdicts(report):
        console.print(line)
    console.print(costs_table(report))
    if json is not None:
        report.write(json)
        console.print(f"numbers: {json}")
    if plot is not None:
        plot_shots(report, plot)
        console.print(f"plot: {plot}")


def shots_table(report: Report, metric: str = "nDCG@10") -> Table:
    """Return the table of one metric: methods × shots, the best of each column bold.

    A star marks where the first method differs from the best other one (p < 0.05 after Holm).
    """
    tasks = max((row.tasks for row in report.rows if row.split == "all"), default=0)
    table = Table(
        title=f"{metric}, {report.run.get('dataset', '')}, {tasks:,} tasks (95 % interval)",
        caption="* differs from the best of the others: p < 0.05, paired, Holm",
    )
    table.add_column("method", no_wrap=True)
    for k in report.shots:
        table.add_column(f"{k} shots" if k != 1 else "1 shot", justify="center", no_wrap=True)
    judged = [m for m in report.methods if not m.endswith("(shuffled support)")]
    best = {k: max((report.value(m, k, metric) for m in judged), default=0.0) for k in report.shots}
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
            text = f"{row.mean:.3f}{star}"
            text = f"[bold]{text}[/bold]" if method in judged and row.mean >= best[k] else text
            if row.ci_low is not None and row.ci_high is not None:
                text += f"\n[dim]{row.ci_low:.3f}–{row.ci_high:.3f}[/dim]"
            cells.append(text)
        table.add_row(method, *cells)
    return table


def costs_table(report: Report) -> Table:
    """Return what each method costs, and what its lists look like at the most shots."""
    most = max(report.shots)
    table = Table(title=f"cost, and lists at {most} shots")
    table.add_column("method", no_wrap=True)
    for title in ("fit s", "tune s", "µs adapt", "µs rank"):
        table.add_column(title, justify="right")
    metrics = ("Recall@20", "MRR", "coverage@10", "Gini@10", "popularity_percentile@10")
    for metric in metrics:
        table.add_column(metric.replace("_", " "), justify="right")
    for method, spent in report.run.get("timings", {}).items():
        looks = [report.value(method, most, metric) for metric in metrics]
        table.add_row(
            method,
            f"{spent['fit_seconds']:.1f}",
            f"{spent['tune_seconds']:.1f}",
            f"{spent['us_per_adaptation']:.0f}",
            f"{spent['us_per_ranked_user']:.0f}",
            *(f"{value:.3f}" for value in looks[:-1]),
            f"{looks[-1]:.1f} %",
        )
    return table


def _verdicts(report: Report) -> list[str]:
    return [
        f"{r['shots']:>2} shots: {r['ours']} {r['mean_ours']:.3f}, best other {r['best']} "
        f"{r['mean_best']:.3f}, difference {r['difference']:+.3f} "
        f"({r['ci_low']:+.3f} to {r['ci_high']:+.3f}), p = {r['p_holm']:.4f} (Holm)"
        for r in report.run.get("significance", [])
    ]


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


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise ConfigError(f"--shots {text!r} is no list of whole numbers such as 0,1,5") from None
