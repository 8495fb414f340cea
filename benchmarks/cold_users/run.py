"""Run one experiment and add its result: `python -m benchmarks.cold_users.run ml-100k`.

A result is never edited and never overwritten; a run adds a JSON file with everything that was
asked and found (settings, seeds, versions, commit, hardware, wall time) and the plot of its
curves. `python -m benchmarks.tables` then rewrites the tables that are made of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError, DataError
from warmstart.data import Dataset, load_dataset
from warmstart.evaluation import Report
from warmstart.evaluation.plot import plot_shots
from warmstart.recommenders.comparison import CompareConfig, run_comparison
from warmstart.recommenders.progress import progress_bar

HERE = Path(__file__).parent
EXPERIMENTS, RESULTS = HERE / "experiments", HERE / "results"


class Experiment(Config):
    """One file of `experiments/`.

    Attributes:
        dataset: a named dataset, or `lastfm-hetrec` under `WARMSTART_DATA`.
        title: what tables call the data.
        note: what is a like and who is cold, for the tables.
        users_per_item: items with fewer users leave the catalogue; 0 keeps it whole.
        compare: what is compared, and how.
    """

    dataset: str
    title: str
    note: str
    users_per_item: int = Field(0, ge=0)
    compare: CompareConfig


def known_experiments(folder: Path = EXPERIMENTS) -> list[str]:
    """Return the names of the experiments there are."""
    return sorted(path.stem for path in folder.glob("*.json"))


def load_experiment(name: str, folder: Path = EXPERIMENTS) -> Experiment:
    """Read the settings of one experiment.

    Raises:
        ConfigError: there is none of that name, or a setting is unknown.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(known_experiments(folder))
        raise ConfigError(f"no experiment is called {name!r}; there are: {known}")
    return Experiment.parse(json.loads(path.read_text("utf8")))


def load_data(experiment: Experiment) -> Dataset:
    """Read the data of one experiment.

    Raises:
        DataError: they are not there.
    """
    if experiment.dataset != "lastfm-hetrec":
        data = load_dataset(experiment.dataset)
    else:
        given = os.environ.get("WARMSTART_DATA")
        folder = Path(given or "") / "lastfm-hetrec"
        if not given or not folder.is_dir():
            raise DataError(
                "lastfm-hetrec is read from $WARMSTART_DATA/lastfm-hetrec/plays.parquet and "
                "artists.parquet; set WARMSTART_DATA to the folder above"
            )
        data = Dataset.from_files(
            folder / "plays.parquet", folder / "artists.parquet", name="lastfm-hetrec"
        )
    least = experiment.users_per_item
    return data.at_least(users_per_item=least) if least else data


def run(
    name: str,
    experiment: Experiment,
    *,
    now: datetime,
    out: Path = RESULTS,
    module: str = "benchmarks.cold_users.run",
) -> Path:
    """Run one experiment, write its JSON and its plot, and return the JSON's path.

    Raises:
        WarmstartError: the data are not there, or a setting does not fit them.
    """
    data = load_data(experiment)
    code = records.commit()  # of the code that runs, not of when it is done
    with progress_bar(name) as progress:
        found = run_comparison(
            data,
            experiment.compare,
            progress=progress,
            command=f"python -m {module} {name}",
        )
    about = experiment.model_dump(mode="json", exclude={"compare"})
    record = {
        "experiment": name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        **about,
        **found.run,
    }
    return write_result(Report(record, found.rows), out)


def write_result(report: Report, out: Path) -> Path:
    """Add the JSON and the SVG of a report; the name tells data, day and contents.

    Raises:
        ConfigError: there is such a result already.
    """
    run = report.run
    path = records.add(report.to_json(), run["experiment"], run["date"], out)
    plot_shots(report, path.with_suffix(".svg"))
    return path


def main(
    arguments: list[str] | None = None,
    *,
    home: Path = HERE,
    module: str = "benchmarks.cold_users.run",
) -> int:
    """Run the experiments of a folder that are named; all of them with `all`."""
    experiments, results = home / "experiments", home / "results"
    known = known_experiments(experiments)
    parser = argparse.ArgumentParser(description="Compare methods on users nobody has seen.")
    parser.add_argument("names", nargs="+", help=f"{', '.join(known)}, or all")
    parser.add_argument("--out", type=Path, default=results, help="folder of the results")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=JSON",
        help="overrule a setting of the comparison, such as splits=1; for trials",
    )
    chosen = parser.parse_args(arguments)
    names = known if chosen.names == ["all"] else chosen.names

    def work() -> None:
        if chosen.set and chosen.out == results:
            raise ConfigError("--set is for trials, whose results are not kept; give --out FOLDER")
        wanted = {n: overruled(load_experiment(n, experiments), chosen.set) for n in names}
        for name, experiment in wanted.items():
            now = datetime.now(UTC)
            print(run(name, experiment, now=now, out=chosen.out, module=module), flush=True)

    return records.told(work)


def overruled(experiment: Experiment, settings: list[str]) -> Experiment:
    """Return the experiment with `KEY=JSON` settings of its comparison replaced.

    Raises:
        ConfigError: a setting is malformed or unknown.
    """
    values: dict[str, Any] = experiment.compare.model_dump()
    for setting in settings:
        key, equals, text = setting.partition("=")
        try:
            values[key] = json.loads(text)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--set {setting!r}: write KEY=JSON, such as splits=1")
    return experiment.model_copy(update={"compare": CompareConfig.parse(values)})


if __name__ == "__main__":
    sys.exit(main())
