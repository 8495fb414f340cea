"""What this catalogue can be asked about: its columns, their values, its numbers. Never titles.

A request names values by the words of the catalogue ("Alfred Hitchcock"), by what they are usually
called in English and in Chinese (悬疑片), in the plural, or by a surname where a word such as "by"
says that somebody's name is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.cells import numbers
from warmstart.encoders.glossary import also_called
from warmstart.recommenders.catalogue import Catalogue

Kind = Literal["year", "price", "minutes", "pages", "rating", "other"]

MOST_VALUES = 20_000
"""Of one column that are known by name; the most frequent ones."""

_KINDS: tuple[tuple[Kind, str], ...] = (
    ("price", r"price|cost|usd|eur|cny|价"),
    ("minutes", r"runtime|duration|minutes|length|时长|片长"),
    ("pages", r"pages|页"),
    ("rating", r"rating|stars|score|评分"),
)
_MAKERS = r"director|author|writer|artist|creator|brand|composer|导演|作者|歌手|品牌"
_ACTORS = r"actor|actress|cast|star|演员|主演"
_CHINESE = re.compile("[\u3400-\u9fff]")
_ASIDE = re.compile(r"\s*\([^()]*\)$")  # Lee Unkrich(co-director)
_MANY = 100  # a column of more values is one of names, of people or of makers
_HINTS = frozenset((  # they lean to a category and do not name it: a funny crime film
    "funny", "hilarious", "humor", "humour", "scary", "spooky", "kids", "children", "family",
    "suspense", "history", "food", "travel", "science", "pop", "rock", "country", "health",
    "education", "novel", "novels", "fiction", "love stories", "gangster", "gangsters", "mafia",
    "cowboy", "cowboys",
    "好笑", "搞笑", "爆笑", "幽默", "吓人", "可怕", "小孩", "小朋友", "亲子", "家庭", "合家欢",
    "谈恋爱", "浪漫", "打仗", "战场", "流行", "黑社会", "黑帮", "历史", "小说", "旅行", "旅游",
    "健康", "教育", "科学", "民间", "破案", "牛仔",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """A value of the catalogue that a text names.

    Attributes:
        column: of the value.
        value: as it stands in the catalogue.
        start: where its words begin in the text.
        stop: where they end.
        sure: whether it is named; False where the words only lean to it ("funny").
    """

    column: str
    value: str
    start: int
    stop: int
    sure: bool


@dataclass(frozen=True)
class Attributes:
    """The columns of a catalogue.

    Attributes:
        values: column → its values, the most frequent first.
        numbers: column → lowest and highest.
        kinds: column of numbers → what they count.

    Example:
        >>> known = Attributes({"genres": ("Comedy", "Film-Noir")}, {}, {})
        >>> [(m.value, m.sure) for m in known.mentions("五部黑色电影, no comedies")]
        [('Film-Noir', True), ('Comedy', True)]
    """

    values: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]
    kinds: Mapping[str, Kind]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Attributes:
        """Return the attributes of a catalogue; columns of text, of ids and of titles have none."""
        values: dict[str, tuple[str, ...]] = {}
        found: dict[str, tuple[float, float]] = {}
        kinds: dict[str, Kind] = {}
        table, schema = catalogue.table, catalogue.schema
        for name, column in schema.items.items():
            if table is None or name not in table.column_names or name == schema.title:
                continue
            if column.kind in ("category", "multi-category"):
                counts = Counter(_cells(table[name], column.separator))
                values[name] = tuple(v for v, _ in counts.most_common(MOST_VALUES))
            elif column.kind == "number":
                known = numbers(table[name])
                known = known[np.isfinite(known)]
                if len(known):
                    found[name] = float(known.min()), float(known.max())
                    kinds[name] = _kind_of(name, known)
        return cls(values, found, kinds)

    @property
    def years(self) -> dict[str, tuple[float, float]]:
        """Column of years → the first and the last."""
        return {n: ends for n, ends in self.numbers.items() if self.kinds[n] == "year"}

    def of_kind(self, kind: Kind) -> str | None:
        """Return the first column of numbers of a kind."""
        return next((n for n in self.numbers if self.kinds[n] == kind), None)

    def has(self, column: str, value: object) -> str | None:
        """Return a value as it stands in the catalogue, or None where the column lacks it."""
        return self._folded.get(column, {}).get(_plain(str(value)))

    def mentions(self, text: str) -> list[Mention]:
        """Return the values that a text names, in its order; the longest name wins.

        Args:
            text: in English, Chinese or both.
        """
        words = list(_words(text))
        found: list[Mention] = []
        at = 0
        while at < len(words):
            hit = self._longest(text, words, at)
            if hit is None:
                at += 1
                continue
            mention, size = hit
            found.append(mention)
            at += size
        return found

    def called(self, column: str, value: str, language: str) -> str:
        """Return what to call a value in a language: 喜剧 for Comedy; itself where there is none.

        Args:
            column: of the value.
            value: as it stands in the catalogue.
            language: "zh" or another.
        """
        if language != "zh" or _CHINESE.search(value) or len(self.values[column]) > _MANY:
            return value
        return next((name for name in also_called(value) if _CHINESE.search(name)), value)

    def _longest(
        self, text: str, words: list[tuple[str, int, int]], at: int
    ) -> tuple[Mention, int] | None:
        for size in range(min(self._most_words, len(words) - at), 0, -1):
            part = words[at : at + size]
            start, stop = part[0][1], part[-1][2]
            owners = self._names.get(_joined([w for w, _, _ in part]))
            if owners is None:
                continue
            if size == 1 and start and text[start - 1] == "-":
                continue  # non-violent, anti-war
            column, value, sure = self._chosen(owners, text[:start], text[stop:])
            if len(self.values[column]) > _MANY:
                people = re.search(f"{_MAKERS}|{_ACTORS}", column, re.I) is not None
                sure = sure and (text[start].isupper() or (people and size > 1))
                sure = sure or _CHINESE.match(text[start]) is not None
            sure = sure and not (size == 1 and _of_a_name(text, start))
            return Mention(column, value, start, stop, sure), size
        return self._surname(text, *words[at][1:])

    def _chosen(
        self, owners: list[tuple[str, str, bool]], before: str, behind: str
    ) -> tuple[str, str, bool]:
        """Return whom a name means that stands in several columns."""
        for pattern, columns in (
            (rf"(?:{_BY})\s*$", _MAKERS),
            (rf"(?:{_WITH})\s*$", _ACTORS),
        ):
            for owner in owners:
                if re.search(pattern, before, re.I) and re.search(columns, owner[0], re.I):
                    return owner
        acted = re.match(r"\s*(?:主演|出演|演的)", behind)
        if acted:
            return next((o for o in owners if re.search(_ACTORS, o[0], re.I)), owners[0])
        return owners[0]

    def _surname(self, text: str, start: int, stop: int) -> tuple[Mention, int] | None:
        """Return the person whose surname stands behind "by" or "with"."""
        people = self._surnames.get(text[start:stop].lower(), ())
        if not people or not text[start].isupper():
            return None
        for cue, columns in ((_BY, _MAKERS), (_WITH, _ACTORS)):
            if re.search(rf"\b(?:{cue})\s+(?:the\s+)?$", text[:start], re.I):
                own = sorted({p for p in people if re.search(columns, p[0], re.I)})
                if len(own) == 1:
                    return Mention(*own[0], start, stop, True), 1
        return None

    @cached_property
    def _folded(self) -> dict[str, dict[str, str]]:
        return {c: {_plain(v): v for v in reversed(values)} for c, values in self.values.items()}

    @cached_property
    def _names(self) -> dict[str, list[tuple[str, str, bool]]]:
        """All that a value is called → (column, value, whether that names it surely)."""
        found: dict[str, list[tuple[str, str, bool]]] = {}
        for column, values in self.values.items():
            for value in values:
                own = _plain(value)
                names = {own: True, _plain(_ASIDE.sub("", value)) or own: True}
                if len(values) <= _MANY:
                    names |= {n: n not in _HINTS for n in also_called(value)}
                    for name in list(names):
                        names |= dict.fromkeys(_plurals(name), names[name])
                        if _CHINESE.search(name) and not name.endswith("片"):
                            names.setdefault(f"{name}片", names[name])
                    names[own] = True
                for name, sure in names.items():
                    if len(name) >= (2 if _CHINESE.search(name) or sure else 3):
                        found.setdefault(name, []).append((column, value, sure))
        return found

    @cached_property
    def _surnames(self) -> dict[str, list[tuple[str, str]]]:
        """Surname → (column, value) of the people who have it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for column, values in self.values.items():
            if re.search(f"{_MAKERS}|{_ACTORS}", column, re.I):
                for value in values:
                    first, _, last = _plain(value).rpartition(" ")
                    if first and len(last) >= 4:
                        found.setdefault(last, []).append((column, value))
        return found

    @cached_property
    def _most_words(self) -> int:
        return min(12, max((len(list(_words(n))) for n in self._names), default=0))


_BY = r"by|from|directed by|written by|author|director|导演|作者"
_WITH = r"with|starring|featuring|stars?|and|主演|演员"


def _of_a_name(text: str, start: int) -> bool:
    """Whether a word is the last of a name: "the Cold War"."""
    before = re.search(r"\s([A-Z]\w+) $", text[:start])
    return text[start].isupper() and before is not None


def _cells(column: pa.ChunkedArray, separator: str | None) -> Iterator[str]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_flatten(column)
    for cell in column.to_pylist():
        if cell is not None:
            for part in str(cell).split(separator) if separator else [str(cell)]:
                if part.strip():
                    yield part.strip()


def _kind_of(name: str, known: npt.NDArray[np.float64]) -> Kind:
    for kind, words in _KINDS:
        if re.search(words, name, re.I):
            return kind
    years = (known >= 1000) & (known <= 2100) & (known % 1 == 0)
    return "year" if years.mean() > 0.95 else "other"


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield words in lower case, Chinese by the character, and where they stand."""
    for found in re.finditer("[\u3400-\u9fff]|[^\\W_\u3400-\u9fff]+", text):
        yield found[0].lower(), found.start(), found.end()


def _joined(words: list[str]) -> str:
    out = ""
    for word in words:
        glued = not out or (_CHINESE.match(word) and _CHINESE.match(out[-1]))
        out += word if glued else f" {word}"
    return out


def _plain(name: str) -> str:
    return _joined([word for word, _, _ in _words(unicodedata.normalize("NFKC", name))])


def _plurals(name: str) -> list[str]:
    if _CHINESE.search(name) or not name or name.endswith("s"):
        return []
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return [f"{name[:-1]}ies"]
    return [f"{name}s"]
