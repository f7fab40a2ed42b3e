# SPDX-License-Identifier: EUPL-1.2
"""What a contributor who declares a mutation is told, and what the schema shows of one."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import strawberry

from graphql_schema.inputs import decode
from graphql_schema.mutation import Act, UserErrorCode, given, id_of, mutation, mutation_input, mutation_payload
from graphql_schema.nodes import encode_id
from graphql_schema.payloads import payload_shape
from graphql_schema.reading.mapping import read_back
from graphql_schema.schema import build_schema
from graphql_schema.tenancy.types import Department
from services.kernel.access import Permission
from services.kernel.errors import REFUSALS, DomainError
from tests.graphql_schema.serving import Served
from tests.graphql_schema.small_schema import DepartmentAddInput, DepartmentAddPayload, Query


def test_the_codes_are_those_that_the_rules_declare() -> None:
    assert {name for name, refusal in REFUSALS.items() if refusal.__module__.startswith("services.")} == set(
        UserErrorCode.__members__
    )
    for value in UserErrorCode.__strawberry_definition__.values:  # pyright: ignore[reportAttributeAccessIssue]
        assert value.description, value.name


def test_the_schema_shows_ids_and_no_defaults(api: Served) -> None:
    from tests.graphql_schema.small_schema import small_schema

    sdl = small_schema().as_str()
    start = sdl.index("input DepartmentAddInput")
    text = sdl[start : sdl.index("\n}", start)]
    for line in ("code: String!", "parentId: ID\n", "aliases: [String!]\n", "idempotencyKey: ID"):
        assert line in f"{text}\n"
    assert "= null" not in sdl
    assert "type DepartmentAddUserError implements UserError" in sdl
    assert "departmentAdd(" in sdl
    assert "userErrors: [DepartmentAddUserError!]!" in sdl
    assert "input: DepartmentAddInput!" in sdl


def test_an_input_field_without_a_description_is_refused() -> None:
    with pytest.raises(TypeError, match=r"LampFixInput\.name has no description"):

        @mutation_input
        class LampFixInput:
            """What to fix."""

            name: str


def test_an_id_that_is_not_annotated_as_one_is_refused() -> None:
    with pytest.raises(TypeError, match=r"LampFixInput\.lamp_id is an id: annotate it UUID"):

        @mutation_input
        class LampFixInput:
            """What to fix."""

            lamp_id: str = id_of(Department, "The lamp.")


def test_an_input_or_payload_without_its_name_or_docstring_is_refused() -> None:
    with pytest.raises(TypeError, match="name it …Input"):

        @mutation_input
        class LampFix:
            """What to fix."""

    with pytest.raises(TypeError, match="name it …Payload"):

        @mutation_payload
        class LampFixPayload:
            department: Department | None = read_back("It.")


def test_a_payload_with_text_is_refused_because_a_repeat_could_not_answer_it() -> None:
    @mutation_payload
    class LampFixPayload:
        """What a repair answers."""

        note: str | None = strawberry.field(description="A note.", default=None)

    with pytest.raises(TypeError, match=r"LampFixPayload\.note must be"):
        payload_shape(LampFixPayload)


def test_a_mutation_with_another_shape_is_refused() -> None:
    with pytest.raises(TypeError, match=r"async def lamp_fix\(self, act: Act, input: LampFixInput\) -> LampFixPayload"):

        @mutation("Fix a lamp.", permission=Permission.CONVERSATION_CLAIM)
        async def lamp_fix(self: Any, act: Act, input: DepartmentAddInput) -> DepartmentAddPayload:  # noqa: A002
            raise AssertionError


def test_a_mutation_that_was_not_declared_here_is_refused() -> None:
    @strawberry.type
    class Mutation:
        @strawberry.mutation(description="By hand.")
        async def by_hand(self) -> bool:
            return True

    with pytest.raises(TypeError, match=r"Mutation\.by_hand must be declared with @mutation"):
        build_schema(Query, Mutation)


def test_nested_inputs_and_lists_of_ids_are_decoded() -> None:
    @mutation_input
    class LampPartInput:
        """A part."""

        department_id: UUID = id_of(Department, "Whose.")
        name: str = given("Its name.", length_max=3)

    @mutation_input
    class LampFixInput:
        """What to fix."""

        department_ids: list[UUID] = id_of(Department, "Whose.")
        parts: list[LampPartInput] = given("Its parts.")
        part: LampPartInput | None = given("The main part.")

    row = uuid4()
    part: Any = LampPartInput(department_id=encode_id("DP", row), name="long")  # pyright: ignore[reportArgumentType]
    decoded, refusals = decode(LampFixInput(department_ids=[encode_id("DP", row), "x"], parts=[part], part=None))  # pyright: ignore[reportArgumentType]
    assert decoded.department_ids == [row, UUID(int=0)]
    assert decoded.parts[0].department_id == row
    assert [(type(each).code, each.field) for each in refusals] == [("TOO_LONG", ("parts", "name"))]
    assert all(isinstance(each, DomainError) for each in refusals)
