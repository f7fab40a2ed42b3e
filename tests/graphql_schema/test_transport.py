# SPDX-License-Identifier: EUPL-1.2
"""The table of statuses, row by row over real HTTP, and the headers and media types of every answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from graphql_schema import errors
from graphql_schema.limits import BODY_BYTES_MAX, EXECUTION_SECONDS_MAX
from graphql_schema.negotiation import EXECUTED, STATUSES, Media, negotiate, status_for
from graphql_schema.schema import api_schema
from graphql_schema.stages import Stages
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.reads import Reads
from services.kernel.settings import Environment, Settings
from services.tenancy import queries as tenancy
from services.tenancy.rules import OrganizationState
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import GRAPHQL, JSON, Served, served
from tests.support.organizations import TestOrganization, found_organization

SUBSCRIPTION = "subscription { count }"
TWO = "query A { echo } query B { echo }"


@dataclass(frozen=True)
class Row:
    """One row of the table: what is sent, and what comes back in each media type."""

    body: Any
    code: str
    graphql: int
    json: int
    options: dict[str, Any] = field(default_factory=dict)
    is_anonymous: bool = False
    has_data: bool = False


def query(text: str, **more: Any) -> dict[str, Any]:
    return {"query": text, **more}


ROWS = {
    "executed": Row(query("{ echo }"), EXECUTED, 200, 200, has_data=True),
    "executed, with an error in it": Row(
        query('{ echo fails(how: "UNAVAILABLE") }'), "SERVICE_UNAVAILABLE", 200, 200, has_data=True
    ),
    "executed, null reached the root": Row(query("{ neverNull }"), "INTERNAL_SERVER_ERROR", 200, 200, has_data=True),
    "syntax error": Row(query("{ echo"), "GRAPHQL_PARSE_FAILED", 400, 200),
    "only spaces": Row(query("  "), "GRAPHQL_PARSE_FAILED", 400, 200),
    "validation error": Row(query("{ nothing }"), "GRAPHQL_VALIDATION_FAILED", 400, 200),
    "variable of a wrong type": Row(
        query("query ($of: Int!) { number(of: $of) }", variables={"of": "one"}), "BAD_USER_INPUT", 400, 200
    ),
    "missing variable": Row(query("query ($of: Int!) { number(of: $of) }"), "BAD_USER_INPUT", 400, 200),
    "page too large": Row(query("{ departments(first: 101) { nodes { id } } }"), "BAD_USER_INPUT", 400, 200),
    "page from both ends": Row(
        query("{ departments(first: 1, last: 1) { nodes { id } } }"), "BAD_USER_INPUT", 400, 200
    ),
    "bad cursor": Row(query('{ departments(after: "x") { nodes { id } } }'), "BAD_USER_INPUT", 400, 200),
    "bad input that a resolver found": Row(query('{ echo fails(how: "INPUT") }'), "BAD_USER_INPUT", 400, 200),
    "which operation?": Row(query(TWO), "OPERATION_RESOLUTION_FAILURE", 400, 200),
    "unknown operation": Row(query(TWO, operationName="C"), "OPERATION_RESOLUTION_FAILURE", 400, 200),
    "no operation": Row(query("fragment A on Query { echo }"), "OPERATION_RESOLUTION_FAILURE", 400, 200),
    "too complex": Row(query(f"{{ {' '.join(f'a{i}: echo' for i in range(31))} }}"), "DOCUMENT_TOO_COMPLEX", 400, 200),
    "too deep": Row(query("{ nested " + "{ inner " * 12 + "{ name }" + " }" * 13), "QUERY_TOO_DEEP", 400, 200),
    "not JSON": Row(b"{ not json", "BAD_REQUEST", 400, 400),
    "empty": Row(b"", "BAD_REQUEST", 400, 400),
    "a list": Row(b'[{"query": "{ echo }"}]', "BAD_REQUEST", 400, 400),
    "a number": Row(b"1", "BAD_REQUEST", 400, 400),
    "null": Row(b"null", "BAD_REQUEST", 400, 400),
    "nested too deeply": Row(
        b'{"query": "{ echo }", "variables": ' + b'{"a":' * 65 + b"1" + b"}" * 66, "BAD_REQUEST", 400, 400
    ),
    "100,000 deep": Row(b'{"query":' + b"[" * 100_000, "BAD_REQUEST", 400, 400),
    "no query": Row({"variables": {}}, "BAD_REQUEST", 400, 400),
    "query of a wrong type": Row({"query": 1}, "BAD_REQUEST", 400, 400),
    "variables of a wrong type": Row(query("{ echo }", variables=[1]), "BAD_REQUEST", 400, 400),
    "extensions of a wrong type": Row(query("{ echo }", extensions="x"), "BAD_REQUEST", 400, 400),
    "operationName of a wrong type": Row(query("{ echo }", operationName=1), "BAD_REQUEST", 400, 400),
    "no credentials": Row(query("{ echo }"), "UNAUTHENTICATED", 401, 401, is_anonymous=True),
    "no credentials and no GraphQL either": Row(query("{ echo"), "UNAUTHENTICATED", 401, 401, is_anonymous=True),
    "bad credentials": Row(
        query("{ echo }"),
        "UNAUTHENTICATED",
        401,
        401,
        {"headers": {"Authorization": "Bearer belfry_local_" + "x" * 43}},
        is_anonymous=True,
    ),
    "another scheme": Row(
        query("{ echo }"), "UNAUTHENTICATED", 401, 401, {"headers": {"Authorization": "Basic eDp5"}}, is_anonymous=True
    ),
    "a subscription without a stream": Row(query(SUBSCRIPTION), "SUBSCRIPTION_NEEDS_STREAM", 406, 406),
    "body too large": Row(query("{ echo }", variables={"x": "x" * BODY_BYTES_MAX}), "PAYLOAD_TOO_LARGE", 413, 413),
    "form": Row(b"query=x", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"content_type": "application/x-www-form-urlencoded"}),
    "multipart": Row(b"x", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"content_type": "multipart/form-data; boundary=x"}),
    "text": Row(b"{ echo }", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"content_type": "application/graphql"}),
    "no content type": Row(b"{}", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"content_type": None}),
    "another charset": Row(
        b"{}", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"content_type": "application/json; charset=latin1"}
    ),
    "compressed": Row(b"{}", "UNSUPPORTED_MEDIA_TYPE", 415, 415, {"headers": {"Content-Encoding": "gzip"}}),
}


@pytest.mark.parametrize("media", list(Media))
@pytest.mark.parametrize("name", ROWS)
async def test_every_row_of_the_table(api: Served, token: str, name: str, media: Media) -> None:
    row = ROWS[name]
    answer = await api.post(row.body, None if row.is_anonymous else token, accept=media, **row.options)
    body = answer.json()
    assert answer.status_code == (row.graphql if media is Media.GRAPHQL else row.json)
    assert answer.headers["content-type"] == f"{media}; charset=utf-8"
    assert ("data" in body) is row.has_data
    codes = [each["extensions"]["code"] for each in body.get("errors", [])]
    assert codes == ([] if row.code == EXECUTED else [row.code])
    for error in body.get("errors", []):
        assert error["message"]
        assert error["extensions"]["requestId"] == answer.headers["x-request-id"]
        assert ("path" in error) is row.has_data


@pytest.mark.parametrize("name", ROWS)
async def test_every_answer_has_the_headers(api: Served, token: str, name: str) -> None:
    row = ROWS[name]
    answer = await api.post(row.body, None if row.is_anonymous else token, **row.options)
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept, Authorization, Accept-Language"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-language"] == "en"
    assert ("www-authenticate" in answer.headers) is (answer.status_code == 401)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_other_method_is_refused(api: Served, token: str, method: str) -> None:
    path = "/graphql?query=%7Becho%7D"
    answer = await api.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    if method != "HEAD":
        assert answer.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", ";;;", "a/b;q=x"])
async def test_no_acceptable_media_type_is_refused_as_json(api: Served, token: str, accept: str) -> None:
    answer = await api.post(query("{ echo }"), token, accept=accept)
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, Media.JSON),
        ("", Media.JSON),
        ("*/*", Media.JSON),
        ("application/*", Media.JSON),
        (JSON, Media.JSON),
        (GRAPHQL, Media.GRAPHQL),
        (f"{GRAPHQL}, {JSON};q=0.9", Media.GRAPHQL),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.4", Media.JSON),
        (f"{GRAPHQL};charset=utf-8, {JSON};charset=utf-8", Media.GRAPHQL),
        (f"{JSON}, {GRAPHQL}", Media.JSON),
        (f"*/*, {GRAPHQL}", Media.GRAPHQL),
        (f"*/*;q=0.1, {JSON};q=0", Media.GRAPHQL),
        (f"{GRAPHQL};q=0.8, */*;q=0.9", Media.JSON),
        ("APPLICATION/JSON", Media.JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", Media.JSON),
        ("text/html", None),
        (f"{GRAPHQL};q=2", None),
        (f"{GRAPHQL};q=nan", None),
    ],
)
def test_negotiation_honors_quality(accept: str | None, media: Media | None) -> None:
    assert negotiate(accept) is media


def test_every_code_has_a_status() -> None:
    assert set(STATUSES) - {EXECUTED} == errors.CODES
    for kind in STATUSES:
        assert status_for(kind, Media.GRAPHQL) >= 200


async def test_a_suspended_organization_is_told_so(api: Served, database: Database, token_of: TokenOf) -> None:
    organization = await found_organization(database, name="Gesloten")
    token = await token_of(organization, Role.OPERATOR)
    async with database.unit_of_work(Actor.system(organization.id)) as uow:
        (await tenancy.organization(uow)).state = OrganizationState.SUSPENDED
    for media in Media:
        answer = await api.post(query("{ never: echo }"), token, accept=media)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["extensions"]["code"] == "ORGANIZATION_SUSPENDED"


async def test_a_right_that_is_missing_everywhere_refuses_the_whole_operation(
    api: Served, home: TestOrganization, token_of: TokenOf
) -> None:
    viewer = await token_of(home, Role.VIEWER)
    document = 'mutation { departmentAdd(input: {code: "NO", name: "No"}) { department { id } } }'
    answer = await api.post(query(document), viewer)
    assert answer.status_code == 403
    error = answer.json()["errors"][0]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "path" not in error


async def test_an_operation_that_takes_too_long_is_stopped(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EXECUTION_SECONDS_MAX == Stages.execution_seconds_max == 10
    monkeypatch.setattr(Stages, "execution_seconds_max", 0.05)
    for media in Media:
        answer = await api.post(query("{ slow(seconds: 30) }"), token, accept=media)
        assert answer.status_code == 504
        body = answer.json()
        assert "data" not in body
        assert body["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_a_database_that_is_away_is_503_with_a_time_to_come_back(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reads, "row_unbound", _unreachable)
    for media in Media:
        answer = await api.post(query("{ never: echo }"), token, accept=media)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        error = answer.json()["errors"][0]
        assert error["extensions"] == {
            "code": "SERVICE_UNAVAILABLE",
            "requestId": answer.headers["x-request-id"],
            "retryAfter": 2,
        }


async def _unreachable(*_: object) -> Any:
    raise ServiceUnavailable


async def test_the_slow_way_can_be_asked_for_on_an_installation_of_one_machine_only(
    edge_settings: Settings, home: TestOrganization, token_of: TokenOf
) -> None:
    bearer, asked = await token_of(home, Role.COORDINATOR), {"X-Execution": "ordinary"}
    document = query("{ departments { totalCount } }")
    elsewhere = edge_settings.model_copy(update={"environment": Environment.PRODUCTION})
    for settings, expected in ((edge_settings, "ordinary"), (elsewhere, "compiled")):
        async with served(settings, api_schema()) as running:
            assert (await running.post(document, bearer)).headers["X-Execution"] == "compiled"
            assert (await running.post(document, bearer, headers=asked)).headers["X-Execution"] == expected
            answer = await running.post(document, bearer, headers={"X-Execution": "?"})
            assert answer.headers["X-Execution"] == "compiled"


async def test_a_defect_before_execution_is_500_and_says_nothing(
    api: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("postgres://secret@host/db")

    monkeypatch.setattr("graphql_schema.stages.check_document", explode)
    for media in Media:
        answer = await api.post(query("{ never: echo }"), token, accept=media)
        assert answer.status_code == 500
        assert answer.json()["errors"] == [
            {
                "message": "Internal server error.",
                "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": answer.headers["x-request-id"]},
            }
        ]


async def test_a_body_that_says_less_than_it_sends_is_cut_at_the_limit(api: Served, token: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (BODY_BYTES_MAX // 10)

    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON, "Accept": JSON}
    answer = await api.client.post("/graphql", content=chunks(), headers=headers)
    assert answer.status_code == 413


async def test_a_body_that_never_ends_is_refused(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.limits.BODY_SECONDS_MAX", 0.1)
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    answer = await reader.read(20_000)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(answer.rpartition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_an_id_that_the_caller_sends_is_not_taken_over(api: Served, token: str) -> None:
    first = await api.post(query("{ echo }"), token, headers={"X-Request-Id": "mine"})
    second = await api.post(query("{ echo }"), token, headers={"X-Request-Id": "mine"})
    assert len({"mine", first.headers["x-request-id"], second.headers["x-request-id"]}) == 3


async def test_anonymous_callers_reach_the_schema_and_health_and_nothing_else(api: Served) -> None:
    assert (await api.get("/healthz")).status_code == 200
    schema = await api.get("/schema.graphql")
    assert schema.status_code == 200
    assert "type Query" in schema.text
    for path in ("/", "/graphql/", "/docs", "/static/x", "/metrics"):
        answer = await api.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["errors"][0]["extensions"]["requestId"] == answer.headers["x-request-id"]
    refused = await api.get("/graphql")
    assert refused.status_code == 405
