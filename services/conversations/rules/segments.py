# SPDX-License-Identifier: EUPL-1.2
"""Waiting segments: a pure function of what happened in a conversation, whatever the order in which it became known.

The first answer-needing citizen message opens a segment while none is open; later ones never restart it. The first
published reply that answers, refers or asks back closes it. Closing a conversation without a reply ends the wait
without an answer; deleting every message of the wait withdraws it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.conversations.rules.words import NEEDS_NO_ANSWER, Intent, Outcome, ReplyPurpose, SegmentOutcome

ANSWERING = frozenset({ReplyPurpose.ANSWER, ReplyPurpose.REFERRAL, ReplyPurpose.CLARIFYING_QUESTION})
DISMISSING = frozenset({Outcome.NO_ANSWER_NEEDED, Outcome.SPAM})


@dataclass(frozen=True, slots=True)
class CitizenMessage:
    """A citizen wrote. `key` breaks ties between equal instants: the network's own id."""

    id: UUID
    at: datetime
    key: str
    intent: Intent | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PublishedReply:
    """One of ours was published."""

    id: UUID
    at: datetime
    key: str
    purpose: ReplyPurpose


@dataclass(frozen=True, slots=True)
class Closed:
    """The conversation was closed."""

    id: UUID
    at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Deleted:
    id: UUID
    at: datetime


Fact = CitizenMessage | PublishedReply | Closed
INBOUND_FIRST = {CitizenMessage: 0, _Deleted: 1, PublishedReply: 2, Closed: 3}


@dataclass(frozen=True, slots=True)
class Segment:
    """One wait. Open while `outcome` is None. Seconds of wall time are counted when it ends."""

    opened_by: UUID
    opened_at: datetime
    is_first: bool
    closed_by: UUID | None = None
    closed_at: datetime | None = None
    outcome: SegmentOutcome | None = None
    pending: frozenset[UUID] = field(default=frozenset(), compare=False, repr=False)

    @property
    def wall_seconds(self) -> int | None:
        """Whole seconds from opening to end; None while it lasts."""
        return None if self.closed_at is None else max(0, int((self.closed_at - self.opened_at).total_seconds()))


def needs_answer(intent: Intent | None) -> bool:
    """Whether a message of this intent waits for an answer; an unclassified one does."""
    return intent not in NEEDS_NO_ANSWER


def segments(facts: Iterable[Fact]) -> list[Segment]:
    """All waits of one conversation, in order."""
    done: list[Segment] = []
    current: Segment | None = None
    for fact in _in_order(facts):
        if isinstance(fact, CitizenMessage):
            if needs_answer(fact.intent):
                current = current or Segment(fact.id, fact.at, is_first=not done)
                current = replace(current, pending=current.pending | {fact.id})
        elif current is not None and (ended := _end(current, fact)) is not None:
            if ended.outcome is None:
                current = ended
            else:
                done.append(ended)
                current = None
    return [*done, current] if current else done


def _end(segment: Segment, fact: PublishedReply | Closed | _Deleted) -> Segment | None:
    if isinstance(fact, PublishedReply):
        answers = fact.purpose in ANSWERING
        return _closed(segment, fact.id, fact.at, SegmentOutcome.ANSWERED) if answers else None
    if isinstance(fact, Closed):
        dismissed = fact.outcome in DISMISSING
        outcome = SegmentOutcome.DISMISSED if dismissed else SegmentOutcome.UNANSWERED_CLOSED
        return _closed(segment, fact.id, fact.at, outcome)
    remaining = replace(segment, pending=segment.pending - {fact.id})
    return remaining if remaining.pending else _closed(segment, fact.id, fact.at, SegmentOutcome.WITHDRAWN)


def _closed(segment: Segment, by: UUID, at: datetime, outcome: SegmentOutcome) -> Segment:
    return replace(segment, closed_by=by, closed_at=max(at, segment.opened_at), outcome=outcome)


def _in_order(facts: Iterable[Fact]) -> list[Fact | _Deleted]:
    listed = list(facts)
    deletions = [
        _Deleted(fact.id, max(fact.deleted_at, fact.at))
        for fact in listed
        if isinstance(fact, CitizenMessage) and fact.deleted_at is not None and needs_answer(fact.intent)
    ]
    return sorted(
        [*listed, *deletions],
        key=lambda fact: (fact.at, INBOUND_FIRST[type(fact)], getattr(fact, "key", ""), fact.id.int),
    )
