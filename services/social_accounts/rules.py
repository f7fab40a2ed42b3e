# SPDX-License-Identifier: EUPL-1.2
"""What an account may be, when it may publish, and how its life goes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from services.kernel.errors import DomainError, Invalid, InvalidState, Required, TooLong

HANDLE_LENGTH_MAX = 200
SECRET_LENGTH_MAX = 2_000
URL_LENGTH_MAX = 500
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No network is older. Programs that know no time write the year 1, which the database's driver takes for infinity."""

UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


class Network(StrEnum):
    """Where an account lives. Connected today: BLUESKY and WEBFORM; the others can be registered and judged."""

    BLUESKY = "BLUESKY"
    WEBFORM = "WEBFORM"
    MASTODON = "MASTODON"
    FACEBOOK = "FACEBOOK"
    INSTAGRAM = "INSTAGRAM"
    THREADS = "THREADS"
    WHATSAPP = "WHATSAPP"
    X = "X"
    LINKEDIN = "LINKEDIN"
    YOUTUBE = "YOUTUBE"
    TIKTOK = "TIKTOK"
    EMAIL = "EMAIL"
    MATRIX = "MATRIX"
    OTHER = "OTHER"


class Purpose(StrEnum):
    """What an account is for."""

    SERVICE = "SERVICE"
    NEWS = "NEWS"
    CRISIS_ONLY = "CRISIS_ONLY"
    CAMPAIGN = "CAMPAIGN"
    PERSONAL_OFFICIAL = "PERSONAL_OFFICIAL"


class Connection(StrEnum):
    """Whether Belfry reads and publishes through the account."""

    UNMANAGED = "UNMANAGED"
    CONNECTED = "CONNECTED"
    EXPIRING = "EXPIRING"
    REVOKED = "REVOKED"


class Lifecycle(StrEnum):
    """Where an account stands between the wish for it and its end."""

    REQUESTED = "REQUESTED"
    ACTIVE = "ACTIVE"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


LIFECYCLE_TRANSITIONS: Mapping[Lifecycle, frozenset[Lifecycle]] = {
    Lifecycle.REQUESTED: frozenset({Lifecycle.ACTIVE, Lifecycle.CLOSED}),
    Lifecycle.ACTIVE: frozenset({Lifecycle.CLOSING}),
    Lifecycle.CLOSING: frozenset({Lifecycle.ACTIVE, Lifecycle.CLOSED}),
    Lifecycle.CLOSED: frozenset(),
}


class OutboundKind(StrEnum):
    """How an outbound item is counted, once: the megaphone, the passed-on, the answer, the offered help."""

    STARTER = "STARTER"
    RESHARE = "RESHARE"
    REPLY = "REPLY"
    PROACTIVE = "PROACTIVE"


class RawEventState(StrEnum):
    """WAITING: stored, not parsed. DONE: its facts are in. FAILED: cannot be read; kept, alerted, redriven by hand."""

    WAITING = "WAITING"
    DONE = "DONE"
    FAILED = "FAILED"


class CrisisOnlyAccount(DomainError):
    code = "CRISIS_ONLY_ACCOUNT"
    message = "This account speaks only in a crisis."


class AccountIsNotConnected(DomainError):
    code = "ACCOUNT_IS_NOT_CONNECTED"
    message = "This account is not connected."


class NetworkCannotBeConnected(DomainError):
    code = "NETWORK_CANNOT_BE_CONNECTED"
    message = "Belfry cannot connect to this network yet; the account is kept in the register."


def check_handle(handle: str) -> str:
    """The handle without decoration: surrounding space and a leading @ are dropped."""
    bare = handle.strip().removeprefix("@")
    if not bare:
        raise Required(field=("handle",))
    if len(bare) > HANDLE_LENGTH_MAX:
        raise TooLong("A handle has at most {count} characters.", field=("handle",), count=HANDLE_LENGTH_MAX)
    if UNPRINTABLE.search(bare):
        raise Invalid("A handle has no spaces or control characters.", field=("handle",))
    return bare


def plausible(instant: datetime) -> datetime:
    """The instant that a network tells of, or the earliest that can be true."""
    return max(instant, EARLIEST)


def check_connectable(lifecycle: Lifecycle) -> None:
    if lifecycle not in (Lifecycle.REQUESTED, Lifecycle.ACTIVE):
        raise InvalidState("A closing or closed account cannot be connected.")


def check_may_publish(
    kind: OutboundKind, *, connection: Connection, lifecycle: Lifecycle, purpose: Purpose, crisis_posting_open: bool
) -> None:
    """The gate of every delivery, when it is accepted and again before the first byte is sent."""
    if connection not in (Connection.CONNECTED, Connection.EXPIRING) or lifecycle is Lifecycle.CLOSED:
        raise AccountIsNotConnected
    speaks_first = kind in (OutboundKind.STARTER, OutboundKind.PROACTIVE)
    if purpose is Purpose.CRISIS_ONLY and speaks_first and not crisis_posting_open:
        raise CrisisOnlyAccount
