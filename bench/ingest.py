# SPDX-License-Identifier: EUPL-1.2
"""How many messages are acknowledged and drained in a second, one by one and in batches of a poll's page.

Acknowledged: the raw event is stored and committed, as a poll does it before it remembers how far it has read. Drained:
a worker has been told of the account's job and has made contacts, conversations and messages of what waited, routed
them, counted waits, and written the facts for audit and outbox. The queue between the two is not part of it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

import asyncpg

from bench.dataset import SEED, provide, tell
from bench.engines import Engines, measure_by
from bench.filling import UNTIL, phrases
from bench.mentions import OWN_DID, Mentions
from bench.plans import TownPlan
from bench.report import Expectation, Report, Table, number, ratio, spread, turns
from services.kernel.access import Actor
from services.kernel.runtime import Runtime, open_runtime
from services.social_accounts import commands
from services.social_accounts.handlers import PAGE_LIMIT
from services.social_accounts.networks.interface import AccountGrant, RawEvent
from services.social_accounts.rules import Network
from workers.deliver import Deliverer

SCALE = 0.1
ROUNDS = 16
ONE_BY_ONE, BATCHED = "one by one", f"in batches of {PAGE_LIMIT}"
BATCH_SIZES = {ONE_BY_ONE: 1, BATCHED: PAGE_LIMIT}
MESSAGES = {ONE_BY_ONE: 50, BATCHED: 10 * PAGE_LIMIT}
"""Messages of one turn: about as long a turn either way."""

GAIN_MIN = 10.0
JOB = "select id from belfry.job where tenant_id = $1 and kind = $2 and subject_id = $3"
COUNTS = """
    select (select count(*) from belfry.message where tenant_id = $1),
           (select count(*) from belfry.raw_event where tenant_id = $1 and state <> 'DONE')
"""


@dataclass
class Tally:
    """Messages a second of every turn of one way."""

    acknowledged: list[float] = field(default_factory=list[float])
    drained: list[float] = field(default_factory=list[float])
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """The account that receives, the worker that drains it, and somebody who looks at the rows meanwhile."""

    runtime: Runtime
    worker: Deliverer
    onlooker: asyncpg.Connection
    tenant_id: UUID
    account_id: UUID

    async def acknowledge(self, events: Sequence[RawEvent]) -> None:
        async with self.runtime.database.unit_of_work(Actor.system(self.tenant_id)) as uow:
            await commands.receive(uow, account_id=self.account_id, events=events)

    async def job(self) -> UUID | None:
        """The job that the account's raw events wait for; what the relay would ring with."""
        return await self.onlooker.fetchval(JOB, self.tenant_id, commands.DRAIN, self.account_id)

    async def counts(self) -> tuple[int, int]:
        """How many messages there are, and how many raw events are not done."""
        row = await self.onlooker.fetchrow(COUNTS, self.tenant_id)
        return (row[0], row[1]) if row else (0, 0)


async def open_door(runtime: Runtime, onlooker: asyncpg.Connection, town: TownPlan) -> Door:
    """Connect the Bluesky account of a town; nobody polls it, because no relay runs."""
    account_id = await onlooker.fetchval(
        "select id from belfry.social_account where tenant_id = $1 and network = $2",
        town.tenant_id,
        Network.BLUESKY.value,
    )
    if account_id is None:
        raise RuntimeError("The town has no account on Bluesky.")
    grant = AccountGrant(OWN_DID, "bench.example", "Bench", "https://bench.example", {"accessJwt": "none"}, None)
    async with runtime.database.unit_of_work(Actor.system(town.tenant_id)) as uow:
        await commands.connect(
            uow, runtime.vault, account_id=account_id, server_url="https://bench.example", grant=grant
        )
    worker = Deliverer(runtime, Random(SEED))
    return Door(runtime, worker, onlooker, town.tenant_id, UUID(int=account_id.int))


async def measure(door: Door, rounds: int) -> dict[str, Tally]:
    """Interleaved rounds: one by one and in batches in turn, from the same stream of mentions."""
    stream = Mentions(Random(SEED), phrases()["question"], UNTIL)
    found = {name: Tally() for name in BATCH_SIZES}
    for size in BATCH_SIZES.values():  # connections, prepared statements, caches
        await turn(door, stream.take(2 * size), size, Tally())
    for order in turns(list(BATCH_SIZES), rounds):
        for name in order:
            await turn(door, stream.take(MESSAGES[name]), BATCH_SIZES[name], found[name])
        tell("  drained " + ", ".join(f"{name}: {number(tally.drained[-1])}/s" for name, tally in found.items()))
    return found


async def turn(door: Door, events: Sequence[RawEvent], size: int, tally: Tally) -> None:
    """Each batch is acknowledged, then drained."""
    acknowledging = draining = 0.0
    for start in range(0, len(events), size):
        began = time.perf_counter()
        await door.acknowledge(events[start : start + size])
        acknowledging += time.perf_counter() - began
        job_id = await door.job()
        if job_id is None:
            raise RuntimeError("Nothing waits to be drained.")
        began = time.perf_counter()
        await door.worker.run(commands.DRAIN, door.tenant_id, job_id)
        draining += time.perf_counter() - began
        if await door.job() is not None:
            raise RuntimeError("The worker could not drain what waited; its log says why.")
    tally.acknowledged.append(len(events) / acknowledging)
    tally.drained.append(len(events) / draining)
    tally.messages += len(events)


def report(found: dict[str, Tally], rounds: int, sent: int, stored: int, undone: int) -> Report:
    """Rates and their ratios, and whether everything that was sent is there."""
    one, many = found[ONE_BY_ONE], found[BATCHED]
    acknowledged, drained = ratio(many.acknowledged, one.acknowledged), ratio(many.drained, one.drained)
    return Report(
        "ingest",
        f"{rounds} interleaved rounds; in each, mentions of one account were stored and drained by one worker,"
        f" {MESSAGES[ONE_BY_ONE]} {ONE_BY_ONE} and {MESSAGES[BATCHED]:,} {BATCHED}.",
        [
            Table(
                "Messages a second: median (lowest to highest)",
                ("way", "acknowledged", "drained"),
                [(name, spread(tally.acknowledged), spread(tally.drained)) for name, tally in found.items()],
            ),
            Table(
                f"Ratios of medians, batches of {PAGE_LIMIT} to one by one",
                ("figure", "value"),
                [("acknowledged", number(acknowledged)), ("drained", number(drained)),
                 ("messages sent", f"{sent:,}"), ("messages stored", f"{stored:,}"),
                 ("raw events not done", f"{undone:,}")],
            ),
        ],
        [
            Expectation.at_least("drained in batches to one by one", drained, GAIN_MIN),
            Expectation.none("messages sent and not stored, or stored twice", abs(sent - stored)),
            Expectation.none("raw events left behind", undone),
        ],
    )  # fmt: skip


async def run(engines: Engines, *, scale: float, rounds: int) -> int:
    """Measure on a copy of the data set, and report."""
    dataset = await provide(engines, scale=scale, seed=SEED)
    async with (
        engines.copy_of(dataset.database, "ingest") as name,
        open_runtime(engines.settings(name)) as runtime,
        engines.administrator(name) as onlooker,
    ):
        await onlooker.execute("CHECKPOINT")
        door = await open_door(runtime, onlooker, dataset.largest)
        before, _ = await door.counts()
        found = await measure(door, rounds)
        stored, undone = await door.counts()
        sent = sum(each.messages for each in found.values()) + sum(2 * size for size in BATCH_SIZES.values())
        return await report(found, rounds, sent, stored - before, undone).publish(engines)


def main() -> None:
    """Run the bench from the command line."""
    measure_by(
        run,
        "ingest",
        "Messages acknowledged and drained a second, one by one and in batches.",
        scale=SCALE,
        rounds=ROUNDS,
    )


if __name__ == "__main__":
    main()
