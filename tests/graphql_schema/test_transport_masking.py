# SPDX-License-Identifier: EUPL-1.2
"""What a client learns from a defect: nothing but a request id; what the log learns: everything but citizens' words."""

from typing import Any

import pytest
from graphql import GraphQLError
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from graphql_schema.errors import CODES, Wording, coded, presented, refused
from services.kernel.errors import Forbidden, NotFound, ServiceUnavailable
from tests.graphql_schema.serving import Served
from tests.graphql_schema.small_schema import SECRET

LEAKS = ("no_such_column", "belfry", "select", "asyncpg", "sqlalchemy", "Traceback", "/tmp", "host", SECRET)


async def test_a_broken_statement_shows_nothing(api: Served, token: str) -> None:
    with capture_logs() as logs:
        answer = await api.post({"query": "{ echo brokenSql }"}, token)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"echo": "hello", "brokenSql": None}
    (error,) = answer.json()["errors"]
    assert error["message"] == "Internal server error."
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": answer.headers["x-request-id"]}
    assert error["path"] == ["brokenSql"]
    assert not any(leak.lower() in answer.text.lower().replace("brokensql", "") for leak in LEAKS)
    (defect,) = [each for each in logs if each["event"] == "defect"]
    assert defect["request_id"] == answer.headers["x-request-id"]
    assert "no_such_column" in str(defect["exc_info"])
    assert SECRET not in str(defect["exc_info"])


async def test_a_constraint_that_is_hit_shows_neither_its_name_nor_the_row(api: Served, token: str) -> None:
    roads = (await api.ask(token, "{ departments { nodes { id code } } }"))["departments"]["nodes"][0]["id"]
    mutation = "mutation ($id: ID!) { departmentBreak(input: {departmentId: $id}) { userErrors { code } } }"
    answer = await api.post({"query": mutation, "variables": {"id": roads}}, token)
    (error,) = answer.json()["errors"]
    assert error["message"] == "Internal server error."
    assert "uq_" not in answer.text
    assert "ROADS" not in answer.text


async def test_a_null_that_may_not_be_is_a_defect(api: Served, token: str) -> None:
    answer = await api.post({"query": "{ neverNull }"}, token)
    assert answer.json()["data"] is None
    assert answer.json()["errors"][0]["message"] == "Internal server error."


async def test_refusals_keep_their_sentence_code_and_path(api: Served, token: str) -> None:
    answer = await api.post({"query": '{ fails(how: "UNAVAILABLE") }'}, token)
    (error,) = answer.json()["errors"]
    assert error["message"] == ServiceUnavailable.message
    assert error["path"] == ["fails"]
    assert error["extensions"]["retryAfter"] == ServiceUnavailable.retry_after_seconds


async def test_a_user_error_outside_a_mutation_is_a_defect(api: Served, token: str) -> None:
    answer = await api.post({"query": '{ fails(how: "NOT_FOUND") }'}, token)
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


async def test_refusals_are_not_logged_as_defects(api: Served, token: str) -> None:
    with capture_logs() as logs:
        for query in ("{ nothing }", '{ fails(how: "FORBIDDEN") }', "{ echo"):
            await api.post({"query": query}, token)
    assert [each["event"] for each in logs] == ["answered"] * 3


async def test_no_line_of_the_log_holds_a_token_or_a_query(api: Served, token: str) -> None:
    with capture_logs() as logs:
        await api.post({"query": "{ echo(text: $secret) brokenSql }"}, token)
        await api.post({"query": "{ brokenSql }", "variables": {"secret": SECRET}}, token)
        await api.get(f"/graphql?token={token}")
    assert len(logs) >= 4
    assert token not in str(logs)
    assert SECRET not in str(logs)
    assert {each["route"] for each in logs if each["event"] == "answered"} == {"/graphql"}


def wrapped(error: Exception, path: list[str | int] | None = None) -> GraphQLError:
    return GraphQLError(str(error), original_error=error, path=path)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(Forbidden()), "FORBIDDEN"),
        (wrapped(Forbidden(), ["a"]), "FORBIDDEN"),
        (GraphQLError("outer", original_error=wrapped(Forbidden())), "FORBIDDEN"),
        (wrapped(ValueError("secret")), "INTERNAL_SERVER_ERROR"),
        (wrapped(NotFound()), "INTERNAL_SERVER_ERROR"),
        (wrapped(IntegrityError("insert into x", {"a": SECRET}, Exception("dup"))), "INTERNAL_SERVER_ERROR"),
        (GraphQLError("raised by hand in a resolver", path=["a"]), "INTERNAL_SERVER_ERROR"),
        (GraphQLError("with a code of its own", path=["a"], extensions={"code": "MY_CODE"}), "INTERNAL_SERVER_ERROR"),
        (coded(GraphQLError("x"), "BAD_USER_INPUT"), "BAD_USER_INPUT"),
    ],
)
def test_every_error_that_leaves_has_a_code_of_the_list(error: GraphQLError, code: str) -> None:
    (shown,) = presented([error], Wording("id"))
    extensions: dict[str, Any] = shown.extensions or {}
    assert extensions["code"] == code
    assert extensions["code"] in CODES
    assert extensions["requestId"] == "id"
    assert shown.original_error is None
    assert "secret" not in shown.message
