"""The routes of people, lists and questions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from warmstart.recommenders.asking.engine import Answer
from warmstart.service.core import Service, lines
from warmstart.service.gate import Shortcut
from warmstart.service.schemas import (
    Ask,
    Asked,
    Explain,
    Explanation,
    Failure,
    Gone,
    Kept,
    Listed,
    NewEvents,
    Onboarding,
    Recommend,
    Similar,
    User,
)
from warmstart.service.who import Who

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": why}
    for status, why in (
        (400, "the body is no JSON"),
        (401, "no key, or one that opens nothing"),
        (403, "the key lacks the scope"),
        (404, "there is no such thing"),
        (405, "not with this method"),
        (408, "the body took too long"),
        (413, "the body is too large"),
        (415, "the body is not said to be JSON"),
        (422, "the request says what cannot be"),
        (429, "too many requests of this key; see Retry-After"),
        (503, "too much at once, or the store fails; see Retry-After"),
    )
}

router = APIRouter(prefix="/v1", responses=FAILURES)


class _Whole(Convertor[str]):
    """All that is left of a path; what comes with Starlette stops at a line break."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("whole", _Whole())


def service_of(request: Request) -> Service:
    """Return the service behind the app."""
    found: Service = request.app.state.service
    return found


def sure(scope: str) -> Any:  # noqa: ANN401  (a dependency)
    """Return what lets a route be used by keys with a scope alone."""

    async def check(request: Request) -> Who:
        who: Who = request.state.who
        who.must(scope)
        return who

    return Depends(check)


Reader = Annotated[Who, sure("read")]
Writer = Annotated[Who, sure("write")]
Admin = Annotated[Who, sure("admin")]


def answer(content: Any, status: int = 200) -> Response:  # noqa: ANN401
    """Return plain values as JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")


@router.post("/recommend", response_model=Listed, tags=["lists"])
async def recommend(body: Recommend, who: Reader, request: Request) -> Response:
    """Return the best items for somebody, after everything they did up to now."""
    listed, model = await service_of(request).recommend(who.tenant, body)
    return answer({"items": listed, "model": model})


def shortcut(service: Service) -> Shortcut:
    """Return what answers `/v1/recommend` without the app, whose share would be half of the time.

    A body that is not what it must be is left to the app, which says what is wrong.
    """

    async def recommend(who: Who, body: bytes) -> Response | None:
        try:
            wanted = Recommend.model_validate_json(body)
        except ValueError:
            return None
        who.must("read")
        listed, model = await service.recommend(who.tenant, wanted)
        return answer({"items": listed, "model": model})

    return recommend


@router.post("/similar", response_model=Listed, tags=["lists"])
async def similar(body: Similar, who: Reader, request: Request) -> Response:
    """Return the items most like one."""
    listed, model = await service_of(request).similar(who.tenant, body.item, body.k)
    return answer({"items": lines(listed, False, False), "model": model})


@router.post("/explain", response_model=Explanation, tags=["lists"])
async def explain(body: Explain, who: Reader, request: Request) -> Response:
    """Return why items are, or would be, on somebody's list, and how sure that is."""
    found, model = await service_of(request).explain(who.tenant, body)
    return answer({"items": found, "model": model})


@router.post("/onboarding/next", response_model=Asked, tags=["questions"])
async def next_question(body: Onboarding, who: Reader, request: Request) -> Response:
    """Return which item to ask a new user about next."""
    question, model = await service_of(request).next_question(who.tenant, body)
    shown = None
    if question is not None:
        shown = {
            "item": question.item,
            "title": question.title,
            "why": question.why,
            "expected_gain": float(question.expected_gain),
            "chance_seen": float(question.chance_seen),
            "worth_asking": bool(question.worth_asking),
        }
    return answer({"question": shown, "model": model})


@router.post(
    "/ask",
    tags=["questions"],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Lines of JSON: `understood`, an `item` each, a `reason` each, `done`.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
)
async def ask(body: Ask, who: Reader, request: Request) -> Response:
    """Answer a request in words: the list first, then why each item is on it, line by line."""
    found, model, conversation = await service_of(request).ask(who.tenant, body)
    lines = _told(found, model, conversation)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@router.post("/events", response_model=Kept, tags=["users"])
async def events(body: NewEvents, who: Writer, request: Request) -> Response:
    """Keep events; they are on the disk when this answers, and count in the very next list."""
    receipt = await service_of(request).append(who.tenant, body)
    return answer(
        {
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "refused": [str(user) for user in receipt.refused],
        }
    )


@router.get("/users/{user:whole}", response_model=User, tags=["users"])
async def export(user: str, who: Reader, request: Request) -> Response:
    """Return everything that is held about a user."""
    found = await service_of(request).events(who.tenant, user)
    return answer({"user": user, "events": found})


@router.delete("/users/{user:whole}", response_model=Gone, tags=["users"])
async def forget(user: str, who: Writer, request: Request) -> Response:
    """Delete a user: at once, everywhere, and for good; later events of theirs are refused."""
    return answer({"user": user, "events": await service_of(request).forget(who.tenant, user)})


async def _told(found: Answer, model: str, conversation: str) -> AsyncIterator[bytes]:
    plain = found.to_dict()
    first = {"type": "understood", "model": model, "conversation": conversation}
    yield _line(first | {"parsed": plain["parsed"], "question": found.question})
    for one in found.items:
        yield _line({"type": "item", "item": one.item, "title": one.title, "score": one.score})
    for one in found.items:
        if one.reason:
            yield _line({"type": "reason", "item": one.item, "reason": one.reason})
    notes = {"refused": found.refused, "flags": found.flags, "mode": found.mode}
    yield _line({"type": "done"} | notes | {"ms": round(found.latency_ms, 2)})


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=True).encode() + b"\n"
