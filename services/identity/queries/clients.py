# SPDX-License-Identifier: EUPL-1.2
"""Reads of API clients, their keys and their documents."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col

from services.identity.models import ApiClient, ApiKey, ClientDocument
from services.kernel.access import Scope
from services.kernel.database import Snapshot
from services.kernel.isolation import owned


async def api_client_for_update(snapshot: Snapshot, api_client_id: UUID) -> ApiClient:
    """One client, locked. Raises NotFound."""
    return await snapshot.one(owned(ApiClient, col(ApiClient.id) == api_client_id).with_for_update())


async def api_key_for_update(snapshot: Snapshot, api_key_id: UUID) -> ApiKey:
    """One key, locked. Raises NotFound."""
    return await snapshot.one(owned(ApiKey, col(ApiKey.id) == api_key_id).with_for_update())


async def scopes_of(snapshot: Snapshot, api_client_ids: Iterable[UUID]) -> dict[UUID, frozenset[Scope]]:
    """What some clients may do; those that were revoked are left out."""
    found = await snapshot.rows(
        owned(ApiClient, col(ApiClient.id).in_(set(api_client_ids)), col(ApiClient.revoked_at).is_(None))
        .with_only_columns(col(ApiClient.id), col(ApiClient.scopes))
        .order_by(col(ApiClient.id))
    )
    return {row.id: frozenset(Scope(each) for each in row.scopes) for row in found}


async def client_count(snapshot: Snapshot) -> int:
    """How many clients are not revoked."""
    return await snapshot.scalar(owned(ApiClient, col(ApiClient.revoked_at).is_(None)).with_only_columns(func.count()))


async def live_keys(snapshot: Snapshot, api_client_id: UUID) -> list[ApiKey]:
    """The keys of a client that open something, the oldest first."""
    return await snapshot.scalars(
        owned(
            ApiKey,
            col(ApiKey.api_client_id) == api_client_id,
            col(ApiKey.revoked_at).is_(None),
            col(ApiKey.expires_at) > func.now(),
        ).order_by(col(ApiKey.created_at), col(ApiKey.id))
    )


async def document_text(snapshot: Snapshot, document_id: str) -> str | None:
    """The text that the client who asks has registered under this id."""
    return await snapshot.one_or_none(
        owned(
            ClientDocument,
            col(ClientDocument.api_client_id) == snapshot.actor.client_id,
            col(ClientDocument.document_id) == document_id,
        ).with_only_columns(col(ClientDocument.text))
    )


async def registered(snapshot: Snapshot, api_client_id: UUID) -> Iterable[str]:
    """The ids of all documents of a client."""
    return await snapshot.scalars(
        owned(ClientDocument, col(ClientDocument.api_client_id) == api_client_id).with_only_columns(
            col(ClientDocument.document_id)
        )
    )
