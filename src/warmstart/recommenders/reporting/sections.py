"""The sections of the page, each from the findings to HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from warmstart.recommenders.reporting.drawing import Line, bar, lines, reliability_plot, track
from warmstart.recommenders.reporting.groups import TASTE
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
from warmstart.recommenders.reporting.report import SHUFFLED, Findings, Gap
from warmstart.recommenders.reporting.text_prior import AS_WRITTEN, DEALT, MASKED, TextRow
from warmstart.recommenders.reporting.words import Language, say

_MEASURES = (
    "ndcg", "popularity", "lift", "tail", "pru", "pri", "miscalibration", "coverage", "gini",
)  # fmt: skip
_OF_SHARES = ("ndcg", "tail", "pru", "pri", "coverage", "gini")
_RARE, _CATEGORIES, _ALARM = 20, 10, 0.05


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


def groups(found: Findings, language: Language) -> str:
    """Return accuracy by group, and whether the gaps are more than chance."""
    first, last = found.shots[0], found.shots[-1]
    at_first = {gap.column: gap for gap in found.gaps if gap.shots == first}
    chosen = [gap for gap in found.gaps if gap.shots == last]
    alarms = sum(gap.p_holm <= _ALARM for gap in chosen)
    which = "none" if not alarms else "some" if alarms == 1 else "several"
    head = say(language, f"groups.head.{which}", n=alarms, all=len(chosen))
    note = say(
        language, "groups.note", first=likes(language, first), last=likes(language, last)
    )  # fmt: skip
    chosen.sort(key=lambda gap: gap.p_holm)
    most = max((float(gap.found.high.max()) for gap in chosen), default=1.0)
    panels = [_gap(gap, at_first.get(gap.column), language, most) for gap in chosen]
    body = (
        f'<div class="two">{"".join(panels)}</div>'
        f'<p class="note">{say(language, "groups.least")}</p>'
    )
    return section("groups", head, note, body, language)


def _gap(gap: Gap, before: Gap | None, language: Language, most: float) -> str:
    there = {} if before is None else dict(zip(before.names, before.found.means, strict=True))
    rows = []
    for at, name in enumerate(gap.names):
        mean, low, high = (float(v[at]) for v in (gap.found.means, gap.found.low, gap.found.high))
        shown = say(language, f"group.{name}") if gap.column == TASTE else escape(name)
        drawn = track(
            scale=(0.0, most), band=(low, high), first=there.get(name), last=mean, joined=False
        )
        rows.append(
            f'<li><span>{shown} <span class="people">{gap.found.tasks[at]}</span></span>{drawn}'
            f'<span class="value">{number(mean)}</span></li>'
        )
    loud = gap.p_holm <= _ALARM
    tag = say(language, "groups.beyond" if loud else "groups.within", p=escape(p_value(gap.p_holm)))
    told = say(
        language,
        "groups.gap",
        gap=number(gap.found.gap),
        low=number(gap.found.gap_low),
        high=number(gap.found.gap_high),
        chance=number(gap.found.by_chance),
    )
    title = say(language, "group.taste") if gap.column == TASTE else escape(gap.column)
    return (
        f'<div class="panel"><div class="top"><h3>{title}</h3>'
        f'<span class="tag {"loud" if loud else "quiet"}">{tag}</span></div>'
        f'<ul class="rows">{"".join(rows)}</ul><p class="note">{told}</p></div>'
    )


def mixture(found: Findings, language: Language, ours: str) -> str:
    """Return the categories of lists beside those of tastes."""
    mixed, first, last = found.mixture, found.shots[0], found.shots[-1]
    moved = found.figure("miscalibration", ours, "change")
    before, after = (found.figure("miscalibration", ours, k) for k in (first, last))
    if mixed is None or moved is None or before is None or after is None:
        return ""
    way = "same"
    if moved.ci_high is not None and moved.ci_high < 0:
        way = "closer"
    elif moved.ci_low is not None and moved.ci_low > 0:
        way = "further"
    column = escape(mixed.column)
    note = say(
        language, "mixture.note", column=column, before=number(before.value),
        after=number(after.value), change=with_ends(moved, 2, prose=True),
    )  # fmt: skip
    most = max(max(values[:_CATEGORIES]) for values in mixed.shares.values())
    rows, details = [], []
    for at, name in enumerate(mixed.names):
        shares = {which: mixed.shares[which][at] for which in mixed.shares}
        details.append([escape(name), *(percent(shares[w], 1) for w in
                        ("liked", "first", "last", "catalogue"))])  # fmt: skip
        if at < _CATEGORIES:
            drawn = track(
                scale=(0.0, most), first=shares["first"], last=shares["last"],
                truth=shares["liked"],
            )  # fmt: skip
            rows.append(
                f"<li><span>{escape(name)}</span>{drawn}"
                f'<span class="value">{percent(shares["last"])}</span></li>'
            )
    titles = [
        column, say(language, "key.truth"), likes(language, first), likes(language, last),
        say(language, "rare.items"),
    ]  # fmt: skip
    left = len(mixed.names) - _CATEGORIES
    more = f'<p class="note">{say(language, "mixture.more", n=left)}</p>' if left > 0 else ""
    body = (
        f'<div class="panel">{key(language, first, last)}<ul class="rows">{"".join(rows)}</ul>'
        f"{more}{numbers(language, table(titles, details))}</div>"
    )
    head = say(language, f"mixture.head.{way}", n=last, column=column)
    return section("mixture", head, note, body, language)


def chances(found: Findings, language: Language) -> str:
    """Return whether scores can be read as probabilities."""
    panels = []
    for reading in found.readings:
        plain = say(language, "chances.plain", share=percent(reading.misplaced))
        tempered = say(
            language,
            "chances.tempered",
            t=number(reading.temperature),
            share=percent(reading.misplaced_tempered),
        )
        drawn = reliability_plot(
            [("other0", reading.plain), ("ours", reading.tempered)],
            said=f"{likes(language, reading.shots)}: {plain}; {tempered}",
            axes=(say(language, "chances.said"), say(language, "chances.happened")),
        )
        panels.append(
            f'<div class="panel"><h3>{likes(language, reading.shots)}</h3>{drawn}<p class="key">'
            f'<span><b class="plain"></b>{plain}</span>'
            f'<span><b class="fitted"></b>{tempered}</span></p></div>'
        )
    head = say(language, "chances.head", share=percent(found.readings[-1].misplaced))
    body = f'<div class="two">{"".join(panels)}</div>'
    return section("chances", head, say(language, "chances.note"), body, language)


def texts(found: Findings, language: Language) -> str:
    """Return the check of the texts."""
    check = found.texts
    if not check.rows:
        return section("texts", say(language, f"texts.{check.why_not}"), "", "", language).replace(
            '<p class="note"></p>', ""
        )
    rows = {row.texts: row for row in check.rows}
    written, hidden = rows[AS_WRITTEN], rows.get(MASKED)
    way = "none"
    if written.foretold[1] > 0:
        gone = hidden is not None and not hidden.foretold[1] > 0
        way = "names" if gone else "stays"
    head = say(
        language,
        f"texts.head.{way}",
        before=number(written.foretold[0]),
        after="–" if hidden is None else number(hidden.foretold[0]),
    )
    note = say(
        language, "texts.note", columns=", ".join(f"“{escape(c)}”" for c in check.columns)
    )  # fmt: skip
    if check.why_not:
        note += " " + say(language, f"texts.{check.why_not}")
    shown = [_text(rows[name], language) for name in (AS_WRITTEN, MASKED, DEALT) if name in rows]
    titles = [say(language, f"texts.{t}") for t in ("texts", "similarity", "foretold", "ndcg")]
    head_row = "".join(f"<th scope=col>{t}</th>" for t in titles)
    body = (
        f'<div class="panel"><table class="stack"><thead><tr>{head_row}</tr></thead>'
        f"<tbody>{''.join(shown)}</tbody></table></div>"
    )
    return section("texts", head, note, body, language)


def _text(row: TextRow, language: Language) -> str:
    cells = []
    for measure in ("similarity", "foretold", "ndcg"):
        value, low, high = getattr(row, measure)
        scale = (0.0, 0.6) if measure == "ndcg" else (-0.6, 0.6)
        drawn = "" if not math.isfinite(value) else track(scale=scale, band=(low, high), last=value)
        cells.append(
            f'<td data-label="{say(language, f"texts.{measure}")}">{number(value)} '
            f'<span class="ends">{number(low)} – {number(high)}</span>{drawn}</td>'
        )
    items = say(language, "texts.items", n=row.items)
    name = say(language, f"texts.{row.texts}")
    return f"<tr><th scope=row>{name}<small>{items}</small></th>{''.join(cells)}</tr>"


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
