# SPDX-License-Identifier: EUPL-1.2
"""Acts on claims: take a conversation, keep it, give it back, take it over."""

from uuid import UUID

import strawberry

from graphql_schema.conversations.types import Conversation
from graphql_schema.mutation import Act, given, id_of, mutation, mutation_input, mutation_payload
from graphql_schema.reading.mapping import read_back
from services.assignments import commands
from services.assignments.rules import REASON_LENGTH_MAX
from services.kernel.access import Permission


@mutation_input
class ConversationClaimInput:
    """Which conversation to take."""

    conversation_id: UUID = id_of(Conversation, "The conversation to take.")


@mutation_payload
class ConversationClaimPayload:
    """What a claim answers."""

    conversation: Conversation | None = read_back("The conversation with its claim; keep the claim's fence.")


@mutation_input
class ConversationReleaseInput:
    """Which conversation to give back to the pool."""

    conversation_id: UUID = id_of(Conversation, "The conversation that the caller holds.")
    fence: int = given("The fence of the caller's claim.")


@mutation_payload
class ConversationReleasePayload:
    """What a release answers."""

    conversation: Conversation | None = read_back("The conversation, held by nobody.")


@mutation_input
class ConversationHeartbeatInput:
    """Which conversation the caller is still working on."""

    conversation_id: UUID = id_of(Conversation, "The conversation that the caller holds.")
    fence: int = given("The fence of the caller's claim.")


@mutation_payload
class ConversationHeartbeatPayload:
    """What a heartbeat answers."""

    conversation: Conversation | None = read_back("The conversation with the extended lease.")


@mutation_input
class ConversationTakeOverInput:
    """Which conversation to take from its holder, and why."""

    conversation_id: UUID = id_of(Conversation, "The conversation to take over.")
    reason: str = given("Why; the former holder and the audit log see it.", length_max=REASON_LENGTH_MAX)


@mutation_payload
class ConversationTakeOverPayload:
    """What a takeover answers."""

    conversation: Conversation | None = read_back("The conversation with its new claim; keep the claim's fence.")


@strawberry.type
class AssignmentMutations:
    """Acts on claims."""

    @mutation(
        "Take a conversation that nobody holds, for ten minutes. Claiming again what one holds renews the lease.",
        permission=Permission.CONVERSATION_CLAIM,
    )
    async def conversation_claim(self, act: Act, input: ConversationClaimInput) -> ConversationClaimPayload:
        conversation_id = await commands.claim(act.uow, conversation_id=input.conversation_id)
        return ConversationClaimPayload(conversation=Conversation.of(conversation_id))

    @mutation("Give a conversation back to the pool.", permission=Permission.CONVERSATION_CLAIM)
    async def conversation_release(self, act: Act, input: ConversationReleaseInput) -> ConversationReleasePayload:
        conversation_id = await commands.release(act.uow, conversation_id=input.conversation_id, fence=input.fence)
        return ConversationReleasePayload(conversation=Conversation.of(conversation_id))

    @mutation(
        "Keep a conversation for ten more minutes. Send it every minute, but only while the person is active.",
        permission=Permission.CONVERSATION_CLAIM,
    )
    async def conversation_heartbeat(self, act: Act, input: ConversationHeartbeatInput) -> ConversationHeartbeatPayload:
        conversation_id = await commands.heartbeat(act.uow, conversation_id=input.conversation_id, fence=input.fence)
        return ConversationHeartbeatPayload(conversation=Conversation.of(conversation_id))

    @mutation("Take a conversation from whoever holds it.", permission=Permission.CONVERSATION_TAKE_OVER)
    async def conversation_take_over(self, act: Act, input: ConversationTakeOverInput) -> ConversationTakeOverPayload:
        conversation_id = await commands.take_over(act.uow, conversation_id=input.conversation_id, reason=input.reason)
        return ConversationTakeOverPayload(conversation=Conversation.of(conversation_id))
