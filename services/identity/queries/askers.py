# SPDX-License-Identifier: EUPL-1.2
"""From a bearer token to whoever asks: one round trip, with which every request begins.

What the statements bind and read is told in kernel/reads.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.identity import rules
from services.identity.rules import DoorKind
from services.kernel.access import Actor, ActorKind, Grant, Role, Scope
from services.kernel.database import Database
from services.kernel.encryption import digest
from services.kernel.errors import OrganizationSuspended, Unauthenticated
from services.kernel.reads import Reads
from services.kernel.settings import TenantBinding
from services.tenancy.rules import OrganizationState, with_descendants

WHERE_IT_LEADS = "select organization_id from belfry.door where key = $1 and kind in ('LOCAL_TOKEN', 'API_KEY')"
WHO_ASKS = """
    with door as materialized (
        select organization_id, subject_id from belfry.door where kind = 'LOCAL_TOKEN' and key = $1
    ), bound as materialized (
        select set_config('app.tenant_id', door.organization_id::text, true)::uuid as tenant, subject_id from door
    )
    select found.* from bound cross join lateral (
        select token.tenant_id, token.role, token.department_id, member.id as member_id, member.person_id,
               organization.state, organization.locales, person.locale,
               member.active and token.expires_at > now() as is_valid,
               case when token.department_id is not null then (
                   select array[array_agg(department.id), array_agg(department.parent_id)]
                   from belfry.department where department.tenant_id = bound.tenant
               ) end as departments
        from belfry.local_token token
        join belfry.membership member on member.tenant_id = token.tenant_id and member.id = token.membership_id
        join belfry.organization on organization.tenant_id = token.tenant_id
        left join belfry.person on person.id = member.person_id
        where token.tenant_id = bound.tenant and token.id = bound.subject_id and bound.tenant is not null
        offset 0
    ) found
"""
CLIENT_ASKS = """
    with door as materialized (
        select organization_id, subject_id from belfry.door where kind = 'API_KEY' and key = $1
    ), bound as materialized (
        select set_config('app.tenant_id', door.organization_id::text, true)::uuid as tenant, subject_id from door
    )
    select found.* from bound cross join lateral (
        select key.tenant_id, key.id as key_id, client.id as client_id, client.scopes, client.documents_required,
               organization.state, organization.locales,
               client.revoked_at is null and key.revoked_at is null and key.expires_at > now() as is_valid,
               key.last_used_on is distinct from (now() at time zone 'UTC')::date as is_first_use_today
        from belfry.api_key key
        join belfry.api_client client on client.tenant_id = key.tenant_id and client.id = key.api_client_id
        join belfry.organization on organization.tenant_id = key.tenant_id
        where key.tenant_id = bound.tenant and key.id = bound.subject_id and bound.tenant is not null
        offset 0
    ) found
"""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and in which languages they and their organization would like to be answered, the best first."""

    actor: Actor
    languages: tuple[str, ...]
    documents_required: bool = False
    """Whether only documents that were registered may be sent."""
    unnoted_key_id: UUID | None = None
    """The API key that is used for the first time on this day (UTC)."""


async def actor_of_token(database: Database, token: str) -> Actor:
    """Who a bearer token stands for. Raises Unauthenticated, or OrganizationSuspended for a closed organization."""
    return (await asker_of_token(database, token)).actor


async def asker_of_token(database: Database, token: str) -> Asker:
    """The same with what else a request needs to know of them."""
    kind = rules.kind_of(token)
    if kind is None:
        raise Unauthenticated
    is_key = kind is DoorKind.API_KEY
    found = await _found(database.reads, CLIENT_ASKS if is_key else WHO_ASKS, digest(token))
    if found is None or not found["is_valid"]:
        raise Unauthenticated
    if found["state"] == OrganizationState.SUSPENDED:
        raise OrganizationSuspended
    return _client(found) if is_key else _person(found)


def _person(found: Mapping[str, Any]) -> Asker:
    departments = None
    if found["department_id"] is not None:
        parents = dict(zip(*found["departments"], strict=True))
        departments = with_descendants(found["department_id"], parents)
    actor = Actor(
        tenant_id=_plain(found["tenant_id"]),
        membership_id=_plain(found["member_id"]),
        person_id=_plain(found["person_id"]),
        grants=(Grant(Role(found["role"]), departments),),
    )
    return Asker(actor, tuple(each for each in (found["locale"], *found["locales"]) if each))


def _client(found: Mapping[str, Any]) -> Asker:
    actor = Actor(
        tenant_id=_plain(found["tenant_id"]),
        kind=ActorKind.API_CLIENT,
        client_id=_plain(found["client_id"]),
        scopes=frozenset(Scope(each) for each in found["scopes"]),
    )
    unnoted = _plain(found["key_id"]) if found["is_first_use_today"] else None
    return Asker(actor, tuple(found["locales"]), found["documents_required"], unnoted)


async def _found(reads: Reads, statement: str, key: bytes) -> Mapping[str, Any] | None:
    if reads.binding is TenantBinding.STATEMENT:
        return await reads.row_unbound(statement, [key])
    tenant_id = await reads.value(WHERE_IT_LEADS, [key])
    return tenant_id and await reads.row(tenant_id, statement, [key])


def _plain(value: UUID) -> UUID:
    """The driver's own kind of UUID as Python's: an actor's ids end up in JSON, signatures and keys of maps."""
    return UUID(int=value.int)
