# SPDX-License-Identifier: EUPL-1.2
"""Who is asking, as clients see it."""

import strawberry

from graphql_schema.reading.mapping import read_back, vocabulary
from graphql_schema.tenancy.types import Organization, Person
from services.kernel.access import Role

vocabulary(
    Role,
    "What a person is in an organization. Rights of several roles add up.",
    ADMIN="Sets the organization up: people, departments, credentials. Sees no citizen content.",
    MANAGER="Answers for departments: reads their public conversations and figures.",
    COORDINATOR="Runs the desk of the whole organization: sees everything, takes over, resolves.",
    OPERATOR="Answers citizens for own departments.",
    EXPERT="Helps with single conversations when asked to.",
    VIEWER="Reads figures without personal data.",
)


@strawberry.type(
    description="How much the caller may ask for. Every operation takes its cost from a bucket, which fills again."
)
class RateLimit:
    """The caller's bucket. The same figures come with every answer, in `extensions.cost`."""

    maximum_query_cost: int = strawberry.field(description="What one operation may cost at most.")
    maximum_available: int = strawberry.field(description="What a full bucket holds.")
    currently_available: int = strawberry.field(description="What is left, this operation taken into account.")
    restore_rate: int = strawberry.field(description="What comes back every second.")


@strawberry.type(description="Who is asking, and what this caller may do.")
class Viewer:
    """The caller. Made by hand, because it is the credential and not a row."""

    person: Person | None = read_back("The colleague who is asking; null for a machine.")
    organization: Organization | None = read_back("The organization that the credential belongs to.")
    roles: list[Role] = strawberry.field(description="The roles held anywhere in the organization, alphabetically.")
    permissions: list[str] = strawberry.field(
        description="Every act that is open to the caller somewhere, `area:act`, alphabetically. Values are added."
    )
