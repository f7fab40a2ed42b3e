# SPDX-License-Identifier: EUPL-1.2
"""Root fields of webhooks and exports."""

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.integrations.types import Export, WebhookEndpoint
from graphql_schema.reading.mapping import connection
from services.integrations import models


@strawberry.type
class IntegrationQueries:
    """What other systems are told."""

    webhook_endpoints: Connection[WebhookEndpoint] = connection(
        description="The addresses that are told of what happens. Needs integrations:manage.",
        newest_first=models.WebhookEndpoint.created_at,
    )
    exports: Connection[Export] = connection(
        description="The data that the caller asked to take out. Needs exports:read.",
        newest_first=models.Export.created_at,
    )
