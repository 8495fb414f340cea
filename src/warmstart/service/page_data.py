"""What the pages need beyond the API: items as cards, and how fair the lists are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from warmstart.recommenders.catalogue import Catalogue
from warmstart.service.bias import measured
from warmstart.service.routes import FAILURES, Reader, answer, service_of
from warmstart.service.schemas import Item

router = APIRouter(prefix="/v1", responses=FAILURES, tags=["pages"])

_MOST_TAGS = 6
_MOST_CHARS = 600


class Cards(BaseModel):
    """Items to be shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[list[Item], Field(min_length=1, max_length=200)]


@router.post("/cards")
async def cards(body: Cards, who: Reader, request: Request) -> Response:
    """Return what is shown of items: title, tags, year, a description, how many like them."""
    service = service_of(request)
    serving, catalogue = await service.serving(who.tenant)

    def work() -> list[dict[str, Any]]:
        found = catalogue.recommender.catalogue
        return [_card(found, found.titles.find(item)) for item in body.items]

    return answer({"cards": await service.compute(work), "model": serving.version})


@router.get("/bias")
async def bias(who: Reader, request: Request) -> Response:
    """Return how popular the items of lists are, how many items get onto one, and by whom."""
    service = service_of(request)
    serving, catalogue = await service.serving(who.tenant)
    fitted = catalogue.recommender.fitted
    kept: dict[str, tuple[Any, dict[str, Any]]]
    kept = request.app.state.__dict__.setdefault("bias", {})
    found = kept.get(who.tenant)
    if found is None or found[0] is not fitted:
        found = kept[who.tenant] = (fitted, await service.compute(measured, fitted))
    return answer(found[1] | {"model": serving.version})


def _card(catalogue: Catalogue, at: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if catalogue.table is not None:
        row = catalogue.table.slice(at, 1).to_pylist()[0]
    return {
        "item": catalogue.items[at],
        "title": catalogue.titles.title(at),
        "tags": _tags(catalogue, row),
        "year": row.get("year"),
        "description": _description(catalogue, row),
        "likes": int(catalogue.likes[at]),
        "new": at >= len(catalogue) - catalogue.n_new,
    }


def _tags(catalogue: Catalogue, row: dict[str, Any]) -> list[str]:
    """Return the values of the columns that hold categories; those with several come first."""
    kinds, found = catalogue.schema.items, list[str]()
    for kind in ("multi-category", "category"):
        for name, column in kinds.items():
            if column.kind == kind and name != catalogue.schema.title and row.get(name) is not None:
                value = row[name]
                parts = value if isinstance(value, list) else [value]
                if isinstance(value, str) and column.separator:
                    parts = value.split(column.separator)
                found += [str(part).strip()[:60] for part in parts if str(part).strip()]
    return list(dict.fromkeys(found))[:_MOST_TAGS]


def _description(catalogue: Catalogue, row: dict[str, Any]) -> str:
    """Return the longest text that is not the title."""
    texts = [
        str(row[name])
        for name, column in catalogue.schema.items.items()
        if column.kind == "text" and name != catalogue.schema.title and row.get(name) is not None
    ]
    longest = max(texts, key=len, default="")
    return longest if len(longest) <= _MOST_CHARS else longest[: _MOST_CHARS - 1] + "…"
