# SPDX-License-Identifier: EUPL-1.2
"""Root fields of conversations, contacts and topics."""

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.conversations.types import Category, Contact, Conversation
from graphql_schema.reading.mapping import connection
from services.conversations import models, queries

C, K, N = models.Conversation, models.Category, models.Contact


@strawberry.type
class ConversationQueries:
    """What citizens ask."""

    conversations: Connection[Conversation] = connection(
        description="The conversations that the caller sees, the most urgent contact first. Needs conversations:read.",
        oldest_first=C.due_order,
        searched_by=queries.matching,
    )
    contacts: Connection[Contact] = connection(
        description="The citizens of conversations that the caller sees. Needs conversations:read.",
        newest_first=N.created_at,
    )
    categories: Connection[Category] = connection(
        description="All topics, active or not. Every member may read them.", ordered_by=K.sort_key
    )
