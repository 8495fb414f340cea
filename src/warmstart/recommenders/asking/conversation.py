"""A conversation: what was asked for so far, and how the next sentence changes it.

"older", 更老一点: before the items just shown; "shorter", "cheaper": likewise, where the
catalogue has such a column. "more like the second one", 像第二个那样; "not the third". "More",
再来几部: others of the same. "less violent", 不要动画片: further wishes, which replace what they
contradict. "Start over", 重新来. A state is never changed; each turn returns another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from warmstart.data.cells import numbers
from warmstart.llm.wish import MOST_ITEMS, Condition, Operator, Wish
from warmstart.recommenders.asking.attributes import Attributes, Kind
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.history import Event


@dataclass(frozen=True, slots=True)
class State:
    """All that a conversation remembers.

    Attributes:
        wish: everything asked for so far.
        events: the user's history, in order.
        user: what is known of the user.
        liked: dense indices of items that were liked by their place in a list.
        disliked: of those that were not.
        shown: the last list.
        gone: what must not come back.
    """

    wish: Wish = field(default_factory=Wish)
    events: tuple[Event, ...] = ()
    user: Mapping[str, Any] | None = None
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()
    gone: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Turn:
    """What a sentence of a conversation says beside its wishes.

    Attributes:
        rest: the sentence without that.
        filters: bounds relative to what was shown.
        liked: items by their place.
        disliked: items by their place.
        gone: items that must not come back.
        fresh: whether everything before is to be forgotten.
        refused: what the catalogue cannot be asked.
    """

    rest: str
    filters: tuple[Condition, ...] = ()
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    gone: frozenset[int] = frozenset()
    fresh: bool = False
    refused: tuple[str, ...] = ()


_FRESH = re.compile(
    r"\bstart (?:over|again|afresh)\b|\bforget (?:it|that|everything)\b|重新来|"
    r"重新开始|重来|从头来",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"^\W*(?:(?:show|give) me )?(?:some |a few )?(?:more|others?|another(?: one)?|different ones|"
    r"next|something else|anything else)(?: please)?\W*$"
    r"|再来(?:几|一|两|些|点)?(?:些|点|部|本|个|首|批)?|换一批|换几[部本个首]|还有(?:别的|其他|吗)?|下一批",
    re.IGNORECASE,
)
_ORDINALS = {
    "first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4,
    "fifth": 5, "5th": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
_CHINESE = dict(zip("一二三四五六七八九十", range(1, 11), strict=True))
_PLACE = re.compile(
    rf"(?P<cue>\b(?:more|something|anything|others?)? ?(?:like|similar to)|\bnot(?: like)?|\bno|"
    rf"\b(?:i )?(?:hate|hated|dislike|disliked)|\b(?:i )?(?:like|liked|love|loved)|"
    rf"\b(?:i(?:'ve| have)? )?(?:seen|saw|know|read)|像|类似|跟|和|"
    rf"不要|不喜欢|讨厌|喜欢|看过|读过|听过)?"
    rf"\s*(?:the |number |no\. ?|#)?"
    rf"(?:(?P<word>{'|'.join(_ORDINALS)})(?: (?:one|film|movie|book|item))?\b"
    rf"|(?P<zh>第(?:\d{{1,2}}|[一二三四五六七八九十])[部本个首条]?)"
    rf"|(?:number |no\. ?|#)(?P<n>\d{{1,2}})\b)"
    rf"(?:\s*(?:那样|这样|一样|差不多|类似)?的?)",
    re.IGNORECASE,
)
_COMPARED: tuple[tuple[Kind, Operator, str], ...] = (
    ("year", "<", r"\b(?:older|earlier)\b|(?:更|再)?[老旧早]一?[点些]|更[老旧早]"),
    (
        "year",
        ">",
        r"\b(?:newer|more recent|later|more modern)\b|(?:更|再)?[新近]一?[点些]|更新|更近",
    ),
    ("minutes", "<", r"\bshorter\b|(?:更|再)?短一?[点些]|更短"),
    ("minutes", ">", r"\blonger\b|(?:更|再)?长一?[点些]|更长"),
    ("price", "<", r"\b(?:cheaper|less expensive)\b|(?:更|再)?便宜一?[点些]|更便宜"),
    ("price", ">", r"\b(?:pricier|more expensive)\b|(?:更|再)?贵一?[点些]|更贵"),
)


def listen(text: str, state: State, catalogue: Catalogue, known: Attributes) -> Turn:
    """Return what a sentence says about the list before it.

    Args:
        text: the sentence.
        state: with the list that was shown.
        catalogue: of the items.
        known: its attributes.
    """
    if _FRESH.search(text):
        return Turn(_FRESH.sub(" ", text).strip(" ,.，。"), fresh=True)
    if not state.shown:
        return Turn(text)
    liked: list[int] = []
    disliked: list[int] = []
    gone: set[int] = set()

    def place(found: re.Match[str]) -> str:
        at = _number(found) - 1
        if not 0 <= at < len(state.shown) or not (found["cue"] or "").strip():
            return found[0]
        item, cue = state.shown[at], (found["cue"] or "").strip().lower()
        if re.search(r"^(?:not|no|.*hate|.*dislike)|不|讨厌", cue):
            disliked.append(item)
        elif re.search(r"seen|saw|know|read|看过|读过|听过", cue):
            gone.add(item)
        else:
            liked.append(item)
        return " "

    rest = _PLACE.sub(place, text)
    if rest != text:
        rest = re.sub(r"^\W*(?:i|but|and|more)\W*$", "", rest.strip(), flags=re.IGNORECASE)
    if _OTHERS.search(rest):
        gone |= set(state.shown)
        rest = _OTHERS.sub(" ", rest)
    filters: list[Condition] = []
    refused: list[str] = []
    for kind, operator, pattern in _COMPARED:
        found = re.search(pattern, rest, re.IGNORECASE)
        if not found or re.match(r"\s*than\b", rest[found.end() :]):
            continue
        column = known.of_kind(kind)
        if column is None:
            refused.append(f"“{found[0]}”: the catalogue knows no {kind} of its items")
            rest = rest[: found.start()] + " " + rest[found.end() :]
            continue
        value = _middle(state.shown, column, catalogue)
        if value is None:
            refused.append(f"“{found[0]}”: the {column} of what was shown is not known")
            continue
        bound = math.ceil(value) if operator == "<" else math.floor(value)
        value = bound if kind == "year" else value
        filters.append(Condition(column=column, operator=operator, value=value))
        rest = rest[: found.start()] + " " + rest[found.end() :]
    rest = re.sub(r"^[\s,.!?，。！？]*(?:的|一点|please|ones|and|but)?[\s,.!?，。！？]*$", "", rest)
    return Turn(
        rest.strip(), tuple(filters), tuple(liked), tuple(disliked), frozenset(gone), False,
        tuple(refused),
    )  # fmt: skip


def merged(old: Wish, new: Wish) -> Wish:
    """Return a wish that goes on: the new one replaces what it contradicts.

    Args:
        old: everything so far.
        new: the latest.

    Example:
        >>> a = Wish(filters=[Condition(column="genres", operator="has", value="War")], count=5)
        >>> b = Wish(filters=[Condition(column="genres", operator="has", value="Drama")])
        >>> [c.value for c in merged(a, b).filters], merged(a, b).count
        (['Drama'], 5)
    """
    kept = [c for c in old.filters if not any(_replaces(n, c) for n in new.filters)]
    return Wish(
        domain=new.domain or old.domain,
        likes=_joined(old.likes, new.likes, new.dislikes),
        dislikes=_joined(old.dislikes, new.dislikes, new.likes),
        liked_items=_joined(old.liked_items, new.liked_items, new.disliked_items),
        disliked_items=_joined(old.disliked_items, new.disliked_items, new.liked_items),
        filters=tuple(dict.fromkeys((*kept, *new.filters))),
        count=new.count or old.count,
        language=old.language if new.language == "other" else new.language,
        confidence=new.confidence,
    )


def _replaces(new: Condition, old: Condition) -> bool:
    if new.column != old.column:
        return False
    if new.operator == "has":
        return old.operator == "has" or (old.operator == "has not" and old.value == new.value)
    if new.operator == "has not":
        return old.operator == "has" and old.value == new.value
    same_side = old.operator[0] == new.operator[0] or "=" in (old.operator, new.operator)
    if same_side:
        return True
    low, high = (new, old) if new.operator[0] == ">" else (old, new)
    if {low.operator[0], high.operator[0]} != {">", "<"}:
        return False
    return float(low.value) > float(high.value)


def _joined(old: Sequence[str], new: Sequence[str], against: Sequence[str]) -> tuple[str, ...]:
    return tuple(p for p in dict.fromkeys((*old, *new)) if p not in against or p in new)[-20:]


def _number(found: re.Match[str]) -> int:
    if found["word"]:
        return _ORDINALS[found["word"].lower()]
    if found["n"]:
        return int(found["n"])
    digits = re.sub(r"[第部本个首条]", "", found["zh"])
    return int(digits) if digits.isdigit() else _CHINESE[digits]


def _middle(shown: Sequence[int], column: str, catalogue: Catalogue) -> float | int | None:
    """Return the median of a column over the items that were shown."""
    assert catalogue.table is not None  # the column is one of it
    values = numbers(catalogue.table[column])[list(shown)]
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    middle = float(np.median(values))
    return int(middle) if middle.is_integer() else middle


def most(count: int | None, k: int) -> int:
    """Return how many items to list: as many as the request says, else `k`."""
    return min(count or k, MOST_ITEMS)
