# SPDX-License-Identifier: EUPL-1.2
"""From a credential to an actor. Before that, only the platform's own directories can be read."""

from services.identity.queries.askers import CLIENT_ASKS, WHO_ASKS, Asker, actor_of_token, asker_of_token
from services.identity.queries.clients import (
    DEPRECATED_USE_IS_VISIBLE,
    api_client_for_update,
    api_key_for_update,
    client_count,
    document_text,
    live_keys,
    registered,
    scopes_of,
    used_lately,
    visible_uses,
)
from services.identity.queries.directories import door, organization_of_slug, organizations, person_by_email
from services.identity.queries.holdings import (
    CLIENTS_NO_LONGER_HOLD,
    WHO_NO_LONGER_HOLDS,
    Holdings,
    no_longer_holding,
)

__all__ = [
    "CLIENTS_NO_LONGER_HOLD",
    "CLIENT_ASKS",
    "DEPRECATED_USE_IS_VISIBLE",
    "WHO_ASKS",
    "WHO_NO_LONGER_HOLDS",
    "Asker",
    "Holdings",
    "actor_of_token",
    "api_client_for_update",
    "api_key_for_update",
    "asker_of_token",
    "client_count",
    "document_text",
    "door",
    "live_keys",
    "no_longer_holding",
    "organization_of_slug",
    "organizations",
    "person_by_email",
    "registered",
    "scopes_of",
    "used_lately",
    "visible_uses",
]
