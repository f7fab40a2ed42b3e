# SPDX-License-Identifier: EUPL-1.2
"""Acts on organizations. In the spine only Belfry itself founds them, for a new installation or its demo."""

import unicodedata
from uuid import UUID

from services.kernel import jobs
from services.kernel.access import Permission, Role
from services.kernel.audit import AuditHead
from services.kernel.database import UnitOfWork
from services.tenancy import rules
from services.tenancy.events import DepartmentAdded, MemberAdded, OrganizationFounded, RoleGranted
from services.tenancy.models import Department, Membership, Organization, RoleGrant

TIDY = "organization.tidy"


def sort_key(name: str) -> str:
    """How a name sorts: marks stripped, case folded. The database compares by code point."""
    plain = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()


async def found_organization(
    uow: UnitOfWork, *, slug: str, name: str, locales: list[str], zone: str, region: str | None = None
) -> Organization:
    """Make a new organization out of nothing; the unit of work's tenant is its id."""
    uow.actor.require(Permission.ORGANIZATION_FOUND)
    rules.check_slug(slug)
    organization = Organization(
        tenant_id=uow.tenant_id, id=uow.tenant_id, slug=slug, name=name, locales=locales, zone=zone, region=region
    )
    uow.add(AuditHead(tenant_id=uow.tenant_id, id=uow.tenant_id), organization)
    await jobs.schedule(uow, TIDY, organization.id)
    uow.emit(OrganizationFounded(organization_id=organization.id))
    return organization


async def add_department(
    uow: UnitOfWork,
    *,
    code: str,
    name: str,
    parent_id: UUID | None = None,
    is_coordination_desk: bool = False,
    can_direct: bool = False,
) -> Department:
    """Add a department below another, or at the top."""
    uow.actor.require(Permission.ORGANIZATION_FOUND)
    rules.check_code(code)
    department = Department(
        tenant_id=uow.tenant_id,
        code=code,
        name=name,
        sort_key=sort_key(name),
        parent_id=parent_id,
        is_coordination_desk=is_coordination_desk,
        can_direct=can_direct,
    )
    uow.add(department)
    uow.emit(DepartmentAdded(department_id=department.id))
    return department


async def add_member(uow: UnitOfWork, *, person_id: UUID, name: str) -> Membership:
    """Make a person a member. The directory entry is written beside it by `identity`."""
    uow.actor.require(Permission.ORGANIZATION_FOUND)
    membership = Membership(tenant_id=uow.tenant_id, person_id=person_id, name=name)
    uow.add(membership)
    uow.emit(MemberAdded(membership_id=membership.id))
    return membership


async def grant_role(
    uow: UnitOfWork, *, membership_id: UUID, role: Role, department_id: UUID | None = None
) -> RoleGrant:
    """Give a member a role, in one department and those below it, or everywhere."""
    uow.actor.require(Permission.ORGANIZATION_FOUND)
    grant = RoleGrant(tenant_id=uow.tenant_id, membership_id=membership_id, role=role, department_id=department_id)
    uow.add(grant)
    uow.emit(RoleGranted(membership_id=membership_id, role=role, department_id=department_id))
    return grant
