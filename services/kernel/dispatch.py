# SPDX-License-Identifier: EUPL-1.2
"""What the relay may do, as belfry_relay: find what is due in any organization, and mark it as rung.

The role reads the outbox and the job table and nothing else. Rows are claimed by state, organization by organization,
with SKIP LOCKED and a lease, so that any number of relays share the work and a dead one costs seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kernel.database import make_engine
from services.kernel.errors import ServiceUnavailable

RING_LEASE_SECONDS = 15
ROWS_PER_TURN = 50
ORGANIZATIONS_PER_SWEEP = 500
KEPT_HOURS = 48

DUE = text(
    """
    select tenant_id from belfry.outbox
    where state = 'WAITING' and due_at <= now() and (lease_until is null or lease_until <= now())
    union
    select tenant_id from belfry.job
    where state = 'WAITING' and due_at <= now() and (lease_until is null or lease_until <= now())
      and (rung_until is null or rung_until <= now())
    limit :organizations
    """
)

UNHEARD = text(
    """
    update belfry.outbox set state = 'DELIVERED'
    where tenant_id = :tenant and state = 'WAITING' and kind <> all(cast(:heard as text[]))
    """
)

WAKE = text(
    """
    update belfry.job set
        due_at = case when lease_until is null then now() else due_at end,
        again_at = case when lease_until is null then null else now() end
    where tenant_id = :tenant and kind = any(cast(:followers as text[])) and state = 'WAITING'
      and (lease_until is not null or due_at > now())
    """
)
"""Jobs that follow all facts of their organization are due when there is a new one."""

# What is due stands in a part of its own: a subquery may be run again for every row, and its LIMIT with it.
CLAIM_FACTS = text(
    """
    with due as materialized (
        select id from belfry.outbox
        where tenant_id = :tenant and state = 'WAITING' and due_at <= now()
          and (lease_until is null or lease_until <= now())
        order by seq limit :rows for update skip locked)
    update belfry.outbox set lease_until = now() + make_interval(secs => :seconds)
    from due where outbox.tenant_id = :tenant and outbox.id = due.id
    returning outbox.id
    """
)

CLAIM_JOBS = text(
    """
    with due as materialized (
        select id from belfry.job
        where tenant_id = :tenant and state = 'WAITING' and due_at <= now()
          and (lease_until is null or lease_until <= now()) and (rung_until is null or rung_until <= now())
        order by due_at limit :rows for update skip locked)
    update belfry.job set rung_until = now() + make_interval(secs => :seconds)
    from due where job.tenant_id = :tenant and job.id = due.id
    returning job.id, job.kind
    """
)

OLD = text(
    """
    select distinct tenant_id from belfry.outbox
    where state = 'DELIVERED' and occurred_at < now() - make_interval(hours => :hours)
    limit :organizations
    """
)

FORGET = text(
    """
    delete from belfry.outbox
    where tenant_id = :tenant and state = 'DELIVERED' and occurred_at < now() - make_interval(hours => :hours)
    """
)

BEHIND = text(
    """
    select coalesce(extract(epoch from now() - min(due_at)), 0)::float8
    from belfry.outbox where state = 'WAITING' and due_at <= now()
    """
)


@dataclass(frozen=True, slots=True)
class Due:
    """What one organization has for the workers: facts to deliver, and jobs with their kinds."""

    tenant_id: UUID
    facts: Sequence[UUID]
    jobs: Sequence[tuple[UUID, str]]

    @property
    def is_full(self) -> bool:
        """Whether more may be waiting than one turn takes."""
        return len(self.facts) == ROWS_PER_TURN or len(self.jobs) == ROWS_PER_TURN


class Dispatcher:
    """The relay's own connection."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, pool_size=2)

    async def due_organizations(self) -> list[UUID]:
        """The organizations that have something to do now."""
        try:
            async with self._engine.connect() as connection:
                return list((await connection.execute(DUE, {"organizations": ORGANIZATIONS_PER_SWEEP})).scalars())
        except (DBAPIError, OSError, TimeoutError) as error:
            raise ServiceUnavailable from error

    async def claim(self, tenant_id: UUID, *, heard: Sequence[str], followers: Sequence[str] = ()) -> Due:
        """One turn of one organization. Facts that nobody listens to are done at once; followers hear of all."""
        values = {"tenant": tenant_id, "rows": ROWS_PER_TURN, "seconds": RING_LEASE_SECONDS}
        try:
            async with self._engine.begin() as connection:
                unheard = await connection.execute(UNHEARD, {"tenant": tenant_id, "heard": list(heard)})
                facts = list((await connection.execute(CLAIM_FACTS, values)).scalars())
                if followers and (unheard.rowcount or facts):
                    await connection.execute(WAKE, {"tenant": tenant_id, "followers": list(followers)})
                jobs = [(row.id, row.kind) for row in await connection.execute(CLAIM_JOBS, values)]
        except (DBAPIError, OSError, TimeoutError) as error:
            raise ServiceUnavailable from error
        return Due(tenant_id, facts, jobs)

    async def forget(self) -> None:
        """Drop delivered facts that no subscriber can resume from any more."""
        try:
            async with self._engine.connect() as connection:
                old = await connection.execute(OLD, {"hours": KEPT_HOURS, "organizations": ORGANIZATIONS_PER_SWEEP})
                tenants = list(old.scalars())
            for tenant_id in tenants:
                async with self._engine.begin() as connection:
                    await connection.execute(FORGET, {"tenant": tenant_id, "hours": KEPT_HOURS})
        except (DBAPIError, OSError, TimeoutError) as error:
            raise ServiceUnavailable from error

    async def seconds_behind(self) -> float:
        """How long the oldest fact has been waiting."""
        async with self._engine.connect() as connection:
            return (await connection.execute(BEHIND)).scalar_one()

    async def close(self) -> None:
        await self._engine.dispose()
