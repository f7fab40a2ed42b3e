# SPDX-License-Identifier: EUPL-1.2
"""Live events of conversations: what happened, for whoever sees the conversation now.

Who saw it before is read from the audit log: it tells which department and topic a conversation had, and who held it,
before the event that changed them.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, cast
from uuid import UUID

import strawberry
from sqlalchemy import Uuid, bindparam, exists, select
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.visitors import replacement_traverse
from sqlmodel import col

from graphql_schema.arguments import PERMISSION
from graphql_schema.context import Context
from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import encode_id, plain
from graphql_schema.reading.inputs import filter_input
from graphql_schema.reading.mapping import read_back, vocabulary
from graphql_schema.reading.resolvers import matching_ids
from graphql_schema.subscription import LEFT_VIEW, RESYNC, EventStream, Sight, StreamedEvent
from services.assignments import events as assignments
from services.conversations import events as conversations
from services.conversations import models
from services.conversations.queries import CONVERSATION_IS_VISIBLE
from services.kernel.access import Permission
from services.kernel.audit import AuditEvent
from services.kernel.database import Snapshot
from services.kernel.events import Event
from services.kernel.isolation import ACTOR
from services.kernel.outbox import OutboxEntry

KINDS: dict[type[Event], tuple[str, str]] = {
    conversations.ConversationOpened: ("OPENED", "A citizen began it."),
    conversations.ConversationRouted: ("ROUTED", "The routing table sent it to a department."),
    conversations.ConversationCategorized: ("CATEGORIZED", "A person chose its topic, and with it its department."),
    conversations.MessageReceived: ("MESSAGE_RECEIVED", "The citizen wrote."),
    conversations.MessageChanged: ("MESSAGE_CHANGED", "The author edited or deleted a message."),
    conversations.SegmentEnded: ("WAIT_ENDED", "A wait of the citizen is over, or its outcome was corrected."),
    conversations.ConversationStateChanged: ("STATE_CHANGED", "Its state is another one."),
    conversations.ConversationClosed: ("CLOSED", "It was closed."),
    conversations.ConversationReopened: ("REOPENED", "It was opened again."),
    conversations.ReplyAccepted: ("REPLY_ACCEPTED", "A reply passed the gate and is on its way to the network."),
    conversations.ReplyPublished: ("REPLY_PUBLISHED", "A reply is on the network."),
    conversations.ReplyFailed: ("REPLY_FAILED", "A reply will not appear by itself; its author must act."),
    assignments.ConversationClaimed: ("CLAIMED", "Somebody holds it now."),
    assignments.ConversationReleased: ("RELEASED", "Its holder gave it back."),
    assignments.ConversationTakenOver: ("TAKEN_OVER", "A coordinator took it; the former holder is to be told."),
    assignments.ClaimLapsed: ("CLAIM_LAPSED", "Its holder went away; it is in the pool again."),
    assignments.ClaimCompleted: ("CLAIM_COMPLETED", "Its holder finished it."),
}
"""Every event of a conversation that clients see: the fact, its name in the schema, and what it means."""

STREAM_ITSELF = {
    LEFT_VIEW: "The caller does not see it any more: only its id is told.",
    RESYNC: "Too much was missed to be told one by one: fetch the list again, and resume from this cursor.",
}

MEANINGS = dict([*KINDS.values(), *STREAM_ITSELF.items()])
ConversationEventKind = vocabulary(
    cast("type[StrEnum]", StrEnum("ConversationEventKind", [(each, each) for each in MEANINGS], module=__name__)),
    "What happened to a conversation. Values are added over time.",
    **MEANINGS,
)

NAMES = {event.kind: name for event, (name, _) in KINDS.items()} | {name: name for name in STREAM_ITSELF}
ROUTING = frozenset({conversations.ConversationRouted.kind, conversations.ConversationCategorized.kind})
TAKING = frozenset({assignments.ConversationClaimed.kind, assignments.ConversationTakenOver.kind})
GIVING_BACK = frozenset(
    event.kind for event in (assignments.ConversationReleased, assignments.ClaimLapsed, assignments.ClaimCompleted)
)
ConversationFilter = filter_input(Conversation)
CAN_TAKE_FROM_VIEW = ROUTING | TAKING
"""Events after which somebody who saw a conversation may not see it any more."""


@strawberry.type(description="Something that happened to a conversation that the caller sees, or saw until then.")
class ConversationEvent:
    """One event of a subscription."""

    event: ConversationEventKind = strawberry.field(description="What happened.")  # pyright: ignore[reportInvalidTypeForm]
    node: Conversation | None = read_back("The conversation as it is now; null for LEFT_VIEW and RESYNC.")
    node_id: strawberry.ID | None = strawberry.field(description="Its id, for LEFT_VIEW too; null for RESYNC only.")
    cursor: str = strawberry.field(
        description="Where the stream stands: send it as `after` to resume behind this event."
    )
    occurred_at: datetime = strawberry.field(description="When it was recorded.")


@strawberry.type
class ConversationSubscriptions:
    """What happens while somebody watches."""

    @strawberry.subscription(
        description="What happens to the conversations that the caller sees: after each commit, in order, at least "
        "once. Rights are checked for every event. Needs conversations:read.",
        metadata={PERMISSION: Permission.CONVERSATION_READ},
    )
    async def conversation_events(
        self,
        info: strawberry.Info[Context, None],
        filter: Annotated[  # noqa: A002  # pyright: ignore[reportUnknownParameterType]  the schema's name for it
            ConversationFilter | None,  # pyright: ignore[reportInvalidTypeForm]
            strawberry.argument(description="Only conversations that match now."),
        ] = strawberry.UNSET,
        after: Annotated[
            str | None,
            strawberry.argument(description="The cursor of the last event seen; without it the stream begins now."),
        ] = strawberry.UNSET,
    ) -> AsyncGenerator[ConversationEvent, None]:
        asked = None if filter is strawberry.UNSET else filter
        async with info.context.snapshot() as snapshot:
            await matching_ids(snapshot, Conversation, [], asked)  # refuses a filter that cannot be answered
        stream = EventStream(
            info.context, "conversationEvents", frozenset(NAMES) - set(STREAM_ITSELF), Watcher(asked).look
        )
        return _told(await stream.open(None if after is strawberry.UNSET else after))


@dataclass(frozen=True)
class Watcher:
    """One subscriber's filter, and what it lets through."""

    filter: object

    async def look(self, snapshot: Snapshot, entry: OutboxEntry) -> Sight:
        """Whether the subscriber sees the conversation of an event now, or did until this event."""
        if await matching_ids(snapshot, Conversation, [entry.subject_id], self.filter):
            return Sight.SHOWN
        if entry.kind not in CAN_TAKE_FROM_VIEW or await matching_ids(snapshot, Conversation, [entry.subject_id]):
            return Sight.SKIPPED
        return Sight.LEFT if await saw_before(snapshot, entry) else Sight.SKIPPED


async def _told(events: AsyncGenerator[StreamedEvent, None]) -> AsyncGenerator[ConversationEvent, None]:
    try:
        async for each in events:
            is_shown = each.kind not in STREAM_ITSELF
            yield ConversationEvent(
                event=ConversationEventKind[NAMES[each.kind]],
                node=Conversation.of(each.subject_id) if is_shown and each.subject_id is not None else None,
                node_id=None if each.subject_id is None else strawberry.ID(encode_id(Conversation, each.subject_id)),
                cursor=each.cursor,
                occurred_at=each.occurred_at,
            )
    finally:
        await events.aclose()


async def saw_before(snapshot: Snapshot, entry: OutboxEntry) -> bool:
    """Whether the actor saw a conversation until the event: the predicate over department, topic and holder then."""
    before = await _before(snapshot, entry)
    if before is None:
        return False
    table = models.Conversation.__table__  # pyright: ignore[reportAttributeAccessIssue]
    replaced = {table.c[name]: bindparam(f"before_{name}", value, type_=Uuid()) for name, value in before.items()}

    def replace(element: Any, **_: Any) -> Any:
        return replaced.get(element) if isinstance(element, ColumnClause) else None

    visible = replacement_traverse(plain(CONVERSATION_IS_VISIBLE), {}, replace)
    row = select(table.c.id).where(table.c.tenant_id == ACTOR.tenant, table.c.id == entry.subject_id, visible)
    return bool(await snapshot.scalar(select(exists(row))))


async def _before(snapshot: Snapshot, entry: OutboxEntry) -> dict[str, UUID | None] | None:
    """What decided on visibility before an event, by the audit log; None when the conversation was not routed yet."""
    statement = (
        select(col(AuditEvent.action), col(AuditEvent.detail))
        .where(
            col(AuditEvent.tenant_id) == ACTOR.tenant,
            col(AuditEvent.subject_id) == entry.subject_id,
            col(AuditEvent.seq) < entry.seq,
            col(AuditEvent.action).in_(sorted(ROUTING | TAKING | GIVING_BACK)),
        )
        .order_by(col(AuditEvent.seq).desc())
    )
    routed = await snapshot.rows(statement.where(col(AuditEvent.action).in_(sorted(ROUTING))).limit(1))
    held = await snapshot.rows(statement.where(col(AuditEvent.action).in_(sorted(TAKING | GIVING_BACK))).limit(1))
    if not routed:
        return None
    department, category = (routed[0].detail.get(name) for name in ("department_id", "category_id"))
    found: dict[str, UUID | None] = {"department_id": UUID(department), "category_id": category and UUID(category)}
    holder = UUID(held[0].detail["holder_id"]) if held else None
    is_held = bool(held) and held[0].action in TAKING
    return found | {"holder_id": holder if is_held else None, "last_holder_id": holder}
