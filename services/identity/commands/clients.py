# SPDX-License-Identifier: EUPL-1.2
"""Acts on API clients: create, change and revoke them, issue and revoke their keys, register their documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy import text, update
from sqlmodel import col

from services.identity import queries, rules
from services.identity.commands.people import open_door
from services.identity.events import (
    ApiClientCreated,
    ApiClientRevoked,
    ApiClientUpdated,
    ApiKeyIssued,
    ApiKeyRevoked,
    ClientDocumentsRegistered,
    DeprecatedUseNoted,
)
from services.identity.models import ApiClient, ApiKey, ClientDocument
from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Actor, Permission
from services.kernel.database import Database, UnitOfWork
from services.kernel.encryption import digest
from services.kernel.errors import LimitReached

COUNT = text(
    """
    insert into belfry.deprecated_use (tenant_id, api_client_id, name, used_on, times)
    select :tenant, used.client, used.name, :day, used.times
    from unnest(cast(:clients as uuid[]), cast(:names as text[]), cast(:times as int[])) as used (client, name, times)
    on conflict (tenant_id, api_client_id, name, used_on)
        do update set times = deprecated_use.times + excluded.times
    returning id, api_client_id, name, xmax = 0 as is_first_today
    """
)


class ApiClientChanges(TypedDict, total=False):
    """What of a client shall change; what is not there stays."""

    name: str
    scopes: list[str]
    documents_required: bool


async def create_client(
    uow: UnitOfWork, *, name: str, scopes: Sequence[str], documents_required: bool = False
) -> ApiClient:
    """Make a machine known. It has no key yet."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    client = ApiClient(
        tenant_id=uow.tenant_id,
        name=rules.check_client_name(name),
        scopes=rules.check_scopes(scopes),
        documents_required=documents_required,
    )
    if await queries.client_count(uow) >= rules.CLIENTS_MAX:
        raise LimitReached("An organization has at most {count} API clients.", count=rules.CLIENTS_MAX)
    uow.add(client)
    uow.emit(ApiClientCreated(api_client_id=client.id, scopes=client.scopes))
    return client


async def update_client(
    uow: UnitOfWork, *, api_client_id: UUID, expected_version: int | None, changes: ApiClientChanges
) -> ApiClient:
    """Change what a client is called, may do, and may send. What is open closes when its scopes change."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    client = await _live_client(uow, api_client_id)
    client.require_version(expected_version)
    if "name" in changes:
        client.name = rules.check_client_name(changes["name"])
    if "scopes" in changes:
        client.scopes = rules.check_scopes(changes["scopes"])
    if "documents_required" in changes:
        client.documents_required = changes["documents_required"]
    uow.emit(ApiClientUpdated(api_client_id=client.id, scopes=client.scopes))
    return client


async def revoke_client(uow: UnitOfWork, *, api_client_id: UUID) -> ApiClient:
    """End a client for good: none of its keys opens anything any more."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    client = await queries.api_client_for_update(uow, api_client_id)
    if client.revoked_at is None:
        client.revoked_at = uow.now
        uow.emit(ApiClientRevoked(api_client_id=client.id))
    return client


async def issue_api_key(
    database: Database, actor: Actor, *, api_client_id: UUID, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key beside those that live: the row, and the key itself, which nobody can read again."""
    async with database.unit_of_work(actor) as uow:
        key = await _api_key(uow, api_client_id, expires_at)
    secret = rules.new_api_key(key.id)
    async with database.directory() as directory:
        await open_door(directory, DoorKind.API_KEY, digest(secret), organization_id=actor.tenant_id, subject_id=key.id)
    return key, secret


async def revoke_api_key(uow: UnitOfWork, *, api_key_id: UUID) -> ApiKey:
    """End one key. Connections that it opened close."""
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    key = await queries.api_key_for_update(uow, api_key_id)
    if key.revoked_at is None:
        key.revoked_at = uow.now
        uow.emit(ApiKeyRevoked(api_key_id=key.id, api_client_id=key.api_client_id))
    return key


async def note_key_use(database: Database, tenant_id: UUID, api_key_id: UUID) -> None:
    """Remember that a key was used today (UTC). Once a day and key, so that asking costs no write."""
    async with database.unit_of_work(Actor.system(tenant_id)) as uow:
        uow.actor.require(Permission.BELFRY_WORK)
        await uow.write(
            update(ApiKey)
            .where(col(ApiKey.tenant_id) == tenant_id, col(ApiKey.id) == api_key_id)
            .values(last_used_on=uow.now.date())
        )


async def register_documents(
    uow: UnitOfWork, *, api_client_id: UUID, documents: Mapping[str, tuple[str, str | None]]
) -> ApiClient:
    """Let a client send these documents by their ids; each is a text with the name of its operation.

    What is registered already stays: an id is the digest of its text. The texts have passed the limits of documents.
    """
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    client = await _live_client(uow, api_client_id)
    known = set(await queries.registered(uow, api_client_id))
    new = {each: documents[each] for each in documents if each not in known}
    if len(known) + len(new) > rules.DOCUMENTS_MAX:
        raise LimitReached(
            "An API client has at most {count} documents.", field=("manifest",), count=rules.DOCUMENTS_MAX
        )
    uow.add(
        *(
            ClientDocument(tenant_id=uow.tenant_id, api_client_id=api_client_id, document_id=each, name=name, text=text)
            for each, (text, name) in new.items()
        )
    )
    if new:
        uow.emit(ClientDocumentsRegistered(api_client_id=client.id, document_ids=sorted(new)))
    return client


async def count_deprecated(uow: UnitOfWork, *, uses: Mapping[tuple[UUID | None, str], int]) -> None:
    """Add up how often clients, and people together, used what is deprecated, by the day (UTC).

    A client's first use for a while is a fact of its own, so that its owner hears of it.
    """
    uow.actor.require(Permission.BELFRY_WORK)
    # In one order for everybody: two processes that count the same rows wait for each other and never deadlock.
    rows = sorted(uses.items(), key=lambda each: (str(each[0][0]), each[0][1]))
    found = await uow.write(
        COUNT,
        {
            "tenant": uow.tenant_id,
            "clients": [client_id for (client_id, _), _ in rows],
            "names": [name for (_, name), _ in rows],
            "times": [times for _, times in rows],
            "day": uow.now.date(),
        },
    )
    new = {(row.api_client_id, row.name): row.id for row in found if row.is_first_today and row.api_client_id}
    if not new:
        return  # the rule: what is used is used every day
    told = await queries.used_lately(uow, new, since=uow.now.date() - rules.TOLD_OF_USE_FOR)
    for (client_id, name), use_id in new.items():
        if (client_id, name) not in told:
            uow.emit(DeprecatedUseNoted(deprecated_use_id=use_id, api_client_id=client_id, name=name))


async def _live_client(uow: UnitOfWork, api_client_id: UUID) -> ApiClient:
    client = await queries.api_client_for_update(uow, api_client_id)
    if client.revoked_at is not None:
        raise rules.ApiClientIsRevoked
    return client


async def _api_key(uow: UnitOfWork, api_client_id: UUID, expires_at: datetime | None) -> ApiKey:
    uow.actor.require(Permission.INTEGRATION_MANAGE)
    await _live_client(uow, api_client_id)  # its lock also counts the keys one after another
    rules.check_live_keys(len(await queries.live_keys(uow, api_client_id)))
    key = ApiKey(
        id=identifiers.new(),
        tenant_id=uow.tenant_id,
        api_client_id=api_client_id,
        expires_at=rules.check_expiry(expires_at, now=uow.now),
    )
    uow.add(key)
    uow.emit(ApiKeyIssued(api_key_id=key.id, api_client_id=api_client_id, expires_at=key.expires_at))
    return key
