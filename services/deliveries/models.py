# SPDX-License-Identifier: EUPL-1.2
"""Tables of deliveries and their attempts."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.deliveries.rules import AttemptOutcome, DeliveryKind, DeliveryState, Origin, Verification
from services.kernel import identifiers
from services.kernel.isolation import (
    SCHEMA,
    DataClass,
    TenantRow,
    Versioned,
    constraints,
    instant,
    personal,
    tenant_reference,
    words,
)
from services.social_accounts.rules import OutboundKind


class Delivery(Versioned, table=True):
    """One item on its way to one account. `origin_id` is opaque: it names a row of a higher domain.

    `prepared` holds the exact request as it was fixed before the first attempt; every attempt sends these bytes.
    `fence` rises with every attempt, so that an outcome that comes late cannot overwrite a later one.
    """

    __tablename__ = "delivery"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_delivery_origin", "tenant_id", "origin", "origin_id", unique=True),
        Index("ix_delivery_state", "tenant_id", "state", "due_at", "id"),
        Index("ix_delivery_due_at", "tenant_id", "due_at", "id"),
        Index("ix_delivery_social_account_id", "tenant_id", "social_account_id", "due_at", "id"),
        Index("ix_delivery_remote_id", "tenant_id", "social_account_id", "remote_id"),
    )
    __not_personal__: ClassVar = frozenset(
        {"send_key", "content_hash", "remote_id", "remote_version", "permalink", "error", "zone"}
    )

    origin: Origin = words(Origin)
    origin_id: UUID
    social_account_id: UUID = tenant_reference("social_account")
    kind: DeliveryKind = words(DeliveryKind, default=DeliveryKind.CREATE)
    outbound_kind: OutboundKind = words(OutboundKind)
    text: str = personal(DataClass.OWN_PUBLICATION)
    target: dict[str, Any] = personal(DataClass.CITIZEN_IDENTITY, sa_type=JSONB)
    content_hash: bytes = Field(sa_type=LargeBinary)
    due_at: datetime = instant()
    zone: str | None = None
    state: DeliveryState = words(DeliveryState, default=DeliveryState.SCHEDULED)
    verification: Verification | None = words(Verification, default=None)
    prepared: bytes | None = personal(DataClass.OWN_PUBLICATION, sa_type=LargeBinary, default=None)
    send_key: str | None = None
    fence: int = Field(default=0, sa_type=BigInteger)
    attempts: int = 0
    resends: int = 0
    checks: int = 0
    first_sent_at: datetime | None = instant(default=None)
    sent_at: datetime | None = instant(default=None)
    absent_since: datetime | None = instant(default=None)
    remote_id: str | None = None
    remote_version: str | None = None
    permalink: str | None = None
    published_at: datetime | None = instant(default=None)
    error: str | None = None


class DeliveryAttempt(TenantRow, table=True):
    """One try and what came of it. Partitioned by month of `at`; nothing points to it."""

    __tablename__ = "delivery_attempt"
    __table_args__: ClassVar[Any] = (
        Index("ix_delivery_attempt_delivery_id", "tenant_id", "delivery_id", "at"),
        {"schema": SCHEMA, "postgresql_partition_by": "RANGE (at)"},
    )
    __not_personal__: ClassVar = frozenset({"send_key", "evidence"})

    id: UUID = Field(default_factory=identifiers.new, primary_key=True)
    at: datetime = instant(primary_key=True)
    delivery_id: UUID
    no: int
    fence: int = Field(sa_type=BigInteger)
    send_key: str
    outcome: AttemptOutcome | None = words(AttemptOutcome, default=None)
    evidence: str | None = None
