"""Whether what the texts say follows popularity, and whether it is the names that carry it.

An encoder was trained on texts of the world, and famous things are written about more. If items it
finds alike are the famous ones, popularity enters by the back door. So the vectors are held against
the likes of training, as they are, with the names of the items masked in every text, and with whole
texts dealt out to other items, which shows what chance gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.linalg as la

from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.core.rng import generator
from warmstart.core.types import FloatArray, IntArray
from warmstart.data import Ids, Tasks
from warmstart.data.content import Block
from warmstart.evaluation.bias import spearman
from warmstart.evaluation.metrics import ndcg
from warmstart.evaluation.significance import bootstrap_interval
from warmstart.recommenders.content import ContentMap
from warmstart.recommenders.encoding import encode_rows, trusted
from warmstart.recommenders.fitted import Fitted

AS_WRITTEN, MASKED, DEALT = "as-written", "masked", "dealt"
_FOLDS, _RESAMPLES, _FEWEST = 5, 400, 40
_PENALTIES = (1.0, 10.0, 100.0)


@dataclass(frozen=True, slots=True)
class TextRow:
    """What vectors of texts know of popularity, with 95 % intervals.

    Attributes:
        texts: "as-written", "masked" or "dealt".
        items: how many have a text left.
        similarity: Spearman's correlation of an item's mean likeness to the others and its likes.
        foretold: the same of the likes that ridge regression reads from the text, on items left
            out of the regression.
        ndcg: nDCG@10 of ranking by likeness to what a person liked, nothing else, among the items
            that are looked at.
    """

    texts: str
    items: int
    similarity: tuple[float, float, float]
    foretold: tuple[float, float, float]
    ndcg: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class TextPrior:
    """The check of the texts: rows, or why there are none.

    Attributes:
        columns: item columns that are read as text.
        rows: as written, masked where the encoder is at hand, dealt out.
        why_not: "no-text" or "few-items" where there are no rows, "no-encoder" where only the
            masked one is missing.
    """

    columns: tuple[str, ...]
    rows: tuple[TextRow, ...]
    why_not: str | None = None


def text_prior_of(
    fitted: Fitted, tasks: Tasks, *, shots: int, items_at_most: int, seed: int
) -> TextPrior:
    """Hold the vectors of the items' texts against the likes of training.

    Args:
        fitted: the model.
        tasks: the people.
        shots: what is liked of so many likes is ranked from.
        items_at_most: looked at; more are drawn from.
        seed: of draws, folds and resamples.
    """
    known = getattr(fitted.method, "content", None)
    specs = fitted.text_encoders
    specs = [s for s in specs if isinstance(known, ContentMap) and s.column in known.content]
    columns = tuple(s.column for s in specs)
    if not specs or not isinstance(known, ContentMap):
        return TextPrior((), (), "no-text")
    likes, rng = fitted.catalogue.likes, generator(seed, "text prior")
    items = np.flatnonzero(likes > 0)
    if len(items) < _FEWEST:
        return TextPrior(columns, (), "few-items")
    if len(items) > items_at_most:
        items = np.sort(rng.choice(items, items_at_most, replace=False))
    written = _joined([known.content[c].take(items) for c in columns])
    rows = [_row(AS_WRITTEN, written, items, likes, tasks, shots, seed)]
    why_not = None
    try:
        trusted(specs, trust_encoders=False)
        table = _masked_table(fitted, items, columns)
        names = fitted.catalogue.items.take(items)
        blocks, _ = encode_rows(specs, table, Ids(names))
        vectors = _joined([blocks[c] for c in columns if blocks[c].known.any()])
        rows.append(_row(MASKED, vectors, items, likes, tasks, shots, seed))
    except (ConfigError, MissingExtraError):
        why_not = "no-encoder"
    other = rng.permutation(len(items))
    dealt = (written[0][other], written[1][other])
    rows.append(_row(DEALT, dealt, items, likes, tasks, shots, seed))
    return TextPrior(columns, tuple(rows), why_not)


def masked(text: str, title: str) -> str | None:
    """Return a text without the name of its item; None where nothing is left.

    Example:
        >>> masked("In Alien (1979) a crew meets an alien.", "Alien (1979)")
        'In … (1979) a crew meets an ….'
        >>> masked("Terminator, The (1984)", "Terminator, The (1984)")
        '… (1984)'
        >>> masked("Brazil", "Brazil") is None
        True
    """
    for name in _names(title):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text if re.search(r"\w", text) else None


def _names(title: str) -> list[str]:
    """Return how an item may be called, the longest first."""
    bare = re.sub(r"\s*\([^()]*\)", "", title).strip()
    found = {bare, *re.findall(r"\(([^()]*[^()\d\W][^()]*)\)", title)}
    inverted = re.fullmatch(r"(.*), (The|A|An|Le|La|Les|Il|El|Der|Die|Das|L')", bare)
    if inverted:
        found |= {inverted[1], f"{inverted[2]} {inverted[1]}"}
    found |= {part.strip() for name in list(found) for part in name.split(":")}
    return sorted((name for name in found if name), key=lambda name: (-len(name), name))


def _masked_table(fitted: Fitted, items: IntArray, columns: Sequence[str]) -> pa.Table:
    catalogue = fitted.catalogue
    assert catalogue.table is not None
    rows = catalogue.table.take(pa.array(items))
    titles = [catalogue.titles.title(int(i)) for i in items]
    texts = {
        c: [None if t is None else masked(str(t), n) for t, n in zip(rows[c].to_pylist(), titles,
                                                                      strict=True)]
        for c in columns
    }  # fmt: skip
    return pa.table({c: pa.array(t, pa.large_string()) for c, t in texts.items()})


def _joined(blocks: Sequence[Block]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the blocks side by side, each centred and of length one, and who has any."""
    if not blocks:
        return np.zeros((0, 0), np.float32), np.zeros(0, bool)
    parts = []
    for block in blocks:
        values = block.dense().astype(np.float64)
        values = np.where(block.known[:, None], values - values[block.known].mean(axis=0), 0)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        parts.append(values / np.maximum(norms, 1e-12))
    has = np.any([block.known for block in blocks], axis=0)
    return (np.hstack(parts) / np.sqrt(len(parts))).astype(np.float32), has


def _row(
    name: str,
    texts: tuple[FloatArray, npt.NDArray[np.bool_]],
    items: IntArray,
    likes: IntArray,
    tasks: Tasks,
    shots: int,
    seed: int,
) -> TextRow:
    vectors, has = texts
    nothing = (np.nan, np.nan, np.nan)
    if has.sum() < _FEWEST:
        return TextRow(name, int(has.sum()), nothing, nothing, nothing)
    x, y = vectors[has].astype(np.float64), likes[items][has].astype(np.float64)
    likeness = x @ x.T
    mean_likeness = (likeness.sum(axis=1) - likeness.diagonal()) / (len(x) - 1)
    foretold = _foretold(x, np.log1p(y), seed)
    quality = _text_alone(vectors, items, tasks, shots)
    known = quality[np.isfinite(quality)]
    ends = bootstrap_interval(known, seed=seed) if len(known) else (np.nan, np.nan)
    mean = float(known.mean()) if len(known) else np.nan
    return TextRow(
        name,
        int(has.sum()),
        _correlation(mean_likeness, y, seed),
        _correlation(foretold, y, seed),
        (mean, float(ends[0]), float(ends[1])),
    )


def _correlation(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], seed: int
) -> tuple[float, float, float]:
    rng = generator(seed, "items")
    drawn = [rng.integers(0, len(a), len(a)) for _ in range(_RESAMPLES)]
    low, high = np.nanquantile([spearman(a[d], b[d]) for d in drawn], [0.025, 0.975])
    return spearman(a, b), float(low), float(high)


def _foretold(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.float64]:
    """Return how far above its mean ridge regression puts y, for items it was not fitted on."""
    fold = generator(seed, "folds").permutation(len(x)) % _FOLDS
    errors, told = [], []
    gram = x @ x.T  # as many unknowns as items, however wide the vectors are
    for penalty in _PENALTIES:
        out = np.empty(len(x))
        for part in range(_FOLDS):
            test, rest = fold == part, fold != part
            inner = gram[np.ix_(rest, rest)] + penalty * np.eye(int(rest.sum()))
            weights = la.solve(inner, y[rest] - y[rest].mean(), assume_a="pos")
            # without the mean: it is low where what is left out is high, which looks like knowledge
            out[test] = gram[np.ix_(test, rest)] @ weights
        errors.append(float(((out - (y - y.mean())) ** 2).mean()))
        told.append(out)
    return told[int(np.argmin(errors))]


def _text_alone(
    vectors: FloatArray, items: IntArray, tasks: Tasks, shots: int
) -> npt.NDArray[np.float64]:
    """Return (people,) nDCG@10 of ranking the items by likeness to what each person liked."""
    place = np.full(tasks.query.shape[1], -1)
    place[items] = np.arange(len(items))
    support = tasks.at(shots)
    inside = place[support.items] >= 0
    profile = np.zeros((len(tasks), vectors.shape[1]))
    np.add.at(profile, support.rows[inside], vectors[place[support.items[inside]]])
    scores = profile @ vectors.T.astype(np.float64)
    scores[support.rows[inside], place[support.items[inside]]] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    found: Any = ndcg(top, tasks.query[:, items].tocsr(), 10)
    return np.where(profile.any(axis=1), found, np.nan)
