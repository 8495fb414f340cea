"""The years that a text speaks of, in English and Chinese: "the fifties", "1990s", "八十年代".

Sentence encoders hear numbers badly, and an era is among the first things that people ask for, so
it is read by rule. A decade without its century is one of the last hundred years: "the 80s" began
in 1980, "the 10s" in 2010, "二十年代" in 2020.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DECADES = {
    "twenties": 2, "thirties": 3, "forties": 4, "fifties": 5, "sixties": 6, "seventies": 7,
    "eighties": 8, "nineties": 9, "二十年代": 2, "三十年代": 3, "四十年代": 4, "五十年代": 5,
    "六十年代": 6, "七十年代": 7, "八十年代": 8, "九十年代": 9,
}  # fmt: skip
_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")
_TURN = 3  # decades before this one, without a century, are of this century
_OPEN = (0, 9999)

_POINT = re.compile(
    rf"""
    (?P<word>{"|".join(_DECADES)})
    | (?<!\d)(?P<decade>(?:1[5-9]|20)\d)0(?:'?s\b|\s*年代)
    | (?<!\d)'?(?P<short>\d)0(?:'?s\b|\s*年代)
    | (?<!\d)(?P<century>1[5-9]|20|21)(?:th|st)[ -]century\b
    | (?<!\d)(?P<year>1[5-9]\d\d|20\d\d)(?!\d)
    | (?P<chinese>[一二][〇零一二三四五六七八九]{{3}})(?=\s*年)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MADE = r"(?:(?:made|shot|filmed|released|published|written|recorded|from) +)*"
_AHEAD = re.compile(
    rf"(?P<before>\b{_MADE}(?:before|until|older than|earlier than|up to|pre)[ -]*(?:the +)?$)"
    rf"|(?P<since>\b{_MADE}since[ -]*(?:the +)?$)"
    rf"|(?P<after>\b{_MADE}(?:after|newer than|later than|post)[ -]*(?:the +)?$)"
    r"|(?P<between>\bbetween +(?:the +)?$)"
    rf"|(?P<of>\b{_MADE}(?:of|in|during)? *(?:the +)?(?:early |late |mid[- ])?(?:years? )?$"
    r"|(?:上个?世纪|20世纪|二十世纪)$)",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\s*年?\s*(?:(?P<before>以前|之前)|(?P<after>以后|之后|以来)|初期?|末期?|中期)?的?"
)
_JOINED = re.compile(r"\s*年?\s*(?:-|–|—|to|until|through|到|至)\s*(?:the\s*)?", re.IGNORECASE)
_AND = re.compile(r"\s*(?:and|和)\s*(?:the\s*)?", re.IGNORECASE)
_LOOK = 32  # characters before a mention that may say "before"


@dataclass(frozen=True, slots=True)
class Era:
    """Years from `first` to `last`, both included; an open end is 0 or 9999."""

    first: int
    last: int


def eras(text: str) -> list[Era]:
    """Return the eras that a text names, in its order.

    Example:
        >>> eras("horror from the eighties")
        [Era(first=1980, last=1989)]
        >>> eras("1960年以前的爱情片")
        [Era(first=0, last=1959)]
        >>> eras("something from 1994 to 1999, or the 20s")
        [Era(first=1994, last=1999), Era(first=2020, last=2029)]
        >>> eras("a film about nothing")
        []
    """
    return [era for era, _, _ in mentions(text)]


def without_eras(text: str) -> str:
    """Return what a text says besides the eras it names.

    Example:
        >>> without_eras("horror films from the eighties"), without_eras("80年代的动作片")
        ('horror films', '动作片')
        >>> without_eras("a film about nothing")
        'a film about nothing'
    """
    kept, end = [], 0
    for _, start, stop in mentions(text):
        kept.append(text[end:start])
        end = stop
    kept.append(text[end:])
    return " ".join(" ".join(kept).split())


def mentions(text: str) -> list[tuple[Era, int, int]]:
    """Return each era that a text names, and where its words begin and end."""
    found: list[tuple[Era, int, int]] = []
    between, end = False, 0
    for match in _POINT.finditer(text):
        if match.start() < end:
            continue
        era, apart = _read(match), text[end : match.start()]
        behind = _BEHIND.match(text, match.end())
        assert behind is not None  # it may be empty
        stop = behind.end()
        if found and (_JOINED.fullmatch(apart) or (between and _AND.fullmatch(apart))):
            first, start, _ = found.pop()
            era = Era(min(first.first, era.first), max(first.last, era.last))
            found.append((era, start, stop))
            between, end = False, stop
            continue
        low = max(end, match.start() - _LOOK)
        ahead = _AHEAD.search(text, low, match.start())
        start = match.start() if ahead is None else ahead.start()
        between = ahead is not None and ahead["between"] is not None
        if behind["before"] or (ahead is not None and ahead["before"] is not None):
            era = Era(_OPEN[0], era.first - 1)
        elif ahead is not None and ahead["after"] is not None:
            era = Era(era.last + 1, _OPEN[1])
        elif behind["after"] or (ahead is not None and ahead["since"] is not None):
            era = Era(era.first, _OPEN[1])
        found.append((era, start, stop))
        # a range goes on right behind the number: "1980年到1989年"
        end = match.end() if _JOINED.match(text, match.end()) else stop
    return found


def _read(match: re.Match[str]) -> Era:
    """Return the years of one mention."""
    if match["word"] or match["short"]:
        number = _DECADES[match["word"].lower()] if match["word"] else int(match["short"])
        first = (2000 if number < _TURN else 1900) + 10 * number
        return Era(first, first + 9)
    if match["decade"]:
        return Era(int(match["decade"]) * 10, int(match["decade"]) * 10 + 9)
    if match["century"]:
        last = int(match["century"]) * 100
        return Era(last - 100, last - 1)
    year = int(match["year"] or match["chinese"].translate(_DIGITS))
    return Era(year, year)
