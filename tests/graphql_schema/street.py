# SPDX-License-Identifier: EUPL-1.2
"""An organization in which conversations happen, written straight into its tables with the facts beside them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlmodel import col

from graphql_schema.context import Context
from graphql_schema.live.stream import EventStream
from services.conversations.events import ConversationOpened, ConversationRouted, MessageReceived
from services.conversations.models import Category, Contact, Conversation
from services.conversations.rules import ChannelKind, ConversationState
from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.audit import AuditHead
from services.kernel.database import Database
from services.kernel.isolation import owned
from services.kernel.runtime import Runtime
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import Network, Purpose
from tests.graphql_schema.serving import Served, Socket
from tests.support.organizations import TestOrganization

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
EVENTS = """
subscription Events($filter: ConversationFilter, $after: String) {
  conversationEvents(filter: $filter, after: $after) {
    event nodeId cursor occurredAt node { id state department { name } }
  }
}
"""


@dataclass
class Street:
    """One organization, its tokens by role and department, and the database that rings after each commit."""

    api: Served
    runtime: Runtime
    organization: TestOrganization
    tokens: dict[tuple[Role, str | None], str]
    account: UUID = field(default_factory=identifiers.new)

    @property
    def database(self) -> Database:
        return self.runtime.database

    async def prepare(self) -> None:
        async with self.database.unit_of_work(self.organization.system) as uow:
            uow.add(
                SocialAccount(
                    tenant_id=self.organization.id, id=self.account, network=Network.BLUESKY, handle="street.example",
                    purpose=Purpose.SERVICE, owner_department_id=self.organization.departments["DESK"],
                )
            )  # fmt: skip

    async def open(self, department: str, category: UUID | None = None) -> UUID:
        """A citizen writes, and the conversation goes to a department."""
        tenant, departments = self.organization.id, self.organization.departments
        contact = Contact(tenant_id=tenant, network=Network.BLUESKY, external_id=str(identifiers.new()), seen_at=START)
        row = Conversation(
            tenant_id=tenant, network=Network.BLUESKY, thread_key=str(identifiers.new()), contact_id=contact.id,
            social_account_id=self.account, channel_kind=ChannelKind.PUBLIC, department_id=departments[department],
            category_id=category, state=ConversationState.OPEN, opened_at=START, last_message_at=START,
            next_contact_due_at=START,
        )  # fmt: skip
        async with self.database.unit_of_work(self.organization.system) as uow:
            uow.add(contact, row)
            uow.emit(ConversationOpened(conversation_id=row.id, social_account_id=self.account))
            uow.emit(routed(row.id, departments[department], category))
        return row.id

    async def topic(self, *, confidential: bool) -> UUID:
        row = Category(
            tenant_id=self.organization.id, name=str(identifiers.new()), sort_key="x", confidential=confidential
        )
        async with self.database.unit_of_work(self.organization.system) as uow:
            uow.add(row)
        return row.id

    async def change(self, conversation_id: UUID, *facts: Any, **values: Any) -> None:
        """Change a conversation and say so."""
        async with self.database.unit_of_work(self.organization.system) as uow:
            row = await uow.one(owned(Conversation, col(Conversation.id) == conversation_id))
            for name, value in values.items():
                setattr(row, name, value)
            for each in facts:
                uow.emit(each)

    async def route(self, conversation_id: UUID, department: str, category: UUID | None = None) -> None:
        target = self.organization.departments[department]
        fact = routed(conversation_id, target, category)
        await self.change(conversation_id, fact, department_id=target, category_id=category)

    async def say(self, conversation_id: UUID) -> None:
        """The citizen writes again."""
        async with self.database.unit_of_work(self.organization.system) as uow:
            uow.emit(MessageReceived(conversation_id=conversation_id, message_id=identifiers.new()))

    async def now(self, stream_name: str = "conversationEvents") -> str:
        """The cursor of this moment."""
        stream = stream_of(self, stream_name)
        async with self.database.snapshot(self.organization.system) as snapshot:
            return stream.cursor(await snapshot.scalar(owned(AuditHead).with_only_columns(col(AuditHead.seq))))

    def context(self) -> Context:
        return Context(self.runtime, self.organization.system, "test")

    def token(self, role: Role, department: str | None = None) -> str:
        return self.tokens[(role, department)]


NOBODY: Any = None
"""Watches over a stream that is never read."""


def routed(conversation_id: UUID, department_id: UUID, category_id: UUID | None) -> ConversationRouted:
    return ConversationRouted(
        conversation_id=conversation_id, department_id=department_id, category_id=category_id, rule_id=None
    )


def stream_of(street: Street, name: str = "conversationEvents") -> EventStream[Any]:
    """A stream that only reads and writes cursors."""
    return EventStream(street.context(), name, frozenset(), NOBODY, refuse)


async def watch(socket: Socket, street: Street, identifier: str = "1", **variables: Any) -> None:
    """Subscribe to what happens from this very moment on."""
    await socket.subscribe(EVENTS, identifier, **{"after": await street.now(), **variables})


async def refuse(*_: object) -> Any:
    raise AssertionError("Nobody looks.")


async def event(socket: Socket) -> dict[str, Any]:
    """The next event of the stream."""
    frame = await socket.receive()
    assert frame["type"] == "next", frame
    assert "errors" not in frame["payload"], frame
    return frame["payload"]["data"]["conversationEvents"]


async def nothing_until(socket: Socket, street: Street, conversation_id: UUID) -> None:
    """The stream has nothing to tell until a marked event that the subscriber sees."""
    await street.say(conversation_id)
    assert (await event(socket))["event"] == "MESSAGE_RECEIVED"
