# SPDX-License-Identifier: EUPL-1.2
"""The outbox: facts on their way to handlers and subscribers, written in the transaction that made them true.

Rows are claimed by state, never by a cursor over ids or time: a smaller number may commit after a larger one. `seq` is
the exception that makes live subscriptions possible, because it is taken under the lock of `audit_head`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Index, Update, case, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, col

from services.kernel import audit
from services.kernel.access import Actor
from services.kernel.audit import AuditHead, Entry
from services.kernel.errors import NotFound
from services.kernel.events import Event, Occurrence, read_event
from services.kernel.isolation import TenantOwned, constraints, instant, owned, words
from services.kernel.serialization import from_json, to_json

if TYPE_CHECKING:
    from services.kernel.database import Snapshot, UnitOfWork
    from services.kernel.reads import Reads

ATTEMPTS_MAX = 12
KEPT = timedelta(hours=48)
"""How long a delivered fact stays readable for subscribers that resume."""


class OutboxState(StrEnum):
    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"


class OutboxEntry(TenantOwned, table=True):
    """One fact. `lease_until` belongs to whoever delivers it now; `error` is a class name, never a text."""

    __tablename__ = "outbox"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_outbox_due", "tenant_id", "due_at", postgresql_where=text("state = 'WAITING'")),
        Index("uq_outbox_seq", "tenant_id", "seq", unique=True),
    )
    __not_personal__: ClassVar = frozenset({"kind", "body", "error"})

    seq: int = Field(sa_type=BigInteger)
    kind: str
    subject_id: UUID
    body: dict[str, Any] = Field(sa_type=JSONB)
    occurred_at: datetime = instant()
    state: OutboxState = words(OutboxState, default=OutboxState.WAITING)
    attempts: int = 0
    due_at: datetime = instant()
    lease_until: datetime | None = instant(default=None)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of a unit of work, with the id that its audit row and its outbox row share."""

    id: UUID
    event: Event


RECORD = text(
    """
    with facts as (
        select * from unnest(
            cast(:ids as uuid[]), cast(:seqs as bigint[]), cast(:kinds as text[]), cast(:subject_kinds as text[]),
            cast(:subject_ids as uuid[]), cast(:bodies as text[]), cast(:hashes as bytea[])
        ) as f (id, seq, kind, subject_kind, subject_id, body, hash)
    ), audited as (
        insert into belfry.audit_event (tenant_id, id, seq, at, actor_kind, actor_id, cause, action, subject_kind,
                                        subject_id, detail, hash)
        select :tenant, id, seq, :now, :actor_kind, :actor_id, cast(:cause as uuid), kind, subject_kind, subject_id,
               body::jsonb, hash from facts
    ), queued as (
        insert into belfry.outbox (tenant_id, id, seq, kind, subject_id, body, occurred_at, state, attempts, due_at)
        select :tenant, id, seq, kind, subject_id, body::jsonb, :now, 'WAITING', 0, :now from facts
    )
    update belfry.audit_head set seq = :last_seq, hash = :last_hash where tenant_id = :tenant
    """
)


def record(connection: Connection, actor: Actor, now: datetime, recorded: list[Recorded]) -> None:
    """Write the audit rows, the outbox rows and the new head of the chain, in two statements however many facts.

    The first takes the lock of the head. Call it last before COMMIT, or two units of work wait for each other.
    """
    tenant = actor.tenant_id
    head = select(col(AuditHead.seq), col(AuditHead.hash)).where(col(AuditHead.tenant_id) == tenant).with_for_update()
    found = connection.execute(head).one_or_none()
    if found is None:
        raise NotFound("This organization does not exist.")
    bodies = [to_json(each.event.body()) for each in recorded]
    entries = [
        Entry(
            id=each.id,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            cause=actor.cause,
            action=each.event.kind,
            subject_kind=each.event.subject_kind,
            subject_id=each.event.subject_id,
            detail=from_json(body),
        )
        for each, body in zip(recorded, bodies, strict=True)
    ]
    hashes = audit.chain(found.hash, tenant, found.seq + 1, entries)
    connection.execute(
        RECORD,
        {
            "tenant": tenant,
            "now": now,
            "actor_kind": actor.kind.value,
            "actor_id": actor.id,
            "cause": actor.cause,
            "ids": [entry.id for entry in entries],
            "seqs": list(range(found.seq + 1, found.seq + 1 + len(entries))),
            "kinds": [entry.action for entry in entries],
            "subject_kinds": [entry.subject_kind for entry in entries],
            "subject_ids": [entry.subject_id for entry in entries],
            "bodies": [body.decode() for body in bodies],
            "hashes": hashes,
            "last_seq": found.seq + len(entries),
            "last_hash": hashes[-1],
        },
    )


def occurrence(entry: OutboxEntry) -> Occurrence[Event]:
    """The stored row as what a handler receives. Raises KeyError or ValueError when this version cannot read it."""
    event = read_event(entry.kind, entry.body)
    return Occurrence(event=event, id=entry.id, tenant_id=entry.tenant_id, seq=entry.seq, occurred_at=entry.occurred_at)


async def waiting(snapshot: "Snapshot", entry_id: UUID) -> OutboxEntry | None:
    """A fact that is to be delivered; None when it was delivered or is dead."""
    return await snapshot.one_or_none(
        owned(OutboxEntry, col(OutboxEntry.id) == entry_id, col(OutboxEntry.state) == OutboxState.WAITING)
    )


async def done(uow: "UnitOfWork", entry_id: UUID) -> None:
    """Every handler has acted on the fact."""
    await uow.write(_of(uow, entry_id).values(state=OutboxState.DELIVERED, lease_until=None, error=None))


async def fail(uow: "UnitOfWork", entry_id: UUID, error: str, wait: timedelta) -> None:
    """A handler could not: try again later, and after ATTEMPTS_MAX keep the fact as a dead letter with its reason."""
    dead = col(OutboxEntry.attempts) + 1 >= ATTEMPTS_MAX
    await uow.write(
        _of(uow, entry_id).values(
            attempts=OutboxEntry.attempts + 1,
            state=case((dead, OutboxState.DEAD.value), else_=OutboxState.WAITING.value),
            due_at=uow.now + wait,
            lease_until=None,
            error=error,
        )
    )


WHAT_FOLLOWS = """
    with bound as materialized (
        select set_config('app.tenant_id', $1::text, true)::uuid as tenant
    )
    select found.* from bound cross join lateral (
        select place.head, place.position, now() as at, oldest.seq as oldest, oldest.occurred_at as oldest_at,
               facts.seqs, facts.kinds, facts.subjects, facts.times, missed.number
        from (
            select seq as head, coalesce($2::bigint, seq) as position
            from belfry.audit_head where tenant_id = bound.tenant
        ) place
        left join lateral (
            select seq, occurred_at from belfry.outbox
            where tenant_id = bound.tenant and seq > place.position order by seq limit 1
        ) oldest on true
        cross join lateral (
            select array_agg(seq order by seq) as seqs, array_agg(kind order by seq) as kinds,
                   array_agg(subject_id order by seq) as subjects, array_agg(occurred_at order by seq) as times
            from (
                select seq, kind, subject_id, occurred_at from belfry.outbox
                where tenant_id = bound.tenant and seq > place.position and kind = any($3::text[])
                order by seq limit $4
            ) each
        ) facts
        cross join lateral (
            select count(*) as number from (
                select from belfry.outbox
                where tenant_id = bound.tenant and seq > place.position and kind = any($3::text[]) limit $5
            ) each
        ) missed
        where bound.tenant is not null
        offset 0
    ) found
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """What a subscriber reads of a row."""

    seq: int
    kind: str
    subject_id: UUID
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Following:
    """What stands behind a position: the head and time of the organization, the oldest fact, and those of some kinds.

    All facts up to the head are committed. `number` is how many of these kinds there are, counted up to a bound.
    """

    head: int
    position: int
    at: datetime
    oldest: tuple[int, datetime] | None
    facts: list[Fact]
    number: int


async def following(
    reads: "Reads", tenant_id: UUID, position: int | None, kinds: frozenset[str], *, limit: int, counted_max: int
) -> Following:
    """What a subscriber has not seen that has been told everything up to a position; None stands for the head."""
    row = await reads.row(tenant_id, WHAT_FOLLOWS, [str(tenant_id), position, sorted(kinds), limit, counted_max])
    if row is None:
        raise NotFound("This organization does not exist.")
    columns = zip(row["seqs"] or (), row["kinds"] or (), row["subjects"] or (), row["times"] or (), strict=True)
    return Following(
        head=row["head"],
        position=row["position"],
        at=row["at"],
        oldest=None if row["oldest"] is None else (row["oldest"], row["oldest_at"]),
        facts=[Fact(seq, kind, UUID(int=subject.int), at) for seq, kind, subject, at in columns],
        number=row["number"],
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """What is told to others of a row."""

    id: UUID
    seq: int
    kind: str
    subject_id: UUID
    occurred_at: datetime


async def after(
    snapshot: "Snapshot", position: int, kinds: Iterable[str], *, limit: int
) -> tuple[list[Announced], int]:
    """The first facts of some kinds behind a position, and up to where they have been looked for."""
    head = await head_of(snapshot)
    rows = await snapshot.rows(
        owned(
            OutboxEntry,
            col(OutboxEntry.seq) > position,
            col(OutboxEntry.seq) <= head,  # what has a number up to the head is committed
            col(OutboxEntry.kind).in_(sorted(kinds)),
        )
        .with_only_columns(
            col(OutboxEntry.id),
            col(OutboxEntry.seq),
            col(OutboxEntry.kind),
            col(OutboxEntry.subject_id),
            col(OutboxEntry.occurred_at),
        )
        .order_by(col(OutboxEntry.seq))
        .limit(limit)
    )
    found = [Announced(*row) for row in rows]
    return found, found[-1].seq if len(found) == limit else head


async def head_of(snapshot: "Snapshot") -> int:
    """The number of the newest fact of the organization."""
    return await snapshot.scalar(owned(AuditHead).with_only_columns(col(AuditHead.seq)))


def _of(uow: "UnitOfWork", entry_id: UUID) -> Update:
    return update(OutboxEntry).where(
        col(OutboxEntry.tenant_id) == uow.tenant_id,
        col(OutboxEntry.id) == entry_id,
        col(OutboxEntry.state) == OutboxState.WAITING,
    )
