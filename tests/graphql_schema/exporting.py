# SPDX-License-Identifier: EUPL-1.2
"""Exports for tests: the job is done here and now, as a worker would, and what was written is read back as lines."""

from typing import Any
from uuid import UUID

import orjson
from sqlmodel import col

from graphql_schema.nodes import decode_id
from services.integrations import handlers
from services.integrations.commands import EXPIRE, EXPORT
from services.integrations.models import Export, ExportPiece
from services.kernel import jobs
from services.kernel.isolation import owned
from services.kernel.jobs import Job
from services.kernel.runtime import Runtime
from tests.graphql_schema.serving import Served
from tests.support.organizations import TestOrganization

CREATE = """
mutation ($input: ExportCreateInput!) {
  exportCreate(input: $input) { export { id kind state since until lines bytes } userErrors { code field message } }
}
"""
LINK = """
mutation ($id: ID!) {
  exportLinkIssue(input: {exportId: $id}) { export { id state } url endsAt userErrors { code field } }
}
"""
SHOW = "query ($id: ID!) { node(id: $id) { ... on Export { state failure lines bytes readyAt expiresAt version } } }"
WORK = {EXPORT: handlers.export, EXPIRE: handlers.expire}


async def work(runtime: Runtime, organization: TestOrganization, kind: str, export_id: UUID) -> None:
    """One run of a job of an export, now."""
    async with runtime.database.unit_of_work(organization.system) as uow:
        job = await uow.one(owned(Job, col(Job.kind) == kind, col(Job.subject_id) == export_id))
        job.due_at = uow.now
        await uow.flush()
        ticket = await jobs.lease(uow, job.id)
    assert ticket is not None
    await WORK[kind](runtime, ticket)


async def wished(api: Served, token: str, kind: str = "CONVERSATIONS", **given: Any) -> dict[str, Any]:
    """Ask for an export. Returns the payload."""
    return (await api.ask(token, CREATE, input={"kind": kind, **given}))["exportCreate"]


async def ready(runtime: Runtime, organization: TestOrganization, api: Served, token: str, kind: str) -> str:
    """The id of an export that is written."""
    payload = await wished(api, token, kind)
    assert payload["userErrors"] == []
    await work(runtime, organization, EXPORT, row_id(payload["export"]["id"]))
    return payload["export"]["id"]


def row_id(global_id: str) -> UUID:
    found = decode_id(global_id)
    assert found is not None
    return found[1]


async def row_of(runtime: Runtime, organization: TestOrganization, export_id: UUID) -> Export:
    async with runtime.database.snapshot(organization.system) as snapshot:
        return await snapshot.one(owned(Export, col(Export.id) == export_id))


async def written(runtime: Runtime, organization: TestOrganization, export_id: UUID) -> bytes:
    """What is kept of an export by now."""
    async with runtime.database.snapshot(organization.system) as snapshot:
        pieces = await snapshot.scalars(
            owned(ExportPiece, col(ExportPiece.export_id) == export_id).order_by(col(ExportPiece.number))
        )
    return b"".join(each.content for each in pieces)


def lines_of(content: bytes) -> list[dict[str, Any]]:
    """Every line is a JSON object, and the last one ends too."""
    assert not content or content.endswith(b"\n")
    return [orjson.loads(line) for line in content.splitlines()]
