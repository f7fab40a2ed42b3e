# SPDX-License-Identifier: EUPL-1.2
"""A ring has come: look at its row, and have it done. Everything here may run twice, or stop anywhere, without harm."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog

from services.kernel import jobs, outbox
from services.kernel.access import Actor
from services.kernel.errors import ServiceUnavailable
from services.kernel.jobs import LeaseLost, Ticket
from services.kernel.runtime import Runtime
from workers.subscriptions import JOBS, SUBSCRIPTIONS

FACT = "fact"
FACT_BACKOFF_FIRST = timedelta(seconds=2)
FACT_BACKOFF_MAX = timedelta(minutes=10)

log = structlog.get_logger()


class Deliverer:
    """Takes rings and runs what they point to, in one process."""

    def __init__(self, runtime: Runtime, chance: random.Random) -> None:
        self._runtime = runtime
        self._chance = chance

    async def run(self, kind: str, tenant_id: UUID, row_id: UUID) -> None:
        """Do what one ring says. Never raises for what a row can remember: it is in the row then."""
        if kind == FACT:
            await self._deliver(tenant_id, row_id)
        elif kind in JOBS:
            await self._work(tenant_id, row_id)
        else:
            log.error("unknown_job", kind=kind, tenant_id=str(tenant_id), row_id=str(row_id))

    async def _deliver(self, tenant_id: UUID, entry_id: UUID) -> None:
        """Hand a fact to each of its handlers; each has its own unit of work and its own inbox row."""
        actor = Actor.system(tenant_id, entry_id)
        async with self._runtime.database.snapshot(actor) as snapshot:
            entry = await outbox.waiting(snapshot, entry_id)
        if entry is None:
            return
        try:
            occurrence = outbox.occurrence(entry)
            for handler in SUBSCRIPTIONS.get(type(occurrence.event), ()):
                await handler(self._runtime, occurrence)
        except Exception as error:  # whatever a handler raises, the fact stays and is tried again
            log.exception("fact_not_delivered", tenant_id=str(tenant_id), entry_id=str(entry_id), kind=entry.kind)
            wait = min(FACT_BACKOFF_FIRST * 2 ** min(entry.attempts, 12), FACT_BACKOFF_MAX)
            async with self._runtime.database.unit_of_work(actor) as uow:
                await outbox.fail(uow, entry_id, type(error).__name__, wait * self._chance.uniform(0.5, 1))
            return
        async with self._runtime.database.unit_of_work(actor) as uow:
            await outbox.done(uow, entry_id)

    async def _work(self, tenant_id: UUID, job_id: UUID) -> None:
        actor = Actor.system(tenant_id, job_id)
        async with self._runtime.database.unit_of_work(actor) as uow:
            ticket = await jobs.lease(uow, job_id)
        if ticket is None:
            return
        if ticket.attempts > jobs.ATTEMPTS_MAX:  # every worker that took it died, so that none could say why
            await self._fail(actor, ticket, "CRASHED")
            return
        try:
            async with self._renewed(actor, ticket):
                await JOBS[ticket.kind].do(self._runtime, ticket)
        except LeaseLost:
            log.warning("lease_lost", tenant_id=str(tenant_id), job_id=str(job_id), kind=ticket.kind)
        except Exception as error:  # whatever a job raises, its row stays and is tried again
            log.exception("job_failed", tenant_id=str(tenant_id), job_id=str(job_id), kind=ticket.kind)
            await self._fail(actor, ticket, type(error).__name__)

    async def _fail(self, actor: Actor, ticket: Ticket, error: str) -> None:
        with contextlib.suppress(LeaseLost):
            async with self._runtime.database.unit_of_work(actor) as uow:
                if await jobs.fail(uow, ticket, error, self._chance):
                    log.error("job_dead", tenant_id=str(ticket.tenant_id), job_id=str(ticket.id), kind=ticket.kind)

    @asynccontextmanager
    async def _renewed(self, actor: Actor, ticket: Ticket) -> AsyncIterator[None]:
        """Keep the lease while the work lasts. Losing it ends the work."""
        owner = asyncio.current_task()
        lost = False

        async def renew() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(jobs.RENEW_SECONDS)
                try:
                    async with self._runtime.database.unit_of_work(actor) as uow:
                        await jobs.renew(uow, ticket)
                except ServiceUnavailable:
                    continue  # the database was busy for a moment: the lease outlives two lost renewals
                except LeaseLost:
                    lost = True
                    if owner is not None:
                        owner.cancel()
                    return

        keeper = asyncio.create_task(renew())
        try:
            yield
        except asyncio.CancelledError:
            if lost:
                raise LeaseLost from None
            raise
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await keeper
