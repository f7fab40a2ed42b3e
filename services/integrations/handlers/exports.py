# SPDX-License-Identifier: EUPL-1.2
"""What Belfry does for exports by itself: writes them batch by batch, and drops them when their time is over.

Each batch is read as the one who asked, with the rights that they have by then, and kept in one transaction with the
place where the next one begins: a worker that dies loses one batch, and nobody gets a line twice.
"""

import time
from uuid import UUID

from services.integrations import commands, queries, rules
from services.integrations.models import Export
from services.integrations.rules import ExportFailure, ExportState
from services.kernel import jobs
from services.kernel.access import Actor
from services.kernel.database import UnitOfWork
from services.kernel.jobs import Ticket
from services.kernel.lines import Batch, lines_after
from services.kernel.runtime import Runtime

EXPORT_SECONDS = 45.0
"""How long one run writes before it makes room for other work."""


async def export(runtime: Runtime, ticket: Ticket) -> None:
    """Write an export, or go on with it."""
    actor, until = Actor.system(ticket.tenant_id, ticket.id), time.monotonic() + EXPORT_SECONDS
    async with runtime.database.unit_of_work(actor) as uow:
        row = await commands.begin_export(uow, export_id=ticket.subject_id)
        if row.state is ExportState.RUNNING and ticket.attempts >= jobs.ATTEMPTS_MAX:
            row = await commands.fail_export(uow, export_id=row.id, failure=ExportFailure.BROKEN)
        if row.state is not ExportState.RUNNING:
            await jobs.finish(uow, ticket)
    while row.state is ExportState.RUNNING:
        batch = await _next_batch(runtime, actor, row)
        async with runtime.database.unit_of_work(actor) as uow:
            await jobs.renew(uow, ticket)
            row = await _keep(uow, row.id, batch)
            if row.state is not ExportState.RUNNING:
                await jobs.finish(uow, ticket)
            elif time.monotonic() > until:
                await jobs.postpone(uow, ticket, due_at=uow.now)
                return


async def _next_batch(runtime: Runtime, actor: Actor, row: Export) -> Batch | None:
    """What is written next; None when whoever asked may not see such things any more."""
    async with runtime.database.snapshot(actor) as snapshot:
        requester = await queries.requester_of(snapshot, row)
    if requester is None:
        return None
    async with runtime.database.snapshot(requester) as snapshot:
        return await lines_after(
            snapshot,
            queries.EXPORTED[row.kind],
            since=row.since,
            until=row.until,
            after=None if row.position_at is None or row.position_id is None else (row.position_at, row.position_id),
            limit=rules.EXPORT_ROWS_AT_ONCE,
        )


async def _keep(uow: UnitOfWork, export_id: UUID, batch: Batch | None) -> Export:
    if batch is None:
        return await commands.fail_export(uow, export_id=export_id, failure=ExportFailure.RIGHTS_ENDED)
    return await commands.extend_export(uow, export_id=export_id, batch=batch)


async def expire(runtime: Runtime, ticket: Ticket) -> None:
    """Drop an export whose time is over."""
    async with runtime.database.unit_of_work(Actor.system(ticket.tenant_id, ticket.id)) as uow:
        left = await commands.expire_export(uow, export_id=ticket.subject_id)
        if left:
            await jobs.postpone(uow, ticket, due_at=uow.now + left)
        else:
            await jobs.finish(uow, ticket)
