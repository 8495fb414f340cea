"""`warmstart serve`: a saved model over HTTP, with a store of events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from warmstart.core.errors import ConfigError, MissingExtraError
from warmstart.recommenders.asking.models import language_model
from warmstart.service.settings import ServiceConfig
from warmstart.store import open_store

_SWITCH_SECONDS = 0.0005


def serve(
    model: Annotated[Path, typer.Argument(help="A saved model.")],
    store: Annotated[
        str, typer.Option(help="Where events are kept: a file, sqlite:///PATH, postgresql://…")
    ] = "warmstart.sqlite",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 for a free one.")] = 8000,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no keys; on this machine alone.")
    ] = False,
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of models to exchange; at SIGHUP the newest one is loaded."),
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(help="Language model that reads requests: a package, a GGUF file, URL#model."),
    ] = None,
    llm_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds that server's key.")
    ] = None,
    trust_encoders: Annotated[
        bool, typer.Option(help="Send texts to an endpoint, as the model names it.")
    ] = False,
    content_root: Annotated[
        Path | None, typer.Option(help="Folder of the images and sounds that new items name.")
    ] = None,
    approximate: Annotated[
        bool,
        typer.Option(help="Find candidates by an approximate index: for large catalogues."),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that compute; as many as there are cores.")
    ] = None,
    most_at_once: Annotated[
        int, typer.Option(min=1, help="Requests worked on at one time; further ones get 503.")
    ] = 64,
    most_body_bytes: Annotated[
        int, typer.Option(min=1_024, help="Longer requests are refused.")
    ] = 2 << 20,
    rate: Annotated[str, typer.Option(help="Requests of one key.")] = "60000/minute",
) -> None:
    """Serve a model: lists, events, items, questions, and the pages.

    Keys are made by `warmstart keys create --store …`. The log on stderr is one JSON object a line,
    and holds no key, user or text.
    """
    try:
        import uvicorn

        from warmstart.service.app import create_app
        from warmstart.service.core import Service
        from warmstart.service.gate import is_loopback
        from warmstart.service.logs import configure, log
    except ImportError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(error.name or "fastapi", extra="service") from None

    if no_auth and not is_loopback(host):
        raise ConfigError(
            f"--no-auth lets everybody in, and {host} is reached by others; listen on 127.0.0.1, "
            "or make a key: warmstart keys create"
        )
    values = {
        "no_auth": no_auth, "models": models, "trust_encoders": trust_encoders,
        "content_root": content_root, "approximate": approximate, "most_at_once": most_at_once,
        "most_body_bytes": most_body_bytes, "rate": rate,
    }  # fmt: skip
    config = ServiceConfig.parse(values if threads is None else values | {"threads": threads})
    reader = None if llm is None else language_model(llm, api_key_env=llm_key_env)
    configure()
    # NumPy lets the interpreter go at every product, and would get it back up to 5 ms later
    sys.setswitchinterval(_SWITCH_SECONDS)
    kept = open_store(store)
    try:
        service = Service(model, kept, config, language_model=reader)
    except BaseException:
        kept.close()
        raise
    app = create_app(service)
    log("starting", model=service.shelf.current.version, host=host, port=port)
    if sys.stderr.isatty():
        Console(stderr=True).print(f"[bold]http://{host}:{port}[/bold]  (docs: /docs)")
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here goes by the address of whoever asks
        timeout_graceful_shutdown=10,
    )
