# SPDX-License-Identifier: EUPL-1.2
"""Sockets: who may open one, each close code, and that one bad operation leaves the socket alive."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, update
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from graphql_schema import guard, sockets
from graphql_schema.limits import BODY_BYTES_MAX, CONNECTION_INIT_TIMEOUT, SUBSCRIPTIONS_PER_CONNECTION_MAX
from services.identity.models import LocalToken
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.tenancy import queries as tenancy
from services.tenancy.rules import OrganizationState
from tests.graphql_schema.conftest import ORIGIN, TokenOf
from tests.graphql_schema.serving import Served
from tests.support.organizations import TestOrganization, found_organization


async def test_queries_mutations_and_subscriptions_run_over_one_socket(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.subscribe("{ echo }", "q")
        frame = await socket.receive()
        assert (frame["id"], frame["type"], frame["payload"]["data"]) == ("q", "next", {"echo": "hello"})
        assert await socket.receive() == {"id": "q", "type": "complete"}
        await socket.subscribe("subscription ($to: Int!) { count(to: $to) }", "s", to=2)
        frames = [await socket.receive() for _ in range(3)]
        assert [each["type"] for each in frames] == ["next", "next", "complete"]
        assert [each["payload"]["data"]["count"] for each in frames[:2]] == [1, 2]


async def test_pings_are_answered(api: Served) -> None:
    async with api.socket() as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ echo", "GRAPHQL_PARSE_FAILED"),
        ("", "BAD_REQUEST"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { count(to: $x) }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { echo } query B { echo }", "OPERATION_RESOLUTION_FAILURE"),
        ("fragment A on Query { echo }", "OPERATION_RESOLUTION_FAILURE"),
        ("query ($of: Int!) { number(of: $of) }", "BAD_USER_INPUT"),
        (f"{{ {' '.join(f'a{i}: echo' for i in range(31))} }}", "DOCUMENT_TOO_COMPLEX"),
        ("{a" * 200, "QUERY_TOO_DEEP"),
    ],
)
async def test_one_bad_operation_is_an_error_frame_and_the_socket_lives(
    api: Served, token: str, query: str, code: str
) -> None:
    async with api.socket(token) as socket:
        await socket.subscribe(query, "bad")
        frame = await socket.receive()
        assert (frame["id"], frame["type"]) == ("bad", "error")
        assert [each["extensions"]["code"] for each in frame["payload"]] == [code]
        assert frame["payload"][0]["extensions"]["requestId"]
        await socket.subscribe("{ echo }", "bad")
        assert (await socket.receive())["type"] == "next"


async def test_an_operation_id_can_be_used_again_after_its_end(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.subscribe("subscription { silence }", "1")
        await socket.send(id="1", type="complete")
        await socket.subscribe("{ echo }", "1")
        assert (await socket.receive())["type"] == "next"


async def test_a_subscription_that_breaks_says_nothing_of_why(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.subscribe("subscription { breaks }")
        assert (await socket.receive())["payload"] == {"data": {"breaks": 1}}
        frame = await socket.receive()
        assert "no_such_column" not in str(frame)
        assert [each["message"] for each in frame["payload"]["errors"]] == ["Internal server error."]
        assert (await socket.receive())["type"] == "complete"


async def test_a_defect_of_the_machinery_is_an_error_frame(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.socket(token) as socket:
        monkeypatch.setattr("graphql_schema.stages.check_document", lambda _: 1 / 0)
        await socket.subscribe("{ never: echo }")
        frame = await socket.receive()
        assert frame["type"] == "error"
        assert frame["payload"][0]["message"] == "Internal server error."
        monkeypatch.undo()
        await socket.subscribe("{ echo }")
        assert (await socket.receive())["type"] == "next"


async def test_an_operation_that_takes_too_long_is_stopped(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphql_schema.stages.Stages.execution_seconds_max", 0.05)
    async with api.socket(token) as socket:
        await socket.subscribe("{ slow(seconds: 30) }")
        frame = await socket.receive()
        assert frame["type"] == "error"
        assert frame["payload"][0]["extensions"]["code"] == "TIMEOUT"


# Close codes, one by one.


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"authorization": "Bearer belfry_local_" + "x" * 43},
        {"authorization": "nonsense"},
        {"authorization": {"Bearer": 1}},
        {"Authorization": "Bearer x"},
    ],
)
async def test_4403_a_socket_without_good_credentials_is_refused(api: Served, payload: Any) -> None:
    async with api.socket() as socket:
        await socket.send(type="connection_init", **({} if payload is None else {"payload": payload}))
        assert await socket.closed() == 4403


async def test_4403_cookies_and_headers_of_the_upgrade_are_no_credentials(api: Served, token: str) -> None:
    url = f"ws://{api.host}:{api.port}/graphql"
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"session={token}"}
    async with connect(
        url,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=headers,
        proxy=None,
    ) as opened:
        await opened.send('{"type": "connection_init"}')
        await opened.wait_closed()
        assert opened.close_code == 4403


async def test_4401_nothing_runs_before_the_acknowledgment(api: Served) -> None:
    async with api.socket() as socket:
        await socket.subscribe("{ echo }")
        assert await socket.closed() == 4401


async def test_4408_a_socket_that_does_not_introduce_itself_is_closed(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CONNECTION_INIT_TIMEOUT.total_seconds() == 3
    async with api.socket() as socket:
        assert await socket.closed() == 4408


async def test_4429_a_second_introduction_is_refused(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
        assert await socket.closed() == 4429


async def test_4409_two_operations_with_one_id_are_refused(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.subscribe("subscription { silence }", "same")
        await socket.subscribe("subscription { silence }", "same")
        assert await socket.closed() == 4409


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "1",
        "null",
        "{}",
        '{"type": 1}',
        '{"type": "unknown"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ echo }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ echo }"}}',
        '{"type": "subscribe", "id": "1", "payload": "{ echo }"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ echo }", "variables": []}}',
        '{"type": "complete"}',
        '{"type": "ping", "payload": ' + '{"a":' * 70 + "1" + "}" * 71,
        b'{"type": "ping"}',
    ],
)
async def test_4400_a_frame_that_is_no_message_closes_the_socket(api: Served, token: str, frame: str | bytes) -> None:
    async with api.socket(token) as socket:
        await socket.connection.send(frame)
        assert await socket.closed() == 4400


async def test_4406_the_legacy_protocol_is_off(api: Served) -> None:
    async with api.socket(protocol="graphql-ws") as socket:
        assert socket.connection.subprotocol is None
        assert await socket.closed() == 4406


async def test_1009_a_frame_that_is_too_large_closes_the_socket(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        await socket.connection.send('{"type": "ping", "payload": {"x": "%s"}}' % ("x" * BODY_BYTES_MAX))
        assert await socket.closed() == 1009


async def test_a_frame_of_the_largest_size_is_read(api: Served, token: str) -> None:
    async with api.socket(token) as socket:
        head, tail = '{"type": "ping", "payload": {"x": "', '"}}'
        await socket.connection.send(head + "x" * (BODY_BYTES_MAX - len(head) - len(tail)) + tail)
        assert await socket.receive() == {"type": "pong"}


async def test_one_socket_carries_25_operations_and_refuses_the_next(api: Served, token: str) -> None:
    assert SUBSCRIPTIONS_PER_CONNECTION_MAX == 25
    async with api.socket(token) as socket:
        for number in range(SUBSCRIPTIONS_PER_CONNECTION_MAX):
            await socket.subscribe("subscription { silence }", str(number))
        await socket.subscribe("subscription { silence }", "one more")
        frame = await socket.receive()
        assert (frame["id"], frame["type"]) == ("one more", "error")
        assert frame["payload"][0]["extensions"]["code"] == "THROTTLED"
        assert frame["payload"][0]["extensions"]["retryAfter"] > 0
        await socket.send(id="0", type="complete")
        await socket.subscribe("{ echo }", "room again")
        assert (await socket.receive())["type"] == "next"


# Origins.


@pytest.mark.parametrize("origin", [None, ORIGIN, "OWN"])
async def test_an_origin_that_is_ours_or_none_may_open_a_socket(api: Served, token: str, origin: str | None) -> None:
    own = f"http://{api.host}:{api.port}"
    async with api.socket(token, origin=own if origin == "OWN" else origin) as socket:
        await socket.subscribe("{ echo }")
        assert (await socket.receive())["type"] == "next"


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "http://desk.example",
        "https://desk.example:444",
        "https://desk.example.org",
        "null",
    ],
)
async def test_a_foreign_origin_is_refused_before_the_socket_opens(api: Served, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with api.socket(origin=origin):
            pass
    response = caught.value.response
    assert response.status_code == 403
    assert response.headers["x-request-id"]
    assert b'"code":"FORBIDDEN"' in (response.body or b"")


# The credential is asked again.


async def test_a_socket_closes_when_its_token_expires(
    api: Served, database: Database, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 0.1)
    organization = await found_organization(database, name="Verlopen")
    token = await token_of(organization, Role.OPERATOR)
    async with api.socket(token) as socket:
        await socket.subscribe("{ echo }")
        assert (await socket.receive())["type"] == "next"
        await expire_tokens(database, organization)
        assert await socket.closed() == 4403


async def test_a_socket_closes_when_its_organization_is_suspended(
    api: Served, database: Database, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 0.1)
    organization = await found_organization(database, name="Gestopt")
    async with api.socket(await token_of(organization, Role.OPERATOR)) as socket:
        async with database.unit_of_work(Actor.system(organization.id)) as uow:
            (await tenancy.organization(uow)).state = OrganizationState.SUSPENDED
        assert await socket.closed() == 4403


async def test_no_operation_runs_after_a_role_was_changed(
    api: Served, database: Database, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600)
    organization = await found_organization(database, name="Anders")
    async with api.socket(await token_of(organization, Role.COORDINATOR)) as socket:
        async with database.unit_of_work(organization.system) as uow:
            changed = update(LocalToken).where(col(LocalToken.tenant_id) == organization.id)
            await uow.write(changed.values(role=Role.VIEWER))
        await socket.subscribe("{ echo }")
        with pytest.raises(ConnectionClosed):
            await socket.receive()
        assert await socket.closed() == 4403


async def test_every_operation_has_a_context_of_its_own(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = sockets.Connection.operation

    async def remembered(self: sockets.Connection, seat: Any) -> Any:
        context = await original(self, seat)
        assert context is not None
        assert context.loaders == {}
        made.append(id(context.loaders))
        kept.append(context)
        return context

    kept: list[Any] = []
    monkeypatch.setattr(sockets.Connection, "operation", remembered)
    async with api.socket(token) as socket:
        for number in range(3):
            await socket.subscribe("{ departments { nodes { id } } }", str(number))
            await socket.receive()
            await socket.receive()
    assert len(set(made)) == 3


async def test_a_client_that_vanishes_leaves_no_task_behind(api: Served, token: str) -> None:
    def running() -> set[str]:
        return {
            str(task.get_coro())
            for task in asyncio.all_tasks()
            if "SocketHandler" in str(task.get_coro()) and not task.done()
        }

    before = len(running())
    async with api.socket(token) as socket:
        for number in range(5):
            await socket.subscribe("subscription { silence }", str(number))
        await socket.send(type="ping")
        await socket.receive()
        assert len(running()) >= before + 5
        socket.connection.transport.abort()
    async with asyncio.timeout(10):
        while len(running()) > before:
            await asyncio.sleep(0.02)


async def expire_tokens(database: Database, organization: TestOrganization) -> None:
    """End every token of an organization now."""
    async with database.unit_of_work(organization.system) as uow:
        ended = update(LocalToken).where(col(LocalToken.tenant_id) == organization.id)
        await uow.write(ended.values(expires_at=uow.now - timedelta(seconds=1)))
