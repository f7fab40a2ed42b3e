# SPDX-License-Identifier: EUPL-1.2
"""What is done for somebody later goes by what they asked with and still have: never more than either."""

import random
from collections.abc import Mapping

import pytest
from sqlmodel import col, delete

from services.kernel.access import Actor, Grant, Permission, Role
from services.kernel.database import Database
from services.tenancy import commands, queries
from services.tenancy.models import RoleGrant
from services.tenancy.rules import with_descendants
from tests.services.conversations.scenes import sql
from tests.support.organizations import TestOrganization, found_organization

MEMBER = Role.OPERATOR
PLACES = (None, "DESK", "ROADS", "LIGHTS", "PEOPLE")
ENDS = (
    "update belfry.membership set active = false where tenant_id = $1",
    "update belfry.organization set state = 'SUSPENDED' where tenant_id = $1",
)


@pytest.fixture
async def organization(database: Database) -> TestOrganization:
    return await found_organization(database, name="Later")


def granted(organization: TestOrganization, role: Role, place: str | None) -> Grant:
    departments = None if place is None else with_descendants(organization.departments[place], organization.parents)
    return Grant(role, departments)


async def now_held(database: Database, organization: TestOrganization, grants: list[tuple[Role, str | None]]) -> None:
    """The member has these grants and no other."""
    async with database.unit_of_work(organization.system) as uow:
        await uow.write(delete(RoleGrant).where(col(RoleGrant.tenant_id) == organization.id))
        for role, place in grants:
            department_id = None if place is None else organization.departments[place]
            await commands.grant_role(
                uow, membership_id=organization.members[MEMBER], role=role, department_id=department_id
            )


async def later(database: Database, organization: TestOrganization, asked: list[Grant]) -> Actor | None:
    async with database.snapshot(organization.system) as snapshot:
        return await queries.actor_of(snapshot, organization.members[MEMBER], asked)


async def test_no_right_reaches_further_than_it_did_or_does(database: Database, organization: TestOrganization) -> None:
    chance = random.Random(11)
    compared = 0
    for _ in range(40):
        pairs = [
            list(
                {
                    (chance.choice((Role.OPERATOR, Role.COORDINATOR, Role.MANAGER)), chance.choice(PLACES))
                    for _ in range(2)
                }
            )
            for _ in range(2)
        ]
        asked, held = ([granted(organization, *each) for each in pair] for pair in pairs)
        await now_held(database, organization, pairs[1])
        found = await later(database, organization, asked)
        assert found is not None
        assert (found.membership_id, found.person_id) == (organization.members[MEMBER], organization.people[MEMBER])
        for permission in Permission:
            then, now = (Actor(organization.id, grants=tuple(each)).range_of(permission) for each in (asked, held))
            kept = found.range_of(permission)
            everywhere = frozenset(organization.departments.values())
            reach = everywhere if kept.everywhere else kept.departments
            assert reach <= (everywhere if then.everywhere else then.departments)
            assert reach <= (everywhere if now.everywhere else now.departments)
            assert kept.coordinates <= (then.coordinates and now.coordinates)
            compared += bool(reach)
        if sorted(pairs[0], key=str) == sorted(pairs[1], key=str):
            assert set(found.grants) >= set(asked)
    assert compared > 20


@pytest.mark.parametrize("end", ENDS)
async def test_whoever_is_no_member_of_a_running_organization_is_nobody(
    database: Database, database_urls: Mapping[str, str], organization: TestOrganization, end: str
) -> None:
    asked = [granted(organization, MEMBER, None)]
    assert await later(database, organization, asked) is not None
    await sql(database_urls, end, organization.id)
    assert await later(database, organization, asked) is None


async def test_a_stranger_is_nobody(database: Database, organization: TestOrganization) -> None:
    other = await found_organization(database, name="Elders")
    async with database.snapshot(organization.system) as snapshot:
        assert await queries.actor_of(snapshot, other.members[MEMBER], [Grant(MEMBER)]) is None
