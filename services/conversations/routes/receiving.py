# SPDX-License-Identifier: EUPL-1.2
"""Requests as they come in: who sends, in which form, how much, and how long it may take."""

import asyncio
import ipaddress
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from services.conversations.routes.refusals import FieldError, NotUsable, Refusal, Refused
from services.conversations.routes.words import Words
from services.kernel.errors import Invalid
from services.kernel.serialization import from_json

BODY_BYTES_MAX = 64 * 1024
DISCARDED_BYTES_MAX = 1024 * 1024
"""How much more than is taken is still read, so that a sender who went on writing sees the refusal."""

CONTENT_LENGTH_DIGITS_MAX = 12
RECEIVE_SECONDS_MAX = 10.0
FORM_FIELDS_MAX = 20
IPV6_HOST_BITS = 64
ACCEPT_LENGTH_MAX = 1_000
UNKNOWN_ADDRESS = "unknown"

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
HTML = "text/html"


def media_type(request: Request) -> str:
    """How the body is declared. Raises Refused for anything but JSON and forms, in UTF-8 and as they are."""
    name = declared_type(request)
    parameters = [part.strip() for part in request.headers.get("content-type", "").lower().split(";")[1:]]
    charsets = [value.strip('" ') for key, _, value in (each.partition("=") for each in parameters) if key == "charset"]
    encoded = request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    if name not in (JSON, FORM) or any(charset not in ("utf-8", "utf8") for charset in charsets) or encoded:
        raise Refused(Refusal.UNSUPPORTED)
    return name


def declared_type(request: Request) -> str:
    """The bare media type of the body, lower case; empty when none is declared."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_fields(request: Request, words: Words) -> dict[str, Any]:
    """The fields of the body. Raises Refused when it is too large or too slow, NotUsable when it cannot be read."""
    media = declared_type(request)
    body = await _body(request)
    try:
        if media == FORM:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="replace", max_num_fields=FORM_FIELDS_MAX)
            return dict(pairs)
        values = from_json(body)
    except ValueError as error:
        raise NotUsable([FieldError(None, Invalid.code, words.unreadable)]) from error
    if not isinstance(values, dict):
        raise NotUsable([FieldError(None, Invalid.code, words.unreadable)])
    return values


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")[:CONTENT_LENGTH_DIGITS_MAX]
    if declared.isdecimal() and int(declared) > BODY_BYTES_MAX + DISCARDED_BYTES_MAX:
        raise Refused(Refusal.TOO_LARGE)
    taken, size = bytearray(), 0
    try:
        async with asyncio.timeout(RECEIVE_SECONDS_MAX):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= BODY_BYTES_MAX:
                    taken += chunk
                elif size > BODY_BYTES_MAX + DISCARDED_BYTES_MAX:
                    break
    except (TimeoutError, ClientDisconnect) as error:
        raise Refused(Refusal.TOO_LARGE if size > BODY_BYTES_MAX else Refusal.TOO_SLOW) from error
    if size > BODY_BYTES_MAX:
        raise Refused(Refusal.TOO_LARGE)
    return bytes(taken)


def address_of(request: Request) -> str:
    """Who is counted: the peer of the connection, an IPv6 one by the /64 that a household or office has.

    Headers are not read here. Behind a proxy it is the server's own setting that decides whose are believed.
    """
    host = request.client.host if request.client else UNKNOWN_ADDRESS
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:IPV6_HOST_BITS]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, IPV6_HOST_BITS), strict=False))


def prefers_json(request: Request) -> bool:
    """Whether the Accept header names JSON before HTML. A person's browser, and nobody's wish, get HTML."""
    ranges = [_range(each) for each in request.headers.get("accept", "")[:ACCEPT_LENGTH_MAX].split(",")]
    return _rank(JSON, ranges) > _rank(HTML, ranges)


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.lower().split(";"))
    quality = next((value for key, _, value in (each.partition("=") for each in parameters) if key == "q"), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _rank(media: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """The quality of a media type and how exactly it is named, by the most specific range that covers it."""
    group = media.partition("/")[0]
    named = {media: 2, f"{group}/*": 1, "*/*": 0}
    matching = [(named[name], quality) for name, quality in ranges if name in named]
    specificity, quality = max(matching, default=(0, 0.0))
    return quality, specificity
