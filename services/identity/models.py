# SPDX-License-Identifier: EUPL-1.2
"""Tables of people, of the directories that lead to an organization, and of the credentials of people and machines."""

from datetime import date, datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import ARRAY, Index, LargeBinary, Text, UniqueConstraint, Uuid, func
from sqlmodel import Field

from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.isolation import (
    DataClass,
    PlatformLocal,
    TenantOwned,
    UtcDateTime,
    Versioned,
    constraints,
    instant,
    personal,
    tenant_reference,
    words,
)


class Person(PlatformLocal, table=True):
    """Somebody who can sign in, over all organizations."""

    __tablename__ = "person"
    __not_personal__: ClassVar = frozenset({"locale"})

    id: UUID = Field(default_factory=identifiers.new, primary_key=True, sa_type=Uuid)
    created_at: datetime = Field(
        default=None, sa_type=cast("Any", UtcDateTime()), sa_column_kwargs={"server_default": func.now()}
    )
    name: str = personal(DataClass.COLLEAGUE)
    email: str = personal(DataClass.COLLEAGUE, unique=True)
    locale: str = "en"


class PersonOrganization(PlatformLocal, table=True):
    """Which organizations a person belongs to; written with the membership."""

    __tablename__ = "person_organization"

    person_id: UUID = Field(primary_key=True, sa_type=Uuid)
    organization_id: UUID = Field(primary_key=True, sa_type=Uuid)


class Door(PlatformLocal, table=True):
    """A key, or the hash of one, that leads to a subject of one organization. It holds nothing else."""

    __tablename__ = "door"
    __not_personal__: ClassVar = frozenset({"key"})

    kind: DoorKind = words(DoorKind, primary_key=True)
    key: bytes = Field(primary_key=True, sa_type=LargeBinary)
    organization_id: UUID
    subject_id: UUID


class LocalToken(TenantOwned, table=True):
    """A bearer token of a local installation: one person in one role. Only its hash is kept, in the directory."""

    __tablename__ = "local_token"

    membership_id: UUID = tenant_reference("membership")
    role: Role = words(Role)
    department_id: UUID | None = tenant_reference("department", default=None)
    expires_at: datetime = instant()


class ApiClient(Versioned, table=True):
    """A machine of an organization's, or one that works for it. `scopes` are in alphabetical order."""

    __tablename__ = "api_client"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_api_client_created_at", "tenant_id", "created_at", "id"),
        Index("ix_api_client_revoked_at", "tenant_id", "revoked_at", "id"),
    )
    __not_personal__: ClassVar = frozenset({"name", "scopes"})

    name: str
    scopes: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    documents_required: bool = False
    revoked_at: datetime | None = instant(default=None)


class ApiKey(TenantOwned, table=True):
    """One key of a client. Only its hash is kept, in the directory; several live at a time while one takes over."""

    __tablename__ = "api_key"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_api_key_api_client_id", "tenant_id", "api_client_id", "created_at", "id")
    )

    api_client_id: UUID = tenant_reference("api_client")
    expires_at: datetime = instant()
    revoked_at: datetime | None = instant(default=None)
    last_used_on: date | None = None


class DeprecatedUse(TenantOwned, table=True):
    """How often something deprecated was used on one day (UTC), by one client, or by people where there is none."""

    __tablename__ = "deprecated_use"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "api_client_id", "name", "used_on", postgresql_nulls_not_distinct=True),
        Index("ix_deprecated_use_created_at", "tenant_id", "created_at", "id"),
        Index("ix_deprecated_use_used_on", "tenant_id", "used_on", "id"),
    )
    __not_personal__: ClassVar = frozenset({"name"})

    api_client_id: UUID | None = tenant_reference("api_client", default=None)
    name: str
    used_on: date
    times: int


class ClientDocument(TenantOwned, table=True):
    """A document that a client registered; its id is the digest of its text, so that it never changes."""

    __tablename__ = "client_document"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "api_client_id", "document_id"),
        Index("ix_client_document_api_client_id", "tenant_id", "api_client_id", "created_at", "id"),
    )
    __not_personal__: ClassVar = frozenset({"document_id", "name", "text"})

    api_client_id: UUID = tenant_reference("api_client")
    document_id: str
    name: str | None = None
    text: str
