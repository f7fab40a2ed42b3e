# SPDX-License-Identifier: EUPL-1.2
"""The weaknesses that graphql-cop looks for in a GraphQL server, one test for each.

This stands in for the tool, which is not published as a package: what has its name in the Python index is not it.
The list is the tool's, the requests and the expectations are ours. Of all of it only one holds on purpose, and only
for those with a token: introspection is open, unless a setting closes it.
"""

from urllib.parse import urlencode

import orjson
import pytest

from graphql_schema.schema import api_schema
from services.kernel.access import Role
from services.kernel.settings import Settings
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import GRAPHQL, JSON, Served, served
from tests.support.organizations import TestOrganization

MEDIA = [GRAPHQL, JSON]
INTROSPECTION = "{ __schema { types { name fields { name } } } }"
MUTATION = 'mutation { conversationClaim(input: {conversationId: "x"}) { userErrors { code } } }'
HOPS = 2


def codes(body: bytes) -> list[str]:
    return [each["extensions"]["code"] for each in orjson.loads(body).get("errors", ())]


@pytest.mark.parametrize("accept", MEDIA)
@pytest.mark.parametrize(
    ("weakness", "query"),
    [
        ("alias overloading", "{" + " ".join(f"a{n}: __typename" for n in range(101)) + "}"),
        ("field duplication", "{" + " __typename" * 500 + "}"),
        ("directive overloading", "{ __typename " + "@aa" * 10 + " }"),
        ("directive overloading by one that exists", "{ __typename " + "@skip(if: false) " * 10 + "}"),
        (
            "circular query by introspection",
            "{ __schema { types { " + "fields { type { " * 12 + "name" + " } }" * 12 + " } } }",
        ),
    ],
)
async def test_what_overloads_is_refused_as_a_whole(
    live: Served, token: str, weakness: str, query: str, accept: str
) -> None:
    answer = await live.post({"query": query}, token, accept=accept)
    assert codes(answer.content)[0] in ("DOCUMENT_TOO_COMPLEX", "QUERY_TOO_DEEP"), weakness
    assert len(codes(answer.content)) == 1
    assert "data" not in answer.json()


async def test_a_circle_of_introspection_that_passes_has_its_price(live: Served, token: str) -> None:
    circle = "{ __schema { types { " + "fields { type { " * HOPS + "name" + " } }" * HOPS + " } } }"
    found = (await live.post({"query": circle}, token)).json()
    assert found["extensions"]["cost"]["requestedQueryCost"] >= 100


@pytest.mark.parametrize("count", [1, 2, 10])
async def test_batches_are_refused(live: Served, token: str, count: int) -> None:
    answer = await live.post([{"query": "{ __typename }"}] * count, token)
    assert (answer.status_code, codes(answer.content)) == (400, ["BAD_REQUEST"])


async def test_introspection_is_open_to_a_token_and_to_nobody_else(live: Served, token: str) -> None:
    assert "data" in (await live.post({"query": INTROSPECTION}, token)).json()
    answer = await live.post({"query": INTROSPECTION})
    assert (answer.status_code, codes(answer.content)) == (401, ["UNAUTHENTICATED"])


async def test_introspection_can_be_closed(edge_settings: Settings, home: TestOrganization, token_of: TokenOf) -> None:
    shut = edge_settings.model_copy(update={"introspection": False})
    async with served(shut, api_schema(introspection=False)) as running:
        bearer = await token_of(home, Role.COORDINATOR)
        for query in (
            INTROSPECTION,
            '{ __type(name: "Query") { name } }',
            "{ ...F } fragment F on Query { __schema { __typename } }",
        ):
            answer = await running.post({"query": query}, bearer)
            assert set(codes(answer.content)) == {"GRAPHQL_VALIDATION_FAILED"}
            assert "data" not in answer.json()
        assert (await running.post({"query": "{ __typename }"}, bearer)).json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    "query",
    [
        "{ conversation { nodes { id } } }",
        "{ conversations { nodes { ids } } }",
        "{ conversations(firs: 1) { nodes { id } } }",
        "{ conversations(filter: {stat: {eq: OPEN}}) { nodes { id } } }",
        "{ conversations(filter: {state: {eq: OPENED}}) { nodes { id } } }",
        "{ node(id: 1) { ... on Conversatio { id } } }",
        "query ($v: Conversationfilter) { conversations(filter: $v) { nodes { id } } }",
        "{ viewer @includes(if: true) { roles } }",
        "{ conversations { nodes { ...Fs } } } fragment F on Conversation { id }",
        "mutation { conversationClam(input: {}) { userErrors { code } } }",
    ],
)
async def test_nothing_that_is_nearly_right_gets_a_suggestion(live: Served, token: str, query: str) -> None:
    answer = await live.post({"query": query}, token)
    assert codes(answer.content)
    assert "did you mean" not in answer.text.lower()


@pytest.mark.parametrize("query", ["{ __typename }", MUTATION, INTROSPECTION])
@pytest.mark.parametrize("accept", [*MEDIA, "text/html", "*/*"])
async def test_get_runs_nothing(live: Served, token: str, query: str, accept: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    answer = await live.get(f"/graphql?{urlencode({'query': query})}", headers=headers)
    assert (answer.status_code, codes(answer.content)) == (405, ["METHOD_NOT_ALLOWED"])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
async def test_other_methods_run_nothing(live: Served, token: str, method: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON, "X-HTTP-Method-Override": "POST"}
    answer = await live.client.request(method, "/graphql", content=b'{"query": "{ __typename }"}', headers=headers)
    assert answer.status_code == 405
    assert b'"data"' not in answer.content


@pytest.mark.parametrize("query", ["{ __typename }", MUTATION])
@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/graphql"],
)
async def test_bodies_that_a_form_of_another_site_can_send_run_nothing(
    live: Served, token: str, query: str, kind: str
) -> None:
    answer = await live.post(urlencode({"query": query}).encode(), token, content_type=kind)
    assert (answer.status_code, codes(answer.content)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@pytest.mark.parametrize("path", ["/graphql", "/", "/playground", "/console", "/altair", "/voyager", "/v1/graphql"])
async def test_no_console_is_served_where_scanners_look(live: Served, path: str) -> None:
    answer = await live.get(path, headers={"Accept": "text/html"})
    assert answer.status_code in (404, 405)
    for each in ("graphiql", "playground", "altair", "voyager"):
        assert each not in answer.text.lower()


@pytest.mark.parametrize("header", ["X-Apollo-Tracing", "Apollo-Federation-Include-Trace", "X-Debug"])
async def test_no_trace_of_resolvers_is_told(live: Served, token: str, header: str) -> None:
    answer = await live.post({"query": "{ viewer { roles } }"}, token, headers={header: "ftv1"})
    assert answer.json()["extensions"].keys() == {"cost"}


@pytest.mark.parametrize(
    "body", [b"{", b'{"query": "{"}', b'{"query": "{ nothing }"}', b'{"query": 1}', b"\xff", b"null"]
)
async def test_no_error_tells_of_code_or_files(live: Served, token: str, body: bytes) -> None:
    answer = await live.post(body, token)
    [error] = answer.json()["errors"]
    assert error.keys() <= {"message", "locations", "extensions"}
    assert error["extensions"].keys() == {"code", "requestId"}
    for each in ("traceback", ".py", "exception", "strawberry", "graphql-core"):
        assert each not in answer.text.lower()
