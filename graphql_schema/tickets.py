# SPDX-License-Identifier: EUPL-1.2
"""Tickets for sockets: for pages that may not hold their token in a script, and so cannot send it over a socket.

`POST /auth/socket-ticket` gives whoever has a credential a ticket, which opens one socket within a minute, once. The
socket then stands for that credential, and ends with it. Tickets lie in Valkey, with the credential sealed; losing
them costs a client one more request.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from uuid import UUID

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from graphql_schema.context import authenticate, language_of
from graphql_schema.errors import Wording
from graphql_schema.negotiation import HEADERS, Media, content_type, refusal_response
from graphql_schema.request_ids import request_id_of
from services.kernel.encryption import CannotOpen, Place, Sealed, digest
from services.kernel.errors import RequestRefused, ServiceUnavailable, Unauthenticated
from services.kernel.runtime import Runtime
from services.kernel.serialization import from_json, to_json

TICKET_SECONDS = 60
TICKET_LENGTH_MAX = 100
PREFIX = "belfry_ticket_"
KEY_PREFIX = "belfry:ticket"


def ticket_routes(runtime: Runtime) -> Sequence[BaseRoute]:
    """Where tickets are given out."""

    async def give(request: Request) -> Response:
        language = language_of(request.headers.get("accept-language"))
        try:
            token, asker = await authenticate(runtime, request.headers.get("authorization"))
            ticket = await issue(runtime, asker.actor.tenant_id, token)
        except RequestRefused as refusal:
            return refusal_response(refusal, Media.JSON, Wording(request_id_of(request.scope), language))
        body = to_json({"ticket": ticket, "expiresInSeconds": TICKET_SECONDS})
        return Response(body, headers=dict(HEADERS), media_type=content_type(Media.JSON))

    return [Route("/auth/socket-ticket", give, methods=["POST"])]


async def issue(runtime: Runtime, tenant_id: UUID, token: str) -> str:
    """A ticket for a credential. Raises ServiceUnavailable."""
    ticket = PREFIX + secrets.token_urlsafe(32)
    sealed = runtime.vault.seal(token.encode(), _place(tenant_id, ticket))
    kept = {
        "tenant": str(tenant_id),
        "key": sealed.key_id,
        "nonce": b64encode(sealed.nonce).decode(),
        "ciphertext": b64encode(sealed.ciphertext).decode(),
    }
    try:
        await runtime.valkey.set(_name(ticket), to_json(kept), ex=TICKET_SECONDS)
    except (RedisError, OSError) as error:
        raise ServiceUnavailable from error
    return ticket


async def redeem(runtime: Runtime, ticket: str) -> str:
    """The credential behind a ticket, which is used up. Raises Unauthenticated and ServiceUnavailable."""
    if not ticket.startswith(PREFIX) or len(ticket) > TICKET_LENGTH_MAX:
        raise Unauthenticated
    try:
        found = await runtime.valkey.getdel(_name(ticket))
    except (RedisError, OSError) as error:
        raise ServiceUnavailable from error
    if found is None:
        raise Unauthenticated
    kept = from_json(found)
    sealed = Sealed(kept["key"], b64decode(kept["nonce"]), b64decode(kept["ciphertext"]))
    try:
        return runtime.vault.open(sealed, _place(UUID(kept["tenant"]), ticket)).decode()
    except CannotOpen as error:
        raise Unauthenticated from error


def _name(ticket: str) -> str:
    return f"{KEY_PREFIX}:{digest(ticket).hex()}"


def _place(tenant_id: UUID, ticket: str) -> Place:
    return Place(tenant_id, "socket_ticket", "token", UUID(bytes=digest(ticket)[:16]))
