"""The first sections of the page: what changes, accuracy, popularity, new and rare items."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from warmstart.recommenders.reporting.drawing import Line, bar, lines, track
from warmstart.recommenders.reporting.findings import SHUFFLED, Findings
from warmstart.recommenders.reporting.markup import (
    cell,
    digits_of,
    key,
    likes,
    method_name,
    moved_of,
    number,
    numbers,
    p_value,
    percent,
    section,
    signed,
    spelled,
    table,
    with_ends,
)
from warmstart.recommenders.reporting.words import Language, say

_MEASURES = (
    "ndcg", "popularity", "lift", "tail", "pru", "pri", "miscalibration", "coverage", "gini",
)  # fmt: skip
_OF_SHARES = ("ndcg", "tail", "pru", "pri", "coverage", "gini")
_RARE = 20


def change(found: Findings, language: Language, ours: str) -> str:
    """Return what adaptation changes, measure by measure."""
    first, last = found.shots[0], found.shots[-1]
    rows, details = [], []
    for measure in _MEASURES:
        before, after = (found.figure(measure, ours, k) for k in (first, last))
        moved = found.figure(measure, ours, "change")
        if before is None or after is None or moved is None:
            continue
        truth = found.figure(measure, "taste", None)
        name = say(language, "popularity.measure" if measure == "popularity" else measure)
        about = say(language, f"{measure}.about")
        most = 100.0 if measure == "popularity" else 1.0
        drawn = ""
        if measure in _OF_SHARES or measure == "popularity":
            drawn = track(
                scale=(0.0, most),
                first=before.value,
                last=after.value,
                truth=None if truth is None else truth.value,
            )
        digits = digits_of(measure)
        cells = [
            f"<th scope=row>{name}<small>{about}</small></th>",
            f'<td class="draw">{drawn}</td>',
            cell(likes(language, first), spelled(before.value, digits)),
            cell(likes(language, last), spelled(after.value, digits)),
            cell(say(language, "change"), moved_of(measure, moved, digits)),
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
        details.append(
            [name, *(with_ends(found.figure(measure, ours, k), digits) for k in found.shots)]
        )
    head = "".join(
        f"<th scope=col{kind}>{title}</th>"
        for title, kind in (
            (say(language, "measure"), ""),
            ("", ""),
            (likes(language, first), " class=number"),
            (likes(language, last), " class=number"),
            (f"{say(language, 'change')}, {say(language, 'interval')}", " class=number"),
        )
    )
    titles = [say(language, "measure"), *(likes(language, k) for k in found.shots)]
    body = (
        f'<div class="panel">{key(language, first, last)}'
        f'<table class="stack"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"{numbers(language, table(titles, details))}</div>"
    )
    return section(
        "change",
        say(language, "change.head", n=last),
        say(language, "change.note"),
        body,
        language,
    )


def curve(found: Findings, language: Language, ours: str) -> str:
    """Return accuracy by number of likes beside the baselines."""
    first, last = (found.figure("ndcg", ours, k) for k in (found.shots[0], found.shots[-1]))
    assert first is not None
    assert last is not None
    moved = found.figure("ndcg", ours, "change")
    sure = moved is not None and moved.ci_low is not None and moved.ci_low > 0
    head = say(
        language,
        f"curve.head.{'better' if sure else 'flat'}",
        n=found.shots[-1],
        first=number(first.value),
        last=number(last.value),
    )
    chart = _over_shots(found, language, ours, "ndcg", head, 2)
    here = found.about["people"]["training_rows_here"]
    told = [say(language, "curve.tuned" if here else "curve.alone")]
    if found.against:
        told.insert(0, _against(found.against[-1], language, ours))
    titles = [say(language, k) for k in ("after", "curve.best", "curve.difference", "interval")]
    tests = table(
        [*titles, "p"],
        [
            [likes(language, r["shots"]), method_name(language, r["best"], ours),
             signed(r["difference"], 3), f"{signed(r['ci_low'], 3)} – {signed(r['ci_high'], 3)}",
             escape(p_value(r["p_holm"]).removeprefix("= "))]
            for r in found.against
        ],
    )  # fmt: skip
    inside = _by_method(found, language, ours, "ndcg", 3) + tests
    body = (
        f'<div class="panel">{chart}<p class="note">{" ".join(told)}</p>'
        f"{numbers(language, inside)}</div>"
    )
    return section("curve", head, say(language, "curve.note"), body, language)


def _against(record: Mapping[str, Any], language: Language, ours: str) -> str:
    return say(
        language,
        "curve.against",
        shots=likes(language, record["shots"]),
        difference=signed(record["difference"], 3),
        best=method_name(language, record["best"], ours),
        low=signed(record["ci_low"], 3),
        high=signed(record["ci_high"], 3),
        p=escape(p_value(record["p_holm"])),
    )


def popularity(found: Findings, language: Language, ours: str) -> str:
    """Return how popular lists are, beside what people like."""
    last, taste = (
        found.figure("popularity", ours, found.shots[-1]),
        found.figure("popularity", "taste", None),
    )
    assert last is not None
    head = say(
        language,
        "popularity.head",
        last=number(last.value, 0),
        taste="–" if taste is None else number(taste.value, 0),
    )
    body = (
        f'<div class="panel">{_over_shots(found, language, ours, "popularity", head, 1)}'
        f"{numbers(language, _by_method(found, language, ours, 'popularity', 1))}</div>"
    )
    return section("popularity", head, say(language, "popularity.note"), body, language)


def rare(found: Findings, language: Language) -> str:
    """Return what becomes of items with few likes."""
    first, last = found.shots[0], found.shots[-1]
    few = [band for band in found.bands if band.high is not None and band.high < _RARE]
    head = say(
        language,
        "rare.head",
        n=_RARE,
        items=percent(sum(b.items for b in few)),
        likes=percent(sum(b.likes for b in few)),
        places=percent(sum(b.places[last] for b in few)),
    )
    rows = []
    for band in found.bands:
        name = f"{band.low}+" if band.high is None else f"{band.low}–{band.high}"
        name = say(language, "rare.none") if band.high == 0 else name
        parts = [
            ("rare.items", bar(band.items, "items"), percent(band.items)),
            ("rare.likes", bar(band.likes, "truth"), percent(band.likes)),
            ("rare.places", bar(band.places[last]), percent(band.places[last])),
        ]
        cells = "".join(
            f'<td data-label="{say(language, title)}">{percent_}{drawn}</td>'
            for title, drawn, percent_ in parts
        )
        standing = " → ".join(percent(band.standing[k]) for k in (first, last))
        rows.append(
            f"<tr><th scope=row>{name}</th>{cells}"
            f"{cell(say(language, 'rare.standing'), standing)}</tr>"
        )
    titles = ["rare.band", "rare.items", "rare.likes", "rare.places"]
    head_row = "".join(f"<th scope=col>{say(language, t)}</th>" for t in titles)
    arrow = f"{likes(language, first)} → {likes(language, last)}"
    head_row += f"<th scope=col class=number>{say(language, 'rare.standing')}<br>{arrow}</th>"
    body = (
        f'<div class="panel"><table class="stack bands"><thead><tr>{head_row}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    note = say(language, "rare.note", last=likes(language, last))
    return section("rare", head, note, body, language)


def _over_shots(
    found: Findings, language: Language, ours: str, measure: str, said: str, digits: int
) -> str:
    drawn, others = [], 0
    for method in found.methods:
        at = [found.figure(measure, method, k) for k in found.shots]
        if all(f is None for f in at):
            continue
        if method == ours:
            kind = "ours"
        elif method == SHUFFLED:
            kind = "control"
        elif method == "popularity":
            kind = "popularity"
        else:
            kind, others = f"other{others % 4}", others + 1
        values, low, high = (
            [math.nan if f is None or getattr(f, part) is None else getattr(f, part) for f in at]
            for part in ("value", "ci_low", "ci_high")
        )
        banded = kind == "ours"
        drawn.append(
            Line(method_name(language, method, ours), kind, values,
                 low if banded else None, high if banded else None)
        )  # fmt: skip
    taste = found.figure(measure, "taste", None)
    level = None if taste is None else (say(language, "taste"), taste.value)
    return lines(
        drawn,
        found.shots,
        said=said,
        axis=say(language, "axis.shots"),
        spelled=lambda value: number(value, digits if digits == 2 else 0),
        level=level,
    )


def _by_method(found: Findings, language: Language, ours: str, measure: str, digits: int) -> str:
    rows = [
        [method_name(language, m, ours),
         *(with_ends(found.figure(measure, m, k), digits) for k in found.shots)]
        for m in found.methods
        if any(found.figure(measure, m, k) for k in found.shots)
    ]  # fmt: skip
    return table([say(language, "method"), *(likes(language, k) for k in found.shots)], rows)
