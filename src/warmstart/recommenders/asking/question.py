"""One good question back: the choice that splits a list best.

Of all pairs of categories, the pair of which most items have exactly one, and both sides about as
many. Without categories, two items of the list are set against each other.
"""

from __future__ import annotations

from itertools import combinations

from warmstart.core.types import IntArray
from warmstart.recommenders.asking.retrieve import Retriever

_MOST_VALUES = 12  # that occur most in the list: of more, pairs are many and small
_FEWEST = 2  # items on each side


def question(retriever: Retriever, items: IntArray, language: str) -> str | None:
    """Return a question that splits a list, in the language of the request; None for short lists.

    Args:
        retriever: of the catalogue.
        items: dense indices of the list, which may be longer than what was shown.
        language: "zh" and "mixed" are asked in Chinese, others in English.
    """
    chinese = language in ("zh", "mixed")
    pair = best_split(retriever, items)
    if pair is not None:
        (column, one), (_, other) = pair
        known, spoken = retriever.attributes, "zh" if chinese else "en"
        one, other = known.called(column, one, spoken), known.called(column, other, spoken)
        if chinese:
            return f"你更想要{one}，还是{other}？"
        return f"Would you rather have {one} or {other}?"
    if len(items) < 2:
        return None
    titles = [retriever.fitted.catalogue.titles.title(int(i)) for i in items[:2]]
    if chinese:
        return f"《{titles[0]}》和《{titles[1]}》，你更喜欢哪一个？"
    return f"Which do you like better: {titles[0]} or {titles[1]}?"


def best_split(
    retriever: Retriever, items: IntArray
) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Return two values of one column that split a list best, or None.

    Args:
        retriever: of the catalogue.
        items: dense indices.
    """
    owners: dict[tuple[str, str], set[int]] = {}
    for item in map(int, items):
        for pair in retriever.kinds(item):
            owners.setdefault(pair, set()).add(item)
    often = sorted(owners, key=lambda pair: (-len(owners[pair]), pair))[:_MOST_VALUES]
    best, most = None, _FEWEST - 1
    for one, other in combinations(often, 2):
        if one[0] != other[0]:
            continue
        sides = len(owners[one] - owners[other]), len(owners[other] - owners[one])
        if min(sides) > most:
            best, most = (one, other), min(sides)
    return best
