# SPDX-License-Identifier: EUPL-1.2
"""Documents that a client registered: named by their ids over every transport, and found by that client alone."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import orjson
import pytest

from graphql_schema.app import create_app
from graphql_schema.documents import QUERY_STRING_LENGTH_MAX, ManifestUnreadable, installed_documents
from graphql_schema.schema import api_schema
from services.identity import rules
from services.identity.rules import document_id
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.settings import Settings
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.machines import Machine, machine
from tests.graphql_schema.serving import GRAPHQL, JSON, Served, Stream, served
from tests.graphql_schema.street import EVENTS, Street
from tests.support.organizations import TestOrganization, found_organization

INBOX = "query Inbox($first: Int) { conversations(first: $first) { nodes { id state } totalCount } }"
DEPARTMENTS = "query Departments { departments { nodes { id name } } }"
ACT = 'mutation Act { conversationClaim(input: {conversationId: "x"}) { userErrors { code } } }'
UNKNOWN = f"sha256:{'0' * 64}"


@pytest.fixture
async def admin(street: Street, token_of: TokenOf) -> str:
    return await token_of(street.organization, Role.ADMIN)


@pytest.fixture
async def reader(live: Served, admin: str) -> Machine:
    """A machine that registered what it asks."""
    found = await machine(live, admin)
    assert (await found.register(INBOX, DEPARTMENTS, EVENTS, ACT))["userErrors"] == []
    return found


@pytest.fixture(scope="module")
async def stranger(live: Served, home: TestOrganization, token_of: TokenOf) -> Machine:
    """A machine of this module's own that registers nothing, or fails to."""
    return await machine(live, await token_of(home, Role.ADMIN))


async def read(
    api: Served, token: str | None, document: str, *, accept: str = JSON, etag: str = "", **parameters: str
) -> httpx2.Response:
    """A GET of a registered document."""
    query = "&".join(f"{name}={quote(value)}" for name, value in {"documentId": document, **parameters}.items())
    sent = {"Authorization": token and f"Bearer {token}", "Accept": accept, "If-None-Match": etag or None}
    return await api.get(f"/graphql?{query}", headers={name: value for name, value in sent.items() if value})


def code_of(answer: httpx2.Response) -> str:
    found = answer.json()["errors"][0]["extensions"]
    assert found["requestId"] == answer.headers["x-request-id"]
    return found["code"]


async def test_the_same_answer_by_text_and_by_id_over_every_transport(
    street: Street, live: Served, reader: Machine
) -> None:
    for code in street.organization.departments:
        await street.open(code)
    text = (await live.post({"query": INBOX, "variables": {"first": 2}}, reader.key)).json()["data"]
    assert text["conversations"]["totalCount"] == 4
    by_id: dict[str, Any] = {"documentId": document_id(INBOX), "variables": {"first": 2}}
    for _ in range(2):  # the second time it is known
        assert (await live.post(by_id, reader.key)).json()["data"] == text
        got = await read(live, reader.key, document_id(INBOX), variables='{"first":2}')
        assert (got.status_code, got.json()["data"]) == (200, text)
    async with live.socket(reader.key) as socket:
        await socket.send(id="1", type="subscribe", payload=by_id)
        assert (await socket.receive())["payload"]["data"] == text
    headers = {"Accept": "text/event-stream", "Content-Type": JSON, "Authorization": f"Bearer {reader.key}"}
    content = orjson.dumps(by_id)
    async with live.client.stream("POST", "/graphql", content=content, headers=headers) as response:
        assert (await Stream(response, response.aiter_text()).event())[1]["data"] == text


async def test_a_subscription_by_its_id_follows_events(street: Street, live: Served, reader: Machine) -> None:
    asked = {"documentId": document_id(EVENTS), "variables": {"after": await street.now()}}
    async with live.socket(reader.key) as socket:
        await socket.send(id="1", type="subscribe", payload=asked)
        await street.open("ROADS")
        assert (await socket.receive())["payload"]["data"]["conversationEvents"]["event"] == "OPENED"


@pytest.mark.parametrize("spelled", [hashlib.sha256(INBOX.encode()).hexdigest(), document_id(INBOX)])
async def test_an_id_may_be_written_with_its_algorithm_and_without(live: Served, reader: Machine, spelled: str) -> None:
    assert "data" in (await live.post({"documentId": spelled}, reader.key)).json()


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_what_is_not_registered_is_not_found(
    live: Served, admin: str, street: Street, reader: Machine, accept: str
) -> None:
    other = await machine(live, admin)
    await other.register("query Mine { departments { totalCount } }")
    theirs = document_id("query Mine { departments { totalCount } }")
    for document, key in (
        (UNKNOWN, reader.key), (theirs, reader.key), ("x", reader.key), ("sha1:" + "0" * 40, reader.key),
        (document_id(INBOX).upper(), reader.key), (document_id(INBOX), street.token(Role.COORDINATOR)),
    ):  # fmt: skip
        for answer in (
            await live.post({"documentId": document}, key, accept=accept),
            await read(live, key, document, accept=accept),
        ):
            assert (answer.status_code, code_of(answer)) == (404, "PERSISTED_DOCUMENT_NOT_FOUND")
    async with live.socket(reader.key) as socket:
        await socket.send(id="1", type="subscribe", payload={"documentId": theirs})
        frame = await socket.receive()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "PERSISTED_DOCUMENT_NOT_FOUND")
        await socket.send(id="2", type="subscribe", payload={"documentId": document_id(INBOX)})
        assert (await socket.receive())["type"] == "next"


async def test_another_organization_cannot_name_it(
    live: Served, database: Database, token_of: TokenOf, reader: Machine
) -> None:
    town = await found_organization(database, name="Elders")
    stranger = await machine(live, await token_of(town, Role.ADMIN))
    answer = await live.post({"documentId": document_id(INBOX)}, stranger.key)
    assert code_of(answer) == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_a_client_that_must_register_may_send_no_text(live: Served, admin: str) -> None:
    strict = await machine(live, admin, documents_required=True)
    await strict.register(INBOX)
    for accept in (JSON, GRAPHQL):
        refused = await live.post({"query": INBOX}, strict.key, accept=accept)
        assert (refused.status_code, code_of(refused)) == (400, "PERSISTED_DOCUMENT_REQUIRED")
    assert "data" in (await live.post({"documentId": document_id(INBOX)}, strict.key)).json()
    async with live.socket(strict.key) as socket:
        await socket.subscribe(INBOX)
        frame = await socket.receive()
        assert frame["payload"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_REQUIRED"
    refused = await live.post({"query": INBOX}, strict.key, accept="text/event-stream")
    assert code_of(refused) == "PERSISTED_DOCUMENT_REQUIRED"
    await strict.change(documentsRequired=False)
    assert "data" in (await live.post({"query": INBOX}, strict.key)).json()


async def test_what_has_not_changed_is_not_sent_again(street: Street, live: Served, reader: Machine) -> None:
    inbox = document_id(INBOX)
    first = await read(live, reader.key, inbox)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Accept, Authorization, Accept-Language"
    same = await read(live, reader.key, inbox, etag=first.headers["etag"])
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    assert "ratelimit" in same.headers
    listed = await read(live, reader.key, inbox, etag=f'W/"x", {first.headers["etag"]}')
    assert listed.status_code == 304
    await street.open("ROADS")
    changed = await read(live, reader.key, inbox, etag=first.headers["etag"])
    assert (changed.status_code, changed.json()["data"]["conversations"]["totalCount"]) == (200, 1)
    assert changed.headers["etag"] != first.headers["etag"]
    posted = await live.post({"documentId": inbox}, reader.key, headers={"If-None-Match": changed.headers["etag"]})
    assert (posted.status_code, posted.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in posted.headers


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
async def test_a_program_that_accepts_anything_reads_a_document_that_nobody_asked_before(
    live: Served, admin: str, accept: str
) -> None:
    fresh = f"query Fresh {{ departments(first: {len(accept)}) {{ totalCount }} }}"  # known to no cache
    found = await machine(live, admin)
    assert (await found.register(fresh))["userErrors"] == []
    got = await read(live, found.key, document_id(fresh), accept=accept)
    assert (got.status_code, list(got.json()["data"])) == (200, ["departments"])


async def test_an_answer_with_an_error_may_not_be_kept(live: Served, reader: Machine) -> None:
    refused = await read(live, reader.key, document_id(INBOX), variables='{"first":1000}')
    assert (refused.status_code, code_of(refused)) == (200, "BAD_USER_INPUT")
    assert refused.headers["cache-control"] == "no-store"
    assert "etag" not in refused.headers


async def test_acts_and_streams_are_not_got(live: Served, reader: Machine) -> None:
    for document in (ACT, EVENTS):
        refused = await read(live, reader.key, document_id(document))
        assert (refused.status_code, refused.headers["allow"], code_of(refused)) == (405, "POST", "METHOD_NOT_ALLOWED")
    refused = await read(live, reader.key, document_id(INBOX), accept="text/event-stream")
    assert (refused.status_code, code_of(refused)) == (406, "NOT_ACCEPTABLE")


async def test_a_get_without_a_document_or_credential_is_refused(live: Served, reader: Machine) -> None:
    for path in ("/graphql", f"/graphql?query={quote(DEPARTMENTS)}"):
        refused = await live.get(path, headers={"Authorization": f"Bearer {reader.key}"})
        assert (refused.status_code, code_of(refused)) == (405, "METHOD_NOT_ALLOWED")
    refused = await read(live, None, document_id(INBOX))
    assert (refused.status_code, code_of(refused)) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "wrong",
    [
        "variables=%5B%5D", "variables=%7B", "variables=1", f"variables={'%5B' * 65}", "variables={}&variables={}",
        "query=%7Bx%7D", "access_token=x", "&&", "variables=%ff", "extensions=1",
        f"operationName={'x' * QUERY_STRING_LENGTH_MAX}",
    ],
)  # fmt: skip
async def test_an_address_that_cannot_be_read_is_a_bad_request(live: Served, stranger: Machine, wrong: str) -> None:
    refused = await live.get(
        f"/graphql?documentId={document_id(INBOX)}&{wrong}", headers={"Authorization": f"Bearer {stranger.key}"}
    )
    assert (refused.status_code, code_of(refused)) == (400, "BAD_REQUEST")


async def test_a_body_names_a_document_or_sends_one(live: Served, reader: Machine) -> None:
    both = {"documentId": document_id(INBOX), "query": INBOX}
    for body in (both, {"documentId": 1}, {"documentId": None}, {}):
        refused = await live.post(body, reader.key)
        assert (refused.status_code, code_of(refused)) == (400, "BAD_REQUEST")


TOO_DEEP = "{ conversations { nodes { " + "contact { conversations { nodes { " * 5 + "id" + " } } }" * 5 + " } } }"
REFUSED: dict[str, str] = {
    "not JSON": "{",
    "not an object": "[]",
    "empty": "{}",
    "no text": orjson.dumps({UNKNOWN: 1}).decode(),
    "another text": orjson.dumps({document_id(DEPARTMENTS): INBOX}).decode(),
    "another algorithm": orjson.dumps({hashlib.sha1(INBOX.encode()).hexdigest(): INBOX}).decode(),
    **{
        what: orjson.dumps({document_id(text): text}).decode()
        for what, text in {
            "no GraphQL": "{",
            "an unknown field": "{ nothing }",
            "two operations": "query A { departments { totalCount } } query B { departments { totalCount } }",
            "only a fragment": "fragment F on Department { id }",
            "too many tokens": "{ departments { " + "totalCount " * 1_500 + "} }",
            "too deep": TOO_DEEP,
            "too many aliases": "{ " + " ".join(f"a{each}: departments {{ totalCount }}" for each in range(31)) + " }",
            "too dear": "{ conversations(first: 100) { nodes { messages(first: 100) { nodes { id } } } } }",
        }.items()
    },
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_manifest_is_taken_whole_or_not_at_all(live: Served, stranger: Machine, what: str) -> None:
    found = stranger
    manifest = REFUSED[what]
    if what not in ("not JSON", "not an object", "empty"):
        manifest = orjson.dumps({**orjson.loads(manifest), document_id(INBOX): INBOX}).decode()
    payload = await found.register(manifest=manifest)
    assert [(each["code"], each["field"]) for each in payload["userErrors"]] == [("INVALID", ["manifest"])]
    assert payload["apiClient"] is None
    assert code_of(await live.post({"documentId": document_id(INBOX)}, found.key)) == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_what_is_registered_again_is_there_once(live: Served, admin: str) -> None:
    found = await machine(live, admin)
    for _ in range(2):
        payload = await found.register(INBOX, DEPARTMENTS)
        documents = payload["apiClient"]["documents"]
        assert documents["totalCount"] == 2
        assert {each["name"]: each["digest"] for each in documents["nodes"]} == {
            "Inbox": document_id(INBOX),
            "Departments": document_id(DEPARTMENTS),
        }


async def test_a_client_registers_so_many_documents_and_no_more(
    live: Served, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "DOCUMENTS_MAX", 2)
    found = await machine(live, admin)
    assert (await found.register(INBOX, DEPARTMENTS))["userErrors"] == []
    refused = await found.register(EVENTS)
    assert [each["code"] for each in refused["userErrors"]] == ["LIMIT_REACHED"]
    assert (await found.register(INBOX))["userErrors"] == []


async def test_an_installation_brings_documents_of_its_own(
    edge_settings: Settings, street: Street, tmp_path: Path
) -> None:
    manifest = tmp_path / "persisted-documents.json"
    manifest.write_bytes(orjson.dumps({hashlib.sha256(INBOX.encode()).hexdigest(): INBOX}))
    settings = edge_settings.model_copy(update={"document_manifests": (manifest,)})
    async with served(settings) as api:
        for token in (street.token(Role.COORDINATOR), street.token(Role.OPERATOR, "ROADS")):
            assert "data" in (await api.post({"documentId": document_id(INBOX)}, token)).json()
            assert (await read(api, token, document_id(INBOX))).status_code == 200
        assert code_of(await api.post({"documentId": UNKNOWN}, street.token(Role.VIEWER))) == (
            "PERSISTED_DOCUMENT_NOT_FOUND"
        )


def test_an_installation_with_a_broken_manifest_does_not_start(edge_settings: Settings, tmp_path: Path) -> None:
    manifest = tmp_path / "persisted-documents.json"
    manifest.write_bytes(orjson.dumps({document_id("{ nothing }"): "{ nothing }"}))
    with pytest.raises(ManifestUnreadable):
        installed_documents(api_schema().core, [manifest])
    with pytest.raises(ManifestUnreadable):
        create_app(edge_settings.model_copy(update={"document_manifests": (manifest,)}))
