# SPDX-License-Identifier: EUPL-1.2
"""What can be taken out of conversations: each with what was said and how long the citizen waited, and the contacts."""

from sqlalchemy import true

from services.conversations.models import Closing, Contact, Conversation, Message, WaitingSegment
from services.conversations.queries.visibility import CONTACT_IS_VISIBLE, CONVERSATION_IS_VISIBLE, MESSAGE_IS_VISIBLE
from services.conversations.rules import Priority
from services.kernel.lines import Lines, Parts, Rows, Said, id_of
from services.social_accounts.queries import SOCIAL_ACCOUNT_LINES

CONVERSATIONS = Rows(Conversation, CONVERSATION_IS_VISIBLE)
CONTACTS = Rows(Contact, CONTACT_IS_VISIBLE)

MESSAGES = Parts(
    Rows(Message, MESSAGE_IS_VISIBLE),
    Message.conversation_id,
    Message.occurred_at,
    {
        "id": id_of("MS", Message.id),
        "direction": Message.direction,
        "visibility": Message.visibility,
        "authorKind": Message.author_kind,
        "authorId": id_of("PE", Message.author_id),
        "text": Message.text,
        "language": Message.language,
        "intent": Message.intent,
        "purpose": Message.purpose,
        "occurredAt": Message.occurred_at,
        "publishedAt": Message.published_at,
        "editedAt": Message.edited_at,
        "deletedAt": Message.deleted_at,
        "permalink": Message.permalink,
    },
)
WAITING_SEGMENTS = Parts(
    Rows(WaitingSegment, true()),
    WaitingSegment.conversation_id,
    WaitingSegment.opened_at,
    {
        "id": id_of("WS", WaitingSegment.id),
        "openedAt": WaitingSegment.opened_at,
        "closedAt": WaitingSegment.closed_at,
        "outcome": WaitingSegment.outcome,
        "isFirst": WaitingSegment.is_first,
        "wallSeconds": WaitingSegment.wall_seconds,
        "openSeconds": WaitingSegment.open_seconds,
    },
)
CLOSINGS = Parts(
    Rows(Closing, true()),
    Closing.conversation_id,
    Closing.at,
    {
        "id": id_of("CL", Closing.id),
        "closedAt": Closing.at,
        "outcome": Closing.outcome,
        "text": Closing.text,
        "closedById": id_of("PE", Closing.closed_by),
    },
)

CONVERSATION_LINES = Lines(
    CONVERSATIONS,
    Conversation.opened_at,
    {
        "id": id_of("CV", Conversation.id),
        "reference": Conversation.reference,
        "network": Conversation.network,
        "channelKind": Conversation.channel_kind,
        "socialAccountId": id_of("SA", Conversation.social_account_id, SOCIAL_ACCOUNT_LINES.rows),
        "contactId": id_of("CT", Conversation.contact_id, CONTACTS),
        "departmentId": id_of("DP", Conversation.department_id),
        "directingDepartmentId": id_of("DP", Conversation.directing_department_id),
        "categoryId": id_of("CG", Conversation.category_id),
        "state": Conversation.state,
        "outcome": Conversation.outcome,
        "priority": Said(Conversation.priority, lambda value: Priority(value).name),
        "difficulty": Conversation.difficulty,
        "language": Conversation.language,
        "openedAt": Conversation.opened_at,
        "lastMessageAt": Conversation.last_message_at,
        "closedAt": Conversation.closed_at,
        "nextContactDueAt": Conversation.next_contact_due_at,
        "previousId": id_of("CV", Conversation.previous_id, CONVERSATIONS),
        "version": Conversation.version,
    },
    {"messages": MESSAGES, "waitingSegments": WAITING_SEGMENTS, "closings": CLOSINGS},
)

CONTACT_LINES = Lines(
    CONTACTS,
    Contact.created_at,
    {
        "id": id_of("CT", Contact.id),
        "network": Contact.network,
        "handle": Contact.handle,
        "displayName": Contact.display_name,
        "email": Contact.email,
        "optedOut": Contact.opted_out,
        "blocked": Contact.blocked,
        "createdAt": Contact.created_at,
        "version": Contact.version,
    },
    {},
)
