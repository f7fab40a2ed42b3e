# SPDX-License-Identifier: EUPL-1.2
"""Selections for figures. They show no words and no people."""

from typing import Any

from sqlalchemy import (
    Select,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.conversations.models import (
    Conversation,
    Message,
    WaitingSegment,
)
from services.kernel.isolation import ACTOR, same_tenant
from services.social_accounts.rules import OutboundKind


def waits() -> Select[*tuple[Any, ...]]:
    """Every wait of the organization with what it is counted by: opened_at, closed_at, outcome, is_dismissal_confirmed,
    department_id, social_account_id. For figures; it shows no words and no people.
    """
    return select(
        col(WaitingSegment.opened_at),
        col(WaitingSegment.closed_at),
        col(WaitingSegment.outcome),
        col(WaitingSegment.dismissal_confirmed_by).is_not(None).label("is_dismissal_confirmed"),
        col(Conversation.department_id),
        col(Conversation.social_account_id),
    ).join(
        Conversation,
        and_(
            same_tenant(Conversation, WaitingSegment),
            col(Conversation.id) == col(WaitingSegment.conversation_id),
            col(Conversation.tenant_id) == ACTOR.tenant,
        ),
    ).where(col(WaitingSegment.tenant_id) == ACTOR.tenant)  # fmt: skip


def said() -> Select[*tuple[Any, ...]]:
    """Every outbound item that counts, once: published_at, outbound_kind, department_id (null without a conversation),
    social_account_id. Of several replies in one conversation and wait the first counts.
    """
    # A row that is asked of each reply, and not DISTINCT ON over all: so a period reads its own messages only.
    earlier = aliased(Message, name="earlier")
    opened = (
        select(func.max(col(WaitingSegment.opened_at)))
        .where(
            same_tenant(WaitingSegment, Message),
            col(WaitingSegment.conversation_id) == col(Message.conversation_id),
            col(WaitingSegment.opened_at) <= col(Message.published_at),
        )
        .correlate(Message)
        .scalar_subquery()
    )
    is_repeated = exists(
        select(col(earlier.id))
        .where(
            same_tenant(earlier, Message),
            col(earlier.conversation_id) == col(Message.conversation_id),
            col(earlier.outbound_kind) == OutboundKind.REPLY,
            tuple_(col(earlier.published_at), col(earlier.id)) < tuple_(col(Message.published_at), col(Message.id)),
            col(earlier.published_at) >= func.coalesce(opened, col(earlier.published_at)),
        )
        .correlate(Message)
    )
    return (
        select(
            col(Message.published_at),
            col(Message.outbound_kind),
            col(Conversation.department_id),
            col(Message.social_account_id),
        )
        .outerjoin(
            Conversation,
            and_(
                same_tenant(Conversation, Message),
                col(Conversation.id) == col(Message.conversation_id),
                col(Conversation.tenant_id) == ACTOR.tenant,
            ),
        )
        .where(
            col(Message.tenant_id) == ACTOR.tenant,
            col(Message.outbound_kind).is_not(None),
            col(Message.published_at).is_not(None),
            or_(col(Message.outbound_kind) != OutboundKind.REPLY, not_(is_repeated)),
        )
    )
