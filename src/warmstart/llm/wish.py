"""What a request in somebody's own words asks for, in a form that programs can check.

Filled in by rules or by a language model, and never more than data: a column, a value and a name
count only once the catalogue has them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from warmstart.core.config import Config

MOST_ITEMS = 100
"""Of a list that somebody asks for."""

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "has", "has not"]
Language = Literal["en", "zh", "mixed", "other"]


class Condition(Config):
    """A condition that every item of the list must meet.

    Attributes:
        column: of the items table.
        operator: "has" and "has not" are for columns of several values, such as genres.
        value: as it stands in the column, or a number.
    """

    column: str = Field(min_length=1, max_length=100)
    operator: Operator
    value: str | int | float


class Wish(Config):
    """A request, understood.

    Attributes:
        domain: what kind of thing is asked for ("films", 电影), if it is said.
        likes: what the items should be like, in the words of the request.
        dislikes: what they should not be like.
        liked_items: names of items that the user likes, as they were written.
        disliked_items: names of items that the user does not like.
        filters: what every item must meet.
        count: how many items are asked for.
        language: that the request is written in.
        confidence: how sure the parser is that it understood, from 0 to 1.

    Example:
        >>> Wish(likes=("space",), filters=[Condition(column="year", operator="<", value=1990)])
        Wish(domain=None, likes=('space',), dislikes=(), liked_items=(), disliked_items=(), \
filters=(Condition(column='year', operator='<', value=1990),), count=None, language='en', \
confidence=0.0)
    """

    domain: str | None = Field(None, max_length=100)
    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()
    liked_items: tuple[str, ...] = ()
    disliked_items: tuple[str, ...] = ()
    filters: tuple[Condition, ...] = ()
    count: int | None = Field(None, ge=1, le=MOST_ITEMS)
    language: Language = "en"
    confidence: float = Field(0.0, ge=0, le=1)
