"""`warmstart train`: tables in, a saved model out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from warmstart.cli._shared import (
    Interrupted,
    check_folder,
    named_files,
    read_settings,
    rows_rule,
    write_json,
)
from warmstart.core import registry
from warmstart.core.errors import ConfigError, DivergedError, MissingExtraError
from warmstart.data import Dataset, SplitConfig, load_dataset, make_split
from warmstart.data.vectors import read_vectors
from warmstart.recommenders import Recommender
from warmstart.recommenders.checkpoint import can_resume
from warmstart.recommenders.encoding import KINDS, encode_items
from warmstart.recommenders.new_users import read_ids
from warmstart.recommenders.progress import progress_bar
from warmstart.recommenders.protocols import Reports

_File = Annotated[Path | None, typer.Option(show_default=False)]


def train(
    out: Annotated[Path, typer.Option(help="Folder of the saved model.", show_default=False)],
    interactions: Annotated[
        Path | None,
        typer.Option(help="Table with user, item and optionally rating, timestamp, event, weight."),
    ] = None,
    items: _File = None,
    users: _File = None,
    data: Annotated[
        str | None, typer.Option(help="A named dataset or a folder, instead of tables.")
    ] = None,
    method: Annotated[str, typer.Option(help="Which method to train.")] = "default",
    learner: Annotated[
        str | None,
        typer.Option(help="Which meta-learner, such as maml or foma.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings of the method, JSON or TOML.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON file: what columns are.")] = None,
    text_columns: Annotated[
        str | None,
        typer.Option(
            help="Item columns to read as text, a,b; by default those that look like it; '' none.",
            show_default=False,
        ),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Item column with paths of images.", show_default=False)
    ] = None,
    audio_column: Annotated[
        str | None, typer.Option(help="Item column with paths of sounds.", show_default=False)
    ] = None,
    vectors: Annotated[
        list[str] | None,
        typer.Option(help="Vectors of items as NAME=FILE (.npy, .parquet); repeat it."),
    ] = None,
    content_root: Annotated[
        Path | None,
        typer.Option(help="Folder that images and sounds lie in; by default that of the items."),
    ] = None,
    on_bad_rows: Annotated[
        str, typer.Option(help="raise: refuse the table; drop: leave the rows out and say so.")
    ] = "raise",
    hold_out: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, help="Share of users to leave untouched, for `warmstart report`."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write what was learned as JSON; - for stdout.")
    ] = None,
) -> None:
    """Train a model on your tables and save it; Ctrl-C keeps what --resume continues."""
    console = Console(stderr=json is not None and str(json) == "-")
    check_folder(json)
    rule = rows_rule(on_bad_rows)
    settings = read_settings(config)
    model = Recommender(method, learner=learner, config=settings, seed=seed)
    method = model.name
    dataset = _load(data, interactions, items, users, schema, rule)
    if dataset.report.n_refused:
        console.print(f"[yellow]{dataset.report.summary()}[/yellow]")
    console.print(
        f"{dataset.n_users:,} users, {dataset.n_items:,} items, "
        f"{len(dataset.interactions):,} interactions"
    )
    root = content_root or (items.parent if items is not None else Path(data or "."))
    dataset = _encoded(dataset, text_columns, image_column, audio_column, root, console)
    for name, file in named_files(vectors, "--vectors").items():
        ids = dataset.items if items is None else read_ids(items, "item", dataset.schema.items)[0]
        dataset = dataset.with_item_vectors(name, list(ids), read_vectors(file, ids))
    if hold_out:
        split = make_split(dataset, SplitConfig(seed=seed, test_fraction=hold_out, max_shots=1))
        dataset = split.train
        console.print(f"{len(split.tasks.cold_users):,} users are held out, for warmstart report")
    checkpoint = out.with_name(out.name + ".checkpoint")
    keeps = can_resume(model.method)
    if resume and not keeps:
        raise ConfigError(f"{method} keeps no checkpoints; train without --resume")
    if resume and not checkpoint.is_dir():
        raise ConfigError(f"there is no {checkpoint} to resume from; train without --resume")
    if not resume:
        shutil.rmtree(checkpoint, ignore_errors=True)
    begun = time.perf_counter()
    try:
        model.fit(dataset, progress=True, checkpoint=checkpoint if keeps else None)
    except KeyboardInterrupt:
        if not keeps:
            raise
        raise Interrupted(
            f"interrupted; the last good checkpoint is {checkpoint}; continue with --resume"
        ) from None
    except DivergedError as error:
        kept = (
            f"; the last good checkpoint is {checkpoint}"
            if any(checkpoint.glob("*.safetensors"))
            else ""
        )
        raise DivergedError(f"{error}{kept}") from None
    seconds = time.perf_counter() - begun
    model.save(out)
    shutil.rmtree(checkpoint, ignore_errors=True)
    console.print(f"trained {method} in {seconds:.0f} s; the model lies in [bold]{out}[/bold]")
    console.print(f"try next: warmstart recommend {out} -k 10", highlight=False)
    if json is not None:
        fitted = model.fitted.method
        report = fitted.report() if isinstance(fitted, Reports) else {}
        about = {"model": str(out), "method": method, "seed": seed, "seconds": round(seconds, 2)}
        write_json(json, about | dict(model.fitted.origin) | {"report": report})


def _encoded(
    data: Dataset,
    texts: str | None,
    image: str | None,
    audio: str | None,
    root: Path | None,
    console: Console,
) -> Dataset:
    """Encode the columns that are named, and those that look like content where none is."""
    named = {c.strip(): "text" for c in (texts or "").split(",") if c.strip()}
    named |= {c: kind for c, kind in ((image, "image"), (audio, "audio")) if c}
    for name, column in data.schema.items.items():
        asked = {"text": texts, "image": image, "audio": audio}
        if asked.get(column.kind, "") is None:
            try:
                registry.lookup("encoders", KINDS[column.kind])().version  # noqa: B018
                named.setdefault(name, KINDS[column.kind])
            except (MissingExtraError, ConfigError) as error:
                console.print(f"[yellow]column {name} is not read: {error}[/yellow]")
    if not named:
        return data
    with progress_bar("encoding items", show=True) as bar:
        data, report = encode_items(data, named, root=root, progress=bar)
    console.print(
        report.summary(), style="yellow" if report.faults else None, highlight=False, markup=False
    )
    return data


def _load(
    data: str | None,
    interactions: Path | None,
    items: Path | None,
    users: Path | None,
    schema: Path | None,
    on_bad_rows: Literal["raise", "drop"],
) -> Dataset:
    if (data is None) == (interactions is None):
        raise ConfigError("give either --interactions FILE or --data NAME")
    if data is not None:
        return load_dataset(data)
    assert interactions is not None
    return Dataset.from_files(
        interactions,
        items,
        users,
        schema=schema,
        on_bad_rows=on_bad_rows,
    )
