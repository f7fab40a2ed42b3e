# SPDX-License-Identifier: EUPL-1.2
"""Errors as clients see them: a message, a code of a closed list, and the request's id. Everything else is masked.

A refusal of ours keeps its sentence and its code. What graphql-core refuses gets the code of the step that refused it.
Any other exception is a defect: the client reads "Internal server error.", the log keeps the exception under the
request's id. Errors leave the server by `presented` only, over every transport.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from sqlalchemy.exc import StatementError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from services.kernel.errors import BadUserInput, DomainError, RequestRefused
from services.kernel.languages import Language, said

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INTERNAL = "INTERNAL_SERVER_ERROR"
CAUSES_MAX = 10
MESSAGE_LENGTH_MAX = 500

# fmt: off
CODES = frozenset({
    "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT", "OPERATION_RESOLUTION_FAILURE",
    "DOCUMENT_TOO_COMPLEX", "QUERY_TOO_DEEP", "QUERY_COST_EXCEEDED",
    "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_DOCUMENT_REQUIRED",
    "BAD_REQUEST", "METHOD_NOT_ALLOWED", "NOT_ACCEPTABLE", "SUBSCRIPTION_NEEDS_STREAM", "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNAUTHENTICATED", "FORBIDDEN", "THROTTLED", "ORGANIZATION_SUSPENDED",
    "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT",
})
# fmt: on
"""Every code that a top-level error may carry."""

log = structlog.get_logger()


class BadRequest(RequestRefused):
    code = "BAD_REQUEST"
    message = "The body is not one JSON object with a query."


class MethodNotAllowed(RequestRefused):
    code = "METHOD_NOT_ALLOWED"
    message = "Use POST."


class NotAcceptable(RequestRefused):
    code = "NOT_ACCEPTABLE"
    message = "Answers are application/graphql-response+json, application/json or text/event-stream."


class SubscriptionNeedsStream(RequestRefused):
    code = "SUBSCRIPTION_NEEDS_STREAM"
    message = "Ask for text/event-stream, or open a WebSocket with the graphql-transport-ws subprotocol."


class PayloadTooLarge(RequestRefused):
    code = "PAYLOAD_TOO_LARGE"
    message = "The body is too large."


class UnsupportedMediaType(RequestRefused):
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = "Send application/json in UTF-8, not compressed."


class PersistedDocumentNotFound(RequestRefused):
    code = "PERSISTED_DOCUMENT_NOT_FOUND"
    message = "No document with this id is registered for this client."


class PersistedDocumentRequired(RequestRefused):
    code = "PERSISTED_DOCUMENT_REQUIRED"
    message = "This client may only send the documentId of a registered document."


class OperationUnresolved(RequestRefused):
    code = "OPERATION_RESOLUTION_FAILURE"
    message = "Name one operation of the document in operationName."


class DocumentTooComplex(RequestRefused):
    code = "DOCUMENT_TOO_COMPLEX"
    message = "The document asks for too much at once."


class QueryTooDeep(RequestRefused):
    code = "QUERY_TOO_DEEP"
    message = "The document is nested too deeply."


class QueryCostExceeded(RequestRefused):
    code = "QUERY_COST_EXCEEDED"
    message = "This operation may cost {cost}; at most {count} is allowed. Ask for smaller pages or fewer relations."


class TimedOut(RequestRefused):
    code = "TIMEOUT"
    message = "The operation took too long and was stopped. Whether it had an effect is unknown."


class Defect(RequestRefused):
    """Something of ours is broken. The log knows what, under the request's id."""

    code = INTERNAL
    message = "Internal server error."


@dataclass(frozen=True, slots=True)
class Wording:
    """How errors are told to one request: under its id, in its language."""

    request_id: str
    language: Language = Language.EN


class PresentedError(GraphQLError):
    """An error as it may leave the server. What graphql-core says is for developers, and English in every language."""

    language = Language.EN


def refused(refusal: RequestRefused) -> GraphQLError:
    """A refusal of ours as GraphQL knows errors, without a path: no resolver ran."""
    return GraphQLError(refusal.text, original_error=refusal)


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """The same error, raised by graphql-core, under the code of the step that raised it."""
    error.extensions = {"code": code}
    return error


def presented(errors: Iterable[GraphQLError], wording: Wording) -> list[PresentedError]:
    """Errors as they may leave the server. Defects are logged here, once, under the request's id."""
    return [_presented(error, wording) for error in errors]


def code_of(error: GraphQLError) -> str:
    """The code of an error that has been presented."""
    return str((error.extensions or {}).get("code", INTERNAL))


def error_body(refusal: RequestRefused, wording: Wording) -> bytes:
    """The JSON of a request that was refused before it became an operation."""
    return orjson.dumps({"errors": [presented([refused(refusal)], wording)[0].formatted]})


def not_found_body(request_id: str, *, code: str = "NOT_FOUND", message: str = "Not found.") -> bytes:
    """The JSON for an address that is not served. Its codes are not those of the API."""
    return orjson.dumps({"errors": [{"message": message, "extensions": {"code": code, "requestId": request_id}}]})


def log_defect(error: BaseException, request_id: str, path: list[str | int] | None = None) -> None:
    """Keep a defect for whoever repairs it. Values bound to statements are citizens' words: they stay out."""
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if isinstance(cause, StatementError):
            cause.hide_parameters = True
        cause = cause and (cause.__cause__ or cause.__context__)
    log.error("defect", request_id=request_id, path=path, kind=type(error).__name__, exc_info=error)


def _presented(error: GraphQLError, wording: Wording) -> PresentedError:
    origin = _origin(error)
    code = None if isinstance(origin, RequestRefused) else _own_code(error, origin)
    if code is not None:
        return _copy(error, _short(error.message), _extensions(code, wording.request_id))
    if not isinstance(origin, RequestRefused):
        log_defect(origin or error, wording.request_id, error.path)
        origin = Defect()
    extensions = _extensions(origin.code, wording.request_id, origin.retry_after_seconds)
    found = _copy(error, said(origin, wording.language), extensions)
    found.language = wording.language
    return found


def _short(message: str) -> str:
    """What graphql-core says, which repeats the names and values that it was sent."""
    return message if len(message) <= MESSAGE_LENGTH_MAX else f"{message[:MESSAGE_LENGTH_MAX]}…"


def _origin(error: GraphQLError) -> BaseException | None:
    """What was raised, beneath graphql-core's wrapping."""
    origin: BaseException | None = error.original_error
    for _ in range(CAUSES_MAX):
        if not isinstance(origin, GraphQLError) or origin.original_error is None:
            break
        origin = origin.original_error
    return origin


def _own_code(error: GraphQLError, origin: BaseException | None) -> str | None:
    """The code of an error that graphql-core made itself; None for a defect."""
    given = (error.extensions or {}).get("code")
    if given in CODES and not isinstance(origin, DomainError):
        return given
    if isinstance(error, GraphQLSyntaxError):
        return PARSE_FAILED
    if isinstance(origin, CannotGetOperationTypeError):
        return OperationUnresolved.code
    if isinstance(origin, InvalidOperationTypeError):
        return SubscriptionNeedsStream.code
    if isinstance(origin, MissingQueryError):
        return BadRequest.code
    if origin is None and error.path is None:
        return BadUserInput.code  # graphql-core refuses variables before it runs anything
    return None


def _extensions(code: str, request_id: str, retry_after_seconds: int | None = None) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": code, "requestId": request_id}
    if retry_after_seconds is not None:
        extensions["retryAfter"] = retry_after_seconds
    return extensions


def _copy(error: GraphQLError, message: str, extensions: dict[str, Any]) -> PresentedError:
    return PresentedError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
