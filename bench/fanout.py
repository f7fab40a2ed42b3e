# SPDX-License-Identifier: EUPL-1.2
"""What it costs to tell a thousand subscribers of one change, each over a socket and with a credential of its own.

one crowd     everybody coordinates, and asks the same: one execution for all
a town        a fifth coordinates, the others work in the town's departments: who may see it is told, the others are not
each alone    everybody coordinates and has a filter of their own: what it costs when nothing can be shared
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from random import Random
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg

from bench.dataset import SEED, Dataset, provide, tell
from bench.engines import Engines, measure_by
from bench.listeners import Listener, listen
from bench.plans import TownPlan
from bench.report import Expectation, Report, Table, number, spread, turns
from bench.serving import Api, api, cpu_seconds, family, postmaster, resident_mebibytes
from services.conversations.events import MessageReceived
from services.identity.rules import new_local_token
from services.kernel import identifiers
from services.kernel.access import Actor, Role
from services.kernel.encryption import digest
from services.kernel.runtime import Runtime, open_runtime

SCALE = 0.1
ROUNDS = 4
SUBSCRIBERS = 1_000
CROWD, TOWN, ALONE = "one crowd", "a town", "each alone"
CHANGES = {CROWD: 40, TOWN: 40, ALONE: 2}
CPU_MICROSECONDS_MAX = 25.0
TOLD_WITHIN_SECONDS = 60.0
SETTLED_SECONDS = 0.3

BEFORE_EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)
DOCUMENT = """
subscription ($filter: ConversationFilter) {
  conversationEvents(filter: $filter) {
    event cursor occurredAt nodeId
    node {
      id version state priority difficulty network channelKind openedAt lastMessageAt nextContactDueAt
      department { name } category { name } contact { displayName handle }
      claim { holder { name } leaseUntil } lastMessage { text direction occurredAt }
    }
  }
}
"""
TOKENS = """
    with given as (
        select * from unnest($2::uuid[], $3::bytea[], $4::text[], $5::uuid[]) as given (id, key, role, department_id)
    ), people as (
        insert into belfry.person (id, name, email, locale)
        select id, 'Listener', id || '@bench.example', 'nl' from given
    ), members as (
        insert into belfry.membership (tenant_id, id, person_id, name, skills, active, version)
        select $1, id, id, 'Listener', '{}', true, 1 from given
    ), issued as (
        insert into belfry.local_token (tenant_id, id, membership_id, role, department_id, expires_at)
        select $1, id, id, role, department_id, now() + interval '1 day' from given
    )
    insert into belfry.door (kind, key, organization_id, subject_id)
    select 'LOCAL_TOKEN', key, $1, id from given
"""
PUBLIC_CONVERSATIONS = """
    select id from belfry.conversation
    where tenant_id = $1 and channel_kind = 'PUBLIC' order by last_message_at desc limit 200
"""


@dataclass
class Tally:
    """What each turn cost, a delivery: microseconds of processor time."""

    application: list[float] = field(default_factory=list[float])
    database: list[float] = field(default_factory=list[float])
    last: list[float] = field(default_factory=list[float])
    """Milliseconds until everybody who coordinates had been told, for every change."""
    deliveries: int = 0
    changes: int = 0


@dataclass(frozen=True)
class Audience:
    """The subscribers of one town, those first who are told of every change."""

    tenant_id: UUID
    conversations: Sequence[UUID]
    listeners: Sequence[Listener]
    everywhere: int

    @property
    def told(self) -> int:
        return sum(each.told for each in self.listeners)


async def tokens(
    connection: asyncpg.Connection, town: TownPlan, wishes: Sequence[tuple[Role, UUID | None]]
) -> list[str]:
    """A new person with a token of their own for each wish."""
    issued = [new_local_token() for _ in wishes]
    await connection.execute(
        TOKENS,
        town.tenant_id,
        [identifiers.new() for _ in wishes],
        [digest(each) for each in issued],
        [role.value for role, _ in wishes],
        [department for _, department in wishes],
    )
    return issued


async def gather(connection: asyncpg.Connection, running: Api, town: TownPlan, way: str) -> Audience:
    """Open a thousand sockets for one way."""
    rows = await connection.fetch("select id from belfry.department where tenant_id = $1 order by id", town.tenant_id)
    everywhere = SUBSCRIBERS // 5 if way == TOWN else SUBSCRIBERS
    departments = cycle(row["id"] for row in rows)
    wishes: list[tuple[Role, UUID | None]] = [(Role.COORDINATOR, None)] * everywhere
    wishes += [(Role.OPERATOR, next(departments)) for _ in range(SUBSCRIBERS - everywhere)]
    asked = [{"query": DOCUMENT, "variables": filter_of(way, place)} for place in range(SUBSCRIBERS)]
    held = await tokens(connection, town, wishes)
    listeners = await listen(running.port, list(zip(held, asked, strict=True)))
    conversations = [UUID(int=row["id"].int) for row in await connection.fetch(PUBLIC_CONVERSATIONS, town.tenant_id)]
    return Audience(town.tenant_id, conversations, listeners, everywhere)


def filter_of(way: str, place: int) -> dict[str, Any]:
    """A filter that lets everything through: nobody's, or one of each."""
    since = BEFORE_EVERYTHING + timedelta(seconds=place)
    return {"filter": {"openedAt": {"gte": since.isoformat()}}} if way == ALONE else {}


async def change(runtime: Runtime, audience: Audience, conversation_id: UUID) -> float:
    """A citizen writes. Returns the seconds from the commit until all who coordinate have been told."""
    expected = [each.told + 1 for each in audience.listeners[: audience.everywhere]]
    async with runtime.database.unit_of_work(Actor.system(audience.tenant_id)) as uow:
        uow.emit(MessageReceived(conversation_id=conversation_id, message_id=identifiers.new()))
    began = time.perf_counter()
    try:
        async with asyncio.timeout(TOLD_WITHIN_SECONDS):
            for each, wanted in zip(audience.listeners, expected, strict=False):
                while each.told < wanted:  # noqa: ASYNC110  a thousand events would cost more than they tell
                    await asyncio.sleep(0.001)
    except TimeoutError as error:
        missed = [each for each, wanted in zip(audience.listeners, expected, strict=False) if each.told < wanted]
        lost = sum(each.is_lost for each in missed)
        raise RuntimeError(f"{len(missed)} were not told, of whom {lost} were disconnected.") from error
    return time.perf_counter() - began


async def turn(
    runtime: Runtime, running: Api, database: int, audience: Audience, changes: int, chance: Random, tally: Tally
) -> None:
    """Some changes, one after another, and what they cost."""
    before, backends = audience.told, family(database)
    application, engine = cpu_seconds([running.pid]), cpu_seconds(backends)
    for _ in range(changes):
        tally.last.append(1_000 * await change(runtime, audience, chance.choice(audience.conversations)))
    await asyncio.sleep(SETTLED_SECONDS)  # departments may be told after those who coordinate
    deliveries = audience.told - before
    tally.application.append(1e6 * (cpu_seconds([running.pid]) - application) / deliveries)
    tally.database.append(1e6 * (cpu_seconds(backends) - engine) / deliveries)
    tally.deliveries += deliveries
    tally.changes += changes


async def measure(
    runtime: Runtime, running: Api, database: int, audiences: dict[str, Audience], rounds: int
) -> dict[str, Tally]:
    """All ways, round by round."""
    chance = Random(SEED)
    for audience in audiences.values():  # statements enter the cache, connections open
        await change(runtime, audience, audience.conversations[0])
    await asyncio.sleep(SETTLED_SECONDS)
    found = {way: Tally() for way in audiences}
    for place, order in enumerate(turns(list(audiences), rounds)):
        for way in order:
            await turn(runtime, running, database, audiences[way], CHANGES[way], chance, found[way])
        tell(
            f"  round {place + 1} of {rounds}: "
            + ", ".join(f"{way} {number(each.application[-1])} µs" for way, each in found.items())
        )
    return found


def report(found: dict[str, Tally], rounds: int, memory: float, missing: int) -> Report:
    """Microseconds a delivery, and whether everybody was told of everything."""
    crowd, alone = found[CROWD], found[ALONE]
    rows = [
        (
            way,
            f"{each.deliveries / each.changes:,.0f}",
            spread(each.application),
            spread(each.database),
            number(median(each.last)),
        )
        for way, each in found.items()
    ]
    deliveries = sum(each.deliveries for each in found.values())
    gain = median(alone.application) / median(crowd.application)
    return Report(
        "fanout",
        f"{rounds} interleaved rounds; in each, citizens wrote {CHANGES[CROWD]} times before {SUBSCRIBERS:,}"
        f" subscribers who could share what they were told, and {CHANGES[ALONE]} times before {SUBSCRIBERS:,} who could"
        " not. One API process held all sockets.",
        [
            Table(
                "CPU in µs a delivery: median (lowest to highest)",
                ("way", "told of a change", "of the application", "of the database", "ms until the last was told"),
                rows,
            ),
            Table(
                "Figures",
                ("figure", "value"),
                [("each alone to one crowd", number(gain)), ("deliveries", f"{deliveries:,}"),
                 ("MiB of the application with all sockets", number(memory))],
            ),
        ],
        [
            Expectation.at_most("one crowd: CPU µs a delivery", median(crowd.application), CPU_MICROSECONDS_MAX),
            Expectation.none("deliveries missed or doubled", missing),
        ],
    )  # fmt: skip


async def run(engines: Engines, *, scale: float, rounds: int) -> int:
    """Measure on a copy of the data set, and report."""
    dataset: Dataset = await provide(engines, scale=scale, seed=SEED)
    async with (
        engines.copy_of(dataset.database, "fanout") as name,
        open_runtime(engines.settings(name)) as runtime,
        engines.administrator(name) as connection,
        api(engines.settings(name)) as running,
    ):
        audiences: dict[str, Audience] = {}
        for way, town in zip((CROWD, TOWN, ALONE), dataset.towns, strict=False):
            began = time.monotonic()
            audiences[way] = await gather(connection, running, town, way)
            tell(f"  {SUBSCRIBERS:,} subscribers, {way}: {time.monotonic() - began:.1f} s")
        await asyncio.sleep(5)  # every socket has subscribed and caught up
        database = await postmaster(connection)
        found = await measure(runtime, running, database, audiences, rounds)
        missing = sum(
            abs(each.told - found[way].changes - 1)
            for way, audience in audiences.items()
            for each in audience.listeners[: audience.everywhere]
        )
        memory = resident_mebibytes(running.pid)
        for audience in audiences.values():
            for each in audience.listeners:
                each.close()
        return await report(found, rounds, memory, missing).publish(engines)


def main() -> None:
    """Run the bench from the command line."""
    measure_by(run, "fanout", "What it costs to tell a thousand subscribers of one change.", scale=SCALE, rounds=ROUNDS)


if __name__ == "__main__":
    main()
