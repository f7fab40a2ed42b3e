# SPDX-License-Identifier: EUPL-1.2
"""The schema as it is assembled and printed, and the places where private parts of Strawberry are used."""

from enum import Enum
from pathlib import Path

import pytest
import strawberry
from graphql import GraphQLEnumType, build_schema, validate_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.subscriptions.protocols.graphql_transport_ws import handlers
from strawberry.types.execution import ExecutionContext

from graphql_schema.arguments import PERMISSION
from graphql_schema.mutation import mutation_of
from graphql_schema.payloads import UserErrorCode
from graphql_schema.reading.annotations import core_schema, object_definition
from graphql_schema.schema import SDL_FILE, ApiSchema, Mutation, Subscription, api_schema
from graphql_schema.sockets import SocketHandler
from graphql_schema.stages import provided_operation_name
from services.kernel.access import Permission
from services.kernel.errors import REFUSALS


@pytest.fixture(scope="session")
def whole() -> ApiSchema:
    """Belfry's schema."""
    return api_schema()


def test_the_committed_schema_is_the_one_of_the_code(whole: ApiSchema) -> None:
    assert SDL_FILE.read_text(encoding="utf-8") == f"{whole.as_str().strip()}\n", "run ./belfry schema"


def test_the_printed_schema_is_valid_sorted_and_without_null_defaults(whole: ApiSchema) -> None:
    printed = build_schema(whole.as_str())
    assert validate_schema(printed) == []
    for root in (printed.query_type, printed.mutation_type, printed.subscription_type):
        assert root is not None
        assert list(root.fields) == sorted(root.fields)
    assert "= null" not in whole.as_str()
    assert len(printed.type_map) < 300


def test_printing_sorts_a_copy_and_leaves_the_enums_of_execution_alone(whole: ApiSchema) -> None:
    before = core_schema(whole)
    whole.as_str()
    assert core_schema(whole) is before
    kind = before.type_map["ConversationState"]
    assert isinstance(kind, GraphQLEnumType)
    assert isinstance(kind.parse_value("OPEN"), Enum)


def test_strawberry_still_loses_enums_when_it_sorts_for_execution() -> None:
    # The day this fails, StrawberryConfig(sort_schema=True) may replace ApiSchema.as_str.
    @strawberry.enum
    class Color(Enum):
        RED = "r"

    @strawberry.type
    class Query:
        @strawberry.field
        def color(self) -> Color:
            return Color.RED

    result = strawberry.Schema(Query, config=StrawberryConfig(sort_schema=True)).execute_sync("{ color }")
    assert result.data is None


def test_every_mutation_and_subscription_names_its_permission() -> None:
    for root in (Mutation, Subscription):
        definition = object_definition(root)
        assert definition is not None
        for field in definition.fields:
            assert isinstance(field.metadata.get(PERMISSION), Permission), field.python_name
            assert field.description, field.python_name
            if root is Mutation:
                declaration = mutation_of(field)
                assert declaration is not None
                assert declaration.name == field.python_name


def test_no_refusal_was_declared_after_the_enum_was_made() -> None:
    declared = {code for code, refusal in REFUSALS.items() if refusal.__module__.startswith("services.")}
    assert declared == set(UserErrorCode.__members__)


# Private names of Strawberry, each used in one place.


def test_the_operation_name_that_was_sent_can_be_told_from_the_one_that_was_guessed(whole: ApiSchema) -> None:
    execution = ExecutionContext(query="", schema=whole, allowed_operations=(), provided_operation_name="A")
    assert provided_operation_name(execution) == "A"
    guessed = ExecutionContext(query="", schema=whole, allowed_operations=())
    assert provided_operation_name(guessed) is None


def test_the_socket_handler_still_has_what_ours_builds_on() -> None:
    base = handlers.BaseGraphQLTransportWSHandler
    for name in ("handle_message", "handle_connection_init", "handle_subscribe", "shutdown"):
        assert name in vars(base), name
        assert name in vars(SocketHandler), name
    for name in ("send_initial_errors", "send_next", "send_operation_message"):
        assert name in vars(handlers.Operation), name


def test_the_folder_of_the_edge_has_no_file_over_400_lines() -> None:
    for file in Path(SDL_FILE).parent.rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file.name
