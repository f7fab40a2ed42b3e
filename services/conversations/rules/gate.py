# SPDX-License-Identifier: EUPL-1.2
"""The reply gate: one question, one answer. Checked under the lock of the conversation's row."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.conversations.rules.refusals import (
    AlreadyAnswered,
    CitizenWroteMeanwhile,
    ClaimIsStale,
    FormalNeedsReferral,
    ReplyInProgress,
)
from services.conversations.rules.routing import folded
from services.conversations.rules.words import ConversationState, ReplyPurpose
from services.kernel.errors import InvalidState, NotPermitted, Required

LEASE = timedelta(minutes=10)
UNCONFIRMED_LEASE_MAX = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a conversation, until when, under which fence."""

    holder_id: UUID | None
    lease_until: datetime | None
    fence: int

    def is_live(self, now: datetime) -> bool:
        return self.holder_id is not None and self.lease_until is not None and self.lease_until > now


@dataclass(frozen=True, slots=True)
class Standing:
    """What the conversation looks like at the moment of the reply."""

    state: ConversationState
    hold: Hold
    collaborators: frozenset[UUID]
    newest_citizen_message_id: UUID | None
    has_reply_on_its_way: bool
    has_open_segment: bool
    formal: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody wants to say. A collaborator sends no fence."""

    author_id: UUID | None
    fence: int | None
    last_seen_message_id: UUID | None
    purpose: ReplyPurpose
    follow_up: bool


def check_holds(hold: Hold, *, actor_id: UUID | None, fence: int | None, now: datetime) -> None:
    """Refuse whoever does not hold the conversation under its current fence."""
    if fence is None:
        raise Required("Send the fence of your claim.", field=("fence",))
    if not hold.is_live(now) or hold.holder_id != actor_id or hold.fence != fence:
        raise ClaimIsStale(field=("fence",))


def check_turn(attempt: Attempt, hold: Hold, *, has_reply_on_its_way: bool, now: datetime) -> None:
    """The conditions that settle most races, with what is known at once: whose turn it is, and whether one is taken.

    A collaborator sends no fence; whether the author is one is looked up later.
    """
    if attempt.author_id is None:
        raise NotPermitted("Only a person can answer.")
    if attempt.fence is not None:
        check_holds(hold, actor_id=attempt.author_id, fence=attempt.fence, now=now)
    if has_reply_on_its_way:
        raise ReplyInProgress


def check_reply(attempt: Attempt, standing: Standing, *, now: datetime) -> None:
    """Every condition under which a reply is accepted, in the order in which a person can act on them."""
    check_turn(attempt, standing.hold, has_reply_on_its_way=standing.has_reply_on_its_way, now=now)
    if attempt.fence is None and attempt.author_id not in standing.collaborators:
        check_holds(standing.hold, actor_id=attempt.author_id, fence=attempt.fence, now=now)
    if standing.state in (ConversationState.CLOSED, ConversationState.REOPEN_REQUESTED):
        raise InvalidState("Reopen the conversation before you answer.")
    if not standing.has_open_segment and not attempt.follow_up:
        raise AlreadyAnswered(field=("followUp",))
    if standing.newest_citizen_message_id != attempt.last_seen_message_id:
        raise CitizenWroteMeanwhile(field=("lastSeenMessageId",))
    if standing.formal and attempt.purpose not in (ReplyPurpose.REFERRAL, ReplyPurpose.ACKNOWLEDGEMENT):
        raise FormalNeedsReferral(field=("purpose",))


def quotes_private(text: str, private_texts: Iterable[str], *, words_min: int = 8) -> bool:
    """Whether a public text repeats a run of words that was said in private, whatever stands between the words."""
    said = f" {' '.join(folded(text))} "
    for private in private_texts:
        words = folded(private)
        runs = (words[start : start + words_min] for start in range(len(words) - words_min + 1))
        if any(f" {' '.join(run)} " in said for run in runs):
            return True
    return False
