# SPDX-License-Identifier: EUPL-1.2
"""Machines through GraphQL: an administrator makes them known, their keys open what their scopes say and no more."""

import pytest

from graphql_schema import guard
from services.kernel.access import Role
from services.kernel.database import Database
from tests.graphql_schema.conftest import FoundStreet, TokenOf
from tests.graphql_schema.machines import CREATE, ISSUE, Machine, machine
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import EVENTS, Street, event, watch
from tests.support.organizations import found_organization

WHO = "{ viewer { person { id } organization { slug } roles permissions scopes } }"
INBOX = "{ conversations(first: 3) { nodes { id } totalCount } }"
CLIENTS = """
{ apiClients { nodes { id name scopes version keys { nodes { id lastUsedOn revokedAt } } } totalCount } }
"""
REVOKE_KEY = "mutation ($id: ID!) { apiKeyRevoke(input: {apiKeyId: $id}) { apiKey { revokedAt } userErrors { code } } }"
REVOKE = (
    "mutation ($id: ID!) { apiClientRevoke(input: {apiClientId: $id}) { apiClient { revokedAt } userErrors { code } } }"
)


@pytest.fixture
async def admin(street: Street, token_of: TokenOf) -> str:
    return await token_of(street.organization, Role.ADMIN)


@pytest.fixture
async def reader(live: Served, admin: str) -> Machine:
    return await machine(live, admin)


async def test_a_machine_reads_what_its_scopes_open_over_the_whole_organization(
    street: Street, live: Served, reader: Machine
) -> None:
    for code in street.organization.departments:
        await street.open(code)
    secret = await street.topic(confidential=True)
    await street.open("ROADS", secret)
    viewer = (await live.ask(reader.key, WHO))["viewer"]
    assert viewer == {
        "person": None,
        "organization": {"slug": street.organization.slug},
        "roles": [],
        "permissions": ["conversations:read", "directory:read", "metrics:read", "social_accounts:read"],
        "scopes": ["conversations:read", "metrics:read"],
    }
    assert (await live.ask(reader.key, INBOX))["conversations"]["totalCount"] == 4
    assert (await live.ask(street.token(Role.COORDINATOR), INBOX))["conversations"]["totalCount"] == 5


async def test_what_no_scope_opens_is_forbidden(street: Street, live: Served, admin: str, reader: Machine) -> None:
    blind = await machine(live, admin, scopes=())
    conversation = (await live.ask(reader.key, INBOX))["conversations"]["nodes"]
    assert conversation == []
    claim = 'mutation { conversationClaim(input: {conversationId: "x"}) { userErrors { code } } }'
    for key, document in ((blind.key, INBOX), (reader.key, claim), (reader.key, CLIENTS)):
        answer = await live.post({"query": document}, key)
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await live.ask(blind.key, "{ departments { totalCount } }"))["departments"]["totalCount"] == 4


async def test_only_an_administrator_sees_and_makes_machines(street: Street, live: Served, reader: Machine) -> None:
    for role in (Role.COORDINATOR, Role.EXPERT, Role.VIEWER):
        for document in (CLIENTS, CREATE):
            given = {"input": {"name": "Bot", "scopes": [], "documentsRequired": False}}
            variables = given if document == CREATE else {}
            answer = await live.post({"query": document, "variables": variables}, street.token(role))
            assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        found = await live.ask(street.token(role), "query ($id: ID!) { node(id: $id) { id } }", id=reader.id)
        assert found == {"node": None}


async def test_the_list_shows_every_key_but_never_its_secret(live: Served, admin: str, reader: Machine) -> None:
    await live.ask(reader.key, WHO)
    answer = await live.post({"query": CLIENTS}, admin)
    [client] = answer.json()["data"]["apiClients"]["nodes"]
    [key] = client["keys"]["nodes"]
    assert (client["id"], key["revokedAt"]) == (reader.id, None)
    assert key["lastUsedOn"] is not None
    assert reader.key[40:] not in answer.text


async def test_what_is_left_out_of_a_change_stays_and_null_is_refused(
    live: Served, admin: str, reader: Machine
) -> None:
    changed = (await reader.change(name="Dashboard", expectedVersion=1))["apiClient"]
    assert changed == {
        "id": reader.id,
        "name": "Dashboard",
        "scopes": ["conversations:read", "metrics:read"],
        "documentsRequired": False,
        "version": 2,
    }
    changed = (await reader.change(scopes=[]))["apiClient"]
    assert (changed["name"], changed["scopes"], changed["version"]) == ("Dashboard", [], 3)
    document = "mutation ($id: ID!) { apiClientUpdate(input: {apiClientId: $id, name: null}) { userErrors { code } } }"
    refused = await live.post({"query": document, "variables": {"id": reader.id}}, admin)
    assert refused.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    document = "mutation ($input: ApiClientUpdateInput!) { apiClientUpdate(input: $input) { userErrors { code } } }"
    given = {"input": {"apiClientId": reader.id, "name": None}}
    refused = await live.post({"query": document, "variables": given}, admin)
    assert refused.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert (await reader.change())["apiClient"]["name"] == "Dashboard"


async def test_a_stale_version_is_a_conflict_with_the_current_client(reader: Machine) -> None:
    await reader.change(name="First")
    refused = await reader.change(name="Second", expectedVersion=1)
    assert [each["code"] for each in refused["userErrors"]] == ["CONFLICT"]
    assert (refused["apiClient"]["name"], refused["apiClient"]["version"]) == ("First", 2)


async def test_a_client_is_created_once_for_one_key_of_idempotency(live: Served, admin: str) -> None:
    given = {"name": "Bot", "scopes": [], "documentsRequired": False, "idempotencyKey": "once"}
    first, again = [(await live.ask(admin, CREATE, input=given))["apiClientCreate"] for _ in range(2)]
    assert first == again
    other = (await live.ask(admin, CREATE, input={**given, "name": "Other"}))["apiClientCreate"]
    assert [each["code"] for each in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert (await live.ask(admin, CLIENTS))["apiClients"]["totalCount"] == 1


@pytest.mark.parametrize("end", ["the key", "the client", "the scopes"])
async def test_what_a_key_opened_closes_when_its_rights_end(
    street: Street, live: Served, admin: str, reader: Machine, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 0.05)
    async with live.socket(reader.key) as socket, live.stream(reader.key, EVENTS, after=await street.now()) as stream:
        await watch(socket, street)
        await street.open("ROADS")
        assert (await event(socket))["event"] == "OPENED"
        assert (await stream.event())[1]["data"]["conversationEvents"]["event"] == "OPENED"
        if end == "the key":
            [client] = (await live.ask(admin, CLIENTS))["apiClients"]["nodes"]
            await live.ask(admin, REVOKE_KEY, id=client["keys"]["nodes"][0]["id"])
        elif end == "the client":
            await live.ask(admin, REVOKE, id=reader.id)
        else:
            await reader.change(scopes=["metrics:read"])
        assert await socket.closed() == 4403
        assert all(kind != "complete" for kind, _ in await stream.rest())


async def test_each_machine_has_a_bucket_of_its_own(live: Served, admin: str, reader: Machine) -> None:
    other = await machine(live, admin)
    left = "{ rateLimit { currentlyAvailable maximumAvailable } }"
    for _ in range(3):
        await live.ask(reader.key, "{ conversations(first: 100) { nodes { messages(first: 17) { nodes { id } } } } }")
    mine, others = [(await live.ask(key, left))["rateLimit"] for key in (reader.key, other.key)]
    assert others["currentlyAvailable"] == others["maximumAvailable"] - 1
    assert mine["currentlyAvailable"] <= others["currentlyAvailable"]


async def test_a_client_of_another_organization_is_like_one_that_never_was(
    live: Served, database: Database, token_of: TokenOf, reader: Machine, found_street: FoundStreet
) -> None:
    stranger = await token_of(await found_organization(database, name="Elders"), Role.ADMIN)
    foreign, unknown = [
        (await live.ask(stranger, ISSUE, input={"apiClientId": each}))["apiKeyIssue"]
        for each in (reader.id, f"{reader.id[:-2]}AA")
    ]
    assert foreign == unknown
    assert [each["code"] for each in foreign["userErrors"]] == ["NOT_FOUND"]
    assert foreign["secret"] is None
