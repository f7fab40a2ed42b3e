# SPDX-License-Identifier: EUPL-1.2
"""API clients and their keys: what a key stands for, when it stands for nothing, and that only its hash is kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from graphql_schema.reading.safety import reads_too_early
from services.identity import commands, queries, rules
from services.kernel import identifiers
from services.kernel.access import Actor, ActorKind, Permission, Role, Scope
from services.kernel.clock import utc_now
from services.kernel.database import Database
from services.kernel.encryption import digest
from services.kernel.errors import BelfryError, OrganizationSuspended, Unauthenticated
from tests.services.conversations.scenes import fingerprint, sql
from tests.support.organizations import TestOrganization, found_organization

Urls = Mapping[str, str]
READS = [Scope.CONVERSATIONS_READ, Scope.METRICS_READ]


async def client_of(database: Database, organization: TestOrganization, *scopes: Scope) -> UUID:
    async with database.unit_of_work(organization.actor(Role.ADMIN)) as uow:
        return (await commands.create_client(uow, name="Open data", scopes=list(scopes))).id


async def key_of(database: Database, organization: TestOrganization, client_id: UUID, **options: Any) -> str:
    given: dict[str, Any] = {"expires_at": None, **options}
    _, secret = await commands.issue_api_key(database, organization.actor(Role.ADMIN), api_client_id=client_id, **given)
    return secret


async def holds(database: Database, token: str, actor: Actor) -> bool:
    try:
        return await queries.actor_of_token(database, token) == actor
    except (Unauthenticated, OrganizationSuspended):
        return False


async def refusal(awaitable: Any) -> str:
    with pytest.raises(BelfryError) as caught:
        await awaitable
    return caught.value.code


async def test_a_key_stands_for_its_client_with_its_scopes_and_nothing_else(
    database: Database, organization: TestOrganization
) -> None:
    client_id = await client_of(database, organization, *READS)
    actor = await queries.actor_of_token(database, await key_of(database, organization, client_id))
    assert (actor.kind, actor.client_id, actor.membership_id) == (ActorKind.API_CLIENT, client_id, None)
    assert (actor.tenant_id, actor.scopes, actor.roles) == (organization.id, frozenset(READS), ())
    assert set(actor.permissions) == {
        Permission.DIRECTORY_READ,
        Permission.CONVERSATION_READ,
        Permission.METRICS_READ,
        Permission.SOCIAL_ACCOUNT_READ,
    }
    reach = actor.range_of(Permission.CONVERSATION_READ)
    assert (reach.everywhere, reach.coordinates, reach.held, reach.departments) == (True, False, False, frozenset())


async def test_no_scope_lets_a_machine_claim_answer_close_or_set_up(organization: TestOrganization) -> None:
    everything = Actor(organization.id, kind=ActorKind.API_CLIENT, client_id=identifiers.new(), scopes=frozenset(Scope))
    closed = {
        Permission.BELFRY_WORK, Permission.ORGANIZATION_FOUND, Permission.INTEGRATION_MANAGE,
        Permission.SOCIAL_ACCOUNT_CONNECT, Permission.CONVERSATION_CLAIM, Permission.CONVERSATION_TAKE_OVER,
        Permission.CONVERSATION_REPLY, Permission.CONVERSATION_CLOSE, Permission.DELIVERY_RESOLVE,
    }  # fmt: skip
    assert set(Permission) - set(everything.permissions) == closed


async def test_a_key_looks_like_one_and_only_its_hash_is_kept(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    client_id = await client_of(database, organization)
    key = await key_of(database, organization, client_id)
    assert rules.API_KEY.fullmatch(key)
    [(key_id,)] = await sql(database_urls, "select id from belfry.api_key where api_client_id = $1", client_id)
    assert key.startswith(f"belfry_{key_id.hex}_")
    secret = key.rpartition("_")[2] if "_" not in key[40:] else key[40:]
    assert (digest(key),) in await sql(
        database_urls, "select key from belfry.door where organization_id = $1", organization.id
    )
    for table in ("door", "api_key", "api_client", "outbox", "audit_event"):
        rows = await sql(database_urls, f"select t::text from belfry.{table} t")
        assert not any(secret in row for (row,) in rows)


async def test_what_is_no_key_stands_for_nobody(database: Database, organization: TestOrganization) -> None:
    key = await key_of(database, organization, await client_of(database, organization))
    other = rules.new_api_key(identifiers.new())
    for wrong in (key[:-1], f"{key}x", f"{key}\n", key.upper(), other, key[:40] + other[40:], other[:40] + key[40:]):
        assert await refusal(queries.actor_of_token(database, wrong)) == "UNAUTHENTICATED"


async def test_two_keys_overlap_and_each_ends_alone(database: Database, organization: TestOrganization) -> None:
    client_id = await client_of(database, organization, *READS)
    old, new = [await key_of(database, organization, client_id) for _ in range(2)]
    actor = await queries.actor_of_token(database, old)
    assert await queries.actor_of_token(database, new) == actor
    async with database.unit_of_work(organization.actor(Role.ADMIN)) as uow:
        await commands.revoke_api_key(uow, api_key_id=UUID(hex=old[7:39]))
    assert (await holds(database, old, actor), await holds(database, new, actor)) == (False, True)
    async with database.unit_of_work(organization.actor(Role.ADMIN)) as uow:
        await commands.revoke_client(uow, api_client_id=client_id)
    assert not await holds(database, new, actor)
    assert await refusal(key_of(database, organization, client_id)) == "API_CLIENT_IS_REVOKED"


async def test_the_first_use_of_a_day_is_noted_and_no_later_one(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    key = await key_of(database, organization, await client_of(database, organization))
    asker = await queries.asker_of_token(database, key)
    assert asker.unnoted_key_id is not None
    assert asker.unnoted_key_id == UUID(hex=key[7:39])
    await commands.note_key_use(database, organization.id, asker.unnoted_key_id)
    assert (await queries.asker_of_token(database, key)).unnoted_key_id is None
    kept = await sql(database_urls, "select last_used_on from belfry.api_key where id = $1", asker.unnoted_key_id)
    assert kept == [(utc_now().date(),)]
    yesterday = "update belfry.api_key set last_used_on = last_used_on - 1 where tenant_id = $1"
    await sql(database_urls, yesterday, organization.id)
    assert (await queries.asker_of_token(database, key)).unnoted_key_id == asker.unnoted_key_id


async def test_every_refusal_leaves_no_trace(
    database: Database, database_urls: Urls, organization: TestOrganization
) -> None:
    admin, client_id = organization.actor(Role.ADMIN), await client_of(database, organization, *READS)
    for _ in range(rules.LIVE_KEYS_MAX):
        await key_of(database, organization, client_id)
    before = await fingerprint(database_urls, organization.id)
    [(doors,)] = await sql(database_urls, "select count(*) from belfry.door")

    async def create(actor: Actor = admin, **changes: Any) -> None:
        async with database.unit_of_work(actor) as uow:
            given: dict[str, Any] = {"name": "Bot", "scopes": [], **changes}
            await commands.create_client(uow, **given)

    async def update(expected: int | None = None, **changes: Any) -> None:
        async with database.unit_of_work(admin) as uow:
            await commands.update_client(
                uow, api_client_id=client_id, expected_version=expected, changes=commands.ApiClientChanges(**changes)
            )

    late, soon = utc_now() + timedelta(days=731), utc_now() - timedelta(seconds=1)
    for attempt, code in (
        (create(organization.actor(Role.COORDINATOR)), "FORBIDDEN"),
        (create(name="  "), "REQUIRED"),
        (create(scopes=["conversations:write"]), "INVALID"),
        (create(scopes=["integrations:manage"]), "INVALID"),
        (update(expected=2, name="Other"), "CONFLICT"),
        (update(scopes=["metrics:write"]), "INVALID"),
        (key_of(database, organization, client_id), "LIMIT_REACHED"),
        (key_of(database, organization, identifiers.new()), "NOT_FOUND"),
    ):
        assert await refusal(attempt) == code
    await sql(database_urls, "update belfry.api_key set revoked_at = now() where tenant_id = $1", organization.id)
    before = await fingerprint(database_urls, organization.id)
    for expires_at in (late, soon):
        assert await refusal(key_of(database, organization, client_id, expires_at=expires_at)) == "INVALID"
    assert await fingerprint(database_urls, organization.id) == before
    assert await sql(database_urls, "select count(*) from belfry.door") == [(doors,)]


async def test_nothing_is_read_before_the_organization_is_bound(database: Database) -> None:
    for text in (queries.CLIENT_ASKS, queries.CLIENTS_NO_LONGER_HOLD):
        assert reads_too_early(await database.reads.explain(text)) == []


CHANGES = {
    "nothing": "select 1",
    "the keys end": "update belfry.api_key set expires_at = now() where tenant_id = $1",
    "the keys are revoked": "update belfry.api_key set revoked_at = now() where tenant_id = $1",
    "the clients are revoked": "update belfry.api_client set revoked_at = now()"
    " where tenant_id = $1 and scopes <> '{}'",
    "another scope": "update belfry.api_client set scopes = array['metrics:read'] where tenant_id = $1",
    "no scope": "update belfry.api_client set scopes = '{}' where tenant_id = $1",
    "the doors are shut": "delete from belfry.door where organization_id = $1 and kind = 'API_KEY'",
    "suspended": "update belfry.organization set state = 'SUSPENDED' where tenant_id = $1",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_many_keys_and_tokens_are_asked_for_at_once_with_the_answers_of_each(
    database: Database, database_urls: Urls, change: str
) -> None:
    town = await found_organization(database, name="Sleutelstad")
    held: list[tuple[str, Actor]] = []
    for scopes in ([], READS, [Scope.METRICS_READ]):
        client_id = await client_of(database, town, *scopes)
        key = await key_of(database, town, client_id)
        person = await commands.issue_local_token(
            database, is_local=True, slug=town.slug, role=Role.OPERATOR, department_code=None
        )
        held += [(each, await queries.actor_of_token(database, each)) for each in (key, person)]
    await sql(database_urls, CHANGES[change], *([town.id] if "$1" in CHANGES[change] else []))
    expected = [place for place, each in enumerate(held) if not await holds(database, *each)]
    found = await queries.no_longer_holding(database, queries.Holdings.of(town.id, held))
    assert sorted(found) == expected
    assert (change == "nothing") is (expected == [])


async def test_a_key_of_another_organization_or_client_does_not_hold(
    database: Database, organization: TestOrganization
) -> None:
    towns = (organization, organization, await found_organization(database, name="Elders"))
    clients = [(each, await client_of(database, each, *READS)) for each in towns]
    keys = [await key_of(database, *each) for each in clients]
    actors = [await queries.actor_of_token(database, key) for key in keys]
    held = [(key, actor) for key in keys for actor in actors]
    found = await queries.no_longer_holding(database, queries.Holdings.of(organization.id, held))
    assert sorted({*range(9)} - {*found}) == [0, 4]
