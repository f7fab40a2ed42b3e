# SPDX-License-Identifier: EUPL-1.2
"""Tables of accounts, their sealed credentials, and raw events as they came in."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field

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
from services.social_accounts.rules import Connection, Lifecycle, Network, Purpose, RawEventState


class SocialAccount(Versioned, table=True):
    """One account on one network, connected or only registered. `server_host` is '' where a network has one host."""

    __tablename__ = "social_account"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "network", "server_host", "handle"),
        Index("ix_social_account_owner_department_id", "tenant_id", "owner_department_id", "id"),
        Index("ix_social_account_created_at", "tenant_id", "created_at", "id"),
    )
    __not_personal__: ClassVar = frozenset(
        {"server_host", "server_url", "handle", "display_name", "remote_id", "audiences", "connection_error"}
    )

    network: Network = words(Network)
    handle: str
    server_host: str = ""
    server_url: str | None = None
    remote_id: str | None = None
    display_name: str | None = None
    owner_department_id: UUID = tenant_reference("department")
    deputy_email: str | None = personal(DataClass.COLLEAGUE, default=None)
    purpose: Purpose = words(Purpose)
    audiences: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    connection: Connection = words(Connection, default=Connection.UNMANAGED)
    connection_error: str | None = None
    lifecycle: Lifecycle = words(Lifecycle, default=Lifecycle.ACTIVE)
    experiment_until: date | None = None
    review_on: date | None = None
    crisis_posting_open: bool = False
    connected_at: datetime | None = instant(default=None)
    polled_at: datetime | None = instant(default=None)


class AccountCredential(TenantOwned, table=True):
    """What opens the account: JSON sealed to this row. It never leaves through GraphQL, logs or jobs."""

    __tablename__ = "account_credential"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "social_account_id"))
    __not_personal__: ClassVar = frozenset({"key_id", "nonce"})

    social_account_id: UUID = tenant_reference("social_account")
    key_id: str
    nonce: bytes = Field(sa_type=LargeBinary)
    ciphertext: bytes = personal(DataClass.SECRET, sa_type=LargeBinary)


class RawEvent(TenantOwned, table=True):
    """One thing a network said, byte for byte, before anybody parsed it. One shape for webhook, poll and form."""

    __tablename__ = "raw_event"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "social_account_id", "kind", "external_id", "version"),
        Index("ix_raw_event_waiting", "tenant_id", "social_account_id", "created_at", "id",
              postgresql_where=text("state = 'WAITING'")),
    )  # fmt: skip
    __not_personal__: ClassVar = frozenset({"kind", "version", "error"})

    social_account_id: UUID = tenant_reference("social_account")
    kind: str
    external_id: str = personal(DataClass.CITIZEN_IDENTITY)
    version: str
    occurred_at: datetime | None = instant(default=None)
    body: bytes = personal(DataClass.CITIZEN_CONTENT, sa_type=LargeBinary)
    state: RawEventState = words(RawEventState, default=RawEventState.WAITING)
    error: str | None = None


class IngestCursor(TenantOwned, table=True):
    """How far a stream of an account has been read; saved in the transaction that saves its rows."""

    __tablename__ = "ingest_cursor"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "social_account_id", "stream"))
    __not_personal__: ClassVar = frozenset({"stream", "cursor"})

    social_account_id: UUID = tenant_reference("social_account")
    stream: str
    cursor: str | None = None
    fetched_at: datetime = instant()
