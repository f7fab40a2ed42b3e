# SPDX-License-Identifier: EUPL-1.2
"""What every mutation inherits: one unit of work, user errors, ids that tell nothing, and acts that happen once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, func, select

from graphql_schema.inputs import request_hash
from graphql_schema.nodes import encode_id
from services.kernel import idempotency
from services.kernel.access import Role
from services.kernel.audit import AuditEvent
from services.kernel.database import Database
from services.kernel.isolation import owned
from services.kernel.outbox import OutboxEntry
from services.tenancy.models import Department as DepartmentRow
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import Served
from tests.graphql_schema.small_schema import FORBIDDEN_NAME, DepartmentAddInput
from tests.support.organizations import TestOrganization, found_organization

ADD = """
mutation Add($input: DepartmentAddInput!) {
  departmentAdd(input: $input) {
    department { id code name }
    userErrors { __typename code message field }
  }
}
"""
RENAME = """
mutation Rename($input: DepartmentRenameInput!) {
  departmentRename(input: $input) { department { id name version } userErrors { code field } }
}
"""


class Town:
    """One organization with a coordinator's token, and how many rows it has."""

    def __init__(self, api: Served, database: Database, organization: TestOrganization, token: str) -> None:
        self.api, self.database, self.organization, self.token = api, database, organization, token

    async def add(self, **values: Any) -> Any:
        return (await self.api.ask(self.token, ADD, input=values))["departmentAdd"]

    async def rename(self, **values: Any) -> Any:
        return (await self.api.ask(self.token, RENAME, input=values))["departmentRename"]

    async def department(self, code: str) -> DepartmentRow:
        async with self.database.snapshot(self.organization.system) as snapshot:
            return await snapshot.one(owned(DepartmentRow, col(DepartmentRow.code) == code))

    async def counts(self) -> tuple[int, ...]:
        """Departments, audit rows, outbox rows and idempotency rows."""
        async with self.database.snapshot(self.organization.system) as snapshot:
            return tuple([
                await snapshot.scalar(
                    select(func.count()).select_from(model).where(model.tenant_id == self.organization.id)  # pyright: ignore[reportArgumentType]
                )
                for model in (DepartmentRow, AuditEvent, OutboxEntry, idempotency.IdempotencyEntry)
            ])  # fmt: skip


@pytest.fixture
async def town(api: Served, database: Database, token_of: TokenOf) -> Town:
    organization = await found_organization(database, name="Doedorp", roles=[Role.COORDINATOR, Role.ADMIN, Role.VIEWER])
    return Town(api, database, organization, await token_of(organization, Role.COORDINATOR))


def only_error(payload: Any) -> tuple[str, list[str] | None]:
    (error,) = payload["userErrors"]
    return error["code"], error["field"]


async def test_an_act_commits_rows_and_facts_together_and_answers_with_its_node(town: Town) -> None:
    before = await town.counts()
    payload = await town.add(code="TREES", name="Trees")
    assert payload["userErrors"] == []
    assert payload["department"]["code"] == "TREES"
    assert [after - was for after, was in zip(await town.counts(), before, strict=True)] == [1, 1, 1, 0]


async def test_a_refusal_is_data_and_leaves_nothing_behind(town: Town) -> None:
    before = await town.counts()
    payload = await town.add(code="TREES", name=FORBIDDEN_NAME, idempotencyKey="refused")
    assert payload["department"] is None
    assert payload["userErrors"] == [
        {
            "__typename": "DepartmentAddUserError",
            "code": "INVALID_STATE",
            "message": "Not with this name.",
            "field": ["name"],
        }
    ]
    assert await town.counts() == before


async def test_a_defect_rolls_everything_back(town: Town) -> None:
    before = await town.counts()
    roads = await town.department("ROADS")
    document = "mutation ($id: ID!) { departmentBreak(input: {departmentId: $id}) { userErrors { code } } }"
    answer = await town.api.post({"query": document, "variables": {"id": encode_id("DP", roads.id)}}, town.token)
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert await town.counts() == before


async def test_mutations_of_one_document_run_one_after_another_each_for_itself(town: Town) -> None:
    document = """mutation {
      one: departmentAdd(input: {code: "ONE", name: "One"}) { department { code } userErrors { code } }
      two: departmentAdd(input: {code: "TWO", name: "Refused"}) { department { code } userErrors { code } }
      three: departmentAdd(input: {code: "THREE", name: "Three"}) { department { code } userErrors { code } }
    }"""
    data = await town.api.ask(town.token, document)
    assert [each["department"] and each["department"]["code"] for each in data.values()] == ["ONE", None, "THREE"]
    assert data["two"]["userErrors"] == [{"code": "INVALID_STATE"}]


async def test_ids_that_lead_nowhere_are_all_alike(
    town: Town, database: Database, other_organization: TestOrganization
) -> None:
    roads = await town.department("ROADS")
    nowhere = {
        "malformed": "not an id",
        "empty": "",
        "of another type": encode_id("CV", roads.id),
        "of an unknown type": encode_id("ZZ", roads.id),
        "foreign": encode_id("DP", other_organization.departments["ROADS"]),
        "unknown": encode_id("DP", uuid4()),
        "a bare uuid": str(roads.id),
    }
    answers = {
        name: (await town.rename(departmentId=each, name="X", expectedVersion=1)) for name, each in nowhere.items()
    }
    expected = {"department": None, "userErrors": [{"code": "NOT_FOUND", "field": ["departmentId"]}]}
    assert answers == dict.fromkeys(nowhere, expected)
    assert (await town.department("ROADS")).version == roads.version


async def test_of_several_ids_the_one_that_leads_nowhere_is_named(
    town: Town, other_organization: TestOrganization
) -> None:
    move = """mutation ($input: DepartmentMoveInput!) {
      departmentMove(input: $input) { department { id } userErrors { code field } }
    }"""
    known, lost = (encode_id("DP", each) for each in ((await town.department("ROADS")).id, uuid4()))
    foreign = encode_id("DP", other_organization.departments["ROADS"])
    wishes = {
        ("departmentId",): [(lost, known), (foreign, known), ("x", known), (lost, lost), ("x", foreign)],
        ("aboveId",): [(known, lost), (known, foreign), (known, "x")],
    }
    for field, pairs in wishes.items():
        for department, above in pairs:
            asked = {"departmentId": department, "aboveId": above}
            payload = (await town.api.ask(town.token, move, input=asked))["departmentMove"]
            assert payload == {"department": None, "userErrors": [{"code": "NOT_FOUND", "field": list(field)}]}


async def test_a_conflict_carries_the_node_as_it_is_now(town: Town) -> None:
    roads = await town.department("ROADS")
    identifier = encode_id("DP", roads.id)
    first = await town.rename(departmentId=identifier, name="Streets", expectedVersion=roads.version)
    assert first["department"]["name"] == "Streets"
    second = await town.rename(departmentId=identifier, name="Lanes", expectedVersion=roads.version)
    assert only_error(second) == ("CONFLICT", ["expectedVersion"])
    assert second["department"] == {"id": identifier, "name": "Streets", "version": roads.version + 1}


async def test_what_is_wrong_with_texts_and_lists_is_told_at_once(town: Town) -> None:
    payload = await town.add(code="x" * 21, name="x" * 20_001, aliases=["fine", "a\x00b"])
    assert [(each["code"], each["field"]) for each in payload["userErrors"]] == [
        ("TOO_LONG", ["code"]),
        ("TOO_LONG", ["name"]),
        ("INVALID", ["aliases"]),
    ]
    assert only_error(await town.add(code="A", name="A", aliases=["a"] * 101)) == ("LIMIT_REACHED", ["aliases"])
    assert (await town.add(code="B", name="x" * 20_000, aliases=["a"] * 100))["userErrors"] == []


async def test_without_the_right_nothing_is_opened(town: Town, token_of: TokenOf) -> None:
    viewer = Town(town.api, town.database, town.organization, await token_of(town.organization, Role.VIEWER))
    before = await town.counts()
    answer = await town.api.post(
        {"query": ADD, "variables": {"input": {"code": "V", "name": "V", "idempotencyKey": "v"}}}, viewer.token
    )
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert await town.counts() == before


# Acts that happen once.


async def test_the_same_key_and_input_act_once_and_answer_alike(town: Town) -> None:
    wish = {"code": "ONCE", "name": "Once", "idempotencyKey": "k1"}
    first = await town.add(**wish)
    counts = await town.counts()
    for _ in range(3):
        assert await town.add(**wish) == first
    assert await town.counts() == counts


async def test_a_repeat_reads_the_selection_anew(town: Town) -> None:
    wish = {"code": "ANEW", "name": "Before", "idempotencyKey": "k2"}
    first = await town.add(**wish)
    await town.rename(departmentId=first["department"]["id"], name="After", expectedVersion=1)
    assert (await town.add(**wish))["department"] == {**first["department"], "name": "After"}


async def test_the_same_key_with_another_input_is_refused(town: Town) -> None:
    await town.add(code="A1", name="A", idempotencyKey="k3")
    before = await town.counts()
    assert only_error(await town.add(code="A2", name="A", idempotencyKey="k3")) == (
        "IDEMPOTENCY_KEY_REUSED",
        ["idempotencyKey"],
    )
    assert await town.counts() == before


async def test_a_refusal_does_not_use_up_the_key(town: Town) -> None:
    assert only_error(await town.add(code="R", name=FORBIDDEN_NAME, idempotencyKey="k4"))[0] == "INVALID_STATE"
    assert (await town.add(code="R", name="Fine", idempotencyKey="k4"))["userErrors"] == []


async def test_a_key_belongs_to_whoever_used_it(town: Town, token_of: TokenOf) -> None:
    await town.add(code="MINE", name="Mine", idempotencyKey="k5")
    other = Town(town.api, town.database, town.organization, await token_of(town.organization, Role.ADMIN))
    payload = await other.add(code="HERS", name="Hers", idempotencyKey="k5")
    assert payload["userErrors"] == []


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_that_is_none_is_refused(town: Town, key: str) -> None:
    assert only_error(await town.add(code="K", name="K", idempotencyKey=key)) == ("INVALID", ["idempotencyKey"])


async def test_eight_requests_at_once_with_one_key_act_once(town: Town) -> None:
    wish = {"code": "RACE", "name": "Race", "idempotencyKey": "k6"}
    before = await town.counts()
    answers = await asyncio.gather(*(town.add(**wish) for _ in range(8)))
    done = [each for each in answers if not each["userErrors"]]
    assert {each["department"]["id"] for each in done} == {done[0]["department"]["id"]}
    assert {only_error(each)[0] for each in answers if each["userErrors"]} <= {"IDEMPOTENCY_IN_PROGRESS"}
    assert [after - was for after, was in zip(await town.counts(), before, strict=True)] == [1, 1, 1, 1]


async def test_while_the_first_request_runs_the_second_is_told_so(town: Town) -> None:
    wish = DepartmentAddInput(code="SLOW", name="Slow", aliases=None, parent_id=None, idempotency_key="k7")
    role_id = town.organization.members[Role.COORDINATOR]
    actor = town.organization.actor(Role.COORDINATOR)
    assert actor.id == role_id
    async with town.database.unit_of_work(actor) as uow:
        await idempotency.begin(uow, "k7", request_hash("department_add", wish))
        payload = await town.add(code="SLOW", name="Slow", idempotencyKey="k7")
        assert only_error(payload) == ("IDEMPOTENCY_IN_PROGRESS", ["idempotencyKey"])
        await idempotency.answer(uow, "k7", {"department": None})


def test_the_hash_covers_the_mutation_and_every_field_but_the_key() -> None:
    def add(**changes: Any) -> DepartmentAddInput:
        values: dict[str, Any] = {
            "code": "A",
            "name": "B",
            "aliases": ["x", "y"],
            "parent_id": None,
            "idempotency_key": "k",
        }
        return DepartmentAddInput(**{**values, **changes})

    same = request_hash("department_add", add())
    assert request_hash("department_add", add(idempotency_key="other")) == same
    different = [
        request_hash("department_remove", add()),
        *(
            request_hash("department_add", add(**each))
            for each in ({"code": "a"}, {"name": "C"}, {"aliases": ["y", "x"]}, {"aliases": None}, {"parent_id": "x"})
        ),
    ]
    assert len({same, *different}) == len(different) + 1
