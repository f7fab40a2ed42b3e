# SPDX-License-Identifier: EUPL-1.2
"""Reads of API clients, their keys and their documents."""

from collections.abc import Collection, Iterable
from datetime import date
from uuid import UUID

from sqlalchemy import any_, func, or_
from sqlmodel import col

from services.identity.models import ApiClient, ApiKey, ClientDocument, DeprecatedUse
from services.kernel.access import Permission, Scope
from services.kernel.database import Snapshot
from services.kernel.isolation import ACTOR, owned

DEPRECATED_USE_IS_VISIBLE = or_(
    ACTOR.everywhere(Permission.INTEGRATION_MANAGE), col(DeprecatedUse.api_client_id) == any_(ACTOR.selves)
)
"""A machine's uses are seen by whoever manages machines, and by itself."""


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


async def used_lately(snapshot: Snapshot, uses: Collection[tuple[UUID, str]], *, since: date) -> set[tuple[UUID, str]]:
    """Which clients used what on an earlier day, but not before `since`."""
    clients, names = {client for client, _ in uses}, {name for _, name in uses}
    found = await snapshot.rows(
        owned(
            DeprecatedUse,
            col(DeprecatedUse.api_client_id).in_(clients),
            col(DeprecatedUse.name).in_(names),
            col(DeprecatedUse.used_on) >= since,
            col(DeprecatedUse.used_on) < snapshot.now.date(),
        )
        .with_only_columns(col(DeprecatedUse.api_client_id), col(DeprecatedUse.name))
        .distinct()
    )
    return {(row.api_client_id, row.name) for row in found}


async def visible_uses(snapshot: Snapshot, use_ids: Collection[UUID]) -> set[UUID]:
    """Of some uses of what is deprecated those that the actor may see."""
    seen = owned(DeprecatedUse, col(DeprecatedUse.id).in_(use_ids), DEPRECATED_USE_IS_VISIBLE)
    return set(await snapshot.scalars(seen.with_only_columns(col(DeprecatedUse.id))))
