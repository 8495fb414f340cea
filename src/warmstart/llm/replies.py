"""Reading a model's reply, which is untrusted: it may be anything at all, and of any size.

What it says about a text counts only where the text says it too: `Said` knows the words, the
passages and the numbers of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MOST_CHARS = 20_000
"""Of a reply that is read."""

_CHINESE = "\u3400-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_CHINESE}]+|[^\W_{_CHINESE}]+(?:['’.-][^\W_{_CHINESE}]+)*")
_BLANK = re.compile(r"\s+")
_NUMBER = re.compile(r"\d{1,9}")
_WORDS = {
    name: number
    for number, names in enumerate((
        "zero", "one", "two couple", "three", "four", "five", "six", "seven", "eight", "nine",
        "ten", "eleven", "twelve dozen", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
        "eighteen", "nineteen", "twenty twenties",
    ))
    for name in names.split()
}  # fmt: skip
_WORDS |= {
    name: 10 * number
    for number, names in enumerate((
        "thirty thirties", "forty forties", "fifty fifties", "sixty sixties", "seventy seventies",
        "eighty eighties", "ninety nineties", "hundred",
    ), start=3)
    for name in names.split()
}  # fmt: skip
_DIGITS = {char: number for number, char in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": 0, "两": 2, "俩": 2}
_CHINESE_NUMBER = re.compile("[零〇一二两俩三四五六七八九十百]+")


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a reply is, or None where it is not one.

    Example:
        >>> read_object(' {"count": 3} '), read_object("[3]"), read_object('{"count": 3')
        ({'count': 3}, None, None)
    """
    if len(text) > MOST_CHARS:
        return None
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):  # an integer of 5,000 digits is a ValueError as well
        return None
    return found if isinstance(found, dict) else None


def texts(reply: Mapping[str, Any], name: str, most: int) -> list[str]:
    """Return the texts of a list in a reply, at most so many; empty where there is no list."""
    found = reply.get(name)
    if not isinstance(found, list):
        return []
    return [value for value in found[:most] if isinstance(value, str) and value.strip()]


@dataclass(frozen=True)
class Said:
    """What a text says, letter for letter; case and spaces do not count.

    Attributes:
        text: as it was cleaned for the prompt.

    Example:
        >>> said = Said("Slow films like Heat, 不要太暴力, from the 80s")
        >>> said.passage("films like heat"), said.passage("eat"), said.words("暴力 slow")
        (True, False, True)
        >>> said.number(80), said.number(81), said.year(1980), said.year(1995)
        (True, False, True, False)
    """

    text: str

    def passage(self, quote: str) -> bool:
        """Whether the text holds this passage, from word to word."""
        wanted = _folded(quote)
        if not _PIECE.search(wanted):
            return False
        before = r"(?<![^\W_])" if _in_words(wanted[0]) else ""
        behind = r"(?![^\W_])" if _in_words(wanted[-1]) else ""
        return re.search(before + re.escape(wanted) + behind, self._line) is not None

    def words(self, phrase: str) -> bool:
        """Whether a phrase is made of the text's words, in whatever order."""
        pieces = _PIECE.findall(_folded(phrase))
        return bool(pieces) and all(
            piece in self._line if _is_chinese(piece) else piece in self._words for piece in pieces
        )

    def names(self, value: str) -> bool:
        """Whether a category stands in the text, be it in the plural.

        Example:
            >>> said = Said("five comedies, no war")
            >>> said.names("Comedy"), said.names("War"), said.names("Warm"), said.names("Come")
            (True, True, False, False)
        """
        pieces = _PIECE.findall(_folded(value))
        return bool(pieces) and all(
            piece in self._line
            if _is_chinese(piece)
            else any(word in _forms(piece) for word in self._words)
            for piece in pieces
        )

    def number(self, value: float) -> bool:
        """Whether the text names a number, in digits or in words."""
        return value in self._numbers

    def year(self, value: float) -> bool:
        """Whether a year is one that the text names, bounds, or puts into a decade."""
        for said in self._numbers:
            decade = said % 10 == 0
            starts = [said, 1900 + said, 2000 + said] if said < 100 and decade else [said]
            if any(value in (s - 1, s, s + 1) for s in starts):
                return True
            if decade and any(value in (s + 9, s + 10) for s in starts):
                return True
        return False

    @cached_property
    def _line(self) -> str:
        return _folded(self.text)

    @cached_property
    def _words(self) -> frozenset[str]:
        pieces = _PIECE.findall(self._line)
        return frozenset(pieces) | {part for p in pieces for part in re.split(r"['’.-]", p)}

    @cached_property
    def _numbers(self) -> frozenset[int]:
        found = {int(digits) for digits in _NUMBER.findall(self._line)}
        found |= {_WORDS[word] for word in self._words if word in _WORDS}
        for written in _CHINESE_NUMBER.findall(self._line):
            found |= _chinese_numbers(written)
        return frozenset(found)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _folded(text: str) -> str:
    return _BLANK.sub(" ", text.casefold()).strip()


def _forms(word: str) -> set[str]:
    """Return a word and its plural and singular, as far as spelling tells."""
    found = {word, f"{word}s", f"{word}es", f"{word}'s", word.removesuffix("s")}
    found |= {word.removesuffix("'s"), word.removesuffix("es")}
    if word.endswith("y"):
        found.add(f"{word[:-1]}ies")
    if word.endswith("ies"):
        found.add(f"{word[:-3]}y")
    return found


def _in_words(char: str) -> bool:
    """Whether a letter belongs to a word that has ends; Chinese is not written in words."""
    return char.isalnum() and not _is_chinese(char)


def _is_chinese(piece: str) -> bool:
    return "\u3400" <= piece[0] <= "\u9fff" or "\uf900" <= piece[0] <= "\ufaff"


def _chinese_numbers(written: str) -> set[int]:
    """Return what 二十五, 一九八〇 or 八十 may mean; empty for what is no number below 200."""
    if all(char in _DIGITS for char in written):
        return {int("".join(str(_DIGITS[char]) for char in written[:9]))}
    parts = re.fullmatch(
        r"(一百)?(?:([二三四五六七八九一]?)十)?零?([一二两三四五六七八九]?)", written
    )
    if not parts:
        return set()
    tens = _DIGITS.get(parts[2], 1) if "十" in written else 0
    return {100 * bool(parts[1]) + 10 * tens + _DIGITS.get(parts[3], 0)}
