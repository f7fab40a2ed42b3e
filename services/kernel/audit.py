# SPDX-License-Identifier: EUPL-1.2
"""The audit log: one row for every fact, chained by hashes from the organization's first row.

Each row's hash covers its own canonical bytes and the hash before it, so that an edit, an insertion, a deletion or a
reordering breaks every later link. `audit_head` holds the last number and hash; locking that row gives the numbers
their order, which is the order of commits, and it is therefore always the last lock of a unit of work.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.kernel.access import ActorKind
from services.kernel.isolation import SCHEMA, DataClass, TenantOwned, TenantRow, instant, personal, words
from services.kernel.serialization import to_json

FIRST_HASH = bytes(32)
"""The hash before the first row."""


class AuditHead(TenantOwned, table=True):
    """The end of one organization's chain; its id is the organization's."""

    __tablename__ = "audit_head"

    __not_personal__: ClassVar = frozenset({"hash"})

    seq: int = Field(default=0, sa_type=BigInteger)
    hash: bytes = Field(default=FIRST_HASH, sa_type=LargeBinary)


class AuditEvent(TenantRow, table=True):
    """One act: who, what, on which subject. Partitioned by month of `at`; nothing points to it."""

    __tablename__ = "audit_event"
    __table_args__: ClassVar[Any] = (
        Index("ix_audit_event_subject", "tenant_id", "subject_id", "seq"),
        {"schema": SCHEMA, "postgresql_partition_by": "RANGE (at)"},
    )
    __not_personal__: ClassVar = frozenset({"action", "subject_kind", "hash"})

    seq: int = Field(primary_key=True, sa_type=BigInteger)
    at: datetime = instant(primary_key=True)
    id: UUID
    actor_kind: ActorKind = words(ActorKind)
    actor_id: UUID
    cause: UUID | None = None
    action: str
    subject_kind: str
    subject_id: UUID
    detail: dict[str, Any] = personal(DataClass.AUDIT, sa_type=JSONB)
    hash: bytes = Field(sa_type=LargeBinary)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a row says, before it has its place in the chain."""

    id: UUID
    at: datetime
    actor_kind: ActorKind
    actor_id: UUID
    cause: UUID | None
    action: str
    subject_kind: str
    subject_id: UUID
    detail: dict[str, Any]


def canonical(tenant_id: UUID, seq: int, entry: Entry) -> bytes:
    """The bytes that a hash covers: every column of the row, keys sorted, instants with six digits."""
    return to_json(
        {
            "tenant_id": tenant_id,
            "seq": seq,
            "id": entry.id,
            "at": entry.at.isoformat(timespec="microseconds"),
            "actor_kind": entry.actor_kind,
            "actor_id": entry.actor_id,
            "cause": entry.cause,
            "action": entry.action,
            "subject_kind": entry.subject_kind,
            "subject_id": entry.subject_id,
            "detail": entry.detail,
        },
        sort_keys=True,
    )


def link(previous: bytes, tenant_id: UUID, seq: int, entry: Entry) -> bytes:
    """The hash of one row."""
    return hashlib.sha256(previous + canonical(tenant_id, seq, entry)).digest()


def chain(previous: bytes, tenant_id: UUID, first_seq: int, entries: Iterable[Entry]) -> list[bytes]:
    """The hashes of a batch, in order."""
    hashes: list[bytes] = []
    for seq, entry in enumerate(entries, start=first_seq):
        previous = link(previous, tenant_id, seq, entry)
        hashes.append(previous)
    return hashes


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold, and why."""

    seq: int
    reason: str


def verify(tenant_id: UUID, rows: Sequence[tuple[int, Entry, bytes]], head: tuple[int, bytes]) -> Break | None:
    """Walk the whole chain, rows in order of `seq`, and give the first break; None when it holds up to the head."""
    previous, expected = FIRST_HASH, 1
    for seq, entry, stored in rows:
        if seq != expected:
            return Break(expected, "a row is missing" if seq > expected else "a number is used twice")
        if (previous := link(previous, tenant_id, seq, entry)) != stored:
            return Break(seq, "the row, or one before it, was changed")
        expected += 1
    if (expected - 1, previous) != head:
        return Break(expected, "the end was cut off or added to")
    return None
