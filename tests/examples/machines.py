# SPDX-License-Identifier: EUPL-1.2
"""API clients of the organization in which the examples run."""

from tests.support.installation import Client

SCOPES = ["conversations:read", "conversations:read_private"]


async def machine(admin: Client) -> tuple[str, str]:
    """One that reads conversations; its id and a key."""
    made = await admin.do(
        "apiClientCreate", "apiClient { id }", name="An example", scopes=SCOPES, documentsRequired=False
    )
    assert made["userErrors"] == []
    client_id: str = made["apiClient"]["id"]
    issued = await admin.do("apiKeyIssue", "secret", apiClientId=client_id)
    assert issued["userErrors"] == []
    return client_id, issued["secret"]
