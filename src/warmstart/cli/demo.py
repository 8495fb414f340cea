"""`warmstart demo`: from nothing to recommendations for a brand-new user, with honest figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli._shared import shown, write_json
from warmstart.cli.compare import costs_table, shots_table, verdicts_table
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation import Report
from warmstart.recommenders import Recommender
from warmstart.recommenders.comparison import CompareConfig, run_comparison
from warmstart.recommenders.progress import progress_bar

_LIKES = (
    "Alien (1979)",
    "Blade Runner (1982)",
    "Terminator, The (1984)",
    "2001: A Space Odyssey (1968)",
    "Brazil (1985)",
)
_METHODS = ("default", "popularity", "itemknn", "ease", "ials", "multvae", "random")
_SHOTS = (0, 1, 3, 5, 10, 20)


def demo(
    data: Annotated[
        str, typer.Option(help="A named data set; with another one, likes are drawn from it.")
    ] = "ml-100k",
    out: Annotated[Path, typer.Option(help="Where to save the model.")] = Path("models/demo"),
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write the k-shot table here.", show_default=False)
    ] = None,
) -> None:
    """Meta-train on MovieLens-100K, recommend to somebody new, and compare with the baselines."""
    console = Console()
    dataset = load_dataset(data)
    console.print(
        f"[bold]{dataset.name}[/bold]: {dataset.n_users:,} users, {dataset.n_items:,} items, "
        f"{len(dataset.interactions):,} interactions. A tenth of the users is hidden from training."
    )
    split = make_split(dataset, SplitConfig(seed=seed))
    model = Recommender(seed=seed).fit(split.train, progress=True)
    model.save(out)

    likes = _likes(model)
    console.print("\nSomebody new, of whom nothing is known but these likes:")
    for shots in (0, 1, 3, 5):
        console.print(_list_table(model, likes[:shots]))

    config = CompareConfig(methods=_METHODS, shots=_SHOTS, splits=1, seed=seed, tune="once")
    with progress_bar("comparing with the baselines", show=True) as bar:
        report: Report = run_comparison(
            dataset,
            config,
            splits=[split],
            fitted={"default": model.fitted.method},
            progress=bar,
            command="warmstart demo",
        )
    for table in (shots_table(report), verdicts_table(report), costs_table(report)):
        if table.row_count:
            console.print(table)
    console.print(
        "One split and few users: the intervals are wide. "
        "`warmstart compare` runs several splits.\n"
    )
    if json is not None:
        write_json(json, report.to_json())
    console.print(f"The model lies in [bold]{out}[/bold]. Try next:")
    console.print(
        f'  warmstart recommend {out} --likes "{likes[0]}" --likes "{likes[1]}" -k 10',
        highlight=False,
    )


def _likes(model: Recommender) -> list[str]:
    """Return five titles to like: the demo's films, or the most popular items of other data."""
    titles = model.catalogue.titles
    known = {titles.title(i) for i in range(len(model.catalogue))}
    if known.issuperset(_LIKES):
        return list(_LIKES)
    return [r.title for r in model.recommend(k=5, explain=False)]


def _list_table(model: Recommender, likes: list[str]) -> Table:
    name = f"after {len(likes)} likes" if len(likes) != 1 else "after 1 like"
    table = Table(
        title=shown(f"{name}: {', '.join(likes)}" if likes else name), title_justify="left"
    )
    table.add_column("", justify="right")
    table.add_column("title", no_wrap=True)
    table.add_column("score", justify="right")
    table.add_column("why")
    for r in model.recommend(likes, k=5):
        table.add_row(str(r.rank), shown(r.title), f"{r.score:.2f}", shown(r.reason))
    return table
