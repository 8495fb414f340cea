"""`warmstart report`: a model judged on people it has never met, as a page and as numbers."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import check_folder, shown, write_json
from warmstart.core import registry
from warmstart.core.errors import ConfigError
from warmstart.data import Dataset, load_dataset
from warmstart.recommenders.new_users import training_schema
from warmstart.recommenders.progress import progress_bar
from warmstart.recommenders.recommender import Recommender
from warmstart.recommenders.reporting.findings import Findings
from warmstart.recommenders.reporting.page import page_of
from warmstart.recommenders.reporting.people import ReportConfig
from warmstart.recommenders.reporting.report import report_on

_File = Annotated[Path | None, typer.Option(show_default=False)]


def report(
    model: Annotated[Path, typer.Argument(help="A saved model.", show_default=False)],
    html: Annotated[
        Path | None, typer.Option(help="Write the page here.", show_default=False)
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the page: en or zh.")] = "en",
    data: Annotated[
        str | None,
        typer.Option(
            help="A named data set or a folder; by default the one the model was trained on. "
            "Whom it was trained on is left out.",
            show_default=False,
        ),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(help="Ratings of other people, instead of a data set.", show_default=False),
    ] = None,
    users: _File = None,
    shots: Annotated[str, typer.Option(help="Numbers of likes to judge after.")] = "0,1,3,5,10,20",
    by: Annotated[
        str | None,
        typer.Option(help="User columns to compare groups of, a,b; by default all that have some."),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(help="Item column of categories; by default the first that fits."),
    ] = None,
    order: Annotated[str, typer.Option(help="Of a person's likes: random or time.")] = "random",
    baselines: Annotated[
        str,
        typer.Option(help="Beside popularity, where the data hold the model's training rows."),
    ] = "itemknn,ease",
    tune: Annotated[
        str, typer.Option(help="Whether baselines are tuned: once, or no (faster).")
    ] = "once",
    seed: Annotated[int, typer.Option(help="Of orders, draws and resamples.")] = 0,
    json: Annotated[
        Path | None,
        typer.Option(help="Write every number here; - for stdout.", show_default=False),
    ] = None,
) -> None:
    """Report accuracy, popularity bias, gaps between groups and calibration, on people new to it.

    Nobody whom the model was trained on is judged: the model keeps a record of them.
    """
    if lang not in ("en", "zh"):
        raise ConfigError(f"--lang is en or zh, got {lang!r}")
    for path in (html, json):
        check_folder(path)
    config = ReportConfig.parse(
        {
            "shots": tuple(_numbers(shots)),
            "seed": seed,
            "order": order,
            "by": None if by is None else tuple(_words(by)),
            "categories": categories,
            "baselines": tuple(_words(baselines)),
            "tune": tune,
        }
    )
    saved = Recommender.load(model)
    people = _load(saved, data, interactions, users)
    console = Console(stderr=json is not None and str(json) == "-")
    with progress_bar("judging", show=None) as bar:
        found = report_on(
            saved, people, config, progress=bar, command=shlex.join(["warmstart", *sys.argv[1:]])
        )
    console.print(_table(found))
    console.print(_said(found), highlight=False)
    if html is not None:
        html.write_text(page_of(found, "zh" if lang == "zh" else "en"), "utf8")
        console.print(f"page: {html}")
    if json is not None:
        write_json(json, found.to_json())
        if str(json) != "-":
            console.print(f"numbers: {json}")


def _load(
    model: Recommender, data: str | None, interactions: Path | None, users: Path | None
) -> Dataset:
    if data is not None and interactions is not None:
        raise ConfigError("give either --data NAME|FOLDER or --interactions FILE")
    if interactions is None:
        if users is not None:
            raise ConfigError("--users FILE goes with --interactions FILE")
        name = data or str(model.fitted.origin.get("dataset"))
        if data is None and name not in registry.names("datasets"):
            raise ConfigError(
                f"the model was trained on {name!r}, which has no name here; give ratings of other "
                "people with --interactions FILE, or --data NAME|FOLDER"
            )
        return load_dataset(name)
    schema = training_schema(model.catalogue.schema, interactions, users)
    found = Dataset.from_files(interactions, users=users, schema=schema)
    return found


def _table(found: Findings) -> Table:
    """Return the measures at the first and the last number of likes."""
    ours, first, last = found.methods[0], found.shots[0], found.shots[-1]
    table = Table(
        title=shown(f"{ours} on {found.about['people']['data']}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for title in ("", f"{first} likes", f"{last} likes", "change", "95 % interval", "taste"):
        table.add_column(title, justify="left" if not title else "right", no_wrap=True)
    for measure in dict.fromkeys(f.measure for f in found.figures):
        cells = [found.figure(measure, ours, k) for k in (first, last, "change")]
        change, taste = cells[-1], found.figure(measure, "taste", None)
        ends = "–"
        if change is not None and change.ci_low is not None:
            ends = f"{change.ci_low:+.3f} to {change.ci_high:+.3f}"
        spelled = ["–" if c is None else f"{c.value:.3f}" for c in cells]
        table.add_row(measure, *spelled, ends, "–" if taste is None else f"{taste.value:.3f}")
    return table


def _said(found: Findings) -> str:
    people, last = found.about["people"], found.shots[-1]
    gaps = [g.column for g in found.gaps if g.shots == last and g.p_holm <= 0.05]
    lines = [
        f"{people['judged']:,} people judged; {people['met']:,} left out, for the model was "
        f"trained on them; {people['few']:,} like too little",
        f"groups whose nDCG@10 differs beyond chance: {', '.join(gaps) or 'none'}",
    ]
    if not people["training_rows_here"]:
        lines.append("the data do not hold the model's training rows: popularity is the baseline")
    return "\n".join(lines)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise ConfigError(f"--shots {text!r} is no list of whole numbers such as 0,5,20") from None
