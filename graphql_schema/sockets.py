# SPDX-License-Identifier: EUPL-1.2
"""GraphQL over WebSocket: Strawberry's handler of graphql-transport-ws, with credentials that are asked again.

A socket is accepted, then authenticated by `connection_init`, then watched: when its credential ends or its rights
change it closes with 4403. Every operation has a context of its own, made from the credential as it stands then.
One bad operation gets an `error` frame; the socket lives.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import orjson
from starlette.types import Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.utils.aio import aclosing

from graphql_schema.context import Context, authenticate, holds, language_of
from graphql_schema.errors import Defect, Wording, log_defect, presented, refused
from graphql_schema.guard import Guard
from graphql_schema.limits import SUBSCRIPTIONS_PER_CONNECTION_MAX
from graphql_schema.live.feeds import Feeds
from graphql_schema.seats import Seat, SendPayload
from services.kernel.access import Actor
from services.kernel.errors import RequestRefused, ServiceUnavailable, Throttled

INVALID_MESSAGE = 4400
UNACKNOWLEDGED = 4401
REFUSED = 4403
DUPLICATE = 4409
TRY_AGAIN_LATER = 1013
OPERATION_ID_LENGTH_MAX = 200


class Connection:
    """One socket: who opened it, as its credential said at the beginning."""

    def __init__(self, guard: Guard, feeds: Feeds, websocket: WebSocket, send: Send, request_id: str) -> None:
        self.runtime, self.guard, self.feeds = feeds.runtime, guard, feeds
        self.websocket, self.send, self.request_id = websocket, send, request_id
        self.connection_params: Mapping[str, Any] = {}  # Strawberry writes the payload of connection_init here
        self.token, self.language = "", language_of(websocket.headers.get("accept-language"))
        self.actor: Actor | None = None

    async def open(self) -> None:
        """Authenticate by the payload of connection_init. Raises RequestRefused."""
        self.token, asker = await authenticate(self.runtime, self.connection_params.get("authorization"))
        wished, header = self.connection_params.get("language"), self.websocket.headers.get("accept-language")
        self.actor = asker.actor
        self.language = language_of(wished if isinstance(wished, str) else header, asker.languages)

    @property
    def wording(self) -> Wording:
        """How errors are told on this socket."""
        return Wording(self.request_id, self.language)

    async def still_holds(self) -> bool:
        """Whether the credential still gives the rights with which the socket was opened."""
        return self.actor is not None and await holds(self.runtime, self.token, self.actor)

    async def operation(self, seat: Seat) -> Context | None:
        """A fresh context for one operation; None when the credential no longer holds."""
        if self.actor is None or not await self.still_holds():
            return None
        return Context(
            runtime=self.runtime,
            actor=self.actor,
            request_id=self.request_id,
            language=self.language,
            token=self.token,
            rings=self.feeds.rings,
            end_connection=self.end,
            seat=seat,
        )

    async def end(self) -> None:
        """Close the socket because its credential no longer holds. May be called again."""
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
        except ServiceUnavailable:
            await self.websocket.close(TRY_AGAIN_LATER, "Try again later")
        if self.connection_acknowledged:
            self.context.guard.add(self.context)

    async def handle_subscribe(self, message: Any) -> None:
        if not self.connection_acknowledged:
            await self.websocket.close(UNACKNOWLEDGED, "Unauthorized")
            return
        request = _request(message)
        if request is None:
            await self.handle_invalid_message("A subscribe message has an id and a payload with a query.")
            return
        if request[0] in self.operations:
            await self.websocket.close(DUPLICATE, f"Subscriber for {request[0]} already exists")
            return
        operation = Operation(self, *request)
        if len(self.operations) >= SUBSCRIPTIONS_PER_CONNECTION_MAX:
            refusal = Throttled(
                "At most {count} operations at a time on one socket.", count=SUBSCRIPTIONS_PER_CONNECTION_MAX
            )
            errors = presented([refused(refusal)], self.context.wording)
            await self.send_message(
                {"id": operation.id, "type": "error", "payload": [each.formatted for each in errors]}
            )
            return
        self.operations[operation.id] = operation
        operation.task = asyncio.create_task(self.run_operation(operation))

    async def run_operation(self, operation: Operation[Connection, None]) -> None:
        """Run one operation to its end. Never raises: the socket must outlive it."""
        seat = Seat(self.context.feeds, self._sender(operation.id))
        try:
            while await self._run_alone(operation, seat):
                await seat.sit()
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except RequestRefused as refusal:
            await self._send_refusal(operation, refusal)
        except Exception as error:  # noqa: BLE001  the last line of defense of a task
            log_defect(error, self.context.request_id)
            await self._send_refusal(operation, Defect())
        finally:
            seat.leave()

    async def shutdown(self) -> None:
        self.context.guard.remove(self.context)
        await super().shutdown()

    async def _run_alone(self, operation: Operation[Connection, None], seat: Seat) -> bool:
        """Run an operation by itself: to its end, or until it is seated among others. Returns whether it is seated."""
        context = await self.context.operation(seat)
        if context is None:
            await self.context.end()
            return False
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
        )
        async with aclosing(results):
            is_first = True
            async for result in results:
                if is_first and isinstance(result, PreExecutionError):
                    await operation.send_initial_errors(result.errors or [])
                    return False
                await operation.send_next(cast("ExecutionResult", result))
                is_first = False
        if not seat.is_taken:
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        return seat.is_taken

    def _sender(self, identifier: str) -> SendPayload:
        """Sends the payload of one event of an operation. A thousand of them an event: straight to the server."""
        begin = orjson.dumps({"id": identifier, "type": "next"}).decode().removesuffix("}")
        send = self.context.send

        async def send_payload(payload: str) -> None:
            try:
                await send({"type": "websocket.send", "text": f'{begin},"payload":{payload}}}'})
            except (OSError, RuntimeError) as error:  # the client went away, or the socket is closed
                raise WebSocketDisconnected from error

        return send_payload

    async def _send_refusal(self, operation: Operation[Connection, None], refusal: RequestRefused) -> None:
        with suppress(WebSocketDisconnected):
            await operation.send_initial_errors([*presented([refused(refusal)], self.context.wording)])
        self.operations.pop(operation.id, None)


def _request(message: Mapping[str, Any]) -> tuple[str, str, dict[str, Any] | None, str | None] | None:
    """The id, query, variables and operation name of a subscribe message; None when it is not one."""
    identifier, payload = message.get("id"), message.get("payload")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= OPERATION_ID_LENGTH_MAX:
        return None
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return None
    variables, name = payload.get("variables"), payload.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        return None
    return identifier, payload["query"], variables, name


async def accept(connection: Connection) -> None:
    """Strawberry's hook for connection_init: authenticate, or have the socket closed with 4403."""
    try:
        await connection.open()
    except ServiceUnavailable:
        raise
    except RequestRefused as error:
        raise ConnectionRejectionError from error
