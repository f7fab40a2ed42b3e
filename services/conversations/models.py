# SPDX-License-Identifier: EUPL-1.2
"""Tables of contacts, conversations, messages, categories, routing, waiting segments and replies."""

from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    ConversationState,
    Difficulty,
    Direction,
    Intent,
    Outcome,
    ParticipantKind,
    ReplyPurpose,
    SegmentOutcome,
    Visibility,
)
from services.kernel.isolation import (
    NEVER,
    DataClass,
    TenantOwned,
    UtcDateTime,
    Versioned,
    constraints,
    instant,
    personal,
    tenant_reference,
    words,
)
from services.social_accounts.rules import Network, OutboundKind


class Contact(Versioned, table=True):
    """A citizen as one organization knows them: a pseudonym per network handle, or one per form submission."""

    __tablename__ = "contact"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "network", "server_host", "external_id"),
        Index("ix_contact_created_at", "tenant_id", "created_at", "id"),
        Index("ix_contact_words", text("belfry.search_keys(tenant_id, display_name, handle)"), postgresql_using="gin"),
    )
    __not_personal__: ClassVar = frozenset({"server_host"})

    network: Network = words(Network)
    server_host: str = ""
    external_id: str = personal(DataClass.CITIZEN_IDENTITY)
    handle: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    display_name: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    email: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    seen_at: datetime = instant()
    opted_out: bool = False
    blocked: bool = False


class Category(Versioned, table=True):
    """A topic, at most two levels deep. Exactly one department is responsible, or the topic is a listed gap."""

    __tablename__ = "category"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "parent_id", "name", postgresql_nulls_not_distinct=True),
        Index("ix_category_sort_key", "tenant_id", "sort_key", "id"),
    )
    __not_personal__: ClassVar = frozenset({"name", "sort_key", "e_service_url"})

    parent_id: UUID | None = tenant_reference("category", default=None)
    name: str
    sort_key: str
    formal: bool = False
    confidential: bool = False
    hard: bool = False
    e_service_url: str | None = None
    reopen_days: int = 14
    no_response_days: int = 14
    active: bool = True


class CategoryDepartment(TenantOwned, table=True):
    """What a department has to do with a topic: it answers for it, or it may look."""

    __tablename__ = "category_department"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "category_id", "department_id"),
        Index("ix_category_department_category_id", "tenant_id", "category_id", "id"),
        Index("uq_category_department_responsible", "tenant_id", "category_id", unique=True,
              postgresql_where=text("is_responsible")),
        Index("ix_category_department_department_id", "tenant_id", "department_id", "category_id"),
    )  # fmt: skip

    category_id: UUID = tenant_reference("category")
    department_id: UUID = tenant_reference("department")
    is_responsible: bool = False
    can_view: bool = True


class RoutingRule(Versioned, table=True):
    """One line of the routing table: when one of its words occurs, the topic is known. First match wins."""

    __tablename__ = "routing_rule"
    __table_args__: ClassVar[Any] = constraints(UniqueConstraint("tenant_id", "position"))
    __not_personal__: ClassVar = frozenset({"name", "keywords"})

    position: int
    name: str
    keywords: list[str] = Field(sa_type=ARRAY(Text))
    social_account_id: UUID | None = tenant_reference("social_account", default=None)
    category_id: UUID = tenant_reference("category")
    active: bool = True


class Conversation(Versioned, table=True):
    """One exchange with a citizen. Holding is orthogonal to its state; only `commands` write the claim columns.

    `due_order` is `next_contact_due_at`, or the end of time for closed ones, so that the inbox has a key without nulls.
    """

    __tablename__ = "conversation"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "thread_key", "contact_id", "episode"),
        CheckConstraint("priority in (10, 20, 30, 40)", "priority"),
        CheckConstraint("state = 'CLOSED' or next_contact_due_at is not null", "next_contact"),
        CheckConstraint("(holder_id is null) = (lease_until is null)", "holder"),
        Index("ix_conversation_due_order", "tenant_id", "due_order", "id"),
        Index("ix_conversation_opened_at", "tenant_id", "opened_at", "id"),
        Index("ix_conversation_last_message_at", "tenant_id", "last_message_at", "id"),
        Index("ix_conversation_state", "tenant_id", "state", "due_order", "id"),
        Index("ix_conversation_department_id", "tenant_id", "department_id", "due_order", "id"),
        Index("ix_conversation_category_id", "tenant_id", "category_id", "due_order", "id"),
        Index("ix_conversation_social_account_id", "tenant_id", "social_account_id", "due_order", "id"),
        Index("ix_conversation_contact_id", "tenant_id", "contact_id", "due_order", "id"),
        Index("ix_conversation_contact_id_opened_at", "tenant_id", "contact_id", "opened_at", "id"),
        Index("ix_conversation_contact_id_last_message_at", "tenant_id", "contact_id", "last_message_at", "id"),
        Index("ix_conversation_contact_id_priority", "tenant_id", "contact_id", "priority", "id"),
        Index("ix_conversation_holder_id", "tenant_id", "holder_id", "due_order", "id"),
        Index("ix_conversation_priority", "tenant_id", "priority", "due_order", "id"),
        Index("ix_conversation_priority_id", "tenant_id", "priority", "id"),
        Index("ix_conversation_channel_kind", "tenant_id", "channel_kind", "due_order", "id"),
        Index("ix_conversation_reference", "tenant_id", literal_column("belfry.search_code(reference)").label("code"),
              postgresql_ops={"code": "text_pattern_ops"}, postgresql_where=text("reference is not null")),
    )  # fmt: skip
    __not_personal__: ClassVar = frozenset({"server_host", "language", "reference"})

    network: Network = words(Network)
    server_host: str = ""
    thread_key: str = personal(DataClass.CITIZEN_IDENTITY)
    episode: int = 1
    previous_id: UUID | None = tenant_reference("conversation", default=None)
    social_account_id: UUID = tenant_reference("social_account")
    contact_id: UUID = tenant_reference("contact")
    channel_kind: ChannelKind = words(ChannelKind)
    reference: str | None = None
    language: str | None = None
    category_id: UUID | None = tenant_reference("category", default=None)
    categorized_by: UUID | None = tenant_reference("membership", default=None)
    department_id: UUID = tenant_reference("department")
    directing_department_id: UUID | None = tenant_reference("department", default=None)
    priority: int = Field(default=20, sa_type=SmallInteger)
    difficulty: Difficulty = words(Difficulty, default=Difficulty.NORMAL)
    state: ConversationState = words(ConversationState, default=ConversationState.NEW)
    outcome: Outcome | None = words(Outcome, default=None)
    opened_at: datetime = instant()
    last_message_at: datetime = instant()
    closed_at: datetime | None = instant(default=None)
    next_contact_due_at: datetime | None = instant(default=None)
    due_order: datetime = Field(
        default=None,
        sa_type=cast("Any", UtcDateTime()),
        nullable=False,
        sa_column_args=(Computed(f"coalesce(next_contact_due_at, timestamptz '{NEVER.isoformat()}')", persisted=True),),
    )
    holder_id: UUID | None = tenant_reference("membership", default=None)
    last_holder_id: UUID | None = tenant_reference("membership", default=None)
    lease_until: datetime | None = instant(default=None)
    fence: int = Field(default=0, sa_type=BigInteger)


class Participant(TenantOwned, table=True):
    """Somebody besides the holder who works on a conversation."""

    __tablename__ = "participant"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "conversation_id", "membership_id", "kind"),
        Index("ix_participant_conversation_id", "tenant_id", "conversation_id", "id"),
        Index("ix_participant_membership_id", "tenant_id", "membership_id", "conversation_id"),
    )

    conversation_id: UUID = tenant_reference("conversation")
    membership_id: UUID = tenant_reference("membership")
    kind: ParticipantKind = words(ParticipantKind)


class RoutingDecision(TenantOwned, table=True):
    """Why a conversation went where it went: the inputs, the rule that matched, and those passed over."""

    __tablename__ = "routing_decision"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_routing_decision_conversation_id", "tenant_id", "conversation_id")
    )
    __not_personal__: ClassVar = frozenset({"why"})

    conversation_id: UUID = tenant_reference("conversation")
    rule_id: UUID | None = tenant_reference("routing_rule", default=None)
    category_id: UUID | None = tenant_reference("category", default=None)
    department_id: UUID = tenant_reference("department")
    why: dict[str, Any] = Field(sa_type=JSONB)


class WaitingSegment(TenantOwned, table=True):
    """A stretch in which a citizen waits for an answer; a pure function of the conversation's facts.

    Policy, calendar and open seconds are null until an organization has service levels.
    """

    __tablename__ = "waiting_segment"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "opened_by"),
        Index("ix_waiting_segment_conversation_id", "tenant_id", "conversation_id", "opened_at", "id"),
        Index("ix_waiting_segment_opened_at", "tenant_id", "opened_at", "id"),
    )

    conversation_id: UUID = tenant_reference("conversation")
    opened_by: UUID
    opened_at: datetime = instant()
    closed_by: UUID | None = None
    closed_at: datetime | None = instant(default=None)
    outcome: SegmentOutcome | None = words(SegmentOutcome, default=None)
    dismissal_confirmed_by: UUID | None = tenant_reference("membership", default=None)
    calendar_version: int | None = None
    policy_version: int | None = None
    wall_seconds: int | None = Field(default=None, sa_type=BigInteger)
    open_seconds: int | None = Field(default=None, sa_type=BigInteger)
    is_first: bool = False


class Message(Versioned, table=True):
    """One message, received or sent. An own post that nobody asked for has no conversation.

    `text_at` is the instant of the words shown, so that an edit that arrives before its original still wins;
    `first_text_at` and `first_version_tag` are those of the earliest version seen, so that it shows as an edit.
    """

    __tablename__ = "message"
    __table_args__: ClassVar[Any] = constraints(
        UniqueConstraint("tenant_id", "network", "server_host", "external_id"),
        Index("ix_message_conversation_id", "tenant_id", "conversation_id", "occurred_at", "id"),
        Index("ix_message_outbound", "tenant_id", "published_at", postgresql_where=text("outbound_kind is not null")),
        Index("ix_message_delivery_id", "tenant_id", "delivery_id"),
        Index("ix_message_words", text("belfry.search_keys(tenant_id, text)"), postgresql_using="gin",
              postgresql_where=text("conversation_id is not null")),
        Index("ix_message_orphan", "tenant_id", "parent_external_id",
              postgresql_where=text("conversation_id is null and parent_external_id is not null")),
    )  # fmt: skip
    __not_personal__: ClassVar = frozenset({"server_host", "language", "version_tag", "first_version_tag"})

    conversation_id: UUID | None = tenant_reference("conversation", default=None)
    social_account_id: UUID = tenant_reference("social_account")
    network: Network = words(Network)
    server_host: str = ""
    external_id: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    version_tag: str | None = None
    root_external_id: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    parent_external_id: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    reply_target: dict[str, Any] | None = personal(
        DataClass.CITIZEN_IDENTITY, default=None, sa_type=cast("Any", JSONB(none_as_null=True))
    )
    direction: Direction = words(Direction)
    visibility: Visibility = words(Visibility)
    author_kind: AuthorKind = words(AuthorKind)
    contact_id: UUID | None = tenant_reference("contact", default=None)
    author_id: UUID | None = tenant_reference("membership", default=None)
    intent: Intent | None = words(Intent, default=None)
    language: str | None = None
    text: str = personal(DataClass.CITIZEN_CONTENT)
    text_at: datetime = instant()
    first_text_at: datetime | None = instant(default=None)
    first_version_tag: str | None = None
    occurred_at: datetime = instant()
    published_at: datetime | None = instant(default=None)
    edited_at: datetime | None = instant(default=None)
    deleted_at: datetime | None = instant(default=None)
    permalink: str | None = personal(DataClass.CITIZEN_IDENTITY, default=None)
    outbound_kind: OutboundKind | None = words(OutboundKind, default=None)
    purpose: ReplyPurpose | None = words(ReplyPurpose, default=None)
    delivery_id: UUID | None = tenant_reference("delivery", default=None)
    like_count: int | None = None
    repost_count: int | None = None
    reply_count: int | None = None
    quote_count: int | None = None
    counted_at: datetime | None = instant(default=None)


class Reply(TenantOwned, table=True):
    """An answer that passed the reply gate; its delivery tells whether it was published."""

    __tablename__ = "reply"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_reply_conversation_id", "tenant_id", "conversation_id", "created_at"),
        UniqueConstraint("tenant_id", "delivery_id"),
    )

    conversation_id: UUID = tenant_reference("conversation")
    message_id: UUID = tenant_reference("message")
    delivery_id: UUID = tenant_reference("delivery")
    segment_id: UUID | None = None
    purpose: ReplyPurpose = words(ReplyPurpose)
    author_id: UUID = tenant_reference("membership")
    follow_up: bool = False


class Closing(TenantOwned, table=True):
    """One closing of a conversation: its outcome and the closing text. Segments are computed from it too."""

    __tablename__ = "closing"
    __table_args__: ClassVar[Any] = constraints(
        Index("ix_closing_conversation_id", "tenant_id", "conversation_id", "at", "id")
    )

    conversation_id: UUID = tenant_reference("conversation")
    at: datetime = instant()
    outcome: Outcome = words(Outcome)
    text: str = personal(DataClass.COLLEAGUE)
    closed_by: UUID | None = tenant_reference("membership", default=None)
