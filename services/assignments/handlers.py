# SPDX-License-Identifier: EUPL-1.2
"""What assignments do by themselves: end claims whose work is done, or whose holder went away."""

from datetime import datetime

from services.assignments import commands
from services.conversations.events import ConversationClosed, SegmentEnded
from services.conversations.rules import SegmentOutcome
from services.kernel import inbox, jobs
from services.kernel.access import Actor
from services.kernel.events import Occurrence
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime


async def on_segment_ended(runtime: Runtime, occurrence: Occurrence[SegmentEnded]) -> None:
    """The question was answered: whoever held it then is done. Who took it since is at work on something else."""
    if occurrence.event.outcome is SegmentOutcome.ANSWERED:
        await _complete(runtime, occurrence, "assignments.on_segment_ended", done_at=occurrence.event.ended_at)


async def on_conversation_closed(runtime: Runtime, occurrence: Occurrence[ConversationClosed]) -> None:
    """The conversation was closed: whoever held it is done."""
    await _complete(runtime, occurrence, "assignments.on_conversation_closed", done_at=occurrence.occurred_at)


async def lapse(runtime: Runtime, ticket: Ticket) -> None:
    """A lease may have run out."""
    async with runtime.database.unit_of_work(Actor.system(ticket.tenant_id, ticket.id)) as uow:
        again_at = await commands.lapse(uow, conversation_id=ticket.subject_id)
        if again_at is None:
            await jobs.finish(uow, ticket)
        else:
            await jobs.postpone(uow, ticket, due_at=again_at)


async def _complete(
    runtime: Runtime,
    occurrence: Occurrence[SegmentEnded] | Occurrence[ConversationClosed],
    handler: str,
    *,
    done_at: datetime,
) -> None:
    async with runtime.database.unit_of_work(Actor.system(occurrence.tenant_id, occurrence.id)) as uow:
        if await inbox.first_time(uow, occurrence.id, handler):
            await commands.complete(uow, conversation_id=occurrence.event.conversation_id, done_at=done_at)
