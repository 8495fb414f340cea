"""What the pages need beyond the API: items as cards, and how fair the lists are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from warmstart.recommenders.catalogue import Catalogue
from warmstart.service import posters
from warmstart.service.bias import measured
from warmstart.service.problems import Problem
from warmstart.service.routes import FAILURES, Reader, answer, service_of
from warmstart.service.schemas import Item

router = APIRouter(prefix="/v1", responses=FAILURES, tags=["pages"])

_MOST_TAGS = 6
_MOST_CHARS = 600


class Cards(BaseModel):
    """Items to be shown."""

    items: Annotated[list[Item], Field(min_length=1, max_length=200)]

    model_config = ConfigDict(extra="forbid", frozen=True)


class Poster(BaseModel):
    """An item whose picture is wanted."""

    item: Item

    model_config = ConfigDict(extra="forbid", frozen=True)


@router.post("/cards")
async def cards(body: Cards, who: Reader, request: Request) -> Response:
    """Return what is shown of items: title, tags, year, a description, how many like them."""
    service = service_of(request)
    serving, catalogue = await service.serving(who.tenant)

    def work() -> list[dict[str, Any]]:
        found = catalogue.recommender.catalogue
        root = service.config.content_root
        return [_card(found, found.titles.find(item), root) for item in body.items]

    return answer({"cards": await service.compute(work), "model": serving.version})


@router.post("/poster", response_class=Response)
async def poster(body: Poster, who: Reader, request: Request) -> Response:
    """Return the picture that an item's row names, a file below `--content-root`."""
    service = service_of(request)
    _, catalogue = await service.serving(who.tenant)

    def work() -> tuple[bytes, str] | None:
        found = catalogue.recommender.catalogue
        name = posters.named(found, _row(found, found.titles.find(body.item)))
        path = posters.path_of(service.config.content_root, name)
        return None if path is None else (path.read_bytes(), posters.KINDS[path.suffix.lower()])

    picture = await service.io(work)
    if picture is None:
        raise Problem(404, "this item has no picture here")
    return Response(picture[0], media_type=picture[1])


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


def _card(catalogue: Catalogue, at: int, root: Path | None) -> dict[str, Any]:
    row = _row(catalogue, at)
    picture = posters.named(catalogue, row)
    shown = {name: value for name, value in row.items() if picture is None or value != picture}
    return {
        "item": catalogue.items[at],
        "title": catalogue.titles.title(at),
        "tags": _tags(catalogue, shown),
        "year": row.get("year"),
        "description": _description(catalogue, shown),
        "likes": int(catalogue.likes[at]),
        "poster": posters.path_of(root, picture) is not None,
        "new": at >= len(catalogue) - catalogue.n_new,
    }


def _row(catalogue: Catalogue, at: int) -> dict[str, Any]:
    if catalogue.table is None:
        return {}
    row: dict[str, Any] = catalogue.table.slice(at, 1).to_pylist()[0]
    return row


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
