# SPDX-License-Identifier: EUPL-1.2
"""Rows for the tests of reading: conversations with everything around them, with ties and gaps. All invented."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import strawberry

from graphql_schema.billing import Bill
from graphql_schema.conversations.queries import ConversationQueries
from graphql_schema.deliveries.queries import DeliveryQueries
from graphql_schema.identity.queries import IdentityQueries
from graphql_schema.reading.execution import Execution, Executor
from graphql_schema.reading.roots import NodeQueries
from graphql_schema.social_accounts.queries import SocialAccountQueries
from graphql_schema.tenancy.queries import TenancyQueries
from services.conversations.models import (
    Category,
    CategoryDepartment,
    Closing,
    Contact,
    Conversation,
    Message,
    Participant,
    Reply,
    WaitingSegment,
)
from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    ConversationState,
    Direction,
    Outcome,
    ParticipantKind,
    Priority,
    ReplyPurpose,
    Visibility,
)
from services.deliveries.models import Delivery
from services.deliveries.rules import Origin
from services.identity.models import ApiClient, ApiKey, ClientDocument, DeprecatedUse
from services.integrations.models import Export, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from services.integrations.rules import ExportKind
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.reads import Answers, Moment
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import Network, OutboundKind, Purpose
from tests.support.organizations import TestOrganization

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CONVERSATIONS = 60
ODD = (
    "",
    "",
    " Größe",
    " 😀🧑🏽‍🤝‍🧑🏻",
    "\u2028\u2029",
    ' quote " and \\ back\t\x01\x7f',
    " e\u0301 \u202e ",
    " </script>'",
)
"""What two printers of JSON might print differently."""
CURSOR_KEY = b"a key of the tests that protects nothing"


@strawberry.type
class Query(NodeQueries, ConversationQueries, DeliveryQueries, IdentityQueries, SocialAccountQueries, TenancyQueries):
    """All declared roots."""


class Ample:
    """A bucket that nobody empties."""

    def available(self, key: Any) -> int:
        return 10_000

    async def take(self, key: Any, cost: int) -> None:
        """There is always more."""

    def refund(self, key: Any, amount: int) -> None:
        """It is full."""


@dataclass
class Reader:
    """The least context that reads need."""

    database: Database
    actor: Actor
    request_id: str = "00000000-0000-0000-0000-000000000001"
    cursor_key: bytes = CURSOR_KEY
    loaders: dict[Any, Any] = field(default_factory=dict)
    uses: None = None
    execution: Execution = field(default_factory=lambda: Execution(Executor.ORDINARY))

    @property
    def reads(self) -> Answers:
        return self.moment or self.database.reads

    def moments(self) -> Any:
        return self.database.reads.moment()

    moment: Moment | None = None
    bill: Bill = field(default_factory=Bill)
    buckets: Ample = field(default_factory=Ample)
    query_cost_max: int = 10**9

    def snapshot(self) -> Any:
        return self.database.snapshot(self.actor, self.moment)

    def at(self, moment: Moment) -> "Reader":
        return replace(self, moment=moment, loaders={}, execution=Execution(Executor.ORDINARY), bill=Bill())


@dataclass
class Planted:
    """One organization with what was planted in it."""

    organization: TestOrganization
    accounts: list[SocialAccount] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    categories: list[Category] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def coordinator(self) -> Actor:
        return self.organization.actor(Role.COORDINATOR)

    def actor(self, role: Role, department: str | None = None) -> Actor:
        return self.organization.actor(role, department)

    def messages_of(self, conversation: Conversation) -> list[Message]:
        found = [each for each in self.messages if each.conversation_id == conversation.id]
        return sorted(found, key=lambda each: (each.occurred_at, each.id))


async def plant(database: Database, organization: TestOrganization, seed: int) -> Planted:
    """Fill one organization. The same seed makes the same rows, except for their ids."""
    planted, chance = Planted(organization), random.Random(seed)
    tenant = organization.id
    departments = list(organization.departments.values())
    planted.accounts = [
        SocialAccount(tenant_id=tenant, network=network, handle=f"desk{i}", purpose=Purpose.SERVICE,
                      owner_department_id=departments[i], connected_at=START)
        for i, network in enumerate((Network.BLUESKY, Network.WEBFORM, Network.MASTODON))
    ]  # fmt: skip
    planted.contacts = [
        Contact(
            tenant_id=tenant,
            network=Network.BLUESKY,
            external_id=f"did:{i}",
            handle=f"h{i}",
            display_name=f"Name {i}{ODD[i]}",
            seen_at=START,
        )
        for i in range(7)
    ]
    planted.categories = [
        Category(tenant_id=tenant, name=name, sort_key=name.lower(), confidential=name == "Secrets")
        for name in ("Lamps", "Potholes", "Secrets")
    ]
    links = [
        CategoryDepartment(tenant_id=tenant, category_id=category.id, department_id=department, is_responsible=True)
        for category, department in zip(planted.categories, departments, strict=False)
    ]
    for i in range(CONVERSATIONS):
        _plant_conversation(planted, chance, i)
    async with database.unit_of_work(organization.system) as uow:
        uow.add(*planted.accounts, *planted.contacts, *planted.categories, *links)
        uow.add(*planted.conversations, *planted.deliveries, *planted.messages)
        uow.add(*_surroundings(planted), *_machines(organization))
    return planted


def _machines(organization: TestOrganization) -> list[Any]:
    """What other systems are known by, what they were told, and what was taken out."""
    tenant = organization.id
    client = ApiClient(tenant_id=tenant, name="Open data", scopes=["conversations:read"])
    key = ApiKey(tenant_id=tenant, api_client_id=client.id, expires_at=START)
    document = ClientDocument(tenant_id=tenant, api_client_id=client.id, document_id="sha256:0", text="{ viewer }")
    endpoint = WebhookEndpoint(tenant_id=tenant, api_client_id=client.id, url="https://a.example", position=0)
    delivery = WebhookDelivery(
        tenant_id=tenant,
        webhook_endpoint_id=endpoint.id,
        event_id=endpoint.id,
        event_type="conversation.opened",
        payload=b"{}",
        occurred_at=START,
        due_at=START,
    )
    attempt = WebhookAttempt(tenant_id=tenant, webhook_delivery_id=delivery.id, number=1, milliseconds=9, status=500)
    use = DeprecatedUse(tenant_id=tenant, api_client_id=client.id, name="Type.field", used_on=START.date(), times=3)
    export = Export(tenant_id=tenant, api_client_id=client.id, grants=[], kind=ExportKind.CONTACTS, until=START)
    own = Export(tenant_id=tenant, membership_id=organization.members.get(Role.COORDINATOR), grants=[],
                 kind=ExportKind.CONTACTS, until=START)  # fmt: skip
    exports = [export, *([own] if own.membership_id is not None else [])]
    return [client, key, document, endpoint, delivery, attempt, use, *exports]


def _plant_conversation(planted: Planted, chance: random.Random, i: int) -> None:
    organization = planted.organization
    state = chance.choice((ConversationState.OPEN, ConversationState.OPEN, ConversationState.CLOSED))
    opened_at = START + timedelta(hours=chance.randrange(12))
    category = chance.choice((None, *planted.categories))
    held = chance.random() < 0.3
    conversation = Conversation(
        tenant_id=organization.id,
        network=Network.BLUESKY,
        thread_key=f"thread {i}",
        social_account_id=chance.choice(planted.accounts).id,
        contact_id=chance.choice(planted.contacts).id,
        channel_kind=chance.choice((ChannelKind.PUBLIC, ChannelKind.PUBLIC, ChannelKind.DIRECT)),
        category_id=category.id if category else None,
        department_id=chance.choice(list(organization.departments.values())),
        priority=chance.choice(list(Priority)).value,
        state=state,
        outcome=Outcome.ANSWERED if state is ConversationState.CLOSED else None,
        opened_at=opened_at,
        last_message_at=opened_at + timedelta(minutes=chance.randrange(90)),
        next_contact_due_at=None
        if state is ConversationState.CLOSED
        else START + timedelta(hours=chance.randrange(30)),
        holder_id=organization.members[Role.OPERATOR] if held else None,
        lease_until=datetime.now(UTC) + timedelta(minutes=chance.choice((-10, 10))) if held else None,
        fence=chance.randrange(5),
    )
    planted.conversations.append(conversation)
    for number in range(chance.randrange(5)):
        _plant_message(planted, chance, conversation, number)


def _plant_message(planted: Planted, chance: random.Random, conversation: Conversation, number: int) -> None:
    tenant, sent = conversation.tenant_id, number % 2 == 1
    occurred_at = conversation.opened_at + timedelta(minutes=chance.randrange(4))
    message = Message(
        tenant_id=tenant,
        conversation_id=conversation.id,
        social_account_id=conversation.social_account_id,
        network=conversation.network,
        external_id=f"{conversation.thread_key}/{number}",
        direction=Direction.OUTBOUND if sent else Direction.INBOUND,
        visibility=Visibility.DIRECT if conversation.channel_kind is ChannelKind.DIRECT else Visibility.PUBLIC,
        author_kind=AuthorKind.COLLEAGUE if sent else AuthorKind.CITIZEN,
        contact_id=conversation.contact_id,
        author_id=planted.organization.members[Role.OPERATOR] if sent else None,
        text=f"Words {number}{chance.choice(ODD)}",
        text_at=occurred_at,
        occurred_at=occurred_at,
    )
    if sent:
        delivery = Delivery(
            tenant_id=tenant, origin=Origin.REPLY, origin_id=message.id, social_account_id=message.social_account_id,
            outbound_kind=OutboundKind.REPLY, text=message.text, target={}, content_hash=b"", due_at=occurred_at,
        )  # fmt: skip
        planted.deliveries.append(delivery)
        message.delivery_id = delivery.id
    planted.messages.append(message)


def _surroundings(planted: Planted) -> Sequence[Any]:
    tenant, organization = planted.organization.id, planted.organization
    first, both = planted.conversations[0], (Role.EXPERT, Role.COORDINATOR)
    replies = [
        Reply(tenant_id=tenant, conversation_id=each.conversation_id, message_id=each.id, delivery_id=each.delivery_id,
              purpose=ReplyPurpose.ANSWER, author_id=organization.members[Role.OPERATOR])
        for each in planted.messages if each.delivery_id is not None and each.conversation_id is not None
    ]  # fmt: skip
    participants = [
        Participant(tenant_id=tenant, conversation_id=first.id, membership_id=member, kind=ParticipantKind.TASK)
        for member in (organization.members.get(role) for role in both)
        if member is not None
    ]
    segments = [
        WaitingSegment(
            tenant_id=tenant,
            conversation_id=each.id,
            opened_by=each.id,
            opened_at=each.opened_at,
            is_first=True,
            wall_seconds=90,
        )
        for each in planted.conversations
    ]
    closed = [each for each in planted.conversations if each.state is ConversationState.CLOSED]
    closings = [
        Closing(tenant_id=tenant, conversation_id=each.id, at=START, outcome=Outcome.ANSWERED, text="Done.")
        for each in closed
    ]
    return [*replies, *participants, *segments, *closings]
