# SPDX-License-Identifier: EUPL-1.2
"""Connecting a Bluesky account over GraphQL, for journeys against the fake and against the real server."""

from typing import Any

from tests.support.installation import Client


async def register(coordinator: Client, handle: str, purpose: str = "SERVICE") -> str:
    """Enter an account into the register; gives its id."""
    departments = (await coordinator.ask("{ departments(first: 100) { nodes { id isCoordinationDesk } } }"))[
        "departments"
    ]
    desk = next(each["id"] for each in departments["nodes"] if each["isCoordinationDesk"])
    given = {"network": "BLUESKY", "handle": handle, "departmentId": desk, "purpose": purpose}
    payload = await coordinator.do("socialAccountRegister", "socialAccount { id }", **given)
    assert payload["userErrors"] == [], payload
    return payload["socialAccount"]["id"]


async def connect(
    coordinator: Client, account_id: str, server_url: str, identifier: str, secret: str
) -> dict[str, Any]:
    """Sign it in; gives the payload."""
    given = {"socialAccountId": account_id, "serverUrl": server_url, "identifier": identifier, "secret": secret}
    return await coordinator.do("socialAccountConnect", "socialAccount { id connection handle }", **given)


async def connected(coordinator: Client, handle: str, server_url: str, identifier: str, secret: str) -> str:
    """An account that listens; gives its id."""
    account_id = await register(coordinator, handle)
    payload = await connect(coordinator, account_id, server_url, identifier, secret)
    assert payload["userErrors"] == [] and payload["socialAccount"]["connection"] == "CONNECTED", payload
    return account_id
