# SPDX-License-Identifier: EUPL-1.2
"""The relay: shares its work without doing it twice, serves every organization, and can read two tables only."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio as redis
import structlog
from sqlalchemy import TextClause

from services.kernel import dispatch, identifiers, jobs
from services.kernel.access import Actor
from services.kernel.dispatch import ROWS_PER_TURN, Dispatcher
from tests.support.database import connection_as
from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import Stage, open_stage, valkey_answers
from workers import relay as relay_module
from workers.deliver import FACT
from workers.queue import Lane
from workers.relay import Relay
from workers.subscriptions import HEARD, JOBS

pytestmark = pytest.mark.xdist_group("relay")  # one installation, one process

KIND = "test.kind"
MINE = frozenset({"outbox", "job"})


@pytest.fixture(scope="module")
async def stage(servers: Servers) -> AsyncIterator[Stage]:
    async with open_stage(servers) as opened:
        yield opened


@pytest.fixture
async def dispatcher(stage: Stage) -> AsyncIterator[Dispatcher]:
    await stage.evidence.rows("delete from belfry.job")
    await stage.evidence.rows("delete from belfry.outbox")
    opened = Dispatcher(stage.urls["belfry_relay"])
    yield opened
    await opened.close()


async def plant_jobs(stage: Stage, number: int, tenant_id: UUID | None = None) -> UUID:
    """As many due jobs of one organization, which need not exist for them."""
    tenant_id = tenant_id or identifiers.new()
    async with stage.runtime.database.unit_of_work(Actor.system(tenant_id)) as uow:
        for _ in range(number):
            await jobs.schedule(uow, KIND, identifiers.new())
    return tenant_id


async def plant_facts(stage: Stage, number: int, kind: str, tenant_id: UUID | None = None) -> UUID:
    """As many facts of one organization, as its units of work would have recorded them."""
    tenant_id = tenant_id or identifiers.new()
    sql = """
        insert into belfry.outbox (tenant_id, id, seq, kind, subject_id, body, occurred_at, due_at, state, attempts)
        select $1, uuidv7(), n, $2, uuidv7(), '{}', now(), now(), 'WAITING', 0 from generate_series(1, $3::int) n
    """
    await stage.evidence.rows(sql, tenant_id, kind, number)
    return tenant_id


async def test_two_relays_share_the_work_and_give_each_row_once(stage: Stage, dispatcher: Dispatcher) -> None:
    tenant_id = await plant_jobs(stage, 180)
    await plant_facts(stage, 180, HEARD[0], tenant_id)
    other = Dispatcher(stage.urls["belfry_relay"])
    taken: list[UUID] = []

    async def take(one: Dispatcher) -> None:
        for _ in range(10):
            due = await one.claim(tenant_id, heard=HEARD)
            taken.extend([*due.facts, *(job_id for job_id, _ in due.jobs)])

    await asyncio.gather(take(dispatcher), take(other))
    await other.close()
    assert len(taken) == len(set(taken)) == 360


async def test_a_row_that_was_rung_is_rung_again_when_nobody_came_for_a_while(
    stage: Stage, dispatcher: Dispatcher
) -> None:
    tenant_id = await plant_jobs(stage, 1)
    await plant_facts(stage, 1, HEARD[0], tenant_id)
    first = await dispatcher.claim(tenant_id, heard=HEARD)
    assert (len(first.facts), len(first.jobs)) == (1, 1)
    assert await dispatcher.due_organizations() == []
    passed = timedelta(seconds=16)
    await stage.evidence.rows("update belfry.outbox set lease_until = lease_until - $1::interval", passed)
    await stage.evidence.rows("update belfry.job set rung_until = rung_until - $1::interval", passed)
    again = await dispatcher.claim(tenant_id, heard=HEARD)
    assert (again.facts, again.jobs) == (first.facts, first.jobs)


async def test_what_a_worker_holds_or_what_is_not_due_or_dead_is_not_rung(stage: Stage, dispatcher: Dispatcher) -> None:
    tenant_id = await plant_jobs(stage, 4)
    ids = [row["id"] for row in await stage.evidence.rows("select id from belfry.job order by id")]
    for job_id, change in zip(
        ids,
        ("lease_until = now() + interval '5 s'", "due_at = now() + interval '5 s'", "state = 'DEAD'"),
        strict=False,
    ):
        await stage.evidence.rows(f"update belfry.job set {change} where id = $1", job_id)
    assert [job_id for job_id, _ in (await dispatcher.claim(tenant_id, heard=HEARD)).jobs] == [ids[3]]


async def test_a_loud_organization_does_not_hold_up_a_quiet_one(stage: Stage, dispatcher: Dispatcher) -> None:
    loud = await plant_jobs(stage, ROWS_PER_TURN * 4)
    quiet = await plant_jobs(stage, 3)
    turn = {
        tenant_id: await dispatcher.claim(tenant_id, heard=HEARD) for tenant_id in await dispatcher.due_organizations()
    }
    assert len(turn[loud].jobs) == ROWS_PER_TURN
    assert turn[loud].is_full
    assert len(turn[quiet].jobs) == 3
    assert not turn[quiet].is_full
    # The sweep goes on in turns until nobody is full: the quiet one was served in the first.
    assert await rung_by_a_sweep(stage, dispatcher) == ROWS_PER_TURN * 3


@pytest.mark.parametrize("claim", [dispatch.CLAIM_FACTS, dispatch.CLAIM_JOBS])
def test_how_much_a_turn_takes_does_not_depend_on_the_plan(claim: TextClause) -> None:
    """As `id in (select … limit …)` a turn took everything, when statistics made the planner run it for each row."""
    due, _, act = claim.text.partition("update belfry.")
    assert re.match(r"\s*with due as materialized \(.* limit :rows for update skip locked\)\s*$", due, re.DOTALL)
    assert "select" not in act


async def rung_by_a_sweep(stage: Stage, dispatcher: Dispatcher) -> int:
    return await Relay(dispatcher, stage.valkey.url).sweep()


async def test_a_fact_that_nobody_listens_to_is_done_when_the_relay_sees_it(
    stage: Stage, dispatcher: Dispatcher
) -> None:
    tenant_id = await plant_facts(stage, 7, "nobody.listens")
    due = await dispatcher.claim(tenant_id, heard=HEARD)
    assert due.facts == []
    states = await stage.evidence.rows("select distinct state from belfry.outbox where tenant_id = $1", tenant_id)
    assert [row["state"] for row in states] == ["DELIVERED"]


async def test_rings_carry_ids_only_and_go_to_their_lane(stage: Stage, dispatcher: Dispatcher) -> None:
    client = redis.Redis.from_url(stage.valkey.url)
    await client.flushall()
    tenant_id = identifiers.new()
    async with stage.runtime.database.unit_of_work(Actor.system(tenant_id)) as uow:
        for kind in JOBS:
            await jobs.schedule(uow, kind, identifiers.new())
    await plant_facts(stage, 2, HEARD[0], tenant_id)
    assert await rung_by_a_sweep(stage, dispatcher) == len(JOBS) + 2
    lanes = {lane: await client.zcard(f"belfry:{lane}") for lane in Lane}
    assert lanes[Lane.LONG] == sum(1 for work in JOBS.values() if work.lane is Lane.LONG)
    assert lanes[Lane.SHORT] == len(JOBS) + 2 - lanes[Lane.LONG] - lanes[Lane.OUTWARD]
    bodies = [await client.get(key) for key in await client.keys("arq:job:*")]
    for body in bodies:
        words = body.decode()
        assert any(f'"{kind}"' in words for kind in (*JOBS, FACT))
        assert str(tenant_id) in words
        assert len(words) < 400
    await client.flushall()
    await client.aclose()


async def test_a_sweep_without_valkey_loses_nothing(stage: Stage, dispatcher: Dispatcher) -> None:
    await plant_jobs(stage, 5)
    stage.valkey.kill()
    with pytest.raises((OSError, redis.RedisError)):
        await rung_by_a_sweep(stage, dispatcher)
    stage.valkey.start()
    await valkey_answers(stage.valkey)
    assert await rung_by_a_sweep(stage, dispatcher) == 5


async def test_a_valkey_that_hangs_does_not_keep_the_relay_from_sweeping_again(
    stage: Stage, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS_MAX", 0.3)
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 0.1)
    with structlog.testing.capture_logs() as told:
        stage.valkey.pause()
        running = asyncio.create_task(Relay(dispatcher, stage.valkey.url).run())
        try:

            async def tried_twice() -> bool:
                return [each["error"] for each in told if each["event"] == "sweep_failed"][:2] == ["TimeoutError"] * 2

            await until(tried_twice, "two sweeps were given up", seconds=10)
            stage.valkey.go_on()
            tenant_id = await plant_jobs(stage, 1)

            async def rung() -> bool:
                sql = "select rung_until is not null from belfry.job where tenant_id = $1"
                return bool(await stage.evidence.one(sql, tenant_id))

            await until(rung, "the job is rung")
        finally:
            stage.valkey.go_on()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_relay_wakes_at_once_when_a_commit_rings(stage: Stage, dispatcher: Dispatcher) -> None:
    relay = Relay(dispatcher, stage.valkey.url)
    running = asyncio.create_task(relay.run())
    try:
        await until(lambda: heartbeat(stage), "the relay has swept")
        for _ in range(3):  # a sweep comes by itself every five seconds only
            tenant_id = await plant_jobs(stage, 1)

            async def rung(tenant_id: UUID = tenant_id) -> bool:
                sql = "select rung_until is not null from belfry.job where tenant_id = $1"
                return bool(await stage.evidence.one(sql, tenant_id))

            await until(rung, "the job is rung", seconds=3.0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def heartbeat(stage: Stage) -> bool:
    client = redis.Redis.from_url(stage.valkey.url)
    keys = await client.keys("belfry:health:relay:*")
    await client.aclose()
    return bool(keys)


async def test_the_relay_s_role_reads_the_outbox_and_the_jobs_and_nothing_else(
    stage: Stage, unwatched_statements: None
) -> None:
    tables = "select relname from pg_class where relnamespace = 'belfry'::regnamespace and relkind in ('r', 'p', 'v')"
    names = {row["relname"] for row in await stage.evidence.rows(tables)}
    assert names > MINE
    async with connection_as(stage.urls, "belfry_relay") as connection:
        for name in sorted(names):
            if name in MINE:
                await connection.fetchval(f"select count(*) from belfry.{name}")
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetchval(f"select 1 from belfry.{name} limit 1")
        for statement in (
            "insert into belfry.outbox (tenant_id, seq, kind, subject_id, body, occurred_at, due_at)"
            " values (uuidv7(), 1, 'x', uuidv7(), '{}', now(), now())",
            "insert into belfry.job (tenant_id, kind, subject_id, due_at) values (uuidv7(), 'x', uuidv7(), now())",
            "truncate belfry.outbox",
            "create table belfry.mine (id int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_delivered_facts_are_forgotten_after_two_days_and_no_others(stage: Stage, dispatcher: Dispatcher) -> None:
    tenant_id = await plant_facts(stage, 6, HEARD[0])
    changes = {1: "DELIVERED", 2: "DELIVERED", 3: "WAITING", 4: "DEAD"}
    for seq, state in changes.items():
        age = timedelta(hours=49) if seq != 2 else timedelta(hours=47)
        sql = (
            "update belfry.outbox set state = $2, occurred_at = now() - $3::interval where tenant_id = $1 and seq = $4"
        )
        await stage.evidence.rows(sql, tenant_id, state, age, seq)
    await dispatcher.forget()
    left = await stage.evidence.rows("select seq from belfry.outbox where tenant_id = $1 order by seq", tenant_id)
    assert [row["seq"] for row in left] == [2, 3, 4, 5, 6]
