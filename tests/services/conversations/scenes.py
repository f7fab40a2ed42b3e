# SPDX-License-Identifier: EUPL-1.2
"""Questions and people for tests of acts, and the fingerprint that shows whether an act left any trace."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlmodel import col

from services.assignments import commands as assignments
from services.conversations import commands
from services.conversations.models import Conversation, Message, Participant
from services.conversations.rules import ParticipantKind, ReplyPurpose
from services.deliveries import commands as deliveries
from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import UnitOfWork
from services.kernel.errors import BelfryError, ServiceUnavailable
from services.kernel.isolation import owned
from services.social_accounts.networks.interface import RawEvent, Sent
from services.social_accounts.networks.webform import SUBMISSION_KIND, SUBMISSION_VERSION
from services.tenancy.models import Membership
from tests.services.conversations.standing import Town
from tests.services.conversations.world import FORM, START, Thing, Version, seen_event
from tests.support.database import connection_as
from tests.support.rows import tenant_tables

Urls = Mapping[str, str]
Act = Callable[[UnitOfWork], Awaitable[Any]]
Print = Mapping[str, tuple[int, str | None]]


def mention(
    handle: str, citizen: str, text: str, at: datetime, *, under: Thing | None = None
) -> tuple[Thing, RawEvent]:
    """A citizen's public post as an account is told of it."""
    thing = Thing(f"at://{citizen}/app.bsky.feed.post/{identifiers.new().hex}", citizen, at, [], under)
    version = Version(f"cid-{identifiers.new().hex[-8:]}", text, "nl", at)
    thing.versions.append(version)
    return thing, seen_event(thing, handle, version, at + timedelta(seconds=1), citizen[8:], None)


def submission(text: str, at: datetime, *, thread: str | None = None) -> RawEvent:
    """A citizen's message through the contact form."""
    own = str(identifiers.new())
    body = {"name": "Visitor", "email": None, "text": text, "language": "nl", "thread": thread or own}
    external_id = f"{thread}.{own}" if thread else own
    return RawEvent(FORM, SUBMISSION_KIND, external_id, SUBMISSION_VERSION, at, orjson.dumps(body))


async def ask(town: Town, *texts: str, handle: str = FORM, at: datetime = START) -> list[UUID]:
    """One conversation for each text, through the product's door; on Bluesky each from a citizen of its own."""
    if handle == FORM:
        events = [submission(text, at) for text in texts]
    else:
        events = [mention(handle, f"did:plc:{identifiers.new().hex}", text, at)[1] for text in texts]
    await town.receive_raw(handle, events)
    await town.drain(handle)
    async with town.database.snapshot(town.actor) as snapshot:
        ids = [each.external_id for each in events]
        rows = await snapshot.scalars(owned(Message, col(Message.external_id).in_(ids)))
    found = {row.external_id: row.conversation_id for row in rows if row.conversation_id is not None}
    return [found[each.external_id] for each in events if each.external_id in found]


async def people(town: Town, count: int, role: Role, department: str | None = None) -> list[Actor]:
    """New members with one role, in a department and those below it, or in the whole organization."""
    rows = [
        Membership(tenant_id=town.organization.id, person_id=identifiers.new(), name=f"Colleague {number}")
        for number in range(count)
    ]
    async with town.database.unit_of_work(town.actor) as uow:
        uow.add(*rows)
    reach = None if department is None else reach_of(town, department)
    return [
        Actor(town.organization.id, membership_id=row.id, person_id=row.person_id, grants=(Grant(role, reach),))
        for row in rows
    ]


def reach_of(town: Town, department: str) -> frozenset[UUID]:
    """A department and those below it."""
    departments, below = town.organization.departments, {"ROADS": ["LIGHTS"]}
    return frozenset(departments[code] for code in [department, *below.get(department, [])])


async def conversation(town: Town, conversation_id: UUID) -> Conversation:
    async with town.database.snapshot(town.actor) as snapshot:
        return await snapshot.one(owned(Conversation, col(Conversation.id) == conversation_id))


async def newest_message(town: Town, conversation_id: UUID) -> Message:
    async with town.database.snapshot(town.actor) as snapshot:
        rows = await snapshot.scalars(
            owned(Message, col(Message.conversation_id) == conversation_id).order_by(col(Message.occurred_at))
        )
    return rows[-1]


async def join(town: Town, conversation_id: UUID, *actors: Actor) -> None:
    """Make people collaborators of a conversation."""
    async with town.database.unit_of_work(town.actor) as uow:
        for actor in actors:
            uow.add(
                Participant(
                    tenant_id=town.organization.id,
                    conversation_id=conversation_id,
                    membership_id=actor.id,
                    kind=ParticipantKind.COLLABORATOR,
                )
            )


async def sql(urls: Urls, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement run by the administrator, whom row security does not bind."""
    async with connection_as(urls, "postgres") as connection:
        return [tuple(row) for row in await connection.fetch(statement, *values)]


async def fingerprint(urls: Urls, tenant_id: UUID) -> Print:
    """How many rows each table holds of an organization, and a digest of all of them."""
    parts = [
        f"select '{table.name}', count(*), md5(string_agg(t::text, '|' order by t::text))"
        f" from belfry.{table.name} t where t.tenant_id = $1"
        for table in tenant_tables()
    ]
    return {name: (count, digest) for name, count, digest in await sql(urls, " union all ".join(parts), tenant_id)}


def grown(before: Print, after: Print) -> dict[str, int]:
    """By how many rows each table grew; 0 for one whose rows only changed."""
    return {name: after[name][0] - before[name][0] for name in after if after[name] != before[name]}


async def act(town: Town, actor: Actor, what: Act) -> Any:
    """One act in one unit of work."""
    async with town.database.unit_of_work(actor) as uow:
        return await what(uow)


async def tried(town: Town, actor: Actor, what: Act) -> str:
    """ACCEPTED or the code of the refusal; a busy database is asked again, as clients do."""
    while True:
        try:
            await act(town, actor, what)
        except ServiceUnavailable:
            await asyncio.sleep(0.05)
        except BelfryError as refusal:
            return refusal.code
        else:
            return "ACCEPTED"


async def refused(town: Town, urls: Urls, actor: Actor, what: Act, code: str) -> BelfryError:
    """The act is refused with this code, and no row of any table is other than before."""
    before = await fingerprint(urls, town.organization.id)
    with pytest.raises(BelfryError) as caught:
        await act(town, actor, what)
    assert caught.value.code == code
    assert await fingerprint(urls, town.organization.id) == before
    return caught.value


@dataclass(frozen=True)
class Held:
    """A question that somebody has claimed, as that person's client knows it."""

    town: Town
    id: UUID
    holder: Actor
    fence: int
    seen: UUID

    def reply(self, **changes: Any) -> Act:
        """An answer under the holder's fence; `changes` replace single arguments of the command."""
        given: dict[str, Any] = {
            "conversation_id": self.id,
            "text": "We will look tomorrow.",
            "purpose": ReplyPurpose.ANSWER,
            "last_seen_message_id": self.seen,
            "fence": self.fence,
        }
        return lambda uow: commands.reply(uow, **{**given, **changes})

    async def answer(self, **changes: Any) -> UUID:
        """Have an answer accepted; returns its delivery."""
        return (await act(self.town, self.holder, self.reply(**changes))).delivery_id

    async def send(self, delivery_id: UUID) -> None:
        """Have the network accept it, while the conversation knows nothing of it yet."""
        attempt = await self.begin(delivery_id)
        item = Sent(f"remote-{delivery_id}", "1", None, attempt.sent_at)
        await act(self.town, self.town.actor, lambda uow: deliveries.record_sent(uow, attempt, item))

    async def publish(self, delivery_id: UUID) -> None:
        """Have the network accept it, and the conversation told."""
        await self.send(delivery_id)
        await act(self.town, self.town.actor, lambda uow: commands.record_published(uow, delivery_id=delivery_id))

    async def begin(self, delivery_id: UUID) -> deliveries.Attempt:
        """Have a worker take it for sending."""
        return await act(
            self.town,
            self.town.actor,
            lambda uow: deliveries.begin(uow, delivery_id=delivery_id, check_schedule=(60,)),
        )

    async def row(self) -> Conversation:
        return await conversation(self.town, self.id)


async def held(town: Town, text: str = "the street lamp", *, handle: str = FORM, role: Role = Role.OPERATOR) -> Held:
    """A new question, claimed by a new member."""
    [conversation_id] = await ask(town, text, handle=handle)
    [holder] = await people(town, 1, role)
    await act(town, holder, lambda uow: assignments.claim(uow, conversation_id=conversation_id))
    row = await conversation(town, conversation_id)
    return Held(town, conversation_id, holder, row.fence, (await newest_message(town, conversation_id)).id)
