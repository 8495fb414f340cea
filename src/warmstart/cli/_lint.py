"""`warmstart data lint`: leaks in the tables and results of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import check_folder, shown, write_json
from warmstart.core.errors import ConfigError
from warmstart.data import (
    LintReport,
    SplitConfig,
    lint_fits,
    lint_results,
    lint_split,
    lint_tables,
    load_dataset,
    make_split,
)

_File = Annotated[Path | None, typer.Option(show_default=False)]


def lint(
    name: Annotated[
        str | None,
        typer.Argument(help="A dataset or a folder: check a split of it.", show_default=False),
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Interactions that teach.", show_default=False)
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Interactions that are judged.", show_default=False)
    ] = None,
    support: Annotated[
        Path | None, typer.Option(help="Interactions to adapt on.", show_default=False)
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(help="A table of users or items that models read.", show_default=False),
    ] = None,
    statistics: Annotated[
        list[Path] | None,
        typer.Option(help="A table of what training rows gave.", show_default=False),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(help="A JSON result of several seeds.", show_default=False),
    ] = None,
    fits: Annotated[
        list[Path] | None,
        typer.Option(help="Weights or predictions of one seed each.", show_default=False),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="Of --fits, compare arrays of this prefix.", show_default=False),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="What is cold: warm, user-cold, item-cold, both-cold."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="time, user-time, item-time or random; time where tables have it."),
    ] = None,
    repeats: Annotated[
        bool, typer.Option(help="A user may meet an item again: plays, impressions.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the split of a dataset.")] = 0,
    encoding: Annotated[str, typer.Option(help="Of CSV files.")] = "utf8",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the same as JSON here; - for standard output."),
    ] = None,
) -> None:
    """Look for leaks from test into training; exit with 1 if there are any."""
    check_folder(json_file)
    report = LintReport()
    if name is not None:
        if train is not None or test is not None:
            raise ConfigError("give either a dataset, or --train and --test")
        data = load_dataset(name)
        settings = {"scenario": scenario or "user-cold", "by": by or "random", "seed": seed}
        report += lint_split(data, make_split(data, SplitConfig.parse(settings)))
    elif train is not None and test is not None:
        report += lint_tables(
            train,
            test,
            support=support,
            features=features or (),
            statistics=statistics or (),
            scenario=cast(Any, scenario),
            by=cast(Any, by),
            repeats=repeats,
            encoding=encoding,
        )
    elif train or test or support or features or statistics:
        raise ConfigError("tables are compared with each other: give --train and --test as well")
    for result in results or ():
        report += lint_results(result)
    if fits:
        report += lint_fits(fits, backbone=backbone)
    if not report.checked:
        raise ConfigError(
            "nothing to check; give --train and --test, a dataset, --results or --fits"
        )
    if json_file is not None:
        write_json(json_file, report.to_dict())
    if json_file is None or str(json_file) != "-":
        _print(report)
    if report.findings:
        raise typer.Exit(1)


def _print(report: LintReport) -> None:
    console = Console()
    for finding in report.findings:
        table = Table(title=finding.check, title_justify="left", box=box.SIMPLE, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        row = "" if finding.row is None else f"{finding.row:,}"
        row += "" if finding.line is None else f" (line {finding.line:,})"
        for key, value in (
            ("table", finding.table),
            ("row", row),
            ("column", finding.column),
            ("value", finding.value),
            ("cases", f"{finding.cases:,}"),
            ("cause", finding.cause),
            ("mend", finding.mend),
        ):
            if value:
                table.add_row(key, shown(value))
        console.print(table)
    n = len(report.findings)
    said = "no leak" if not n else "1 leak" if n == 1 else f"{n:,} leaks"
    console.print(f"{said}; checked: {', '.join(report.checked)}")
