"""From what a person types to an item: an id, a title, or nearly a title. Never a guess.

The first of these that finds something decides; if it finds several items, that is an error
which proposes them:

1. an id of the catalogue's own type;
2. the title as it is spelled, but for case, spaces and Unicode forms;
3. an id written in the other type ("912" for 912);
4. the title with its article in front: "The Matrix (1999)" for "Matrix, The (1999)";
5. the same without the year, and by each name that the title gives in brackets;
6. the same without accents, punctuation and article;
7. the most similar title, if it is clearly the most similar one, at least 90 % alike, of the same
   numbers ("Toy Story 3" is no misspelling of "Toy Story 2") and, if a year was given, of that
   year.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property

from rapidfuzz import fuzz, process

from warmstart.core.errors import DataError, UnknownItemError
from warmstart.data.ids import Ids

ALIKE = 90.0
"""Least similarity, in percent, at which a misspelled title is understood."""
MARGIN = 4.0
"""By how much, in percent, it must beat the next title."""
PROPOSALS = 5

_LONGEST = 500
_SHORTEST_FUZZY = 4
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
_BRACKETS = re.compile(r"\s*\(([^()]*)\)")
_ARTICLES = (
    "the", "a", "an", "le", "la", "les", "l'", "un", "une", "il", "lo", "gli", "i", "el", "los",
    "las", "una", "der", "die", "das", "ein", "eine", "den", "det", "en", "ett", "de", "het", "o",
    "os", "as", "um", "uma",
)  # fmt: skip
_TRAILING_ARTICLE = re.compile(rf"^(.+), ({'|'.join(map(re.escape, _ARTICLES))})$")
_LEADING_ARTICLE = re.compile(r"^(?:the|an?) +(?=\S)")
_ROMAN = re.compile(r"^(?=[ivx])(?:x{0,3})(?:ix|iv|v?i{0,3})$")
_MARKS = re.compile(r"[\u0300-\u036f]")


class Titles:
    """Finds items by id or title.

    Example:
        >>> titles = Titles(Ids([1, 2, 3]), ["Matrix, The (1999)", "异形 (1979)", "Alien (1979)"])
        >>> titles.find("the matrix"), titles.find("异形"), titles.find(3), titles.find("The Matrx")
        (0, 1, 2, 0)
    """

    def __init__(self, ids: Ids, titles: Sequence[str | None] | None = None) -> None:
        """Join ids and titles.

        Args:
            ids: of all items.
            titles: (items,) in the same order; None where an item, or every item, has none.
        """
        if titles is not None and len(titles) != len(ids):
            raise DataError(f"{len(titles)} titles for {len(ids)} items; give one per item")
        self.ids = ids
        self.titles = titles

    def longer(self, ids: Ids, titles: Sequence[str | None] | None) -> Titles:
        """Return the same for a catalogue with more items at its end; only these are spelled out.

        Args:
            ids: of all items.
            titles: (items,) in the same order, or None.
        """
        more, n = Titles(ids, titles), len(self.ids)
        if "_levels" in self.__dict__ and titles is not None:
            levels: tuple[dict[str, list[int]], ...] = tuple(dict(level) for level in self._levels)
            for level, key, index in _spelled_out(titles[n:], n):
                levels[level][key] = [*levels[level].get(key, ()), index]  # the lists are shared
            more.__dict__["_levels"] = levels
        return more

    def find(self, query: object) -> int:
        """Return the dense index of the item that `query` names.

        Raises:
            UnknownItemError: nothing fits, or several items do; proposes the nearest ones.
        """
        known = self.ids.place(query)
        if known >= 0 and isinstance(query, str) != self.ids.are_integers:
            return known
        if not isinstance(query, str) or self.titles is None:
            if known >= 0:
                return known
            # an id that is not there: let the ids propose their like
            return self.ids.index(query)  # type: ignore[arg-type]
        if len(query) > _LONGEST:
            raise UnknownItemError(query[:60] + "…", ())
        exact = self._levels[0].get(_spelled(query), [])
        if len(exact) == 1:
            return exact[0]
        if known >= 0:
            return known
        wanted_year = _year(_spelled(query))
        for level in range(4):
            hits = exact
            if level:
                keys = _forms(query)[level]
                hits = sorted({i for key in keys for i in self._levels[level].get(key, ())})
                if wanted_year:
                    hits = [i for i in hits if self._years[i] in ("", wanted_year)]
            if len(hits) == 1:
                return hits[0]
            if hits:
                raise UnknownItemError(query, self._show(hits[:PROPOSALS]), ambiguous=True)
        return self._nearest(query, wanted_year)

    def bearing(self, name: str) -> list[int]:
        """Return the items whose title this is, by the first spelling that any title has; no guess.

        Example:
            >>> Titles(Ids([1, 2]), ["Heat (1995)", "Heat (1972)"]).bearing("heat")
            [0, 1]
        """
        if self.titles is None or len(name) > _LONGEST:
            return []
        for level, keys in enumerate(_forms(name)):
            hits = sorted({i for key in keys for i in self._levels[level].get(key, ())})
            if hits:
                return hits
        return []

    def beginning(self, name: str) -> list[int]:
        """Return the items whose title is this name with a subtitle behind it.

        Example:
            >>> titles = Titles(Ids([1, 2]), ["Star Wars: Episode IV (1977)", "Stargate"])
            >>> titles.beginning("star wars")
            [0]
        """
        return self._series.get(_bare(_spelled(name[:_LONGEST])), [])

    def title(self, index: int) -> str:
        """Return what people call an item: its title, else its id."""
        title = None if self.titles is None else self.titles[index]
        return title or str(self.ids[index])

    def _nearest(self, query: str, year: str) -> int:
        spelled = _bare(_strip_year(_spelled(query)))
        if len(spelled) >= _SHORTEST_FUZZY:
            keys, owners = self._fuzzy
            scored: dict[int, float] = {}
            near = process.extract(
                spelled, keys, scorer=fuzz.ratio, score_cutoff=ALIKE - MARGIN, limit=50
            )
            for key, score, place in near:
                same_year = not year or self._years[owners[place]] in ("", year)
                if same_year and _numbers(key) == _numbers(spelled):
                    scored.setdefault(owners[place], score)
            best = sorted(scored.items(), key=lambda item: -item[1])
            if best and best[0][1] >= ALIKE:
                if len(best) == 1 or best[0][1] - best[1][1] >= MARGIN:
                    return best[0][0]
                shown = self._show([i for i, _ in best[:PROPOSALS]])
                raise UnknownItemError(query, shown, ambiguous=True)
        raise UnknownItemError(query, self._proposals(spelled))

    def _proposals(self, spelled: str) -> list[str]:
        keys, owners = self._fuzzy
        near = process.extract(spelled, keys, scorer=fuzz.WRatio, score_cutoff=60, limit=80)
        near = [hit for hit in near if 2 * len(hit[0]) >= len(spelled)]
        # Of equally partial matches, the one of about the same length is the likelier one.
        near.sort(key=lambda hit: (-round(hit[1] + fuzz.ratio(spelled, hit[0]) / 4, 3), hit[2]))
        return self._show(list(dict.fromkeys(owners[place] for *_, place in near))[:PROPOSALS])

    def _show(self, indices: Sequence[int]) -> list[str]:
        shown = [self.title(i) for i in indices]
        if len(set(shown)) == len(shown):
            return shown
        return [f"{title} [id {self.ids[i]}]" for title, i in zip(shown, indices, strict=True)]

    @cached_property
    def _years(self) -> list[str]:
        return [_year(_spelled(title or "")) for title in self.titles or ()]

    @cached_property
    def _levels(self) -> tuple[dict[str, list[int]], ...]:
        levels: tuple[dict[str, list[int]], ...] = ({}, {}, {}, {})
        for level, key, index in _spelled_out(self.titles or (), 0):
            levels[level].setdefault(key, []).append(index)
        return levels

    @cached_property
    def _series(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, title in enumerate(self.titles or ()):
            name, mark, _ = (title or "").partition(":")
            if mark and (key := _bare(_spelled(name))):
                found.setdefault(key, []).append(index)
        return found

    @cached_property
    def _fuzzy(self) -> tuple[list[str], list[int]]:
        pairs = [(key, index) for key, owners in self._levels[3].items() for index in owners]
        return [key for key, _ in pairs], [index for _, index in pairs]


def _spelled_out(titles: Sequence[str | None], first: int) -> Iterator[tuple[int, str, int]]:
    """Yield level, spelling and index of titles whose first has the index `first`."""
    for index, title in enumerate(titles, first):
        for level, keys in enumerate(_forms(title or "")):
            for key in keys:
                yield level, key, index


def _forms(title: str) -> tuple[set[str], ...]:
    """Return the spellings of a title at each level of freedom."""
    spelled = _spelled(title)
    if not spelled:
        return set(), set(), set(), set()
    without_year, year = _strip_year(spelled), _year(spelled)
    names = set(_names(without_year))
    main = _article_first(_BRACKETS.sub("", without_year).strip() or without_year)
    with_year = {f"{name} ({year})" if year else name for name in (main, *names)}
    bare = {b for b in map(_bare, names) if b}
    return {spelled}, with_year, names, bare


def _names(title: str) -> Iterator[str]:
    """Yield a title without year under each of its names, articles first and as they stand."""
    outside = _BRACKETS.sub("", title).strip()
    for name in (title, outside, *_BRACKETS.findall(title)):
        name = name.strip().removeprefix("a.k.a.").removeprefix("aka ").strip()
        if name:
            yield name
            yield _article_first(name)


def _spelled(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _year(spelled: str) -> str:
    found = _YEAR.search(spelled)
    return found.group(1) if found else ""


def _strip_year(spelled: str) -> str:
    return _YEAR.sub("", spelled) or spelled


def _article_first(name: str) -> str:
    found = _TRAILING_ARTICLE.match(name)
    if not found:
        return name
    rest, article = found.groups()
    return f"{article}{rest}" if article.endswith("'") else f"{article} {rest}"


def _bare(name: str) -> str:
    """Drop accents (of alphabets, not of Japanese), punctuation and an English article."""
    decomposed = unicodedata.normalize("NFKD", _article_first(name))
    letters = unicodedata.normalize("NFC", _MARKS.sub("", decomposed)).replace("&", " and ")
    kept = "".join(c if c.isalnum() else "" if c in "'’`" else " " for c in letters)
    plain = " ".join(kept.split())
    return _LEADING_ARTICLE.sub("", plain)


def _numbers(bare: str) -> list[str]:
    return sorted(w for w in bare.split() if any(c.isdigit() for c in w) or _ROMAN.match(w))
