"""`warmstart ads benchmark`: new ads, cold and after each of three small batches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmstart.cli._shared import check_folder, read_settings, write_json

_NAMES = {"auc": "AUC", "gauc": "AUC per ad", "logloss": "log loss", "ece": "ECE"}


def benchmark(
    data: Annotated[str, typer.Option(help="A named data set with ratings, or a folder.")],
    methods: Annotated[
        str | None,
        typer.Option(
            help="Some of them; the first is the one to compare with.", show_default=False
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How often every model is trained anew.")] = 5,
    established: Annotated[
        int | None, typer.Option(help="An ad with more rows is established.", show_default=False)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Rows of a warm-up batch.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="All settings, JSON or TOML.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first training and of the intervals.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write every number here; - for stdout.", show_default=False)
    ] = None,
) -> None:
    """Compare ways to meet new ads, on ratings that stand for clicks (4 or more is one)."""
    from warmstart.ads.cold_benchmark import ColdAdsConfig, cold_ads
    from warmstart.data import load_dataset

    given = {"established": established, "batch": batch, "seeds": seeds, "seed": seed}
    if methods is not None:
        given["methods"] = tuple(m.strip() for m in methods.split(",") if m.strip())  # type: ignore[assignment]
    chosen = ColdAdsConfig.parse(
        read_settings(config) | {n: v for n, v in given.items() if v is not None}
    )
    check_folder(json)
    console = Console(stderr=json is not None and str(json) == "-")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("ads", total=None)

        def progress(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        found = cold_ads(load_dataset(data), chosen, progress=progress)
    for metric, name in _NAMES.items():
        console.print(_table(found, metric, name))
    if json is not None:
        write_json(json, found | {"config": chosen.model_dump(mode="json")})


def _table(found: dict[str, Any], metric: str, name: str) -> Table:
    rows = [row for row in found["rows"] if row["metric"] == metric]
    table = Table(
        title=f"{name}: {found['dataset']}, {rows[0]['tasks']} new ads, {found['label']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    table.add_column("method", no_wrap=True)
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    for phase in phases:
        table.add_column(phase, justify="right")
    for method in dict.fromkeys(row["method"] for row in rows):
        own = {row["phase"]: row for row in rows if row["method"] == method}
        cells = (f"{own[p]['mean']:.4f}\n[dim]{own[p]['ci_low']:.3f}–{own[p]['ci_high']:.3f}[/dim]"
                 for p in phases)  # fmt: skip
        table.add_row(method, *cells)
    return table
