# SPDX-License-Identifier: EUPL-1.2
"""Which media type an answer has, and which status: one table, one function.

The statuses follow the audits that graphql-http publishes: a request error is 400 in
`application/graphql-response+json` and 200 in `application/json`. When the audits move, this table moves.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from starlette.responses import Response

from graphql_schema.errors import (
    BadRequest,
    DocumentTooComplex,
    MethodNotAllowed,
    NotAcceptable,
    OperationUnresolved,
    PayloadTooLarge,
    PersistedDocumentNotFound,
    PersistedDocumentRequired,
    QueryCostExceeded,
    QueryTooDeep,
    SubscriptionNeedsStream,
    TimedOut,
    UnsupportedMediaType,
    Wording,
    error_body,
    not_found_body,
)
from services.kernel.errors import (
    BadUserInput,
    Forbidden,
    OrganizationSuspended,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
    Unauthenticated,
)
from services.kernel.languages import Language

ACCEPT_LENGTH_MAX = 1_000
EVENT_STREAM = "text/event-stream"
EXECUTED = "EXECUTED"
"""The kind of an answer that has data, with or without errors. Every other kind is the code of its first error."""


class Media(StrEnum):
    """The media types of answers, the one for `*/*` first."""

    JSON = "application/json"
    GRAPHQL = "application/graphql-response+json"


class Statuses(NamedTuple):
    """One row of the table."""

    graphql: int
    json: int


STATUSES: Mapping[str, Statuses] = {
    EXECUTED: Statuses(200, 200),
    "GRAPHQL_PARSE_FAILED": Statuses(400, 200),
    "GRAPHQL_VALIDATION_FAILED": Statuses(400, 200),
    BadUserInput.code: Statuses(400, 200),
    OperationUnresolved.code: Statuses(400, 200),
    DocumentTooComplex.code: Statuses(400, 200),
    QueryTooDeep.code: Statuses(400, 200),
    QueryCostExceeded.code: Statuses(400, 200),
    PersistedDocumentNotFound.code: Statuses(404, 404),
    PersistedDocumentRequired.code: Statuses(400, 400),
    BadRequest.code: Statuses(400, 400),
    Unauthenticated.code: Statuses(401, 401),
    Forbidden.code: Statuses(403, 403),
    OrganizationSuspended.code: Statuses(403, 403),
    MethodNotAllowed.code: Statuses(405, 405),
    NotAcceptable.code: Statuses(406, 406),
    SubscriptionNeedsStream.code: Statuses(406, 406),
    PayloadTooLarge.code: Statuses(413, 413),
    UnsupportedMediaType.code: Statuses(415, 415),
    Throttled.code: Statuses(429, 429),
    "INTERNAL_SERVER_ERROR": Statuses(500, 500),
    ServiceUnavailable.code: Statuses(503, 503),
    TimedOut.code: Statuses(504, 504),
}

HEADERS: Mapping[str, str] = {
    "Vary": "Accept, Authorization, Accept-Language",
    "Cache-Control": "no-store",
}
"""What every answer of the API carries besides its language, and what all routes have (`request_ids.py`)."""


def status_for(kind: str, media: Media) -> int:
    """The HTTP status of an answer: EXECUTED, or the code of the error that kept it from being executed."""
    statuses = STATUSES[kind]
    return statuses.graphql if media is Media.GRAPHQL else statuses.json


def negotiate(accept: str | None) -> Media | None:
    """The best media type for an Accept header; None when none of ours is acceptable.

    The most specific range decides a type's quality. Between equals, a type that is named beats one that is covered by
    a range, the one named first beats the later one, and application/json beats the rest.
    """
    if accept is None or not accept.strip():
        return Media.JSON
    ranges = [each for each in map(_range, accept[:ACCEPT_LENGTH_MAX].split(",")) if each is not None]
    ranked: list[tuple[float, int, int, Media]] = []
    for media in Media:
        matching = [(specificity, -place, q) for place, (name, q) in enumerate(ranges)
                    if (specificity := _specificity(name, media)) is not None]  # fmt: skip
        if matching:
            specificity, place, quality = max(matching)
            ranked.append((quality, specificity, place if specificity == len(WILDCARDS) else 0, media))
    acceptable = [each for each in ranked if each[0] > 0]
    return max(acceptable, key=lambda each: each[:3])[3] if acceptable else None


def accepts_event_stream(accept: str | None) -> bool:
    """Whether an Accept header names the media type of server-sent events; a range does not wish for a stream."""
    ranges = [_range(each) for each in (accept or "")[:ACCEPT_LENGTH_MAX].split(",")]
    return any(each is not None and each[0] == EVENT_STREAM and each[1] > 0 for each in ranges)


def is_json(content_type: str | None) -> bool:
    """Whether a body is declared as JSON in UTF-8."""
    name, *parameters = (content_type or "").lower().split(";")
    charsets = [value.strip().strip('"') for key, _, value in (each.partition("=") for each in parameters)
                if key.strip() == "charset"]  # fmt: skip
    return name.strip() == Media.JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


def refusal_response(refusal: RequestRefused, media: Media, wording: Wording) -> Response:
    """The answer to a request that never became an operation."""
    headers = {**HEADERS, "Content-Language": wording.language}
    if isinstance(refusal, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="belfry"'
    if isinstance(refusal, MethodNotAllowed):
        headers["Allow"] = "POST"
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(refusal.retry_after_seconds)
    status = status_for(refusal.code, media)
    return Response(error_body(refusal, wording), status, headers, media_type=content_type(media))


def not_found_response(request_id: str, **said: str) -> Response:
    """The answer for an address that is not served. It is outside the API and its list of codes.

    `code` and `message` replace those that say nothing more.
    """
    headers = {**HEADERS, "Content-Language": Language.EN}
    return Response(not_found_body(request_id, **said), 404, headers, media_type=content_type(Media.JSON))


def content_type(media: Media) -> str:
    return f"{media}; charset=utf-8"


WILDCARDS = ("*/*", "application/*")
"""Ranges that cover both types, the less specific first."""


def _range(text: str) -> tuple[str, float] | None:
    name, *parameters = (part.strip() for part in text.lower().split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
    return (name, quality) if 0 <= quality <= 1 else None


def _specificity(name: str, media: Media) -> int | None:
    if name == media:
        return len(WILDCARDS)
    return WILDCARDS.index(name) if name in WILDCARDS else None
