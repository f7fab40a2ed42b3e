# SPDX-License-Identifier: EUPL-1.2
"""The reads that commands need: conversations and what belongs to them."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import (
    exists,
    func,
    select,
)
from sqlmodel import col

from services.conversations.models import (
    Category,
    CategoryDepartment,
    Conversation,
    Message,
    Participant,
    Reply,
    WaitingSegment,
)
from services.conversations.queries.visibility import CONVERSATION_IS_VISIBLE
from services.conversations.rules import AuthorKind, ParticipantKind, Visibility
from services.deliveries import queries as deliveries
from services.kernel.access import Permission
from services.kernel.database import Snapshot
from services.kernel.errors import NotPermitted
from services.kernel.isolation import ACTOR, owned, same_tenant

PRIVATE_TEXTS_MAX = 200


async def visible_conversation(snapshot: Snapshot, conversation_id: UUID) -> Conversation:
    """A conversation that the actor may see. Unknown, foreign and invisible ones are all NOT_FOUND."""
    return await snapshot.one(owned(Conversation, col(Conversation.id) == conversation_id, CONVERSATION_IS_VISIBLE))


async def conversation_for_update(snapshot: Snapshot, conversation_id: UUID) -> Conversation:
    """A visible conversation, locked until the unit of work ends: every act on one conversation takes its turn."""
    return await snapshot.one(
        owned(Conversation, col(Conversation.id) == conversation_id, CONVERSATION_IS_VISIBLE).with_for_update()
    )


async def category(snapshot: Snapshot, category_id: UUID) -> Category:
    """One topic. Raises NotFound."""
    return await snapshot.one(owned(Category, col(Category.id) == category_id))


async def responsible_department(snapshot: Snapshot, category_id: UUID) -> UUID | None:
    """Who answers for a topic; None is a listed gap."""
    return await snapshot.one_or_none(
        select(col(CategoryDepartment.department_id)).where(
            col(CategoryDepartment.tenant_id) == ACTOR.tenant,
            col(CategoryDepartment.category_id) == category_id,
            col(CategoryDepartment.is_responsible),
        )
    )


async def collaborators(snapshot: Snapshot, conversation_id: UUID) -> frozenset[UUID]:
    """Who works on a conversation beside its holder."""
    rows = await snapshot.scalars(
        owned(
            Participant,
            col(Participant.conversation_id) == conversation_id,
            col(Participant.kind) == ParticipantKind.COLLABORATOR,
        )
    )
    return frozenset(row.membership_id for row in rows)


async def check_reach(snapshot: Snapshot, permission: Permission, row: Conversation) -> None:
    """Refuse an act on a conversation that the actor may see but whose department, or claim, is not the actor's."""
    reach, me = snapshot.actor.range_of(permission), snapshot.actor.membership_id
    if reach.everywhere or {row.department_id, row.directing_department_id} & reach.departments:
        return
    holder = row.holder_id or row.last_holder_id
    if not (reach.held and me is not None and (me == holder or me in await collaborators(snapshot, row.id))):
        raise NotPermitted


async def newest_citizen_message(snapshot: Snapshot, conversation_id: UUID) -> Message | None:
    """What the citizen said last and did not take back."""
    return await snapshot.one_or_none(
        owned(
            Message,
            col(Message.conversation_id) == conversation_id,
            col(Message.author_kind) == AuthorKind.CITIZEN,
            col(Message.deleted_at).is_(None),
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id).desc())
        .limit(1)
    )


async def open_segment(snapshot: Snapshot, conversation_id: UUID) -> WaitingSegment | None:
    """The wait that runs now, if any."""
    return await snapshot.one_or_none(
        owned(
            WaitingSegment,
            col(WaitingSegment.conversation_id) == conversation_id,
            col(WaitingSegment.outcome).is_(None),
        )
    )


async def has_reply_on_its_way(snapshot: Snapshot, conversation_id: UUID) -> bool:
    """Whether a reply may still appear, or has appeared while this conversation was not told of it yet."""
    untold = exists().where(
        same_tenant(Message, Reply), col(Message.id) == col(Reply.message_id), col(Message.published_at).is_(None)
    )
    ids = await snapshot.scalars(
        owned(Reply, col(Reply.conversation_id) == conversation_id, untold).with_only_columns(col(Reply.delivery_id))
    )
    return await deliveries.any_may_appear(snapshot, ids)


async def reply_of_delivery(snapshot: Snapshot, delivery_id: UUID) -> Reply | None:
    """The reply that a delivery carries; None when it carries something else."""
    return await snapshot.one_or_none(owned(Reply, col(Reply.delivery_id) == delivery_id))


async def messages_of(snapshot: Snapshot, conversation_id: UUID) -> list[Message]:
    """Everything that was said, in order."""
    return await snapshot.scalars(
        owned(Message, col(Message.conversation_id) == conversation_id).order_by(
            col(Message.occurred_at), col(Message.id)
        )
    )


async def private_texts(snapshot: Snapshot, contact_id: UUID) -> list[str]:
    """What a citizen said in private, in any conversation, newest first: no public answer may repeat it."""
    conversations = owned(Conversation, col(Conversation.contact_id) == contact_id)
    return await snapshot.scalars(
        owned(
            Message,
            col(Message.conversation_id).in_(conversations.with_only_columns(col(Conversation.id))),
            col(Message.author_kind) == AuthorKind.CITIZEN,
            col(Message.visibility) == Visibility.DIRECT,
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id))
        .limit(PRIVATE_TEXTS_MAX)
        .with_only_columns(col(Message.text))
    )


async def held_count(snapshot: Snapshot, membership_id: UUID) -> int:
    """How many conversations somebody holds now."""
    return await snapshot.scalar(
        select(func.count())
        .select_from(Conversation)
        .where(
            col(Conversation.tenant_id) == ACTOR.tenant,
            col(Conversation.holder_id) == membership_id,
            col(Conversation.lease_until) > snapshot.now,
        )
    )


async def visible_versions(snapshot: Snapshot, conversation_ids: Collection[UUID]) -> dict[UUID, int]:
    """Of some conversations those that the actor may see, with their versions."""
    found = await snapshot.rows(
        owned(Conversation, col(Conversation.id).in_(conversation_ids), CONVERSATION_IS_VISIBLE).with_only_columns(
            col(Conversation.id), col(Conversation.version)
        )
    )
    return {row.id: row.version for row in found}
