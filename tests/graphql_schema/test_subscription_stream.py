# SPDX-License-Identifier: EUPL-1.2
"""Live events over real sockets: nothing lost, nothing foreign, nothing that the subscriber may not see any more."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, delete, update
from websockets.exceptions import ConnectionClosed

from graphql_schema import guard
from graphql_schema.live import stream as subscription
from graphql_schema.nodes import encode_id
from graphql_schema.rings import Rings
from services.assignments.events import ConversationClaimed, ConversationTakenOver
from services.conversations.events import ConversationClosed, ConversationStateChanged
from services.conversations.rules import ConversationState, Outcome
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.errors import NotFound, ServiceUnavailable
from services.kernel.outbox import OutboxEntry
from services.kernel.runtime import Runtime
from tests.graphql_schema.conftest import FoundStreet, TokenOf
from tests.graphql_schema.street import EVENTS, Street, event, nothing_until, stream_of, watch
from tests.graphql_schema.test_transport_sockets import expire_tokens


async def test_what_happens_is_told_in_order_with_the_conversation_as_it_is_now(street: Street) -> None:
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        conversation = await street.open("ROADS")
        found = [await event(socket) for _ in range(2)]
        identifier = encode_id("CV", conversation)
        assert [each["event"] for each in found] == ["OPENED", "ROUTED"]
        assert [each["nodeId"] for each in found] == [identifier] * 2
        assert found[1]["node"] == {"id": identifier, "state": "OPEN", "department": {"name": "Roads"}}
        closing = ConversationClosed(conversation_id=conversation, outcome=Outcome.ANSWERED)
        await street.change(conversation, closing, state=ConversationState.CLOSED)
        closed = await event(socket)
        assert (closed["event"], closed["node"]["state"]) == ("CLOSED", "CLOSED")
        assert closed["occurredAt"].endswith("Z")


async def test_without_a_cursor_the_stream_begins_now(street: Street) -> None:
    await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS)
        conversation = await street.open("PEOPLE")
        first: asyncio.Task[Any] = asyncio.create_task(event(socket))
        while not first.done():  # the stream may begin after the first of these
            await street.say(conversation)
            await asyncio.wait([first], timeout=0.2)
        assert first.result()["nodeId"] == encode_id("CV", conversation)


async def test_a_client_that_is_cut_again_and_again_misses_nothing(street: Street) -> None:
    conversation = await street.open("ROADS")
    after, seen, total = await street.now(), list[str](), 60

    async def talk() -> None:
        for _ in range(total):
            await street.say(conversation)

    talking = asyncio.create_task(talk())
    while len(dict.fromkeys(seen)) < total:
        async with street.api.socket(street.token(Role.OPERATOR, "ROADS")) as socket:
            await socket.subscribe(EVENTS, after=after)
            for _ in range(min(7, total - len(dict.fromkeys(seen)))):
                after = (await event(socket))["cursor"]
                seen.append(after)
            socket.connection.transport.abort()
    await talking
    assert len(dict.fromkeys(seen)) == total
    places = [stream_of(street).read_cursor(each) for each in seen]
    assert places == sorted(places)


async def test_six_writers_at_once_lose_nothing(street: Street) -> None:
    conversations = [await street.open("ROADS") for _ in range(6)]
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)

        async def talk(conversation: Any) -> None:
            told = 0
            while told < 8:
                with contextlib.suppress(ServiceUnavailable):  # on a busy machine a lock may be waited for too long
                    await street.say(conversation)
                    told += 1

        writing = asyncio.gather(*(talk(each) for each in conversations))
        found = [await event(socket) for _ in range(6 * 8)]
        await writing
    places = [stream_of(street).read_cursor(each["cursor"]) for each in found]
    assert places == sorted(set(places))
    assert {each["nodeId"] for each in found} == {encode_id("CV", each) for each in conversations}


async def test_what_was_rolled_back_is_never_told(street: Street) -> None:
    conversation = await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        with pytest.raises(NotFound):
            async with street.database.unit_of_work(street.organization.system) as uow:
                uow.emit(ConversationClosed(conversation_id=conversation, outcome=Outcome.ANSWERED))
                raise NotFound
        await nothing_until(socket, street, conversation)


async def test_a_lost_ring_costs_one_poll(street: Street, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert subscription.POLL_SECONDS == 5
    monkeypatch.setattr(subscription, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(Rings, "wake", lambda *_: None)
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        await street.open("ROADS")
        assert (await event(socket))["event"] == "OPENED"


async def test_the_listener_comes_back_after_valkey_cut_it(street: Street, runtime: Runtime) -> None:
    conversation = await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        await runtime.valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]
        for _ in range(3):
            await nothing_until(socket, street, conversation)


# Who sees what.


async def test_another_organization_is_never_heard(street: Street, found_street: FoundStreet) -> None:
    other = await found_street()
    mine = await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        theirs = await other.open("ROADS")
        await other.route(theirs, "PEOPLE")
        await nothing_until(socket, street, mine)


async def test_an_operator_hears_the_own_departments_only(street: Street) -> None:
    mine = await street.open("ROADS")
    async with street.api.socket(street.token(Role.OPERATOR, "ROADS")) as socket:
        await watch(socket, street)
        theirs = await street.open("PEOPLE")
        await street.say(theirs)
        below = await street.open("LIGHTS")
        assert (await event(socket))["nodeId"] == encode_id("CV", below)
        assert (await event(socket))["event"] == "ROUTED"
        await nothing_until(socket, street, mine)


async def test_a_conversation_that_is_rerouted_leaves_the_view_with_its_id_alone(street: Street) -> None:
    conversation, staying = await street.open("ROADS"), await street.open("ROADS")
    roads, people, desk = (street.token(Role.OPERATOR, each) for each in ("ROADS", "PEOPLE", "DESK"))
    async with street.api.socket(roads) as old, street.api.socket(people) as new, street.api.socket(desk) as third:
        for socket in (old, new, third):
            await watch(socket, street)
        await street.route(conversation, "PEOPLE")
        left, came = await event(old), await event(new)
        assert (left["event"], left["node"], left["nodeId"]) == ("LEFT_VIEW", None, encode_id("CV", conversation))
        assert (came["event"], came["node"]["department"]["name"]) == ("ROUTED", "People")
        await street.say(conversation)
        await nothing_until(old, street, staying)
        at_desk = await street.open("DESK")
        assert (await event(third))["nodeId"] == encode_id("CV", at_desk)


async def test_a_conversation_that_becomes_confidential_leaves_the_view_of_those_without_its_department(
    street: Street, token_of: TokenOf
) -> None:
    conversation, secret = await street.open("ROADS"), await street.topic(confidential=True)
    everywhere = await token_of(street.organization, Role.OPERATOR)
    async with (
        street.api.socket(everywhere) as socket,
        street.api.socket(street.token(Role.COORDINATOR)) as coordinator,
    ):
        for each in (socket, coordinator):
            await watch(each, street)
        await street.route(conversation, "ROADS", secret)
        assert (await event(socket))["event"] == "LEFT_VIEW"
        assert (await event(coordinator))["event"] == "ROUTED"


async def test_who_saw_it_only_as_its_holder_is_told_when_it_is_taken_over(street: Street) -> None:
    conversation = await street.open("ROADS")
    expert, coordinator = (street.organization.members[each] for each in (Role.EXPERT, Role.COORDINATOR))
    claimed = ConversationClaimed(conversation_id=conversation, holder_id=expert, fence=1)
    async with street.api.socket(street.token(Role.EXPERT)) as socket:
        await watch(socket, street)
        lease = {"holder_id": expert, "lease_until": street.runtime.clock() + timedelta(minutes=10)}
        await street.change(conversation, claimed, **lease)
        assert (await event(socket))["event"] == "CLAIMED"
        taken = ConversationTakenOver(
            conversation_id=conversation, holder_id=coordinator, former_holder_id=expert, fence=2
        )
        await street.change(conversation, taken, **{**lease, "holder_id": coordinator})
        assert (await event(socket))["event"] == "LEFT_VIEW"


async def test_without_the_right_to_read_there_is_no_stream(street: Street) -> None:
    async with street.api.socket(street.token(Role.VIEWER)) as socket:
        await socket.subscribe(EVENTS)
        frame = await socket.receive()
        assert frame["type"] == "error"
        assert frame["payload"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_filter_lets_through_what_matches_now(street: Street) -> None:
    conversation, other = await street.open("ROADS"), await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street, filter={"state": {"eq": "CLOSED"}})
        await street.say(conversation)
        closing = ConversationStateChanged(
            conversation_id=other, before=ConversationState.OPEN, after=ConversationState.CLOSED
        )
        await street.change(other, closing, state=ConversationState.CLOSED)
        assert (await event(socket))["nodeId"] == encode_id("CV", other)
        await street.say(conversation)
        await nothing_until(socket, street, other)


async def test_a_filter_that_cannot_be_answered_is_refused_at_once(street: Street) -> None:
    deep: dict[str, Any] = {"state": {"eq": "OPEN"}}
    for _ in range(5):
        deep = {"not": deep}
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, filter=deep)
        frame = await socket.receive()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "BAD_USER_INPUT")


async def test_a_stream_ends_with_4403_when_its_token_does(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600)
    conversation = await street.open("ROADS")
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await watch(socket, street)
        await nothing_until(socket, street, conversation)
        await expire_tokens(street.database, street.organization)
        await street.say(conversation)  # nobody may hear this any more
        with pytest.raises(ConnectionClosed):
            await socket.receive()
        assert await socket.closed() == 4403


# Cursors and how far back they reach.


async def resumed(street: Street, after: str) -> dict[str, Any]:
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        return await event(socket)


async def test_a_cursor_older_than_a_day_is_answered_by_resync_and_the_stream_goes_on(street: Street) -> None:
    after, conversation = await street.now(), await street.open("ROADS")
    async with street.database.unit_of_work(street.organization.system) as uow:
        aged = update(OutboxEntry).where(col(OutboxEntry.tenant_id) == street.organization.id)
        await uow.write(aged.values(occurred_at=uow.now - timedelta(hours=25)))
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        first = await event(socket)
        assert (first["event"], first["node"], first["nodeId"]) == ("RESYNC", None, None)
        await nothing_until(socket, street, conversation)
    await street.say(conversation)
    assert (await resumed(street, first["cursor"]))["event"] == "MESSAGE_RECEIVED"


async def test_a_cursor_before_what_was_cleared_away_is_answered_by_resync(street: Street) -> None:
    after, conversation = await street.now(), await street.open("ROADS")
    async with street.database.unit_of_work(street.organization.system) as uow:
        oldest = stream_of(street).read_cursor(after) + 1
        gone = delete(OutboxEntry).where(
            col(OutboxEntry.tenant_id) == street.organization.id, col(OutboxEntry.seq) == oldest
        )
        await uow.write(gone)
    assert (await resumed(street, after))["event"] == "RESYNC"
    async with street.database.unit_of_work(street.organization.system) as uow:
        await uow.write(delete(OutboxEntry).where(col(OutboxEntry.tenant_id) == street.organization.id))
    assert (await resumed(street, after))["event"] == "RESYNC"
    now = await street.now()
    await street.say(conversation)
    assert (await resumed(street, now))["event"] == "MESSAGE_RECEIVED"


async def test_a_cursor_from_a_future_that_was_lost_is_answered_by_resync(street: Street) -> None:
    assert (await resumed(street, stream_of(street).cursor(10_000_000)))["event"] == "RESYNC"


async def test_who_is_too_far_behind_is_sent_away_with_resync(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (subscription.BEHIND_MAX, subscription.BATCH_SIZE) == (1_000, 100)
    monkeypatch.setattr(subscription, "BEHIND_MAX", 20)
    monkeypatch.setattr(subscription, "BATCH_SIZE", 5)
    conversation = await street.open("ROADS")
    after = await street.now()
    for _ in range(20):
        await street.say(conversation)
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        assert [(await event(socket))["event"] for _ in range(20)] == ["MESSAGE_RECEIVED"] * 20
    await street.say(conversation)
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        last = await event(socket)
        assert last["event"] == "RESYNC"
        assert (await socket.receive())["type"] == "complete"
    await street.say(conversation)
    assert (await resumed(street, last["cursor"]))["event"] == "MESSAGE_RECEIVED"


@pytest.mark.parametrize("after", ["", "x", "A" * 34, "é" * 34, "1.2", "A" * 10_000])
async def test_a_cursor_that_is_none_is_refused(street: Street, after: str) -> None:
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        frame = await socket.receive()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "BAD_USER_INPUT")


async def test_a_cursor_of_another_organization_is_refused(street: Street, found_street: FoundStreet) -> None:
    other = await found_street()
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=await other.now())
        assert (await socket.receive())["type"] == "error"


async def test_rings_wake_only_those_who_attend_to_the_organization(street: Street) -> None:
    rings, tenant = Rings(), street.organization.id
    with rings.attend(tenant) as mine, rings.attend(tenant) as too, rings.attend(street.account) as other:
        rings.wake(tenant)
        assert (mine.is_set(), too.is_set(), other.is_set()) == (True, True, False)
    rings.wake(tenant)
    assert rings._attending == {}
