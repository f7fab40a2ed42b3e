# SPDX-License-Identifier: EUPL-1.2
"""An event is executed once for all who see the same of it, and each is told what they would be told alone."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random, SystemRandom
from typing import Any

import orjson
import pytest
from sqlmodel import col, delete
from strawberry.http.exceptions import WebSocketDisconnected

from graphql_schema.live import feeds as feeding
from graphql_schema.reading import sharing
from graphql_schema.reading.operations import Operations
from graphql_schema.reading.sharing import SharedOperation
from graphql_schema.schema import ApiSchema, api_schema
from graphql_schema.seats import Seat
from services.conversations.models import Conversation
from services.identity.models import LocalToken
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.isolation import owned
from services.kernel.reads import Reads
from services.kernel.runtime import Runtime
from tests.graphql_schema.listening import Audience, Listener, Nobody, audience, into
from tests.graphql_schema.stage import PEOPLE, WATCHERS, Stage, hire, token_for
from tests.graphql_schema.street import EVENTS, Street
from tests.support.organizations import found_organization

SEED = int(os.environ.get("BELFRY_SEED") or SystemRandom().randrange(1 << 30))
ACTIONS, ACTIONS_MAX = 14, 60
"""As many acts, and more as long as nothing has left anybody's view."""
DOCUMENTS = (
    EVENTS,
    """subscription ($filter: ConversationFilter, $after: String) {
      happened: conversationEvents(filter: $filter, after: $after) { cursor kind: event }
    }""",
    """subscription ($filter: ConversationFilter, $after: String, $few: Int = 2) {
      conversationEvents(filter: $filter, after: $after) {
        ...E node { claim { holder { name } } lastHolder { name } } nodeId
      }
    }
    fragment E on ConversationEvent {
      node { id messages(last: $few) { totalCount nodes { text visibility author { name } } } category { name } }
    }""",
    """subscription ($filter: ConversationFilter, $after: String) {
      conversationEvents(filter: $filter, after: $after) {
        __typename
        node {
          contact { handle conversations(first: 5) { totalCount nodes { id state } } }
          previous { id } participants { nodes { kind person { name } } }
        }
      }
    }""",
)
"""The last looks beyond the conversation, to others of the same citizen that only their holders may see."""


@pytest.fixture(scope="module")
def whole() -> ApiSchema:
    return api_schema()


@pytest.fixture
async def street(runtime: Runtime, database: Database) -> Street:
    nothing_served: Any = None
    found = Street(nothing_served, runtime, await found_organization(database, name="Plein"), {})
    await found.prepare()
    return found


@pytest.fixture
async def crowd(street: Street, whole: ApiSchema) -> AsyncIterator[Audience]:
    async with audience(street, whole) as gathered:
        yield gathered


class Counting:
    """How often events were executed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.payloads = 0
        plain = SharedOperation.payload

        async def counted(operation: SharedOperation, *arguments: Any) -> str | None:
            self.payloads += 1
            return await plain(operation, *arguments)

        monkeypatch.setattr(SharedOperation, "payload", counted)


# What everybody is told.


async def test_together_everybody_is_told_the_bytes_that_they_would_be_told_alone(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Random acts before people of all roles, three of each, with four documents and filters."""
    record_property("figure", f"seed {SEED}")
    chance, stage = Random(SEED), Stage(street)
    await stage.prepare(chance)
    for role, department in WATCHERS:
        tokens = [await token_for(street, role, department, number) for number in range(1, PEOPLE + 1)]
        for document in chance.sample(DOCUMENTS, 2):
            wish = chance.choice([None, None, {"state": {"neq": "CLOSED"}}, {"holderId": {"isNull": True}}])
            for token in tokens:
                await crowd.add(token, document, filter=wish)
    counting, told = Counting(monkeypatch), Counter[str]()
    for number in range(ACTIONS_MAX):
        if number >= ACTIONS and told["left"]:
            break
        after = await street.now()
        await (stage.act(chance) if number % 5 else stage.reroute())
        await crowd.settled()
        for listener, together in zip(crowd.listeners, crowd.take(), strict=True):
            assert listener.seat.is_taken, f"seed {SEED}"
            alone = await listener.alone(Seat(Nobody(), into([])), after)
            assert together == alone, f"seed {SEED}: {listener.document} {listener.variables}"
            told["deliveries"] += len(together)
            told["left"] += sum("LEFT_VIEW" in each for each in together)
    assert told["left"]
    assert counting.payloads < told["deliveries"]
    record_property("figure", f"seed {SEED}: {told['deliveries']} deliveries equal, {counting.payloads} executions")


async def test_people_of_equal_rights_cost_one_execution(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        if number:
            await hire(street.database, street.organization, Role.COORDINATOR)
        await crowd.add(await token_for(street, Role.COORDINATOR, None, number + 1), EVENTS)
    counting = Counting(monkeypatch)
    conversation = await street.open("ROADS")
    await street.say(conversation)
    await crowd.settled()
    told = crowd.take()
    assert len(told[0]) == 3
    assert all(each == told[0] for each in told)
    assert counting.payloads == 3
    assert told[0][0] is told[11][0]  # the very same text


async def test_people_of_equal_rights_who_see_different_things_are_told_different_things(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All see the conversation, and one of them another of the same citizen, because they hold it."""
    members = [street.organization.members[Role.OPERATOR]]
    members += [await hire(street.database, street.organization, Role.OPERATOR) for _ in range(4)]
    seen, held = await street.open("ROADS"), await street.open("PEOPLE")
    async with street.database.unit_of_work(street.organization.system) as uow:
        rows = {row.id: row for row in await uow.scalars(owned(Conversation))}
        rows[held].contact_id, rows[held].holder_id = rows[seen].contact_id, members[2]
        rows[held].lease_until = uow.now + timedelta(hours=1)
    for number in range(1, 6):
        await crowd.add(await token_for(street, Role.OPERATOR, "ROADS", number), DOCUMENTS[3])
    counting = Counting(monkeypatch)
    await street.say(seen)
    await crowd.settled()
    counts = [orjson.loads(each)["data"]["conversationEvents"]["node"]["contact"]["conversations"]["totalCount"]
              for [each] in crowd.take()]  # fmt: skip
    assert sorted(counts) == [1, 1, 1, 1, 2]
    assert counting.payloads < 2 * 5


async def test_an_event_nobody_may_see_is_executed_for_nobody(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crowd.add(await token_for(street, Role.OPERATOR, "ROADS", 1), EVENTS)
    counting = Counting(monkeypatch)
    await street.open("PEOPLE")
    await crowd.settled()
    assert (crowd.take(), counting.payloads) == ([[]], 0)


async def test_rights_are_asked_for_everybody_in_one_statement_before_each_event(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role, department in WATCHERS:
        await crowd.add(await token_for(street, role, department, 1), EVENTS)
    conversation = await street.open("ROADS")
    await crowd.settled()
    texts = list[str]()

    def noting(run: Any) -> Any:
        return lambda reads, text, values: texts.append(text) or run(reads, text, values)

    monkeypatch.setattr(Reads, "value", noting(Reads.value))
    monkeypatch.setattr(Reads, "row_unbound", noting(Reads.row_unbound))
    await street.say(conversation)
    await street.say(conversation)
    await crowd.settled()
    assert sum("local_token" in each for each in texts) == 2
    assert sum("jsonb_to_recordset" in each for each in texts) == 2


# Who does not stay.


async def test_whose_rights_end_is_sent_away_before_the_next_event(crowd: Audience, street: Street) -> None:
    staying = await crowd.add(await token_for(street, Role.COORDINATOR, None, 1), EVENTS)
    going = await crowd.add(await token_for(street, Role.OPERATOR, "ROADS", 1), EVENTS)
    conversation = await street.open("ROADS")
    await crowd.settled()
    crowd.take()
    async with street.database.unit_of_work(street.organization.system) as uow:
        await uow.write(
            delete(LocalToken).where(
                col(LocalToken.tenant_id) == street.organization.id, col(LocalToken.role) == Role.OPERATOR
            )
        )
    await street.say(conversation)
    await crowd.settled()
    assert (staying.seat.is_taken, going.seat.is_taken) == (True, False)
    assert [len(each) for each in crowd.take()] == [1, 0]


async def test_a_slow_reader_goes_on_alone_and_misses_nothing(crowd: Audience, street: Street) -> None:
    """A socket that is full takes the rest of what was begun later, and nothing else in between."""
    conversation, token, room = (
        await street.open("ROADS"),
        await token_for(street, Role.COORDINATOR, None, 1),
        asyncio.Event(),
    )
    slow, quick = await crowd.add(token, EVENTS), await crowd.add(token, EVENTS)

    async def send(payload: str) -> None:
        await room.wait()
        slow.told.append(payload)

    slow.seat._send = send
    sitting = asyncio.create_task(slow.seat.sit())
    for _ in range(4):
        await street.say(conversation)
        await crowd.settled()
    assert len(quick.told) == 4
    assert (slow.told, slow.seat.is_taken, sitting.done()) == ([], False, False)
    room.set()
    await sitting
    assert slow.told == quick.told[:1]
    slow.told += await slow.alone(slow.seat)  # where it left off, until it sits again
    assert slow.told == quick.told
    assert slow.seat.is_taken


async def test_a_socket_that_closes_while_it_is_full_ends_its_task(crowd: Audience, street: Street) -> None:
    one = await crowd.add(await token_for(street, Role.COORDINATOR, None, 1), EVENTS)

    async def send(_: str) -> None:
        await asyncio.Event().wait()

    one.seat._send = send
    sitting = asyncio.create_task(one.seat.sit())
    await street.open("ROADS")
    await crowd.settled()
    await asyncio.sleep(0)
    assert not sitting.done()
    sitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sitting


async def test_a_socket_that_is_gone_costs_the_others_nothing(crowd: Audience, street: Street) -> None:
    token = await token_for(street, Role.COORDINATOR, None, 1)
    gone, there = await crowd.add(token, EVENTS), await crowd.add(token, EVENTS)

    async def send(_: str) -> None:
        raise WebSocketDisconnected

    gone.seat._send = send
    await street.open("ROADS")
    await crowd.settled()
    assert (gone.seat.is_taken, len(there.told)) == (False, 2)
    await gone.seat.sit()


async def test_what_cannot_be_answered_for_many_is_answered_for_each(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await crowd.add(await token_for(street, Role.COORDINATOR, None, 1), EVENTS)

    async def broken(*_: Any) -> Any:
        raise ArithmeticError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(sharing, "execute", broken)
        await street.open("ROADS")
        await crowd.settled()
    assert not listener.seat.is_taken
    assert len(await listener.alone(listener.seat)) == 2


async def test_a_database_that_is_gone_for_a_while_costs_no_event(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding.streams, "POLL_SECONDS", 0.05)
    listener = await crowd.add(await token_for(street, Role.COORDINATOR, None, 1), EVENTS)
    plain, failures = Operations.answer, [1, 1, 1]

    async def failing(*arguments: Any) -> Any:
        if failures and failures.pop():
            raise ServiceUnavailable
        return await plain(*arguments)

    monkeypatch.setattr(Operations, "answer", failing)
    conversation = await street.open("ROADS")
    await street.say(conversation)
    await crowd.settled()
    assert listener.seat.is_taken
    assert [each.count("MESSAGE_RECEIVED") for each in listener.told] == [0, 0, 1]


async def test_who_sits_down_while_an_event_is_told_has_it_once(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who is late may neither miss the event that is on its way nor have it twice."""
    first = await crowd.add(await token_for(street, Role.COORDINATOR, None, 1), EVENTS)
    conversation, gate, begun = await street.open("ROADS"), asyncio.Event(), asyncio.Event()
    await crowd.settled()
    plain = SharedOperation.payload

    async def held(operation: SharedOperation, *arguments: Any) -> str | None:
        begun.set()
        await gate.wait()
        return await plain(operation, *arguments)

    monkeypatch.setattr(SharedOperation, "payload", held)
    before = await street.now()
    await street.say(conversation)
    crowd.feeds.rings.wake(street.organization.id)
    await begun.wait()
    late = []
    for _ in range(2):
        told: list[str] = []
        late.append(
            Listener(crowd.schema, street.runtime, first.token, EVENTS, {}, Seat(crowd.feeds, into(told)), told)
        )
    alone = [await late[0].alone(late[0].seat, before), await late[1].alone(late[1].seat, await street.now())]
    gate.set()
    assert [len(each) for each in alone] == [1, 0]
    await street.say(conversation)
    await crowd.settled()
    crowd.listeners += late
    await crowd.settled()
    assert [len(each.told) for each in late] == [1, 1]
    assert first.told[-1:] == late[0].told == late[1].told


async def test_who_left_or_sat_down_again_while_an_event_was_made_is_not_told_twice(
    crowd: Audience, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await token_for(street, Role.COORDINATOR, None, 1)
    staying, leaving, returning = [await crowd.add(token, EVENTS) for _ in range(3)]
    conversation, plain = await street.open("ROADS"), SharedOperation.payload
    await crowd.settled()
    crowd.take()
    alone = list[str]()

    async def slowly(operation: SharedOperation, *arguments: Any) -> str | None:
        found = await plain(operation, *arguments)
        if not alone:
            leaving.seat.leave()
            returning.seat.leave()
            alone.extend(await returning.alone(returning.seat))
        return found

    monkeypatch.setattr(SharedOperation, "payload", slowly)
    await street.say(conversation)
    await crowd.settled()
    assert (len(alone), returning.seat.is_taken) == (1, True)
    assert [len(each.told) for each in (staying, leaving, returning)] == [1, 0, 0]


async def test_a_feed_ends_with_its_last_listener_and_another_begins(crowd: Audience, street: Street) -> None:
    token = await token_for(street, Role.COORDINATOR, None, 1)
    one = await crowd.add(token, EVENTS)
    one.seat.leave()
    one.seat.leave()  # again does nothing
    crowd.feeds.rings.wake(street.organization.id)
    async with asyncio.timeout(10):
        while crowd.feeds._feeds:
            await asyncio.sleep(0.005)
    assert crowd.feeds._seated == {}
    two = await crowd.add(token, EVENTS)
    await street.open("ROADS")
    await crowd.settled()
    assert len(two.told) == 2
