# SPDX-License-Identifier: EUPL-1.2
"""From plans to rows: organizations are founded by the product's own commands, their history is drawn by the database.

The history is written by `filling.sql`, table by table, by the superuser: row security lets no other role write rows
of all organizations in one statement.
"""

import asyncio
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench.engines import Engines
from bench.plans import TownPlan
from services.demo.foundation import Ground, found
from services.demo.organizations import MOLENDAM
from services.demo.plans import Question
from services.identity import commands as identity
from services.identity.models import Person, PersonOrganization
from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Actor
from services.kernel.database import Database

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
"""Where all history ends, whatever the day of the run: the same seed gives the same instants."""

DAYS = 730
HELD_UNTIL = datetime(2036, 11, 1, tzinfo=UTC)
"""The end of every lease of a data set, so that one that is kept looks the same on every day."""

LONG_ONES, LONG_MESSAGES = 24, 100
"""So many conversations of the largest organization have exactly so many messages."""

ACCOUNT_SLOTS = 100
HALVES, FOUNDERS = 2, 4
STREETS, DAYS_NAMED, NUMBER = MOLENDAM.voice.streets, MOLENDAM.voice.days, "4711"
SQL = Path(__file__).with_name("filling.sql").read_text(encoding="utf-8")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of `filling.sql`, or several without parameters."""

    name: str
    text: str

    @property
    def is_halved(self) -> bool:
        return self.name.endswith("of each half")


def fingerprint() -> str:
    """Changes with whatever decides about the rows, but for the product's own migrations."""
    return hashlib.sha256(f"{SQL} {MOLENDAM!r} {UNTIL} {DAYS} {LONG_ONES} {LONG_MESSAGES}".encode()).hexdigest()[:16]


async def fill(engines: Engines, database: str, plans: list[TownPlan], seed: int, tell: Tell) -> None:
    """Found the organizations in an empty database, write their history, and leave it vacuumed and analyzed."""
    grounds = await _found(engines, database, plans, tell)
    steps = list(_steps(seed))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(engines.administrator(database)) for _ in range(HALVES)]
        first = connections[0]
        for each in connections:
            await each.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'")
        for step in steps:
            began = time.monotonic()
            if step.is_halved:
                await asyncio.gather(*(each.execute(step.text, half) for half, each in enumerate(connections)))
            else:
                await first.execute(step.text)
            if step is steps[0]:
                await _stage(first, plans, grounds)
            tell(f"  {step.name}: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        await first.execute("VACUUM (ANALYZE)")
        await first.execute("CHECKPOINT")
        tell(f"  vacuum, analyze, checkpoint: {time.monotonic() - began:.1f} s")


async def _found(engines: Engines, database: str, plans: list[TownPlan], tell: Tell) -> list[Ground]:
    began = time.monotonic()
    application = Database(engines.url("belfry_app", database), pool_size=FOUNDERS)
    turns = asyncio.Semaphore(FOUNDERS)

    async def found_in_turn(plan: TownPlan) -> Ground:
        async with turns:
            return await _found_one(application, plan)

    try:
        grounds = await asyncio.gather(*(found_in_turn(plan) for plan in plans))
    finally:
        await application.close()
    tell(f"  {len(plans)} organizations founded: {time.monotonic() - began:.1f} s")
    return grounds


async def _found_one(database: Database, plan: TownPlan) -> Ground:
    people = {each.key: identifiers.new() for each in plan.organization.people}
    async with database.unit_of_work(Actor.system(plan.tenant_id)) as uow:
        ground = await found(uow, plan.organization, people, UNTIL - timedelta(days=DAYS + 30))
    async with database.directory() as directory:
        await directory.add(
            *(
                Person(id=people[each.key], name=each.name, email=f"{each.key}@{plan.slug}.example", locale="nl")
                for each in plan.organization.people
            )
        )
        await directory.add(
            *(PersonOrganization(person_id=each, organization_id=plan.tenant_id) for each in people.values())
        )
        await identity.open_door(
            directory,
            DoorKind.ORGANIZATION_SLUG,
            plan.slug.encode(),
            organization_id=plan.tenant_id,
            subject_id=plan.tenant_id,
        )
    return ground


async def _stage(connection: asyncpg.Connection, plans: list[TownPlan], grounds: list[Ground]) -> None:
    """What the statements choose from, by slots that are drawn."""
    pairs = list(zip(plans, grounds, strict=True))
    rows: Mapping[str, Iterable[tuple[Any, ...]]] = {
        "organization": _organizations(pairs),
        "account": itertools.chain.from_iterable(_accounts(*pair) for pair in pairs),
        "category": itertools.chain.from_iterable(_categories(*pair) for pair in pairs),
        "member": (
            (plan.tenant_id, slot, member_id)
            for plan, ground in pairs
            for slot, member_id in enumerate(ground.members.values())
        ),
        "phrase": ((kind, slot, text) for kind, texts in phrases().items() for slot, text in enumerate(texts)),
    }
    for table, records in rows.items():
        await connection.copy_records_to_table(table, schema_name="stage", records=list(records))


def _organizations(pairs: list[tuple[TownPlan, Ground]]) -> Iterator[tuple[Any, ...]]:
    loads = [0] * HALVES
    for plan, ground in pairs:  # the largest first, each to the half that has less so far
        half = loads.index(min(loads))
        loads[half] += plan.conversations
        desk_id = ground.departments[plan.organization.desk]
        long_ones = LONG_ONES if plan.place == 1 else 0
        categories = len(_leaves(plan))
        yield (plan.tenant_id, half, plan.place, plan.first, plan.conversations, long_ones, desk_id,
               len(ground.members), categories)  # fmt: skip


def _accounts(plan: TownPlan, ground: Ground) -> Iterator[tuple[Any, ...]]:
    accounts = [each for each in plan.organization.accounts if each.asked]
    total = sum(each.asked for each in accounts)
    ends = [sum(each.asked for each in accounts[: place + 1]) / total for place in range(len(accounts))]
    for slot in range(ACCOUNT_SLOTS):
        place = next(place for place, end in enumerate(ends) if (slot + 0.5) / ACCOUNT_SLOTS < end)
        each = accounts[place]
        account_id = ground.accounts[each.handle]
        yield plan.tenant_id, slot, account_id, each.network.value, each.server_host, each.handle, each.private


def _leaves(plan: TownPlan) -> list[Any]:
    return [each for each in plan.organization.categories if each.above is not None]


def _categories(plan: TownPlan, ground: Ground) -> Iterator[tuple[Any, ...]]:
    for slot, each in enumerate(_leaves(plan)):
        department = ground.departments[each.responsible or plan.organization.desk]
        directing: UUID | None = ground.departments[each.directing] if each.directing else None
        yield plan.tenant_id, slot, ground.categories[each.name], department, directing, each.formal, each.hard


def phrases() -> dict[str, list[str]]:
    """What is said, from the demo's invented texts."""
    voice = MOLENDAM.voice
    questions = [each for topic in MOLENDAM.topics for each in topic.questions]
    return {
        "question": list(_told(each.text for each in questions)),
        "answer": list(_told(_answers(questions))),
        "thanks": list(_told(voice.thanks)),
        "post": list(_told(voice.posts)),
        "closing": list(_told(itertools.chain.from_iterable(voice.closings.values()))),
        "given": list(voice.given_names),
        "family": list(voice.family_names),
    }


def _answers(questions: Iterable[Question]) -> Iterator[str]:
    return (each.answer for each in questions if each.answer)


def _told(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield text.format(
            street=STREETS[number % len(STREETS)], day=DAYS_NAMED[number % len(DAYS_NAMED)], number=NUMBER
        )


def _steps(seed: int) -> Iterator[Step]:
    """The statements with the constants of this data set in their places. They are the code's own, never input."""
    known = {"seed": seed, "until": UNTIL.isoformat(), "days": DAYS, "held_until": HELD_UNTIL.isoformat(),
             "long_messages": LONG_MESSAGES}  # fmt: skip
    counts = {kind: len(texts) for kind, texts in phrases().items()}
    _, *parts = SQL.split("\n-- step: ")
    for part in parts:
        name, _, text = part.partition("\n")
        yield Step(name, text.format_map({**known, **counts}))
