# SPDX-License-Identifier: EUPL-1.2
"""Organizations, departments and colleagues as clients see them."""

from datetime import datetime

from graphql_schema.nodes import Node
from graphql_schema.reading.mapping import column, named, readable, to_one, typed, vocabulary
from graphql_schema.scalars import TimeZone
from services.kernel.access import Permission
from services.tenancy import models
from services.tenancy.queries import TENANT_WIDE
from services.tenancy.rules import OrganizationKind, OrganizationState

O, D, M = models.Organization, models.Department, models.Membership  # noqa: E741  the first letters of the models

vocabulary(
    OrganizationKind,
    "Which public body an organization is.",
    MUNICIPALITY="A municipality.",
    WELFARE_CENTER="A public center for social welfare.",
    POLICE_ZONE="A police zone.",
    RESCUE_ZONE="A fire and rescue zone.",
    PROVINCE="A province.",
    WATER_AUTHORITY="A water authority.",
)
vocabulary(
    OrganizationState,
    "Whether an organization uses Belfry.",
    ACTIVE="In use.",
    SUSPENDED="Closed for the time being; nobody can sign in.",
)


@readable(O, tag="OR", visible=TENANT_WIDE, permission=Permission.DIRECTORY_READ)
class Organization(Node):
    """One public body and everything of its own: nothing in Belfry is shared between two of them."""

    slug: str = column(O.slug, "Its short name in addresses, `molendam`.")
    name: str = column(O.name, "Its full name.")
    kind: OrganizationKind = column(O.kind, "Which public body it is.")
    region: str | None = column(O.region, "The part of the country it lies in, where somebody has said so.")
    population_class: str | None = column(O.population_class, "The class of population by which it can be compared.")
    locales: list[str] = column(O.locales, "The languages it answers in, most used first, by BCP 47.")
    zone: TimeZone = column(typed(TimeZone, O.zone), "The zone of its local times, `Europe/Brussels`.")
    state: OrganizationState = column(O.state, "Whether it uses Belfry.")
    created_at: datetime = column(O.created_at, "When it came to Belfry.")
    version: int = column(O.version, "Rises with every change; send it back as expectedVersion.")


@readable(
    D,
    tag="DP",
    visible=TENANT_WIDE,
    permission=Permission.DIRECTORY_READ,
    filter_by=(D.code,),
    order_by=(named(D.sort_key, "name", "The name, without regard to case and accents."),),
)
class Department(Node):
    """A part of the organization that answers for something. Departments form a tree; rights flow down it."""

    code: str = column(D.code, "Its short code, unique in the organization, `WORKS`.")
    name: str = column(D.name, "Its name.")
    parent: "Department | None" = to_one(D.parent_id, "The department above it; null at the top.")
    is_internal: bool = column(D.is_internal, "Whether it serves colleagues only, never citizens.")
    can_direct: bool = column(D.can_direct, "Whether it may direct conversations that other departments answer.")
    is_coordination_desk: bool = column(
        D.is_coordination_desk, "Whether it is the coordination desk, which takes what nobody else does. One is."
    )
    created_at: datetime = column(D.created_at, "When it was added.")
    version: int = column(D.version, "Rises with every change; send it back as expectedVersion.")


@readable(M, tag="PE", visible=TENANT_WIDE, permission=Permission.DIRECTORY_READ)
class Person(Node):
    """A colleague in this organization. The same human in another organization is another Person."""

    name: str = column(M.name, "The name that colleagues see.")
    skills: list[str] = column(M.skills, "What this person is good at, in the organization's own words.")
    active: bool = column(M.active, "False after this person has left; the name stays beside past work.")
