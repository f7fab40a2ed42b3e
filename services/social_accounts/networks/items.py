# SPDX-License-Identifier: EUPL-1.2
"""What passes through a connector: raw events and the facts in them, drafts and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from services.social_accounts.networks.capabilities import Ingest, LengthUnit, Publish, QuotaScope

UNKNOWN_KIND = "UNKNOWN"


class Channel(StrEnum):
    """How an exchange is grouped: PUBLIC per root item and author, DIRECT per author, FORM per submission."""

    PUBLIC = "PUBLIC"
    DIRECT = "DIRECT"
    MAIL = "MAIL"
    FORM = "FORM"


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """What an answer said about a quota. `used` and `limit` in the bucket's points."""

    bucket: str
    scope: QuotaScope
    used: int
    limit: int
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One shape for webhook, poll and form. `(account_key, kind, external_id, version)` is equal on every transport.

    An item that shows no id has the kind UNKNOWN_KIND and the SHA-256 of its body as `external_id`.
    """

    account_key: str
    kind: str
    external_id: str
    version: str
    occurred_at: datetime | None
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Store `events` and `next_cursor` in one transaction. `more`: call again at once with that cursor."""

    events: tuple[RawEvent, ...]
    next_cursor: str | None
    more: bool
    quotas: tuple[QuotaReport, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item we have, to be looked at again: its id and the version we hold."""

    remote_id: str
    version: str


class InboundKind(StrEnum):
    """ECHO is an item of our own account: sent by us, or written in the network's own app."""

    MESSAGE = "MESSAGE"
    EDIT = "EDIT"
    DELETE = "DELETE"
    READ = "READ"
    DELIVERY = "DELIVERY"
    REACTION = "REACTION"
    ECHO = "ECHO"


@dataclass(frozen=True, slots=True)
class ItemRef:
    remote_id: str
    version: str


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """What an answer must name. Stored with the message as JSON and given back in a Draft; nobody else reads it."""

    root: ItemRef
    parent: ItemRef

    def to_json(self) -> dict[str, Any]:
        """{root: [id, version], parent: [id, version]}."""
        return {
            "root": [self.root.remote_id, self.root.version],
            "parent": [self.parent.remote_id, self.parent.version],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ReplyTarget":
        """The inverse of `to_json`."""
        return cls(root=ItemRef(*stored["root"]), parent=ItemRef(*stored["parent"]))


@dataclass(frozen=True, slots=True)
class Author:
    """`remote_id` is the stable identity; handle and name change."""

    remote_id: str
    handle: str | None = None
    display_name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """Something beside the text. `url` may be absent: the network gave only an id of the file."""

    kind: str
    url: str | None = None
    remote_id: str | None = None
    mime_type: str | None = None
    alt: str | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """One fact about one item, as parsed from a raw event.

    `text_at` orders the versions of one item: of two versions the one with the later `text_at` is the current one,
    whichever arrives first and whether it is called MESSAGE, ECHO or EDIT. `reaction` names a REACTION, whose item is
    `parent_id`. `root_id` is the item itself when it starts a thread. An ECHO that is a repost has `is_repost`, no
    text, and the reposted item as `parent_id`.
    """

    kind: InboundKind
    remote_id: str
    version: str
    text_at: datetime
    occurred_at: datetime
    channel: Channel
    ingest: Ingest | None = None
    author: Author | None = None
    text: str | None = None
    languages: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()
    root_id: str | None = None
    parent_id: str | None = None
    root_is_own: bool = False
    parent_is_own: bool = False
    quoted_id: str | None = None
    is_repost: bool = False
    reaction: str | None = None
    permalink: str | None = None
    reply_target: ReplyTarget | None = None
    server_host: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a draft cannot be sent. `limit` and `actual` in `unit`, where the problem is a size."""

    code: str
    field: str = "text"
    limit: int | None = None
    actual: int | None = None
    unit: LengthUnit | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What shall be said. `delivery_id` and `created_at` decide every id that the connector chooses."""

    delivery_id: UUID
    publish: Publish
    text: str
    created_at: datetime
    reply_to: ReplyTarget | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A send, fixed to the byte. Stored before the first attempt; every attempt sends exactly `body`.

    `remote_id` is known here only where the client chooses it.
    """

    send_key: str
    publish: Publish
    remote_id: str | None
    created_at: datetime
    body: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """For the delivery row."""
        return orjson.dumps(
            [self.send_key, self.publish, self.remote_id, self.created_at.isoformat(), self.body.decode()]
        )

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Prepared":
        """The inverse of `to_bytes`."""
        send_key, publish, remote_id, created_at, body = orjson.loads(stored)
        return cls(send_key, Publish(publish), remote_id, datetime.fromisoformat(created_at), body.encode())


@dataclass(frozen=True, slots=True)
class Sent:
    """The item is on the network. `accepted_at` is when we learned it, or the item's own time when it was found."""

    remote_id: str
    version: str
    permalink: str | None
    accepted_at: datetime
    quotas: tuple[QuotaReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted, not yet public. No network of today answers so."""

    handle: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """A complete look did not show the item. `exact`: looked up by its own id, in the place where it was written."""

    exact: bool


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The network offers no way to look, or the look was incomplete."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one item."""

    remote_id: str
    name: str
    value: int
    at: datetime
