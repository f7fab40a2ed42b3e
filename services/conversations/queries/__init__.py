# SPDX-License-Identifier: EUPL-1.2
"""Who may see which conversation, message and contact; and the reads that commands need."""

from services.conversations.queries.figures import (
    said,
    waits,
)
from services.conversations.queries.form import (
    conversation_of_form,
    messages_of_form,
)
from services.conversations.queries.lines import CONTACT_LINES, CONVERSATION_LINES
from services.conversations.queries.rows import (
    category,
    check_reach,
    collaborators,
    conversation_for_update,
    has_reply_on_its_way,
    held_count,
    messages_of,
    newest_citizen_message,
    open_segment,
    private_texts,
    reply_of_delivery,
    responsible_department,
    visible_conversation,
    visible_versions,
)
from services.conversations.queries.visibility import (
    CATEGORY_IS_VISIBLE,
    CONTACT_IS_VISIBLE,
    CONVERSATION_IS_VISIBLE,
    DELIVERY_IS_VISIBLE,
    MESSAGE_IS_VISIBLE,
    matching,
)

__all__ = [
    "CATEGORY_IS_VISIBLE",
    "CONTACT_IS_VISIBLE",
    "CONTACT_LINES",
    "CONVERSATION_IS_VISIBLE",
    "CONVERSATION_LINES",
    "DELIVERY_IS_VISIBLE",
    "MESSAGE_IS_VISIBLE",
    "category",
    "check_reach",
    "collaborators",
    "conversation_for_update",
    "conversation_of_form",
    "has_reply_on_its_way",
    "held_count",
    "matching",
    "messages_of",
    "messages_of_form",
    "newest_citizen_message",
    "open_segment",
    "private_texts",
    "reply_of_delivery",
    "responsible_department",
    "said",
    "visible_conversation",
    "visible_versions",
    "waits",
]
