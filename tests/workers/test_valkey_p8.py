# SPDX-License-Identifier: EUPL-1.2
"""P8: Valkey may vanish. Emptied at random moments, killed and started again empty, away for a while, all under load.

Citizens send the contact form and colleagues answer all the time. Whatever was acknowledged is in afterwards, once, and
every accepted answer is published, once; the test plays the supervisor and starts again whoever ended.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
import redis.asyncio as redis
from redis.exceptions import RedisError

from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import Stage, open_stage, valkey_answers
from tests.workers.towns import Town

pytestmark = pytest.mark.xdist_group("valkey")  # one installation, one process

SEED = 20_261_122
SUBMISSIONS = 60
COLLEAGUES = 9
AT_ONCE = 3
"""How many colleagues write at the same time."""
FLUSHES = 6
AWAY_SECONDS = 4.0
RESUMED_SECONDS_MAX = 60.0
FINISHED_SECONDS_MAX = 120.0
WAITING = """
    select (select count(*) from belfry.raw_event where state = 'WAITING')
         + (select count(*) from belfry.outbox where state = 'WAITING' and kind = any($1))
         + (select count(*) from belfry.delivery where state <> 'PUBLISHED')
"""
HEARD = ["delivery.published", "delivery.failed", "conversation.segment_ended", "conversation.closed"]


@dataclass
class Load:
    """What the outside was told: the ledger that the rows are compared with."""

    acknowledged: list[str] = field(default_factory=list[str])
    accepted: list[UUID] = field(default_factory=list[UUID])
    while_away: int = 0
    is_away: bool = False


@pytest.fixture(scope="module")
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    async with open_stage(servers) as opened:
        opened.crew.start("all", "relay")
        yield opened


async def citizens(town: Town, load: Load, chance: random.Random) -> None:
    for number in range(SUBMISSIONS):
        submission = await town.submit(f"Vraag {number}")
        load.acknowledged.append(submission)
        load.while_away += load.is_away
        await asyncio.sleep(chance.uniform(0.05, 0.25))


async def colleagues(stage: Stage, town: Town, load: Load) -> None:
    """Answer every conversation as it comes in, until told to stop."""
    fresh = """
        select c.id from belfry.conversation c
        where c.tenant_id = $1 and not exists (select 1 from belfry.reply r where r.conversation_id = c.id) limit 20
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def answer(conversation_id: UUID, number: int) -> None:
        async with places:
            by = town.colleagues[number % COLLEAGUES]
            load.accepted.append(await town.answer_patiently(conversation_id, f"Antwoord {number}", by=by))

    while True:
        found = await stage.evidence.rows(fresh, town.id)
        await asyncio.gather(*(answer(row["id"], len(load.accepted) + each) for each, row in enumerate(found)))
        await asyncio.sleep(0.1)


async def misfortune(stage: Stage, load: Load, chance: random.Random) -> None:
    """Everything that can happen to Valkey; it is back at the end."""
    client = redis.Redis.from_url(stage.valkey.url)
    for _ in range(FLUSHES):
        await asyncio.sleep(chance.uniform(0.1, 1.2))
        await client.flushall()
    for away in (0.0, AWAY_SECONDS):
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        stage.valkey.kill()
        load.is_away = away > 0
        await asyncio.sleep(away)
        stage.valkey.start()
        await valkey_answers(stage.valkey)
        load.is_away = False
    await client.aclose()


async def taken_in(stage: Stage, town: Town, submissions: list[str]) -> bool:
    sql = "select count(*) from belfry.message where tenant_id = $1 and external_id = any($2)"
    return await stage.evidence.one(sql, town.id, submissions) == len(submissions)


async def everything_is_done(stage: Stage, load: Load) -> bool:
    return len(load.accepted) == len(load.acknowledged) and await stage.evidence.one(WAITING, HEARD) == 0


async def test_p8_valkey_vanishes_in_every_way_and_nothing_is_lost(stage: Stage, tell: Callable[[str], None]) -> None:
    chance, load = random.Random(SEED), Load()
    town = await stage.town_with_form()
    await town.hire(COLLEAGUES)
    load.acknowledged.append(await town.submit("De eerste vraag"))
    await until(lambda: taken_in(stage, town, load.acknowledged), "the worker is at work")
    async with asyncio.TaskGroup() as tasks:
        helpers = [tasks.create_task(stage.crew.tend_forever()), tasks.create_task(colleagues(stage, town, load))]
        writing = tasks.create_task(citizens(town, load, chance))
        await misfortune(stage, load, chance)
        back_at, before = time.monotonic(), load.acknowledged.copy()
        await until(lambda: taken_in(stage, town, before), "work is resumed", seconds=RESUMED_SECONDS_MAX)
        resumed = time.monotonic() - back_at
        await writing
        await until(lambda: everything_is_done(stage, load), "everything is finished", seconds=FINISHED_SECONDS_MAX)
        for task in helpers:
            task.cancel()
    await nothing_is_lost_and_nothing_is_double(stage, town, load)
    assert load.while_away > 0, "submissions are acknowledged while Valkey is away"
    tell(
        f"seed {SEED}: {len(load.acknowledged)} submissions, {len(load.accepted)} answers, {FLUSHES} FLUSHALL, 2 kills:"
        f" 0 lost, 0 double; {load.while_away} acknowledged while away; resumed {resumed:.1f} s after the return"
    )


async def nothing_is_lost_and_nothing_is_double(stage: Stage, town: Town, load: Load) -> None:
    messages = "select external_id from belfry.message where tenant_id = $1 and direction = 'INBOUND'"
    taken_in = [row["external_id"] for row in await stage.evidence.rows(messages, town.id)]
    assert sorted(taken_in) == sorted(load.acknowledged)
    states = "select state from belfry.delivery where tenant_id = $1"
    assert [row["state"] for row in await stage.evidence.rows(states, town.id)] == ["PUBLISHED"] * len(load.accepted)
    for kind in ("conversation.opened", "conversation.message_received"):
        assert await stage.evidence.facts(town.id, kind) == len(load.acknowledged)
    for kind in ("delivery.published", "conversation.reply_published", "conversation.claim_completed"):
        assert await stage.evidence.facts(town.id, kind) == len(load.accepted)
    held = "select count(*) from belfry.claim where tenant_id = $1 and state <> 'COMPLETED'"
    assert await stage.evidence.one(held, town.id) == 0
    dead = "select count(*) from belfry.outbox where state = 'DEAD'"
    assert await stage.evidence.one(dead) == 0


async def test_p8_a_valkey_that_hangs_holds_up_nobody_who_writes(stage: Stage) -> None:
    """A server that takes connections and says nothing: every commit goes through, and the work is done afterwards."""
    town = await stage.town_with_form()
    stage.valkey.pause()
    try:
        submissions = [await town.submit(f"Vraag {number}") for number in range(5)]
        received = "select count(*) from belfry.raw_event where tenant_id = $1"
        assert await stage.evidence.one(received, town.id) == 5
    finally:
        stage.valkey.go_on()
    tending = asyncio.create_task(stage.crew.tend_forever())
    await until(lambda: taken_in(stage, town, submissions), "they are taken in", seconds=RESUMED_SECONDS_MAX)
    tending.cancel()


async def test_p8_an_empty_valkey_is_all_that_is_needed(stage: Stage) -> None:
    """Nothing that Belfry keeps there may be needed: the keys are rings and heartbeats, and they expire."""
    client = redis.Redis.from_url(stage.valkey.url)
    try:
        kinds = {key.decode().split(":")[1] for key in await client.keys("*") if key.startswith(b"belfry:")}
    except RedisError as error:
        raise AssertionError("Valkey is back") from error
    finally:
        await client.aclose()
    assert kinds <= {"short", "long", "health"}
