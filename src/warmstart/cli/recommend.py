"""`warmstart recommend`: a table for one new user, or a file of lists for many."""

from __future__ import annotations

import json as jsonlib
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import check_folder, rows_rule, shown, write_json
from warmstart.core.errors import ConfigError, DataError
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.lists import Recommendation, append_log
from warmstart.recommenders.new_users import read_ids


def recommend(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    likes: Annotated[
        list[str] | None, typer.Option(help="Title or id that the user likes; repeat it.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help='What the user asks for: "quiet space films, no horror".'),
    ] = None,
    approximate: Annotated[
        bool,
        typer.Option(help="Find candidates by an approximate index: large catalogues, many users."),
    ] = False,
    trust_encoders: Annotated[
        bool, typer.Option(help="Send the text to an endpoint, as the model names it.")
    ] = False,
    dislikes: Annotated[
        list[str] | None, typer.Option(help="Title or id that the user does not like.")
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option(help="What is known of the user: column=value; repeat it.")
    ] = None,
    histories: Annotated[
        Path | None, typer.Option(help="Table of new users' events: user, item, …")
    ] = None,
    users: Annotated[
        Path | None, typer.Option(help="Table of new users: user and what is known of them.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Where the lists go: .parquet, .csv or .jsonl.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Table with a column item: rank only these.")
    ] = None,
    filter: Annotated[
        str | None,
        typer.Option(help="Condition on item columns, as: genres has Comedy and year >= 1980"),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Title or id that must not come back.")
    ] = None,
    on_bad_rows: Annotated[str, typer.Option(help="raise or drop.")] = "raise",
    explore: Annotated[
        float, typer.Option(help="Share of each list for items the model is unsure of.")
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(help="Of what is explored; anew each time without it.", min=0)
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Append what is shown, with propensities, to this .jsonl; one user."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the list or a report as JSON; - for stdout.")
    ] = None,
) -> None:
    """Recommend to users whom the model has never met.

    With --histories or --users: one list per user, into --out. Events on items outside the
    catalogue are left out and counted; a user of whom nothing is left, or who is in --users
    alone, gets what is best to show before the first event.
    """
    for path in (out, log, json):
        check_folder(path)
    recommender = load(model)
    if approximate:
        recommender.approximate()
    mask = None if candidates is None else _mask(recommender, candidates)
    if histories is None and users is None:
        if filter is not None and mask is not None:
            raise ConfigError("for one user give --filter or --candidates, not both")
        found = recommender.recommend(
            likes or [],
            text=text,
            trust_encoders=trust_encoders,
            dislikes=dislikes or [],
            user=known_of(user),
            k=k,
            filter=filter if mask is None else mask,
            exclude=exclude or (),
            explore=explore,
            rng=np.random.default_rng(seed),
        )
        if log is not None:
            now = time.time()
            append_log(log, found, request=f"{now:.6f}", now=now)
        _show(found, json)
        return
    if log is not None:
        raise ConfigError("--log is for one user; the lists of many have propensities in --out")
    if likes or dislikes or user or text is not None:
        raise ConfigError("give --likes and --text for one user or --histories for many, not both")
    if out is None or out.suffix not in (".parquet", ".csv", ".jsonl"):
        raise ConfigError(
            "many users' lists need a file: give --out with a name in .parquet, .csv or .jsonl"
        )
    lists = recommender.recommend_batch(
        histories,
        users=users,
        k=k,
        filter=filter,
        exclude=exclude or (),
        candidates=mask,
        on_bad_rows=rows_rule(on_bad_rows),
        explore=explore,
        rng=np.random.default_rng(seed),
    )
    _write_table(lists.table(), out)
    console = Console(stderr=json is not None and str(json) == "-")
    console.print(f"{len(lists):,} users, {k} items each: [bold]{out}[/bold]")
    if lists.n_unknown_events:
        console.print(
            f"[yellow]{lists.n_unknown_events:,} events name items outside the catalogue and were "
            f"left out; {lists.n_unknown_users:,} users have no other events and got the list "
            "for somebody unknown[/yellow]"
        )
    if json is not None:
        write_json(
            json,
            {
                "users": len(lists),
                "unknown_events": lists.n_unknown_events,
                "unknown_users": lists.n_unknown_users,
                "out": str(out),
            },
        )


def _show(found: list[Recommendation], json: Path | None) -> None:
    if json is not None:
        write_json(
            json,
            [
                {
                    "rank": r.rank,
                    "item": r.item,
                    "title": r.title,
                    "score": r.score,
                    "why": r.reason,
                    "propensity": r.propensity,
                    "explored": r.explored,
                }
                for r in found
            ],
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "title", "score", "why"):
        table.add_column(title, justify="right" if title in ("", "score") else "left")
    for r in found:
        table.add_row(str(r.rank), shown(r.title), f"{r.score:.2f}", shown(r.reason))
    Console().print(table)


def known_of(user: list[str] | None) -> dict[str, str] | None:
    """Return what --user says: column → value.

    Raises:
        ConfigError: a pair without "=".
    """
    if not user:
        return None
    known = {}
    for pair in user:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--user takes column=value, got {pair!r}")
        known[name] = value
    return known


def _mask(recommender: Recommender, path: Path) -> npt.NDArray[np.bool_]:
    """Return which items of the catalogue the file names."""
    catalogue = recommender.catalogue
    wanted, _, _ = read_ids(path, "item", catalogue.schema.items)
    at = catalogue.items.find(wanted.values)
    if (at < 0).any():
        first = wanted[int(np.argmax(at < 0))]
        raise DataError(
            f"{int((at < 0).sum())} of {len(at)} candidates are not in the catalogue "
            f"(first: {first!r}); leave them out, or add them: warmstart items add"
        )
    mask = np.zeros(len(catalogue), bool)
    mask[at] = True
    return mask


def _write_table(table: pa.Table, path: Path) -> None:
    """Write by suffix; the file appears only when it is whole."""
    part = path.with_name(path.name + ".part")
    if path.suffix == ".parquet":
        pq.write_table(table, part)
    elif path.suffix == ".csv":
        csv.write_csv(table, part)
    else:
        rows = (jsonlib.dumps(row, ensure_ascii=False) for row in table.to_pylist())
        part.write_text("".join(f"{row}\n" for row in rows), "utf8")
    part.replace(path)
