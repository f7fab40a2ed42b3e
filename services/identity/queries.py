# SPDX-License-Identifier: EUPL-1.2
"""From a credential to an actor. Before that, only the platform's own directories can be read."""

from uuid import UUID

from sqlmodel import col, select

from services.identity import rules
from services.identity.models import Door, DoorKind, LocalToken, Person
from services.kernel.access import Actor, Grant
from services.kernel.database import Database, Directory, Snapshot
from services.kernel.encryption import digest
from services.kernel.errors import NotFound, OrganizationSuspended, Unauthenticated
from services.kernel.isolation import owned
from services.tenancy import queries as tenancy
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


async def actor_of_token(database: Database, token: str) -> Actor:
    """Who a bearer token stands for. Raises Unauthenticated, or OrganizationSuspended for a closed organization."""
    if not rules.LOCAL_TOKEN.fullmatch(token):
        raise Unauthenticated
    async with database.directory() as directory:
        found = await door(directory, DoorKind.LOCAL_TOKEN, digest(token))
    if found is None:
        raise Unauthenticated
    async with database.snapshot(Actor.system(found.organization_id)) as snapshot:
        return await _actor(snapshot, found.subject_id)


async def _actor(snapshot: Snapshot, token_id: UUID) -> Actor:
    try:
        token = await snapshot.one(owned(LocalToken, col(LocalToken.id) == token_id))
        member = await tenancy.membership(snapshot, token.membership_id)
    except NotFound as error:
        raise Unauthenticated from error
    if token.expires_at <= snapshot.now or not member.active:
        raise Unauthenticated
    organization = await tenancy.organization(snapshot)
    if organization.state is OrganizationState.SUSPENDED:
        raise OrganizationSuspended
    departments = None
    if token.department_id is not None:
        departments = with_descendants(token.department_id, await tenancy.department_parents(snapshot))
    return Actor(
        tenant_id=_plain(snapshot.tenant_id),
        membership_id=_plain(member.id),
        person_id=_plain(member.person_id),
        grants=(Grant(token.role, departments),),
    )


def _plain(value: UUID) -> UUID:
    """The driver's own kind of UUID as Python's: an actor's ids end up in JSON, signatures and keys of maps."""
    return UUID(int=value.int)
