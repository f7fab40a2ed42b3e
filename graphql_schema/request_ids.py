# SPDX-License-Identifier: EUPL-1.2
"""One id for each request: in every answer, in every error, and in every line that is logged meanwhile."""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel import identifiers

KEY = "belfry.request_id"
SERVER_SEND = "belfry.server_send"
"""How the server itself takes messages: for frames of an open socket, which no layer in between has to see."""
RESPONSE_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})
log = structlog.get_logger()


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id of the request, or of the socket, that a scope belongs to."""
    return scope[KEY]


class RequestIds:
    """Outermost middleware. An id that a caller sends is not taken over: it could name another's request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id, started, statuses = str(identifiers.new()), time.monotonic(), list[int]()
        scope[KEY], scope[SERVER_SEND] = request_id, send

        async def send_marked(message: Message) -> None:
            if message["type"] in RESPONSE_STARTS:
                statuses.append(message["status"])
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, send_marked)
            log.info(
                "answered",
                method=scope.get("method", "SOCKET"),
                # The route as it is declared: addresses of the contact form hold secrets.
                route=getattr(scope.get("route"), "path", None),
                status=next(iter(statuses), None),
                milliseconds=round((time.monotonic() - started) * 1000),
            )
