# SPDX-License-Identifier: EUPL-1.2
"""P3: nothing leaks through the pool. 50 organizations share 4 connections; transactions end in every possible way.

Every statement here leaves out the organization on purpose, so that only the setting of the transaction decides what it
sees. Wrong is: a row of somebody else, a missing own row, a change that was rolled back and stayed, or the reverse.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, update

from services.kernel.access import Actor
from services.kernel.database import Database, UnitOfWork
from services.kernel.errors import ServiceUnavailable
from services.kernel.identifiers import new
from services.kernel.inbox import InboxEntry

ORGANIZATIONS = 50
POOL_SIZE = 4
TRANSACTIONS = 10_000
TASKS = 6
NESTED_AT_ONCE_MAX = 3  # One connection stays free, or those that wait for a second one would wait for each other.
ROWS_EACH = 3
SEEDS = (20261122, 20261123)
"""Two runs of 10,000, so that two processes can share them."""

pytestmark = pytest.mark.usefixtures("unwatched_statements")


class Planned(Exception):
    """A failure that the experiment causes."""


@dataclass
class Ledger:
    """What is known about one organization, outside of the database."""

    actor: Actor
    changed: int = 0
    unknown: int = 0


@dataclass
class Experiment:
    database: Database
    ledgers: list[Ledger]
    chance: random.Random
    nesting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(NESTED_AT_ONCE_MAX))
    counts: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])

    def check(self, what: str, found: list[UUID], ledger: Ledger) -> None:
        if found != [ledger.actor.tenant_id] * ROWS_EACH:
            self.wrong.append(f"{what}: {len(found)} rows, own {found.count(ledger.actor.tenant_id)}")

    async def one(self) -> None:
        ledger = self.chance.choice(self.ledgers)
        act = self.chance.choice(ACTS)
        self.counts[act.__name__] += 1
        await act(self, ledger)


OWN_ROWS = select(col(InboxEntry.tenant_id))
CHANGE = update(InboxEntry).values(handler=InboxEntry.handler + "+").returning(col(InboxEntry.tenant_id))


async def look(experiment: Experiment, ledger: Ledger) -> None:
    async with experiment.database.snapshot(ledger.actor) as snapshot:
        experiment.check("snapshot", await snapshot.scalars(OWN_ROWS), ledger)


async def change(uow: UnitOfWork, experiment: Experiment, ledger: Ledger) -> None:
    experiment.check("change", list((await uow.write(CHANGE)).scalars()), ledger)


async def commit(experiment: Experiment, ledger: Ledger) -> None:
    async with experiment.database.unit_of_work(ledger.actor) as uow:
        await change(uow, experiment, ledger)
    ledger.changed += 1


async def fail(experiment: Experiment, ledger: Ledger) -> None:
    with pytest.raises(Planned):
        async with experiment.database.unit_of_work(ledger.actor) as uow:
            await change(uow, experiment, ledger)
            raise Planned


async def break_statement(experiment: Experiment, ledger: Ledger) -> None:
    with pytest.raises(DBAPIError):
        async with experiment.database.unit_of_work(ledger.actor) as uow:
            await change(uow, experiment, ledger)
            await uow.rows(text("SELECT 1 / 0"))


async def run_out_of_time(experiment: Experiment, ledger: Ledger) -> None:
    with pytest.raises(ServiceUnavailable):
        async with experiment.database.unit_of_work(ledger.actor) as uow:
            await change(uow, experiment, ledger)
            await uow.write(text("SET LOCAL statement_timeout = '1ms'"))
            await uow.rows(text("SELECT pg_sleep(1)"))


async def cancel(experiment: Experiment, ledger: Ledger) -> None:
    """The client goes away at any point: before BEGIN, inside a statement, during COMMIT."""

    async def work() -> None:
        async with experiment.database.unit_of_work(ledger.actor) as uow:
            await change(uow, experiment, ledger)
            await uow.rows(text("SELECT pg_sleep(0.002)"))

    task = asyncio.ensure_future(work())
    await asyncio.sleep(experiment.chance.uniform(0, 0.012))
    task.cancel()
    try:
        await task
        ledger.changed += 1
    except asyncio.CancelledError:
        ledger.unknown += 1


async def use_savepoint(experiment: Experiment, ledger: Ledger) -> None:
    async with experiment.database.unit_of_work(ledger.actor) as uow:
        session = uow._session
        with pytest.raises(Planned):
            async with session.begin_nested():
                await change(uow, experiment, ledger)
                raise Planned
        experiment.check("after the savepoint", await uow.scalars(OWN_ROWS), ledger)
        async with session.begin_nested():
            await change(uow, experiment, ledger)
    ledger.changed += 1


async def nest(experiment: Experiment, ledger: Ledger) -> None:
    """Another organization's session inside an open one: neither sees the other's rows."""
    other = experiment.chance.choice(experiment.ledgers)
    async with experiment.nesting, experiment.database.unit_of_work(ledger.actor) as uow:
        async with experiment.database.snapshot(other.actor) as inner:
            experiment.check("inner", await inner.scalars(OWN_ROWS), other)
        await change(uow, experiment, ledger)  # No lock is held while waiting for the second connection.
    ledger.changed += 1


async def set_for_the_session(experiment: Experiment, ledger: Ledger) -> None:
    """What no code of ours may do, in the worst form; the reset listener takes it away before the next checkout."""
    async with experiment.database.directory() as directory:
        connection = await directory._session.connection()
        await connection.exec_driver_sql(f"SET app.tenant_id = '{ledger.actor.tenant_id}'")


ACTS = (look, look, look, commit, commit, fail, break_statement, run_out_of_time, cancel, use_savepoint, nest,
        set_for_the_session)  # fmt: skip


@pytest.fixture
async def experiment(fresh_database: Mapping[str, str], request: pytest.FixtureRequest) -> AsyncIterator[Experiment]:
    pool = Database(fresh_database["belfry_app"], pool_size=POOL_SIZE)
    ledgers = [Ledger(Actor.system(new())) for _ in range(ORGANIZATIONS)]
    for ledger in ledgers:
        tenant_id = ledger.actor.tenant_id
        async with pool.unit_of_work(ledger.actor) as uow:
            uow.add(*(InboxEntry(tenant_id=tenant_id, event_id=new(), handler="") for _ in range(ROWS_EACH)))
    yield Experiment(pool, ledgers, random.Random(getattr(request, "param", 0)))
    await pool.close()


@pytest.mark.parametrize("experiment", SEEDS, indirect=True, ids=[str(seed) for seed in SEEDS])
async def test_twenty_thousand_transactions_of_fifty_organizations_never_see_each_other(
    experiment: Experiment, tell: Callable[[str], None]
) -> None:
    left = iter(range(TRANSACTIONS))

    async def go_on() -> None:
        for _ in left:
            await experiment.one()

    await asyncio.gather(*(go_on() for _ in range(TASKS)))
    assert experiment.wrong == []
    assert experiment.counts.total() == TRANSACTIONS
    for ledger in experiment.ledgers:
        async with experiment.database.snapshot(ledger.actor) as snapshot:
            lengths = {len(word) for word in await snapshot.scalars(select(col(InboxEntry.handler)))}
        assert len(lengths) == 1, "every change touched all own rows or none"
        assert ledger.changed <= lengths.pop() <= ledger.changed + ledger.unknown
    counted = ", ".join(f"{name} {count}" for name, count in sorted(experiment.counts.items()))
    tell(
        f"P3: {ORGANIZATIONS} organizations, pool of {POOL_SIZE}, {TRANSACTIONS:,} transactions, "
        f"{len(experiment.wrong)} wrong ({counted})"
    )


async def test_an_idle_connection_of_the_pool_belongs_to_nobody(experiment: Experiment) -> None:
    for ledger in experiment.ledgers[:8]:
        await look(experiment, ledger)
        await set_for_the_session(experiment, ledger)
    for _ in range(POOL_SIZE * 2):
        async with experiment.database.directory() as directory:
            connection = await directory._session.connection()
            found = await connection.exec_driver_sql("SELECT current_setting('app.tenant_id', true)")
            assert found.scalar_one() in (None, "")
            assert (await connection.exec_driver_sql("SELECT count(*) FROM belfry.inbox")).scalar_one() == 0
