# SPDX-License-Identifier: EUPL-1.2
"""A street on which anything may happen before people of all roles."""

import os
from datetime import timedelta
from random import Random
from uuid import UUID

from sqlmodel import col, delete

from services.assignments.events import ConversationClaimed, ConversationReleased, ConversationTakenOver
from services.conversations.events import ConversationClosed
from services.conversations.models import Conversation, Message, Participant
from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    ConversationState,
    Direction,
    Outcome,
    ParticipantKind,
    Visibility,
)
from services.identity import commands as identity
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.isolation import owned
from services.social_accounts.rules import Network
from services.tenancy import commands as tenancy
from tests.graphql_schema.street import START, Street
from tests.support.organizations import TestOrganization

PEOPLE = 3
"""Members with each role."""

WATCHERS = (
    (Role.COORDINATOR, None),
    (Role.MANAGER, None),
    (Role.MANAGER, "ROADS"),
    (Role.OPERATOR, None),
    (Role.OPERATOR, "ROADS"),
    (Role.OPERATOR, "PEOPLE"),
    (Role.EXPERT, None),
)


async def hire(database: Database, town: TestOrganization, role: Role) -> UUID:
    """One more member with a role."""
    async with database.directory() as directory:
        person = await identity.register_person(
            directory, name=f"One more {role}", email=f"{role}.{os.urandom(6).hex()}@plein.example",
            locale="nl", organization_id=town.id,
        )  # fmt: skip
    async with database.unit_of_work(town.system) as uow:
        member = await tenancy.add_member(uow, person_id=person.id, name=f"One more {role}")
        await tenancy.grant_role(uow, membership_id=member.id, role=role)
    return member.id


async def token_for(street: Street, role: Role, department: str | None, number: int) -> str:
    return await identity.issue_local_token(
        street.database, is_local=True, slug=street.organization.slug, role=role, department_code=department,
        person_number=number,
    )  # fmt: skip


class Stage:
    """Conversations of one citizen with several departments, and what may happen to them."""

    def __init__(self, street: Street) -> None:
        self.street, self.conversations = street, list[UUID]()
        self.members: list[UUID] = []
        self.categories: list[UUID | None] = [None]

    async def prepare(self, chance: Random) -> None:
        town, database = self.street.organization, self.street.database
        roles = sorted({role for role, _ in WATCHERS})
        self.members = [town.members[role] for role in roles]
        self.members += [await hire(database, town, role) for role in roles for _ in range(PEOPLE - 1)]
        self.categories += [await self.street.topic(confidential=each) for each in (False, True)]
        for department in ("ROADS", "PEOPLE", "DESK", "LIGHTS"):
            self.conversations.append(await self.street.open(department))
        async with database.unit_of_work(town.system) as uow:
            rows = await uow.scalars(owned(Conversation))
            for row in rows[1:]:
                row.contact_id = rows[0].contact_id
            rows[1].previous_id, rows[1].channel_kind = rows[0].id, ChannelKind.DIRECT

    async def act(self, chance: Random) -> None:
        conversation, street = chance.choice(self.conversations), self.street
        acts = (self._say, self._route, self._claim, self._release, self._take_part, self._close)
        await chance.choice(acts)(chance, conversation, street)

    async def reroute(self) -> None:
        """To where half of the people do not follow it."""
        await self.street.route(self.conversations[0], "ROADS")
        await self.street.route(self.conversations[0], "PEOPLE")

    async def _say(self, chance: Random, conversation: UUID, street: Street) -> None:
        async with street.database.unit_of_work(street.organization.system) as uow:
            uow.add(
                Message(
                    tenant_id=street.organization.id, conversation_id=conversation, direction=Direction.INBOUND,
                    visibility=chance.choice(list(Visibility)), author_kind=AuthorKind.CITIZEN,
                    external_id=os.urandom(6).hex(), text=chance.choice(["Straatlamp", "Ça va ?", "🏴"]),
                    network=Network.BLUESKY, text_at=START,
                    occurred_at=START + timedelta(seconds=chance.randrange(9)), social_account_id=street.account,
                )
            )  # fmt: skip
        await street.say(conversation)

    async def _route(self, chance: Random, conversation: UUID, street: Street) -> None:
        await street.route(conversation, chance.choice(["ROADS", "PEOPLE", "DESK"]), chance.choice(self.categories))

    async def _claim(self, chance: Random, conversation: UUID, street: Street) -> None:
        holder, until = chance.choice(self.members), street.runtime.clock() + timedelta(hours=1)
        taken = chance.choice(
            [
                ConversationClaimed(conversation_id=conversation, holder_id=holder, fence=1),
                ConversationTakenOver(
                    conversation_id=conversation, holder_id=holder, former_holder_id=self.members[0], fence=2
                ),
            ]
        )
        await street.change(conversation, taken, holder_id=holder, last_holder_id=holder, lease_until=until)

    async def _release(self, chance: Random, conversation: UUID, street: Street) -> None:
        fact = ConversationReleased(conversation_id=conversation, holder_id=chance.choice(self.members))
        await street.change(conversation, fact, holder_id=None, lease_until=None)

    async def _take_part(self, chance: Random, conversation: UUID, street: Street) -> None:
        tenant = street.organization.id
        async with street.database.unit_of_work(street.organization.system) as uow:
            await uow.write(
                delete(Participant).where(
                    col(Participant.tenant_id) == tenant, col(Participant.conversation_id) == conversation
                )
            )
            for member in chance.sample(self.members, 2):
                uow.add(
                    Participant(
                        tenant_id=tenant, conversation_id=conversation, membership_id=member,
                        kind=chance.choice(list(ParticipantKind)),
                    )
                )  # fmt: skip
        await street.say(conversation)

    async def _close(self, chance: Random, conversation: UUID, street: Street) -> None:
        fact = ConversationClosed(conversation_id=conversation, outcome=Outcome.ANSWERED)
        state = chance.choice([ConversationState.CLOSED, ConversationState.OPEN])
        await street.change(conversation, fact, state=state)
