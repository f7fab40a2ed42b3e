# SPDX-License-Identifier: EUPL-1.2
"""How a delivery goes from a wish to a post, and what an unknown outcome forces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.kernel.errors import DomainError, InvalidState

ATTEMPTS_MAX = 5
RETRY_FIRST = timedelta(seconds=2)
RESENDS_MAX = 1
REPLY_LATE_MAX = timedelta(hours=24)
POST_LATE_MAX = timedelta(minutes=60)
SAME_KEY_REPEAT_MAX = timedelta(minutes=15)
"""How long after the first attempt a network that honors the client's key may be sent the stored call again."""

ABSENCE_LISTINGS_APART = timedelta(minutes=5)
ABSENCE_PROVEN_AFTER = timedelta(minutes=10)
DECISION_AFTER = timedelta(minutes=15)
"""An outcome that is still unknown after this long goes to a person."""


class Origin(StrEnum):
    """Which kind of row wanted the delivery."""

    REPLY = "REPLY"
    POST = "POST"


class DeliveryKind(StrEnum):
    CREATE = "CREATE"
    EDIT = "EDIT"
    DELETE = "DELETE"


class DeliveryState(StrEnum):
    SCHEDULED = "SCHEDULED"
    PUBLISHING = "PUBLISHING"
    PUBLISHED = "PUBLISHED"
    FAILED = "FAILED"
    UNCONFIRMED = "UNCONFIRMED"
    SUSPENDED = "SUSPENDED"
    CANCELLED = "CANCELLED"


class Verification(StrEnum):
    """What happens to an UNCONFIRMED delivery: Belfry looks for it, or a person decides."""

    CHECKING = "CHECKING"
    NEEDS_DECISION = "NEEDS_DECISION"


class AttemptOutcome(StrEnum):
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"


class Resolution(StrEnum):
    """What a person decides about an unknown outcome."""

    IT_IS_THERE = "IT_IS_THERE"
    SEND_AGAIN = "SEND_AGAIN"
    CANCEL = "CANCEL"


S = DeliveryState
TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    S.SCHEDULED: frozenset({S.PUBLISHING, S.SUSPENDED, S.CANCELLED}),
    S.PUBLISHING: frozenset({S.PUBLISHED, S.FAILED, S.UNCONFIRMED, S.SCHEDULED}),
    S.UNCONFIRMED: frozenset({S.PUBLISHED, S.SCHEDULED, S.CANCELLED}),
    S.FAILED: frozenset({S.SCHEDULED, S.CANCELLED}),
    S.SUSPENDED: frozenset({S.SCHEDULED, S.CANCELLED}),
    S.PUBLISHED: frozenset(),
    S.CANCELLED: frozenset(),
}

MAY_APPEAR = frozenset({S.SCHEDULED, S.PUBLISHING, S.UNCONFIRMED, S.PUBLISHED})
"""States of what is on its network or may still come there."""


class TextIsTooLongForNetwork(DomainError):
    code = "TEXT_IS_TOO_LONG_FOR_NETWORK"
    message = "This text is too long for the network."


class NetworkCannotCarryThis(DomainError):
    code = "NETWORK_CANNOT_CARRY_THIS"
    message = "The network cannot carry this answer."


class DeliveryIsNotUnconfirmed(DomainError):
    code = "DELIVERY_IS_NOT_UNCONFIRMED"
    message = "The outcome of this delivery is known; there is nothing to decide."


def check_transition(before: DeliveryState, after: DeliveryState) -> None:
    if after not in TRANSITIONS[before]:
        raise InvalidState("A delivery that is {before} cannot become {after}.", before=before, after=after)


def check_resolvable(state: DeliveryState) -> None:
    if state is not S.UNCONFIRMED:
        raise DeliveryIsNotUnconfirmed


def is_too_late(origin: Origin, *, due_at: datetime, now: datetime) -> bool:
    """Whether publishing now would surprise: the moment has passed by more than its kind allows."""
    return now - due_at > (REPLY_LATE_MAX if origin is Origin.REPLY else POST_LATE_MAX)


@dataclass(frozen=True, slots=True)
class Absence:
    """What complete listings have shown so far: the first that lacked the item, if any."""

    since: datetime | None


def absence_is_proven(absence: Absence, *, sent_at: datetime, now: datetime) -> bool:
    """Two complete listings at least 5 minutes apart, the last (now) at least 10 minutes after sending."""
    return (
        absence.since is not None
        and now - absence.since >= ABSENCE_LISTINGS_APART
        and now - sent_at >= ABSENCE_PROVEN_AFTER
    )


def check_after(checks_done: int, schedule: Sequence[int]) -> timedelta | None:
    """How long after the last look to look again; None when the schedule is over. Seconds after the request."""
    if checks_done >= len(schedule):
        return None
    before = schedule[checks_done - 1] if checks_done else 0
    return timedelta(seconds=schedule[checks_done] - before)


def look_after(
    checks_done: int, schedule: Sequence[int], *, first_sent_at: datetime, now: datetime
) -> timedelta | None:
    """The same, but what was looked for once is a person's question when the next look would come too late."""
    wait = check_after(checks_done, schedule)
    if wait is None or (checks_done and now + wait - first_sent_at > DECISION_AFTER):
        return None
    return wait


def may_repeat_same_key(*, first_sent_at: datetime, now: datetime, attempts: int) -> bool:
    """Whether a network that honors the client's key may be sent the stored call again."""
    return now - first_sent_at <= SAME_KEY_REPEAT_MAX and attempts < ATTEMPTS_MAX


def retry_wait(attempts: int, asked: timedelta | None) -> timedelta:
    """How long to wait after a request that was certainly not sent."""
    return max(asked or timedelta(0), RETRY_FIRST * 2 ** max(0, attempts - 1))
