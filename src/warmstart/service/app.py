"""The ASGI app: routes, the gate in front of them, and the pages."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import warmstart
from warmstart.service import operating, page_data, problems, routes
from warmstart.service.core import Service
from warmstart.service.gate import Gate
from warmstart.service.routes import answer, service_of
from warmstart.service.site import add_pages
from warmstart.service.who import Keys

_ABOUT = """Recommendation from the first click. Every event counts in the very next list.

Send `Authorization: Bearer ws_…`; make keys with `warmstart keys create --store URL`. Failures are
`{"error": {"code", "message"}}`."""


def create_app(service: Service) -> Gate:
    """Return the ASGI app; it closes the service when it ends.

    Args:
        service: what answers.

    Raises:
        ConfigError: the rate is none.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        _reload_on_hangup(service)
        service.settle()
        yield
        gc.unfreeze()
        await anyio.to_thread.run_sync(service.close)

    app = FastAPI(
        title="warmstart",
        version=warmstart.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.service = service
    keys = Keys(
        lambda secret: service.io(service.store.key, secret),
        seconds=service.config.key_seconds,
        now=service.now,
    )
    for kind in (*problems.TOLD, Exception):
        app.add_exception_handler(kind, _told)
    app.include_router(routes.router)
    app.include_router(operating.router)
    app.include_router(page_data.router)
    app.add_api_route("/healthz", _alive, methods=["GET"], tags=["service"])
    app.add_api_route("/readyz", _ready, methods=["GET"], tags=["service"])
    app.add_api_route("/metrics", _metrics, methods=["GET"], tags=["service"])
    app.openapi_schema = _with_keys(app.openapi())
    add_pages(app)
    return Gate(
        app,
        config=service.config,
        keys=keys,
        metrics=service.metrics,
        shortcuts={"/v1/recommend": routes.shortcut(service)},
    )


async def _told(_: Request, error: Exception) -> Response:
    return problems.handle(error)


def _reload_on_hangup(service: Service) -> None:
    """Load a model again at SIGHUP; where there are no such signals, nothing is done."""
    running = set[asyncio.Task[None]]()

    def again() -> None:
        task = asyncio.get_running_loop().create_task(service.reload())
        running.add(task)
        task.add_done_callback(running.discard)

    # on Windows, and in any thread but the first, there are none
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError, AttributeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)


async def _alive() -> Response:
    """Say that the process runs."""
    return answer({"ok": True})


async def _ready(request: Request) -> Response:
    """Say whether requests can be answered now: the model is loaded, the store reads and writes."""
    service = service_of(request)
    health = await service.io(service.store.healthy)
    ok = service.ready and health.ok
    body = {"ok": ok, "model": service.shelf.current.version, "problem": health.problem}
    return answer(body, 200 if ok else 503)


async def _metrics(request: Request) -> Response:
    """Return the counters, for Prometheus."""
    text = service_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _with_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Say in the description of the API where the key goes."""
    schemes = {"key": {"type": "http", "scheme": "bearer"}}
    schema.setdefault("components", {})["securitySchemes"] = schemes
    for path, operations in schema["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"key": []}]
    return schema
