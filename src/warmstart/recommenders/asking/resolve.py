"""Names become items and conditions become masks; what fits nothing is told, never guessed.

A name is looked up by its spelling, as the beginning of a series ("Star Wars"), nearly spelled, and
at last by meaning, where its script is another than the title's (狮子王): that one is told.
Conditions are compiled here, one by one, from a column, an operator and a value of this catalogue;
nothing is evaluated. If no item fulfils them all, the list is empty, and the condition that left
nothing is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warmstart.core.errors import UnknownItemError
from warmstart.core.types import FloatArray
from warmstart.llm.wish import Condition, Wish
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.filters import Mask
from warmstart.recommenders.words import Words

ALIKE = 0.4
"""Least cosine at which a name in another script is understood by its meaning."""
MARGIN = 0.12
"""By how much it must beat the next title of another name."""
MOST_OF_A_SERIES = 8

_CHINESE = re.compile("[\u3400-\u9fff]")
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A wish in the terms of one catalogue.

    Attributes:
        liked: dense indices of the items that it names and likes.
        disliked: of those that it names and does not like; of a series, the best known.
        gone: further items of such a series.
        filters: the conditions that are applied.
        mask: (items,) which items fulfil them; None for all.
        conflict: the condition that left no item, or None.
        unknown: names that fit no item; they are heard as words.
        unwanted_unknown: names of what is not liked that fit no item.
        refused: what was not applied, and why.
        notes: what was decided for the user: which of two films of one name.
    """

    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    filters: tuple[Condition, ...] = ()
    mask: Mask | None = None
    conflict: Condition | None = None
    unknown: tuple[str, ...] = ()
    unwanted_unknown: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def resolve(
    wish: Wish, catalogue: Catalogue, known: Attributes, words: Words | None = None
) -> Resolved:
    """Return the wish in the terms of a catalogue.

    Args:
        wish: from any parser.
        catalogue: of the items.
        known: its attributes.
        words: to find a name by its meaning, or None.
    """
    notes: list[str] = []
    refused: list[str] = []
    gone: list[int] = []
    both: list[tuple[list[int], list[str]]] = []
    for sign, names in ((1, wish.liked_items), (-1, wish.disliked_items)):
        found: list[int] = []
        lost: list[str] = []
        for name in names:
            items, note = find(name, catalogue, words)
            found += items if sign > 0 else items[:1]
            gone += [] if sign > 0 else items[1:]
            if not items:
                lost.append(name)
                refused.append(f"“{name}” is no item of the catalogue")
            if note:
                notes.append(note)
        both.append((list(dict.fromkeys(found)), lost))
    (liked, unknown), (disliked, unwanted) = both
    kept, why = sound(wish.filters, known)
    mask, conflict = compile_filters(kept, catalogue)
    return Resolved(
        liked=tuple(i for i in liked if i not in disliked),
        disliked=tuple(disliked),
        gone=tuple(gone),
        filters=kept,
        mask=mask,
        conflict=conflict,
        unknown=tuple(unknown),
        unwanted_unknown=tuple(unwanted),
        refused=(*refused, *why),
        notes=tuple(notes),
    )


def find(name: str, catalogue: Catalogue, words: Words | None) -> tuple[list[int], str]:
    """Return the items that a name means, and what was decided; no items where it fits none.

    Args:
        name: as it was written.
        catalogue: of the items.
        words: to find it by its meaning, or None.
    """
    titles = catalogue.titles
    hits = titles.bearing(name)
    if len(hits) > 1:  # of several films of one name people mean the one that they know
        best = max(hits, key=lambda i: (catalogue.likes[i], -i))
        return [best], f"“{name}” is taken for {titles.title(best)}, of {len(hits)} of that name"
    if hits:
        return hits, ""
    series = titles.beginning(name)
    if series:
        series = sorted(series, key=lambda i: (-catalogue.likes[i], i))[:MOST_OF_A_SERIES]
        return series, f"“{name}” is taken for {len(series)} items of that series"
    try:
        return [titles.find(name)], ""
    except UnknownItemError:
        pass
    best_of_all = None if words is None else _meant(name, catalogue, words)
    if best_of_all is None:
        return [], ""
    return [best_of_all], f"“{name}” is taken for {titles.title(best_of_all)}"


def sound(
    filters: Sequence[Condition], known: Attributes
) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
    """Return the conditions that this catalogue can be asked about, and why the others cannot.

    Args:
        filters: from any parser.
        known: attributes of the catalogue.
    """
    kept: list[Condition] = []
    refused: list[str] = []
    for condition in filters:
        spelled = f"{condition.column} {condition.operator} {condition.value}"
        if condition.column in known.values:
            value = known.has(condition.column, condition.value)
            if condition.operator in ("<", "<=", ">", ">="):
                refused.append(f"{spelled}: the column has no order")
            elif value is None:
                refused.append(f"{spelled}: the column has no such value")
            else:
                operator = {"=": "has", "!=": "has not"}.get(condition.operator, condition.operator)
                kept.append(
                    Condition.model_validate(
                        {"column": condition.column, "operator": operator, "value": value}
                    )
                )
        elif condition.column in known.numbers:
            if condition.operator in ("has", "has not") or _number(condition.value) is None:
                refused.append(f"{spelled}: the column holds numbers")
            else:
                kept.append(condition)
        else:
            refused.append(f"{spelled}: there is no such column")
    return tuple(dict.fromkeys(kept)), tuple(refused)


def compile_filters(
    filters: Sequence[Condition], catalogue: Catalogue
) -> tuple[Mask | None, Condition | None]:
    """Return (items,) which items meet all conditions, and the first that left none.

    Args:
        filters: that the catalogue can be asked about.
        catalogue: of the items.
    """
    if not filters:
        return None, None
    mask = np.ones(len(catalogue), bool)
    conflict = None
    for condition in filters:
        mask = mask & meets(condition, catalogue)
        if conflict is None and not mask.any():
            conflict = condition
    return mask, conflict


def meets(condition: Condition, catalogue: Catalogue) -> Mask:
    """Return (items,) which items meet one condition; an unknown cell meets none but a negation.

    Args:
        condition: that the catalogue can be asked about.
        catalogue: of the items.
    """
    column, operator, value = condition.column, condition.operator, condition.value
    if operator in ("has", "="):
        return catalogue.where({column: value})
    if operator in ("has not", "!="):
        return ~catalogue.where({column: value})
    if operator in ("<", "<="):
        found = catalogue.where({column: (None, value)})
    else:
        found = catalogue.where({column: (value, None)})
    return found & ~catalogue.where({column: value}) if operator in ("<", ">") else found


def _meant(name: str, catalogue: Catalogue, words: Words) -> int | None:
    column = catalogue.schema.title
    if column is None or column not in words.content or not _CHINESE.search(name):
        return None
    near = words.near(name, column)
    best = int(near.argmax())
    title = catalogue.titles.title(best)
    if near[best] < ALIKE or _CHINESE.search(title):
        return None
    return _surely(near, best, catalogue)


def _surely(near: FloatArray, best: int, catalogue: Catalogue) -> int | None:
    """Return the item if no title of another name comes close; of its namesakes the best known."""
    bare = _YEAR.sub("", catalogue.titles.title(best))
    close = np.flatnonzero(near > near[best] - MARGIN)
    same = [i for i in close if _YEAR.sub("", catalogue.titles.title(int(i))) == bare]
    if len(same) < len(close):
        return None
    return int(max(same, key=lambda i: int(catalogue.likes[i])))


def _number(value: str | int | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
