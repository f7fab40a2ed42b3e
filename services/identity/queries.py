# SPDX-License-Identifier: EUPL-1.2
"""From a credential to an actor. Before that, only the platform's own directories can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import col, select

from services.identity import rules
from services.identity.models import Door, DoorKind, Person
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import Database, Directory
from services.kernel.encryption import digest
from services.kernel.errors import OrganizationSuspended, Unauthenticated
from services.kernel.reads import Reads
from services.kernel.serialization import to_json
from services.kernel.settings import TenantBinding
from services.tenancy.rules import OrganizationState, with_descendants


async def door(directory: Directory, kind: DoorKind, key: bytes) -> Door | None:
    """Where a key leads, before anybody is known."""
    return await directory.one_or_none(select(Door).where(col(Door.kind) == kind, col(Door.key) == key))


async def organization_of_slug(database: Database, slug: str) -> UUID | None:
    """The organization that a public address names."""
    async with database.directory() as directory:
        found = await door(directory, DoorKind.ORGANIZATION_SLUG, slug.encode())
    return found.organization_id if found else None


async def organizations(database: Database) -> dict[str, UUID]:
    """Every organization of the installation by its slug."""
    async with database.directory() as directory:
        doors = await directory.scalars(
            select(Door).where(col(Door.kind) == DoorKind.ORGANIZATION_SLUG).order_by(col(Door.key))
        )
    return {each.key.decode(): each.organization_id for each in doors}


async def person_by_email(directory: Directory, email: str) -> Person | None:
    """Somebody who can sign in."""
    return await directory.one_or_none(select(Person).where(col(Person.email) == email))


WHERE_IT_LEADS = "select organization_id from belfry.door where kind = 'LOCAL_TOKEN' and key = $1"
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
"""Every request begins with this, so it is one round trip; what it binds and reads is told in kernel/reads.py."""


WHO_NO_LONGER_HOLDS = """
    with bound as materialized (
        select set_config('app.tenant_id', $1::text, true)::uuid as tenant
    )
    select found.places from bound cross join lateral (
        with recursive below (root, id) as (
            select department.id, department.id
            from belfry.department where department.tenant_id = bound.tenant
            union
            select below.root, department.id
            from below join belfry.department
                on department.tenant_id = bound.tenant and department.parent_id = below.id
        ), reach as materialized (
            select root, array_agg(id order by id) as ids from below group by root
        ), rights as materialized (
            select place, "right" ->> 'role' as role,
                   case when jsonb_typeof("right" -> 'departments') = 'array'
                        then array(select jsonb_array_elements_text("right" -> 'departments')::uuid) end as departments
            from jsonb_array_elements($2::text::jsonb) with ordinality as given ("right", place)
        )
        select coalesce(array_agg(held.place), '{}') as places
        from unnest($3::text::bytea[], $4::text::uuid[], $5::text::uuid[], $6::text::int[])
             with ordinality as held (key, membership_id, person_id, rights, place)
        left join rights on rights.place = held.rights
        left join lateral (
            select token.role, token.department_id, member.id as membership_id, member.person_id
            from belfry.door
            cross join lateral (
                select token.role, token.department_id, token.membership_id from belfry.local_token token
                where token.tenant_id = bound.tenant and token.id = door.subject_id and token.expires_at > now()
                offset 0  -- one row by its key, whatever is believed about the size of the table
            ) token
            join belfry.membership member on member.tenant_id = bound.tenant and member.id = token.membership_id
            where door.kind = 'LOCAL_TOKEN' and door.key = held.key and door.organization_id = bound.tenant
              and member.active
            limit 1
        ) actual on true
        left join reach on reach.root = actual.department_id
        where bound.tenant is not null and not coalesce(
            actual.membership_id = held.membership_id and actual.person_id = held.person_id
            and actual.role = rights.role and reach.ids is not distinct from rights.departments
            and exists (select from belfry.organization
                        where organization.tenant_id = bound.tenant and organization.state <> 'SUSPENDED'),
            false)
        offset 0
    ) found
"""
"""`actor_of_token` for many tokens of one organization: the places, from 1, of those that stand for somebody else."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Tokens of one organization and the actors that they stood for, written down once to be asked for often."""

    tenant_id: UUID
    number: int
    rights: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, tenant_id: UUID, held: Sequence[tuple[str, Actor]]) -> "Holdings":
        known = {grants: place for place, grants in enumerate(dict.fromkeys(actor.grants for _, actor in held), 1)}
        rights = [{"role": grant.role, "departments": _in_order(grant.departments)} for (grant,) in known]
        columns = (
            (f'"\\\\x{digest(token).hex()}"' for token, _ in held),
            (str(actor.membership_id or "null") for _, actor in held),
            (str(actor.person_id or "null") for _, actor in held),
            (str(known[actor.grants]) for _, actor in held),
        )
        # Arrays as PostgreSQL writes them: the driver takes longer to encode a thousand ids than the server to look.
        written = tuple(f"{{{','.join(each)}}}" for each in columns)
        return cls(tenant_id, len(held), to_json(rights).decode(), written)


async def no_longer_holding(database: Database, holdings: Holdings) -> list[int]:
    """Which of these tokens do not stand for their actors any more, with the same rights: their places, from 0."""
    if not holdings.number:
        return []
    values = [str(holdings.tenant_id), holdings.rights, *holdings.columns]
    row = await database.reads.row(holdings.tenant_id, WHO_NO_LONGER_HOLDS, values)
    return [place - 1 for place in row["places"]] if row else []


def _in_order(departments: frozenset[UUID] | None) -> list[UUID] | None:
    return None if departments is None else sorted(departments)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and in which languages they and their organization would like to be answered, the best first."""

    actor: Actor
    languages: tuple[str, ...]


async def actor_of_token(database: Database, token: str) -> Actor:
    """Who a bearer token stands for. Raises Unauthenticated, or OrganizationSuspended for a closed organization."""
    return (await asker_of_token(database, token)).actor


async def asker_of_token(database: Database, token: str) -> Asker:
    """The same with their languages."""
    if not rules.LOCAL_TOKEN.fullmatch(token):
        raise Unauthenticated
    found = await _who_asks(database.reads, digest(token))
    if found is None or not found["is_valid"]:
        raise Unauthenticated
    if found["state"] == OrganizationState.SUSPENDED:
        raise OrganizationSuspended
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


async def _who_asks(reads: Reads, key: bytes) -> Mapping[str, Any] | None:
    if reads.binding is TenantBinding.STATEMENT:
        return await reads.row_unbound(WHO_ASKS, [key])
    tenant_id = await reads.value(WHERE_IT_LEADS, [key])
    return tenant_id and await reads.row(tenant_id, WHO_ASKS, [key])


def _plain(value: UUID) -> UUID:
    """The driver's own kind of UUID as Python's: an actor's ids end up in JSON, signatures and keys of maps."""
    return UUID(int=value.int)
