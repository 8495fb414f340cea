"""`warmstart onboard`: a short interview in the terminal, or many of them played from ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmstart.cli._shared import check_folder, write_json
from warmstart.core.errors import ConfigError
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.onboarding.asking import Question
from warmstart.recommenders.onboarding.policies import DEFAULT_POLICY, POLICIES, lookup
from warmstart.recommenders.onboarding.simulation import Row
from warmstart.recommenders.progress import progress_bar

_KEYS = {"l": "like", "d": "dislike", "n": "not seen", "s": "skip", "e": "enough"}
_SHOWN = (1, 5, 10)  # numbers of questions, as many as fit on a line of 80


def onboard(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    questions: Annotated[int, typer.Option(help="Most questions.")] = 10,
    policy: Annotated[
        str | None, typer.Option(help="How questions are chosen.", show_default=DEFAULT_POLICY)
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 5,
    filter: Annotated[
        str | None, typer.Option(help="Ask and recommend only items where this holds.")
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(help="Table of user, item, rating: new users who answer from it."),
    ] = None,
    policies: Annotated[
        str, typer.Option(help="With --simulate: names with commas between, or all.")
    ] = "all",
    seed: Annotated[int, typer.Option(help="Of chance.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write the numbers, or the interview; - for stdout.")
    ] = None,
) -> None:
    """Ask a new user about a few items, and show the list sharpen after each answer.

    Keys: l (like), d (dislike), n (not seen), s (skip), e (enough), or a rating on the model's
    scale. It stops by itself when another question is expected to change little.
    """
    check_folder(json)
    if questions < 1:
        raise ConfigError(f"--questions must be at least 1, got {questions}")
    if simulate is not None:
        chosen = list(POLICIES) if policies == "all" else _named(policies)
        _simulate(load(model), simulate, chosen, questions, seed, json)
        return
    if policy is not None:
        lookup(policy)
    _ask(load(model), questions, policy, k, filter, seed, json)


def _ask(
    recommender: Recommender,
    questions: int,
    policy: str | None,
    k: int,
    condition: str | None,
    seed: int,
    json: Path | None,
) -> None:
    console = Console(stderr=json is not None and str(json) == "-", soft_wrap=True)
    rule = recommender.catalogue.schema.evidence
    scale = f", {rule.low:g}–{rule.high:g} (rating)" if rule.reads_ratings else ""
    keys = ", ".join(f"{key} ({word})" for key, word in _KEYS.items()) + scale
    console.print(f"[dim]{keys}[/dim]")
    history: list[Any] = []
    dislikes: list[Any] = []
    unseen: list[Any] = []
    skipped: list[Any] = []
    asked: list[dict[str, Any]] = []
    for number in range(1, questions + 1):
        question = recommender.next_question(
            history, dislikes=dislikes, not_seen=unseen, skipped=skipped,
            policy=policy, filter=condition, seed=seed,
        )  # fmt: skip
        if question is None or not question.worth_asking:
            console.print("[dim]Another question is expected to change little.[/dim]")
            break
        answer = _answer(console, question, number, rule)
        if answer == "enough":
            break
        if answer == "like":
            history.append(question.item)
        elif answer == "dislike":
            dislikes.append(question.item)
        elif answer == "not seen":
            unseen.append(question.item)
        elif answer == "skip":
            skipped.append(question.item)
        else:
            history.append((question.item, answer))
        asked.append({**asdict(question), "answer": answer})
        if answer not in ("skip", "not seen") and number < questions:
            _show(console, recommender, history, dislikes, k, condition)
    found = _show(console, recommender, history, dislikes, k, condition)
    if json is not None:
        write_json(json, {"questions": asked, "list": found})


def _answer(console: Console, question: Question, number: int, rule: Any) -> str | float:  # noqa: ANN401
    """Ask until the answer is understood; the end of the input is "enough"."""
    console.print(Text.assemble(f"{number}. ", (question.title, "bold"), f"  ({question.why})"))
    while True:
        console.print(f"[dim]{'/'.join(_KEYS)}[/dim] ", end="")
        try:
            said = input().strip().casefold()
        except EOFError:
            console.print()
            return "enough"
        if said in _KEYS.values():
            return said
        if said in _KEYS:
            return _KEYS[said]
        try:
            rating = float(said)
        except ValueError:
            rating = float("nan")
        if rule.reads_ratings and rule.low <= rating <= rule.high:
            return rating
        console.print(f"[yellow]{said!r} is none of the keys[/yellow]", markup=True)


def _show(
    console: Console,
    recommender: Recommender,
    history: list[Any],
    dislikes: list[Any],
    k: int,
    condition: str | None,
) -> list[dict[str, Any]]:
    found = recommender.recommend(history, dislikes=dislikes, k=k, filter=condition)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for r in found:
        table.add_row(f"   {r.rank}", Text(r.title), Text(r.reason, style="dim"))
    console.print(table)
    return [
        {"rank": r.rank, "item": r.item, "title": r.title, "score": r.score, "why": r.reason}
        for r in found
    ]


def _simulate(
    recommender: Recommender,
    ratings: Path,
    policies: list[str],
    questions: int,
    seed: int,
    json: Path | None,
) -> None:
    console = Console(stderr=json is not None and str(json) == "-")
    with progress_bar("asking") as bar:
        result = recommender.simulate_onboarding(
            ratings, policies=policies, questions=questions, seed=seed, progress=bar
        )
    for line in result.notes:
        console.print(f"[yellow]{line}[/yellow]")
    for world in ("open", "closed"):
        rows = [row for row in result.rows if row.world == world]
        console.print(_table(rows, world, result.identical[world]))
        console.print()
    if json is not None:
        write_json(
            json,
            {
                "rows": [asdict(row) for row in result.rows],
                "identical": result.identical,
                "users": result.n_users,
                "unknown_ratings": result.n_unknown,
                "users_left_out": result.n_alone,
                "seed": seed,
            },
        )


def _table(rows: list[Row], world: str, identical: Mapping[str, float]) -> Table:
    table = Table(title=f"{world} world", title_justify="left", box=None, padding=(0, 1, 0, 0))
    last = max((row.questions for row in rows), default=0)
    shown = [n for n in _SHOWN if n <= last] or [last]
    columns = [(metric, n) for metric in ("rmse", "ndcg@10") for n in shown] + [("answered", last)]
    cells = {(row.policy, row.metric, row.questions): row.mean for row in rows}
    table.add_column("policy", no_wrap=True)
    for metric, n in columns:
        table.add_column(f"{metric}\nat {n}", justify="right", no_wrap=True)
    table.add_column("asked\nalike", justify="right", no_wrap=True)  # 100 %: a static list
    for name in dict.fromkeys(row.policy for row in rows):
        found = [cells.get((name, metric, n)) for metric, n in columns]
        told = ("–" if value is None else f"{value:.3f}" for value in found)
        table.add_row(name, *told, f"{100 * identical[name]:.0f} %")
    return table


def _named(names: str) -> list[str]:
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen:
        raise ConfigError("--policies names none; say all, or names with commas between")
    for name in chosen:
        lookup(name)
    return list(dict.fromkeys(chosen))
