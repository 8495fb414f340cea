"""One line why an item is here, out of facts alone, in the language of the request.

A fact is a value that was asked for and that the item has, an item of the user's own that lifted
this one (as the method reckons, `reasons`), a word that stands in the item's texts, what several of
its reviewers praise, closeness of meaning, or how many people like it. Titles are rendered from
dense indices; nothing a model wrote is in a reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from warmstart.core.types import Histories, IntArray
from warmstart.data.cells import numbers
from warmstart.llm.wish import Condition
from warmstart.recommenders.asking.lexical import read, words_of
from warmstart.recommenders.asking.retrieve import Retriever
from warmstart.recommenders.reasons import Cause, causes
from warmstart.recommenders.words import Heard

_YEAR = re.compile(r" \(\d{4}\)$")
_TEMPLATES = {
    "en": {
        "asked": "{values}, as you asked",
        "liked": "because you like {titles}",
        "disliked": "because you do not like {titles}",
        "says": "its description says {words}",
        "praised": "reviewers praise its {words}",
        "close": "close to “{words}”",
        "told": "fits what you told about yourself",
        "new": "new in the catalogue",
        "people": "liked by {n:,} of {all:,} users",
        "and": " and ",
        "list": ", ",
        "quote": "“{}”",
        "title": "{}",
        "join": "; ",
        "year": "{:g}",
    },
    "zh": {
        "asked": "符合你的要求：{values}",
        "liked": "因为你喜欢{titles}",
        "disliked": "因为你不喜欢{titles}",
        "says": "介绍里提到{words}",
        "praised": "评论称赞它的{words}",
        "close": "与“{words}”相近",
        "told": "符合你介绍的自己",
        "new": "新上架",
        "people": "{all:,} 位用户中有 {n:,} 位喜欢",
        "and": "和",
        "list": "、",
        "quote": "“{}”",
        "title": "《{}》",
        "join": "；",
        "year": "{:g}年",
    },
}


def explain(
    retriever: Retriever,
    histories: Histories,
    items: IntArray,
    *,
    filters: Sequence[Condition],
    likes: Sequence[str],
    heard: Heard | None,
    language: str,
) -> list[str]:
    """Return one line for each item.

    Args:
        retriever: that found them.
        histories: of the one user.
        items: (items,) dense indices.
        filters: conditions that were applied.
        likes: phrases that were asked for.
        heard: what they say by their meaning, or None.
        language: "zh" and "mixed" are answered in Chinese, others in English.
    """
    said = _TEMPLATES["zh" if language in ("zh", "mixed") else "en"]
    why = causes(retriever.fitted.method, histories, items, retriever.fitted.catalogue)
    return [
        _line(retriever, said, histories, int(item), cause, filters, likes, heard)
        for item, cause in zip(items, why, strict=True)
    ]


def _line(
    retriever: Retriever,
    said: dict[str, str],
    histories: Histories,
    item: int,
    cause: Cause,
    filters: Sequence[Condition],
    likes: Sequence[str],
    heard: Heard | None,
) -> str:
    catalogue = retriever.fitted.catalogue
    parts = []
    values = _asked(retriever, said, item, filters, heard)
    if values:
        parts.append(said["asked"].format(values=said["list"].join(values)))
    words = _quoted(retriever, likes, item) if likes else []
    words = [w for w in words if w.casefold() not in {v.casefold() for v in values}]
    if words:
        quoted = said["list"].join(said["quote"].format(w) for w in words[:3])
        parts.append(said["says"].format(words=quoted))
    told = {w.casefold() for w in words}
    wanted = " ".join(likes).casefold()
    praise = retriever.praise.get(item, ())
    asked = [t for t in praise if _stands(t.casefold(), wanted) and t.casefold() not in told]
    if asked:
        parts.append(said["praised"].format(words=said["list"].join(asked)))
    facts = [*words, *asked, *values]
    if not facts and heard is not None and heard.wanted and heard.scores[item] > 0:
        parts.append(said["close"].format(words=heard.wanted[0]))
    if cause.liked:
        parts.append(said["liked"].format(titles=_titles(retriever, said, histories, cause.liked)))
    elif cause.disliked:
        titles = _titles(retriever, said, histories, cause.disliked)
        parts.append(said["disliked"].format(titles=titles))
    if not parts and praise:
        parts.append(said["praised"].format(words=said["list"].join(praise[:2])))
    if not parts:
        if cause.told:
            parts.append(said["told"])
        if item >= len(catalogue) - catalogue.n_new and not catalogue.likes[item]:
            parts.append(said["new"])
        else:
            people = said["people"].format(n=int(catalogue.likes[item]), all=catalogue.n_users)
            parts.append(people)
    return said["join"].join(parts)


def _stands(term: str, text: str) -> bool:
    """Whether a term stands in a text as words of its own; Chinese knows no spaces."""
    edges = r"(?<![a-z0-9])", r"(?![a-z0-9])"
    return re.search(edges[0] + re.escape(term) + edges[1], text) is not None


def _quoted(retriever: Retriever, likes: Sequence[str], item: int) -> list[str]:
    """Return the words asked for that an item says; of Chinese, pairs alone do not make a word."""
    words = [w for w in retriever.lexical.shared(likes, item) if words_of(w)]
    if all(len(words_of(word)) == 1 for word in words):
        return words
    text = read(retriever.fitted.catalogue, item, 1)[0].casefold()
    return [w for w in words if len(words_of(w)) == 1 or w.casefold() in text]


def _asked(
    retriever: Retriever,
    said: dict[str, str],
    item: int,
    filters: Sequence[Condition],
    heard: Heard | None,
) -> list[str]:
    """Return the values of an item that were asked for."""
    known, catalogue = retriever.attributes, retriever.fitted.catalogue
    language = "zh" if said is _TEMPLATES["zh"] else "en"
    found = []
    for condition in filters:
        if condition.operator == "has":
            found.append(known.called(condition.column, str(condition.value), language))
        elif condition.column in known.numbers and catalogue.table is not None:
            cell = catalogue.table[condition.column].slice(item, 1)
            number = float(numbers(cell)[0])
            if number == number:  # not unknown
                year = known.kinds[condition.column] == "year"
                spelled = f"{condition.column} {number:g}"
                found.append(said["year"].format(number) if year else spelled)
    own = set(retriever.kinds(item))
    said_words = () if heard is None else heard.wanted
    for pair in () if heard is None else heard.values:
        named = any((m.column, m.value) == pair for p in said_words for m in known.mentions(p))
        if pair in own and named:
            found.append(known.called(*pair, language))
    return list(dict.fromkeys(found))


def _titles(
    retriever: Retriever, said: dict[str, str], histories: Histories, events: Sequence[int]
) -> str:
    titles = [
        retriever.fitted.catalogue.titles.title(int(histories.items[event])) for event in events
    ]
    return said["and"].join(said["title"].format(_YEAR.sub("", t) or t) for t in titles)
