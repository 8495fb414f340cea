"""The table of `docs/exploration.md`: a policy judged by another one's log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def ope_table(line: Callable[[Iterable[str]], str]) -> str:
    """Return what was estimated, beside what was earned.

    Args:
        line: spells a row.
    """
    paths = RESULTS.glob("ope-open-bandit-*.json")
    known = [(json.loads(path.read_text("utf8")), path.stem) for path in paths]
    if not known:
        return "No result is committed yet; `python -m benchmarks.onboarding.ope` adds one."
    record, stem = max(known, key=lambda found: found[0]["date"])
    lines = [
        line(["campaign", "estimate from the random log", "clicks per 100", "95 % interval",
              "BTS earned", "covered", "effective impressions", "is it better than random?"]),
        line([":--", ":--", "--:", "--:", "--:", ":--", "--:", ":--"]),
    ]  # fmt: skip
    for row in record["rows"]:
        if row["unit"] != "impression":
            continue
        raw = row["estimator"] == "random policy"
        lines.append(
            line(
                [
                    row["campaign"],
                    "none: what random earned" if raw else row["estimator"],
                    f"{100 * row['value']:.2f}",
                    f"{100 * row['ci_low']:.2f} to {100 * row['ci_high']:.2f}",
                    f"{100 * row['bts']:.2f}",
                    "yes" if row["covers"] else "no",
                    f"{row['effective']:,.0f}",
                    "" if raw else row["verdict"],
                ]
            )
        )
    grouped = [r for r in record["rows"] if r["unit"] != "impression"]
    covered = sum(r["covers"] for r in grouped if r["estimator"] != "random policy")
    about = (
        f"{record['protocol']}. With intervals clustered by the users' features (the log has no "
        f"user ids) {covered} of {len(grouped) * 3 // 4} estimates cover. A difference of "
        f"{100 * record['config']['effect']:g} clicks per 100 is taken to matter. "
        f"`benchmarks/onboarding/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n".join([*lines, "", f"{about[0].upper()}{about[1:]}"])
