"""Requests built from what held-out users like: a film of theirs, and what is known of it.

Each user shows a few likes. Of their other likes one is drawn, and a request speaks of it: its
genre, its years, who made it or plays in it, a genre less another, two telling words of its plot,
or its title ("something like …"). Relevant is what the user likes of all that the request asks for;
of a request by title, everything else that they like. Chinese requests say genres as the glossary
does; names of people and films stay as the catalogue spells them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from warmstart.core.rng import generator
from warmstart.core.types import IntArray
from warmstart.data.tasks import Tasks
from warmstart.encoders.glossary import also_called
from warmstart.llm.wish import Condition

KINDS = ("genre", "genre and years", "person", "negation", "plot words", "title")

_TEMPLATES = {
    "en": {
        "genre": ("a good {genre} film", "recommend me some {genre} movies", "{genre}, please"),
        "genre and years": ("{genre} films from the {decade}s", "{genre} made in the {decade}s"),
        "director": ("films by {name}", "something directed by {name}"),
        "actors": ("films with {name}", "a movie starring {name}"),
        "negation": ("{genre} films, but no {other}", "{genre} without any {other}"),
        "plot words": ("films about {word} and {second}", "a story of {word} and {second}"),
        "title": ("something like {title}", "films similar to {title}"),
    },
    "zh": {
        "genre": ("推荐一些{genre}", "想看{genre}", "有什么好看的{genre}"),
        "genre and years": ("{decade}年代的{genre}", "推荐几部{decade}年代的{genre}"),
        "director": ("{name} 导演的电影", "想看 {name} 的电影"),
        "actors": ("{name} 主演的电影", "有 {name} 演的电影吗"),
        "negation": ("想看{genre}，不要{other}", "{genre}，但不要{other}"),
        "title": ("类似《{title}》的电影", "我喜欢《{title}》，还有类似的吗"),
    },
}  # fmt: skip
_TRAILING = re.compile(r"^(.+), (The|A|An|Les|La|Le|Il|Das|Der|Die)$")
_COMMON = re.compile(r"^(?:\w{1,4}|\w*ing|\w*ly|\w*ed)$")


@dataclass(frozen=True, slots=True)
class Query:
    """One request of one user.

    Attributes:
        text: as typed.
        language: "en" or "zh".
        kind: what is said.
        task: whose.
        target: the like that it was built from.
        relevant: dense indices of what the user likes of what is asked for.
        conditions: what it asks for, as a parser should read it.
    """

    text: str
    language: str
    kind: str
    task: int
    target: int
    relevant: tuple[int, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Films:
    """What is known of the films, cell by cell."""

    titles: Sequence[str]
    genres: Sequence[tuple[str, ...]]
    years: Sequence[int | None]
    people: dict[str, Sequence[tuple[str, ...]]]
    words: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, table: pa.Table) -> Films:
        """Read a table of films; the telling words of a plot are those that fewest plots have."""
        plots = [set(re.findall(r"[a-z]{5,}", (p or "").lower())) for p in
                 table["masked plot"].to_pylist()]  # fmt: skip
        often: dict[str, int] = {}
        for plot in plots:
            for word in plot:
                often[word] = often.get(word, 0) + 1
        telling = [
            tuple(sorted((w for w in plot if 8 <= often[w] <= 80 and not _COMMON.match(w)),
                         key=lambda w: (often[w], w))[:6])
            for plot in plots
        ]  # fmt: skip
        return cls(
            [spoken(t) for t in table["title"].to_pylist()],
            [tuple((g or "").split("|")) for g in table["genres"].to_pylist()],
            [int(y) if y else None for y in table["year"].to_pylist()],
            {
                c: [tuple(p for p in (x or "").split(", ") if p) for x in table[c].to_pylist()]
                for c in ("director", "actors")
            },
            telling,
        )


def spoken(title: str) -> str:
    """Return a title as people say it.

    Example:
        >>> spoken("Matrix, The (1999)"), spoken("Alien (1979)")
        ('The Matrix', 'Alien')
    """
    bare = re.sub(r"\s*\([^()]*\)", "", title).strip()
    return _TRAILING.sub(r"\2 \1", bare)


def build(
    tasks: Tasks, table: pa.Table, language: str, n: int, seed: int, skip: int = 0
) -> list[Query]:
    """Return `n` requests of as many users, of all kinds in turn.

    Args:
        tasks: held-out users.
        table: of the films.
        language: "en" or "zh".
        n: how many.
        seed: which users, likes and words.
        skip: users at the beginning of the draw that are left to others.
    """
    films, rng = Films.of(table), generator(seed, "queries", language)
    order = generator(seed, "users").permutation(len(tasks))[skip:]
    kinds = [k for k in KINDS if language == "en" or k != "plot words"]
    found: list[Query] = []
    for task in map(int, order):
        if len(found) == n:
            break
        row = tasks.query
        likes = row.indices[row.indptr[task] : row.indptr[task + 1]]
        kind = kinds[len(found) % len(kinds)]
        for target in map(int, rng.permutation(likes)[:8]):
            query = _query(films, task, target, likes, language, kind, rng)
            if query is not None:
                found.append(query)
                break
    return found


def _query(
    films: Films,
    task: int,
    target: int,
    likes: IntArray,
    language: str,
    kind: str,
    rng: np.random.Generator,
) -> Query | None:
    templates = _TEMPLATES[language]
    genres = [g for g in films.genres[target] if g and _said(g, language)]
    fits: Callable[[int], bool]
    filled: dict[str, str] = {}
    conditions: list[Condition] = []
    shape = kind
    if kind == "title":
        if not films.titles[target]:
            return None
        filled["title"] = films.titles[target]
        fits = lambda i: i != target  # noqa: E731
    elif kind == "plot words":
        words = films.words[target]
        if len(words) < 2:
            return None
        filled = {"word": words[0], "second": words[1]}
        fits = lambda i: words[0] in films.words[i] or words[1] in films.words[i]  # noqa: E731
    elif kind == "person":
        shape = str(rng.choice(["director", "actors"]))
        people = films.people[shape][target][:3]
        if not people:
            return None
        name = str(rng.choice(people))
        filled["name"] = name
        conditions = [Condition(column=shape, operator="has", value=name)]
        fits = lambda i: name in films.people[shape][i]  # noqa: E731
    else:
        if not genres:
            return None
        genre = str(rng.choice(genres))
        filled["genre"] = _said(genre, language)
        conditions = [Condition(column="genres", operator="has", value=genre)]
        year = films.years[target]
        if kind == "genre and years":
            if year is None:
                return None
            first = year // 10 * 10
            filled["decade"] = str(first)
            conditions += [Condition(column="year", operator=">=", value=first),
                           Condition(column="year", operator="<=", value=first + 9)]  # fmt: skip
            fits = lambda i: genre in films.genres[i] and (films.years[i] or 0) // 10 * 10 == first  # noqa: E731
        elif kind == "negation":
            others = sorted({g for i in likes for g in films.genres[int(i)] if g and
                             _said(g, language)} - set(films.genres[target]))  # fmt: skip
            if not others:
                return None
            other = str(rng.choice(others))
            filled["other"] = _said(other, language)
            conditions.append(Condition(column="genres", operator="has not", value=other))
            fits = lambda i: genre in films.genres[i] and other not in films.genres[i]  # noqa: E731
        else:
            fits = lambda i: genre in films.genres[i]  # noqa: E731
    relevant = tuple(int(i) for i in likes if fits(int(i)))
    if not relevant:
        return None
    text = str(rng.choice(templates[shape])).format(**filled)
    return Query(text, language, kind, task, target, relevant, tuple(conditions))


def _said(genre: str, language: str) -> str:
    """Return what people call a genre in a language, or nothing."""
    if language == "en":
        return genre.lower() if genre not in ("Children's",) else "children's"
    names = [name for name in also_called(genre) if "\u4e00" <= name[0] <= "\u9fff"]
    return next((n for n in names if n.endswith(("片", "电影"))), names[0] if names else "")
