# SPDX-License-Identifier: EUPL-1.2
"""Machines of an organization for tests: made, named and given keys through GraphQL, by its administrator."""

from dataclasses import dataclass
from typing import Any

import orjson

from services.identity.rules import document_id
from tests.graphql_schema.serving import Served

CREATE = """
mutation ($input: ApiClientCreateInput!) {
  apiClientCreate(input: $input) { apiClient { id name scopes documentsRequired version } userErrors { code field } }
}
"""
UPDATE = """
mutation ($input: ApiClientUpdateInput!) {
  apiClientUpdate(input: $input) { apiClient { id name scopes documentsRequired version } userErrors { code field } }
}
"""
ISSUE = """
mutation ($input: ApiKeyIssueInput!) {
  apiKeyIssue(input: $input) { apiKey { id expiresAt lastUsedOn client { name } } secret userErrors { code field } }
}
"""
REGISTER = """
mutation ($input: ClientDocumentsRegisterInput!) {
  clientDocumentsRegister(input: $input) {
    apiClient { documents { nodes { digest name text } totalCount } } userErrors { code field message }
  }
}
"""
READS = ("conversations:read", "metrics:read")


@dataclass(frozen=True)
class Machine:
    """One API client: its global id and a key."""

    api: Served
    admin: str
    id: str
    key: str

    async def register(self, *texts: str, **changes: Any) -> dict[str, Any]:
        """Register documents as an administrator does. Returns the payload."""
        manifest = orjson.dumps({document_id(text): text for text in texts}).decode()
        given = {"apiClientId": self.id, "manifest": manifest, **changes}
        return (await self.api.ask(self.admin, REGISTER, input=given))["clientDocumentsRegister"]

    async def change(self, **changes: Any) -> dict[str, Any]:
        """Change the client. Returns the payload."""
        return (await self.api.ask(self.admin, UPDATE, input={"apiClientId": self.id, **changes}))["apiClientUpdate"]


async def machine(
    api: Served, admin: str, *, scopes: tuple[str, ...] = READS, documents_required: bool = False
) -> Machine:
    """A client with a key."""
    given = {"name": "Open data", "scopes": list(scopes), "documentsRequired": documents_required}
    client = (await api.ask(admin, CREATE, input=given))["apiClientCreate"]["apiClient"]["id"]
    issued = (await api.ask(admin, ISSUE, input={"apiClientId": client}))["apiKeyIssue"]
    assert issued["userErrors"] == []
    return Machine(api, admin, client, issued["secret"])
