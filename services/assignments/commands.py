# SPDX-License-Identifier: EUPL-1.2
"""Who works on what. The conversation's row decides; the claims are its history."""

from datetime import datetime, timedelta
from uuid import UUID

from services.assignments import queries, rules
from services.assignments.events import (
    ClaimCompleted,
    ClaimLapsed,
    ConversationClaimed,
    ConversationReleased,
    ConversationTakenOver,
)
from services.assignments.models import Claim
from services.assignments.rules import ClaimState
from services.conversations import commands as conversations
from services.conversations import queries as conversation_queries
from services.conversations.rules import check_text
from services.kernel import jobs
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.tenancy import queries as tenancy

LAPSE = "claim.lapse"
GRACE = timedelta(seconds=1)
"""A lease is looked at a moment after its end, so that a renewal at the last instant is seen."""


async def claim(uow: UnitOfWork, *, conversation_id: UUID) -> UUID:
    """Take a conversation that nobody holds. Claiming again what one holds renews the lease."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    me = _person(uow)
    row = await conversations.hold(uow, conversation_id=conversation_id, holder_id=me)
    current = await queries.held_claim(uow, conversation_id)
    if current is not None and current.fence == row.fence:
        current.last_active_at = uow.now
        await _watch(uow, conversation_id, row.lease_until)
        return row.id
    # Two claims of one person at once would each count without the other.
    await tenancy.membership_for_update(uow, me)
    rules.check_room(await conversation_queries.held_count(uow, me) - 1)
    await _lapsed(uow, current)
    uow.add(_new(uow, conversation_id, me, row.fence))
    await _watch(uow, conversation_id, row.lease_until)
    uow.emit(ConversationClaimed(conversation_id=row.id, holder_id=me, fence=row.fence))
    return row.id


async def heartbeat(uow: UnitOfWork, *, conversation_id: UUID, fence: int | None) -> UUID:
    """Say that one still works on it. Keeps the lease for ten more minutes; not an act worth an audit row."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    row = await conversations.keep(uow, conversation_id=conversation_id, fence=fence)
    current = await queries.held_claim(uow, conversation_id)
    if current is not None:
        current.last_active_at = uow.now
    await _watch(uow, conversation_id, row.lease_until)
    return row.id


async def release(uow: UnitOfWork, *, conversation_id: UUID, fence: int | None) -> UUID:
    """Give a conversation back to the pool."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    me = _person(uow)
    row = await conversations.let_go(uow, conversation_id=conversation_id, fence=fence)
    await _end(uow, await queries.held_claim(uow, conversation_id), ClaimState.RELEASED)
    await jobs.cancel(uow, LAPSE, conversation_id)
    uow.emit(ConversationReleased(conversation_id=row.id, holder_id=me))
    return row.id


async def take_over(uow: UnitOfWork, *, conversation_id: UUID, reason: str) -> UUID:
    """A coordinator takes a conversation from whoever holds it, and says why."""
    uow.actor.require(Permission.CONVERSATION_TAKE_OVER)
    me = _person(uow)
    reason = check_text(reason, field="reason", length_max=rules.REASON_LENGTH_MAX)
    row = await conversations.take(uow, conversation_id=conversation_id, holder_id=me)
    former = await queries.held_claim(uow, conversation_id)
    await _end(uow, former, ClaimState.TAKEN_OVER, reason=reason)
    uow.add(_new(uow, conversation_id, me, row.fence))
    await _watch(uow, conversation_id, row.lease_until)
    uow.emit(
        ConversationTakenOver(
            conversation_id=row.id,
            holder_id=me,
            former_holder_id=former.holder_id if former else None,
            fence=row.fence,
        )
    )
    return row.id


async def lapse(uow: UnitOfWork, *, conversation_id: UUID) -> datetime | None:
    """End a claim whose lease has run out. For one that was renewed: when to look again."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await conversation_queries.conversation_for_update(uow, conversation_id)
    current = await queries.held_claim(uow, conversation_id)
    if current is not None and conversations.lapse(row, fence=current.fence, now=uow.now):
        await _lapsed(uow, current)
        return None
    return None if row.lease_until is None else max(row.lease_until, uow.now) + GRACE


async def complete(uow: UnitOfWork, *, conversation_id: UUID, done_at: datetime) -> None:
    """The work was done at an instant: the claim of that time is complete. A later claim is another piece of work."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await conversation_queries.conversation_for_update(uow, conversation_id)
    current = await queries.held_claim(uow, conversation_id)
    if current is None or current.claimed_at > done_at:
        return
    conversations.complete(row, fence=current.fence)
    await _end(uow, current, ClaimState.COMPLETED)
    await jobs.cancel(uow, LAPSE, conversation_id)
    uow.emit(ClaimCompleted(conversation_id=conversation_id, holder_id=current.holder_id))


def _person(uow: UnitOfWork) -> UUID:
    if uow.actor.membership_id is None:
        raise rules.MachinesCannotClaim
    return uow.actor.membership_id


def _new(uow: UnitOfWork, conversation_id: UUID, holder_id: UUID, fence: int) -> Claim:
    return Claim(
        tenant_id=uow.tenant_id,
        conversation_id=conversation_id,
        holder_id=holder_id,
        fence=fence,
        claimed_at=uow.now,
        last_active_at=uow.now,
    )


async def _lapsed(uow: UnitOfWork, current: Claim | None) -> None:
    await _end(uow, current, ClaimState.LAPSED)
    if current is not None:
        uow.emit(ClaimLapsed(conversation_id=current.conversation_id, holder_id=current.holder_id))


async def _end(uow: UnitOfWork, current: Claim | None, state: ClaimState, *, reason: str | None = None) -> None:
    if current is not None:
        rules.check_transition(current.state, state)
        current.state, current.ended_at, current.reason = state, uow.now, reason
        await uow.flush()  # one claim is HELD at a time: the old one must be gone before a new one comes


async def _watch(uow: UnitOfWork, conversation_id: UUID, lease_until: datetime | None) -> None:
    """Have the end of the lease looked at, at its present end and not at an earlier one."""
    await jobs.cancel(uow, LAPSE, conversation_id)
    if lease_until is not None:
        await jobs.schedule(uow, LAPSE, conversation_id, due_at=lease_until + GRACE)
