# SPDX-License-Identifier: EUPL-1.2
"""What happened to accounts and to what came in through them."""

from dataclasses import dataclass
from uuid import UUID

from services.kernel.events import Event
from services.social_accounts.rules import Network


@dataclass(frozen=True, kw_only=True)
class SocialAccountRegistered(Event, kind="social_account.registered", subject="social_account_id"):
    social_account_id: UUID
    network: Network
    owner_department_id: UUID


@dataclass(frozen=True, kw_only=True)
class SocialAccountConnected(Event, kind="social_account.connected", subject="social_account_id"):
    social_account_id: UUID


@dataclass(frozen=True, kw_only=True)
class SocialAccountRevoked(Event, kind="social_account.revoked", subject="social_account_id"):
    """The network no longer accepts our credentials; somebody must connect the account again."""

    social_account_id: UUID
    reason: str


@dataclass(frozen=True, kw_only=True)
class RawEventUnreadable(Event, kind="raw_event.unreadable", subject="raw_event_id"):
    """Something came in that this version cannot read. It is kept."""

    raw_event_id: UUID
    social_account_id: UUID
