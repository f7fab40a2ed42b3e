# SPDX-License-Identifier: EUPL-1.2
"""GraphQL over server-sent events, one connection for each operation ("distinct connections mode" of graphql-sse).

A request that fails before its operation is known is answered like every other, as JSON with a status. From there on
the answer is a stream with status 200: `next` events with results, or with the errors of an operation that cannot run,
then `complete`. A stream that ends without `complete` was cut: by the network, or because its credential ended.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.http import GraphQLRequestData
from strawberry.types.execution import ExecutionResult

from graphql_schema.guard import Guard
from graphql_schema.live.connection import LiveConnection
from graphql_schema.live.feeds import Feeds
from graphql_schema.live.running import ClientGone, Stream, run
from graphql_schema.negotiation import EVENT_STREAM, HEADERS
from graphql_schema.request_ids import SERVER_SEND
from services.kernel.access import Actor
from services.kernel.languages import Language

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


class StreamConnection(LiveConnection):
    """The connection of one stream."""

    def __init__(self, feeds: Feeds, request_id: str, language: Language, token: str, actor: Actor) -> None:
        super().__init__(feeds, request_id, language)
        self.token, self.actor = token, actor
        self.ended = asyncio.Event()

    @property
    def is_ended(self) -> bool:
        return self.ended.is_set()

    async def end(self) -> None:
        self.ended.set()


class EventStreamResponse(Response):
    """The answer that runs its operation, and lasts as long."""

    def __init__(self, stream: Stream, asked: GraphQLRequestData, connection: StreamConnection, guard: Guard) -> None:
        super().__init__(
            headers={**HEADERS, "Content-Language": connection.language, "X-Accel-Buffering": "no"},
            media_type=f"{EVENT_STREAM}; charset=utf-8",
        )
        del self.headers["content-length"]
        self._stream, self._asked, self._connection, self._guard = stream, asked, connection, guard

    async def _ask(self) -> GraphQLRequestData:
        return self._asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        channel = _Events(scope[SERVER_SEND])
        lasting: list[asyncio.Task[Any]] = [
            asyncio.create_task(run(self._stream, self._ask, self._connection, channel)),
            asyncio.create_task(self._connection.ended.wait()),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(_beat(channel)),
        ]
        self._guard.add(self._connection)
        try:
            await asyncio.wait(lasting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._guard.remove(self._connection)
            for each in lasting:
                each.cancel()
            await asyncio.gather(*lasting, return_exceptions=True)
        with suppress(ClientGone):
            await channel.close()


class _Events:
    """The channel of one stream: each event is one message to the server."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def next(self, result: ExecutionResult) -> None:
        given: dict[str, Any] = {"data": result.data}
        if result.errors:
            given["errors"] = [each.formatted for each in result.errors]
        if result.extensions:
            given["extensions"] = result.extensions
        await self._next(orjson.dumps(given))

    async def put(self, payload: str) -> None:
        await self._next(payload.encode())

    async def refuse(self, errors: list[GraphQLError]) -> None:
        await self._next(orjson.dumps({"errors": [each.formatted for each in errors]}))
        await self.complete()

    async def complete(self) -> None:
        await self.write(COMPLETE)

    async def close(self) -> None:
        await self._message({"type": "http.response.body"})

    async def write(self, event: bytes) -> None:
        await self._message({"type": "http.response.body", "body": event, "more_body": True})

    async def _next(self, payload: bytes) -> None:
        await self.write(b"event: next\ndata: " + payload + b"\n\n")  # JSON of ours has no line breaks

    async def _message(self, message: Mapping[str, Any]) -> None:
        try:
            await self._send(dict(message))
        except (OSError, RuntimeError) as error:  # the client went away, or the answer is over
            raise ClientGone from error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _beat(channel: _Events) -> None:
    """Keep the connection alive through whatever stands between, as long as there is nothing to tell."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await channel.write(HEARTBEAT)
