# SPDX-License-Identifier: EUPL-1.2
"""Credentials: what they look like, how long they live, what machines may be allowed and which documents they send."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.kernel.access import Scope
from services.kernel.errors import DomainError, Invalid, LimitReached, Required

LOCAL_TOKEN = re.compile(r"belfry_local_[A-Za-z0-9_-]{43}")
LOCAL_TOKEN_LIFE = timedelta(days=30)

API_KEY = re.compile(r"belfry_[0-9a-f]{32}_[A-Za-z0-9_-]{43}")
API_KEY_LIFE = timedelta(days=365)
API_KEY_LIFE_MAX = timedelta(days=730)
LIVE_KEYS_MAX = 5
"""Two are enough to rotate without a gap."""
CLIENTS_MAX = 100
CLIENT_NAME_LENGTH_MAX = 100
TOLD_OF_USE_FOR = timedelta(days=30)
"""After so long without a use of something deprecated, its next use is told again."""

DOCUMENTS_MAX = 2_000
"""Registered documents of one client."""
SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class DoorKind(StrEnum):
    """What leads to an organization before anybody is known."""

    ORGANIZATION_SLUG = "ORGANIZATION_SLUG"
    FORM_STATUS = "FORM_STATUS"
    LOCAL_TOKEN = "LOCAL_TOKEN"  # noqa: S105  the name of a kind
    API_KEY = "API_KEY"


class NotALocalInstallation(DomainError):
    code = "NOT_A_LOCAL_INSTALLATION"
    message = "Tokens are issued this way only by a local, embedded installation."


class PersonIsUnknown(DomainError):
    code = "PERSON_IS_UNKNOWN"
    message = "Nobody in this organization has that role."


class ApiClientIsRevoked(DomainError):
    code = "API_CLIENT_IS_REVOKED"
    message = "This API client was revoked; create another one."


def new_local_token() -> str:
    """A token of 256 bits of chance, recognizable by its first letters wherever it leaks."""
    return f"belfry_local_{secrets.token_urlsafe(32)}"


def new_api_key(key_id: UUID) -> str:
    """A key of 256 bits of chance, with the id by which it is found in the list of keys wherever it leaks."""
    return f"belfry_{key_id.hex}_{secrets.token_urlsafe(32)}"


def kind_of(token: str) -> DoorKind | None:
    """Which credential a bearer token looks like; None when it looks like none."""
    if LOCAL_TOKEN.fullmatch(token):
        return DoorKind.LOCAL_TOKEN
    return DoorKind.API_KEY if API_KEY.fullmatch(token) else None


def check_local(is_local: bool) -> None:
    if not is_local:
        raise NotALocalInstallation


def check_client_name(name: str) -> str:
    """The name without spaces around it."""
    name = name.strip()
    if not name:
        raise Required(field=("name",))
    return name


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """The scopes in their order, each once."""
    unknown = sorted(set(scopes) - set(Scope))
    if unknown:
        raise Invalid(
            "There is no scope '{scope}'; there are {scopes}.",
            field=("scopes",),
            scope=unknown[0],
            scopes=", ".join(sorted(Scope)),
        )
    return in_order(Scope(each) for each in scopes)


def in_order(scopes: Iterable[Scope]) -> list[str]:
    """Scopes as they are kept and compared."""
    return sorted({each.value for each in scopes})


def check_expiry(expires_at: datetime | None, *, now: datetime) -> datetime:
    """When a key ends: as wished, else after a year."""
    if expires_at is None:
        return now + API_KEY_LIFE
    if not now < expires_at <= now + API_KEY_LIFE_MAX:
        raise Invalid(
            "A key ends in the future, at most {count} days from now.",
            field=("expiresAt",),
            count=API_KEY_LIFE_MAX.days,
        )
    return expires_at


def check_live_keys(live: int) -> None:
    if live >= LIVE_KEYS_MAX:
        raise LimitReached("An API client has at most {count} keys at a time.", count=LIVE_KEYS_MAX)


def document_id(text: str) -> str:
    """The id of a document: the digest of its exact text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def plain_document_id(written: str) -> str | None:
    """A document's id, however a client writes it; None when it is none."""
    found = SHA256.fullmatch(written)
    return f"sha256:{found[1]}" if found else None
