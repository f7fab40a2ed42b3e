# SPDX-License-Identifier: EUPL-1.2
"""Tables of organizations, departments, memberships and role grants."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.kernel.access import Role
from services.kernel.isolation import DataClass, TenantOwned, Versioned, constraints, personal, tenant_reference, words
from services.tenancy.rules import OrganizationKind, OrganizationState


class Organization(Versioned, table=True):
    """One tenant; its id is its own `tenant_id`."""

    __tablename__ = "organization"
    __not_personal__: ClassVar = frozenset({"slug", "name", "region", "population_class", "locales", "zone"})

    slug: str
    name: str
    kind: OrganizationKind = words(OrganizationKind, default=OrganizationKind.MUNICIPALITY)
    region: str | None = None
    population_class: str | None = None
    locales: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    zone: str = "Europe/Amsterdam"
    state: OrganizationState = words(OrganizationState, default=OrganizationState.ACTIVE)


class Department(Versioned, table=True):
    """A part of the organization that answers for something. Exactly one is the coordination desk."""

    __tablename__ = "department"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "code"),
        Index("uq_department_coordination_desk", "tenant_id", unique=True,
              postgresql_where=text("is_coordination_desk")),
        Index("ix_department_sort_key", "tenant_id", "sort_key", "id"),
    )  # fmt: skip
    __not_personal__: ClassVar = frozenset({"code", "name", "sort_key"})

    parent_id: UUID | None = tenant_reference("department", default=None)
    code: str
    name: str
    sort_key: str
    is_internal: bool = False
    can_direct: bool = False
    is_coordination_desk: bool = False


class Membership(Versioned, table=True):
    """A person in an organization, with the organization's own copy of the name. `person_id` has no foreign key."""

    __tablename__ = "membership"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "person_id"))
    __not_personal__: ClassVar = frozenset({"skills"})

    person_id: UUID
    name: str = personal(DataClass.COLLEAGUE)
    skills: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    active: bool = True


class RoleGrant(TenantOwned, table=True):
    """A role of a member, in one department and those below it, or in the whole organization."""

    __tablename__ = "role_grant"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "membership_id", "role", "department_id", postgresql_nulls_not_distinct=True)
    )

    membership_id: UUID = tenant_reference("membership")
    role: Role = words(Role)
    department_id: UUID | None = tenant_reference("department", default=None)
