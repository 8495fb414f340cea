"""The command line: one file a command, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

import warmstart

_VERBS = {
    "demo": "Meta-train on MovieLens-100K, recommend to somebody new, compare with baselines.",
    "data": "Named datasets and your own: list, fetch, describe, validate, lint.",
    "train": "Train a model on your tables and save it.",
    "items": "Add, update and remove items of a saved model.",
    "recommend": "Recommend to new users, one or many, with a saved model.",
    "ask": "Ask in your own words, English or Chinese, once or in a conversation.",
    "onboard": "Ask a new user about a few items, with the list sharpening.",
    "serve": "Serve a saved model over HTTP, with a store of events, and pages.",
    "keys": "Make, list and revoke the keys of a service.",
    "compare": "Compare methods on users that none of them has seen.",
    "report": "Bias, gaps and calibration of a model, on a page.",
    "ads": "Advertisements: learn clicks and conversions, score, judge by a log, benchmark.",
    "llm": "Language models: tune one to the scenarios of your catalogue.",
}


class _Lazy(typer.core.TyperGroup):
    """Imports a command's file when it is called, so that help comes at once."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  (typer's own context)
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"warmstart.cli.{cmd_name}")
        verb = getattr(module, "app", None)
        if verb is None:
            verb = typer.Typer(add_completion=False)
            verb.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(verb)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        from rich.console import Console
        from rich.table import Table

        console = Console()
        console.print("\n [bold]warmstart[/bold]: recommendation from the first click.\n")
        table = Table(box=None, show_header=False, padding=(0, 2))
        for verb, summary in _VERBS.items():
            table.add_row(f"[bold]{verb}[/bold]", summary)
        console.print(table)
        console.print("\n `warmstart VERB --help` documents each. `warmstart --version`.\n")


app = typer.Typer(cls=_Lazy, no_args_is_help=True, add_completion=False)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(warmstart.__version__)
        raise typer.Exit


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; what the library refuses ends in one line and exit code 2."""
    from warmstart.cli._shared import run

    sys.exit(run(typer.main.get_command(app), args))
