# SPDX-License-Identifier: EUPL-1.2
"""The receivers of the examples take what Belfry itself sends, and nothing else that comes to their address."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples.machines import machine
from tests.examples.programs import WITHIN_SECONDS, started
from tests.examples.workplaces import EXAMPLES, Workplace, node_workplace, python_workplace
from tests.support.installation import Client, eventually
from tests.support.stories import ask_by_form, words

pytestmark = pytest.mark.judges

RECEIVERS: dict[str, Callable[[Path], Workplace]] = {
    "typescript-urql": lambda place: node_workplace(EXAMPLES / "typescript-urql", place),
    "typescript-gql-tada": lambda place: node_workplace(EXAMPLES / "typescript-gql-tada", place),
    "python": python_workplace,
}


async def endpoint(admin: Client, client_id: str, port: int) -> tuple[str, str]:
    """Set one up; its id and its secret."""
    given = {"apiClientId": client_id, "url": f"http://127.0.0.1:{port}/", "description": "An example"}
    payload = await admin.do(
        "webhookEndpointCreate", "webhookEndpoint { id } secret", eventTypes=["conversation.opened"], **given
    )
    assert payload["userErrors"] == []
    return payload["webhookEndpoint"]["id"], payload["secret"]


async def sent_test(admin: Client, endpoint_id: str) -> str:
    """Have a test sent; the id of its delivery."""
    payload = await admin.do("webhookEndpointTest", "webhookDelivery { id }", webhookEndpointId=endpoint_id)
    assert payload["userErrors"] == []
    return payload["webhookDelivery"]["id"]


async def first_answer(admin: Client, delivery_id: str) -> dict[str, Any]:
    """How a delivery stands, once it was answered."""
    document = "query ($id: ID!) { node(id: $id) { ... on WebhookDelivery { state status attempts } } }"

    async def look() -> dict[str, Any] | None:
        found = (await admin.ask(document, id=delivery_id))["node"]
        return found if found["attempts"] > 0 else None

    return await eventually(look)


async def line(process: Process) -> list[str]:
    """The words of what it prints next."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_SECONDS):
        return (await process.stdout.readline()).decode().split()


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_takes_what_belfry_sends_and_knows_it_when_it_comes_again(
    name: str, admin: Client, citizen: httpx2.AsyncClient, receiver_port: int, tmp_path: Path
) -> None:
    client_id, _ = await machine(admin)
    known, secret = await endpoint(admin, client_id, receiver_port)
    foreign, _ = await endpoint(admin, client_id, receiver_port)  # the same address, signed by another secret
    async with started(RECEIVERS[name](tmp_path), "receive", str(receiver_port), WEBHOOK_SECRET=secret) as process:
        assert await line(process) == ["ready"]
        refused = await first_answer(admin, await sent_test(admin, foreign))
        assert (refused["state"], refused["status"]) == ("WAITING", 400)
        await admin.do("webhookEndpointDelete", "webhookEndpoint { id }", webhookEndpointId=foreign)
        delivery = await sent_test(admin, known)
        kind, message = await line(process)
        assert kind == "webhook_endpoint.tested"
        taken = await first_answer(admin, delivery)
        assert (taken["state"], taken["status"], taken["attempts"]) == ("DELIVERED", 204, 1)
        await admin.do("webhookDeliveryReplay", "webhookDelivery { id }", webhookDeliveryId=delivery)
        assert await line(process) == [kind, message]
        await ask_by_form(citizen, words())
        opened, other = await line(process)
        assert (opened, other != message) == ("conversation.opened", True)
        await admin.do("webhookEndpointDelete", "webhookEndpoint { id }", webhookEndpointId=known)
