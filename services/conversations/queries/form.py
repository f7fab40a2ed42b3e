# SPDX-License-Identifier: EUPL-1.2
"""What the status page of the contact form shows."""

from sqlalchemy import (
    ColumnElement,
    and_,
    or_,
)
from sqlmodel import col

from services.conversations.models import (
    Conversation,
    Message,
)
from services.conversations.rules import AuthorKind, Direction
from services.kernel.database import Snapshot
from services.kernel.isolation import owned
from services.social_accounts.rules import Network


async def conversation_of_form(snapshot: Snapshot, thread: str) -> Conversation | None:
    """The newest conversation of a thread of the contact form, for its status page."""
    return await snapshot.one_or_none(
        owned(Conversation, *_of_form(thread)).order_by(col(Conversation.episode).desc()).limit(1)
    )


async def messages_of_form(snapshot: Snapshot, thread: str, *, limit: int) -> list[Message]:
    """What the citizen wrote and what was published to them, over all conversations of the thread; oldest first."""
    conversations = owned(Conversation, *_of_form(thread)).with_only_columns(col(Conversation.id))
    rows = await snapshot.scalars(
        owned(
            Message,
            col(Message.conversation_id).in_(conversations),
            or_(
                and_(col(Message.direction) == Direction.INBOUND, col(Message.author_kind) == AuthorKind.CITIZEN),
                and_(col(Message.direction) == Direction.OUTBOUND, col(Message.published_at).is_not(None)),
            ),
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id).desc())
        .limit(limit)
    )
    return rows[::-1]


def _of_form(thread: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(Conversation.network) == Network.WEBFORM, col(Conversation.thread_key) == thread
