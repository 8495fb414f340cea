"""Names of items in a request: "like Alien", 类似《异形》, "I loved Heat and hated Grease".

A name counts where something says that it is one: 《》, a word of likeness before or behind it
("similar to", 像…一样), an opinion, or capital letters. Without 《》 or a word of likeness, only a
title of the catalogue is a name, and none that reads as a request: a film called 不要恐怖片 takes
nobody's condition away. What is found is a name, not yet an item (`resolve`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmstart.recommenders.asking.amounts import KINDS_EN, KINDS_ZH
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.titles import Titles

MOST_WORDS = 14
"""Of a title that is looked for."""

_LIKENESS = re.compile(
    rf"(?:\b(?:{KINDS_EN}|something|anything|stuff|more|much|just|it's|is|a lot) +like +"
    r"|^ *(?:more +)?like +|\bsimilar(?:ly)? to +|\bin the (?:vein|style|spirit) of +|\bsuch as +"
    r"|\bakin to +|\breminds? me of +|\bas good as +"
    r"|类似于?\s*|像\s*|好像\s*|如同\s*|跟\s*|和\s*(?=[^，。]{1,30}(?:类似|一样|差不多)))$",
    re.IGNORECASE,
)
_LIKENESS_BEHIND = re.compile(r"\s*(?:这样的?|那样的?|一样的?|类似的?|差不多的?|那种|这种)")
_OPINION = re.compile(
    r"\b(?:liked?|loves?|loved|enjoyed|enjoy|adored?|watched|saw|seen|finished|read|played|"
    r"hated?|hates|disliked?|dislikes|no|not|but|than|except|without|prefer(?:red)?)"
    r"(?: +(?:the (?:film|movie|book)|watching|reading))? +$"
    r"|(?:喜欢|爱看|看过|读过|看了|最爱|讨厌|不要|除了|看完|想看|听过)\s*$",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"^\s*(?:,|and|or|&|,\s*and|和|与|、|或|及|以及)\s*$", re.IGNORECASE)
_QUOTED = re.compile(r"《([^》]{1,120})》|[\"“]([^\"“”]{1,120})[\"”]|「([^」]{1,120})」")
_WORD = re.compile(
    "[\u3400-\u9fff]|[^\\W_\u3400-\u9fff]+(?:['’.&:!-]+[^\\W_\u3400-\u9fff]+)*[.!]?|&"
)
_SMALL = frozenset("a an and as at but by de du for from in la le of on or the to vs with".split())
_TAIL = re.compile(
    r"[,.;!?，。；！？、]|"
    r"\b(?:but|with|without|and no|and not|from|before|after|please|for)\b|的|但|"
    r"这样|那样|一样",
    re.IGNORECASE,
)
_CHINESE = re.compile("[\u3400-\u9fff]")
_ASKS = re.compile(
    r"^(?:no|not|without|show|recommend|suggest|give|find)\b|\b(?:before|after|since) +\d"
    r"|^(?:不要|不想|不看|别|没有|推荐|给我|来[点些几]|我?想[看听读]|我?要|有没有)|\d{4}年|年代",
    re.IGNORECASE,
)
_YEAR_BEHIND = re.compile(r"\s*\((?:1[89]|20)\d\d\)")


@dataclass(frozen=True, slots=True)
class Named:
    """A name in a text.

    Attributes:
        name: as it is written.
        start: where it begins, quotes included.
        stop: where it ends.
    """

    name: str
    start: int
    stop: int


def names(text: str, titles: Titles, known: Attributes) -> list[Named]:
    """Return the names of items that a text holds, in its order.

    Args:
        text: the request.
        titles: of the catalogue.
        known: its attributes; what is one of them is no title, unless it is quoted.
    """
    found: list[Named] = []
    for quoted in _QUOTED.finditer(text):
        name = next(group for group in quoted.groups() if group is not None).strip()
        sure = quoted[0][0] == "《" or titles.bearing(name) or titles.beginning(name)
        if name and (sure or _LIKENESS.search(text[: quoted.start()])):
            found.append(Named(name, quoted.start(), quoted.end()))
    words = [m for m in _WORD.finditer(text) if not any(_inside(m.start(), n) for n in found)]
    at = 0
    while at < len(words):
        hit = _at(text, words, at, found, titles, known)
        if hit is None:
            at += 1
            continue
        found.append(hit)
        while at < len(words) and words[at].start() < hit.stop:
            at += 1
    return sorted(found, key=lambda named: named.start)


def _at(
    text: str,
    words: list[re.Match[str]],
    at: int,
    found: list[Named],
    titles: Titles,
    known: Attributes,
) -> Named | None:
    """Return the name that begins at a word."""
    start = words[at].start()
    before = text[:start]
    last = max((n for n in found if n.stop <= start), key=lambda n: n.stop, default=None)
    chained = last is not None and _CHAIN.match(text[last.stop : start]) is not None
    alike = _LIKENESS.search(before) is not None
    told = _OPINION.search(before) is not None
    capital = _capital(words[at][0])
    chinese = _CHINESE.match(words[at][0]) is not None
    if not (alike or chained or told or capital or (chinese and not at)):
        return None
    if chinese:
        return _in_chinese(text, start, alike, titles, known)
    for size in range(min(MOST_WORDS, len(words) - at), 0, -1):
        part = words[at : at + size]
        stop = part[-1].end()
        name = text[start:stop]
        if any(_CHINESE.search(w[0]) for w in part):
            continue
        bare = name.rstrip(".!") if name[-1] in ".!" else name
        if not (titles.bearing(bare) or titles.beginning(bare)):
            continue
        stop = start + len(bare)
        year = _YEAR_BEHIND.match(text, stop)
        stop = stop if year is None else year.end()
        upper = _capitals(part)
        behind = _LIKENESS_BEHIND.match(text, stop) is not None
        is_value = any(m.stop - m.start >= len(bare) for m in known.mentions(bare))
        if is_value and not ((alike or chained or told) and upper):
            continue
        if _is_request(bare, known) and not (alike or behind):
            continue
        if alike or behind or (upper and (size > 1 or chained or told)):
            return Named(text[start:stop], start, stop)
        if len(bare.split()) >= 3 and told:
            return Named(text[start:stop], start, stop)
    if alike and capital and not known.mentions(text[start : words[at].end()]):
        return _unknown(text, words, at)
    return None


def _unknown(text: str, words: list[re.Match[str]], at: int) -> Named | None:
    """Return a name that the catalogue lacks: the capitals behind a word of likeness."""
    stop = words[at].start()
    for word in words[at : at + MOST_WORDS]:
        if _TAIL.search(text[stop : word.start()]) or _CHINESE.search(word[0]):
            break
        if not (_capital(word[0]) or word[0].lower() in _SMALL):
            break
        stop = word.end()
    start = words[at].start()
    name = re.sub(rf"(?:\s+(?:{'|'.join(sorted(_SMALL))}))+$", "", text[start:stop], flags=re.I)
    name = name.rstrip(".!")
    return Named(name, start, start + len(name)) if name else None


def _in_chinese(
    text: str, start: int, alike: bool, titles: Titles, known: Attributes
) -> Named | None:
    """Return a Chinese title without marks, by the longest that the catalogue has."""
    if titles.titles is None:
        return None
    run = re.match("[\u3400-\u9fff·：:0-9]+", text[start:])
    for size in range(min(len(run[0]) if run else 0, 16), 1, -1):
        name = text[start : start + size]
        behind = _LIKENESS_BEHIND.match(text, start + size) is not None
        if not (alike or behind) and (size < 3 or _is_request(name, known)):
            continue
        if titles.bearing(name):
            return Named(name, start, start + size)
    return None


def _is_request(name: str, known: Attributes) -> bool:
    """Whether a title asks for something by itself: 不要恐怖片, 推荐一些电影, "No Horror"."""
    values = [m for m in known.mentions(name) if m.sure]
    chinese = _CHINESE.search(name) is not None
    if chinese and any(m.stop - m.start >= len(name) for m in values):
        return True
    kind = chinese and re.search(KINDS_ZH, name) is not None
    return bool(values or kind) and _ASKS.search(name) is not None


def _capitals(part: list[re.Match[str]]) -> bool:
    """Whether the words are written as a title: capitals, but for small words inside."""
    return all(_capital(w[0]) or (place and w[0].lower() in _SMALL) for place, w in enumerate(part))


def _capital(word: str) -> bool:
    return word[0].isdigit() or any(c.isupper() for c in word)


def _inside(place: int, named: Named) -> bool:
    return named.start <= place < named.stop
