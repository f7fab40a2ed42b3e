# SPDX-License-Identifier: EUPL-1.2
"""Tickets open one socket each, within a minute, and stand for the credential that asked for them."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import redis.asyncio as redis

from graphql_schema import guard, tickets
from services.identity.queries import actor_of_token
from services.kernel import bell
from services.kernel.access import Role
from services.kernel.database import Database
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import Served, Socket
from tests.graphql_schema.test_transport_sockets import expire_tokens
from tests.support.organizations import TestOrganization, found_organization

PATH = "/auth/socket-ticket"


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.Redis]:
    client = bell.connect(valkey_url)
    yield client
    await client.aclose()


async def asked(api: Served, token: str | None, **headers: str) -> httpx2.Response:
    sent = headers | ({} if token is None else {"Authorization": f"Bearer {token}"})
    return await api.client.post(PATH, headers=sent)


async def ticket_for(api: Served, token: str) -> str:
    return (await asked(api, token)).json()["ticket"]


async def opened(socket: Socket, ticket: object) -> bool:
    """Whether a ticket opens a socket; if not, it was closed with 4403."""
    await socket.send(type="connection_init", payload={"ticket": ticket})
    try:
        return (await socket.receive())["type"] == "connection_ack"
    except Exception:
        assert await socket.closed() == 4403
        return False


async def test_a_ticket_opens_one_socket_which_may_do_what_its_credential_may(api: Served, token: str) -> None:
    answer = await asked(api, token)
    assert answer.status_code == 200
    assert answer.json()["expiresInSeconds"] == 60
    assert answer.headers["cache-control"] == "no-store"
    ticket = answer.json()["ticket"]
    async with api.socket() as socket:
        assert await opened(socket, ticket)
        await socket.subscribe("{ departments(first: 1) { totalCount } }")
        assert (await socket.receive())["payload"]["data"]["departments"]["totalCount"] == 4
    async with api.socket() as socket:
        assert not await opened(socket, ticket)


async def test_of_many_that_hold_a_ticket_one_gets_in(api: Served, token: str) -> None:
    ticket = await ticket_for(api, token)
    results: list[bool] = []
    for _ in range(5):
        async with api.socket() as socket:
            results.append(await opened(socket, ticket))
    assert results == [True, False, False, False, False]


@pytest.mark.parametrize(
    "wrong", ["", "belfry_ticket_", "belfry_ticket_" + "x" * 43, "x" * 5_000, "belfry_ticket_\x00"]
)
async def test_what_is_no_ticket_opens_nothing(api: Served, wrong: str) -> None:
    async with api.socket() as socket:
        assert not await opened(socket, wrong)


async def test_a_ticket_that_was_kept_too_long_opens_nothing(
    api: Served, token: str, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await ticket_for(api, token)
    assert 0 < await valkey.ttl(tickets._name(ticket)) <= 60
    await valkey.delete(tickets._name(ticket))
    async with api.socket() as socket:
        assert not await opened(socket, ticket)


async def test_a_stranger_gets_no_ticket(api: Served, home: TestOrganization) -> None:
    for token in (None, "belfry_local_" + "x" * 43):
        answer = await asked(api, token, **{"Accept-Language": "fr"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"]
        assert answer.headers["content-language"] == "fr"
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    refused = await api.get(PATH)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_the_socket_of_a_ticket_ends_with_its_credential(
    api: Served, database: Database, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 0.05)
    town = await found_organization(database, name="Loket")
    token = await token_of(town, Role.OPERATOR)
    ticket, unused = await ticket_for(api, token), await ticket_for(api, token)
    async with api.socket() as socket:
        assert await opened(socket, ticket)
        await expire_tokens(database, town)
        assert await socket.closed() == 4403
    async with api.socket() as socket:
        assert not await opened(socket, unused)


async def test_valkey_holds_neither_the_credential_nor_the_ticket(
    api: Served, database: Database, token: str, valkey: redis.Redis, edge_settings: object
) -> None:
    ticket = await ticket_for(api, token)
    kept = await valkey.get(tickets._name(ticket))
    assert kept is not None
    for secret in (token, token.removeprefix("belfry_local_"), ticket, ticket.removeprefix(tickets.PREFIX)):
        assert secret.encode() not in bytes(kept)
        assert not [each async for each in valkey.scan_iter(match=f"*{secret}*")]


async def test_a_ticket_of_one_organization_moved_to_another_opens_nothing(
    api: Served, database: Database, token_of: TokenOf, token: str, valkey: redis.Redis
) -> None:
    elsewhere = await token_of(await found_organization(database, name="Elders"), Role.OPERATOR)
    mine, theirs = await ticket_for(api, token), await ticket_for(api, elsewhere)
    stolen = await valkey.get(tickets._name(theirs))
    await valkey.set(tickets._name(mine), stolen, ex=60)
    async with api.socket() as socket:
        assert not await opened(socket, mine)
    assert (await actor_of_token(database, elsewhere)).tenant_id
