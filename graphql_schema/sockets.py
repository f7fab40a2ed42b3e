# SPDX-License-Identifier: EUPL-1.2
"""GraphQL over WebSocket: Strawberry's handler of graphql-transport-ws, with credentials that are asked again.

A socket is accepted, then authenticated by `connection_init`, then watched: when its credential ends or its rights
change it closes with 4403. Every operation has a context of its own, made from the credential as it stands then.
One bad operation gets an `error` frame; the socket lives.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.types import Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.execution import ExecutionResult

from graphql_schema.context import authenticate, language_of
from graphql_schema.documents import DOCUMENT_ID, Documents
from graphql_schema.guard import Guard
from graphql_schema.limits import SUBSCRIPTIONS_PER_CONNECTION_MAX
from graphql_schema.live.connection import LiveConnection
from graphql_schema.live.feeds import Feeds
from graphql_schema.live.running import ClientGone, refuse, run
from graphql_schema.tickets import redeem
from services.identity.queries import Asker
from services.kernel.errors import RequestRefused, ServiceUnavailable, Throttled

INVALID_MESSAGE = 4400
UNACKNOWLEDGED = 4401
REFUSED = 4403
DUPLICATE = 4409
TRY_AGAIN_LATER = 1013
OPERATION_ID_LENGTH_MAX = 200


class Connection(LiveConnection):
    """One socket."""

    def __init__(
        self, guard: Guard, feeds: Feeds, documents: Documents, websocket: WebSocket, send: Send, request_id: str
    ) -> None:
        super().__init__(feeds, request_id, language_of(websocket.headers.get("accept-language")))
        self.guard, self.documents, self.websocket, self.send = guard, documents, websocket, send
        self.asker: Asker | None = None
        self.connection_params: Mapping[str, Any] = {}  # Strawberry writes the payload of connection_init here

    async def open(self) -> None:
        """Authenticate by the payload of connection_init: a credential, or a ticket for one. Raises RequestRefused."""
        authorization, ticket = self.connection_params.get("authorization"), self.connection_params.get("ticket")
        if isinstance(ticket, str):
            authorization = f"Bearer {await redeem(self.runtime, ticket)}"
        self.token, asker = await authenticate(self.runtime, authorization)
        self.guard.require_room(asker.actor)
        self.asker = asker
        wished, header = self.connection_params.get("language"), self.websocket.headers.get("accept-language")
        self.actor = asker.actor
        self.language = language_of(wished if isinstance(wished, str) else header, asker.languages)
        self.guard.add(self)

    async def end(self) -> None:
        if self.websocket.application_state is WebSocketState.CONNECTED:
            await self.websocket.close(REFUSED, "Forbidden")


class SocketAdapter(ASGIWebSocketAdapter):
    """Sends text frames, although orjson makes bytes; a send after the close is a disconnect, not a defect."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        encoded = self.view.encode_json(message)
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        try:
            await self.ws.send_text(encoded.decode() if isinstance(encoded, bytes) else encoded)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        if self.ws.application_state is WebSocketState.CONNECTED:
            await self.ws.close(code=code, reason=reason)


class SocketHandler(BaseGraphQLTransportWSHandler[Connection, None]):
    """The protocol of one socket. `context` is the connection; operations make their own."""

    async def handle_message(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            await self.handle_invalid_message("A message is an object with a type.")
            return
        await super().handle_message(message)  # pyright: ignore[reportArgumentType]  its shape is checked there

    async def handle_connection_init(self, message: Any) -> None:
        try:
            await super().handle_connection_init(message)
        except (ServiceUnavailable, Throttled):
            await self.websocket.close(TRY_AGAIN_LATER, "Try again later")

    async def handle_subscribe(self, message: Any) -> None:
        if not self.connection_acknowledged:
            await self.websocket.close(UNACKNOWLEDGED, "Unauthorized")
            return
        request = _request(message)
        if request is None:
            await self.handle_invalid_message("A subscribe message has an id and a payload with a query or documentId.")
            return
        if request[0] in self.operations:
            await self.websocket.close(DUPLICATE, f"Subscriber for {request[0]} already exists")
            return
        identifier, given = request
        operation = self.operations[identifier] = Operation(
            self, identifier, given.get("query") or "", given.get("variables"), given.get("operationName")
        )
        if len(self.operations) > SUBSCRIPTIONS_PER_CONNECTION_MAX:
            refusal = Throttled(
                "At most {count} operations at a time on one socket.", count=SUBSCRIPTIONS_PER_CONNECTION_MAX
            )
            await refuse(_Frames(operation, self.context.send), refusal, self.context)
            return
        operation.task = asyncio.create_task(self._run(operation, given))

    async def _run(self, operation: Operation[Connection, None], given: Mapping[str, Any]) -> None:
        """Run one operation to its end. Never raises: the socket must outlive it."""
        channel, connection = _Frames(operation, self.context.send), self.context
        assert connection.asker is not None  # noqa: S101  there is one since the socket was acknowledged
        ask = partial(connection.documents.asked, given, connection.asker)
        try:
            await run(self.schema.stream, ask, connection, channel)
        finally:
            self.operations.pop(operation.id, None)

    async def shutdown(self) -> None:
        self.context.guard.remove(self.context)
        await super().shutdown()


class _Frames:
    """The channel of one operation of a socket."""

    def __init__(self, operation: Operation[Connection, None], send: Send) -> None:
        self._operation, self._send = operation, send
        self._begin = orjson.dumps({"id": operation.id, "type": "next"}).decode().removesuffix("}")

    async def next(self, result: ExecutionResult) -> None:
        with _gone():
            await self._operation.send_next(result)

    async def put(self, payload: str) -> None:
        """A thousand of them an event: straight to the server."""
        try:
            await self._send({"type": "websocket.send", "text": f'{self._begin},"payload":{payload}}}'})
        except (OSError, RuntimeError) as error:  # the client went away, or the socket is closed
            raise ClientGone from error

    async def refuse(self, errors: list[GraphQLError]) -> None:
        with _gone():
            await self._operation.send_initial_errors(errors)

    async def complete(self) -> None:
        with _gone():
            await self._operation.send_operation_message({"id": self._operation.id, "type": "complete"})


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except WebSocketDisconnected as error:
        raise ClientGone from error


def _request(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The id and payload of a subscribe message; None when it is not one."""
    identifier, payload = message.get("id"), message.get("payload")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= OPERATION_ID_LENGTH_MAX:
        return None
    if not isinstance(payload, dict) or not any(isinstance(payload.get(key), str) for key in ("query", DOCUMENT_ID)):
        return None
    variables, name = payload.get("variables"), payload.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        return None
    return identifier, payload


async def accept(connection: Connection) -> None:
    """Strawberry's hook for connection_init: authenticate, or have the socket closed with 4403."""
    try:
        await connection.open()
    except (ServiceUnavailable, Throttled):
        raise
    except RequestRefused as error:
        raise ConnectionRejectionError from error
