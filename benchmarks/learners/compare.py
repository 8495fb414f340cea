"""All learners on cold users and cold items: `python -m benchmarks.learners.compare NAME …`.

The comparison of `warmstart compare --learners all`, by scenario; `experiments/` has the settings,
one file each. Learners run with their defaults, which `benchmarks.learners.search` chose; the
baselines are tuned on validation users, once. A result is added, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cold_users.run import Experiment, commit, load_data, overruled, write_result
from warmstart.core.errors import ConfigError, WarmstartError
from warmstart.evaluation import Report
from warmstart.recommenders.comparison import run_comparison
from warmstart.recommenders.progress import progress_bar

HERE = Path(__file__).parent
EXPERIMENTS, RESULTS = HERE / "experiments", HERE / "results"


def run(name: str, settings: list[str], out: Path) -> Path:
    """Run one experiment and add its result.

    Raises:
        WarmstartError: there is none of that name, or the data are not there.
    """
    path = EXPERIMENTS / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in EXPERIMENTS.glob("*.json")))
        raise ConfigError(f"no experiment is called {name!r}; there are: {known}")
    experiment = overruled(Experiment.parse(json.loads(path.read_text("utf8"))), settings)
    data, code, now = load_data(experiment), commit(), datetime.now(UTC)
    with progress_bar(name) as progress:
        found = run_comparison(
            data,
            experiment.compare,
            progress=progress,
            command=f"python -m benchmarks.learners.compare {name}",
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


def main() -> int:
    """Run the experiments that are named."""
    parser = argparse.ArgumentParser(description="Compare all learners.")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON")
    chosen = parser.parse_args()
    try:
        if chosen.set and chosen.out == RESULTS:
            raise ConfigError("--set is for trials, whose results are not kept; give --out FOLDER")
        for name in chosen.names:
            print(run(name, chosen.set, chosen.out), flush=True)
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
