# SPDX-License-Identifier: EUPL-1.2
"""What is due later: deliveries, polls, lease ends, wakes. A row, written with the domain row that needs it.

The queue outside is only a doorbell. A worker takes a lease on the row (15 s, renewed every 5 s) and finishes it under
the lease's fence; when it dies, the lease runs out and the sweeper rings again. One live row per (kind, subject):
scheduling again while it runs makes it run once more afterwards.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, case, delete, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, col

from services.kernel.isolation import TenantOwned, constraints, instant, words

if TYPE_CHECKING:
    from services.kernel.database import UnitOfWork

LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5
ATTEMPTS_MAX = 8
BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_MAX = timedelta(minutes=10)


class JobState(StrEnum):
    WAITING = "WAITING"
    DEAD = "DEAD"


class Job(TenantOwned, table=True):
    """One thing that is due. `lease_until` is the worker's, `rung_until` the sweeper's; `error` is a class name."""

    __tablename__ = "job"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "kind", "subject_id"),
        Index("ix_job_due", "tenant_id", "due_at", postgresql_where=text("state = 'WAITING'")),
    )
    __not_personal__: ClassVar = frozenset({"kind", "error"})

    kind: str
    subject_id: UUID
    due_at: datetime = instant()
    again_at: datetime | None = instant(default=None)
    state: JobState = words(JobState, default=JobState.WAITING)
    attempts: int = 0
    fence: int = Field(default=0, sa_type=BigInteger)
    lease_until: datetime | None = instant(default=None)
    rung_until: datetime | None = instant(default=None)
    error: str | None = None


class LeaseLost(Exception):
    """Another worker has this job now: everything this one did in the open unit of work is rolled back."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job as its worker holds it."""

    tenant_id: UUID
    id: UUID
    kind: str
    subject_id: UUID
    attempts: int
    fence: int


async def schedule(uow: "UnitOfWork", kind: str, subject_id: UUID, *, due_at: datetime | None = None) -> None:
    """Make a job due, now unless said otherwise; an earlier instant beats a later one."""
    due = due_at or uow.now
    statement = insert(Job).values(
        tenant_id=uow.tenant_id,
        kind=kind,
        subject_id=subject_id,
        due_at=due,
        state=JobState.WAITING,
        attempts=0,
        fence=0,
    )
    # Also while its lease has run out: the worker may only be slow and still finish.
    running = col(Job.lease_until).is_not(None)
    dead = col(Job.state) == JobState.DEAD
    await uow.write(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "kind", "subject_id"],
            set_={
                "due_at": _case(running, col(Job.due_at), _case(dead, due, func.least(col(Job.due_at), due))),
                "again_at": _case(running, func.least(func.coalesce(col(Job.again_at), due), due), None),
                "state": JobState.WAITING,
                "attempts": _case(dead, 0, col(Job.attempts)),
                "rung_until": None,
            },
        )
    )
    uow.rings = uow.rings or due <= uow.now


async def cancel(uow: "UnitOfWork", kind: str, subject_id: UUID) -> None:
    """Forget a job that need not run any more."""
    await uow.write(
        delete(Job).where(col(Job.tenant_id) == uow.tenant_id, col(Job.kind) == kind, col(Job.subject_id) == subject_id)
    )


async def lease(uow: "UnitOfWork", job_id: UUID) -> Ticket | None:
    """Take a job that is due; None when it is done, not due, dead, or somebody works on it."""
    statement = (
        update(Job)
        .where(
            *_this(uow, job_id),
            col(Job.state) == JobState.WAITING,
            col(Job.due_at) <= uow.now,
            or_(col(Job.lease_until).is_(None), col(Job.lease_until) < uow.now),
        )
        .values(
            lease_until=uow.now + LEASE,
            fence=Job.fence + 1,
            attempts=Job.attempts + 1,
            again_at=_case(col(Job.again_at) <= uow.now, None, col(Job.again_at)),  # this run answers it
        )
        .returning(col(Job.kind), col(Job.subject_id), col(Job.attempts), col(Job.fence))
    )
    found = (await uow.write(statement)).one_or_none()
    return None if found is None else Ticket(uow.tenant_id, job_id, *found)


async def renew(uow: "UnitOfWork", ticket: Ticket) -> None:
    """Keep a job for another lease. Raises LeaseLost when it is no longer this worker's."""
    await _hold(uow, ticket, lease_until=uow.now + LEASE)


async def finish(uow: "UnitOfWork", ticket: Ticket) -> None:
    """Mark a job done inside the transaction of its effects; run it again if somebody asked meanwhile."""
    # First the deletion, under its own condition: a request that commits in between finds no row and makes one, or is
    # seen by the second statement.
    done = delete(Job).where(*_held(uow, ticket), col(Job.again_at).is_(None))
    if (await uow.write(done)).rowcount:
        return
    await _hold(
        uow, ticket, due_at=Job.again_at, again_at=None, lease_until=None, rung_until=None, attempts=0, error=None
    )
    uow.rings = True


async def postpone(uow: "UnitOfWork", ticket: Ticket, *, due_at: datetime) -> None:
    """Give a job back until later, without counting a failure: the next poll, the next look."""
    await _hold(uow, ticket, due_at=func.least(func.coalesce(Job.again_at, due_at), due_at), again_at=None,
                lease_until=None, rung_until=None, attempts=0, error=None)  # fmt: skip


async def fail(uow: "UnitOfWork", ticket: Ticket, error: str, chance: random.Random) -> bool:
    """Give a job back after a failure, later each time; dead after ATTEMPTS_MAX. Returns whether it is dead.

    Who asked for another run during the last attempt revives it, as asking afterwards would.
    """
    wait = min(BACKOFF_FIRST * 2 ** min(ticket.attempts - 1, 16), BACKOFF_MAX) * chance.uniform(0.5, 1)
    given_back = {"error": error, "lease_until": None, "rung_until": None}
    if ticket.attempts < ATTEMPTS_MAX:
        await _hold(uow, ticket, due_at=uow.now + wait, **given_back)
        return False
    asked = col(Job.again_at).is_not(None)
    return await _hold(uow, ticket, state=_case(asked, JobState.WAITING.value, JobState.DEAD.value),
                       due_at=func.coalesce(Job.again_at, uow.now), again_at=None,
                       attempts=_case(asked, 0, Job.attempts), **given_back) is JobState.DEAD  # fmt: skip


async def _hold(uow: "UnitOfWork", ticket: Ticket, **changes: Any) -> JobState:
    """Change the job while it is this worker's, and give its state."""
    statement = update(Job).where(*_held(uow, ticket)).values(**changes).returning(col(Job.state))
    state = (await uow.write(statement)).scalar_one_or_none()
    if state is None:
        raise LeaseLost
    return state


def _this(uow: "UnitOfWork", job_id: UUID) -> tuple[Any, ...]:
    return col(Job.tenant_id) == uow.tenant_id, col(Job.id) == job_id


def _held(uow: "UnitOfWork", ticket: Ticket) -> tuple[Any, ...]:
    return *_this(uow, ticket.id), col(Job.fence) == ticket.fence, col(Job.lease_until).is_not(None)


def _case(condition: Any, then: Any, otherwise: Any) -> Any:
    return case((condition, then), else_=otherwise)
