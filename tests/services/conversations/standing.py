# SPDX-License-Identifier: EUPL-1.2
"""A town that takes a world in through the product's own door, and its tables read back by their names in the world."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

from services.conversations import commands
from services.conversations.models import Category, CategoryDepartment, RoutingRule
from services.kernel.access import Actor
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.social_accounts import commands as social_accounts
from services.social_accounts.models import SocialAccount
from services.social_accounts.networks.interface import RawEvent
from services.social_accounts.rules import Connection, Network, Purpose
from tests.services.conversations.oracle import ROUTES, Standing
from tests.services.conversations.world import ACCOUNTS, FORM, HARBOR, SPRING, Fact
from tests.support.organizations import TestOrganization, found_organization

TRIES_MAX = 50


@dataclass(frozen=True)
class Town:
    """One organization with two accounts on Bluesky and a contact form, and its routing table."""

    organization: TestOrganization
    database: Database
    accounts: Mapping[str, UUID]

    @property
    def actor(self) -> Actor:
        return self.organization.system

    async def receive(self, facts: Sequence[Fact]) -> None:
        """Raw events through the door, one unit of work for each account."""
        for handle in sorted({fact.account for fact in facts}):
            await self.receive_raw(handle, [fact.raw for fact in facts if fact.account == handle])

    async def receive_raw(self, handle: str, events: Sequence[RawEvent]) -> None:
        async with self.database.unit_of_work(self.actor) as uow:
            await social_accounts.receive(uow, account_id=self.accounts[handle], events=events)

    async def drain(self, handle: str) -> int:
        """Take in what waits for an account, as its worker does; returns how often it had to try again."""
        tries = 0
        while True:
            try:
                async with self.database.unit_of_work(self.actor) as uow:
                    more = await commands.drain(uow, account_id=self.accounts[handle])
            except ServiceUnavailable:
                tries += 1
                if tries > TRIES_MAX:
                    raise
                await asyncio.sleep(0.005 * tries)
                continue
            if not more:
                return tries

    async def drain_all(self) -> None:
        for handle in self.accounts:
            await self.drain(handle)

    async def flood(self, deliveries: Sequence[Fact], chance: Random, *, batch_max: int) -> int:
        """Everything at once: for each account a webhook and a poll, each with its half, in batches, then draining."""
        tries = 0

        async def work(handle: str, facts: Sequence[Fact], own: Random) -> None:
            nonlocal tries
            place = 0
            while place < len(facts):
                size = own.randint(1, batch_max)
                await self.receive_raw(handle, [fact.raw for fact in facts[place : place + size]])
                place += size
                if own.random() < 0.3:
                    tries += await self.drain(handle)

        halves = []
        for handle in self.accounts:
            facts = [fact for fact in deliveries if fact.account == handle]
            halves += [(handle, facts[::2]), (handle, facts[1::2])]
        await asyncio.gather(*(work(handle, half, Random(chance.random())) for handle, half in halves))
        await self.drain_all()
        return tries


async def found_town(database: Database) -> Town:
    """A town whose HARBOR account is for service and younger than SPRING."""
    organization = await found_organization(database, roles=[])
    desk = organization.departments["DESK"]
    accounts: dict[str, UUID] = {}
    for handle in (SPRING, HARBOR, FORM):
        async with database.unit_of_work(organization.system) as uow:
            row = SocialAccount(
                tenant_id=organization.id,
                network=Network.WEBFORM if handle == FORM else Network.BLUESKY,
                handle=handle,
                remote_id=ACCOUNTS.get(handle),
                owner_department_id=desk,
                purpose=Purpose.SERVICE if handle == HARBOR else Purpose.NEWS,
                connection=Connection.CONNECTED,
            )
            uow.add(row)
        accounts[handle] = row.id
    async with database.unit_of_work(organization.system) as uow:
        for position, (keyword, only, name, code) in enumerate(ROUTES):
            category = Category(tenant_id=organization.id, name=name, sort_key=name.casefold())
            uow.add(
                category,
                CategoryDepartment(
                    tenant_id=organization.id,
                    category_id=category.id,
                    department_id=organization.departments[code],
                    is_responsible=True,
                ),
                RoutingRule(
                    tenant_id=organization.id,
                    position=position,
                    name=name,
                    keywords=[keyword],
                    social_account_id=accounts[only] if only else None,
                    category_id=category.id,
                ),
            )
    return Town(organization, database, accounts)


CONTACTS = "select external_id, handle, display_name, email from belfry.contact where tenant_id = $1"
CONVERSATIONS = """
    select v.thread_key, c.external_id contact, v.episode, a.handle account, v.opened_at, v.last_message_at, v.state,
           d.code department, g.name category
    from belfry.conversation v
    join belfry.contact c on c.tenant_id = v.tenant_id and c.id = v.contact_id
    join belfry.social_account a on a.tenant_id = v.tenant_id and a.id = v.social_account_id
    join belfry.department d on d.tenant_id = v.tenant_id and d.id = v.department_id
    left join belfry.category g on g.tenant_id = v.tenant_id and g.id = v.category_id
    where v.tenant_id = $1
"""
MESSAGES = """
    select m.external_id, m.direction, m.text, m.version_tag, m.deleted_at, m.edited_at, v.thread_key,
           c.external_id contact, a.handle account, w.external_id writer, m.occurred_at, m.outbound_kind,
           m.published_at, m.purpose
    from belfry.message m
    join belfry.social_account a on a.tenant_id = m.tenant_id and a.id = m.social_account_id
    left join belfry.conversation v on v.tenant_id = m.tenant_id and v.id = m.conversation_id
    left join belfry.contact c on c.tenant_id = v.tenant_id and c.id = v.contact_id
    left join belfry.contact w on w.tenant_id = m.tenant_id and w.id = m.contact_id
    where m.tenant_id = $1
"""
SEGMENTS = """
    select o.external_id opener, v.thread_key, c.external_id contact, s.opened_at, s.closed_at, s.outcome,
           e.external_id ender, s.wall_seconds, s.is_first
    from belfry.waiting_segment s
    join belfry.conversation v on v.tenant_id = s.tenant_id and v.id = s.conversation_id
    join belfry.contact c on c.tenant_id = v.tenant_id and c.id = v.contact_id
    join belfry.message o on o.tenant_id = s.tenant_id and o.id = s.opened_by
    left join belfry.message e on e.tenant_id = s.tenant_id and e.id = s.closed_by
    where s.tenant_id = $1
"""


async def standing_of(connection: asyncpg.Connection, tenant_id: UUID) -> Standing:
    """What the tables of an organization hold, read as the administrator."""
    contacts = [tuple(row) for row in await connection.fetch(CONTACTS, tenant_id)]
    conversations = [tuple(row) for row in await connection.fetch(CONVERSATIONS, tenant_id)]
    messages = [tuple(row) for row in await connection.fetch(MESSAGES, tenant_id)]
    segments = [tuple(row) for row in await connection.fetch(SEGMENTS, tenant_id)]
    found = Standing(
        {row[0]: row[1:] for row in contacts},
        {row[:3]: row[3:] for row in conversations},
        {row[0]: (*row[1:6], _key(*row[6:8]), *row[8:]) for row in messages},
        {row[0]: (_key(*row[1:3]), *row[3:]) for row in segments},
    )
    counts = [(len(contacts), len(found.contacts)), (len(conversations), len(found.conversations)),
              (len(messages), len(found.messages)), (len(segments), len(found.segments))]  # fmt: skip
    assert all(rows == names for rows, names in counts), f"The same item has two rows: {counts}."
    return found


def differences(found: Standing, wanted: Standing) -> dict[str, dict[Any, tuple[Any, Any]]]:
    """What the tables hold and what they should, by table and name; empty when both say the same."""
    pairs: dict[str, tuple[Mapping[Any, Any], Mapping[Any, Any]]] = {
        "contacts": (found.contacts, wanted.contacts),
        "conversations": (found.conversations, wanted.conversations),
        "messages": (found.messages, wanted.messages),
        "segments": (found.segments, wanted.segments),
    }
    return {
        table: {key: (one.get(key), other.get(key)) for key in {*one, *other} if one.get(key) != other.get(key)}
        for table, (one, other) in pairs.items()
        if one != other
    }


def _key(thread: str | None, contact: str | None) -> tuple[str, str] | None:
    return None if thread is None or contact is None else (thread, contact)
