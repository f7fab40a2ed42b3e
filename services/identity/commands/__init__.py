# SPDX-License-Identifier: EUPL-1.2
"""Acts on people and on the credentials of people and machines."""

from services.identity.commands.clients import (
    ApiClientChanges,
    count_deprecated,
    create_client,
    issue_api_key,
    note_key_use,
    register_documents,
    revoke_api_key,
    revoke_client,
    update_client,
)
from services.identity.commands.people import issue_local_token, open_door, register_person

__all__ = [
    "ApiClientChanges",
    "count_deprecated",
    "create_client",
    "issue_api_key",
    "issue_local_token",
    "note_key_use",
    "open_door",
    "register_documents",
    "register_person",
    "revoke_api_key",
    "revoke_client",
    "update_client",
]
