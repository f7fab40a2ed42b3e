# SPDX-License-Identifier: EUPL-1.2
"""Root fields of organizations and departments."""

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.reading.mapping import connection
from graphql_schema.tenancy.types import Department
from services.tenancy import models

D = models.Department


@strawberry.type
class TenancyQueries:
    """The directory of the organization."""

    departments: Connection[Department] = connection(
        description="All departments of the organization. Every member may read them.", ordered_by=D.sort_key
    )
