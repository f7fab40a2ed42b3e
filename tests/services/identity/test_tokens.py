# SPDX-License-Identifier: EUPL-1.2
"""Local tokens: who a token stands for, when it stands for nobody, and that only its hash is kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from graphql_schema.reading.safety import reads_too_early
from services.identity import commands, queries, rules
from services.identity.rules import DoorKind
from services.kernel.access import Actor, ActorKind, Role
from services.kernel.database import Database
from services.kernel.encryption import digest
from services.kernel.errors import BelfryError, OrganizationSuspended, Unauthenticated
from services.kernel.settings import TenantBinding
from tests.services.conversations.scenes import fingerprint, grown, sql
from tests.support.engines import no_statement_binds
from tests.support.organizations import TestOrganization, found_organization

Urls = Mapping[str, str]


async def issue(database: Database, organization: TestOrganization, **changes: Any) -> str:
    given: dict[str, Any] = {
        "is_local": True,
        "slug": organization.slug,
        "role": Role.OPERATOR,
        "department_code": None,
        **changes,
    }
    return await commands.issue_local_token(database, **given)


async def code_of(database: Database, token: str) -> str:
    with pytest.raises(BelfryError) as caught:
        await queries.actor_of_token(database, token)
    return caught.value.code


async def test_a_token_stands_for_one_member_in_one_role(database: Database, organization: TestOrganization) -> None:
    actor = await queries.actor_of_token(database, await issue(database, organization))
    assert actor == organization.actor(Role.OPERATOR)
    assert (actor.kind, actor.roles) == (ActorKind.PERSON, (Role.OPERATOR,))


async def test_a_department_named_in_the_token_reaches_down_and_not_up(
    database: Database, organization: TestOrganization
) -> None:
    for code in organization.departments:
        token = await issue(database, organization, department_code=code)
        actor = await queries.actor_of_token(database, token)
        assert actor == organization.actor(Role.OPERATOR, code)
    [grant] = organization.actor(Role.OPERATOR, "ROADS").grants
    assert grant.departments == {organization.departments["ROADS"], organization.departments["LIGHTS"]}


async def test_a_token_looks_like_one_and_only_its_hash_is_kept(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    token = await issue(database, organization)
    assert rules.LOCAL_TOKEN.fullmatch(token)
    assert token != await issue(database, organization)
    doors = await sql(database_urls, "select key from belfry.door where organization_id = $1", organization.id)
    assert (digest(token),) in doors
    for table in ("door", "local_token", "outbox", "audit_event"):
        rows = await sql(database_urls, f"select t::text from belfry.{table} t")
        assert not any(token.removeprefix("belfry_local_") in row for (row,) in rows)


async def test_what_is_no_token_or_leads_nowhere_stands_for_nobody(
    database: Database, organization: TestOrganization
) -> None:
    token = await issue(database, organization)
    for wrong in ("", "belfry_local_", token[:-1], f"{token}x", f"{token}\n", token.upper(), rules.new_local_token()):
        assert await code_of(database, wrong) == "UNAUTHENTICATED"


async def test_an_expired_token_an_inactive_member_and_a_lost_row_stand_for_nobody(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    token = await issue(database, organization)
    expire = "update belfry.local_token set expires_at = now() + $2::interval where tenant_id = $1"
    await sql(database_urls, expire, organization.id, timedelta(0))
    assert await code_of(database, token) == "UNAUTHENTICATED"
    await sql(database_urls, expire, organization.id, timedelta(hours=1))
    assert (await queries.actor_of_token(database, token)).roles == (Role.OPERATOR,)
    member = organization.members[Role.OPERATOR]
    await sql(database_urls, "update belfry.membership set active = false where id = $1", member)
    assert await code_of(database, token) == "UNAUTHENTICATED"
    await sql(database_urls, "update belfry.membership set active = true where id = $1", member)
    await sql(database_urls, "delete from belfry.local_token where tenant_id = $1", organization.id)
    assert await code_of(database, token) == "UNAUTHENTICATED"


async def test_a_suspended_organization_lets_nobody_in_and_says_why(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    token = await issue(database, organization)
    await sql(database_urls, "update belfry.organization set state = 'SUSPENDED' where id = $1", organization.id)
    assert await code_of(database, token) == "ORGANIZATION_SUSPENDED"


async def test_a_door_into_another_organization_opens_nothing_there(
    database: Database, database_urls: Urls, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    token = await issue(database, organization)
    # Somebody bends the door: the token's row is not in the organization to which it leads now.
    await sql(
        database_urls,
        "update belfry.door set organization_id = $2 where key = $1",
        digest(token),
        other_organization.id,
    )
    assert await code_of(database, token) == "UNAUTHENTICATED"


async def test_every_refusal_to_issue_leaves_no_trace(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    before = await fingerprint(database_urls, organization.id)
    [(doors,)] = await sql(database_urls, "select count(*) from belfry.door")
    for changes, code in (
        ({"is_local": False}, "NOT_A_LOCAL_INSTALLATION"),
        ({"slug": "nowhere"}, "NOT_FOUND"),
        ({"department_code": "NOWHERE"}, "DEPARTMENT_IS_UNKNOWN"),
        ({"person_number": 2}, "PERSON_IS_UNKNOWN"),
        ({"person_number": 0}, "PERSON_IS_UNKNOWN"),
    ):
        with pytest.raises(BelfryError) as caught:
            await issue(database, organization, **changes)
        assert caught.value.code == code
    assert await fingerprint(database_urls, organization.id) == before
    assert await sql(database_urls, "select count(*) from belfry.door") == [(doors,)]
    await issue(database, organization)
    after = grown(before, await fingerprint(database_urls, organization.id))
    assert after == {"local_token": 1, "audit_event": 1, "outbox": 1, "audit_head": 0}


async def test_the_directories_lead_to_ids_and_nothing_else(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    assert await queries.organization_of_slug(database, organization.slug) == organization.id
    assert await queries.organization_of_slug(database, "nowhere") is None
    found = await queries.organizations(database)
    assert found[organization.slug] == organization.id
    assert found[other_organization.slug] == other_organization.id
    async with database.directory() as directory:
        assert await queries.door(directory, DoorKind.FORM_STATUS, organization.slug.encode()) is None
        person = await queries.person_by_email(directory, f"operator@{organization.slug}.example")
        assert person is not None
        assert person.id == organization.people[Role.OPERATOR]


async def test_an_actor_s_rights_are_those_of_the_token_and_add_up_over_no_other_grant(
    database: Database, organization: TestOrganization
) -> None:
    for role in Role:
        actor = await queries.actor_of_token(database, await issue(database, organization, role=role))
        wanted = Actor(organization.id, grants=organization.actor(role).grants)
        assert actor.permissions == wanted.permissions


async def test_nothing_is_read_before_the_organization_is_bound(database: Database) -> None:
    for text in (queries.WHO_ASKS, queries.WHO_NO_LONGER_HOLDS):
        assert reads_too_early(await database.reads.explain(text)) == []


async def test_where_no_statement_binds_nobody_comes_in_unless_a_transaction_does(
    database_urls: Urls, organization: TestOrganization, monkeypatch: pytest.MonkeyPatch, unwatched_statements: None
) -> None:
    opened = [Database(database_urls["belfry_app"], binding=each) for each in TenantBinding]
    token = await issue(opened[0], organization)
    no_statement_binds(monkeypatch)
    assert await code_of(opened[0], token) == "UNAUTHENTICATED"
    assert await queries.actor_of_token(opened[1], token) == organization.actor(Role.OPERATOR)
    for each in opened:
        await each.close()


# Many at once.

CHANGES = {
    "nothing": "select 1",
    "the token ends": "update belfry.local_token set expires_at = now() where tenant_id = $1 and role = 'OPERATOR'",
    "another role": "update belfry.local_token set role = 'EXPERT' where tenant_id = $1 and role = 'OPERATOR'",
    "another department": "update belfry.local_token set department_id = (select id from belfry.department"
    " where tenant_id = $1 and code = 'DESK') where tenant_id = $1 and department_id is not null",
    "no department": "update belfry.local_token set department_id = null where tenant_id = $1",
    "a department moves below": "update belfry.department set parent_id = (select id from belfry.department"
    " where tenant_id = $1 and code = 'ROADS') where tenant_id = $1 and code = 'PEOPLE'",
    "a department moves away": "update belfry.department set parent_id = null where tenant_id = $1",
    "the members leave": "update belfry.membership set active = false where tenant_id = $1",
    "another person": "update belfry.membership set person_id = uuidv7() where tenant_id = $1",
    "the rows are gone": "delete from belfry.local_token where tenant_id = $1 and role <> 'VIEWER'",
    "the doors are shut": "delete from belfry.door where organization_id = $1 and kind = 'LOCAL_TOKEN'",
    "suspended": "update belfry.organization set state = 'SUSPENDED' where tenant_id = $1",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_many_tokens_are_asked_for_at_once_with_the_answers_of_each(
    database: Database, database_urls: Urls, change: str
) -> None:
    town = await found_organization(database, name="Velen")
    wishes = [(role, place) for role in Role for place in (None, "ROADS", "LIGHTS")]
    tokens = [await issue(database, town, role=role, department_code=place) for role, place in wishes]
    held = [(token, await queries.actor_of_token(database, token)) for token in tokens]
    await sql(database_urls, CHANGES[change], *([town.id] if "$1" in CHANGES[change] else []))
    expected: list[int] = []
    for place, (token, actor) in enumerate(held):
        try:
            if await queries.actor_of_token(database, token) != actor:
                expected.append(place)
        except (Unauthenticated, OrganizationSuspended):
            expected.append(place)
    assert sorted(await queries.no_longer_holding(database, queries.Holdings.of(town.id, held))) == expected
    assert (change == "nothing") is (expected == [])


async def test_a_token_of_another_organization_or_of_somebody_else_does_not_hold(
    database: Database, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    mine, theirs = await issue(database, organization), await issue(database, other_organization)
    actor = await queries.actor_of_token(database, mine)
    stranger = await queries.actor_of_token(database, theirs)
    held = [(mine, actor), (theirs, actor), (theirs, stranger), (mine, stranger), ("", actor)]
    asked = queries.Holdings.of(organization.id, held)
    assert sorted(await queries.no_longer_holding(database, asked)) == [1, 2, 3, 4]
    assert await queries.no_longer_holding(database, queries.Holdings.of(organization.id, [])) == []
