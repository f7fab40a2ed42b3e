# SPDX-License-Identifier: EUPL-1.2
"""Root fields of deliveries."""

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.deliveries.types import Delivery
from graphql_schema.reading.mapping import connection
from services.deliveries import models

D = models.Delivery


@strawberry.type
class DeliveryQueries:
    """What is published."""

    deliveries: Connection[Delivery] = connection(
        description="The deliveries of conversations that the caller sees. Needs conversations:read.",
        newest_first=D.due_at,
    )
