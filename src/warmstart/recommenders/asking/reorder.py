"""The head of a list reordered by a language model: an option, off unless it was shown to pay.

The list is only permuted: whatever the model or a title says, no item can come in, none that fails
a condition, and none can leave its place by more than so many ranks. The prompt holds the request
and the titles; plots and reviews have no place in it. A late or failing model leaves the order.

Off by default: on validation users no interval of the gain lies above zero (`docs/safety.md`).
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from warmstart.core.config import Config
from warmstart.core.rng import generator
from warmstart.llm.model import LanguageModel
from warmstart.llm.rerank import CODES, rerank
from warmstart.recommenders.asking.reading import LEAST_SECONDS, Counted, within
from warmstart.recommenders.asking.retrieve import Found
from warmstart.recommenders.titles import Titles

KEPT = "the model gave no order in time: the order is the catalogue's own"


class Reranking(Config):
    """How far a language model may reorder a list.

    Attributes:
        candidates: of the best, that it is shown.
        most_ranks: by which one may move, up or down; with 1, a title that makes a model obey it
            gains one place.
        permutations: orders that are averaged.
        weight: of the model's standard score beside the base score's.
    """

    candidates: int = Field(20, ge=2, le=len(CODES))
    most_ranks: int = Field(1, ge=1)
    permutations: int = Field(2, ge=2)
    weight: float = Field(0.5, gt=0)


def reordered(
    found: Found,
    query: str,
    titles: Titles,
    model: LanguageModel,
    config: Reranking,
    *,
    seconds: float,
) -> tuple[Found, int]:
    """Return a list with its head reordered, or as it was, flagged; and the tokens of that.

    Args:
        found: the list, best first.
        query: the request.
        titles: of the catalogue.
        model: that orders.
        config: how far.
        seconds: that it may take.
    """
    n = min(len(found.items), config.candidates)
    if n < 2:
        return found, 0
    names = [titles.title(int(item)) for item in found.items[:n]]
    rng, counted = generator(0, "rerank", query), Counted(model)

    def work() -> list[int]:
        order = rerank(
            counted, query, names, found.scores[:n], most_ranks=config.most_ranks,
            permutations=config.permutations, weight=config.weight, rng=rng,
            timeout_seconds=seconds,
        )  # fmt: skip
        places: list[int] = order.tolist()
        return places

    order = None if seconds < LEAST_SECONDS else within(seconds, work)
    if order is None or sorted(order) != list(range(n)):
        return replace(found, flags=(*found.flags, KEPT)), counted.tokens
    full = [*order, *range(n, len(found.items))]
    return replace(found, items=found.items[full], scores=found.scores[full]), counted.tokens
