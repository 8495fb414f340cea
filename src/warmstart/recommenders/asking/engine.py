"""From a request to an answer: read, resolve, retrieve, explain. The catalogue chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from warmstart.core.errors import ConfigError, DataError
from warmstart.core.types import Histories
from warmstart.llm.clean import clean, plain
from warmstart.llm.model import LanguageModel, Mode
from warmstart.llm.wish import Condition, Wish
from warmstart.recommenders.asking.conversation import State, listen, merged, most
from warmstart.recommenders.asking.explain import explain
from warmstart.recommenders.asking.parse import MOST_CHARS, says_nothing
from warmstart.recommenders.asking.question import question
from warmstart.recommenders.asking.reading import Reading, read
from warmstart.recommenders.asking.reorder import Reranking, reordered
from warmstart.recommenders.asking.resolve import Resolved, compile_filters, resolve
from warmstart.recommenders.asking.retrieve import MOST_CHOICES, Found, Retriever
from warmstart.recommenders.history import Entry, Event, as_histories, read_history
from warmstart.recommenders.lists import Recommendation

DEADLINE_SECONDS = 2.0
"""For an answer, the language model included."""

_RESERVE = 0.2  # of the deadline, which the model may not take
_EMPTY = "your conditions leave no item: "


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back for a request.

    Attributes:
        items: the list, best first; of the catalogue alone, none of it seen.
        parsed: what was understood, of the whole conversation.
        mode: how the language model was held to a schema; "none" where none was heard.
        latency_ms: milliseconds from the request to the answer.
        tokens: that the language model read and wrote.
        question: one question back, or None.
        refused: what the catalogue could not be asked, and names that it does not hold.
        flags: what was decided or left out on the way.
        state: for the next sentence of the conversation.
    """

    items: tuple[Recommendation, ...]
    parsed: Wish
    mode: Mode = "none"
    latency_ms: float = 0.0
    tokens: int = 0
    question: str | None = None
    refused: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    state: State = field(default_factory=State)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, as `warmstart ask --json` prints them."""
        return {
            "items": [
                {"item": r.item, "title": r.title, "score": r.score, "reason": r.reason}
                for r in self.items
            ],
            "parsed": self.parsed.model_dump(mode="json"),
            "mode": self.mode,
            "latency_ms": round(self.latency_ms, 3),
            "tokens": self.tokens,
            "question": self.question,
            "refused": list(self.refused),
            "flags": list(self.flags),
        }


def answer(
    retriever: Retriever,
    query: str,
    *,
    history: Iterable[Entry] = (),
    dislikes: Iterable[Entry] = (),
    user: Mapping[str, Any] | None = None,
    k: int = 10,
    state: State | None = None,
    model: LanguageModel | None = None,
    reranking: Reranking | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    now: Callable[[], float] = time.perf_counter,
) -> Answer:
    """Return the answer to a request; see `LLMRecommender.ask`."""
    begun = now()
    if not isinstance(query, str) or not clean(query, MOST_CHARS):
        said = f"{query!r:.40}"
        raise DataError(f"the request {said} says nothing; write what you would like")
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise ConfigError(f"k must be a whole number of at least 1, got {k!r}")
    if not deadline_seconds > 0:
        raise ConfigError(f"the deadline must be above 0 seconds, got {deadline_seconds!r}")
    catalogue, known = retriever.fitted.catalogue, retriever.attributes
    state = state or State()
    rule = catalogue.schema.evidence
    events = read_history(history, catalogue.titles, rule, dislikes=dislikes)
    state = replace(state, events=tuple(events) or state.events, user=user or state.user)
    turn = listen(clean(query, MOST_CHARS), state, catalogue, known)
    if turn.fresh:
        state = State(events=state.events, user=state.user)
    left = deadline_seconds * (1 - _RESERVE) - (now() - begun)
    reading = Reading(Wish(language=state.wish.language, confidence=1.0))
    if clean(turn.rest, MOST_CHARS):
        reading = read(turn.rest, catalogue.titles, known, model, seconds=left)
    new = reading.wish.model_copy(update={"filters": (*reading.wish.filters, *turn.filters)})
    wish = merged(state.wish, new)
    resolved = resolve(wish, catalogue, known, retriever.words if _names(wish) else None)
    state = replace(
        state,
        wish=wish,
        liked=_without((*state.liked, *turn.liked), turn.disliked),
        disliked=_without((*state.disliked, *turn.disliked), turn.liked),
        gone=state.gone | turn.gone,
    )
    histories = _histories(retriever, state, resolved)
    count = most(wish.count, k)
    flags, tokens = [*reading.flags, *resolved.notes], reading.tokens
    asked: str | None = None
    if resolved.conflict is not None:
        found = Found(np.zeros(0, np.int64), np.zeros(0, np.float32), None)
        flags.append(_EMPTY + _spelled(resolved.conflict))
        asked = _without_which(resolved, retriever, wish.language)
    elif says_nothing(wish) and not len(histories.items):
        found, asked = _for_nobody(retriever, histories, state, count, wish.language)
        flags.append("the request carries no taste: a diverse list of what is popular")
    else:
        reorder = None if model is None else reranking
        found = retriever.find(
            histories,
            count if reorder is None else max(count, reorder.candidates),
            likes=(*wish.likes, *resolved.unknown),
            dislikes=(*wish.dislikes, *resolved.unwanted_unknown),
            mask=_left(resolved, state, len(catalogue)),
        )
        if says_nothing(wish):
            flags.append("the request carries no taste: the user's own list")
        elif model is not None and reorder is not None:
            left = deadline_seconds * (1 - _RESERVE) - (now() - begun)
            said = clean(query, MOST_CHARS)
            found, spent = reordered(found, said, catalogue.titles, model, reorder, seconds=left)
            tokens += spent
        found = replace(found, items=found.items[:count], scores=found.scores[:count])
    flags += found.flags
    if 0 < len(found.items) < count:
        flags.append(f"only {len(found.items)} items are left")
    lines = [""] * len(found.items)
    if now() - begun < deadline_seconds:
        lines = explain(
            retriever,
            histories,
            found.items,
            filters=resolved.filters,
            likes=wish.likes,
            heard=found.heard,
            language=wish.language,
        )
    elif lines:
        flags.append("no time for reasons")
    items = tuple(
        Recommendation(
            catalogue.items[item], catalogue.titles.title(item), float(score), rank, plain(line)
        )
        for rank, (item, score, line) in enumerate(
            zip(found.items.tolist(), found.scores, lines, strict=True), 1
        )
    )
    shown = tuple(int(i) for i in found.items) or state.shown
    return Answer(
        items=items,
        parsed=wish.model_copy(update={"filters": resolved.filters}),
        mode=reading.mode,
        latency_ms=1000 * (now() - begun),
        tokens=tokens,
        question=None if asked is None else plain(asked),
        refused=(*turn.refused, *resolved.refused),
        flags=tuple(map(plain, flags)),
        state=replace(state, shown=shown),
    )


def _histories(retriever: Retriever, state: State, resolved: Resolved) -> Histories:
    """Return the one user: history, items named, items chosen by their place in a list."""
    events = {event.item: event for event in state.events}
    disliked = (*resolved.disliked, *state.disliked)
    for value, items in ((1.0, (*resolved.liked, *state.liked)), (-1.0, disliked)):
        for item in items:
            events.pop(item, None)
            events[item] = Event(item, value)
    known = retriever.fitted.catalogue.known_of(state.user)
    return as_histories(list(events.values()), known)


def _left(resolved: Resolved, state: State, n: int) -> Any:  # noqa: ANN401  (a mask or None)
    gone = [*state.gone, *resolved.gone]
    if resolved.mask is None and not gone:
        return None
    mask = np.ones(n, bool) if resolved.mask is None else resolved.mask.copy()
    mask[gone] = False
    return mask


def _for_nobody(
    retriever: Retriever, histories: Histories, state: State, k: int, language: str
) -> tuple[Found, str | None]:
    """Return a diverse list, and the question that would tell most."""
    mask = _left(Resolved(), state, len(retriever.fitted.catalogue))
    found = retriever.diverse(histories, k, mask)
    popular = retriever.find(histories, MOST_CHOICES, mask=mask)
    return found, question(retriever, popular.items, language)


def _without_which(resolved: Resolved, retriever: Retriever, language: str) -> str | None:
    """Return the question whether to drop the condition without which most items are left."""
    best, most_left = None, 0
    for condition in resolved.filters:
        others = [c for c in resolved.filters if c != condition]
        mask, _ = compile_filters(others, retriever.fitted.catalogue)
        left = len(retriever.fitted.catalogue) if mask is None else int(mask.sum())
        if left > most_left:
            best, most_left = condition, left
    if best is None:
        return None
    if language in ("zh", "mixed"):
        return f"去掉“{_spelled(best)}”这个条件好吗？那样有 {most_left} 个。"
    return f"Shall I drop “{_spelled(best)}”? Then there are {most_left:,}."


def _spelled(condition: Condition) -> str:
    return f"{condition.column} {condition.operator} {condition.value}"


def _names(wish: Wish) -> bool:
    return bool(wish.liked_items or wish.disliked_items)


def _without(items: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(i for i in items if i not in others))
