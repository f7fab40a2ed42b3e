# SPDX-License-Identifier: EUPL-1.2
"""A client of Belfry by the library `gql`, and what its answers have in common."""

import os
from typing import Any

from gql import Client
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

SERVER = os.environ.get("BELFRY_URL", "http://127.0.0.1:8000")
AUTHORIZATION = f"Bearer {os.environ['BELFRY_TOKEN']}"


def asking() -> Client:
    """For queries and mutations: `async with asking() as session: await session.execute(…)`."""
    return Client(transport=HTTPXAsyncTransport(url=f"{SERVER}/graphql", headers={"Authorization": AUTHORIZATION}))


def following() -> Client:
    """For subscriptions, over a WebSocket: `async with following() as session: async for … in session.subscribe(…)`."""
    address = f"{SERVER.replace('http', 'ws', 1)}/graphql"
    return Client(transport=WebsocketsTransport(url=address, init_payload={"authorization": AUTHORIZATION}))


def refuse(payload: dict[str, Any]) -> dict[str, Any]:
    """What a person can repair is data: compare the code, show the message."""
    for error in payload["userErrors"]:
        raise SystemExit(f"{error['code']}: {error['message']}")
    return payload
