"""The tables of how well a sentence becomes a list, from the results beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.content.tables import newest
from benchmarks.content.text_to_list import HALVES, KINDS, LANGUAGES, OURS

EXPERIMENT = "text-to-list"


def text_to_list_table(line: Callable[[Iterable[str]], str], short: Any) -> str:  # noqa: ANN401
    """Return a table for each half: both languages, their difference, kinds, what is unwanted.

    Args:
        line: spells a row.
        short: spells a share.
    """
    known = newest(EXPERIMENT)
    if known is None:
        return "No result is committed yet; `python -m benchmarks.content.text_to_list` adds one."
    stem, record = known
    k = record["config"]["k"]
    parts = []
    for half in reversed(HALVES):
        rows = [r for r in record["rows"] if r["half"] == half]
        kinds = [kind for kind in KINDS if any(kind in r["en"]["by_kind"] for r in rows)]
        lines = [
            line(
                [f"precision@{k}, {half} half", "English", "Chinese", "Chinese − English", *kinds,
                 "unwanted", "likes"]
            ),
            line([":--", *("--:" for _ in range(len(kinds) + 5))]),
        ]  # fmt: skip
        lines += [line(_cells(row, kinds, short)) for row in rows]
        parts.append("\n".join([*lines, "", f"{rows[0]['intents']} intents."]))
    left = ", ".join(f"{name} ({n})" for name, n in record["left_out"].items())
    about = (
        f"{record['protocol'][0].upper()}{record['protocol'][1:]}. Kinds: English / Chinese. "
        "Unwanted: share of the list with a genre that the wish rules out, over the intents that "
        "rule one out. Likes: mean over the films listed. Keywords read the texts in which plot "
        "words are looked for, so on plots they are near an oracle. Settings of the methods were "
        f"chosen on the development half. {f'Left out for too few films: {left}. ' if left else ''}"
        f"`benchmarks/content/results/{stem}.json`, commit `{record['commit'][:12]}`."
    )
    return "\n\n".join([*parts, about])


def _cells(row: dict[str, Any], kinds: Iterable[str], short: Any) -> Iterable[str]:  # noqa: ANN401
    blind = row["method"] in ("chance", "popularity")  # these read no query
    sides = [row[lang] for lang in LANGUAGES if lang in row][: 1 if blind else None]

    def each(spelled: Callable[[Any], str]) -> str:
        return " / ".join(spelled(side) for side in sides)

    yield f"**{row['method']}**" if row["method"] == OURS else row["method"]
    for language in LANGUAGES:
        yield _interval(row.get(language, {}).get("precision"), short)
    yield "–" if blind else _interval(row.get("zh_minus_en"), lambda gap: f"{gap:+.3f}")
    for kind in kinds:
        yield each(lambda side, of=kind: short(side["by_kind"][of]))
    yield each(lambda side: short(side["unwanted"][0]) if side["unwanted"] else "–")
    yield each(lambda side: f"{side['likes']:,.0f}")


def _interval(found: list[float] | None, spell: Callable[[float], str]) -> str:
    if found is None:
        return "–"
    mean, low, high = (spell(value) for value in found)
    return f"{mean} [{low}, {high}]"
