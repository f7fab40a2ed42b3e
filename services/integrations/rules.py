# SPDX-License-Identifier: EUPL-1.2
"""Webhooks by Standard Webhooks: what is told, how it is signed, when it is tried again, when an endpoint is given up.
Exports: of what, how much, for how long, and the tokens that open them.

Source: https://github.com/standard-webhooks/standard-webhooks, its specification of headers, secrets and signatures.
"""

import base64
import random
import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from services.kernel.access import Grant, Permission, Role
from services.kernel.errors import DomainError, Invalid, LimitReached
from services.kernel.identifiers import global_id
from services.kernel.serialization import print_instant, to_json

URL_LENGTH_MAX = 2_000
DESCRIPTION_LENGTH_MAX = 200
ENDPOINTS_MAX = 250
EVENT_TYPES_MAX = 100
SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105  how every secret begins, by the standard
ROTATION = timedelta(hours=24)
"""How long a secret goes on signing beside the one that replaces it."""
LIVE_SECRETS_MAX = 2
TIMEOUT_SECONDS = 15.0
KEPT = timedelta(days=30)
"""How long a delivery stays in the log after it has ended."""

RETRIES: Sequence[timedelta] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""How long after each failure a delivery is tried again; after the last one it has failed."""
JITTER = 0.1
RETRY_AFTER_MAX = timedelta(hours=24)
GIVE_UP_AFTER = timedelta(days=5)
"""How long an endpoint may fail without a success between."""
PAUSE_FIRST, PAUSE_MAX = timedelta(seconds=5), timedelta(minutes=5)
"""How long an endpoint that fails is left alone before it is tried with one delivery again."""
AT_ONCE_MAX = 16
"""Deliveries under way to one endpoint; each run begins with one and doubles as long as all are taken."""

SUBJECT_TAGS: Mapping[str, str] = {
    "conversation": "CV",
    "social_account": "SA",
    "export": "EX",
    "deprecated_use": "DU",
    "webhook_endpoint": "WE",
}
"""How the global ids of what events are about begin, by the first word of the event's type."""
TEST_TYPE = "webhook_endpoint.tested"

EXPORTS_MAX = 20
"""Exports of one person or client that are not over."""
EXPORT_KEPT = timedelta(days=7)
EXPORT_LINK_LIFE = timedelta(minutes=15)
EXPORT_LINES_MAX = 1_000_000
EXPORT_BYTES_MAX = 512 * 1024 * 1024
EXPORT_ROWS_AT_ONCE = 200
EXPORT_PIECE_BYTES_MAX = 1024 * 1024
EXPORT_PROGRESS_LINES = 5_000
"""How many lines are written between two events that tell how far it is."""
LINK_PURPOSE = "export link"
LINK = struct.Struct(">16s16sq")
SIGNATURE_BYTES = 32


class EndpointState(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class DisabledReason(StrEnum):
    BY_PERSON = "BY_PERSON"
    GONE = "GONE"
    FAILING = "FAILING"


class WebhookState(StrEnum):
    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class ExportKind(StrEnum):
    CONVERSATIONS = "CONVERSATIONS"
    CONTACTS = "CONTACTS"
    SOCIAL_ACCOUNTS = "SOCIAL_ACCOUNTS"


EXPORT_NEEDS: Mapping[ExportKind, Permission] = {
    ExportKind.CONVERSATIONS: Permission.CONVERSATION_READ,
    ExportKind.CONTACTS: Permission.CONVERSATION_READ,
    ExportKind.SOCIAL_ACCOUNTS: Permission.SOCIAL_ACCOUNT_READ,
}
"""What somebody must be able to read to take it out; `exports:read` alone opens nothing."""


class ExportState(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


OVER = (ExportState.FAILED, ExportState.EXPIRED)


class ExportFailure(StrEnum):
    RIGHTS_ENDED = "RIGHTS_ENDED"
    TOO_LARGE = "TOO_LARGE"
    BROKEN = "BROKEN"


class ExportIsNotReady(DomainError):
    code = "EXPORT_IS_NOT_READY"
    message = "This export is not ready, or is over."


class ApiClientIsUnknown(DomainError):
    code = "API_CLIENT_IS_UNKNOWN"
    message = "There is no such API client in this organization, or it was revoked."


class EndpointIsDisabled(DomainError):
    code = "ENDPOINT_IS_DISABLED"
    message = "This endpoint is disabled; enable it first."


def check_event_types(wished: Sequence[str], known: Iterable[str]) -> list[str]:
    """The types in their order, each once; none stands for all."""
    unknown = sorted(set(wished) - set(known))
    if unknown:
        raise Invalid("There is no event type '{type}'.", field=("eventTypes",), type=unknown[0])
    return sorted(set(wished))


def check_number_of_endpoints(number: int) -> None:
    if number >= ENDPOINTS_MAX:
        raise LimitReached("An organization has at most {count} endpoints.", count=ENDPOINTS_MAX)


def new_secret() -> str:
    """A secret as the standard writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_id(event_id: UUID) -> str:
    """The same for every attempt, and for every endpoint that is told of the event."""
    return f"msg_{event_id.hex}"


def body_of(event_type: str, subject_id: UUID, version: int | None, occurred_at: datetime) -> bytes:
    """What is sent: which node changed and to which version, never its content. Under 300 bytes."""
    tag = SUBJECT_TAGS[event_type.partition(".")[0]]
    data = {"id": global_id(tag, subject_id), "version": version}
    return to_json({"type": event_type, "timestamp": print_instant(occurred_at), "data": data})


def signed_headers(message: str, body: bytes, at: datetime, keys: Sequence[str]) -> dict[str, str]:
    """The headers of one attempt: one signature for each secret that lives."""
    timestamp = str(int(at.timestamp()))
    content = b".".join((message.encode(), timestamp.encode(), body))
    return {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(secret: str, content: bytes) -> str:
    mac = HMAC(base64.b64decode(secret.removeprefix(SECRET_PREFIX)), SHA256())
    mac.update(content)
    return base64.b64encode(mac.finalize()).decode()


def is_taken(status: int | None) -> bool:
    """Whether an answer says that the message was taken. A redirect is a failure: nobody said it leads to a friend."""
    return status is not None and 200 <= status < 300


def is_throttled(status: int | None) -> bool:
    """Whether the endpoint is there and asks for patience."""
    return status == 429


def is_gone(status: int | None) -> bool:
    """Whether the endpoint asks never to be called again."""
    return status == 410


def next_attempt(attempts: int, chance: random.Random, retry_after: timedelta | None = None) -> timedelta | None:
    """How long to wait after so many failed attempts; None when there is no further one."""
    if attempts > len(RETRIES):
        return None
    wait = RETRIES[attempts - 1] * chance.uniform(1 - JITTER, 1 + JITTER)
    return max(wait, min(retry_after or timedelta(0), RETRY_AFTER_MAX))


def failures_after(failures: int, statuses: Sequence[int | None]) -> int:
    """How often in a row an endpoint has failed after these calls. Who asks for patience is there."""
    if any(map(is_taken, statuses)):
        return 0
    return failures + all(not is_throttled(each) for each in statuses)


def pause(failures: int, asked: timedelta | None = None) -> timedelta:
    """How long an endpoint is left alone: as long as it asked for, else longer with every failure in a row."""
    if asked is not None:
        return min(asked, PAUSE_MAX)
    return timedelta(0) if failures == 0 else min(PAUSE_FIRST * 2 ** min(failures - 1, 16), PAUSE_MAX)


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint has failed for so long that it is disabled."""
    return failing_since is not None and now - failing_since >= GIVE_UP_AFTER


def retry_after_of(header: str | None, now: datetime) -> timedelta | None:
    """What a header Retry-After asks for, in seconds or as a date; None when it asks for nothing that can be read."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return timedelta(seconds=min(int(header.strip()[:9]), RETRY_AFTER_MAX.total_seconds()))
    try:
        return max(parsedate_to_datetime(header) - now, timedelta(0))
    except (ValueError, TypeError):
        return None


def check_period(since: datetime | None, until: datetime | None, *, now: datetime) -> datetime:
    """The last instant of a period: as wished, but never in the future. What is still to come is in no export."""
    ends = now if until is None else min(until, now)
    if since is not None and since > ends:
        raise Invalid("A period begins before it ends, and not in the future.", field=("since",))
    return ends


def check_number_of_exports(number: int) -> None:
    if number >= EXPORTS_MAX:
        raise LimitReached("You have {count} exports; each is kept for a week.", count=EXPORTS_MAX)


def written_grants(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """Grants as JSON, for what is done for somebody later."""
    return [
        {"role": each.role.value, "departments": each.departments and sorted(map(str, each.departments))}
        for each in grants
    ]


def read_grants(written: Iterable[Mapping[str, Any]]) -> list[Grant]:
    """What `written_grants` wrote."""
    return [
        Grant(Role(each["role"]), None if each["departments"] is None else frozenset(map(UUID, each["departments"])))
        for each in written
    ]


def link_content(tenant_id: UUID, export_id: UUID, ends: datetime) -> bytes:
    """What a link says: which export it opens, and until when, to the second."""
    return LINK.pack(tenant_id.bytes, export_id.bytes, int(ends.timestamp()))


def link_token(content: bytes, signature: bytes) -> str:
    """A link's content and its signature as one text for an address."""
    return base64.urlsafe_b64encode(content + signature).decode()


def read_link(token: str) -> tuple[bytes, bytes] | None:
    """The content and the signature of a link; None for any other text."""
    try:
        found = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
    except ValueError:
        return None
    return (found[: LINK.size], found[LINK.size :]) if len(found) == LINK.size + SIGNATURE_BYTES else None


def opened(content: bytes) -> tuple[UUID, UUID, datetime]:
    """The organization, the export and the end that a link's content names."""
    tenant_id, export_id, ends = LINK.unpack(content)
    return UUID(bytes=tenant_id), UUID(bytes=export_id), datetime.fromtimestamp(ends, UTC)
