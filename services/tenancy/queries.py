# SPDX-License-Identifier: EUPL-1.2
"""Reads of organizations, departments and memberships."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import true
from sqlmodel import col

from services.kernel.access import Actor, Grant
from services.kernel.database import Snapshot
from services.kernel.isolation import owned
from services.tenancy.models import Department, Membership, Organization, RoleGrant
from services.tenancy.rules import OrganizationState, with_descendants

TENANT_WIDE = true()
"""The visibility predicate of what every member of the organization may see."""


async def organization(snapshot: Snapshot) -> Organization:
    """The actor's own organization."""
    return await snapshot.one(owned(Organization, col(Organization.id) == snapshot.tenant_id))


async def department(snapshot: Snapshot, department_id: UUID) -> Department:
    """One department. Raises NotFound."""
    return await snapshot.one(owned(Department, col(Department.id) == department_id))


async def department_by_code(snapshot: Snapshot, code: str) -> Department:
    """The department with this code. Raises NotFound."""
    return await snapshot.one(owned(Department, col(Department.code) == code))


async def coordination_desk(snapshot: Snapshot) -> Department:
    """The department to which everything goes that no rule sends elsewhere."""
    return await snapshot.one(owned(Department, col(Department.is_coordination_desk)))


async def department_parents(snapshot: Snapshot) -> Mapping[UUID, UUID | None]:
    """Every department with the one above it."""
    return {each.id: each.parent_id for each in await snapshot.scalars(owned(Department))}


async def membership(snapshot: Snapshot, membership_id: UUID) -> Membership:
    """One member. Raises NotFound."""
    return await snapshot.one(owned(Membership, col(Membership.id) == membership_id))


async def membership_for_update(snapshot: Snapshot, membership_id: UUID) -> Membership:
    """The same, locked until the unit of work ends: whatever is counted for one member takes its turn."""
    # Not FOR UPDATE: rows that name the member take a key share of it first, and two of those would wait for ever.
    return await snapshot.one(owned(Membership, col(Membership.id) == membership_id).with_for_update(key_share=True))


async def actor_of(snapshot: Snapshot, membership_id: UUID, grants: Iterable[Grant]) -> Actor | None:
    """A member acting later: with what was granted then, as far as it still is; None for whoever is no member now.

    Credentials come and go with their sign-in; what is done for somebody hours afterwards goes by the grants.
    """
    found = await snapshot.one_or_none(owned(Membership, col(Membership.id) == membership_id, col(Membership.active)))
    if found is None or (await organization(snapshot)).state is OrganizationState.SUSPENDED:
        return None
    parents = await department_parents(snapshot)
    held = [
        Grant(each.role, None if each.department_id is None else with_descendants(each.department_id, parents))
        for each in await snapshot.scalars(owned(RoleGrant, col(RoleGrant.membership_id) == membership_id))
    ]
    kept = tuple(each for each in (_within(asked, now) for asked in grants for now in held) if each is not None)
    return Actor(snapshot.tenant_id, membership_id=membership_id, person_id=found.person_id, grants=kept)


def _within(asked: Grant, held: Grant) -> Grant | None:
    """What two grants have in common."""
    if asked.role is not held.role:
        return None
    if asked.departments is None or held.departments is None:
        return held if asked.departments is None else asked
    return Grant(asked.role, asked.departments & held.departments)


async def members_in_role(snapshot: Snapshot, role: str) -> list[Membership]:
    """The active members who hold a role anywhere, in the order in which they joined."""
    granted = owned(RoleGrant, col(RoleGrant.role) == role).with_only_columns(col(RoleGrant.membership_id))
    return await snapshot.scalars(
        owned(Membership, col(Membership.active), col(Membership.id).in_(granted)).order_by(
            col(Membership.created_at), col(Membership.id)
        )
    )
