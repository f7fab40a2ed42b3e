# SPDX-License-Identifier: EUPL-1.2
"""The HTTP edge: routes, lifespan, and the process that serves them.

python -m graphql_schema.app       serves on 127.0.0.1, on the port of BELFRY_PORT
"""

import asyncio
import contextlib
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from graphql_schema import graphiql, reference
from graphql_schema.deprecations import Uses
from graphql_schema.documents import Documents, installed_documents
from graphql_schema.errors import Defect, MethodNotAllowed
from graphql_schema.health import health_routes
from graphql_schema.integrations.downloads import download_routes
from graphql_schema.limits import BODY_BYTES_MAX
from graphql_schema.live.feeds import Feeds
from graphql_schema.negotiation import Media, not_found_response, refusal_response
from graphql_schema.request_ids import RequestIds, request_id_of
from graphql_schema.rings import Rings
from graphql_schema.schema import ApiSchema, api_schema
from graphql_schema.tickets import ticket_routes
from graphql_schema.transport import Api, wording_of
from services.conversations import routes as contact_form
from services.kernel.runtime import Runtime, open_runtime
from services.kernel.settings import NotConfigured, Settings, read_settings
from services.kernel.telemetry import configure_logging

HOST = "127.0.0.1"
BACKLOG = 2_048
COLLECTED_AFTER = 20_000
"""Objects made since the collector last looked through the young ones; Python's own default is 700."""
SHUTDOWN_SECONDS_MAX = 5
PING_SECONDS = 20.0
SDL_HEADERS = {"Cache-Control": "public, max-age=300"}

Door = Callable[[Runtime], Sequence[BaseRoute]]
"""A function of a domain's `routes` module: HTTP that is not GraphQL, each door with its own bounds."""

DOORS: tuple[Door, ...] = (health_routes, ticket_routes, download_routes, contact_form.routes)

log = structlog.get_logger()


def create_app(settings: Settings, *, schema: ApiSchema | None = None) -> Starlette:
    """The application. Fails at once when a declaration of the schema is wrong; opens its pools when it starts."""
    served = schema or api_schema(introspection=settings.introspection, sampled_share=settings.sampled_reads)
    sdl, installed = served.as_str(), installed_documents(served.core, settings.document_manifests)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_runtime(settings) as runtime:
            rings = Rings()
            uses = Uses(runtime.database)
            feeds = Feeds(runtime, rings, uses)
            listening = asyncio.create_task(rings.listen(settings.valkey_url))
            app.router.routes.extend(_routes(runtime, Api(served, runtime, feeds, Documents(runtime, installed)), sdl))
            try:
                yield
            finally:
                app.router.routes.clear()
                await feeds.close()
                await uses.close()
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    application = Starlette(
        lifespan=lifespan,
        middleware=[Middleware(RequestIds)],
        exception_handlers={HTTPException: _not_served, Exception: _broken},
    )
    application.router.redirect_slashes = False
    return application


def main() -> int:
    """Serve until stopped. Returns the exit code; a port in use is one line and 1."""
    try:
        settings = read_settings()
    except NotConfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    _forward_logs()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, settings.port))
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {HOST}:{settings.port}: {error.strerror}.\n")
        return 1
    server = uvicorn.Server(server_config(create_app(settings), settings.trusted_proxies))
    _spare_the_collector()
    with listener:
        server.run(sockets=[listener])
    return 0


def _spare_the_collector() -> None:
    """What was made at the start stays for good, and is looked through for garbage no more.

    The rest is looked through less often: nearly all of it goes by itself, because little here refers to itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)


def server_config(application: Starlette, trusted_proxies: Collection[str] = ()) -> uvicorn.Config:
    """Uvicorn's settings that are part of the API's limits. Only these proxies are believed whose request it is."""
    return uvicorn.Config(
        application,
        ws_max_size=BODY_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=sorted(trusted_proxies),
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
    )


def _routes(runtime: Runtime, api: Api, sdl: str) -> list[BaseRoute]:
    async def schema_text(_request: Request) -> Response:
        return Response(sdl, headers=SDL_HEADERS, media_type="text/plain; charset=utf-8")

    return [
        Route("/graphql", api),
        WebSocketRoute("/graphql", api),
        Route("/schema.graphql", schema_text, methods=["GET"]),
        *graphiql.graphiql_routes(graphiql.BUILT),
        *reference.reference_routes(sdl),
        *(route for door in DOORS for route in door(runtime)),
    ]


async def _not_served(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = refusal_response(
            MethodNotAllowed("This method is not served here."), Media.JSON, wording_of(request)
        )
        response.headers["Allow"] = (error.headers or {}).get("Allow", "GET")
        return response
    return not_found_response(request_id_of(request.scope))


async def _broken(request: Request, _error: Exception) -> Response:
    return refusal_response(Defect(), Media.JSON, wording_of(request))


class _Forward(logging.Handler):
    """Uvicorn's own words as structured lines."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        log.log(record.levelno, record.getMessage(), **fields)


def _forward_logs() -> None:
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [_Forward()], False
    logger.setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
