# SPDX-License-Identifier: EUPL-1.2
"""Root fields of the account register."""

import strawberry

from graphql_schema.connections import Connection
from graphql_schema.reading.mapping import connection
from graphql_schema.social_accounts.types import SocialAccount
from services.social_accounts import models

A = models.SocialAccount


@strawberry.type
class SocialAccountQueries:
    """The account register."""

    social_accounts: Connection[SocialAccount] = connection(
        description="The accounts that the caller sees: all, or those of own departments. Needs social_accounts:read.",
        newest_first=A.created_at,
    )
