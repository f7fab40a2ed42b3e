# SPDX-License-Identifier: EUPL-1.2
"""The root field that tells who is asking."""

from typing import Any

import strawberry

from graphql_schema.identity.types import Viewer
from graphql_schema.reading.resolvers import ReadingContext
from graphql_schema.tenancy.types import Organization, Person


@strawberry.type
class IdentityQueries:
    """Who is asking."""

    @strawberry.field(description="Who is asking, and what this caller may do. Every valid credential may read it.")
    async def viewer(self, info: strawberry.Info[Any, None]) -> Viewer:
        context: ReadingContext = info.context
        actor = context.actor
        return Viewer(
            person=Person.of(actor.membership_id) if actor.membership_id is not None else None,
            organization=Organization.of(actor.tenant_id),
            roles=list(actor.roles),
            permissions=[permission.value for permission in actor.permissions],
        )
