# SPDX-License-Identifier: EUPL-1.2
"""Live events of conversations: what happened, for whoever sees the conversation now."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, cast

import strawberry

from graphql_schema.arguments import PERMISSION
from graphql_schema.context import Context
from graphql_schema.conversations.types import Conversation
from graphql_schema.conversations.watching import Watcher
from graphql_schema.live.stream import LEFT_VIEW, RESYNC, EventStream, StreamedEvent
from graphql_schema.reading.declarations import encode_id
from graphql_schema.reading.inputs import filter_input
from graphql_schema.reading.mapping import read_back, vocabulary
from graphql_schema.reading.onlookers import watched_filter
from services.assignments import events as assignments
from services.conversations import events as conversations
from services.kernel.access import Permission
from services.kernel.events import Event

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
ConversationFilter = filter_input(Conversation)


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
        asked = watched_filter(Conversation, None if filter is strawberry.UNSET else filter)
        kinds = frozenset(NAMES) - set(STREAM_ITSELF)
        stream = EventStream(info.context, "conversationEvents", kinds, Watcher(asked), told)
        return await stream.open(None if after is strawberry.UNSET else after)


def told(event: StreamedEvent) -> ConversationEvent:
    """An event of the stream as clients see it."""
    is_shown = event.kind not in STREAM_ITSELF
    return ConversationEvent(
        event=ConversationEventKind[NAMES[event.kind]],
        node=Conversation.of(event.subject_id) if is_shown and event.subject_id is not None else None,
        node_id=None if event.subject_id is None else strawberry.ID(encode_id(Conversation, event.subject_id)),
        cursor=event.cursor,
        occurred_at=event.occurred_at,
    )
