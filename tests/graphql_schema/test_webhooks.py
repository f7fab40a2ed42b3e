# SPDX-License-Identifier: EUPL-1.2
"""Webhooks through GraphQL: set up by an administrator, their secrets shown once, their log to be read."""

from typing import Any

import pytest

from services.kernel.access import Role
from services.kernel.database import Database
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.machines import Machine, machine
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import Street
from tests.support.organizations import found_organization

ENDPOINT = "webhookEndpoint { id url description eventTypes state disabledReason version client { id } }"
CREATE = f"""
mutation ($input: WebhookEndpointCreateInput!) {{
  webhookEndpointCreate(input: $input) {{ {ENDPOINT} secret userErrors {{ code field }} }}
}}
"""
UPDATE = f"""
mutation ($input: WebhookEndpointUpdateInput!) {{
  webhookEndpointUpdate(input: $input) {{ {ENDPOINT} userErrors {{ code field }} }}
}}
"""
DELETE = """
mutation ($id: ID!) {
  webhookEndpointDelete(input: {webhookEndpointId: $id}) { webhookEndpoint { id } userErrors { code } }
}
"""
ROTATE = """
mutation ($id: ID!) {
  webhookEndpointSecretRotate(input: {webhookEndpointId: $id}) { webhookEndpoint { id } secret userErrors { code } }
}
"""
TEST = """
mutation ($id: ID!) {
  webhookEndpointTest(input: {webhookEndpointId: $id}) {
    webhookDelivery { id eventType body state attempts endpoint { id } log { totalCount } } userErrors { code }
  }
}
"""
REPLAY = """
mutation ($id: ID!) {
  webhookDeliveryReplay(input: {webhookDeliveryId: $id}) { webhookDelivery { id state } userErrors { code } }
}
"""
LIST = f"{{ webhookEndpoints {{ nodes {{ {ENDPOINT.partition('{')[2][:-1]} deliveries {{ totalCount }} }} }} }}"
URL = "https://hooks.example.com/belfry"


@pytest.fixture
async def admin(street: Street, token_of: TokenOf) -> str:
    return await token_of(street.organization, Role.ADMIN)


@pytest.fixture
async def reader(live: Served, admin: str) -> Machine:
    return await machine(live, admin)


def wish(reader: Machine, **changes: Any) -> dict[str, Any]:
    return {"apiClientId": reader.id, "url": URL, "description": "Board", "eventTypes": [], **changes}


async def created(live: Served, admin: str, reader: Machine, **changes: Any) -> dict[str, Any]:
    return (await live.ask(admin, CREATE, input=wish(reader, **changes)))["webhookEndpointCreate"]


async def test_an_endpoint_is_set_up_and_its_secret_shown_once(live: Served, admin: str, reader: Machine) -> None:
    types = ["conversation.opened", "conversation.closed"]
    first = await created(live, admin, reader, eventTypes=types, idempotencyKey="once")
    assert first["userErrors"] == []
    assert first["secret"].startswith("whsec_")
    endpoint = first["webhookEndpoint"]
    assert (endpoint["url"], endpoint["state"], endpoint["client"]["id"]) == (URL, "ENABLED", reader.id)
    assert endpoint["eventTypes"] == sorted(types)
    again = await created(live, admin, reader, eventTypes=types, idempotencyKey="once")
    assert (again["webhookEndpoint"]["id"], again["secret"]) == (endpoint["id"], None)
    listed = await live.post({"query": LIST}, admin)
    assert [each["id"] for each in listed.json()["data"]["webhookEndpoints"]["nodes"]] == [endpoint["id"]]
    assert "whsec_" not in listed.text
    rotated = (await live.ask(admin, ROTATE, id=endpoint["id"]))["webhookEndpointSecretRotate"]
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != first["secret"]


async def test_what_is_left_out_of_a_change_stays(live: Served, admin: str, reader: Machine) -> None:
    endpoint = (await created(live, admin, reader))["webhookEndpoint"]
    given = {"webhookEndpointId": endpoint["id"], "enabled": False, "expectedVersion": 1}
    changed = (await live.ask(admin, UPDATE, input=given))["webhookEndpointUpdate"]["webhookEndpoint"]
    assert changed == {**endpoint, "state": "DISABLED", "disabledReason": "BY_PERSON", "version": 2}
    stale = (await live.ask(admin, UPDATE, input=given))["webhookEndpointUpdate"]
    assert [each["code"] for each in stale["userErrors"]] == ["CONFLICT"]
    assert stale["webhookEndpoint"]["version"] == 2
    refused = (await live.ask(admin, TEST, id=endpoint["id"]))["webhookEndpointTest"]
    assert [each["code"] for each in refused["userErrors"]] == ["ENDPOINT_IS_DISABLED"]


async def test_a_test_and_a_replay_wait_to_be_sent(live: Served, admin: str, reader: Machine) -> None:
    endpoint = (await created(live, admin, reader))["webhookEndpoint"]
    delivery = (await live.ask(admin, TEST, id=endpoint["id"]))["webhookEndpointTest"]["webhookDelivery"]
    assert (delivery["eventType"], delivery["state"], delivery["attempts"]) == ("webhook_endpoint.tested", "WAITING", 0)
    assert f'"id":"{endpoint["id"]}"' in delivery["body"]
    replayed = (await live.ask(admin, REPLAY, id=delivery["id"]))["webhookDeliveryReplay"]
    assert replayed == {"webhookDelivery": {"id": delivery["id"], "state": "WAITING"}, "userErrors": []}
    assert (await live.ask(admin, LIST))["webhookEndpoints"]["nodes"][0]["deliveries"]["totalCount"] == 1
    gone = (await live.ask(admin, DELETE, id=endpoint["id"]))["webhookEndpointDelete"]
    assert gone == {"webhookEndpoint": None, "userErrors": []}
    assert (await live.ask(admin, LIST))["webhookEndpoints"]["nodes"] == []


async def test_nobody_else_sees_or_changes_them(
    live: Served, street: Street, admin: str, reader: Machine, database: Database, token_of: TokenOf
) -> None:
    endpoint = (await created(live, admin, reader))["webhookEndpoint"]["id"]
    delivery = (await live.ask(admin, TEST, id=endpoint))["webhookEndpointTest"]["webhookDelivery"]["id"]
    for token in (street.token(Role.COORDINATOR), street.token(Role.VIEWER), reader.key):
        answer = await live.post({"query": LIST}, token)
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        answer = await live.post({"query": DELETE, "variables": {"id": endpoint}}, token)
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    stranger = await token_of(await found_organization(database, name="Elders"), Role.ADMIN)
    unknown = f"{endpoint[:-2]}AA"
    for document, name, known in (
        (DELETE, "webhookEndpointDelete", endpoint), (ROTATE, "webhookEndpointSecretRotate", endpoint),
        (TEST, "webhookEndpointTest", endpoint), (REPLAY, "webhookDeliveryReplay", delivery),
    ):  # fmt: skip
        foreign, nothing = [(await live.ask(stranger, document, id=each))[name] for each in (known, unknown)]
        assert foreign == nothing
        assert [each["code"] for each in foreign["userErrors"]] == ["NOT_FOUND"]
    assert len((await live.ask(admin, LIST))["webhookEndpoints"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"url": "https://127.0.0.1/x"}, "INVALID"),
        ({"url": "https://93.184.216.34/x"}, None),
        ({"url": "http://hooks.example.com"}, "INVALID"),
        ({"url": "https://localhost/x"}, "INVALID"),
        ({"url": ""}, "REQUIRED"),
        ({"url": f"https://{'a' * 2_000}.example.com"}, "TOO_LONG"),
        ({"eventTypes": ["nothing.happened"]}, "INVALID"),
        ({"eventTypes": ["conversation.opened"] * 101}, "LIMIT_REACHED"),
        ({"description": "x" * 201}, "TOO_LONG"),
    ],
)
async def test_what_cannot_be_called_or_told_is_refused(
    live: Served, admin: str, reader: Machine, changes: dict[str, Any], code: str | None
) -> None:
    answer = await created(live, admin, reader, **changes)
    assert [each["code"] for each in answer["userErrors"]] == ([code] if code else [])
    if code is not None:
        assert (await live.ask(admin, LIST))["webhookEndpoints"]["nodes"] == []
