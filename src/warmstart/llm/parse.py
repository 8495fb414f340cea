"""A request read by a language model: what is wanted, in a form that the catalogue can check.

The model is asked for one small JSON object; `choices` says what it may hold. The reply is
untrusted: a condition that is not in the enum is dropped, and so are a condition whose value the
request does not name, a phrase whose words are not in the request, a name that does not stand in
it, and a number that it does not say. A value in another script than the request's can be checked
only under other names that the caller knows; where there are none, the model is believed.

Language and confidence are not asked for: the one is seen from the letters, the other is the share
of the reply that could be kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from warmstart.core.errors import ConfigError, LanguageModelError
from warmstart.llm.choices import MOST_ENTRIES, PHRASE_CHARS, Choices, messages
from warmstart.llm.clean import clean
from warmstart.llm.model import LanguageModel
from warmstart.llm.replies import Said, read_object, texts
from warmstart.llm.wish import MOST_ITEMS, Condition, Language, Wish

MOST_CHARS = 500
"""Of a request that is read."""

_MOST_TOKENS = 200
_UNSURE = 0.5  # confidence where nothing was understood
_CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_LATIN = re.compile("[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A request, understood.

    Attributes:
        wish: what could be kept of the reply.
        refused: what could not, as the model wrote it; for the caller alone, never for a log.
    """

    wish: Wish
    refused: tuple[str, ...]


def parse(
    model: LanguageModel,
    query: str,
    attributes: Mapping[str, Sequence[str]],
    *,
    years: Mapping[str, tuple[float, float]] | None = None,
    also_called: Callable[[str], Sequence[str]] | None = None,
    timeout_seconds: float,
) -> Wish | None:
    """Return what a request asks for, as a model reads it; None where it gives no valid answer.

    Args:
        model: that reads; one that cannot be held to a schema is not asked.
        query: the request, in English, Chinese or both.
        attributes: column → values of the catalogue, the most frequent first.
        years: column of years → the first and the last that the catalogue has.
        also_called: value → its other names, in any language.
        timeout_seconds: for the whole.
    """
    found = parsed(
        model,
        query,
        attributes,
        years=years,
        also_called=also_called,
        timeout_seconds=timeout_seconds,
    )
    return None if found is None else found.wish


def parsed(
    model: LanguageModel,
    query: str,
    attributes: Mapping[str, Sequence[str]],
    *,
    years: Mapping[str, tuple[float, float]] | None = None,
    also_called: Callable[[str], Sequence[str]] | None = None,
    timeout_seconds: float,
) -> Parsed | None:
    """Return what `parse` does, with what was refused."""
    text = clean(query, MOST_CHARS)
    if model.mode == "none" or not text:
        return None
    choices = Choices.of(attributes, years or {})
    try:
        reply = model.complete(
            messages(text, choices),
            schema=choices.schema(),
            max_tokens=_MOST_TOKENS,
            timeout_seconds=timeout_seconds,
        )
    except (LanguageModelError, ConfigError):
        return None
    return checked(reply.text, text, choices, also_called)


def checked(
    reply: str,
    text: str,
    choices: Choices,
    also_called: Callable[[str], Sequence[str]] | None = None,
) -> Parsed | None:
    """Return what a reply says that can be kept; None where it is no JSON object as asked for.

    Args:
        reply: as it came.
        text: the cleaned request.
        choices: what the reply may choose from.
        also_called: value → its other names.

    Example:
        >>> choices = Choices.of({"genres": ["War", "Crime"]}, {})
        >>> reply = '{"must": ["genres: Crime", "genres: Jazz"], "likes": ["in Rome"], "count": 3}'
        >>> found = checked(reply, "crimes in Rome", choices)
        >>> found.wish.filters[0].value, len(found.wish.filters), found.wish.likes
        ('Crime', 1, ('in Rome',))
        >>> found.refused
        ('genres: Jazz', 'count 3')
    """
    read = read_object(reply)
    if read is None or set(read) - set(choices.schema()["properties"]):
        return None
    sieve = _Sieve(Said(text), choices, also_called or (lambda value: ()))
    filters = [
        *sieve.conditions(texts(read, "must", MOST_ENTRIES), "has"),
        *sieve.conditions(texts(read, "must_not", MOST_ENTRIES), "has not"),
    ]
    for column in choices.years:
        filters += sieve.bounds(column, read.get(f"{column} from"), read.get(f"{column} to"))
    likes, dislikes = (sieve.phrases(texts(read, n, MOST_ENTRIES)) for n in ("likes", "dislikes"))
    liked, disliked = (
        sieve.names(texts(read, n, MOST_ENTRIES)) for n in ("liked_items", "disliked_items")
    )
    wish = Wish(
        domain=sieve.domain(read.get("domain")),
        likes=tuple(phrase for phrase in likes if phrase not in dislikes),
        dislikes=tuple(phrase for phrase in dislikes if phrase not in likes),
        liked_items=tuple(name for name in liked if name not in disliked),
        disliked_items=tuple(name for name in disliked if name not in liked),
        filters=tuple(_consistent(filters)),
        count=sieve.count(read.get("count")),
        language=language_of(text),
    )
    kept, refused = sieve.kept, len(sieve.refused)
    sure = kept / (kept + refused) if kept + refused else _UNSURE
    return Parsed(wish.model_copy(update={"confidence": sure}), tuple(sieve.refused))


def language_of(text: str) -> Language:
    """Return the language that a text is written in, seen from its letters.

    Example:
        >>> [language_of(t) for t in ("a film", "一部电影", "像 Heat 的电影", "un été?", "1999")]
        ['en', 'zh', 'mixed', 'en', 'other']
    """
    chinese, latin = bool(_CHINESE.search(text)), bool(_LATIN.search(text))
    if chinese:
        return "mixed" if latin else "zh"
    return "en" if latin else "other"


@dataclass(slots=True)
class _Sieve:
    """Lets pass what the request and the catalogue bear out, and counts."""

    said: Said
    choices: Choices
    also_called: Callable[[str], Sequence[str]]
    kept: int = 0
    refused: list[str] = field(default_factory=list)

    def conditions(
        self, named: Sequence[str], operator: Literal["has", "has not"]
    ) -> list[Condition]:
        found = []
        for name in dict.fromkeys(named):
            column, value = self.choices.values.get(name, ("", ""))
            if self._pass(bool(column) and self._is_named(value), name):
                found.append(Condition(column=column, operator=operator, value=value))
        return found

    def _is_named(self, value: str) -> bool:
        """Whether the request names a value, as far as it can be told."""
        script = language_of(self.said.text)
        names = [
            n for n in (value, *self.also_called(value)) if script in ("mixed", language_of(n))
        ]
        return not names or any(self.said.names(name) for name in names)

    def bounds(self, column: str, first: object, last: object) -> list[Condition]:
        low, high = self.choices.years[column]
        start = self._year(f"{column} from", first)
        stop = self._year(f"{column} to", last)
        if start is not None and stop is not None and start > stop:
            self.refused.append(f"{column} from {start} to {stop}")
            return []
        found = []  # what the whole catalogue fulfils is no condition
        if start is not None and start > low:
            found.append(Condition(column=column, operator=">=", value=start))
        if stop is not None and stop < high:
            found.append(Condition(column=column, operator="<=", value=stop))
        return found

    def phrases(self, written: Sequence[str]) -> tuple[str, ...]:
        bare = dict.fromkeys(clean(phrase, PHRASE_CHARS) for phrase in written)
        return tuple(p for p in bare if self._pass(self.said.words(p), p))

    def names(self, written: Sequence[str]) -> tuple[str, ...]:
        clean_ones = dict.fromkeys(
            clean(name, PHRASE_CHARS).strip("《》\"'“”‘’") for name in written
        )
        return tuple(n for n in clean_ones if self._pass(self.said.passage(n), n))

    def domain(self, written: object) -> str | None:
        if not isinstance(written, str) or not written.strip():
            return None
        name = clean(written, PHRASE_CHARS)
        return name if self._pass(self.said.passage(name), name) else None

    def count(self, value: object) -> int | None:
        if value is None or value == 0:
            return None
        number = value if isinstance(value, int) and not isinstance(value, bool) else 0
        good = 1 <= number <= MOST_ITEMS and self.said.number(number)
        return number if self._pass(good, f"count {value}") else None

    def _year(self, name: str, value: object) -> int | None:
        if value is None:
            return None
        number = value if isinstance(value, int) and not isinstance(value, bool) else 0
        return number if self._pass(self.said.year(number), f"{name} {value}") else None

    def _pass(self, good: bool, what: str) -> bool:
        if good:
            self.kept += 1
        else:
            self.refused.append(what[:PHRASE_CHARS])
        return good


def _consistent(filters: Sequence[Condition]) -> list[Condition]:
    """Return the conditions without values that are wanted and unwanted at once."""
    signs: dict[tuple[str, str | int | float], set[str]] = {}
    for condition in filters:
        signs.setdefault((condition.column, condition.value), set()).add(condition.operator)
    torn = {key for key, operators in signs.items() if {"has", "has not"} <= operators}
    return [c for c in filters if (c.column, c.value) not in torn]
