"""A request read by rules, and by a language model beside them if there is one and there is time.

The rules' reading stands, whatever the model says. The model adds what the rules have no word of:
phrases that are in the request, names, a count. A value that it chooses of the catalogue's is added
as a like or a dislike, never as a condition: a condition that nobody asked for would empty a list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from warmstart.encoders.glossary import also_called
from warmstart.llm.model import Chances, LanguageModel, Message, Mode, Reply
from warmstart.llm.parse import parse as parse_by_model
from warmstart.llm.wish import Wish
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.asking.parse import parse
from warmstart.recommenders.titles import Titles

T = TypeVar("T")

LEAST_SECONDS = 0.05
"""With less time left, a model is not asked."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A request, read.

    Attributes:
        wish: what it asks for.
        mode: how the model that was heard was held to a schema; "none" where none was heard.
        tokens: read and written by the model.
        flags: what went wrong with it.
    """

    wish: Wish
    mode: Mode = "none"
    tokens: int = 0
    flags: tuple[str, ...] = ()


def read(
    query: str,
    titles: Titles,
    known: Attributes,
    model: LanguageModel | None = None,
    *,
    seconds: float = 2.0,
) -> Reading:
    """Return what a request asks for.

    Args:
        query: the request.
        titles: of the catalogue.
        known: its attributes.
        model: a language model, or None.
        seconds: that the model may take.
    """
    wish = parse(query, titles, known)
    if model is None:
        return Reading(wish)
    if model.mode == "none":
        return Reading(wish, flags=("the model cannot be held to a schema: read by rules",))
    if seconds < LEAST_SECONDS:
        return Reading(wish, flags=("no time for the model: read by rules",))
    counted = Counted(model)
    found = within(
        seconds,
        lambda: parse_by_model(
            counted,
            query,
            known.values,
            years=known.years,
            also_called=also_called,  # or a value of another script is believed unseen
            timeout_seconds=seconds,
        ),
    )
    if found is None:
        late = "the model gave no valid answer in time: read by rules"
        return Reading(wish, tokens=counted.tokens, flags=(late,))
    return Reading(combined(wish, found), model.mode, counted.tokens)


def combined(rules: Wish, model: Wish) -> Wish:
    """Return the rules' wish with what the model adds to it.

    Example:
        >>> rules, model = Wish(likes=("space",)), Wish(likes=("space", "quiet"), count=3)
        >>> combined(rules, model).likes, combined(rules, model).count
        (('space', 'quiet'), 3)
    """
    settled = {str(c.value).casefold() for c in rules.filters}
    chosen: dict[str, list[str]] = {"has": [], "has not": []}
    for condition in model.filters:
        if condition.operator in chosen and str(condition.value).casefold() not in settled:
            chosen[condition.operator].append(str(condition.value))
    names = (*rules.liked_items, *rules.disliked_items)
    return rules.model_copy(
        update={
            "domain": rules.domain or model.domain,
            "likes": _more(rules.likes, (*model.likes, *chosen["has"]), rules),
            "dislikes": _more(rules.dislikes, (*model.dislikes, *chosen["has not"]), rules),
            "liked_items": rules.liked_items or _others(model.liked_items, names),
            "disliked_items": rules.disliked_items or _others(model.disliked_items, names),
            "count": rules.count or model.count,
            "confidence": max(rules.confidence, model.confidence),
        }
    )


def _more(own: Sequence[str], others: Sequence[str], rules: Wish) -> tuple[str, ...]:
    """Return phrases with those of others that say something else than what the rules have read."""
    told = " ".join(
        str(part).casefold()
        for part in (*rules.likes, *rules.dislikes, *rules.liked_items, *rules.disliked_items,
                     *(c.value for c in rules.filters))
    )  # fmt: skip
    return tuple(dict.fromkeys((*own, *(p for p in others if p.casefold() not in told))))


def _others(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in names if n.casefold() not in {k.casefold() for k in known})


def within(seconds: float, work: Callable[[], T]) -> T | None:
    """Return what some work gives if it comes in time; late or failing work is left behind.

    Example:
        >>> within(5.0, lambda: 7), within(5.0, lambda: 1 // 0)
        (7, None)
    """
    until = time.monotonic() + seconds
    answers: list[T] = []

    def tried() -> None:
        try:
            answers.append(work())
        except Exception:  # whatever a model of somebody else's throws, the list is due
            return

    thread = threading.Thread(target=tried, name="warmstart-ask", daemon=True)
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    return answers[0] if answers else None


class Counted:
    """A language model whose tokens are counted.

    Attributes:
        model: that is asked.
        tokens: that it has read and written.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.tokens = model, 0
        self.name, self.version = model.name, model.version

    @property
    def mode(self) -> Mode:
        """How the model is held to a schema."""
        return self.model.mode

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 256,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """Return the model's answer, and count."""
        reply = self.model.complete(
            messages, schema=schema, max_tokens=max_tokens, timeout_seconds=timeout_seconds
        )
        self.tokens += reply.prompt_tokens + reply.tokens
        return reply

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        timeout_seconds: float = 30.0,
    ) -> Chances | None:
        """Return how likely each answer is, and count."""
        found = self.model.choose(messages, choices, timeout_seconds=timeout_seconds)
        if found is not None:
            self.tokens += found.prompt_tokens + found.tokens
        return found
