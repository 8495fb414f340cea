"""What reviewers praise of each item: facts for reasons, never words of a single reviewer."""

from __future__ import annotations

from warmstart.data.reviews import Reviews
from warmstart.encoders.aspects import aspects
from warmstart.llm.clean import clean
from warmstart.recommenders.catalogue import Catalogue

_LIKED = 0.2  # mean polarity, from -1 to 1
_FEWEST_AUTHORS = 2
_LONGEST = 40  # characters


def praised(reviews: Reviews, catalogue: Catalogue) -> dict[int, tuple[str, ...]]:
    """Return what is praised of the items, by dense index, the most their own first.

    An aspect counts once for each author, and needs two of them.

    Args:
        reviews: of the items; those of items outside the catalogue are left out.
        catalogue: of the model.
    """
    at = catalogue.items.find(reviews.items.values)
    known = [place for place, item in enumerate(at.tolist()) if item >= 0]
    found = aspects(
        reviews.texts,
        reviews.item.tolist(),
        reviews.user.tolist(),
        None if reviews.rating is None else reviews.rating.tolist(),
        names={place: catalogue.titles.title(int(at[place])) for place in known},
        only=known,
    )
    praise = {
        int(at[place]): tuple(
            clean(aspect.term, _LONGEST)
            for aspect in found.get(place, ())
            if aspect.polarity >= _LIKED and aspect.n_authors >= _FEWEST_AUTHORS
        )
        for place in known
    }
    return {item: terms for item, terms in praise.items() if terms}
