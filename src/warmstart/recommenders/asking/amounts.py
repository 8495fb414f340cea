"""Numbers in a request: how many things, and bounds of prices, running times and the like.

"five films", 推荐5部; "under $50", 100元以下, "at most 2 hours", 九十分钟以内, "300 to 400 pages".
Years are not read here (`encoders.eras`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from warmstart.llm.wish import MOST_ITEMS, Operator
from warmstart.recommenders.asking.attributes import Attributes, Kind

KINDS_EN = (
    r"films?|movies?|pictures?|shows?(?! me| us)|series|books?|novels?|songs?|tracks?|albums?|"
    r"games?|"
    r"videos?|items?|products?|things?|titles?|articles?|recommendations?|suggestions?|ones|classics"
)
KINDS_ZH = (
    r"电影|影片|片子|电视剧|剧集|剧|节目|动漫|书籍|图书|书|小说|歌曲|歌|专辑|音乐|游戏|商品|"
    r"产品|视频|文章"
)

_ONES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "fifty": 50, "a dozen": 12, "a couple": 2, "half a dozen": 6,
}  # fmt: skip
_DIGITS_ZH = dict(zip("一二两三四五六七八九", (1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_NUMBER_EN = rf"(?:{'|'.join(sorted(_ONES, key=len, reverse=True))}|\d{{1,3}})"
_NUMBER_ZH = r"(?:\d{1,3}|[一二两三四五六七八九十]{1,3})"
_MEASURES = "部本首个款条张集件篇种只"
_NOT_AN_OBJECT = r"(?:人|晚|朋友|小时|月|星期|孩子|女|男|家|世界|故事|地方|国)"

_COUNTS_EN = (
    r"\btop[ -]?(?P<n>\d{1,3})\b",
    rf"\b(?P<n>{_NUMBER_EN})(?: +of +(?:them|these))\b",
    rf"\b(?:about|around|maybe|just|only|make it|give me|show me) +(?P<n>{_NUMBER_EN})"
    r"(?: please)?\s*(?:$|[.,!?;])",
    rf"(?:^|[,;]\s*)(?P<n>{_NUMBER_EN})(?: please)?\s*(?:$|[.!?;])",
)
_COUNTS_ZH = (
    rf"(?<![第这那哪每前\d一二两三四五六七八九十])(?P<n>{_NUMBER_ZH})\s*[{_MEASURES}]"
    rf"(?!{_NOT_AN_OBJECT})",
)

_AMOUNT = (
    r"(?P<cur>[$€£¥￥])?\s*(?P<n>\d+(?:[.,]\d+)?|"
    r"[一二两三四五六七八九十百]+|an?|two|three|half an)\s*"
    r"(?P<unit>dollars?|usd|bucks|euros?|pounds?|yuan|rmb|minutes?|mins?\b|hours?|hrs?\b|h\b|pages?|"
    r"stars?|points?|元|块钱?|人民币|美元|分钟|个?半?小时|页|星|分)?(?P<half>半)?"
)
_BELOW_EN = (
    r"under|below|less than|cheaper than|shorter than|at most|up to|no more than|not more than|"
    r"within|maximum|max|not longer than|no longer than|fewer than"
)
_ABOVE_EN = r"over|above|more than|at least|longer than|minimum|min|not less than|no less than"
_BELOW_ZH, _ABOVE_ZH = (
    r"不超过|不多于|低于|少于|不到|小于|最多|短于|不高于",
    r"超过|高于|大于|至少|多于|长于|不低于|不少于",
)
_UNITS: tuple[tuple[Kind, float, str], ...] = (
    ("price", 1, r"dollars?|usd|bucks|euros?|pounds?|yuan|rmb|元|块钱?|人民币|美元|[$€£¥￥]"),
    ("minutes", 60, r"hours?|hrs?|h|个?半?小时"),
    ("minutes", 1, r"minutes?|mins?|分钟"),
    ("pages", 1, r"pages?|页"),
    ("rating", 1, r"stars?|points?|星|分"),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of a number, and where it is said.

    Attributes:
        column: of the catalogue.
        operator: of the comparison.
        value: in the column's unit.
        start: where its words begin in the text.
        stop: where they end.
    """

    column: str
    operator: Operator
    value: float
    start: int
    stop: int


def count(text: str, is_kind: Callable[[str], bool]) -> tuple[int, int, int] | None:
    """Return how many things a text asks for, and where it says so; None where it does not.

    Args:
        text: without titles.
        is_kind: whether a word is what is counted, such as a category of the catalogue.

    Example:
        >>> count("five quiet films", lambda word: False), count("推荐十二部", lambda word: False)
        ((5, 0, 4), (12, 2, 5))
        >>> count("two people and a dog", lambda word: False)
    """
    for pattern in _COUNTS_ZH:
        for found in re.finditer(pattern, text):
            number = _chinese(found["n"])
            after = text[found.end() :]
            before = text[: found.start()]
            vague = number == 1 and not re.search(r"(?:来|推荐|找|要|给我|想看|看)\s*$", before)
            alone = re.match(r"\s*(?:$|[，。,.！!？?;；、])", after)
            if 1 <= number <= MOST_ITEMS and not (vague and not alone):
                return number, found.start(), found.end()
    for found in re.finditer(rf"\b(?P<n>{_NUMBER_EN})\b(?=(?P<rest>(?:[ -]+[\w'’-]+){{1,4}}))",
                             text, re.I):  # fmt: skip
        words = found["rest"].split()
        for word in words:
            if re.fullmatch(KINDS_EN, word, re.I) or is_kind(word):
                number = _english(found["n"])
                if 1 <= number <= MOST_ITEMS:
                    return number, found.start("n"), found.end("n")
            if re.fullmatch(r"(?:in|on|of|with|about|from|and|or|the|a|years?)", word, re.I):
                break
    for pattern in _COUNTS_EN:
        found_one = re.search(pattern, text, re.I)
        if found_one and 1 <= _english(found_one["n"]) <= MOST_ITEMS:
            return _english(found_one["n"]), found_one.start("n"), found_one.end()
    return None


def bounds(text: str, known: Attributes) -> list[Bound]:
    """Return the bounds of prices, running times, pages and ratings that a text names.

    Only those that a column of the catalogue can be asked about.

    Example:
        >>> known = Attributes({}, {"price": (1, 90)}, {"price": "price"})
        >>> [(b.operator, b.value) for b in bounds("a lamp under $50, 20元以上", known)]
        [('<', 50.0), ('>=', 20.0)]
    """
    found: list[Bound] = []
    patterns: tuple[tuple[str, Operator, Operator], ...] = (
        (rf"\b(?P<said>{_BELOW_EN})\s+{_AMOUNT}", "<", "<="),
        (rf"\b(?P<said>{_ABOVE_EN})\s+{_AMOUNT}", ">", ">="),
        (rf"(?P<said>{_BELOW_ZH})\s*{_AMOUNT}", "<", "<="),
        (rf"(?<!不)(?P<said>{_ABOVE_ZH})\s*{_AMOUNT}", ">", ">="),
        (rf"{_AMOUNT}\s*(?P<said>以下|以内|之内|之下|or less|or under|or shorter)", "<=", "<="),
        (rf"{_AMOUNT}\s*(?P<said>以上|之上|起|or more|or longer|or above|and up)", ">=", ">="),
    )  # fmt: skip
    ranged = (
        rf"(?:between\s+)?{_AMOUNT}\s*(?:-|–|to|and|到|至)\s*{_AMOUNT.replace('?P<', '?P<to_')}"
    )
    for hit in re.finditer(ranged, text, re.I):
        unit = hit["to_unit"] or hit["to_cur"] or hit["unit"] or hit["cur"]
        meant = _meant(unit, text[: hit.start()], known)
        if meant is not None:
            column, scale = meant
            low = _amount(hit["n"], hit["unit"], hit["half"])
            high = _amount(hit["to_n"], hit["to_unit"], hit["to_half"])
            found.append(Bound(column, ">=", min(low, high) * scale, hit.start(), hit.end()))
            found.append(Bound(column, "<=", max(low, high) * scale, hit.start(), hit.end()))
    for pattern, strict, loose in patterns:
        for hit in re.finditer(pattern, text, re.I):
            if any(hit.start() < b.stop and b.start < hit.end() for b in found):
                continue
            meant = _meant(hit["unit"] or hit["cur"], text[: hit.start()], known)
            if meant is None:
                continue
            column, scale = meant
            exact = re.search(r"at (?:most|least)|up to|no |not |within|max|min|不|最多|至少",
                              hit["said"], re.I)  # fmt: skip
            sharp = strict in ("<", ">") and (exact is None or hit["said"] == "不到")
            value = _amount(hit["n"], hit["unit"], hit["half"]) * scale
            found.append(Bound(column, strict if sharp else loose, value, hit.start(), hit.end()))
    return sorted(found, key=lambda bound: bound.start)


def _meant(unit: str | None, before: str, known: Attributes) -> tuple[str, float] | None:
    """Return the column that an amount speaks of, and what one unit is in it."""
    for kind, scale, words in _UNITS:
        if unit and re.fullmatch(words, unit, re.I):
            column = known.of_kind(kind)
            if column is None:
                return None
            seconds = kind == "minutes" and re.search("second|秒", column, re.I)
            return column, scale * 60 if seconds else scale
    for column in known.numbers:
        if known.kinds[column] != "year" and re.search(
            rf"(?<!\w){re.escape(column)}(?:\s+(?:is|of|a))?\s*$", before, re.I
        ):
            return column, 1
    return None


def _amount(number: str, unit: str | None, half: str | None) -> float:
    said = {"a": 1.0, "an": 1.0, "two": 2.0, "three": 3.0, "half an": 0.5}.get(number.lower())
    if said is None:
        chinese = re.match("[一二两三四五六七八九十百]", number)
        said = float(_chinese(number)) if chinese else float(number.replace(",", "."))
    return said + (0.5 if half or "半" in (unit or "") else 0.0)


def _english(number: str) -> int:
    return _ONES.get(number.lower(), 0) or int(number if number.isdigit() else 0)


def _chinese(number: str) -> int:
    """Return the value of a number below 1000, in digits or in characters."""
    if number.isdigit():
        return int(number)
    total, digit = 0, 0
    for char in number:
        if char == "百":
            total, digit = total + 100 * (digit or 1), 0
        elif char == "十":
            total, digit = total + 10 * (digit or 1), 0
        else:
            digit = _DIGITS_ZH[char]
    return total + digit
