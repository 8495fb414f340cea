"""Words that stand in the items' titles, texts and categories: BM25, English and Chinese.

score = Σ over the words asked for of idf · tf (k + 1) / (tf + k (1 − b + b · length / mean length))

English is cut into words, plurals folded; Chinese into pairs of characters. Built with SciPy's
sparse matrices alone, once for a catalogue.

Reference: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from warmstart.core.types import FloatArray
from warmstart.recommenders.catalogue import Catalogue

_K, _B = 1.2, 0.75
_TITLE_WEIGHT = 2
_RUN = re.compile("[\u3400-\u9fff]+|[^\\W_\u3400-\u9fff]+")
_STOP = frozenset(
    "a an and are as at be but by for from had has have he her his i if in into is it its me my no "
    "not of on or our she so some that the their them they this to was we were what when which who "
    "will with you your film films movie movies book books about like more one two 电影 "
    "影片".split()
)


@dataclass(frozen=True)
class Lexical:
    """An index of what the items say.

    Attributes:
        terms: term → its column.
        weights: (items, terms) BM25 weight of each term in each item.

    Example:
        >>> index = Lexical.of_texts(["a submarine under ice", "潜水艇大战", "two dogs"])
        >>> [int(index.score([asked]).argmax()) for asked in ("submarines", "潜水艇")]
        [0, 1]
    """

    terms: dict[str, int]
    weights: sp.csc_array

    @classmethod
    def of(cls, catalogue: Catalogue) -> Lexical:
        """Return the index of a catalogue: titles, texts, categories."""
        titles = [catalogue.titles.title(i) for i in range(len(catalogue))]
        texts = [[title] * (_TITLE_WEIGHT - 1) for title in titles]
        for parts, more in zip(texts, read(catalogue, 0, len(catalogue)), strict=True):
            parts.append(more)
        return cls.of_texts([" \n ".join(parts) for parts in texts])

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Lexical:
        """Return the index of one text for each item."""
        terms: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        for row, text in enumerate(texts):
            for word in words_of(text):
                rows.append(row)
                columns.append(terms.setdefault(word, len(terms)))
        shape = (len(texts), max(len(terms), 1))
        counts = sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        counts.sum_duplicates()
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        relative = lengths / max(float(lengths.mean()) if len(lengths) else 1.0, 1e-9)
        at = np.repeat(np.arange(shape[0]), np.diff(counts.indptr))
        df = np.bincount(counts.indices, minlength=shape[1])
        idf = np.log1p((shape[0] - df + 0.5) / (df + 0.5))
        damped = counts.data + _K * (1 - _B + _B * relative[at])
        counts.data = (idf[counts.indices] * counts.data * (_K + 1) / damped).astype(np.float32)
        return cls(terms, sp.csc_array(counts))

    def score(self, phrases: Iterable[str]) -> FloatArray:
        """Return (items,) how well each item's words match the phrases'."""
        asked = [self.terms[w] for phrase in phrases for w in words_of(phrase) if w in self.terms]
        out = np.zeros(self.weights.shape[0], np.float32)
        for term in asked:
            first, last = self.weights.indptr[term], self.weights.indptr[term + 1]
            out[self.weights.indices[first:last]] += self.weights.data[first:last]
        return out

    def shared(self, phrases: Iterable[str], item: int) -> list[str]:
        """Return the words of the phrases that stand in an item's texts, as they were written."""
        found = []
        for phrase in phrases:
            for run in _RUN.findall(phrase):
                terms = [self.terms[w] for w in words_of(run) if w in self.terms]
                if terms and len(terms) == len(words_of(run)):
                    held = [self._holds(term, item) for term in terms]
                    if all(held):
                        found.append(run)
        return list(dict.fromkeys(found))

    def _holds(self, term: int, item: int) -> bool:
        first, last = self.weights.indptr[term], self.weights.indptr[term + 1]
        return bool((self.weights.indices[first:last] == item).any())


def read(catalogue: Catalogue, first: int, n: int) -> list[str]:
    """Return what each of `n` items says, from the `first` on: title, texts, categories."""
    table, schema = catalogue.table, catalogue.schema
    texts = [[catalogue.titles.title(i)] for i in range(first, first + n)]
    for name, column in schema.items.items():
        if table is None or name not in table.column_names or name == schema.title:
            continue
        if column.kind in ("text", "category", "multi-category"):
            cells = table[name].slice(first, n).to_pylist()
            for parts, cell in zip(texts, cells, strict=True):
                if cell is not None:
                    parts.append(" ".join(cell) if isinstance(cell, list) else str(cell))
    return [" \n ".join(parts) for parts in texts]


def words_of(text: str) -> list[str]:
    """Return the terms of a text: words without their plural, pairs of Chinese characters.

    Example:
        >>> words_of("The Dogs of 战争片"), words_of("龙"), words_of("İki")
        (['dog', '战争', '争片'], ['龙'], ['iki'])
    """
    found: list[str] = []
    for run in _RUN.findall(text.lower().replace("i\u0307", "i")):  # the lower case of İ is two
        if "\u3400" <= run[0] <= "\u9fff":
            found += [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]
        elif run not in _STOP:
            found.append(_singular(run))
    return [word for word in found if word not in _STOP]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
