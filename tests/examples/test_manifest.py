# SPDX-License-Identifier: EUPL-1.2
"""The manifest that graphql-codegen writes is registered as it is, and its documents answer by their ids."""

import hashlib
import json
from collections.abc import Mapping

import httpx2
import pytest

from tests.examples.machines import machine
from tests.examples.workplaces import EXAMPLES, node_workplace
from tests.support.installation import Client

pytestmark = pytest.mark.judges


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file, byte for byte."""
    workplace = node_workplace(EXAMPLES / "typescript-urql", tmp_path_factory.mktemp("manifest"))
    workplace.npm("run", "generate")
    return (workplace.folder / "src" / "gql" / "persisted-documents.json").read_text(encoding="utf-8")


def inbox(manifest: str) -> tuple[str, str]:
    """The id and the text of the query of the inbox."""
    texts: Mapping[str, str] = json.loads(manifest)
    [found] = [(name, text) for name, text in texts.items() if text.startswith("query Inbox")]
    return found


async def test_the_manifest_is_taken_as_it_is_and_a_document_answers_by_its_id(
    manifest: str, admin: Client, citizen: httpx2.AsyncClient
) -> None:
    client_id, key = await machine(admin)
    payload = await admin.do(
        "clientDocumentsRegister",
        "apiClient { documents(first: 50) { nodes { digest text } } }",
        apiClientId=client_id,
        manifest=manifest,
    )
    assert payload["userErrors"] == []
    registered = {each["digest"]: each["text"] for each in payload["apiClient"]["documents"]["nodes"]}
    assert registered == json.loads(manifest)

    named, text = inbox(manifest)
    variables, bearer = {"first": 3}, {"Authorization": f"Bearer {key}"}
    expected = (await Client(citizen, key).ask(text, **variables))["conversations"]
    assert len(expected["nodes"]) == 3
    asked = {"documentId": named, "variables": variables}
    posted = await citizen.post("/graphql", json=asked, headers=bearer)
    parameters = {"documentId": named, "variables": json.dumps(variables)}
    got = await citizen.get("/graphql", params=parameters, headers=bearer)
    for answer in (posted, got):
        assert (answer.status_code, answer.json()["data"]["conversations"]) == (200, expected)
    again = await citizen.get("/graphql", params=parameters, headers=bearer | {"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_manifest_that_somebody_has_touched_is_refused_and_registers_nothing(
    manifest: str, admin: Client, citizen: httpx2.AsyncClient
) -> None:
    client_id, key = await machine(admin)
    named, text = inbox(manifest)
    touched = json.dumps({**json.loads(manifest), named: text.replace("Inbox", "Inbocks")})
    payload = await admin.do("clientDocumentsRegister", "apiClient { id }", apiClientId=client_id, manifest=touched)
    assert [each["code"] for each in payload["userErrors"]] == ["INVALID"]
    for each in json.loads(manifest):
        answer = await citizen.post("/graphql", json={"documentId": each}, headers={"Authorization": f"Bearer {key}"})
        assert answer.json()["errors"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_NOT_FOUND"


def test_the_ids_are_the_digests_of_the_texts(manifest: str) -> None:
    for named, text in json.loads(manifest).items():
        assert named == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
