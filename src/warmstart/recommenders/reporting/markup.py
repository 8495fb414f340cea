"""Pieces of the page that its sections share: numbers as people read them, tables, headings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from warmstart.recommenders.reporting.findings import SHUFFLED
from warmstart.recommenders.reporting.measures import Figure
from warmstart.recommenders.reporting.words import Language, say

_NAMES = {"itemknn": "item-kNN", "ease": "EASE", "ials": "iALS", "multvae": "Mult-VAE",
          "itemmean": "item mean"}  # fmt: skip
_IN_PERCENT = ("tail", "coverage")
_BETTER = {"ndcg": 1, "lift": -1, "pru": -1, "miscalibration": -1, "coverage": 1, "gini": -1}


def number(value: float | None, digits: int = 2) -> str:
    """Spell a number; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def percent(value: float, digits: int = 0) -> str:
    """Spell a share in percent; more digits where it is small."""
    if not math.isfinite(value):
        return "–"
    small = 0 < abs(value) < 0.1 and not digits
    return f"{100 * value:.{1 if small else digits}f}%".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """Spell a difference with its sign."""
    text = number(abs(value), digits)
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def p_value(p: float) -> str:
    """Spell a p-value."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def likes(language: Language, n: int) -> str:
    """Spell a number of likes."""
    return say(language, "likes.1" if n == 1 else "likes", n=n)


def method_name(language: Language, name: str, ours: str) -> str:
    """Return what the page calls a method."""
    if name == ours:
        return say(language, "model")
    if name in ("popularity", SHUFFLED):
        return say(language, name)
    return _NAMES.get(name, name)


def section(key: str, head: str, note: str, body: str, language: Language) -> str:
    """Return a section with its heading and how to read it."""
    told = f'<p class="note">{note}</p>' if note else ""
    return (
        f'<section id="{key}" aria-labelledby="{key}-head"><div class="head">'
        f'<p class="eyebrow">{say(language, f"nav.{key}")}</p>'
        f'<h2 id="{key}-head">{head}</h2>{told}</div>{body}</section>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """Return a plain table, its first column in words."""

    def cells(row: Sequence[str]) -> str:
        first = f"<th scope=row>{row[0]}</th>"
        return first + "".join(f'<td class="number">{cell}</td>' for cell in row[numbers_from:])

    titles = "".join(
        f"<th scope=col{' class=number' if at >= numbers_from else ''}>{title}</th>"
        for at, title in enumerate(head)
    )
    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex=0><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def numbers(language: Language, inside: str) -> str:
    """Return a table that opens when asked for."""
    return f"<details><summary>{say(language, 'numbers')}</summary>{inside}</details>"


def key(language: Language, first: int, last: int, *, truth: bool = True) -> str:
    """Return what ring, dot and bar stand for."""
    marks = [
        ("first", say(language, "key.first", first=likes(language, first))),
        ("last", say(language, "key.last", last=likes(language, last))),
        *([("truth", say(language, "key.truth"))] if truth else []),
    ]
    return (
        '<p class="key">'
        + "".join(f'<span><b class="{mark}"></b>{text}</span>' for mark, text in marks)
        + "</p>"
    )


def digits_of(measure: str) -> int | None:
    """Return how many digits a measure is told with; None for percent."""
    return None if measure in _IN_PERCENT else 1 if measure == "popularity" else 2


def spelled(value: float, digits: int | None, *, sign: bool = False) -> str:
    """Spell a value of a measure, with its sign where it is a change."""
    if digits is None:
        text = percent(abs(value), 1)
        return text if not sign or text == "0.0%" else ("+" if value > 0 else "−") + text
    return signed(value, digits) if sign else number(value, digits)


def cell(label: str, text: str) -> str:
    """Return a cell of numbers, named where rows are stacked."""
    return f'<td class="number" data-label="{escape(label)}">{text}</td>'


def with_ends(figure: Figure | None, digits: int | None, *, prose: bool = False) -> str:
    """Spell a figure with its interval."""
    if figure is None:
        return "–"
    text = spelled(figure.value, digits, sign=prose)
    if figure.ci_low is None or figure.ci_high is None:
        return text
    low, high = (spelled(v, digits, sign=prose) for v in (figure.ci_low, figure.ci_high))
    return (
        f"{text} ({low} – {high})" if prose else f'{text} <span class="ends">{low} – {high}</span>'
    )


def moved_of(measure: str, moved: Figure, digits: int | None) -> str:
    """Return a change, coloured where it is sure and one way is better."""
    way = _BETTER.get(measure, 0)
    sure = moved.ci_low is not None and moved.ci_high is not None
    sure = sure and not (moved.ci_low or 0) <= 0 <= (moved.ci_high or 0)
    kind = ""
    if way and sure:
        kind = " up" if way * moved.value > 0 else " down"
    text = spelled(moved.value, digits, sign=True)
    ends = ""
    if moved.ci_low is not None and moved.ci_high is not None:
        low, high = (spelled(v, digits, sign=True) for v in (moved.ci_low, moved.ci_high))
        ends = f'<span class="ends">{low} – {high}</span>'
    return f'<span class="move{kind}">{text}</span>{ends}'
