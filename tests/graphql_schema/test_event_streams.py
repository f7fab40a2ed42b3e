# SPDX-License-Identifier: EUPL-1.2
"""Server-sent events: one stream for each operation, in the words of graphql-sse's distinct connections mode."""

import asyncio
from typing import Any

import pytest

from graphql_schema import event_streams, guard
from graphql_schema.nodes import encode_id
from graphql_schema.reading.sharing import SharedOperation
from services.kernel.access import Role
from tests.graphql_schema.serving import GRAPHQL, JSON, Served, Stream
from tests.graphql_schema.street import EVENTS, Street, event, watch
from tests.graphql_schema.test_transport_sockets import expire_tokens

STREAM = "text/event-stream"
BOTH = f"{GRAPHQL}, {JSON}, {STREAM}"
INBOX = "{ conversations(first: 1) { nodes { id } } }"


async def follow(stream: Stream) -> dict[str, Any]:
    """The next live event."""
    kind, data = await stream.event()
    assert kind == "next"
    assert "errors" not in data, data
    return data["data"]["conversationEvents"]


async def test_a_subscription_streams_and_resumes_behind_the_last_event_seen(street: Street) -> None:
    token, after = street.token(Role.COORDINATOR), await street.now()
    conversation = await street.open("ROADS")
    async with street.api.stream(token, EVENTS, after=after) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-request-id"]
        first = await follow(stream)
        assert (first["event"], first["nodeId"]) == ("OPENED", encode_id("CV", conversation))
    async with street.api.stream(token, EVENTS, after=first["cursor"]) as stream:
        assert (await follow(stream))["event"] == "ROUTED"
        await street.say(conversation)
        assert (await follow(stream))["event"] == "MESSAGE_RECEIVED"


async def test_queries_and_mutations_are_one_result_and_complete(street: Street) -> None:
    conversation = await street.open("ROADS")
    claim = "mutation ($id: ID!) { conversationClaim(input: {conversationId: $id}) { userErrors { code } } }"
    one, other = street.token(Role.OPERATOR, "ROADS"), street.token(Role.COORDINATOR)
    async with street.api.stream(one, INBOX) as stream:
        [(kind, told), end] = await stream.rest()
        assert (kind, end) == ("next", ("complete", None))
        assert told["data"] == {"conversations": {"nodes": [{"id": encode_id("CV", conversation)}]}}
    for token, codes in ((one, []), (other, ["ALREADY_CLAIMED"])):
        async with street.api.stream(token, claim, id=encode_id("CV", conversation)) as stream:
            [(_, told), end] = await stream.rest()
            assert [each["code"] for each in told["data"]["conversationClaim"]["userErrors"]] == codes
            assert end == ("complete", None)


async def test_who_takes_both_gets_json_but_for_subscriptions(street: Street) -> None:
    token = street.token(Role.COORDINATOR)
    answer = await street.api.post({"query": INBOX}, token, accept=BOTH)
    assert answer.headers["content-type"].startswith(GRAPHQL)
    after = await street.now()
    await street.open("ROADS")
    async with street.api.stream(token, EVENTS, accept=BOTH, after=after) as stream:
        assert (await follow(stream))["event"] == "OPENED"


@pytest.mark.parametrize("accept", [JSON, GRAPHQL, "*/*", f"{JSON}, {STREAM};q=0"])
async def test_who_does_not_name_the_stream_is_told_to(street: Street, accept: str) -> None:
    answer = await street.api.post({"query": EVENTS}, street.token(Role.COORDINATOR), accept=accept)
    assert answer.status_code == 406
    assert answer.json()["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_NEEDS_STREAM"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": INBOX}, 401, "UNAUTHENTICATED"),
        (b"{", 400, "BAD_REQUEST"),
        ({"query": 1}, 400, "BAD_REQUEST"),
    ],
)
async def test_what_is_refused_before_its_operation_is_known_is_json_with_a_status(
    street: Street, body: Any, status: int, code: str
) -> None:
    token = None if status == 401 else street.token(Role.COORDINATOR)
    answer = await street.api.post(body, token, accept=STREAM)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ conversations(first: 101) { nodes { id } } }", "BAD_USER_INPUT"),
        ('subscription { conversationEvents(after: "x") { event } }', "BAD_USER_INPUT"),
        ("query A { viewer { roles } } query B { viewer { roles } }", "OPERATION_RESOLUTION_FAILURE"),
        ("{" + " a: viewer { roles }" * 31 + "}", "DOCUMENT_TOO_COMPLEX"),
    ],
)
async def test_an_operation_that_cannot_run_says_so_in_the_stream(street: Street, document: str, code: str) -> None:
    async with street.api.stream(street.token(Role.COORDINATOR), document) as stream:
        assert stream.response.status_code == 200
        [(kind, told), end] = await stream.rest()
    assert (kind, end) == ("next", ("complete", None))
    assert list(told) == ["errors"]
    assert told["errors"][0]["extensions"]["code"] == code
    assert told["errors"][0]["extensions"]["requestId"] == stream.response.headers["x-request-id"]


async def test_a_right_that_is_missing_is_told_in_the_stream(street: Street) -> None:
    async with street.api.stream(street.token(Role.VIEWER), EVENTS) as stream:
        [(_, told), _] = await stream.rest()
    assert told["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_it_beats_while_nothing_happens(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.02)
    async with street.api.stream(street.token(Role.COORDINATOR), EVENTS) as stream:
        for _ in range(3):
            assert await stream.frame() == ":"
        await street.open("ROADS")
        assert (await follow(stream))["event"] == "OPENED"


@pytest.mark.parametrize("something_happens", [True, False])
async def test_the_stream_is_cut_without_a_word_when_its_credential_ends(
    street: Street, monkeypatch: pytest.MonkeyPatch, something_happens: bool
) -> None:
    """No `complete`: a client that tries again learns from the status what has happened."""
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600 if something_happens else 0.05)
    token, conversation = street.token(Role.COORDINATOR), await street.open("ROADS")
    async with street.api.stream(token, EVENTS, after=await street.now()) as stream:
        await street.say(conversation)
        await follow(stream)
        await expire_tokens(street.database, street.organization)
        if something_happens:
            await street.say(conversation)
        assert await stream.rest() == []
    answer = await street.api.post({"query": EVENTS}, token, accept=STREAM)
    assert answer.status_code == 401


async def test_streams_and_sockets_are_told_together(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads, plain = 0, SharedOperation.payload

    async def counted(operation: SharedOperation, *arguments: Any) -> str | None:
        nonlocal payloads
        payloads += 1
        return await plain(operation, *arguments)

    monkeypatch.setattr(SharedOperation, "payload", counted)
    token, after = street.token(Role.COORDINATOR), await street.now()
    conversation = await street.open("ROADS")
    async with street.api.stream(token, EVENTS, after=after) as stream, street.api.socket(token) as socket:
        await watch(socket, street, after=after)
        assert [await follow(stream) for _ in range(2)] == [await event(socket) for _ in range(2)]
        await asyncio.sleep(0.3)  # until both have taken their seats
        await street.say(conversation)
        assert await follow(stream) == await event(socket)
    assert payloads == 1


async def test_a_client_that_leaves_frees_its_stream(live: Served, street: Street) -> None:
    before = len(asyncio.all_tasks())
    async with street.api.stream(street.token(Role.COORDINATOR), EVENTS, after=await street.now()) as stream:
        await street.open("ROADS")
        await follow(stream)
        assert len(asyncio.all_tasks()) > before
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before + 1:  # the feed of the organization may look once more
            await asyncio.sleep(0.02)
