# SPDX-License-Identifier: EUPL-1.2
"""Tables of webhooks: endpoints, their secrets, everything that was or will be sent to them; and of exports."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.integrations.rules import (
    DisabledReason,
    EndpointState,
    ExportFailure,
    ExportKind,
    ExportState,
    WebhookState,
)
from services.kernel.isolation import (
    DataClass,
    TenantOwned,
    Versioned,
    constraints,
    instant,
    personal,
    tenant_reference,
    words,
)


class WebhookEndpoint(Versioned, table=True):
    """An address that is told of events. Its API client's scopes decide of which; no `event_types` stands for all.

    It has been told of everything up to `position` in the organization's order of events.
    """

    __tablename__ = "webhook_endpoint"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_webhook_endpoint_created_at", "tenant_id", "created_at", "id"),
        Index("ix_webhook_endpoint_api_client_id", "tenant_id", "api_client_id", "id"),
        Index("ix_webhook_endpoint_state", "tenant_id", "state", "id"),
    )
    __not_personal__: ClassVar = frozenset({"url", "description", "event_types"})

    api_client_id: UUID = tenant_reference("api_client")
    url: str
    description: str = ""
    event_types: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    state: EndpointState = words(EndpointState, default=EndpointState.ENABLED)
    disabled_reason: DisabledReason | None = words(DisabledReason, default=None)
    failing_since: datetime | None = instant(default=None)
    failures: int = 0
    position: int = Field(sa_type=BigInteger)


class WebhookSecret(TenantOwned, table=True):
    """What an endpoint's messages are signed with, sealed to this row. One that was replaced signs until it expires."""

    __tablename__ = "webhook_secret"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_webhook_secret_webhook_endpoint_id", "tenant_id", "webhook_endpoint_id", "created_at", "id")
    )
    __not_personal__: ClassVar = frozenset({"key_id", "nonce"})

    webhook_endpoint_id: UUID = tenant_reference("webhook_endpoint")
    key_id: str
    nonce: bytes = Field(sa_type=LargeBinary)
    ciphertext: bytes = personal(DataClass.SECRET, sa_type=LargeBinary)
    expires_at: datetime | None = instant(default=None)


class WebhookDelivery(TenantOwned, table=True):
    """One event for one endpoint, byte for byte as it is sent. `error` is a word of ours, never the other side's."""

    __tablename__ = "webhook_delivery"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "webhook_endpoint_id", "event_id"),
        Index("ix_webhook_delivery_webhook_endpoint_id", "tenant_id", "webhook_endpoint_id", "created_at", "id"),
        Index("ix_webhook_delivery_state", "tenant_id", "webhook_endpoint_id", "state", "created_at", "id"),
        Index("ix_webhook_delivery_due", "tenant_id", "webhook_endpoint_id", "due_at", "id",
              postgresql_where=text("state = 'WAITING'")),
        Index("ix_webhook_delivery_created_at", "tenant_id", "created_at", "id"),
    )  # fmt: skip
    __not_personal__: ClassVar = frozenset({"event_type", "payload", "error"})

    webhook_endpoint_id: UUID = tenant_reference("webhook_endpoint")
    event_id: UUID
    event_type: str
    payload: bytes = Field(sa_type=LargeBinary)
    occurred_at: datetime = instant()
    state: WebhookState = words(WebhookState, default=WebhookState.WAITING)
    attempts: int = 0
    due_at: datetime = instant()
    delivered_at: datetime | None = instant(default=None)
    status: int | None = None
    error: str | None = None


class WebhookAttempt(TenantOwned, table=True):
    """One call: the log of a delivery. Nothing of the answer is kept but its status."""

    __tablename__ = "webhook_attempt"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_webhook_attempt_webhook_delivery_id", "tenant_id", "webhook_delivery_id", "created_at", "id")
    )
    __not_personal__: ClassVar = frozenset({"error"})

    webhook_delivery_id: UUID = tenant_reference("webhook_delivery")
    number: int
    milliseconds: int
    status: int | None = None
    error: str | None = None


class Export(Versioned, table=True):
    """What somebody took, or wanted to take, out: of one kind, from `since` up to and including `until`.

    `grants` are the rights with which a person asked; a line has what they reach when it is written. Everything up to
    the position is written.
    """

    __tablename__ = "export"
    __table_args__: ClassVar[Any] = constraints(
        CheckConstraint("coalesce(membership_id, api_client_id) is not null", "requester"),
        Index("ix_export_created_at", "tenant_id", "created_at", "id"),
        Index("ix_export_kind", "tenant_id", "kind", "created_at", "id"),
        Index("ix_export_state", "tenant_id", "state", "created_at", "id"),
    )
    __not_personal__: ClassVar = frozenset({"grants"})

    membership_id: UUID | None = tenant_reference("membership", default=None)
    api_client_id: UUID | None = tenant_reference("api_client", default=None)
    grants: list[dict[str, Any]] = Field(sa_type=JSONB)
    kind: ExportKind = words(ExportKind)
    since: datetime | None = instant(default=None)
    until: datetime = instant()
    state: ExportState = words(ExportState, default=ExportState.QUEUED)
    failure: ExportFailure | None = words(ExportFailure, default=None)
    lines: int = 0
    size: int = 0
    pieces: int = 0
    position_at: datetime | None = instant(default=None)
    position_id: UUID | None = None
    ready_at: datetime | None = instant(default=None)
    expires_at: datetime | None = instant(default=None)


class ExportPiece(TenantOwned, table=True):
    """A stretch of an export's bytes, in order from 0; lines may run from one into the next."""

    __tablename__ = "export_piece"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "export_id", "number"))

    export_id: UUID = tenant_reference("export")
    number: int
    content: bytes = personal(DataClass.CITIZEN_CONTENT, sa_type=LargeBinary)
