# SPDX-License-Identifier: EUPL-1.2
"""P10: webhooks are delivered at least once, signed, and endpoints that misbehave cost the others nothing.

Real relay, real workers, real HTTP on loopback. First only the healthy endpoints are told, then all of them, at the
same rate; secrets rotate meanwhile.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from services.conversations.events import MessageReceived
from services.kernel import identifiers
from tests.support.processes import until
from tests.support.servers import Servers
from tests.support.webhook_receiver import Behavior, Place, Receiver, receiving
from tests.workers.hooks import READS, HookTown, hook_town
from tests.workers.stage import Stage, open_stage

pytestmark = pytest.mark.xdist_group("webhooks_p10")

SHARES = {Behavior.NEVER_ANSWERS: 0.20, Behavior.FAILS: 0.10, Behavior.THROTTLES: 0.05, Behavior.REDIRECTS: 0.05}
ROTATIONS = 5
WARM_UP = 3
"""Events until everything runs; they are not measured."""
EVENT = "conversation.message_received"
TOLD_WITHIN_SECONDS = 60.0


@dataclass(frozen=True)
class Size:
    """How large it is played; an event is told to every endpoint. The first `events_alone` only to healthy ones."""

    endpoints: int
    events: int
    events_alone: int
    deliveries_a_second: float


SMALL, WHOLE = Size(20, 8, 8, 30), Size(200, 500, 60, 60)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def stage(servers: Servers, receiver: Receiver) -> AsyncIterator[Stage]:
    async with open_stage(servers, also_allowed=frozenset({receiver.host})) as opened:
        yield opened


@pytest.mark.parametrize(
    "size", [pytest.param(SMALL, id="small"), pytest.param(WHOLE, id="whole", marks=pytest.mark.slow)]
)
async def test_p10_who_misbehaves_costs_the_others_nothing(
    stage: Stage, receiver: Receiver, size: Size, tell: Any
) -> None:
    town = await hook_town(stage, receiver)
    conversation_id, client_id = await town.street.open("ROADS"), await town.client(*READS)
    ill = [each for each, share in SHARES.items() for _ in range(round(size.endpoints * share))] + [Behavior.IS_GONE]
    healthy = [await endpoint(town, client_id, number, Behavior.TAKES) for number in range(size.endpoints - len(ill))]
    stage.crew.start("relay", "long", "outward")
    pause = size.endpoints / size.deliveries_a_second
    await say_and_measure(town, conversation_id, healthy, WARM_UP, pause)
    alone = await say_and_measure(town, conversation_id, healthy, size.events_alone, pause)
    others = [await endpoint(town, client_id, number, each) for number, each in enumerate(ill)]
    rotating = asyncio.create_task(rotate(town, healthy, size.events * pause / ROTATIONS))
    together = await say_and_measure(town, conversation_id, healthy, size.events, pause)
    await rotating
    throttled = [each for each in others if each[1].behavior is Behavior.THROTTLES]
    await all_taken([place for _, place in throttled], size.events)
    stage.crew.stop("relay", "long", "outward")
    # Nothing is lost: who took it has it, and of the others every message is in the log.
    logged = Counter(str(each["webhook_endpoint_id"]) for each in await rows(town))
    places = [place for _, place in healthy]
    for endpoint_id, place in (*healthy, *others):
        owed = WARM_UP + size.events_alone + size.events if place in places else size.events
        if place.behavior is not Behavior.IS_GONE:
            assert logged[str(endpoint_id)] == owed
    assert sum(len(place.taken) for place in places) == len(places) * (WARM_UP + size.events_alone + size.events)
    attempts = sum(len(place.attempts) for _, place in (*healthy, *others))
    unverified = sum(place.unverified for _, place in (*healthy, *others))
    tell(
        f"P10: {size.endpoints} endpoints, {len(ill)} of them ill; {sum(logged.values()):,} deliveries, 0 lost, "
        f"{attempts:,} attempts, {unverified} not verified, {sum(place.again for place in places)} taken twice; "
        f"healthy p95 {p95(alone):.2f} s alone, {p95(together):.2f} s among the others: "
        f"{p95(together) / p95(alone):.2f} times; {receiver.strays} redirects followed"
    )
    assert unverified == 0
    assert receiver.strays == 0
    gone = next(place for _, place in others if place.behavior is Behavior.IS_GONE)
    assert len(gone.attempts) == 1


async def endpoint(town: HookTown, client_id: UUID, number: int, behavior: Behavior) -> tuple[UUID, Place]:
    return await town.endpoint(f"{behavior}-{number}", client_id, behavior, EVENT)


async def say_and_measure(
    town: HookTown, conversation_id: UUID, healthy: list[tuple[UUID, Place]], events: int, pause: float
) -> list[float]:
    """Have so many things happen, and return for each message how long it took to be taken, in seconds."""
    places = [place for _, place in healthy]
    before = {place.url: len(place.taken) for place in places}
    happened: dict[str, datetime] = {}
    for _ in range(events):
        async with town.runtime.database.unit_of_work(town.organization.system) as uow:
            event_id = uow.emit(MessageReceived(conversation_id=conversation_id, message_id=identifiers.new()))
            happened[f"msg_{event_id.hex}"] = uow.now
        await asyncio.sleep(pause)
    await all_taken(places, before[places[0].url] + events)
    return [(place.taken[message].at - at).total_seconds() for message, at in happened.items() for place in places]


async def all_taken(places: list[Place], number: int) -> None:
    async def taken() -> bool:
        return all(len(place.taken) >= number for place in places)

    await until(taken, f"{len(places)} endpoints have taken {number} messages each", seconds=TOLD_WITHIN_SECONDS)


async def rotate(town: HookTown, healthy: list[tuple[UUID, Place]], every: float) -> None:
    """Endpoints get new secrets, one after another; their owners know both for a while."""
    for endpoint_id, place in healthy[:ROTATIONS]:
        await asyncio.sleep(every)
        await town.rotate(endpoint_id, place)


async def rows(town: HookTown) -> list[Any]:
    sql = "select webhook_endpoint_id, state from belfry.webhook_delivery where tenant_id = $1"
    return await town.stage.evidence.rows(sql, town.organization.id)


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[math.ceil(len(seconds) * 0.95) - 1]
