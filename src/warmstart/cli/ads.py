"""`warmstart ads`: models of clicks and conversions, what they say of a table, and of a log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import typer
from rich.console import Console
from rich.table import Table

from warmstart.cli import _ads_benchmark
from warmstart.cli._shared import check_folder, read_settings, write_json
from warmstart.core.errors import ConfigError

app = typer.Typer(help="Advertisements.", no_args_is_help=True, add_completion=False)
app.command("benchmark")(_ads_benchmark.benchmark)

_Log = Annotated[Path, typer.Argument(help="Table: CSV, TSV, Parquet or JSON Lines.")]
_Model = Annotated[Path, typer.Argument(help="A saved model.")]
_Columns = Annotated[
    list[str] | None, typer.Option(help="A feature column; repeat it.", show_default=False)
]
_Column = Annotated[str | None, typer.Option(help="Its column.", show_default=False)]
_Json = Annotated[Path | None, typer.Option(help="Write the result as JSON; - for stdout.")]
_Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]


@app.callback()
def _ads() -> None:
    """Learn and judge models of advertisements."""


@app.command()
def train(
    log: _Log,
    out: Annotated[Path, typer.Option(help="Folder of the saved model.", show_default=False)],
    user: Annotated[str, typer.Option(help="Its column; '' if the log knows no users.")] = "user",
    ad: Annotated[str, typer.Option(help="Its column.")] = "ad",
    click: Annotated[str, typer.Option(help="Its column; '' if every row is a click.")] = "click",
    conversion: _Column = None,
    timestamp: _Column = None,
    conversion_timestamp: Annotated[
        str | None,
        typer.Option(help="When the conversion came; late ones are then reckoned in."),
    ] = None,
    propensity: _Column = None,
    user_column: _Columns = None,
    ad_column: _Columns = None,
    context_column: _Columns = None,
    config: Annotated[Path | None, typer.Option(help="All settings, JSON or TOML.")] = None,
    seed: _Seed = 0,
    json: _Json = None,
) -> None:
    """Learn clicks, and conversions if the log has them, and save the model."""
    from warmstart.ads.log import AdLog
    from warmstart.ads.recommender import AdRecommender

    console = Console(stderr=json is not None and str(json) == "-")
    check_folder(json)
    model = AdRecommender(read_settings(config), seed=seed)
    table = AdLog.from_table(
        log,
        user=user or None,
        ad=ad,
        click=click or None,
        conversion=conversion,
        timestamp=timestamp,
        conversion_timestamp=conversion_timestamp,
        propensity=propensity,
        user_columns=user_column or (),
        ad_columns=ad_column or (),
        context_columns=context_column or (),
    )
    begun = time.perf_counter()
    model.fit(table)
    seconds = time.perf_counter() - begun
    model.save(out)
    said = model.origin
    sales = "" if said["conversions"] is None else f", {said['conversions']:,} conversions"
    console.print(
        f"{said['rows']:,} impressions of {said['ads']:,} ads, {said['clicks']:,} clicks{sales}; "
        f"trained in {seconds:.0f} s: [bold]{out}[/bold]"
    )
    console.print(f"try next: warmstart ads score {out} TABLE", highlight=False)
    if json is not None:
        about = {"model": str(out), "seed": seed, "seconds": round(seconds, 2)}
        write_json(json, about | said | {"config": model.config.model_dump(mode="json")})


@app.command()
def score(
    model: _Model,
    table: _Log,
    out: Annotated[
        Path | None, typer.Option(help="Table with the probabilities, .csv or .parquet.")
    ] = None,
    bid: Annotated[
        str | None,
        typer.Option(
            help="Column of bids in millionths of the currency: adds what a row is worth."
        ),
    ] = None,
    pays_for: Annotated[
        str, typer.Option(help="What a bid is paid for: impression, click or conversion.")
    ] = "click",
    seed: _Seed = 0,
    json: _Json = None,
) -> None:
    """Give every row its probabilities, and what it is worth, best row first if there are bids."""
    from warmstart.ads.auction import check_bid_column, expected_value_micros
    from warmstart.ads.log import AdLog
    from warmstart.ads.recommender import AdRecommender

    check_folder(json)
    check_folder(out)
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{out} must end in .csv or .parquet")
    loaded = AdRecommender.load(model)
    ids = [n for n in (loaded.coding.columns["user"], loaded.coding.columns["ad"]) if n]
    rows, kept = AdLog.read_with(table, loaded.coding, ids if bid is None else [*ids, bid])
    scores = loaded.score(rows)
    columns: dict[str, Any] = {"row": np.arange(len(rows))}
    columns |= {name: kept[name].to_pylist() for name in ids}
    columns |= {"click_probability": scores.click}
    if scores.conversion is not None:
        columns["conversion_probability"] = scores.conversion
        columns["click_and_conversion_probability"] = scores.click_and_conversion
    if bid is not None:
        bid_micros = check_bid_column(kept[bid])
        worth = expected_value_micros(
            bid_micros, scores.click, scores.conversion, _paid_for(pays_for)
        )
        order = np.argsort(-worth, kind="stable")
        columns |= {"bid_micros": bid_micros, "expected_value_micros": worth}
        columns = {n: [v[int(i)] for i in order] for n, v in columns.items()}
    found = pa.table(columns)
    console = Console(stderr=json is not None and str(json) == "-")
    _print(console, found)
    if out is not None and out.suffix == ".csv":
        pa.csv.write_csv(found, out)
    elif out is not None:
        pa.parquet.write_table(found, out)
    if json is not None:
        write_json(json, {"seed": seed, "rows": found.to_pylist()})


@app.command()
def report(
    model: _Model,
    log: _Log,
    effect: Annotated[
        float, typer.Option(help="The smallest difference per impression that would matter.")
    ] = 0.001,
    top: Annotated[
        int, typer.Option(help="The judged policy shows one of so many best ads, by lot.")
    ] = 1,
    reward: Annotated[str, typer.Option(help="What is counted: click or conversion.")] = "click",
    seed: _Seed = 0,
    json: _Json = None,
) -> None:
    """Say whether the model would have earned more than what a log shows, if the log allows it."""
    from warmstart.ads.off_policy import judge
    from warmstart.ads.recommender import AdRecommender

    check_folder(json)
    found = judge(AdRecommender.load(model), log, effect=effect, top=top, reward=_reward(reward))
    console = Console(stderr=json is not None and str(json) == "-")
    table = Table(title=f"{found.reward}s per 1,000 impressions")
    for name in ("", "estimate", "95 % interval", "effective impressions"):
        table.add_column(name, justify="right" if name else "left")
    for one in (found.logged, *found.estimates):
        table.add_row(
            "what was shown" if one.estimator == "logged" else f"the model, {one.estimator}",
            f"{1000 * one.value:.2f}",
            f"{1000 * one.ci_low:.2f} to {1000 * one.ci_high:.2f}",
            f"{one.effective:,.0f}",
        )
    console.print(table)
    console.print(f"one of the best {top} of {found.ads} ads: [bold]{found.sentence}[/bold]")
    if json is not None:
        names = ("estimator", "value", "ci_low", "ci_high", "level", "n", "effective", "events")
        rows = [{n: getattr(e, n) for n in names} for e in (found.logged, *found.estimates)]
        about = {"reward": found.reward, "top": top, "ads": found.ads, "effect": effect}
        verdict = {"claim": found.verdict.claim, "more_impressions": found.verdict.more}
        write_json(json, about | {"seed": seed, "rows": rows, "sentence": found.sentence} | verdict)


def _paid_for(word: str) -> Literal["impression", "click", "conversion"]:
    if word == "impression":
        return "impression"
    if word in ("click", "conversion"):
        return "click" if word == "click" else "conversion"
    raise ConfigError(f"--pays-for is impression, click or conversion, got {word!r}")


def _reward(word: str) -> Literal["click", "conversion"]:
    if word in ("click", "conversion"):
        return "click" if word == "click" else "conversion"
    raise ConfigError(f"--reward is click or conversion, got {word!r}")


def _print(console: Console, found: pa.Table, most: int = 10) -> None:
    table = Table()
    for name in found.column_names:
        table.add_column(name, justify="left" if pa.types.is_string(found[name].type) else "right")
    for row in found.slice(0, most).to_pylist():
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)
    if found.num_rows > most:
        console.print(f"… {found.num_rows:,} rows; --out FILE writes all of them")
