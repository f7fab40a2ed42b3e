# SPDX-License-Identifier: EUPL-1.2
"""What every network looks like to the rest of Belfry: the Connector protocol and the values it trades in.

Nobody outside this package asks which network it is: they ask `Capabilities`. A connector is stateless, opens no
database connection, and gets an `Account` (decrypted credentials) and a `Reach` (the outbound client and a clock).

The protocol holds what both networks of today can answer honestly. Choosing among several pages of one sign-in,
staged media, platform webhooks, hiding and editing come with the first network that has them; until then
`Capabilities` says no (`transports`, `media`, `edit`, `hide`), and nobody has to catch an "unsupported" error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.kernel.clock import Clock
from services.kernel.outbound import OutboundClient
from services.social_accounts.networks.capabilities import (
    Capabilities,
    Ingest,
    LengthUnit,
    Publish,
    QuotaScope,
    SendGuard,
    StreamRule,
    Transport,
)
from services.social_accounts.networks.items import (
    UNKNOWN_KIND,
    Author,
    CannotTell,
    Channel,
    Draft,
    Inbound,
    InboundKind,
    ItemRef,
    KnownItem,
    Media,
    NotFound,
    Page,
    Pending,
    Prepared,
    Problem,
    QuotaReport,
    RawEvent,
    ReplyTarget,
    Sample,
    Sent,
)

__all__ = [
    "UNKNOWN_KIND",
    "Account",
    "AccountGrant",
    "Author",
    "CannotTell",
    "Capabilities",
    "Channel",
    "ConnectInput",
    "Connector",
    "Draft",
    "Health",
    "HealthFinding",
    "Inbound",
    "InboundKind",
    "Ingest",
    "ItemRef",
    "KnownItem",
    "LengthUnit",
    "Media",
    "NotFound",
    "Page",
    "Pending",
    "Prepared",
    "Problem",
    "Publish",
    "QuotaReport",
    "QuotaScope",
    "RawEvent",
    "Reach",
    "ReplyTarget",
    "Sample",
    "SendGuard",
    "Sent",
    "StreamRule",
    "Transport",
]


@dataclass(frozen=True, slots=True)
class Reach:
    """All of the outside that a connector may use."""

    outbound: OutboundClient
    clock: Clock


@dataclass(frozen=True, slots=True)
class Account:
    """One connected account. `key` is ours and opaque; `remote_id`, `handle` and `base_url` are the network's."""

    key: str
    base_url: str
    remote_id: str
    handle: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConnectInput:
    """What a person gives to connect an account."""

    base_url: str
    identifier: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountGrant:
    """What a sign-in or a refresh gave. `credentials` replaces the stored ones as a whole, to be sealed at once."""

    remote_id: str
    handle: str
    display_name: str | None
    base_url: str
    credentials: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HealthFinding:
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """The account answered; findings are what still deserves a look. A dead account raises instead."""

    findings: tuple[HealthFinding, ...] = ()


class Connector(Protocol):
    """One network. Every method with a `Reach` may raise any class of `errors.py`; the others are pure."""

    @property
    def key(self) -> str:
        """The network's name, as the register of accounts spells it."""
        ...

    def capabilities(self, account: Account | None = None) -> Capabilities:
        """The static table, narrowed by what this account's server, scopes and plan allow."""
        ...

    async def finish_auth(self, given: ConnectInput, reach: Reach) -> AccountGrant:
        """Sign in and say whose account it is."""
        ...

    async def refresh(self, account: Account, reach: Reach) -> AccountGrant:
        """Renew the credentials; raises AuthRevoked when only a person can."""
        ...

    async def check(self, account: Account, reach: Reach) -> Health:
        """Whether the credentials still open this very account."""
        ...

    async def fetch(
        self,
        account: Account,
        stream: str,
        cursor: str | None,
        limit: int,
        reach: Reach,
        *,
        known: Sequence[KnownItem] = (),
    ) -> Page:
        """At most `limit` items of a stream of `capabilities().streams`; a cursor of None starts anew."""
        ...

    def parse(self, raw: RawEvent) -> list[Inbound]:
        """The facts of one raw event, none for what concerns nobody; raises ContractBroken when it cannot be read."""
        ...

    def prepare(self, draft: Draft, account: Account) -> Prepared | list[Problem]:
        """Fix ids, times and bytes. The same draft and account give the same bytes."""
        ...

    async def send(self, prepared: Prepared, account: Account, reach: Reach) -> Sent | Pending:
        """Exactly one mutation, never repeated inside."""
        ...

    async def find_sent(
        self, prepared: Prepared, account: Account, since: datetime, reach: Reach
    ) -> Sent | NotFound | CannotTell:
        """Look for an item whose sending had an unknown outcome; changes nothing."""
        ...

    async def delete(self, remote_id: str, account: Account, reach: Reach) -> None:
        """Take an own item back. Repeating is harmless."""
        ...

    async def metrics(self, account: Account, remote_ids: Sequence[str], reach: Reach) -> list[Sample]:
        """The figures of own items; an item that is gone has none."""
        ...
