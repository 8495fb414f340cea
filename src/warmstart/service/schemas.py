"""What requests hold, and what answers hold; every text, number and list is bounded.

Ids of users and events are text; an integer is the text of its digits. Ids of items keep the type
that they have in the catalogue, whichever way they are written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from warmstart.recommenders.rules import Boost, Pin, Quota

MOST_K = 500
MOST_EVENTS = 5_000
MOST_ITEMS = 1_000
MOST_HISTORY = 500
MOST_CHARS = 1_000
_COLUMNS = 200

_Int64 = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
_Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Cell = bool | _Int64 | _Float | Annotated[str, StringConstraints(max_length=100_000)] | None
_Value = bool | _Int64 | _Float | Annotated[str, StringConstraints(max_length=500)] | None


def _as_text(value: Any) -> Any:  # noqa: ANN401  (whatever is to be validated)
    return str(value) if type(value) is int and -(2**63) <= value < 2**63 else value


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    BeforeValidator(_as_text),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}
    ),
]
"""Of a user or an event."""

# tried in this order: no value fits two of them, and to try all takes twice as long
_IN_ORDER = Field(union_mode="left_to_right")

Item = Annotated[
    _Int64 | Annotated[str, StringConstraints(min_length=1, max_length=500)], _IN_ORDER
]
"""An id, or a title."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    pass


class Past(_Body):
    """One thing that a user did: with which item, and what, or how good it was."""

    item: Item
    event: _Name | None = None
    rating: _Float | _Int64 | None = None
    value: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None


class Range(_Body):
    """Bounds of a column, both included."""

    min: _Int64 | _Float | None = None
    max: _Int64 | _Float | None = None


_Condition = Annotated[
    Annotated[str, StringConstraints(max_length=4_000)]
    | Annotated[
        dict[_Column, Range | Annotated[list[_Value], Field(max_length=200)] | _Value],
        Field(max_length=50),
    ],
    Field(
        description="A condition on the item columns: an expression, as "
        "`genres has Comedy and year >= 1980`, or a mapping of columns to a value, a list of "
        "which any will do, or `{min, max}`. It is parsed, never evaluated."
    ),
]
# tuples: a default that cannot change is not copied for every request
_Histories = Annotated[
    tuple[Annotated[Past | Item, _IN_ORDER], ...], Field(max_length=MOST_HISTORY)
]
_Items = Annotated[tuple[Item, ...], Field(max_length=MOST_HISTORY)]
_K = Annotated[int, Field(strict=True, ge=1, le=MOST_K)]


class Person(_Body):
    """Whom it is about: a user whose events are stored, or a history, or both, or nobody."""

    user: Id | None = Field(None, description="Whose stored events count, the last one too.")
    history: _Histories = ()
    dislikes: _Items = ()
    features: Annotated[dict[_Column, _Value], Field(max_length=_COLUMNS)] | None = Field(
        None, description="What is known of the user: columns that the model was trained with."
    )


class Recommend(Person):
    """A list for somebody."""

    k: _K = 10
    text: Annotated[str, StringConstraints(max_length=MOST_CHARS)] | None = None
    filters: _Condition | None = None
    exclude: _Items = ()
    boost: Annotated[tuple[Boost, ...], Field(max_length=50)] = ()
    pin: Annotated[tuple[Pin, ...], Field(max_length=100)] = ()
    quota: Annotated[tuple[Quota, ...], Field(max_length=50)] = ()
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    explore: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    explain: bool = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user": "u1", "k": 10},
                {"history": [{"item": 1, "event": "like"}], "k": 3, "explain": True},
            ]
        }
    )


class Similar(_Body):
    """The items most like one."""

    item: Item
    k: _K = 10

    model_config = ConfigDict(json_schema_extra={"examples": [{"item": 1, "k": 3}]})


class NewEvent(_Body):
    """Something that a user did."""

    id: Id = Field(description="The client's own; sent again, the event is kept once.")
    user: Id
    item: Item = Field(description="An id; it need not be in the catalogue yet.")
    event: _Name = "like"
    value: _Float | _Int64 | None = Field(
        None,
        description="Of a rating: stars on the model's scale, or evidence from -1 to 1 where the "
        "model has none. Kept with other events, and not read.",
    )
    timestamp: Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False)] | None = Field(
        None, description="Seconds since the epoch; now, if it is left out."
    )


class NewEvents(_Body):
    """Events, of any users."""

    events: Annotated[list[NewEvent], Field(max_length=MOST_EVENTS)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "id": "e1",
                            "user": "u1",
                            "item": 1,
                            "event": "like",
                            "timestamp": 1700000000,
                        }
                    ]
                }
            ]
        }
    )


Row = Annotated[
    dict[_Column, _Cell | Annotated[list[_Cell], Field(max_length=200)]],
    Field(min_length=1, max_length=_COLUMNS),
]


class ItemRows(_Body):
    """Rows of the items table: `item`, and the columns that are known."""

    items: Annotated[list[Row], Field(min_length=1, max_length=MOST_ITEMS)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"item": 9001, "title": "Dust (2026)", "genres": "Western"}]}]
        }
    )


class ItemIds(_Body):
    """Ids of items."""

    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_ITEMS)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [9001]}]})


class Onboarding(_Body):
    """What a new user has said so far."""

    history: _Histories = ()
    dislikes: _Items = ()
    not_seen: _Items = ()
    skipped: _Items = ()
    filters: _Condition | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"history": [1], "not_seen": [2]}]})


class Ask(Person):
    """A request in somebody's own words, English or Chinese."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=MOST_CHARS)]
    k: _K = 10
    conversation: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="Of the answer before, to go on from it."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "quiet space films"}]})


class Explain(Person):
    """Why items are, or would be, on somebody's list."""

    items: Annotated[list[Item], Field(min_length=1, max_length=100)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": "u1", "items": [1]}]})


class ModelPath(_Body):
    """A saved model, below the folder that models may be loaded from."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class Line(_Answer):
    """One place of a list."""

    item: str | int
    title: str
    score: float
    reason: str | None = None
    propensity: float | None = None
    explored: bool | None = None


class Listed(_Answer):
    """A list, and the model that made it."""

    items: list[Line]
    model: str


class Kept(_Answer):
    """What became of events; they are on the disk."""

    accepted: int
    duplicates: int
    refused: list[str] = Field(description="Users who were deleted; nothing of them is kept.")


class StoredEvent(_Answer):
    """An event as it is kept."""

    id: str
    user: str
    item: str | int
    event: str
    value: float | None
    timestamp: float


class User(_Answer):
    """Everything that is held about a user."""

    user: str
    events: list[StoredEvent]


class Gone(_Answer):
    """A deleted user."""

    user: str
    events: int


class Changed(_Answer):
    """How many items changed; they are served already, and the change is on the disk."""

    changed: int
    model: str


class Evidence(_Answer):
    """What one event does for an item."""

    item: str | int
    title: str
    weight: float = Field(description="Against the largest of this request, which is 1 or -1.")


class Explained(_Answer):
    """Why one item is on a list."""

    item: str | int
    title: str
    score: float
    uncertainty: float | None = Field(description="Of the score, in its own units.")
    reason: str
    evidence: list[Evidence]


class Explanation(_Answer):
    """Why items are on a list."""

    items: list[Explained]
    model: str


class Asked(_Answer):
    """The next question, or null where nothing is left to ask."""

    question: dict[str, Any] | None
    model: str


class Models(_Answer):
    """The model that serves, the one before it, and what can be loaded."""

    current: str
    previous: str | None
    available: list[str]


class Failure(_Answer):
    """Why there is no answer."""

    class Fault(_Answer):
        """A code for programs and a message for people."""

        code: str
        message: str
        proposals: list[str] | None = None

    error: Fault


Scope = Literal["read", "write", "admin"]
