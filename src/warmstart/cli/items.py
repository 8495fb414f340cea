"""`warmstart items`: a saved model whose items come, change and go."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from warmstart.cli._shared import check_folder, named_files, write_json
from warmstart.core.errors import ConfigError
from warmstart.data.vectors import read_vectors
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.new_users import read_ids

app = typer.Typer(help="Items of a saved model.", no_args_is_help=True, add_completion=False)

_Model = Annotated[Path, typer.Argument(help="A saved model.")]
_Out = Annotated[Path, typer.Option(help="Folder of the changed model.", show_default=False)]
_Root = Annotated[
    Path | None,
    typer.Option(help="Folder that images and sounds lie in; by default that of the table."),
]
_Vectors = Annotated[
    list[str] | None,
    typer.Option(help="Vectors given as in training: NAME=FILE (.npy, .parquet); repeat it."),
]
_Trust = Annotated[
    bool, typer.Option(help="Use an endpoint, or another encoder, as the model names it.")
]
_Json = Annotated[Path | None, typer.Option(help="Write what was done as JSON; - for stdout.")]


@app.callback()
def _items() -> None:
    """Change the items of a saved model."""


@app.command()
def add(
    model: _Model,
    items: Annotated[
        Path, typer.Argument(help="Table of the new items: item, and the columns of the training.")
    ],
    out: _Out,
    vectors: _Vectors = None,
    content_root: _Root = None,
    trust_encoders: _Trust = False,
    json: _Json = None,
) -> None:
    """Add items that nobody has met; they are recommended by their content at once."""

    def work(recommender: Recommender) -> int:
        before, files = len(recommender.catalogue), named_files(vectors, "--vectors")
        given = {}
        if files:
            ids, _, _ = read_ids(items, "item", recommender.catalogue.schema.items)
            given = {name: read_vectors(file, ids) for name, file in files.items()}
        recommender.add_items(
            items,
            vectors=given,
            root=content_root or items.parent,
            trust_encoders=trust_encoders,
        )
        return len(recommender.catalogue) - before

    _change(model, out, json, "added", work)


@app.command()
def update(
    model: _Model,
    items: Annotated[
        Path, typer.Argument(help="Table of items of the model: item, and the columns that change.")
    ],
    out: _Out,
    content_root: _Root = None,
    trust_encoders: _Trust = False,
    json: _Json = None,
) -> None:
    """Change what is known of items; columns that are not there stay, removed items are back."""

    def work(recommender: Recommender) -> int:
        recommender.update_items(
            items, root=content_root or items.parent, trust_encoders=trust_encoders
        )
        return len(read_ids(items, "item", recommender.catalogue.schema.items)[0])

    _change(model, out, json, "updated", work)


@app.command()
def remove(
    model: _Model,
    out: _Out,
    items: Annotated[Path | None, typer.Argument(help="Table with a column item.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Id of an item; repeat it.", show_default=False)
    ] = None,
    json: _Json = None,
) -> None:
    """Take items out of every list; histories may name them still, and update brings them back."""
    if (items is None) == (not item):
        raise ConfigError("give a table with a column item, or --item for each one")

    def work(recommender: Recommender) -> int:
        ids: Any = item
        if items is not None:
            ids = read_ids(items, "item", recommender.catalogue.schema.items)[0]
        recommender.remove_items(ids)
        return len(set(ids))

    _change(model, out, json, "removed", work)


def _change(
    model: Path, out: Path, json: Path | None, done: str, work: Callable[[Recommender], int]
) -> None:
    """Load a model, change it, save it elsewhere, and say how many items were concerned."""
    check_folder(json)
    console = Console(stderr=json is not None and str(json) == "-")
    recommender = load(model)
    begun = time.perf_counter()
    with warnings.catch_warnings(record=True) as faults:
        warnings.simplefilter("always", UserWarning)
        n = work(recommender)
    for fault in faults:
        console.print(str(fault.message), style="yellow", highlight=False, markup=False)
    seconds, catalogue = time.perf_counter() - begun, recommender.catalogue
    gone = 0 if catalogue.removed is None else int(catalogue.removed.sum())
    recommender.save(out)
    console.print(
        f"{n:,} items {done} in {seconds:.2f} s, {len(catalogue) - gone:,} in all: "
        f"[bold]{out}[/bold]"
    )
    if json is not None:
        report = {done: n, "items": len(catalogue) - gone, "seconds": round(seconds, 3)}
        write_json(json, report | {"out": str(out)})
