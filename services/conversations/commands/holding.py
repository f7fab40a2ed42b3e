# SPDX-License-Identifier: EUPL-1.2
"""The claim columns of a conversation: who holds it, until when, under which fence. Only `assignments` calls these.

Every change of holder raises the fence, so that whoever held it before is refused whatever they still send.
"""

from datetime import datetime
from uuid import UUID

from services.conversations import queries, rules
from services.conversations.models import Conversation
from services.conversations.rules.gate import LEASE
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.kernel.errors import InvalidState


async def hold(uow: UnitOfWork, *, conversation_id: UUID, holder_id: UUID) -> Conversation:
    """Give a conversation that nobody holds to somebody: the one compare-and-set. The holder again only renews."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    row = await queries.conversation_for_update(uow, conversation_id)
    await queries.check_reach(uow, Permission.CONVERSATION_CLAIM, row)
    if row.state is rules.ConversationState.CLOSED:
        raise InvalidState("A closed conversation cannot be claimed; reopen it first.")
    current = hold_of(row)
    if current.is_live(uow.now) and current.holder_id != holder_id:
        raise rules.AlreadyClaimed
    if current.is_live(uow.now):
        row.lease_until = _extended(row, uow.now)
        return row
    row.last_holder_id = row.holder_id or row.last_holder_id
    row.holder_id, row.lease_until, row.fence = holder_id, uow.now + LEASE, row.fence + 1
    return row


async def take(uow: UnitOfWork, *, conversation_id: UUID, holder_id: UUID) -> Conversation:
    """Give a conversation to somebody whoever holds it."""
    uow.actor.require(Permission.CONVERSATION_TAKE_OVER)
    row = await queries.conversation_for_update(uow, conversation_id)
    await queries.check_reach(uow, Permission.CONVERSATION_TAKE_OVER, row)
    if row.state is rules.ConversationState.CLOSED:
        raise InvalidState("A closed conversation cannot be taken over; reopen it first.")
    row.last_holder_id = row.holder_id or row.last_holder_id
    row.holder_id, row.lease_until, row.fence = holder_id, uow.now + LEASE, row.fence + 1
    return row


async def keep(uow: UnitOfWork, *, conversation_id: UUID, fence: int | None) -> Conversation:
    """Extend the holder's lease."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    row = await queries.conversation_for_update(uow, conversation_id)
    rules.check_holds(hold_of(row), actor_id=uow.actor.membership_id, fence=fence, now=uow.now)
    row.lease_until = _extended(row, uow.now)
    return row


async def let_go(uow: UnitOfWork, *, conversation_id: UUID, fence: int | None) -> Conversation:
    """The holder gives a conversation back to the pool."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    row = await queries.conversation_for_update(uow, conversation_id)
    rules.check_holds(hold_of(row), actor_id=uow.actor.membership_id, fence=fence, now=uow.now)
    free(row)
    return row


def lapse(row: Conversation, *, fence: int, now: datetime) -> bool:
    """Take a locked conversation from a holder whose lease has run out. False when it was renewed or is another's."""
    if row.holder_id is None or row.fence != fence or hold_of(row).is_live(now):
        return False
    free(row)
    return True


def complete(row: Conversation, *, fence: int) -> None:
    """End the hold of a locked conversation under this fence, because the work is done."""
    if row.fence == fence:
        free(row)


def free(row: Conversation) -> None:
    """Nobody holds it any more; the last holder is remembered until somebody claims it again."""
    if row.holder_id is not None:
        row.last_holder_id, row.holder_id, row.lease_until = row.holder_id, None, None


def _extended(row: Conversation, now: datetime) -> datetime:
    """A renewal never shortens the longer lease that an answer on its way gives."""
    return max(row.lease_until or now, now + LEASE)


def hold_of(row: Conversation) -> rules.Hold:
    """The claim columns as a value."""
    return rules.Hold(row.holder_id, row.lease_until, row.fence)
