# SPDX-License-Identifier: EUPL-1.2
"""What an organization has done for it every day."""

from datetime import timedelta

from services.kernel import idempotency, inbox, jobs
from services.kernel.access import Actor
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime

EVERY = timedelta(hours=6)


async def tidy(runtime: Runtime, ticket: Ticket) -> None:
    """Forget what only served to act once: old inbox rows and old idempotency keys."""
    async with runtime.database.unit_of_work(Actor.system(ticket.tenant_id, ticket.id)) as uow:
        await inbox.forget(uow)
        await idempotency.forget(uow)
        await jobs.postpone(uow, ticket, due_at=uow.now + EVERY)
