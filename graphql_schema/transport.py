# SPDX-License-Identifier: EUPL-1.2
"""GraphQL over HTTP and WebSocket, behind one address: Strawberry's view with Belfry's rules around it.

A request passes its gates in a fixed order: method, media types, body while it arrives, credentials, JSON, document.
Each gate refuses with a code, and `negotiation.status_for` has the status. `Exchange` is what the gates found out.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import orjson
from cross_web import StarletteRequestAdapter
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from graphql_schema import sockets
from graphql_schema.billing import Bill, bucket_of, charge, objects_in_json, pay, settle, told
from graphql_schema.billing import headers as rate_headers
from graphql_schema.context import Context, authenticate, language_of
from graphql_schema.deprecations import headers as sunset_headers
from graphql_schema.documents import DOCUMENT_ID, Documents, parameters_of
from graphql_schema.errors import (
    Defect,
    MethodNotAllowed,
    NotAcceptable,
    OperationUnresolved,
    PresentedError,
    SubscriptionNeedsStream,
    TimedOut,
    UnsupportedMediaType,
    Wording,
    code_of,
    log_defect,
    presented,
    refused,
)
from graphql_schema.event_streams import EventStreamResponse, StreamConnection
from graphql_schema.guard import Guard
from graphql_schema.limits import (
    CONNECTION_INIT_TIMEOUT,
    EXECUTION_SECONDS_MAX,
    SUBSCRIPTIONS_PER_CONNECTION_MAX,
    check_nesting,
    check_variables,
    parse_object,
    receive_body,
)
from graphql_schema.live.feeds import Feeds
from graphql_schema.negotiation import (
    EXECUTED,
    HEADERS,
    Media,
    accepts_event_stream,
    content_type,
    is_json,
    negotiate,
    refusal_response,
    status_for,
)
from graphql_schema.reading.execution import Execution, Executor
from graphql_schema.request_ids import SERVER_SEND, request_id_of
from graphql_schema.schema import ApiSchema
from services.kernel.access import Actor
from services.kernel.errors import Forbidden, RequestRefused
from services.kernel.languages import Language
from services.kernel.runtime import Runtime

READS = (OperationType.QUERY,)
READS_AND_ACTS = (OperationType.QUERY, OperationType.MUTATION)
EXCHANGE = "belfry.exchange"
LANGUAGE = "belfry.language"
COST_ONLY = "X-Cost-Only"
EXECUTION = "X-Execution"
"""Which executor answered; on a request, which one shall."""


@dataclass
class Exchange:
    """One request: what was asked, how to answer it, and what kind of answer it became."""

    media: Media
    data: GraphQLRequestData
    context: Context
    kind: str = EXECUTED
    is_trusted_read: bool = False
    """Whether it came as GET, and may be kept by its client."""
    known_tags: str = ""
    """What the client kept, as its If-None-Match says."""
    is_english: bool = False
    """Whether it says something that has no translation."""
    retry_after_seconds: int | None = None


class ExchangeAdapter(StarletteRequestAdapter):
    """Strawberry's view of a request whose body has been read by the gates."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.exchange: Exchange = request.scope[EXCHANGE]


class ExchangeResponse(Response):
    """What Strawberry calls the sub-response: here only the carrier of the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange = exchange


class Api(GraphQL[Any, None]):
    """The view behind `/graphql`, for HTTP and WebSocket."""

    request_adapter_class = ExchangeAdapter
    websocket_adapter_class = sockets.SocketAdapter  # pyright: ignore[reportAssignmentType]  as in Strawberry itself
    graphql_transport_ws_handler_class = sockets.SocketHandler

    schema: ApiSchema

    def __init__(self, schema: ApiSchema, runtime: Runtime, feeds: Feeds, documents: Documents) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=CONNECTION_INIT_TIMEOUT,
            max_subscriptions_per_connection=SUBSCRIPTIONS_PER_CONNECTION_MAX,
            allowed_origins=sorted(runtime.settings.allowed_origins),
        )
        self.runtime, self.feeds, self.documents, self.guard = runtime, feeds, documents, Guard(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            connection = sockets.Connection(
                self.guard, self.feeds, self.documents, websocket, scope[SERVER_SEND], request_id_of(scope)
            )
            await self.run(websocket, context=connection)
            return
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to one HTTP request. Never raises."""
        media = negotiate(request.headers.get("accept"))
        try:
            return await self._operation(request, media)
        except RequestRefused as refusal:
            return refusal_response(refusal, media or Media.JSON, wording_of(request))
        except Exception as error:  # noqa: BLE001  the last line of defense of a request
            log_defect(error, request_id_of(request.scope))
            return refusal_response(Defect(), media or Media.JSON, wording_of(request))

    async def _operation(self, request: Request, media: Media | None) -> Response:
        headers = request.headers
        is_read = request.method == "GET" and DOCUMENT_ID in request.query_params
        if request.method != "POST" and not is_read:
            raise MethodNotAllowed
        streams = not is_read and accepts_event_stream(headers.get("accept"))
        if media is None and not streams:
            raise NotAcceptable
        parameters = partial(parameters_of, request.scope["query_string"]) if is_read else await _body(request)
        token, asker = await authenticate(self.runtime, headers.get("authorization"))
        language = request.scope[LANGUAGE] = language_of(headers.get("accept-language"), asker.languages)
        self.runtime.buckets.require_any(bucket_of(asker.actor))
        try:
            asked = await self.documents.asked(parameters(), asker)
            check_variables(asked.variables)
        except RequestRefused as refusal:
            self._charge(asker.actor, refusal.code)
            raise
        stream = StreamConnection(self.feeds, request_id_of(request.scope), language, token, asker.actor)
        if media is None:
            return self._streamed(asked, stream, asker.actor)
        context = Context(
            runtime=self.runtime,
            actor=asker.actor,
            request_id=request_id_of(request.scope),
            language=language,
            token=token,
            uses=self.feeds.uses,
            execution=Execution(self._asked_executor(headers.get(EXECUTION))),
            bill=Bill(is_only_priced=headers.get(COST_ONLY) == "1"),
        )
        exchange = request.scope[EXCHANGE] = Exchange(
            media, asked, context, is_trusted_read=is_read, known_tags=headers.get("if-none-match", "")
        )
        try:
            return await self._known(exchange) or await self.run(request, context=context)
        except SubscriptionNeedsStream:
            if not streams:
                raise
            return self._streamed(asked, stream, asker.actor)

    def _streamed(self, asked: GraphQLRequestData, stream: StreamConnection, actor: Actor) -> Response:
        self.guard.require_room(actor)
        return EventStreamResponse(self.schema.stream, asked, stream, self.guard)

    async def _known(self, exchange: Exchange) -> Response | None:
        """Answer a query whose text is known, by its statement: past all that was done when it was seen first.

        None when Strawberry must answer, which is all the same for the client.
        """
        context, data, operations = exchange.context, exchange.data, self.schema.operations
        kept = operations.find(data.query or "", data.operation_name)
        if kept is None or context.bill.is_only_priced:
            return None
        context.execution.is_tried = True
        prepared = operations.prepare(kept, data.variables or {}, context)
        if prepared is None:
            return None
        try:
            context.bill.deprecated = kept.deprecated
            context.bill.set_price(prepared.price, prepared.variables, context.query_cost_max)
            async with asyncio.timeout(EXECUTION_SECONDS_MAX):
                await pay(context)
                answer = await operations.answer(prepared, context)
        except TimeoutError as error:
            raise TimedOut from error
        except RequestRefused as refusal:
            return self._refused(refusal, exchange)
        if answer is None:
            settle(context, None)
            return None
        data = answer.encode()
        settle(context, objects_in_json(data) - 1)
        body = b'{"data":%b,"extensions":{"cost":%b}}' % (data, orjson.dumps(told(context)))
        return self._response(body, exchange, data)

    def _charge(self, actor: Actor, code: str) -> None:
        charge(self.runtime.buckets, actor, code, self.runtime.settings.refusal_cost)

    def _refused(self, refusal: RequestRefused, exchange: Exchange) -> Response:
        """The answer to an operation that has a price and no data."""
        context = exchange.context
        settle(context, None)
        exchange.kind, exchange.retry_after_seconds = refusal.code, refusal.retry_after_seconds
        errors = [each.formatted for each in presented([refused(refusal)], context.wording)]
        return self._response(orjson.dumps({"errors": errors, "extensions": {"cost": told(context)}}), exchange)

    def _asked_executor(self, named: str | None) -> Executor | None:
        """Anybody may compare the two ways on an installation of one machine; elsewhere it would only cost."""
        is_ordinary = named == Executor.ORDINARY and self.runtime.settings.is_local
        return Executor.ORDINARY if is_ordinary else None

    def should_render_graphql_ide(self, request: Any) -> bool:
        return False  # it would take a registered read that accepts anything for a browser that looks for a page

    async def parse_http_body(self, request: Any) -> GraphQLRequestData:
        return cast("ExchangeAdapter", request).exchange.data

    async def execute_single(
        self,
        request: Any,
        request_adapter: Any,
        sub_response: Any,
        context: Any,
        root_value: Any,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        data, exchange = request_data, cast("Exchange", request.scope[EXCHANGE])
        try:
            return await self.schema.execute(
                data.query,
                variable_values=data.variables,
                context_value=context,
                operation_name=data.operation_name,
                allowed_operation_types=READS if exchange.is_trusted_read else READS_AND_ACTS,
            )
        except CannotGetOperationTypeError as error:
            raise OperationUnresolved from error
        except InvalidOperationTypeError as error:
            raise (MethodNotAllowed if exchange.is_trusted_read else SubscriptionNeedsStream) from error

    async def get_sub_response(self, request: Any) -> Response:
        return ExchangeResponse(request.scope[EXCHANGE])

    async def process_result(self, request: Any, result: ExecutionResult) -> GraphQLHTTPResponse:
        exchange: Exchange = request.scope[EXCHANGE]
        errors = result.errors or []
        body: dict[str, Any] = {"errors": [each.formatted for each in errors]} if errors else {}
        exchange.is_english = any(cast("PresentedError", each).language is Language.EN for each in errors)
        if result.data is None and errors and all(each.path is None for each in errors):
            exchange.kind = code_of(errors[0])
            exchange.retry_after_seconds = (errors[0].extensions or {}).get("retryAfter")
        else:
            body["data"] = result.data
        if result.extensions:
            body["extensions"] = result.extensions
        return cast("GraphQLHTTPResponse", cast("object", body))

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        exchange, given = cast("ExchangeResponse", sub_response).exchange, cast("dict[str, Any]", response_data)
        data = self.encode_json(given["data"]) if exchange.is_trusted_read and "errors" not in given else None
        return self._response(self.encode_json(given), exchange, data)

    def _response(self, body: bytes, exchange: Exchange, data: bytes | None = None) -> Response:
        """The answer; `data` is what of it decides whether its client has it already, when all went well."""
        context = exchange.context
        self._charge(context.actor, exchange.kind)
        language = Language.EN if exchange.is_english else context.language
        headers = {**HEADERS, **rate_headers(context), EXECUTION: context.execution.used, "Content-Language": language}
        headers |= sunset_headers(context.bill.deprecated)
        if exchange.retry_after_seconds is not None:
            headers["Retry-After"] = str(exchange.retry_after_seconds)
        status = status_for(exchange.kind, exchange.media)
        if exchange.is_trusted_read and data is not None:
            tag = f'W/"{hashlib.sha256(data).hexdigest()[:32]}"'
            headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
            if tag in exchange.known_tags:
                return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        return Response(body, status, headers, media_type=content_type(exchange.media))

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        """One message of a socket; a body of a POST comes through the gates instead."""
        encoded = data.encode() if isinstance(data, str) else data
        try:
            check_nesting(encoded)
        except RequestRefused as refusal:
            raise orjson.JSONDecodeError(refusal.text, "", 0) from refusal
        return orjson.loads(encoded)

    async def on_ws_connect(self, context: Any) -> Any:
        await sockets.accept(context)
        return await super().on_ws_connect(context)

    async def reject_websocket(self, request: WebSocket) -> WebSocket:
        refusal = Forbidden("Pages of this origin may not open a socket here.")
        await request.send_denial_response(refusal_response(refusal, Media.JSON, wording_of(request)))
        return request


async def _body(request: Request) -> Callable[[], dict[str, Any]]:
    """The body of a POST, checked as far as that is cheap; it is parsed when it is known who asks."""
    headers = request.headers
    if not is_json(headers.get("content-type")) or headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType
    body = await receive_body(request.receive, headers.get("content-length"))
    check_nesting(body)
    return partial(parse_object, body)


def wording_of(request: HTTPConnection) -> Wording:
    """How a refusal is told to a request: in the language that was chosen for it, or that its header asks for."""
    language = request.scope.get(LANGUAGE) or language_of(request.headers.get("accept-language"))
    return Wording(request_id_of(request.scope), language)
