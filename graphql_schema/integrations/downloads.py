# SPDX-License-Identifier: EUPL-1.2
"""Where exports are fetched: `GET /exports/<token>`, under an address that opens one export for a quarter of an hour.

The address carries its own signature, so nothing is kept of it. It stands for whoever made it: what they may not read
any more, it does not open. Every reason not to open is answered alike.
"""

import hmac
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from graphql_schema.context import language_of
from graphql_schema.errors import Wording
from graphql_schema.negotiation import HEADERS, Media, refusal_response
from graphql_schema.request_ids import request_id_of
from services.integrations import commands, queries, rules
from services.integrations.models import Export
from services.kernel.access import Actor
from services.kernel.errors import DomainError, Forbidden, RequestRefused
from services.kernel.runtime import Runtime

PATH = "/exports"
MEDIA = "application/jsonl"


class OpensNothing(Forbidden):
    message = "This address opens nothing, or not any more; make another one for your export."


def download_routes(runtime: Runtime) -> Sequence[BaseRoute]:
    """Where exports are fetched."""

    async def fetch(request: Request) -> Response:
        try:
            row = await _opened(runtime, request.path_params["token"])
        except RequestRefused as refusal:
            language = language_of(request.headers.get("accept-language"))
            return refusal_response(refusal, Media.JSON, Wording(request_id_of(request.scope), language))
        headers = {
            **HEADERS,
            "Content-Length": str(row.size),
            "Content-Disposition": f'attachment; filename="{row.kind.lower()}-{row.until:%Y-%m-%d}.jsonl"',
        }
        return StreamingResponse(_pieces(runtime, row), headers=headers, media_type=MEDIA)

    return [Route(f"{PATH}/{{token}}", fetch, methods=["GET"])]


async def _opened(runtime: Runtime, token: str) -> Export:
    """The export that an address opens now. Raises OpensNothing, and ServiceUnavailable."""
    found = rules.read_link(token)
    if found is None or not hmac.compare_digest(runtime.vault.sign(rules.LINK_PURPOSE, found[0]), found[1]):
        raise OpensNothing
    tenant_id, export_id, ends = rules.opened(found[0])
    async with runtime.database.snapshot(Actor.system(tenant_id)) as snapshot:
        row = await queries.export_to_open(snapshot, export_id)
        actor = None if row is None or ends <= snapshot.now else await queries.requester_of(snapshot, row)
    if actor is None:
        raise OpensNothing
    try:
        async with runtime.database.unit_of_work(actor) as uow:
            return await commands.note_download(uow, export_id=export_id)
    except DomainError as refusal:
        raise OpensNothing from refusal


async def _pieces(runtime: Runtime, row: Export) -> AsyncIterator[bytes]:
    """The bytes, a piece at a time, as fast as they are taken."""
    for number in range(row.pieces):
        yield await _piece(runtime, row.tenant_id, row.id, number)


async def _piece(runtime: Runtime, tenant_id: UUID, export_id: UUID, number: int) -> bytes:
    async with runtime.database.snapshot(Actor.system(tenant_id)) as snapshot:
        return await queries.export_piece(snapshot, export_id, number)
