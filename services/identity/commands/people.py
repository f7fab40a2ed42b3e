# SPDX-License-Identifier: EUPL-1.2
"""Acts on people and credentials."""

from uuid import UUID

from services.identity import queries, rules
from services.identity.events import LocalTokenIssued
from services.identity.models import Door, LocalToken, Person, PersonOrganization
from services.identity.rules import DoorKind
from services.kernel.access import Actor, Permission, Role
from services.kernel.database import Database, Directory, UnitOfWork
from services.kernel.encryption import digest
from services.kernel.errors import NotFound
from services.tenancy import queries as tenancy
from services.tenancy.rules import DepartmentIsUnknown


async def register_person(directory: Directory, *, name: str, email: str, locale: str, organization_id: UUID) -> Person:
    """Enter somebody into the directory of people, and their organization beside them."""
    person = Person(name=name, email=email, locale=locale)
    await directory.add(person)
    await directory.add(PersonOrganization(person_id=person.id, organization_id=organization_id))
    return person


async def open_door(
    directory: Directory, kind: DoorKind, key: bytes, *, organization_id: UUID, subject_id: UUID
) -> None:
    """Let a key lead to a subject of one organization."""
    await directory.add(Door(kind=kind, key=key, organization_id=organization_id, subject_id=subject_id))


async def issue_local_token(
    database: Database, *, is_local: bool, slug: str, role: Role, department_code: str | None, person_number: int = 1
) -> str:
    """A bearer token for a member in one role: the first one who has that role, unless another number is given."""
    rules.check_local(is_local)
    organization_id = await queries.organization_of_slug(database, slug)
    if organization_id is None:
        raise NotFound("There is no organization '{slug}'.", slug=slug)
    token = rules.new_local_token()
    async with database.unit_of_work(Actor.system(organization_id)) as uow:
        issued = await _local_token(uow, role=role, department_code=department_code, person_number=person_number)
    async with database.directory() as directory:
        await open_door(
            directory, DoorKind.LOCAL_TOKEN, digest(token), organization_id=organization_id, subject_id=issued.id
        )
    return token


async def _local_token(uow: UnitOfWork, *, role: Role, department_code: str | None, person_number: int) -> LocalToken:
    uow.actor.require(Permission.ORGANIZATION_FOUND)
    members = await tenancy.members_in_role(uow, role)
    if not 1 <= person_number <= len(members):
        raise rules.PersonIsUnknown("There are {count} people with the role {role}.", count=len(members), role=role)
    department_id = None
    if department_code is not None:
        try:
            department_id = (await tenancy.department_by_code(uow, department_code)).id
        except NotFound as error:
            raise DepartmentIsUnknown("There is no department '{code}'.", code=department_code) from error
    token = LocalToken(
        tenant_id=uow.tenant_id,
        membership_id=members[person_number - 1].id,
        role=role,
        department_id=department_id,
        expires_at=uow.now + rules.LOCAL_TOKEN_LIFE,
    )
    uow.add(token)
    uow.emit(
        LocalTokenIssued(
            local_token_id=token.id, membership_id=token.membership_id, role=role, department_id=department_id
        )
    )
    return token
