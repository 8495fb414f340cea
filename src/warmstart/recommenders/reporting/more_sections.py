"""Further sections of the page: groups of people, categories, chances, texts."""

from __future__ import annotations

import math
from html import escape

from warmstart.recommenders.reporting.drawing import reliability_plot, track
from warmstart.recommenders.reporting.findings import Findings, Gap
from warmstart.recommenders.reporting.groups import TASTE
from warmstart.recommenders.reporting.markup import (
    key,
    likes,
    number,
    numbers,
    p_value,
    percent,
    section,
    table,
    with_ends,
)
from warmstart.recommenders.reporting.text_prior import AS_WRITTEN, DEALT, MASKED, TextRow
from warmstart.recommenders.reporting.words import Language, say

_CATEGORIES, _ALARM = 10, 0.05


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
            f'<li><span>{shown} <span class="people">n = {gap.found.tasks[at]}</span></span>{drawn}'
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
        return section("texts", say(language, f"texts.{check.why_not}"), "", "", language)
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
