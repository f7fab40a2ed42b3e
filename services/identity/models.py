# SPDX-License-Identifier: EUPL-1.2
"""Tables of people, of the directories that lead to an organization, and of local tokens."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, func
from sqlmodel import Field

from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.isolation import (
    DataClass,
    PlatformLocal,
    TenantOwned,
    UtcDateTime,
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


class DoorKind(StrEnum):
    """What leads to an organization before anybody is known."""

    ORGANIZATION_SLUG = "ORGANIZATION_SLUG"
    FORM_STATUS = "FORM_STATUS"
    LOCAL_TOKEN = "LOCAL_TOKEN"  # noqa: S105  the name of a kind


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
