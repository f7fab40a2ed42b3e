# SPDX-License-Identifier: EUPL-1.2
"""The vocabulary of what a network can do. The tables themselves lie beside each connector, dated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Ingest(StrEnum):
    """What a network can bring in."""

    PUBLIC_COMMENT = "PUBLIC_COMMENT"
    MENTION = "MENTION"
    DIRECT = "DIRECT"
    REVIEW = "REVIEW"
    OWN_ECHO = "OWN_ECHO"


class Transport(StrEnum):
    POLL = "POLL"
    WEBHOOK = "WEBHOOK"
    STREAM = "STREAM"


class Publish(StrEnum):
    """What can be sent out. POST and REPLY are public, the other two are not."""

    POST = "POST"
    REPLY = "REPLY"
    PRIVATE_REPLY = "PRIVATE_REPLY"
    DIRECT = "DIRECT"


class LengthUnit(StrEnum):
    GRAPHEME = "GRAPHEME"
    CODE_POINT = "CODE_POINT"
    WEIGHTED = "WEIGHTED"
    UTF16 = "UTF16"
    BYTE = "BYTE"


class Threading(StrEnum):
    NONE = "NONE"
    FLAT = "FLAT"
    TWO_LEVEL = "TWO_LEVEL"
    TREE = "TREE"


class SendGuard(StrEnum):
    """What keeps a repeated send from publishing twice. CLIENT_ID: our own id; the stored call may be repeated."""

    CLIENT_ID = "CLIENT_ID"
    HEADER_KEY = "HEADER_KEY"
    FIND_AFTER = "FIND_AFTER"
    NONE = "NONE"


class MetricKind(StrEnum):
    """COUNTER only rises; GAUGE is the value of the moment."""

    COUNTER = "COUNTER"
    GAUGE = "GAUGE"


class QuotaScope(StrEnum):
    APP = "APP"
    ACCOUNT = "ACCOUNT"
    CONVERSATION = "CONVERSATION"
    ADDRESS = "ADDRESS"


@dataclass(frozen=True, slots=True)
class TextLimit:
    limit: int
    unit: LengthUnit
    link_cost: int | None = None
    """What a link counts for, in `unit`; None when it counts as it is written."""


@dataclass(frozen=True, slots=True)
class MediaRule:
    max_count: int = 0
    types: frozenset[str] = frozenset()
    max_bytes: int = 0
    alt_text_max: int = 0
    needs_public_url: bool = False


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How long a private answer is allowed. `outside` is REFUSE or TEMPLATE."""

    kind: str
    opens_on: str
    hours: int
    extended_hours: int | None = None
    extended_needs: str | None = None
    outside: str = "REFUSE"


@dataclass(frozen=True, slots=True)
class EditRule:
    allowed: bool = False
    minutes: int | None = None
    times: int | None = None
    new_id: bool = False


@dataclass(frozen=True, slots=True)
class MetricRule:
    kind: MetricKind
    late_days: int
    """How long after publishing the figure is still worth asking for."""


@dataclass(frozen=True, slots=True)
class QuotaRule:
    """`cost` by operation name (send, delete, read, sign_in), in the points of this bucket."""

    bucket: str
    scope: QuotaScope
    cost: Mapping[str, int]
    limit: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class StreamRule:
    """A stream that `fetch` reads. `known_max` > 0: it looks at items the caller names, that many at a time.

    Those are the items whose raw events are of the kind `known_kind`.
    """

    name: str
    every: timedelta
    known_max: int = 0
    known_kind: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a network can do for one account, as dated data: served to clients and checked before anything is queued."""

    version: str
    checked_on: date
    backfill_days: int
    ingest: frozenset[Ingest]
    transports: frozenset[Transport]
    streams: tuple[StreamRule, ...]
    publish: frozenset[Publish]
    text_limits: Mapping[Publish, tuple[TextLimit, ...]]
    media: MediaRule
    threading: Threading
    reply_window: WindowRule | None
    edit: EditRule
    delete: bool
    hide: bool
    react: bool
    typing_and_read_receipts: bool
    send_guard: SendGuard
    metrics: Mapping[str, MetricRule]
    quotas: tuple[QuotaRule, ...]
