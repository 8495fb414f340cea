"""What reviews say, for people and for programs; a part of `warmstart data describe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from warmstart.data import Dataset
from warmstart.data.reviews import Reviews
from warmstart.encoders.aspects import Aspect, aspects

_ITEMS = 3  # described where none is named


def describe_reviews(
    reviews: Reviews, items: Sequence[str], data: Dataset | None = None
) -> tuple[dict[str, Any], list[Table]]:
    """Return what there is, and the aspects of the named items, else of the most reviewed.

    Args:
        reviews: as read.
        items: ids.
        data: knows the items' titles, whose words are no aspects.

    Raises:
        UnknownItemError: nobody wrote about a named item.
    """
    counts = reviews.counts
    chosen = [reviews.items.index(item) for item in dict.fromkeys(items)]
    if not chosen:
        chosen = [int(i) for i in np.argsort(-counts, kind="stable")[:_ITEMS]]
    titles = _titles(reviews, data)
    found = aspects(
        reviews.texts,
        reviews.item.tolist(),
        reviews.user.tolist(),
        None if reviews.rating is None else reviews.rating.tolist(),
        names=titles,
        only=chosen,
    )
    stars = None
    if reviews.rating is not None and np.isfinite(reviews.rating).any():
        stars = float(np.nanmean(reviews.rating))
    facts: dict[str, Any] = {
        "reviews": len(reviews),
        "authors": len(reviews.users),
        "items": len(reviews.items),
        "stars (mean)": stars,
        "notes": list(reviews.report.notes),
    }
    head = _table("reviews", "", "")
    for key in ("reviews", "authors", "items"):
        head.add_row(key, f"{facts[key]:,}")
    if stars is not None:
        head.add_row("stars (mean)", f"{stars:.3g}")
    for note in facts["notes"]:
        head.add_row("note", Text(note))
    facts["about"] = [
        {
            "item": reviews.items[place],
            "title": titles.get(place),
            "reviews": int(counts[place]),
            "aspects": [
                {
                    "term": aspect.term,
                    "polarity": round(aspect.polarity, 3),
                    "authors": aspect.n_authors,
                    "example": aspect.example,
                }
                for aspect in found[place]
            ],
        }
        for place in chosen
    ]
    tables = [
        _about(row["title"] or str(row["item"]), row["reviews"], found[place])
        for place, row in zip(chosen, facts["about"], strict=True)
    ]
    return facts, [head, *tables]


def _titles(reviews: Reviews, data: Dataset | None) -> dict[int, str]:
    if data is None:
        return {}
    at = data.items.find(reviews.items.values)
    return {place: data.titles[i] for place, i in enumerate(at.tolist()) if i >= 0}


def _about(title: str, n_reviews: int, found: Sequence[Aspect]) -> Table:
    table = _table(
        f"{title}, {n_reviews:,} review{'' if n_reviews == 1 else 's'}",
        "aspect",
        "polarity",
        "authors",
        "for example",
    )
    for aspect in found:
        table.add_row(
            Text(aspect.term), f"{aspect.polarity:+.2f}", str(aspect.n_authors),
            Text(aspect.example),
        )  # fmt: skip
    if not found:
        table.add_row(Text("too few authors name the same thing"), "", "", "")
    return table


def _table(title: str, *headers: str) -> Table:
    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, show_header=any(headers)
    )
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
