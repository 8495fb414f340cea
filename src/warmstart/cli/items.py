"""`warmstart items`: a saved model with items that nobody has met."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from warmstart.cli._shared import check_folder, write_json
from warmstart.recommenders import load

app = typer.Typer(help="Items of a saved model.", no_args_is_help=True, add_completion=False)


@app.callback()
def _items() -> None:
    """Change the items of a saved model."""


@app.command()
def add(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    items: Annotated[
        Path, typer.Argument(help="Table of the new items: item, and the columns of the training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the longer model.", show_default=False)],
    content_root: Annotated[
        Path | None,
        typer.Option(help="Folder that images and sounds lie in; by default that of the table."),
    ] = None,
    trust_encoders: Annotated[
        bool,
        typer.Option(help="Use an endpoint, or another encoder, as the model names it."),
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write what was added as JSON; - for stdout.")
    ] = None,
) -> None:
    """Add items that nobody has met; they are recommended by their content at once."""
    check_folder(json)
    console = Console(stderr=json is not None and str(json) == "-")
    recommender = load(model)
    before, begun = len(recommender.catalogue), time.perf_counter()
    with warnings.catch_warnings(record=True) as faults:
        warnings.simplefilter("always", UserWarning)
        recommender.add_items(
            items, root=content_root or items.parent, trust_encoders=trust_encoders
        )
    for fault in faults:
        console.print(str(fault.message), style="yellow", highlight=False, markup=False)
    seconds, added = time.perf_counter() - begun, len(recommender.catalogue) - before
    recommender.save(out)
    console.print(
        f"{added:,} items added in {seconds:.2f} s, {before + added:,} in all: [bold]{out}[/bold]"
    )
    if json is not None:
        report = {"added": added, "items": before + added, "seconds": round(seconds, 3)}
        write_json(json, report | {"out": str(out)})
