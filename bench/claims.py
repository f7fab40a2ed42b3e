# SPDX-License-Identifier: EUPL-1.2
"""How many conversations are claimed in a second by 1, 8 and 32 people at once, and whether any is claimed twice.

The people of one organization claim through the real command over the pool of one API process. They come in pairs
that walk the same list side by side, so that every conversation is wanted by two at the same moment: one gets it, the
other is refused. Who took what is read from the table of claims afterwards.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from bench.dataset import SEED, Dataset, provide, tell
from bench.engines import Engines, measure_by
from bench.report import Expectation, Report, Table, number, ratio, spread, turns
from services.assignments import commands
from services.assignments.rules import CLAIMS_MAX
from services.conversations.rules import AlreadyClaimed
from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import POOL_SIZE, Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import open_runtime
from services.tenancy import commands as tenancy

SCALE = 0.1
CLAIMERS = {"1": 1, "8": 8, "32": 32}
ROUNDS = 16
CONVERSATIONS_PER_ROUND = 160
PEOPLE = 2 * CONVERSATIONS_PER_ROUND // CLAIMS_MAX
"""Enough for the luckiest: of every pair one may get the whole list, and nobody holds more than CLAIMS_MAX."""

RETENTION_MIN = 0.8
AGAIN_SECONDS = 0.02

REOPEN = """
    update belfry.conversation set state = 'OPEN', outcome = null, closed_at = null,
           next_contact_due_at = last_message_at + interval '24 hours'
    where tenant_id = $1 and id in (
        select v.id from belfry.conversation v
        left join belfry.category c on c.tenant_id = v.tenant_id and c.id = v.category_id
        where v.tenant_id = $1 and v.holder_id is null and not coalesce(c.confidential, false)
        order by v.id limit $2)
    returning id
"""
END_CLAIMS = "update belfry.claim set state = 'RELEASED', ended_at = now() where holder_id = any($1) and state = 'HELD'"
LET_GO = """
    update belfry.conversation set last_holder_id = holder_id, holder_id = null, lease_until = null
    where holder_id = any($1)
"""
JUDGE = """
    select count(*) as claims, count(*) - count(distinct conversation_id) as doubles
    from belfry.claim where tenant_id = $1 and holder_id = any($2)
"""


@dataclass
class Tally:
    """What the claimers of one turn were told."""

    granted: list[tuple[UUID, UUID]] = field(default_factory=list[tuple[UUID, UUID]])
    refused: int = 0
    busy: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.granted) / self.seconds


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the claiming takes place: free conversations and the people who want them."""

    engines: Engines
    name: str
    database: Database
    tenant_id: UUID
    people: list[Actor]
    conversations: list[UUID]

    async def free(self) -> None:
        """Let everybody give back what they hold, at once and outside of the measurement."""
        async with self.engines.administrator(self.name) as connection:
            for statement in (END_CLAIMS, LET_GO):
                await connection.execute(statement, [each.membership_id for each in self.people])
            await connection.execute("delete from belfry.job where kind = $1", commands.LAPSE)

    async def judge(self) -> tuple[int, int]:
        """How many claims there are in the table, and how many of them are of a conversation that was taken before."""
        async with self.engines.administrator(self.name) as connection:
            row = await connection.fetchrow(JUDGE, self.tenant_id, [each.membership_id for each in self.people])
        return (row["claims"], row["doubles"]) if row else (0, 0)


async def measure(ground: Ground, rounds: int) -> tuple[Tally, dict[str, list[Tally]]]:
    """Interleaved rounds: 1, 8 and 32 claimers in turn, each time with conversations that nobody has had.

    The first tally is of the turn before them, which opens connections and fills caches.
    """
    found: dict[str, list[Tally]] = {name: [] for name in CLAIMERS}
    first = await turn(ground, ground.conversations[:CONVERSATIONS_PER_ROUND], max(CLAIMERS.values()))
    place = CONVERSATIONS_PER_ROUND
    for order in turns(list(CLAIMERS), rounds):
        for name in order:
            wanted = ground.conversations[place : place + CONVERSATIONS_PER_ROUND]
            place += CONVERSATIONS_PER_ROUND
            found[name].append(await turn(ground, wanted, CLAIMERS[name]))
        tell("  " + ", ".join(f"{name}: {number(tallies[-1].rate)}/s" for name, tallies in found.items()))
    return first, found


async def turn(ground: Ground, conversations: Sequence[UUID], claimers: int) -> Tally:
    """All conversations are claimed by so many at once; pairs share a list, a single claimer has all to itself."""
    tally, people = Tally(), iter(ground.people)
    lists = max(1, claimers // 2)
    shared = [list(conversations[place::lists]) for place in range(lists)]
    began, own = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number_of_claimer in range(claimers):
            wanted = shared[number_of_claimer % lists]
            mine = [next(people) for _ in range(len(wanted) // CLAIMS_MAX)]
            tasks.create_task(claim_all(ground.database, iter(mine), wanted, tally))
    tally.seconds, tally.own_seconds = time.perf_counter() - began, time.process_time() - own
    await ground.free()
    return tally


async def claim_all(database: Database, people: Iterator[Actor], wanted: Sequence[UUID], tally: Tally) -> None:
    """One claimer: claims whatever it can get, as one colleague after the other, each until no more is allowed."""
    me, held = next(people), 0
    for conversation_id in wanted:
        if held == CLAIMS_MAX:
            me, held = next(people), 0
        if await claim(database, me, conversation_id, tally):
            tally.granted.append((conversation_id, me.id))
            held += 1


async def claim(database: Database, me: Actor, conversation_id: UUID, tally: Tally) -> bool:
    """Whether I have it now. A busy database is asked again, as clients do."""
    while True:
        try:
            async with database.unit_of_work(me) as uow:
                await commands.claim(uow, conversation_id=conversation_id)
        except AlreadyClaimed:
            tally.refused += 1
            return False
        except ServiceUnavailable:
            tally.busy += 1
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return True


async def prepare(engines: Engines, name: str, dataset: Dataset, database: Database, rounds: int) -> Ground:
    """New colleagues for the largest organization, and closed conversations opened again for them."""
    tenant_id = dataset.largest.tenant_id
    people: list[Actor] = []
    async with database.unit_of_work(Actor.system(tenant_id)) as uow:
        for place in range(PEOPLE):
            person_id = identifiers.new()
            member = await tenancy.add_member(uow, person_id=person_id, name=f"Claimer {place + 1}")
            await tenancy.grant_role(uow, membership_id=member.id, role=Role.OPERATOR)
            people.append(
                Actor(tenant_id, membership_id=member.id, person_id=person_id, grants=(Grant(Role.OPERATOR),))
            )
    needed = (1 + rounds * len(CLAIMERS)) * CONVERSATIONS_PER_ROUND
    async with engines.administrator(name) as connection:
        rows = await connection.fetch(REOPEN, tenant_id, needed)
        await connection.execute("VACUUM (ANALYZE) belfry.conversation")
        await connection.execute("CHECKPOINT")
    if len(rows) < needed:
        raise SystemExit(f"{needed:,} conversations are needed and {len(rows):,} are there: a larger --scale, please.")
    conversations = [UUID(int=row["id"].int) for row in rows]
    Random(dataset.seed).shuffle(conversations)
    return Ground(engines, name, database, tenant_id, people, conversations)


def report(found: dict[str, list[Tally]], judged: tuple[int, int], told: list[UUID], rounds: int) -> Report:
    """Rates, their ratios, and what the table of claims says. `told`: each conversation that a claimer was given."""
    rates = {name: [each.rate for each in tallies] for name, tallies in found.items()}
    rows = [
        (
            name,
            spread(rates[name]),
            f"{sum(each.refused for each in tallies):,}",
            f"{sum(each.busy for each in tallies):,}",
            f"{sum(each.own_seconds for each in tallies) / sum(each.seconds for each in tallies):.0%}",
        )
        for name, tallies in found.items()
    ]
    retained, gained = ratio(rates["32"], rates["8"]), ratio(rates["8"], rates["1"])
    claims, doubles = judged
    told_twice = len(told) - len(set(told))
    return Report(
        "claims",
        f"{rounds} interleaved rounds. In each, 1, 8 and 32 people of one organization claimed"
        f" {CONVERSATIONS_PER_ROUND} conversations over one pool of {POOL_SIZE} connections.",
        [
            Table(
                "Claims a second: median (lowest to highest)",
                ("claimers", "claims/s", "refused", "asked again", "CPU of this process"),
                rows,
            ),
            Table(
                "Ratios of medians, and what the table of claims says",
                ("figure", "value"),
                (
                    ("32 : 8", number(retained)),
                    ("8 : 1", number(gained)),
                    ("claims that claimers were told of", f"{len(told):,}"),
                    ("claims in the table", f"{claims:,}"),
                    ("double claims in the table", f"{doubles:,}"),
                ),
            ),
        ],
        [
            Expectation.none("double claims", doubles),
            Expectation.none("conversations that two claimers were told they have", told_twice),
            Expectation.none("claims told of and not in the table, or the reverse", abs(claims - len(told))),
            Expectation.at_least("claims/s of 32 claimers to those of 8", retained, RETENTION_MIN),
        ],
    )


async def run(engines: Engines, *, scale: float, rounds: int) -> int:
    """Measure on a copy of the data set, and report."""
    dataset = await provide(engines, scale=scale, seed=SEED)
    async with engines.copy_of(dataset.database, "claims") as name, open_runtime(engines.settings(name)) as runtime:
        ground = await prepare(engines, name, dataset, runtime.database, rounds)
        before, _ = await ground.judge()
        first, found = await measure(ground, rounds)
        claims, doubles = await ground.judge()
        tallies = [first, *(each for turns_of_one in found.values() for each in turns_of_one)]
        told = [conversation_id for each in tallies for conversation_id, _ in each.granted]
        return await report(found, (claims - before, doubles), told, rounds).publish(engines)


def main() -> None:
    """Run the bench from the command line."""
    measure_by(
        run,
        "claims",
        "Claims a second by 1, 8 and 32 people at once, and whether any is claimed twice.",
        scale=SCALE,
        rounds=ROUNDS,
    )


if __name__ == "__main__":
    main()
