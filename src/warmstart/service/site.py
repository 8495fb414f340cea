"""The pages: files of this package, under a strict policy, in the reader's language."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "pages"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline: a title that is a script stays a title."""

_SAFE = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_SERVED = frozenset({".html", ".css", ".js", ".svg"})
_ENGLISH = b'<html lang="en"'
_CHINESE = b'<html lang="zh-Hans"'


class _Files(StaticFiles):
    """The files, with the policy; pages in the language that the browser asks for."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_SAFE)
        page = FOLDER / path
        if page.suffix != ".html" or response.status_code != 200:
            return response
        text, language = page.read_bytes(), "en"
        if prefers_chinese(Headers(scope=scope).get("accept-language", "")):
            text, language = text.replace(_ENGLISH, _CHINESE, 1), "zh-Hans"
        told = {"Vary": "Accept-Language", "Content-Language": language}
        return Response(text, 200, _SAFE | told, media_type="text/html")


def add_pages(app: FastAPI) -> None:
    """Serve each file under its name, and `index.html` at `/`, too.

    One route a file: an app mounted at `/` would answer for wrong methods of the API.
    """
    files = _Files(directory=FOLDER)
    for name in ["", *sorted(p.name for p in FOLDER.iterdir() if p.suffix in _SERVED)]:

        async def serve(request: Request, name: str = name or "index.html") -> Response:
            return await files.get_response(name, request.scope)

        app.add_route(f"/{name}", serve, methods=["GET", "HEAD"], include_in_schema=False)


def prefers_chinese(accepted: str) -> bool:
    """Whether a browser would rather read Chinese than English.

    Args:
        accepted: its `Accept-Language`.

    Example:
        >>> [prefers_chinese(a) for a in ("zh-CN,zh;q=0.9,en;q=0.8", "en,zh;q=0.5", "de", "")]
        [True, False, False, False]
    """
    best = {"zh": 0.0, "en": 0.0}
    for part in accepted[:1_000].split(","):
        found = re.match(r"\s*(zh|en)\b[\w-]*\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*$", part, re.I)
        if found:
            name = found[1].lower()
            best[name] = max(best[name], 1.0 if found[2] is None else float(found[2]))
    return best["zh"] > best["en"]
