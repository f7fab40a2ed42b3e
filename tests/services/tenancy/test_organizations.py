# SPDX-License-Identifier: EUPL-1.2
"""Organizations and the tree of departments."""

from collections.abc import Mapping
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel import identifiers
from services.kernel.access import Actor, Permission, Role
from services.kernel.database import Database
from services.kernel.errors import BelfryError
from services.tenancy import commands, queries
from services.tenancy.rules import DEPARTMENT_DEPTH_MAX, check_code, check_slug, with_descendants
from tests.services.conversations.scenes import sql
from tests.support.organizations import TestOrganization

RANDOM = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def forest_of(seed: int) -> dict[UUID, UUID | None]:
    """Departments, each below an earlier one or at the top, no deeper than is allowed."""
    chance = Random(seed)
    parents: dict[UUID, UUID | None] = {}
    depth: dict[UUID, int] = {}
    for number in range(chance.randrange(1, 15)):
        below = [each for each in parents if depth[each] < DEPARTMENT_DEPTH_MAX]
        parent = chance.choice([None, *below])
        own = UUID(int=number + 1)
        parents[own], depth[own] = parent, depth[parent] + 1 if parent else 0
    return parents


def ancestors(department: UUID, parents: Mapping[UUID, UUID | None]) -> set[UUID]:
    found = {department}
    while (above := parents[department]) is not None:
        department = above
        found.add(above)
    return found


@RANDOM
@given(st.integers(0, 2**32))
def test_a_department_reaches_itself_and_everything_below_it_and_nothing_above(seed: int) -> None:
    parents = forest_of(seed)
    for department in parents:
        wanted = {each for each in parents if department in ancestors(each, parents)}
        assert with_descendants(department, parents) == wanted


def test_a_circle_of_departments_ends() -> None:
    one, two = UUID(int=1), UUID(int=2)
    assert with_descendants(one, {one: two, two: one}) == {one, two}


@pytest.mark.parametrize(
    ("slug", "good"),
    [("molendam", True), ("a-b", True), ("ab", False), ("Molendam", False), ("-ab", False), ("ab-", False),
     ("1ab", False), ("a" * 40, True), ("a" * 41, False), ("abc\n", False), ("", False)],
)  # fmt: skip
def test_a_slug_is_what_stands_well_in_an_address(slug: str, good: bool) -> None:
    assert accepts(check_slug, slug) is good


@pytest.mark.parametrize(
    ("code", "good"),
    [("ROADS", True), ("R2", True), ("R", False), ("roads", False), ("2R", False), ("A" * 12, True), ("A" * 13, False),
     ("ROADS\n", False)],
)  # fmt: skip
def test_a_code_is_short_and_capital(code: str, good: bool) -> None:
    assert accepts(check_code, code) is good


def accepts(check, value: str) -> bool:
    try:
        check(value)
    except BelfryError as refusal:
        return refusal.code != "INVALID"
    return True


def test_names_sort_without_marks_and_case() -> None:
    names = ["Zorg", "élan", "Eemland", "ÉCHO", "aarde"]
    assert sorted(names, key=commands.sort_key) == ["aarde", "ÉCHO", "Eemland", "élan", "Zorg"]


async def test_only_belfry_itself_founds_and_grants(database: Database, organization: TestOrganization) -> None:
    for role in Role:
        actor = organization.actor(role)
        assert not actor.may(Permission.ORGANIZATION_FOUND)
        with pytest.raises(BelfryError) as caught:
            async with database.unit_of_work(actor) as uow:
                await commands.grant_role(uow, membership_id=organization.members[role], role=Role.ADMIN)
        assert caught.value.code == "FORBIDDEN"


async def test_an_organization_has_one_desk_and_its_audit_chain_from_the_first_row(
    database: Database, database_urls: Mapping[str, str], organization: TestOrganization
) -> None:
    async with database.snapshot(organization.system) as snapshot:
        assert (await queries.coordination_desk(snapshot)).id == organization.departments["DESK"]
        assert (await queries.organization(snapshot)).slug == organization.slug
        assert await queries.department_parents(snapshot) == organization.parents
    [(first,)] = await sql(
        database_urls, "select action from belfry.audit_event where tenant_id = $1 and seq = 1", organization.id
    )
    assert first == "organization.founded"


async def test_a_second_desk_and_a_second_code_are_refused_by_the_database(
    database: Database, organization: TestOrganization
) -> None:
    for given_code, desk in (("SECOND", True), ("ROADS", False)):
        with pytest.raises(Exception, match="duplicate key"):
            async with database.unit_of_work(organization.system) as uow:
                await commands.add_department(uow, code=given_code, name="Again", is_coordination_desk=desk)


async def test_members_of_a_role_are_the_active_ones_in_the_order_in_which_they_joined(
    database: Database, database_urls: Mapping[str, str], organization: TestOrganization
) -> None:
    added: list[UUID] = []
    for number in range(3):
        async with database.unit_of_work(organization.system) as uow:
            member = await commands.add_member(uow, person_id=identifiers.new(), name=f"Colleague {number}")
            await commands.grant_role(
                uow,
                membership_id=member.id,
                role=Role.EXPERT,
                department_id=organization.departments["ROADS"] if number else None,
            )
        added.append(member.id)
    await sql(database_urls, "update belfry.membership set active = false where id = $1", added[1])
    async with database.snapshot(organization.system) as snapshot:
        found = [each.id for each in await queries.members_in_role(snapshot, Role.EXPERT)]
    assert found == [organization.members[Role.EXPERT], added[0], added[2]]


async def test_another_organization_s_member_is_not_found(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    async with database.snapshot(Actor.system(other_organization.id)) as snapshot:
        for read in (queries.membership, queries.department):
            for stranger in (organization.members[Role.OPERATOR], organization.departments["ROADS"]):
                with pytest.raises(BelfryError) as caught:
                    await read(snapshot, stranger)
                assert caught.value.code == "NOT_FOUND"
