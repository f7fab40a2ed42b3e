# SPDX-License-Identifier: EUPL-1.2
"""What happened to credentials."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.access import Role
from services.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class LocalTokenIssued(Event, kind="local_token.issued", subject="local_token_id"):
    local_token_id: UUID
    membership_id: UUID
    role: Role
    department_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class ApiClientCreated(Event, kind="api_client.created", subject="api_client_id"):
    api_client_id: UUID
    scopes: list[str]


@dataclass(frozen=True, kw_only=True)
class ApiClientUpdated(Event, kind="api_client.updated", subject="api_client_id"):
    api_client_id: UUID
    scopes: list[str]


@dataclass(frozen=True, kw_only=True)
class ApiClientRevoked(Event, kind="api_client.revoked", subject="api_client_id"):
    api_client_id: UUID


@dataclass(frozen=True, kw_only=True)
class ApiKeyIssued(Event, kind="api_key.issued", subject="api_key_id"):
    api_key_id: UUID
    api_client_id: UUID
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class ApiKeyRevoked(Event, kind="api_key.revoked", subject="api_key_id"):
    api_key_id: UUID
    api_client_id: UUID


@dataclass(frozen=True, kw_only=True)
class ClientDocumentsRegistered(Event, kind="client_documents.registered", subject="api_client_id"):
    api_client_id: UUID
    document_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class DeprecatedUseNoted(Event, kind="deprecated_use.noted", subject="deprecated_use_id"):
    """A client used something that goes away, for the first time in a month: somebody should move it."""

    deprecated_use_id: UUID
    api_client_id: UUID
    name: str
