# SPDX-License-Identifier: EUPL-1.2
"""The rows that payloads show are read by statements, and look as if the ordinary executor had read them."""

from typing import Any

import pytest

from graphql_schema.nodes import encode_id
from graphql_schema.reading import operations
from graphql_schema.reading.execution import FALLBACKS, counted
from services.kernel.access import Role
from services.kernel.errors import ServiceUnavailable
from services.kernel.reads import Reads
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import Served, without_cost
from tests.support.organizations import TestOrganization

RENAMING = "mutation M($input: DepartmentRenameInput!%s) { %s } %s"
VERSION = "query ($id: ID!) { node(id: $id) { ... on Department { version } } }"
ONE = "departmentRename(input: $input) { %s }"
DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (RENAMING % ("", ONE % "department { id name code } userErrors { code }", ""), {}),
    "alias and type names": (
        RENAMING % ("", "a: " + ONE % "__typename x: department { __typename y: name } userErrors { code }", ""),
        {},
    ),
    "merged": (
        RENAMING % ("", ONE % "department { name } userErrors { code } department { parent { name } name }", ""),
        {},
    ),
    "fragments": (
        RENAMING
        % (
            "",
            ONE % "...P ... on DepartmentRenamePayload { department { ...D } }",
            "fragment P on DepartmentRenamePayload { department { ... on Node { id } } userErrors { message } }"
            " fragment D on Department { code ...E } fragment E on Department { name }",
        ),
        {},
    ),
    "twice under two names": (
        RENAMING % ("", ONE % "one: department { id } two: department { name }", ""),
        {},
    ),
    "a variable below, and one that switches": (
        RENAMING
        % (
            ", $more: Boolean!, $no: Boolean!, $belfryRow: Boolean = true",
            ONE % "department { id name @include(if: $more) code @skip(if: $more) isCoordinationDesk"
            " @include(if: $belfryRow) } userErrors @skip(if: $no) { code }",
            "",
        ),
        {"more": True, "no": True},
    ),
    "several acts in a row": (
        RENAMING % ("", f"a: {ONE % 'department { name }'} b: {ONE % 'department { id }'} __typename", ""),
        {},
    ),
    "only the errors": (RENAMING % ("", ONE % "userErrors { code field }", ""), {}),
}


async def renamed(api: Served, token: str, town: TestOrganization, document: str, more: Any, **how: Any) -> Any:
    department = encode_id("DP", town.departments["ROADS"])
    asked = {"query": VERSION, "variables": {"id": department}}
    found = await api.post(asked, token, headers={"X-Execution": "ordinary"})
    version = found.json()["data"]["node"]["version"]
    given = {"departmentId": department, "name": "Roads and lamps", "expectedVersion": version, **how.pop("input", {})}
    return await api.post({"query": document, "variables": {"input": given, **more}}, token, **how)


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_payloads_are_the_same_bytes_in_both_ways(
    api: Served, home: TestOrganization, token: str, name: str
) -> None:
    document, more = DOCUMENTS[name]
    fast = await renamed(api, token, home, document, more)
    slow = await renamed(api, token, home, document, more, headers={"X-Execution": "ordinary"})
    assert fast.json().get("errors") is None
    assert without_cost(fast.content) == without_cost(slow.content)
    shows_a_row = name != "only the errors"
    assert (fast.headers["X-Execution"], slow.headers["X-Execution"]) == (
        "compiled" if shows_a_row else "ordinary",
        "ordinary",
    )


async def test_a_payload_shows_what_its_own_act_has_committed(api: Served, home: TestOrganization, token: str) -> None:
    document = RENAMING % ("", f"a: {ONE % 'department { name }'}", "")
    for name in ("First", "Second"):
        answer = await renamed(api, token, home, document, {}, input={"name": name})
        assert answer.json()["data"]["a"]["department"] == {"name": name}


async def test_a_refused_act_shows_no_row(api: Served, home: TestOrganization, token: str) -> None:
    document, more = DOCUMENTS["plain"]
    answer = await renamed(api, token, home, document, more, input={"departmentId": "nonsense"})
    payload = answer.json()["data"]["departmentRename"]
    assert payload["department"] is None
    assert payload["userErrors"]


async def test_a_row_that_cannot_be_compiled_is_read_the_ordinary_way(
    api: Served, home: TestOrganization, token: str
) -> None:
    before = dict(counted(FALLBACKS)).get("long_key", 0)
    document = RENAMING % ("", ONE % f"department {{ {'k' * 64}: name id }}", "")
    answer = await renamed(api, token, home, document, {})
    assert answer.json()["data"]["departmentRename"]["department"]["k" * 64] == "Roads and lamps"
    assert answer.headers["X-Execution"] == "ordinary"
    assert dict(counted(FALLBACKS))["long_key"] == before + 1


async def test_a_payload_is_read_by_one_statement(
    api: Served, home: TestOrganization, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = Reads.value

    async def see(self: Reads, text: str, values: Any) -> Any:
        seen.append(text)
        return await real(self, text, values)

    monkeypatch.setattr(Reads, "value", see)
    await renamed(api, token, home, *DOCUMENTS["merged"])
    assert len(seen) == 1


async def test_when_the_row_cannot_be_read_the_act_stands_and_the_error_says_so(
    api: Served, home: TestOrganization, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise ServiceUnavailable

    document = RENAMING % ("", ONE % "department { name } userErrors { code }", "")
    with monkeypatch.context() as broken:
        broken.setattr(Reads, "value", away)
        answer = (await renamed(api, token, home, document, {}, input={"name": "Third"})).json()
    assert [(each["extensions"]["code"], each["path"]) for each in answer["errors"]] == [
        ("SERVICE_UNAVAILABLE", ["departmentRename", "department"])
    ]
    assert answer["data"]["departmentRename"] == {"department": None, "userErrors": []}
    found = await api.ask(token, "{ departments(first: 50) { nodes { name } } }")
    assert {"name": "Third"} in found["departments"]["nodes"]


async def test_a_defect_of_the_compiler_does_not_reach_the_payload(
    api: Served, home: TestOrganization, token_of: TokenOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(operations, "write", broken)
    document = RENAMING % ("", ONE % "department { name code isCoordinationDesk }", "")
    answer = await renamed(api, await token_of(home, Role.COORDINATOR), home, document, {})
    assert answer.json()["data"]["departmentRename"]["department"]["code"] == "ROADS"
