# SPDX-License-Identifier: EUPL-1.2
"""What happened to claims."""

from dataclasses import dataclass
from uuid import UUID

from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class ConversationClaimed(Event, kind="conversation.claimed", subject="conversation_id"):
    conversation_id: UUID
    holder_id: UUID
    fence: int


@dataclass(frozen=True, kw_only=True)
class ConversationReleased(Event, kind="conversation.released", subject="conversation_id"):
    conversation_id: UUID
    holder_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConversationTakenOver(Event, kind="conversation.taken_over", subject="conversation_id"):
    """A coordinator took it; the former holder is to be told."""

    conversation_id: UUID
    holder_id: UUID
    former_holder_id: UUID | None
    fence: int


@dataclass(frozen=True, kw_only=True)
class ClaimLapsed(Event, kind="conversation.claim_lapsed", subject="conversation_id"):
    """Its holder went away; it is in the pool again."""

    conversation_id: UUID
    holder_id: UUID


@dataclass(frozen=True, kw_only=True)
class ClaimCompleted(Event, kind="conversation.claim_completed", subject="conversation_id"):
    conversation_id: UUID
    holder_id: UUID
