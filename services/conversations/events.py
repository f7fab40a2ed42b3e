# SPDX-License-Identifier: EUPL-1.2
"""What happened in conversations. Ids only: words stay in the tables, where they can be erased."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.conversations.rules import ConversationState, Outcome, ReplyPurpose, SegmentOutcome
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class ConversationOpened(Event, kind="conversation.opened", subject="conversation_id"):
    conversation_id: UUID
    social_account_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConversationRouted(Event, kind="conversation.routed", subject="conversation_id"):
    conversation_id: UUID
    department_id: UUID
    category_id: UUID | None
    rule_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class MessageReceived(Event, kind="conversation.message_received", subject="conversation_id"):
    conversation_id: UUID
    message_id: UUID


@dataclass(frozen=True, kw_only=True)
class MessageChanged(Event, kind="conversation.message_changed", subject="conversation_id"):
    """Its author edited or deleted it."""

    conversation_id: UUID
    message_id: UUID
    deleted: bool


@dataclass(frozen=True, kw_only=True)
class SegmentEnded(Event, kind="conversation.segment_ended", subject="conversation_id"):
    """A wait is over. It may be told again with another outcome when a late fact changes it."""

    conversation_id: UUID
    segment_id: UUID
    outcome: SegmentOutcome
    ended_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConversationStateChanged(Event, kind="conversation.state_changed", subject="conversation_id"):
    conversation_id: UUID
    before: ConversationState
    after: ConversationState


@dataclass(frozen=True, kw_only=True)
class ConversationCategorized(Event, kind="conversation.categorized", subject="conversation_id"):
    conversation_id: UUID
    category_id: UUID
    department_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConversationClosed(Event, kind="conversation.closed", subject="conversation_id"):
    conversation_id: UUID
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class ConversationReopened(Event, kind="conversation.reopened", subject="conversation_id"):
    conversation_id: UUID


@dataclass(frozen=True, kw_only=True)
class ReplyAccepted(Event, kind="conversation.reply_accepted", subject="conversation_id"):
    conversation_id: UUID
    reply_id: UUID
    delivery_id: UUID
    purpose: ReplyPurpose


@dataclass(frozen=True, kw_only=True)
class ReplyPublished(Event, kind="conversation.reply_published", subject="conversation_id"):
    conversation_id: UUID
    reply_id: UUID
    message_id: UUID
    purpose: ReplyPurpose


@dataclass(frozen=True, kw_only=True)
class ReplyFailed(Event, kind="conversation.reply_failed", subject="conversation_id"):
    """The reply will not appear by itself; whoever wrote it must act."""

    conversation_id: UUID
    reply_id: UUID
    error: str
