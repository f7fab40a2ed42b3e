# SPDX-License-Identifier: EUPL-1.2
"""Writing the demo into a database, each organization once and whole.

One organization takes three transactions: its foundation, its history, and last the directories with its people and
the door of its slug. Without that door nobody finds it, so that a seeding that was killed is simply done again, and
what it left is never taken for the demo. No transaction waits while the history is being made up.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from services.demo.events import DemoSeeded
from services.demo.foundation import found
from services.demo.history import History
from services.demo.organizations import ORGANIZATIONS
from services.demo.plans import HISTORY, OrganizationPlan
from services.identity import commands as identity
from services.identity import queries
from services.identity.models import Person, PersonOrganization
from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Actor
from services.kernel.database import Database

SEED = 1421
"""The number from which all chance of the demo follows. With the same number and instant the history is the same."""

FOUNDED_BEFORE = HISTORY + timedelta(weeks=2)

Tell = Callable[[str], None]


async def seed_all(database: Database, now: datetime, tell: Tell) -> None:
    """Write every organization of the demo that is not there yet; `now` is where its history ends."""
    for plan in ORGANIZATIONS:
        if await queries.organization_of_slug(database, plan.slug) is None:
            await seed_one(database, plan, now.replace(microsecond=0), tell)
        else:
            tell(f"{plan.slug}: there already.")


async def seed_one(database: Database, plan: OrganizationPlan, now: datetime, tell: Tell) -> None:
    """Write one organization whose slug has no door yet."""
    began = time.monotonic()
    system = Actor.system(identifiers.new())
    people = {each.key: identifiers.new() for each in plan.people}
    async with database.unit_of_work(system) as uow:
        ground = await found(uow, plan, people, now - FOUNDED_BEFORE)
    chance = random.Random(f"{SEED} {plan.slug}")  # noqa: S311  a story, not a secret
    history = History(ground, plan, chance, now)
    history.tell()
    counts = history.ledger.counts()
    async with database.unit_of_work(system) as uow:
        await history.write(uow)
        uow.emit(DemoSeeded(organization_id=system.tenant_id, seed=SEED, until=now, rows=counts))
    await _open(database, plan, people, system.tenant_id)
    seconds = time.monotonic() - began
    tell(f"{plan.slug}: {counts['conversation']} conversations, {counts['message']} messages, in {seconds:.1f} s.")


async def _open(database: Database, plan: OrganizationPlan, people: Mapping[str, UUID], tenant_id: UUID) -> None:
    """Let the people sign in, and the slug lead to the organization: from here on the demo is there."""
    async with database.directory() as directory:
        await directory.add(
            *(
                Person(id=people[each.key], name=each.name, email=f"{each.key}@{plan.slug}.example", locale=plan.locale)
                for each in plan.people
            )
        )
        await directory.add(
            *(PersonOrganization(person_id=people[each.key], organization_id=tenant_id) for each in plan.people)
        )
        await identity.open_door(
            directory, DoorKind.ORGANIZATION_SLUG, plan.slug.encode(), organization_id=tenant_id, subject_id=tenant_id
        )
