# SPDX-License-Identifier: EUPL-1.2
"""Acts on conversations: answer, say what they are about, close and reopen."""

from uuid import UUID

import strawberry

from graphql_schema.conversations.types import Category, Conversation, Message
from graphql_schema.deliveries.types import Delivery
from graphql_schema.mutation import (
    Act,
    Errand,
    changes_in,
    errand,
    given,
    id_of,
    idempotency_key,
    mutation,
    mutation_input,
    mutation_payload,
    mutation_result,
    result_of,
    results,
)
from graphql_schema.reading.declarations import decode_id
from graphql_schema.reading.filters import NOBODY
from graphql_schema.reading.mapping import read_back
from services.conversations import commands, handlers
from services.conversations.rules import CLOSING_TEXT_LENGTH_MAX, Outcome, ReplyPurpose
from services.kernel.access import Permission


@mutation_input
class ConversationReplyInput:
    """What to answer, and on the ground of which last message."""

    conversation_id: UUID = id_of(Conversation, "The conversation to answer.")
    text: str = given("The words, as the citizen will read them.")
    purpose: ReplyPurpose = given("What the reply does.")
    last_seen_message_id: UUID | None = id_of(Message, "The citizen's newest message that the author has read.")
    fence: int | None = given("The fence of the author's claim; a collaborator leaves it out.")
    follow_up: bool | None = given("True to add something to a question that was answered already.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class ConversationReplyPayload:
    """What a reply answers."""

    conversation: Conversation | None = read_back("The conversation with the reply in it.")
    delivery: Delivery | None = read_back("The reply on its way to the network.")


@mutation_input
class ConversationCategorizeInput:
    """What a conversation is about."""

    conversation_id: UUID = id_of(Conversation, "The conversation.")
    category_id: UUID = id_of(Category, "The topic; the department that answers for it gets the conversation.")
    expected_version: int = given("The version that the caller has seen.")


@mutation_payload
class ConversationCategorizePayload:
    """What a categorization answers."""

    conversation: Conversation | None = read_back("The conversation as it is now.")


@mutation_input
class ConversationCloseInput:
    """How to end a conversation."""

    conversation_id: UUID = id_of(Conversation, "The conversation to close.")
    outcome: Outcome = given("Why it ends.")
    text: str = given("For colleagues: what was done, or why nothing was.", length_max=CLOSING_TEXT_LENGTH_MAX)
    expected_version: int = given("The version that the caller has seen.")


@mutation_payload
class ConversationClosePayload:
    """What a closing answers."""

    conversation: Conversation | None = read_back("The conversation as it is now.")


@mutation_input
class ConversationReopenInput:
    """Which conversation to take up again, and why."""

    conversation_id: UUID = id_of(Conversation, "The conversation to reopen.")
    text: str = given("Why, for colleagues.", length_max=CLOSING_TEXT_LENGTH_MAX)
    expected_version: int = given("The version that the caller has seen.")


@mutation_payload
class ConversationReopenPayload:
    """What a reopening answers."""

    conversation: Conversation | None = read_back("The conversation as it is now.")


@strawberry.input(description="What shall be said of each conversation; what is left out stays.")
class ConversationBulkPatch:
    """The changes that one act makes to many conversations."""

    category_id: strawberry.Maybe[strawberry.ID] = given(
        "The topic; the department that answers for it gets the conversation."
    )


@mutation_input
class ConversationBulkUpdateInput:
    """Which conversations to change, and how."""

    ids: list[UUID] = id_of(Conversation, "The conversations, at most 100.")
    patch: ConversationBulkPatch = given("What to change.")


@mutation_result
class ConversationBulkUpdateResult:
    """How one conversation went."""

    node: Conversation | None = read_back("The conversation as it is now; null when the caller may not see it.")


@mutation_payload
class ConversationBulkUpdatePayload:
    """What a change of many conversations answers."""

    results: list[ConversationBulkUpdateResult] = results("One for each id, in the order asked.")


@strawberry.type
class ConversationMutations:
    """Acts on conversations."""

    @mutation(
        "Answer a citizen. One answer to one question: of several at once one is accepted, the others learn why not.",
        permission=Permission.CONVERSATION_REPLY,
    )
    async def conversation_reply(self, act: Act, input: ConversationReplyInput) -> ConversationReplyPayload:
        reply = await commands.reply(
            act.uow,
            conversation_id=input.conversation_id,
            text=input.text,
            purpose=input.purpose,
            last_seen_message_id=input.last_seen_message_id,
            fence=input.fence,
            follow_up=input.follow_up or False,
        )
        return ConversationReplyPayload(
            conversation=Conversation.of(reply.conversation_id), delivery=Delivery.of(reply.delivery_id)
        )

    @mutation("Say what a conversation is about.", permission=Permission.CONVERSATION_CLAIM)
    async def conversation_categorize(
        self, act: Act, input: ConversationCategorizeInput
    ) -> ConversationCategorizePayload:
        row = await commands.categorize(
            act.uow,
            conversation_id=input.conversation_id,
            category_id=input.category_id,
            expected_version=input.expected_version,
        )
        return ConversationCategorizePayload(conversation=Conversation.of(row.id))

    @errand(
        "Change many conversations, each by itself: one that cannot be changed does not hold up the others.",
        permission=Permission.CONVERSATION_CLAIM,
    )
    async def conversation_bulk_update(
        self, errand: Errand, input: ConversationBulkUpdateInput
    ) -> ConversationBulkUpdatePayload:
        wished = changes_in(input.patch)
        category_id = decode_id(wished["category_id"], Category) or NOBODY if wished else None
        outcomes = await handlers.categorize_each(errand.runtime, errand.actor, input.ids, category_id)
        found = [(None if row is None else Conversation.of(row), refusal) for row, refusal in outcomes]
        each_result = [result_of(ConversationBulkUpdateResult, *each, errand.language) for each in found]
        return ConversationBulkUpdatePayload(results=each_result)

    @mutation(
        "End a conversation. A question without an answer stays on record.", permission=Permission.CONVERSATION_CLOSE
    )
    async def conversation_close(self, act: Act, input: ConversationCloseInput) -> ConversationClosePayload:
        row = await commands.close(
            act.uow,
            conversation_id=input.conversation_id,
            outcome=input.outcome,
            text=input.text,
            expected_version=input.expected_version,
        )
        return ConversationClosePayload(conversation=Conversation.of(row.id))

    @mutation("Take up a conversation again that was closed.", permission=Permission.CONVERSATION_CLOSE)
    async def conversation_reopen(self, act: Act, input: ConversationReopenInput) -> ConversationReopenPayload:
        row = await commands.reopen(
            act.uow,
            conversation_id=input.conversation_id,
            text=input.text,
            expected_version=input.expected_version,
        )
        return ConversationReopenPayload(conversation=Conversation.of(row.id))
