# SPDX-License-Identifier: EUPL-1.2
"""The reference at `/docs/api`: the contract of docs/api.md, and every type, field, argument and value of the SDL.

Made by the API itself from the schema that it serves, when somebody first asks; so it needs no build, no Node and no
other origin, and cannot be out of date (ADR 11). Anybody may read it. Nothing in a page runs.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from graphql_schema.negotiation import not_found_response
from graphql_schema.reference import site
from graphql_schema.request_ids import request_id_of
from services.kernel.migrations import ROOT

CONTRACT = ROOT / "docs" / "api.md"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Cache-Control": "public, max-age=300",
    "Content-Language": "en",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
}
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One address of the reference."""

    content: bytes
    media_type: str
    etag: str


def reference_routes(sdl: str) -> Sequence[BaseRoute]:
    """Every address below `/docs/api`."""
    reference = _Reference(sdl)
    return [
        Route(site.HOME, reference.answer, methods=["GET"]),
        Route(f"{site.HOME}/{{rest:path}}", reference.answer, methods=["GET"]),
    ]


class _Reference:
    """The pages of one schema, made once, when they are first asked for."""

    def __init__(self, sdl: str) -> None:
        self._sdl = sdl
        self._making: asyncio.Task[Mapping[str, Leaf]] | None = None

    async def answer(self, request: Request) -> Response:
        """One page, or that the caller has it already."""
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(_leaves, self._sdl))
        leaf = (await asyncio.shield(self._making)).get(request.url.path)
        if leaf is None:
            return not_found_response(request_id_of(request.scope))
        headers = {**HEADERS, "ETag": leaf.etag}
        if leaf.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(leaf.content, headers=headers, media_type=leaf.media_type)


def _leaves(sdl: str) -> Mapping[str, Leaf]:
    made = site.pages(sdl, CONTRACT.read_text(encoding="utf-8"))
    return {
        **{address: _leaf(content, HTML) for address, content in made.items()},
        site.STYLE: _leaf(site.file("style.css"), "text/css; charset=utf-8"),
        site.ICON: _leaf(site.file("icon.svg"), "image/svg+xml"),
    }


def _leaf(content: bytes, media_type: str) -> Leaf:
    return Leaf(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
