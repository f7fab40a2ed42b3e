# SPDX-License-Identifier: EUPL-1.2
"""Whether many credentials still stand for whom they stood for: asked at once, for everybody on a live connection."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.identity import rules
from services.kernel.access import Actor, ActorKind
from services.kernel.database import Database
from services.kernel.encryption import digest
from services.kernel.serialization import to_json

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


CLIENTS_NO_LONGER_HOLD = """
    with bound as materialized (
        select set_config('app.tenant_id', $1::text, true)::uuid as tenant
    )
    select found.places from bound cross join lateral (
        select coalesce(array_agg(held.place), '{}') as places
        from unnest($2::text::bytea[], $3::text::uuid[], $4::text::text[])
             with ordinality as held (key, client_id, scopes, place)
        where bound.tenant is not null and not exists (
            select from belfry.door
            cross join lateral (
                select key.api_client_id from belfry.api_key key
                where key.tenant_id = bound.tenant and key.id = door.subject_id
                  and key.revoked_at is null and key.expires_at > now()
                offset 0  -- one row by its key, whatever is believed about the size of the table
            ) key
            join belfry.api_client client on client.tenant_id = bound.tenant and client.id = key.api_client_id
            join belfry.organization on organization.tenant_id = bound.tenant and organization.state <> 'SUSPENDED'
            where door.kind = 'API_KEY' and door.key = held.key and door.organization_id = bound.tenant
              and client.id = held.client_id and client.revoked_at is null
              and array_to_string(client.scopes, ' ') = held.scopes
        )
        offset 0
    ) found
"""
"""The same for API keys. The scopes of a client are kept in alphabetical order."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One statement with its values, and which of the credentials it asks for."""

    statement: str
    values: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Credentials of one organization and the actors that they stood for, written down once to be asked for often."""

    tenant_id: UUID
    asked: tuple[_Asked, ...]

    @classmethod
    def of(cls, tenant_id: UUID, held: Sequence[tuple[str, Actor]]) -> "Holdings":
        clients = [place for place, (_, actor) in enumerate(held) if actor.kind is ActorKind.API_CLIENT]
        people = sorted({*range(len(held))} - {*clients}) if clients else list(range(len(held)))
        asked = (
            _people([held[place] for place in people], people),
            _clients([held[each] for each in clients], clients),
        )
        return cls(tenant_id, tuple(each for each in asked if each.places))


async def no_longer_holding(database: Database, holdings: Holdings) -> list[int]:
    """Which of these tokens do not stand for their actors any more, with the same rights: their places, from 0."""
    found: list[int] = []
    for each in holdings.asked:
        row = await database.reads.row(holdings.tenant_id, each.statement, [str(holdings.tenant_id), *each.values])
        found += [each.places[place - 1] for place in row["places"]] if row else []
    return found


def _people(held: Sequence[tuple[str, Actor]], places: Sequence[int]) -> _Asked:
    known = {grants: place for place, grants in enumerate(dict.fromkeys(actor.grants for _, actor in held), 1)}
    rights = [{"role": grant.role, "departments": _in_order(grant.departments)} for (grant,) in known]
    columns = (
        _keys(held),
        (str(actor.membership_id or "null") for _, actor in held),
        (str(actor.person_id or "null") for _, actor in held),
        (str(known[actor.grants]) for _, actor in held),
    )
    return _Asked(WHO_NO_LONGER_HOLDS, (to_json(rights).decode(), *map(_array, columns)), tuple(places))


def _clients(held: Sequence[tuple[str, Actor]], places: Sequence[int]) -> _Asked:
    columns = (
        _keys(held),
        (str(actor.client_id) for _, actor in held),
        (f'"{" ".join(rules.in_order(actor.scopes))}"' for _, actor in held),
    )
    return _Asked(CLIENTS_NO_LONGER_HOLD, tuple(map(_array, columns)), tuple(places))


def _keys(held: Sequence[tuple[str, Actor]]) -> Iterable[str]:
    return (f'"\\\\x{digest(token).hex()}"' for token, _ in held)


def _array(values: Iterable[str]) -> str:
    """An array as PostgreSQL writes it: the driver takes longer to encode a thousand ids than the server to look."""
    return f"{{{','.join(values)}}}"


def _in_order(departments: frozenset[UUID] | None) -> list[UUID] | None:
    return None if departments is None else sorted(departments)
