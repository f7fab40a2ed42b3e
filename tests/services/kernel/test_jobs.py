# SPDX-License-Identifier: EUPL-1.2
"""What is due later: never two leases alive, a lost lease finishes nothing, and no request to run is ever lost.

Time passes by moving the row: every instant of it goes back, which is what the database's clock would have done.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlmodel import col

from services.kernel import jobs
from services.kernel.access import Actor
from services.kernel.database import Database, UnitOfWork
from services.kernel.identifiers import new
from services.kernel.isolation import owned
from services.kernel.jobs import ATTEMPTS_MAX, BACKOFF_MAX, LEASE, Job, JobState, LeaseLost, Ticket
from tests.support.loops import LoopThread, loop_thread

KIND = "test"
WORKERS = 16
PASS = text(
    "UPDATE belfry.job SET due_at = due_at - cast(:passed as interval),"
    " again_at = again_at - cast(:passed as interval), lease_until = lease_until - cast(:passed as interval)"
    " WHERE tenant_id = :tenant"
)


@dataclass
class Bench:
    """One job of one organization, seen from outside."""

    database: Database
    actor: Actor = field(default_factory=lambda: Actor.system(new()))
    subject: UUID = field(default_factory=new)

    async def act(self, call: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
        async with self.database.unit_of_work(self.actor) as uow:
            return await call(uow)

    async def schedule(self, after: timedelta = timedelta(0)) -> None:
        await self.act(lambda uow: jobs.schedule(uow, KIND, self.subject, due_at=uow.now + after))

    async def row(self) -> Job | None:
        async with self.database.snapshot(self.actor) as snapshot:
            return await snapshot.one_or_none(owned(Job, col(Job.subject_id) == self.subject))

    async def lease(self) -> Ticket | None:
        row = await self.row()
        return None if row is None else await self.act(lambda uow: jobs.lease(uow, row.id))

    async def now(self) -> datetime:
        async with self.database.snapshot(self.actor) as snapshot:
            return snapshot.now

    async def pass_time(self, passed: timedelta) -> None:
        await self.act(lambda uow: uow.write(PASS, {"passed": passed, "tenant": self.actor.tenant_id}))


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


async def leased(bench: Bench) -> Ticket:
    ticket = await bench.lease()
    assert ticket is not None
    return ticket


async def test_a_job_that_is_due_is_given_to_one_of_many_workers(bench: Bench) -> None:
    await bench.schedule()
    tickets = await asyncio.gather(*(bench.lease() for _ in range(WORKERS)))
    held = [ticket for ticket in tickets if ticket is not None]
    assert len(held) == 1
    assert (held[0].attempts, held[0].fence, held[0].subject_id) == (1, 1, bench.subject)


async def test_a_job_that_is_not_due_yet_is_given_to_nobody(bench: Bench) -> None:
    await bench.schedule(timedelta(hours=1))
    assert await bench.lease() is None
    await bench.pass_time(timedelta(hours=1, seconds=1))
    assert await bench.lease() is not None


async def test_an_earlier_instant_beats_a_later_one_and_not_the_reverse(bench: Bench) -> None:
    await bench.schedule(timedelta(hours=1))
    await bench.schedule(timedelta(hours=2))
    row = await bench.row()
    assert row is not None
    assert row.due_at <= await bench.now() + timedelta(hours=1)
    await bench.schedule()
    assert await bench.lease() is not None


async def test_many_schedulers_at_once_make_one_row(bench: Bench) -> None:
    await asyncio.gather(*(bench.schedule() for _ in range(WORKERS)))
    async with bench.database.snapshot(bench.actor) as snapshot:
        assert len(await snapshot.scalars(owned(Job))) == 1


async def test_a_lease_that_ran_out_is_taken_over_and_its_old_holder_finishes_nothing(bench: Bench) -> None:
    await bench.schedule()
    old = await leased(bench)
    assert await bench.lease() is None
    await bench.pass_time(LEASE + timedelta(seconds=1))
    fresh = await leased(bench)
    assert fresh.fence == old.fence + 1
    chance = random.Random(1)
    for act in (
        lambda uow: jobs.finish(uow, old),
        lambda uow: jobs.renew(uow, old),
        lambda uow: jobs.fail(uow, old, "Late", chance),
        lambda uow: jobs.postpone(uow, old, due_at=uow.now),
    ):
        with pytest.raises(LeaseLost):
            await bench.act(act)
    await bench.act(lambda uow: jobs.finish(uow, fresh))
    assert await bench.row() is None


async def test_a_renewed_lease_lasts_longer(bench: Bench) -> None:
    await bench.schedule()
    ticket = await leased(bench)
    await bench.pass_time(LEASE - timedelta(seconds=2))
    await bench.act(lambda uow: jobs.renew(uow, ticket))
    await bench.pass_time(timedelta(seconds=10))
    assert await bench.lease() is None
    await bench.act(lambda uow: jobs.finish(uow, ticket))


async def test_scheduling_while_it_runs_makes_it_run_once_more(bench: Bench) -> None:
    await bench.schedule()
    first = await leased(bench)
    for _ in range(3):
        await bench.schedule()
    await bench.act(lambda uow: jobs.finish(uow, first))
    second = await leased(bench)
    assert second.attempts == 1, "a new run has all its attempts"
    await bench.act(lambda uow: jobs.finish(uow, second))
    assert await bench.row() is None


@pytest.mark.parametrize("ending", ["finish", "postpone", "fail"])
async def test_a_request_that_comes_between_two_statements_of_the_ending_is_not_lost(bench: Bench, ending: str) -> None:
    """The worker's transaction reads, somebody schedules and commits, the worker writes."""
    await bench.schedule()
    ticket = await leased(bench)
    chance = random.Random(1)
    endings: Mapping[str, Callable[[UnitOfWork], Awaitable[Any]]] = {
        "finish": lambda uow: jobs.finish(uow, ticket),
        "postpone": lambda uow: jobs.postpone(uow, ticket, due_at=uow.now + timedelta(days=1)),
        "fail": lambda uow: jobs.fail(uow, ticket, "Broken", chance),
    }
    asking: list[asyncio.Task[None]] = []
    async with bench.database.unit_of_work(bench.actor) as uow:
        write = uow.write

        async def write_and_let_somebody_ask(*arguments: Any, **options: Any) -> Any:
            result = await write(*arguments, **options)
            if not asking:  # after the first statement only: a later request would hide that this one was lost
                asking.append(asyncio.ensure_future(bench.schedule()))
                await asyncio.wait(asking, timeout=0.1)  # it may have to wait for our row lock
            return result

        uow.write = write_and_let_somebody_ask
        await endings[ending](uow)
    await asyncio.gather(*asking)
    await bench.pass_time(BACKOFF_MAX)
    assert await bench.lease() is not None


async def test_a_request_during_a_run_that_outlived_its_lease_is_not_lost(bench: Bench) -> None:
    """The worker was paused for longer than its lease, nobody took over, and it finishes after all."""
    await bench.schedule()
    slow = await leased(bench)
    await bench.pass_time(LEASE + timedelta(seconds=5))
    await bench.schedule()
    with contextlib.suppress(LeaseLost):  # then its effects were rolled back, and the job runs again
        await bench.act(lambda uow: jobs.finish(uow, slow))
    assert await bench.lease() is not None


async def test_a_request_during_the_last_attempt_survives_the_death_of_the_job(bench: Bench) -> None:
    await bench.schedule()
    chance = random.Random(1)
    dead = None
    for attempt in range(1, ATTEMPTS_MAX + 1):
        ticket = await leased(bench)
        assert ticket.attempts == attempt
        if attempt == ATTEMPTS_MAX:
            await bench.schedule()
        dead = await bench.act(lambda uow, held=ticket: jobs.fail(uow, held, "Broken", chance))
        await bench.pass_time(BACKOFF_MAX)
    assert dead is False
    assert (await leased(bench)).attempts == 1


async def test_a_job_dies_after_its_last_attempt_and_scheduling_revives_it(bench: Bench) -> None:
    await bench.schedule()
    chance = random.Random(1)
    waits: list[float] = []
    for attempt in range(1, ATTEMPTS_MAX + 1):
        ticket = await leased(bench)
        dead = await bench.act(lambda uow, held=ticket: jobs.fail(uow, held, "Broken", chance))
        assert dead is (attempt == ATTEMPTS_MAX)
        row = await bench.row()
        assert row is not None
        waits.append((row.due_at - await bench.now()).total_seconds())
        await bench.pass_time(BACKOFF_MAX)
    assert waits[0] <= jobs.BACKOFF_FIRST.total_seconds()
    assert max(waits) <= BACKOFF_MAX.total_seconds()
    row = await bench.row()
    assert row is not None
    assert (row.state, row.error, row.attempts) == (JobState.DEAD, "Broken", ATTEMPTS_MAX)
    assert await bench.lease() is None
    await bench.schedule()
    assert (await leased(bench)).attempts == 1


async def test_a_postponed_job_starts_anew_and_an_earlier_request_wins(bench: Bench) -> None:
    await bench.schedule()
    ticket = await leased(bench)
    await bench.schedule(timedelta(minutes=1))
    await bench.act(lambda uow: jobs.postpone(uow, ticket, due_at=uow.now + timedelta(hours=1)))
    assert await bench.lease() is None
    await bench.pass_time(timedelta(minutes=2))
    assert (await leased(bench)).attempts == 1


async def test_a_cancelled_job_is_gone_and_its_worker_finishes_nothing(bench: Bench) -> None:
    await bench.schedule()
    ticket = await leased(bench)
    await bench.act(lambda uow: jobs.cancel(uow, KIND, bench.subject))
    with pytest.raises(LeaseLost):
        await bench.act(lambda uow: jobs.finish(uow, ticket))
    assert await bench.row() is None


async def test_scheduling_rings_only_for_what_is_due_now(bench: Bench) -> None:
    async with bench.database.unit_of_work(bench.actor) as uow:
        await jobs.schedule(uow, KIND, bench.subject, due_at=uow.now + timedelta(hours=1))
        assert uow.rings is False
        await jobs.schedule(uow, KIND, bench.subject)
        assert uow.rings is True


class JobMachine(RuleBasedStateMachine):
    """Any order of asking, taking, renewing, ending, crashing and waiting. The oracle counts requests, not columns."""

    bench: Bench
    thread: LoopThread

    def __init__(self) -> None:
        super().__init__()
        type(self).bench = Bench(self.bench.database)
        self.clock = 0
        """Counts events."""
        self.asked: list[int] = []
        """When each request came that no successful run has answered yet."""
        self.tickets: list[tuple[Ticket, int]] = []
        """Every ticket that was ever given, with when."""
        self.time = timedelta(0)
        self.alive: dict[int, timedelta] = {}
        """Fence → until when its lease lasts."""
        self.chance = random.Random(7)

    def run(self, work: Any) -> Any:
        self.clock += 1
        return self.thread.run(work)

    @rule(minutes=st.sampled_from([0, 0, 0, 1, 30]))
    def ask(self, minutes: int) -> None:
        self.run(self.bench.schedule(timedelta(minutes=minutes)))
        self.asked.append(self.clock)

    @rule(seconds=st.sampled_from([3, 9, 20, 90, 2_000]))
    def wait(self, seconds: int) -> None:
        passed = timedelta(seconds=seconds)
        self.run(self.bench.pass_time(passed))
        self.time += passed

    @rule()
    def take(self) -> None:
        ticket = self.run(self.bench.lease())
        if ticket is not None:
            assert all(until < self.time + timedelta(seconds=1) for until in self.alive.values()), "two leases alive"
            assert all(ticket.fence > other.fence for other, _ in self.tickets if other.id == ticket.id)
            self.tickets.append((ticket, self.clock))
            self.alive[ticket.fence] = self.time + LEASE

    def end(self, data: st.DataObject, call: Callable[[UnitOfWork, Ticket], Awaitable[Any]]) -> tuple[bool, int, Any]:
        """(whether it was let, when the run began, the answer), for any ticket that was ever given."""
        ticket, began = data.draw(st.sampled_from(self.tickets), label="ticket")
        try:
            answer = self.run(self.bench.act(lambda uow: call(uow, ticket)))
        except LeaseLost:
            assert (ticket, began) != self.tickets[-1] or self.ended, "the newest holder was refused"
            return False, began, None
        assert (ticket, began) == self.tickets[-1], "an old holder was let"
        return True, began, answer

    @property
    def ended(self) -> bool:
        return self.tickets[-1][0].fence not in self.alive

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        let, _, _ = self.end(data, jobs.renew)
        if let:
            self.alive[self.tickets[-1][0].fence] = self.time + LEASE

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        let, began, _ = self.end(data, jobs.finish)
        if let:
            self.alive.pop(self.tickets[-1][0].fence)
            self.asked = [each for each in self.asked if each > began]

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        let, began, dead = self.end(data, lambda uow, ticket: jobs.fail(uow, ticket, "Planned", self.chance))
        if let:
            self.alive.pop(self.tickets[-1][0].fence)
            if dead:
                assert not any(each > began for each in self.asked), "a later request died with an earlier run"
                self.asked = []

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), minutes=st.sampled_from([1, 30]))
    def postpone(self, data: st.DataObject, minutes: int) -> None:
        later = timedelta(minutes=minutes)
        let, _, _ = self.end(data, lambda uow, ticket: jobs.postpone(uow, ticket, due_at=uow.now + later))
        if let:
            self.alive.pop(self.tickets[-1][0].fence)
            self.asked.append(self.clock)

    @invariant()
    def no_request_is_lost(self) -> None:
        row = self.thread.run(self.bench.row())
        if self.asked:
            assert row is not None, "a request is lost"
            assert row.state is JobState.WAITING


@pytest.mark.parametrize("examples", [25, pytest.param(1_000, marks=pytest.mark.slow)])
def test_jobs_keep_their_promises_in_any_order(database_urls: Mapping[str, str], examples: int) -> None:
    async def opened() -> Database:
        return Database(database_urls["belfry_app"], pool_size=2)

    with loop_thread() as thread:
        database = thread.run(opened())
        JobMachine.bench, JobMachine.thread = Bench(database), thread
        try:
            run_state_machine_as_test(
                JobMachine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=25,
                ),
            )
        finally:
            thread.run(database.close())
