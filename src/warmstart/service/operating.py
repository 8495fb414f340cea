"""The routes of whoever runs a catalogue or the service: items, models, recent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from warmstart.core.errors import UnknownItemError
from warmstart.recommenders.protocols import Reports
from warmstart.service.problems import Problem
from warmstart.service.routes import FAILURES, Admin, Reader, answer, service_of
from warmstart.service.schemas import Changed, ItemIds, ItemRows, ModelPath, Models
from warmstart.service.shelf import Shelf
from warmstart.service.who import Who

router = APIRouter(prefix="/v1", responses=FAILURES)

_MOST_LISTED = 200


@router.get("/items", tags=["items"])
async def items(
    who: Reader,
    request: Request,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 50,
    by: Annotated[str, Query(pattern="^(catalogue|popularity|newest)$")] = "catalogue",
) -> Response:
    """Return a page of the catalogue: every item that can be recommended, with its columns."""
    service = service_of(request)
    serving, catalogue = await service.serving(who.tenant)

    def work() -> dict[str, Any]:
        found = catalogue.recommender.catalogue
        rows, total = found.page(offset, limit, by=by)
        return {"items": rows, "total": total, "model": serving.version}

    return answer(await service.compute(work))


@router.post("/items", response_model=Changed, tags=["items"])
async def add(body: ItemRows, who: Admin, request: Request) -> Response:
    """Add items that nobody has met; they are served when this answers."""
    return await _changed(request, who, "add", body.items)


@router.put("/items", response_model=Changed, tags=["items"])
async def put(body: ItemRows, who: Admin, request: Request) -> Response:
    """Add the items that are new and change the others; safe to send again."""
    return await _changed(request, who, "put", body.items)


@router.patch("/items", response_model=Changed, tags=["items"])
async def update(body: ItemRows, who: Admin, request: Request) -> Response:
    """Change columns of items; the others stay. An item that was removed is back."""
    return await _changed(request, who, "update", body.items)


@router.delete("/items", response_model=Changed, tags=["items"])
async def remove(body: ItemIds, who: Admin, request: Request) -> Response:
    """Take items out of every list."""
    return await _changed(request, who, "remove", [{"item": item} for item in body.items])


@router.delete("/items/{item:whole}", response_model=Changed, tags=["items"])
async def remove_one(item: str, who: Admin, request: Request) -> Response:
    """Take one item out of every list."""
    if not 0 < len(item) <= 256:
        raise Problem(404, "there is no such item")
    try:
        return await _changed(request, who, "remove", [{"item": item}])
    except UnknownItemError:
        raise Problem(404, "there is no such item", code="unknown_item") from None


@router.get("/events", tags=["users"])
async def recent(
    who: Admin, request: Request, k: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 50
) -> Response:
    """Return the events that came last, the very last first."""
    service = service_of(request)
    return answer({"events": await service.io(service.store.recent, who.tenant, k)})


@router.get("/model", tags=["models"])
async def about(who: Reader, request: Request) -> Response:
    """Return what is known of the model that serves: origin, quality by number of shots."""
    serving, catalogue = await service_of(request).serving(who.tenant)
    model, served = serving.model, catalogue.recommender.catalogue
    method = catalogue.recommender.method
    report = method.report() if isinstance(method, Reports) else {}
    removed = 0 if served.removed is None else int(served.removed.sum())
    return answer(
        {
            "model": serving.version,
            "method": model.name,
            "origin": model.fitted.origin,
            "items": len(served) - removed,
            "new_items": served.n_new,
            "columns": [] if served.table is None else served.table.column_names,
            "quality": report.get("quality", []),
        }
    )


@router.get("/stats", tags=["models"])
async def stats(who: Admin, request: Request) -> Response:
    """Return what the last lists were like: how long they took, how much they show of the items.

    `coverage` is the share of the items that stood on any list, `popularity` the mean place of what
    was listed among all items by their likes (chance gives .5), `top_share` the share of all places
    that went to the tenth of the items listed most; of each list the first ten places count.
    `groups` says by each user column how popular the lists of each group were, the gap between
    groups, and what the gap would be if groups meant nothing (`by_chance`, `p`); groups with fewer
    than five lists are left out.
    """
    service = service_of(request)
    serving, catalogue = await service.serving(who.tenant)
    served = catalogue.recommender.catalogue
    found = await service.compute(service.lately.figures, who.tenant, served)
    times = service.lately.milliseconds() if who.runs_the_service else {}
    return answer({"model": serving.version, "milliseconds": times, "lately": found})


@router.get("/models", response_model=Models, tags=["models"])
async def models(who: Admin, request: Request) -> Response:
    """Return which model serves, and which could."""
    _must_run(who)
    service = service_of(request)
    return answer(await service.io(_models, service.shelf))


@router.post("/models", response_model=Models, tags=["models"])
async def exchange(body: ModelPath, who: Admin, request: Request) -> Response:
    """Load a model, check it, warm it, and let it serve from one request to the next."""
    _must_run(who)
    service = service_of(request)
    await service.exchange(body.path)
    return answer(await service.io(_models, service.shelf))


@router.post("/models/rollback", response_model=Models, tags=["models"])
async def roll_back(who: Admin, request: Request) -> Response:
    """Let the model before serve again."""
    _must_run(who)
    service = service_of(request)
    if service.shelf.previous is None:
        raise Problem(409, "no model served before this one; there is nothing to go back to")
    await service.roll_back()
    return answer(await service.io(_models, service.shelf))


async def _changed(request: Request, who: Who, kind: str, rows: Any) -> Response:  # noqa: ANN401
    count, model = await service_of(request).change(who.tenant, kind, rows)
    return answer({"changed": count, "model": model})


def _models(shelf: Shelf) -> dict[str, Any]:
    previous = shelf.previous
    return {
        "current": shelf.current.version,
        "previous": None if previous is None else previous.version,
        "available": shelf.available(),
    }


def _must_run(who: Who) -> None:
    if not who.runs_the_service:
        raise Problem(403, "models are exchanged by admins of the tenant default alone")
