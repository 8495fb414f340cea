"""From a sentence to a list, on MovieLens-1M: `python -m benchmarks.content.text_to_list`.

Somebody without any history types a wish, in English or in Chinese, and ten films come back. How
many of them fulfil the wish is known from genres, years and plots; `intents.json` says how. The
keyword baseline reads the very texts in which plot words are looked for, so on the kind "plot" it
is close to an oracle. Settings are chosen on the development half; the test half is apart.

The data is private: `WARMSTART_DATA/ml-1m` with `items_text.parquet` and `posters/`. A result is
added, never edited.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field

from benchmarks import records
from benchmarks.content.cold_items import CHOICES, RESULTS, TEXTS, films
from warmstart.core.config import Config
from warmstart.core.errors import ConfigError
from warmstart.core.rng import generator
from warmstart.data import Dataset
from warmstart.data.content import Block
from warmstart.encoders import encode
from warmstart.encoders.text import SentenceEncoder
from warmstart.evaluation.metrics import hits, mean_popularity
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.index import top_k
from warmstart.recommenders import Recommender, load
from warmstart.recommenders.comparison import hardware, versions
from warmstart.recommenders.default_config import DefaultConfig
from warmstart.recommenders.encoding import encode_items

INTENTS = Path(__file__).with_name("intents.json")
KINDS = ("genre", "era", "genre and era", "plot", "two genres", "negation")
HALVES = ("development", "test")
LANGUAGES = ("en", "zh")
OURS = "warmstart"
REFERENCE = "centred cosine, one text"
NOTHING = {
    "en": ("a film", "a movie", "some film to watch", "recommend me a movie",
           "what should I watch tonight"),
    "zh": ("电影", "片子", "想看一部电影", "推荐一部电影", "今晚看什么"),
}  # fmt: skip
"""Wishes that say nothing; a query is centred by their mean, for queries are no plots."""

Truth = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


class Intent(Config):
    """A wish, and which films fulfil it: all conditions must hold.

    Attributes:
        id: its name.
        kind: what is said.
        half: "development", by which settings may be chosen, or "test".
        en: as typed in English.
        zh: as typed in Chinese.
        genres: a film has all of them.
        years: first and last one, None for any.
        words: at least one occurs in plot or abstract; `word*` begins a word.
        without: a film has none of these genres.
    """

    id: str
    kind: Literal["genre", "era", "genre and era", "plot", "two genres", "negation"]
    half: Literal["development", "test"]
    en: str
    zh: str
    genres: tuple[str, ...] = ()
    years: tuple[int | None, int | None] = (None, None)
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class TextToList(Config):
    """Settings of the measurement.

    Attributes:
        k: length of the lists.
        least_likes: films with fewer leave the catalogue.
        least_matching: an intent that fewer films fulfil is left out.
        seed: of the model, and of the lot that breaks ties.
        model: settings of the default.
    """

    k: int = Field(10, ge=1)
    least_likes: int = 10
    least_matching: int = Field(20, ge=1)
    seed: int = Field(0, ge=0)
    model: DefaultConfig = DefaultConfig()


@dataclass(frozen=True, slots=True)
class Judged:
    """One method's lists in one language.

    Attributes:
        precision: (intents,) share of the list that fulfils the intent.
        unwanted: (intents,) share that has a genre which is not wanted.
        likes: (intents,) mean number of likes.
    """

    precision: Values
    unwanted: Values
    likes: Values


def read_intents(path: Path = INTENTS) -> list[Intent]:
    """Return the intents of a file.

    Raises:
        ConfigError: one of them is malformed.
    """
    return [Intent.parse(values) for values in json.loads(path.read_text("utf8"))["intents"]]


def fulfils(intent: Intent, table: pa.Table) -> Truth:
    """Return (films,) which fulfil the intent.

    Args:
        intent: the wish.
        table: films with `genres` joined by `|`, `year`, `plot` and `abstract`.

    Example:
        >>> rows = {"genres": ["War|Drama", "War", "War"], "year": ["1950", "1950", None],
        ...         "plot": ["A spy.", "Spying.", "A spy."], "abstract": [None, None, None]}
        >>> wish = {"id": "a", "kind": "plot", "half": "test", "en": "spies", "zh": "间谍"}
        >>> fulfils(Intent(**wish, words=("spy",)), pa.table(rows)).tolist()
        [True, False, True]
        >>> fulfils(Intent(**wish, words=("spy*",), years=(None, 1950)), pa.table(rows)).tolist()
        [True, True, False]
    """
    found = np.ones(len(table), bool)
    for genre in intent.genres:
        found &= any_genre(table, [genre])
    if intent.without:
        found &= ~any_genre(table, intent.without)
    first, last = intent.years
    if first is not None or last is not None:
        years = np.array([float(y or "nan") for y in table["year"].to_pylist()])
        found &= (years >= (first or -np.inf)) & (years <= (last or np.inf))
    if intent.words:
        said = pattern(intent.words)
        texts = zip(table["plot"].to_pylist(), table["abstract"].to_pylist(), strict=True)
        found &= np.array([said.search(f"{p or ''}\n{a or ''}") is not None for p, a in texts])
    return found


def any_genre(table: pa.Table, genres: Sequence[str]) -> Truth:
    """Return (films,) which have at least one of the genres."""
    wanted = set(genres)
    return np.array([bool(wanted & set((g or "").split("|"))) for g in table["genres"].to_pylist()])


def pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Return what finds any of the words; `word*` begins a word, others are whole words.

    Example:
        >>> found = pattern(["vampir*", "dog"])
        >>> [found.search(t) is not None for t in ("Vampires!", "a DOG", "dogma", "hot-dog")]
        [True, True, False, True]
    """
    each = (re.escape(w.removesuffix("*")) + (r"\w*" if w.endswith("*") else "") for w in words)
    return re.compile(rf"\b(?:{'|'.join(each)})\b", re.IGNORECASE)


def cosine(block: Block, queries: np.ndarray, *, centre: np.ndarray | None = None) -> np.ndarray:
    """Return (queries, items) cosines, 0 where an item has no vector.

    Args:
        block: of the items.
        queries: (queries, dim) vectors of the same encoder.
        centre: (dim,) what is taken from the queries, as the items' mean is from the items; None
            leaves both sides as they are.
    """
    values, queries = block.dense().copy(), np.asarray(queries, np.float32)
    if centre is not None:  # not the items' mean on both sides: that costs a seventh in precision
        values[block.known] -= values[block.known].mean(axis=0)
        queries = queries - centre
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
    return np.asarray(queries @ values.T)


def mean_cosine(blocks: Sequence[Block], queries: np.ndarray, *, centre: np.ndarray) -> np.ndarray:
    """Return (queries, items) centred cosines, averaged over the texts that an item has."""
    total = np.sum([cosine(block, queries, centre=centre) for block in blocks], axis=0)
    known = np.sum([block.known for block in blocks], axis=0)
    return np.asarray(total / np.maximum(known, 1))


def keywords(texts: Sequence[str], queries: Sequence[str]) -> np.ndarray:
    """Return (queries, items) TF-IDF cosines over English words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    items = words.fit_transform(texts)
    return np.asarray((words.transform(queries) @ items.T).toarray())


def best(scores: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Return (queries, k) the best items; ties, such as those of no common word, go by lot."""
    lot = generator(seed, "ties").permutation(scores.shape[1])
    top, _ = top_k(np.ascontiguousarray(scores[:, lot], np.float32), k)
    return np.asarray(lot[top])


def served(
    model: Recommender, queries: Sequence[str], k: int, items: Sequence[str | int]
) -> np.ndarray:
    """Return (queries, k) what the model recommends to a text, -1 where a list has ended.

    Raises:
        ConfigError: the model recommends an item that is not in the catalogue.
    """
    place = {item: i for i, item in enumerate(items)}
    out = np.full((len(queries), k), -1)
    ask: Any = model.recommend  # `text` is newer than some models' code
    for row, query in zip(out, queries, strict=True):
        for i, found in enumerate(ask(text=query, k=k, explain=False)):
            if found.item not in place:
                raise ConfigError(
                    f"the model recommends {found.item!r}, which is not in the catalogue; train "
                    "it on the films with enough likes"
                )
            row[i] = place[found.item]
    return out


def reads_text() -> bool:
    """Whether this version of `Recommender.recommend` takes a text."""
    return "text" in inspect.signature(Recommender.recommend).parameters


def judged(top: np.ndarray, truth: Truth, unwanted: Truth, likes: np.ndarray) -> Judged:
    """Judge lists.

    Args:
        top: (intents, k) items, -1 for none: a miss.
        truth: (intents, items) which fulfil the intent.
        unwanted: (intents, items) which have an unwanted genre.
        likes: (items,) of each.
    """
    return Judged(
        hits(top, sp.csr_array(truth)).mean(axis=1),
        hits(top, sp.csr_array(unwanted)).mean(axis=1),
        mean_popularity(top, likes),
    )


def by_chance(truth: Truth, unwanted: Truth, likes: np.ndarray) -> Judged:
    """Return what lists drawn by lot have on average."""
    return Judged(
        truth.mean(axis=1), unwanted.mean(axis=1), np.full(len(truth), likes.mean(), np.float64)
    )


def run(
    folder: Path, config: TextToList, now: datetime, model: Path | None = None
) -> dict[str, Any]:
    """Judge every method on every intent, in both languages."""
    begun, code = time.perf_counter(), records.commit()
    data = films(folder)
    enough = np.bincount(data.positives().indices, minlength=data.n_items) >= config.least_likes
    data = data.restrict(enough[data.interactions.item]).at_least(users_per_item=1)
    data, report = encode_items(data, ["whole", *TEXTS, "poster"], root=folder / "posters")
    print(report.summary(), flush=True)
    table = data.item_table
    assert table is not None
    intents, left_out = read_intents(), {}
    for intent in list(intents):
        n = int(fulfils(intent, table).sum())
        if n < config.least_matching:
            intents.remove(intent)
            left_out[intent.id] = n
    truth = np.stack([fulfils(i, table) for i in intents])
    unwanted = np.stack([any_genre(table, i.without) for i in intents])
    likes = np.bincount(data.positives().indices, minlength=data.n_items)
    found: dict[str, dict[str, Judged]] = {}

    def judge(name: str, language: str, top: np.ndarray) -> None:
        found.setdefault(name, {})[language] = judged(top, truth, unwanted, likes)
        print(name, language, f"{found[name][language].precision.mean():.3f}", flush=True)

    popular = best(np.tile(likes, (len(intents), 1)), config.k, config.seed)
    for language in LANGUAGES:  # neither reads the query
        found.setdefault("chance", {})[language] = by_chance(truth, unwanted, likes)
        judge("popularity", language, popular)
    asked = {"en": [i.en for i in intents], "zh": [i.zh for i in intents]}
    abstracts = table["abstract"].to_pylist()
    texts = [f"{w} {a or ''}" for w, a in zip(table["whole"].to_pylist(), abstracts, strict=True)]
    judge("keywords", "en", best(keywords(texts, asked["en"]), config.k, config.seed))
    encoder, content = SentenceEncoder(), data.content
    three = [content[c] for c in TEXTS]
    for language, queries in asked.items():
        vectors = encode(encoder, queries).vectors
        centre = encode(encoder, NOTHING[language]).vectors.mean(axis=0)
        for name, scores in {
            "cosine, one text": cosine(content["whole"], vectors),
            REFERENCE: cosine(content["whole"], vectors, centre=centre),
            "centred cosine, three texts": mean_cosine(three, vectors, centre=centre),
        }.items():
            judge(name, language, best(scores, config.k, config.seed))
    seconds = None
    if reads_text():
        start = time.perf_counter()
        ours = load(model) if model else _trained(data, config)
        seconds = round(time.perf_counter() - start, 1)
        for language, queries in asked.items():
            judge(OURS, language, served(ours, queries, config.k, list(data.items)))
    else:
        print(f"{OURS} is left out: this Recommender.recommend takes no text", flush=True)
    return {
        "experiment": "text-to-list",
        "dataset": data.name,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": code,
        "config": config.model_dump(mode="json"),
        "seeds": [config.seed],
        "protocol": f"{len(intents)} intents in English and Chinese, no history; precision@"
        f"{config.k} over {data.n_items:,} films with at least {config.least_likes} likes; "
        "intervals by resampling intents",
        "left_out": left_out,
        "rows": [row(m, half, sides, intents) for half in HALVES for m, sides in found.items()],
        "minus_reference": [
            minus(m, half, sides, found[REFERENCE], intents)
            for half in HALVES
            for m, sides in found.items()
            if m != REFERENCE
        ],
        "intents": [
            {
                "id": intent.id,
                "matching": int(truth[i].sum()),
                "precision": {
                    m: {lang: float(side.precision[i]) for lang, side in sides.items()}
                    for m, sides in found.items()
                },
            }
            for i, intent in enumerate(intents)
        ],
        "fit_seconds": None if model else seconds,
        "hardware": hardware(),
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - begun, 1),
    }


def _trained(data: Dataset, config: TextToList) -> Recommender:
    """Return the default, trained on all likes and the content that a service would have."""
    kept = CHOICES["all"]
    data = replace(
        data,
        item_vectors={n: b for n, b in data.item_vectors.items() if n in kept},
        item_encoders=tuple(e for e in data.item_encoders if e.column in kept),
    )
    return Recommender(config=config.model, seed=config.seed).fit(data)


def row(
    method: str, half: str, sides: Mapping[str, Judged], intents: Sequence[Intent]
) -> dict[str, Any]:
    """Return one method's row of one half: each language, and Chinese minus English.

    Args:
        method: its name.
        half: which intents count.
        sides: language → lists, over all intents.
        intents: in the order of the lists.
    """
    here = np.array([i.half == half for i in intents])
    averse = here & np.array([bool(i.without) for i in intents])
    found: dict[str, Any] = {"half": half, "method": method, "intents": int(here.sum())}
    for language, side in sides.items():
        kinds = {k: here & np.array([i.kind == k for i in intents]) for k in KINDS}
        found[language] = {
            "precision": _mean(side.precision[here]),
            "by_kind": {k: float(side.precision[m].mean()) for k, m in kinds.items() if m.any()},
            "unwanted": _mean(side.unwanted[averse]),
            "likes": float(np.nanmean(side.likes[here])),
        }
    if set(sides) == set(LANGUAGES):
        gap = sides["zh"].precision - sides["en"].precision
        found["zh_minus_en"] = _mean(gap[here])
    return found


def minus(
    method: str,
    half: str,
    sides: Mapping[str, Judged],
    reference: Mapping[str, Judged],
    intents: Sequence[Intent],
) -> dict[str, Any]:
    """Return a method's precision minus the reference's on the same intents, by language."""
    here = np.array([i.half == half for i in intents])
    gaps = {lang: side.precision - reference[lang].precision for lang, side in sides.items()}
    found: dict[str, Any] = {lang: _mean(gap[here]) for lang, gap in gaps.items()}
    return {"half": half, "method": method, "reference": REFERENCE} | found


def _mean(values: Values) -> list[float] | None:
    """Return mean, and lower and upper end of its interval; None where there is nothing."""
    if not len(values):
        return None
    low, high = bootstrap_interval(values)
    return [float(values.mean()), float(low), float(high)]


if __name__ == "__main__":
    sys.exit(
        records.command(
            "From a sentence to a list.",
            TextToList,
            run,
            folder="ml-1m",
            stem="text-to-list-ml-1m",
            out=RESULTS,
            model="saved model of these films; trains none",
        )
    )
