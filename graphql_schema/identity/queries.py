# SPDX-License-Identifier: EUPL-1.2
"""Root fields that tell who is asking, and who may."""

from typing import Any

import strawberry

from graphql_schema.billing import Billed, bucket_of
from graphql_schema.connections import Connection
from graphql_schema.identity.types import ApiClient, DeprecatedUse, RateLimit, Viewer
from graphql_schema.reading.mapping import connection
from graphql_schema.reading.resolvers import ReadingContext
from graphql_schema.tenancy.types import Organization, Person
from services.identity import models
from services.kernel.buckets import CAPACITY, RESTORED_A_SECOND


@strawberry.type
class IdentityQueries:
    """Who is asking, and which machines may."""

    api_clients: Connection[ApiClient] = connection(
        description="The machines that may ask. Needs integrations:manage.", newest_first=models.ApiClient.created_at
    )

    deprecated_uses: Connection[DeprecatedUse] = connection(
        description="Who still uses what is deprecated, by the day: all with integrations:manage, a machine its own.",
        newest_first=models.DeprecatedUse.created_at,
    )

    @strawberry.field(description="Who is asking, and what this caller may do. Every valid credential may read it.")
    async def viewer(self, info: strawberry.Info[Any, None]) -> Viewer:
        context: ReadingContext = info.context
        actor = context.actor
        return Viewer(
            person=Person.of(actor.membership_id) if actor.membership_id is not None else None,
            organization=Organization.of(actor.tenant_id),
            roles=list(actor.roles),
            permissions=[permission.value for permission in actor.permissions],
            scopes=sorted(scope.value for scope in actor.scopes),
        )

    @strawberry.field(
        description="How much the caller may still ask for. Every valid credential may read it; to know what an "
        "operation would cost, send it with the header `X-Cost-Only: 1`."
    )
    async def rate_limit(self, info: strawberry.Info[Any, None]) -> RateLimit:
        context: Billed = info.context
        return RateLimit(
            maximum_query_cost=context.query_cost_max,
            maximum_available=CAPACITY,
            currently_available=context.buckets.available(bucket_of(context.actor)),
            restore_rate=RESTORED_A_SECOND,
        )
