# SPDX-License-Identifier: EUPL-1.2
"""A client that is cut off again and again while much happens has all of it in the end: at least once, in order."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random, SystemRandom
from typing import Any

import pytest
from sqlmodel import col, select

from graphql_schema.live import stream as streaming
from services.conversations.events import MessageReceived
from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.outbox import OutboxEntry
from tests.graphql_schema.street import EVENTS, Street, event, stream_of

SEED = int(os.environ.get("BELFRY_SEED") or SystemRandom().randrange(1 << 30))
CUTS = 50
AT_ONCE = 10
"""Facts of one transaction."""
AHEAD_MAX = streaming.BEHIND_MAX // 2
"""How far the writer may be ahead: who is further behind is sent away, and fetches the list again."""

Next = Callable[[], Any]


@asynccontextmanager
async def over_a_socket(street: Street, after: str) -> AsyncIterator[Next]:
    async with street.api.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.subscribe(EVENTS, after=after)
        yield lambda: event(socket)
        socket.connection.transport.abort()


@asynccontextmanager
async def over_events(street: Street, after: str) -> AsyncIterator[Next]:
    async with street.api.stream(street.token(Role.COORDINATOR), EVENTS, after=after) as stream:

        async def told() -> Any:
            _, data = await stream.event()
            return data["data"]["conversationEvents"]

        yield told


async def write(street: Street, number: int, seen: list[int]) -> list[int]:
    """Let so much happen, never too far ahead of the reader. Returns the numbers of the facts, as they stand."""
    conversation = await street.open("ROADS")
    for written in range(0, number, AT_ONCE):
        while written - len(seen) > AHEAD_MAX:
            await asyncio.sleep(0.01)
        async with street.database.unit_of_work(street.organization.system) as uow:
            for _ in range(AT_ONCE):
                uow.emit(MessageReceived(conversation_id=conversation, message_id=identifiers.new()))
    async with street.database.snapshot(street.organization.system) as snapshot:
        mine = col(OutboxEntry.tenant_id) == street.organization.id
        return sorted(await snapshot.scalars(select(col(OutboxEntry.seq)).where(mine)))


@pytest.mark.parametrize("transport", [over_a_socket, over_events])
@pytest.mark.parametrize("number", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_nothing_is_missed_and_nothing_comes_out_of_order(
    street: Street, transport: Any, number: int, tell: Callable[[str], None]
) -> None:
    chance, seen = Random(SEED), list[int]()
    begin = await street.now()
    cursor, cuts, told = begin, 0, stream_of(street)
    writing = asyncio.create_task(write(street, number, seen))

    def is_over() -> bool:
        return writing.done() and seen[-1:] == writing.result()[-1:]

    while not is_over():
        async with transport(street, cursor) as following:
            for _ in range(chance.randrange(1, number // CUTS) if cuts < CUTS else number):
                found = await following()
                assert found["event"] != "RESYNC", f"seed {SEED}"
                cursor = found["cursor"]
                seen.append(told.read_cursor(cursor))
                if is_over():
                    break
        cuts += 1
    assert seen == sorted(seen), f"seed {SEED}"
    assert sorted(set(seen)) == [each for each in writing.result() if each > told.read_cursor(begin)], f"seed {SEED}"
    assert cuts >= CUTS
    tell(f"{transport.__name__}, seed {SEED}: {len(set(seen)):,} events, {cuts} cuts, 0 missed, in order")
