# SPDX-License-Identifier: EUPL-1.2
"""The register of accounts: entering, connecting, revoking, and keeping what comes in."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.encryption import CannotOpen, Vault
from services.kernel.settings import Settings
from services.social_accounts import commands, queries
from services.social_accounts.models import SocialAccount
from services.social_accounts.networks.interface import AccountGrant, RawEvent
from services.social_accounts.rules import Connection, Lifecycle, Network, Purpose
from tests.services.conversations.scenes import Act, act, fingerprint, grown, people, refused, sql, tried
from tests.services.conversations.standing import Town, found_town
from tests.services.conversations.world import FORM, HARBOR, SPRING

Urls = Mapping[str, str]
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
SECRET = "app-password-that-must-not-leak"
GRANT = AccountGrant("did:plc:new", "new.test", "New", "https://pds.example", {"password": SECRET}, None)


@pytest.fixture
def vault(settings: Settings) -> Vault:
    return Vault(settings.master_key)


def registering(town: Town, **changes: Any) -> Act:
    given: dict[str, Any] = {"network": Network.MASTODON, "handle": "roads@town.example", "purpose": Purpose.NEWS,
             "department_id": town.organization.departments["ROADS"]}  # fmt: skip
    return lambda uow: commands.register(uow, **{**given, **changes})


async def account(town: Town, account_id: UUID) -> SocialAccount:
    async with town.database.snapshot(town.actor) as snapshot:
        return await queries.account(snapshot, account_id)


async def test_an_account_is_entered_connected_or_not(town: Town, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    before = await fingerprint(database_urls, town.organization.id)
    row = await act(town, coordinator, registering(town, handle=" @roads.example "))
    assert (row.handle, row.connection, row.lifecycle) == ("roads.example", Connection.UNMANAGED, Lifecycle.ACTIVE)
    after = grown(before, await fingerprint(database_urls, town.organization.id))
    assert after == {"social_account": 1, "audit_event": 1, "outbox": 1, "audit_head": 0}
    form = await act(town, coordinator, registering(town, network=Network.WEBFORM, handle="second-form"))
    assert form.connection is Connection.CONNECTED


async def test_every_refusal_to_enter_an_account_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    [manager] = await people(town, 1, Role.MANAGER, "ROADS")
    [operator] = await people(town, 1, Role.OPERATOR)
    people_id = town.organization.departments["PEOPLE"]
    for actor, changes, code in (
        (coordinator, {"handle": " @ "}, "REQUIRED"),
        (coordinator, {"handle": ""}, "REQUIRED"),
        (coordinator, {"handle": "two words"}, "INVALID"),
        (coordinator, {"handle": "bell\x07"}, "INVALID"),
        (coordinator, {"handle": "x" * 201}, "TOO_LONG"),
        (coordinator, {"network": Network.BLUESKY, "handle": SPRING}, "TAKEN"),
        (coordinator, {"department_id": uuid4()}, "DEPARTMENT_IS_UNKNOWN"),
        (manager, {"department_id": people_id}, "NOT_PERMITTED"),
        (operator, {}, "FORBIDDEN"),
    ):
        await refused(town, database_urls, actor, registering(town, **changes), code)
    below = {"department_id": town.organization.departments["LIGHTS"]}
    assert (await act(town, manager, registering(town, **below))).owner_department_id == below["department_id"]


async def test_another_organization_s_department_is_unknown_here(
    town: Town, database: Database, database_urls: Urls
) -> None:
    other = await found_town(database)
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    foreign = registering(town, department_id=other.organization.departments["ROADS"])
    await refused(town, database_urls, coordinator, foreign, "DEPARTMENT_IS_UNKNOWN")


async def test_of_two_who_enter_the_same_account_at_the_same_moment_one_succeeds(town: Town) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    async with town.database.unit_of_work(coordinator) as uow:
        await registering(town)(uow)
        second = asyncio.create_task(tried(town, coordinator, registering(town)))
        await asyncio.sleep(0.3)
    assert await second == "TAKEN"


async def connect(town: Town, vault: Vault, actor: Actor, handle: str = SPRING, grant: AccountGrant = GRANT) -> UUID:
    account_id = town.accounts[handle]
    await act(
        town,
        actor,
        lambda uow: commands.connect(uow, vault, account_id=account_id, server_url=grant.base_url, grant=grant),
    )
    return account_id


async def test_a_connection_is_sealed_listened_to_and_told(town: Town, vault: Vault, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    account_id = await connect(town, vault, coordinator)
    row = await account(town, account_id)
    assert (row.connection, row.remote_id, row.server_url) == (
        Connection.CONNECTED,
        "did:plc:new",
        "https://pds.example",
    )
    kinds = await sql(database_urls, "select kind from belfry.job where subject_id = $1 order by kind", account_id)
    assert kinds == [(commands.MEASURE,), (commands.POLL,)]
    async with town.database.snapshot(town.actor) as snapshot:
        opened = await queries.network_account(snapshot, vault, account_id)
    assert opened.credentials == {"password": SECRET}
    for table in ("account_credential", "social_account", "outbox", "audit_event", "job"):
        rows = await sql(
            database_urls, f"select t::text from belfry.{table} t where tenant_id = $1", town.organization.id
        )
        assert not any(SECRET in text or SECRET.encode().hex() in text for (text,) in rows)


async def test_sealed_credentials_open_in_no_other_row(town: Town, vault: Vault, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    for handle in (SPRING, HARBOR):
        await connect(town, vault, coordinator, handle)
    swap = (
        "update belfry.account_credential c set key_id = o.key_id, nonce = o.nonce, ciphertext = o.ciphertext"
        " from belfry.account_credential o where c.tenant_id = $1 and o.tenant_id = $1 and c.id <> o.id"
    )
    await sql(database_urls, swap, town.organization.id)
    async with town.database.snapshot(town.actor) as snapshot:
        for handle in (SPRING, HARBOR):
            with pytest.raises(CannotOpen):
                await queries.network_account(snapshot, vault, town.accounts[handle])


async def test_renewing_replaces_the_credentials_in_place(town: Town, vault: Vault, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    account_id = await connect(town, vault, coordinator)
    fresh = AccountGrant("did:plc:new", "new.test", None, "https://pds.example", {"password": "fresh"}, None)
    await act(town, town.actor, lambda uow: commands.renew(uow, vault, account_id=account_id, grant=fresh))
    async with town.database.snapshot(town.actor) as snapshot:
        assert (await queries.network_account(snapshot, vault, account_id)).credentials == {"password": "fresh"}
    count = "select count(*) from belfry.account_credential where social_account_id = $1"
    assert await sql(database_urls, count, account_id) == [(1,)]


async def test_every_refusal_to_connect_leaves_no_trace(town: Town, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    [local] = await people(town, 1, Role.COORDINATOR, "ROADS")
    [manager] = await people(town, 1, Role.MANAGER)
    unmanaged = (await act(town, coordinator, registering(town))).id

    def checking(account_id: UUID) -> Act:
        return lambda uow: commands.check_connectable(uow, account_id=account_id)

    spring = town.accounts[SPRING]
    for actor, account_id, code in (
        (coordinator, uuid4(), "NOT_FOUND"),
        (coordinator, unmanaged, "NETWORK_CANNOT_BE_CONNECTED"),
        (coordinator, town.accounts[FORM], "NETWORK_CANNOT_BE_CONNECTED"),
        (local, spring, "NOT_FOUND"),
        (manager, spring, "FORBIDDEN"),
    ):
        await refused(town, database_urls, actor, checking(account_id), code)
    lifecycle = "update belfry.social_account set lifecycle = $2 where id = $1"
    for state, code in ((Lifecycle.CLOSING, "INVALID_STATE"), (Lifecycle.CLOSED, "INVALID_STATE")):
        await sql(database_urls, lifecycle, spring, state.value)
        await refused(town, database_urls, coordinator, checking(spring), code)
    await sql(database_urls, lifecycle, spring, Lifecycle.REQUESTED.value)
    await act(town, coordinator, checking(spring))


async def test_a_revocation_is_told_once_and_stops_the_measuring(town: Town, vault: Vault, database_urls: Urls) -> None:
    [coordinator] = await people(town, 1, Role.COORDINATOR)
    account_id = await connect(town, vault, coordinator)
    for _ in range(2):
        await act(town, town.actor, lambda uow: commands.revoke(uow, account_id=account_id, reason="AUTH_REVOKED"))
    row = await account(town, account_id)
    assert (row.connection, row.connection_error) == (Connection.REVOKED, "AUTH_REVOKED")
    told = "select count(*) from belfry.outbox where tenant_id = $1 and kind = 'social_account.revoked'"
    assert await sql(database_urls, told, town.organization.id) == [(1,)]
    kinds = await sql(database_urls, "select kind from belfry.job where subject_id = $1", account_id)
    assert (commands.MEASURE,) not in kinds
    await connect(town, vault, coordinator)
    row = await account(town, account_id)
    assert (row.connection, row.connection_error) == (Connection.CONNECTED, None)


def events(*names: str, body: bytes = b"{}") -> list[RawEvent]:
    return [RawEvent(FORM, "submission", name, "1", NOON, body) for name in names]


async def test_a_raw_event_is_kept_once_however_often_it_comes(town: Town, database_urls: Urls) -> None:
    for batch in (events("one", "two", "one"), events("two"), events("three", "one", body=b"other"), []):
        await town.receive_raw(FORM, batch)
    kept = "select external_id, body from belfry.raw_event where tenant_id = $1 order by 1"
    assert await sql(database_urls, kept, town.organization.id) == [("one", b"{}"), ("three", b"other"), ("two", b"{}")]
    [(due,)] = await sql(
        database_urls, "select count(*) from belfry.job where kind = $1 and subject_id = $2",
        commands.DRAIN, town.accounts[FORM],
    )  # fmt: skip
    assert due == 1


async def test_the_same_event_from_many_connections_at_once_is_kept_once(town: Town, database_urls: Urls) -> None:
    names = [f"event {number}" for number in range(20)]
    await asyncio.gather(*(town.receive_raw(FORM, events(*names[turn:], *names[:turn])) for turn in range(8)))
    counted = "select count(*) from belfry.raw_event where tenant_id = $1"
    assert await sql(database_urls, counted, town.organization.id) == [(20,)]


async def test_webhook_and_poll_with_the_same_events_in_opposite_order_wait_for_each_other(town: Town) -> None:
    for turn in range(12):
        told = events(*(f"{turn}-{number}" for number in range(300)))
        await asyncio.gather(town.receive_raw(FORM, told), town.receive_raw(FORM, told[::-1]))


async def test_a_cursor_is_saved_with_what_it_gave_or_not_at_all(town: Town) -> None:
    account_id = town.accounts[FORM]

    async def save(cursor: str | None, *, fail: bool = False) -> None:
        async with town.database.unit_of_work(town.actor) as uow:
            await commands.receive(uow, account_id=account_id, events=events(f"with {cursor}"))
            await commands.save_cursor(uow, account_id=account_id, stream="posts", cursor=cursor, more=False)
            if fail:
                raise RuntimeError

    await save("a")
    await save("b")
    with pytest.raises(RuntimeError):
        await save("c", fail=True)
    async with town.database.snapshot(town.actor) as snapshot:
        stored = await queries.cursors(snapshot, account_id)
        waiting = await queries.known_items(snapshot, account_id, kind="submission", after=None, limit=10)
    assert (stored["posts"].cursor, waiting) == ("b", [])


async def test_polling_touches_no_version(town: Town) -> None:
    account_id = town.accounts[SPRING]
    before = (await account(town, account_id)).version
    await act(
        town, town.actor, lambda uow: commands.mark_polled(uow, account_id=account_id, at=NOON + timedelta(hours=1))
    )
    row = await account(town, account_id)
    assert (row.version, row.polled_at) == (before, NOON + timedelta(hours=1))


async def test_the_account_for_service_is_preferred_then_the_oldest(town: Town) -> None:
    async with town.database.snapshot(town.actor) as snapshot:
        ranks = await queries.preference(snapshot)
        own = await queries.own_remote_ids(snapshot, Network.BLUESKY)
    order = sorted(ranks, key=lambda account_id: ranks[account_id])
    assert order == [town.accounts[handle] for handle in (HARBOR, SPRING, FORM)]
    assert own == {"did:plc:spring": town.accounts[SPRING], "did:plc:harbor": town.accounts[HARBOR]}
