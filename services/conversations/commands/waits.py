# SPDX-License-Identifier: EUPL-1.2
"""Waiting segments as rows: computed anew from the facts whenever one comes in, and written where they differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col

from services.conversations import rules
from services.conversations.events import SegmentEnded
from services.conversations.models import Closing, Message, WaitingSegment
from services.conversations.rules import AuthorKind, CitizenMessage, Closed, PublishedReply, Segment
from services.conversations.rules.segments import Fact
from services.kernel import identifiers
from services.kernel.access import Permission
from services.kernel.batches import insert_new
from services.kernel.database import UnitOfWork
from services.kernel.isolation import owned


async def recompute(
    uow: UnitOfWork, conversation_ids: Iterable[UUID], messages: Mapping[UUID, Sequence[Message]]
) -> None:
    """Make the rows equal to what the facts say; tell of every wait that ended, or ended otherwise than before.

    Belfry does this when something came in or was published, and whoever closes a conversation does it too.
    """
    uow.actor.require(Permission.CONVERSATION_CLOSE)
    ids = sorted(conversation_ids)
    closings: dict[UUID, list[Closing]] = defaultdict(list)
    for closing in await uow.scalars(owned(Closing, col(Closing.conversation_id).in_(ids))):
        closings[closing.conversation_id].append(closing)
    stored: dict[UUID, WaitingSegment] = {
        row.opened_by: row
        for row in await uow.scalars(owned(WaitingSegment, col(WaitingSegment.conversation_id).in_(ids)))
    }
    new: list[dict[str, Any]] = []
    kept: set[UUID] = set()
    for conversation_id in ids:
        facts = [*_said(messages.get(conversation_id, ())), *_closed(closings[conversation_id])]
        for segment in rules.segments(facts):
            kept.add(segment.opened_by)
            row = stored.get(segment.opened_by)
            if row is None:
                new.append(_columns(uow, conversation_id, segment))
                _tell(uow, conversation_id, new[-1]["id"], segment)
            elif _differs(row, segment):
                for name, value in _computed(segment).items():
                    setattr(row, name, value)
                _tell(uow, conversation_id, row.id, segment)
    gone = [row.id for opened_by, row in stored.items() if opened_by not in kept]
    if gone:
        await uow.write(
            delete(WaitingSegment).where(
                col(WaitingSegment.tenant_id) == uow.tenant_id, col(WaitingSegment.id).in_(sorted(gone))
            )
        )
    await insert_new(uow, WaitingSegment, new)


def _said(messages: Iterable[Message]) -> list[Fact]:
    facts: list[Fact] = []
    for each in messages:
        key = each.external_id or ""
        if each.author_kind is AuthorKind.CITIZEN:
            facts.append(CitizenMessage(each.id, each.occurred_at, key, each.intent, each.deleted_at))
        elif each.published_at is not None and each.purpose is not None:
            facts.append(PublishedReply(each.id, each.published_at, key, each.purpose))
    return facts


def _closed(closings: Iterable[Closing]) -> list[Fact]:
    return [Closed(each.id, each.at, each.outcome) for each in closings]


def _computed(segment: Segment) -> dict[str, Any]:
    return {
        "opened_at": segment.opened_at,
        "closed_by": segment.closed_by,
        "closed_at": segment.closed_at,
        "outcome": segment.outcome,
        "wall_seconds": segment.wall_seconds,
        "is_first": segment.is_first,
    }


def _columns(uow: UnitOfWork, conversation_id: UUID, segment: Segment) -> dict[str, Any]:
    return {
        "tenant_id": uow.tenant_id,
        "id": identifiers.new(),
        "conversation_id": conversation_id,
        "opened_by": segment.opened_by,
        **_computed(segment),
    }


def _differs(row: WaitingSegment, segment: Segment) -> bool:
    return any(getattr(row, name) != value for name, value in _computed(segment).items())


def _tell(uow: UnitOfWork, conversation_id: UUID, segment_id: UUID, segment: Segment) -> None:
    if segment.outcome is not None and segment.closed_at is not None:
        uow.emit(
            SegmentEnded(
                conversation_id=conversation_id,
                segment_id=segment_id,
                outcome=segment.outcome,
                ended_at=segment.closed_at,
            )
        )
