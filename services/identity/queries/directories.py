# SPDX-License-Identifier: EUPL-1.2
"""What can be read before an organization is known: the platform's own directories, which lead to one."""

from uuid import UUID

from sqlmodel import col, select

from services.identity.models import Door, Person
from services.identity.rules import DoorKind
from services.kernel.database import Database, Directory


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
