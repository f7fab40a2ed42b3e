# SPDX-License-Identifier: EUPL-1.2
"""Closing a conversation, with an outcome and a text, and opening it again."""

from uuid import UUID

from services.conversations import queries, rules
from services.conversations.commands import waits
from services.conversations.commands.holding import free
from services.conversations.events import ConversationClosed, ConversationReopened, ConversationStateChanged
from services.conversations.models import Closing, Conversation
from services.conversations.rules import Outcome, Trigger
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork


async def close(
    uow: UnitOfWork, *, conversation_id: UUID, outcome: Outcome, text: str, expected_version: int
) -> Conversation:
    """End the exchange. What was not answered stays on record as not answered."""
    uow.actor.require(Permission.CONVERSATION_CLOSE)
    row = await _mine(uow, conversation_id, expected_version)
    text = rules.check_text(text, length_max=rules.CLOSING_TEXT_LENGTH_MAX)
    if await queries.has_reply_on_its_way(uow, row.id):
        raise rules.ReplyInProgress("An answer is still on its way; close the conversation when it has arrived.")
    _move(uow, row, Trigger.PERSON_CLOSES)
    await _end(uow, row, outcome, text)
    return row


async def close_without_response(uow: UnitOfWork, *, conversation_id: UUID) -> Conversation:
    """End an exchange in which the citizen did not come back after our question."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.conversation_for_update(uow, conversation_id)
    _move(uow, row, Trigger.NO_RESPONSE)
    await _end(uow, row, Outcome.NO_RESPONSE, "The citizen did not answer our question.")
    return row


async def reopen(uow: UnitOfWork, *, conversation_id: UUID, text: str, expected_version: int) -> Conversation:
    """Take the exchange up again, and say why."""
    uow.actor.require(Permission.CONVERSATION_CLOSE)
    row = await _mine(uow, conversation_id, expected_version)
    rules.check_text(text, length_max=rules.CLOSING_TEXT_LENGTH_MAX)
    _move(uow, row, Trigger.PERSON_REOPENS)
    row.outcome, row.closed_at = None, None
    row.next_contact_due_at = rules.next_contact_due_at(row.state, last_activity_at=uow.now, no_response_days=0)
    uow.emit(ConversationReopened(conversation_id=row.id))
    return row


async def _mine(uow: UnitOfWork, conversation_id: UUID, expected_version: int) -> Conversation:
    row = await queries.conversation_for_update(uow, conversation_id)
    await queries.check_reach(uow, Permission.CONVERSATION_CLOSE, row)
    row.require_version(expected_version)
    return row


def _move(uow: UnitOfWork, row: Conversation, trigger: Trigger) -> None:
    before, row.state = row.state, rules.after(row.state, trigger)
    uow.emit(ConversationStateChanged(conversation_id=row.id, before=before, after=row.state))


async def _end(uow: UnitOfWork, row: Conversation, outcome: Outcome, text: str) -> None:
    row.outcome, row.closed_at, row.next_contact_due_at = outcome, uow.now, None
    free(row)
    uow.add(
        Closing(
            tenant_id=uow.tenant_id,
            conversation_id=row.id,
            at=uow.now,
            outcome=outcome,
            text=text,
            closed_by=uow.actor.membership_id,
        )
    )
    uow.emit(ConversationClosed(conversation_id=row.id, outcome=outcome))
    await waits.recompute(uow, [row.id], {row.id: await queries.messages_of(uow, row.id)})
