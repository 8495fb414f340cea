"""The findings as one page: HTML, CSS and SVG in a single file that loads nothing."""

from __future__ import annotations

import math
from html import escape
from importlib.resources import files
from typing import Any

from warmstart.recommenders.reporting import more_sections, sections
from warmstart.recommenders.reporting.findings import SHUFFLED, Findings
from warmstart.recommenders.reporting.groups import TASTE
from warmstart.recommenders.reporting.markup import likes, method_name, number, percent
from warmstart.recommenders.reporting.words import PAPERS, Language, say

_FEW = 200
_FLAME = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2c1 4 6 6 6 12a6 6 0 0 1-12 0c0-3 '
    '2-4 2-7 2 1 3 2 3 4 1-2 2-5 1-9z"/></svg>'
)


def page_of(found: Findings, language: Language = "en") -> str:
    """Return the page.

    Args:
        found: what `report_on` found.
        language: "en" or "zh".
    """
    ours = found.methods[0]
    parts = [
        sections.change(found, language, ours),
        sections.curve(found, language, ours),
        sections.popularity(found, language, ours),
        sections.rare(found, language),
        more_sections.groups(found, language) if found.gaps else "",
        more_sections.mixture(found, language, ours),
        more_sections.chances(found, language),
        more_sections.texts(found, language),
    ]
    keys = ("change", "curve", "popularity", "rare", "groups", "mixture", "chances", "texts")
    links = "".join(
        f'<li><a href="#{key}">{say(language, f"nav.{key}")}</a></li>'
        for key, part in zip(keys, parts, strict=True)
        if part
    )
    about = found.about
    title = escape(
        say(language, "title", method=about["model"]["method"], data=about["people"]["data"])
    )
    css = files(__package__).joinpath("page.css").read_text("utf8")
    return f"""<!doctype html>
<html lang="{"zh-Hans" if language == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<header>
<p class="brand">{_FLAME}warmstart</p>
<h1>{title}</h1>
<p class="lead">{_lead(about, found.shots[-1], language)}</p>
</header>
<nav><ul>{links}</ul></nav>
<main>
{_tiles(found, language, ours)}
{"".join(parts)}
</main>
{_footer(about, language)}
</body>
</html>
"""


def _lead(about: dict[str, Any], most: int, language: Language) -> str:
    people = about["people"]
    told = [say(language, "lead", judged=f"{people['judged']:,}", likes=f"{people['likes']:,}",
                most=most)]  # fmt: skip
    told += [
        say(language, f"lead.{why}", **{why: f"{people[why]:,}"})
        for why in ("met", "few", "spared")
        if people[why]
    ]
    if people["judged"] < _FEW:
        told.append(say(language, "lead.wide"))
    return (" " if language == "en" else "").join(told)


def _tiles(found: Findings, language: Language, ours: str) -> str:
    first, last = found.shots[0], found.shots[-1]
    tiles = []
    others = [m for m in found.methods if m not in (ours, SHUFFLED)]
    rivals = [(f.value, m) for m in others if (f := found.figure("ndcg", m, last)) is not None]
    beside = ""
    if rivals:
        value, best = max(rivals)
        beside = say(language, "tile.best", name=method_name(language, best, ours),
                     value=number(value))  # fmt: skip
    tiles.append(_tile(found, language, ours, "ndcg", beside, 2))
    taste = found.figure("popularity", "taste", None)
    if taste is not None:
        beside = say(language, "tile.taste", value=number(taste.value, 1))
        tiles.append(_tile(found, language, ours, "popularity", beside, 1))
    beside = say(language, "tile.people", judged=f"{found.about['people']['judged']:,}")
    tiles.append(_tile(found, language, ours, "coverage", beside, None))
    at_last = [g for g in found.gaps if g.shots == last]
    widest = min(at_last, key=lambda g: g.p_holm, default=None)  # the hardest to put down to chance
    if widest is None:
        value_shown, beside = "–", say(language, "tile.none")
    else:
        column = say(language, "group.taste") if widest.column == TASTE else escape(widest.column)
        same = next((g for g in found.gaps if g.shots == first and g.column == widest.column), None)
        before = math.nan if same is None else same.found.gap
        value_shown = _way(number(before), number(widest.found.gap))
        beside = say(language, "tile.chance", column=column, chance=number(widest.found.by_chance))
    tiles.append((say(language, "tile.gap"), value_shown, beside))
    inner = "".join(
        f'<div><dt>{name}</dt><dd class="way">{value}</dd><dd class="beside">{beside}</dd></div>'
        for name, value, beside in tiles
    )
    caption = f"{likes(language, first)} → {likes(language, last)}"
    return f'<div><dl class="tiles" aria-label="{caption}">{inner}</dl></div>'


def _tile(
    found: Findings, language: Language, ours: str, measure: str, beside: str, digits: int | None
) -> tuple[str, str, str]:
    values = []
    for shots in (found.shots[0], found.shots[-1]):
        figure = found.figure(measure, ours, shots)
        value = math.nan if figure is None else figure.value
        values.append(percent(value) if digits is None else number(value, digits))
    return say(language, f"tile.{measure}"), _way(*values), beside


def _way(before: str, after: str) -> str:
    return f"<small>{before} →</small> {after}"


def _footer(about: dict[str, Any], language: Language) -> str:
    model, config = about["model"], about["config"]
    trained = say(
        language,
        "about.trained",
        method=model["method"],
        seed=model["seed"],
        users=f"{model['training_users'] or 0:,}",
        rows=f"{model.get('n_interactions', 0):,}",
        data=model.get("dataset", "–"),
    )
    protocol = say(
        language, "about.protocol.text", order=say(language, f"order.{config['order']}")
    )  # fmt: skip
    rows = [
        ("about.model", trained),
        ("about.fingerprint", model.get("fingerprint", "–")),
        ("about.people", _lead(about, max(config["shots"]), language)),
        ("about.protocol", protocol),
        ("about.versions", ", ".join(f"{n} {v}" for n, v in about["versions"].items())),
        *([("about.command", about["command"])] if about["command"] else []),
    ]
    listed = "".join(
        f"<dt>{say(language, key)}</dt><dd>{escape(str(value))}</dd>" for key, value in rows
    )
    papers = "".join(f"<li>{escape(paper)}</li>" for paper in PAPERS)
    return (
        f'<footer id="about"><h3>{say(language, "about.head")}</h3><dl>{listed}</dl>'
        f"<h3>{say(language, 'about.papers')}</h3><ol>{papers}</ol>"
        f'<p class="note">{say(language, "about.zero")}</p></footer>'
    )
