# SPDX-License-Identifier: EUPL-1.2
"""Organizations for tests, made by Belfry's own commands as the application's role. Everybody in them is invented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.identity import commands as identity
from services.identity.rules import DoorKind
from services.kernel import identifiers
from services.kernel.access import Actor, Grant, Role
from services.kernel.database import Database
from services.tenancy import commands as tenancy
from services.tenancy.rules import with_descendants

DESK = "DESK"
DEPARTMENTS: Mapping[str, str | None] = {DESK: None, "ROADS": None, "LIGHTS": "ROADS", "PEOPLE": None}
"""Code → code of the department above."""


@dataclass(frozen=True)
class TestOrganization:
    """One organization with its departments by code and one member for each role."""

    __test__ = False

    id: UUID
    slug: str
    departments: Mapping[str, UUID]
    parents: Mapping[UUID, UUID | None]
    members: Mapping[Role, UUID]
    people: Mapping[Role, UUID]

    @property
    def system(self) -> Actor:
        """Belfry itself."""
        return Actor.system(self.id)

    def actor(self, role: Role, department: str | None = None) -> Actor:
        """The member with this role, in one department and those below it, or in the whole organization."""
        reach = None if department is None else with_descendants(self.departments[department], self.parents)
        return Actor(
            tenant_id=self.id,
            membership_id=self.members[role],
            person_id=self.people[role],
            grants=(Grant(role, reach),),
        )


async def found_organization(
    database: Database, *, name: str = "Testwijk", roles: Sequence[Role] = tuple(Role)
) -> TestOrganization:
    """Found an organization: four departments, one below another, and a member for each role."""
    tenant_id = identifiers.new()
    slug = f"{name.lower()}-{tenant_id.hex[-12:]}"
    departments: dict[str, UUID] = {}
    async with database.unit_of_work(Actor.system(tenant_id)) as uow:
        await tenancy.found_organization(uow, slug=slug, name=name, locales=["nl"], zone="Europe/Amsterdam")
        for code, above in DEPARTMENTS.items():
            added = await tenancy.add_department(
                uow,
                code=code,
                name=code.title(),
                parent_id=departments[above] if above else None,
                is_coordination_desk=code == DESK,
            )
            departments[code] = added.id
    people: dict[Role, UUID] = {}
    async with database.directory() as directory:
        await identity.open_door(
            directory, DoorKind.ORGANIZATION_SLUG, slug.encode(), organization_id=tenant_id, subject_id=tenant_id
        )
        for role in roles:
            email = f"{role.lower()}@{slug}.example"
            person = await identity.register_person(
                directory, name=f"{role.title()} {name}", email=email, locale="en", organization_id=tenant_id
            )
            people[role] = person.id
    members: dict[Role, UUID] = {}
    async with database.unit_of_work(Actor.system(tenant_id)) as uow:
        for role in roles:
            member = await tenancy.add_member(uow, person_id=people[role], name=f"{role.title()} {name}")
            await tenancy.grant_role(uow, membership_id=member.id, role=role)
            members[role] = member.id
    parents = {departments[code]: departments[above] if above else None for code, above in DEPARTMENTS.items()}
    return TestOrganization(tenant_id, slug, departments, parents, members, people)
