# SPDX-License-Identifier: EUPL-1.2
"""Planning and writing without a database: what is refused and why, and that equal shapes have one statement."""

from collections import defaultdict
from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from graphql import get_operation_ast, parse, validate
from graphql.execution import get_variable_values

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import encode_id
from graphql_schema.reading.plan import NotCompilable, Plan, plan
from graphql_schema.reading.requests import Request, requests_of, shape_of
from graphql_schema.reading.sql import write
from graphql_schema.schema import ApiSchema, api_schema
from services.kernel.access import Actor, Grant, Role
from services.kernel.errors import BadUserInput
from tests.graphql_schema.reading.documents import Author

A_LONG_NAME = "a" * 64


class Asker:
    """Who asks, as far as reading arguments goes."""

    cursor_key = b"k" * 32
    actor = Actor(uuid4(), membership_id=uuid4(), grants=(Grant(Role.COORDINATOR, None),))


@pytest.fixture(scope="module")
def whole_schema() -> ApiSchema:
    return api_schema()


def planned(schema: ApiSchema, document: str, variables: Mapping[str, Any] | None = None) -> tuple[Plan, list[Request]]:
    parsed = parse(document)
    assert validate(schema.core, parsed) == []
    operation = get_operation_ast(parsed, None)
    assert operation is not None
    coerced = get_variable_values(schema.core, operation.variable_definitions or (), dict(variables or {}))
    assert not isinstance(coerced, list), coerced
    found = plan(schema.core, parsed, operation, coerced)
    return found, requests_of(found, coerced, Asker())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{ viewer { roles } }", "undeclared"),
        ("{ __schema { types { name } } }", "introspection"),
        ('{ __type(name: "Node") { name } conversations { totalCount } }', "introspection"),
        (f"{{ {A_LONG_NAME}: conversations {{ totalCount }} }}", "long_key"),
        (f"{{ conversations {{ edges {{ {A_LONG_NAME}: cursor }} }} }}", "long_key"),
        (f"{{ conversations {{ pageInfo {{ {A_LONG_NAME}: hasNextPage }} }} }}", "long_key"),
        (f"{{ conversations {{ nodes {{ department {{ {A_LONG_NAME}: name }} }} }} }}", "long_key"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_its_reason(whole_schema: ApiSchema, document: str, reason: str) -> None:
    with pytest.raises(NotCompilable) as caught:
        planned(whole_schema, document)
    assert caught.value.reason == reason


def test_a_name_of_63_bytes_is_planned(whole_schema: ApiSchema) -> None:
    name = A_LONG_NAME[:-1]
    found, requests = planned(whole_schema, f"{{ {name}: conversations {{ totalCount }} }}")
    assert f" AS {name}" in write(found, requests).text


def test_no_value_of_a_request_is_in_the_text(whole_schema: ApiSchema) -> None:
    """Everything that a client sends travels as a parameter."""
    document = """query ($text: String!, $id: ID!, $at: DateTime!) { node(id: $id) { id }
        departments(filter: {code: {contains: $text}}) { nodes { id } }
        conversations(filter: {openedAt: {gt: $at}}, first: 17) { totalCount } }"""
    words = {"text": "Robert'); drop", "id": encode_id(Conversation, uuid4()), "at": "2026-03-01T00:00:00Z"}
    found, requests = planned(whole_schema, document, words)
    text = write(found, requests).text
    assert "Robert" not in text and "2026" not in text and "17" not in text and words["id"] not in text


def test_equal_shapes_have_one_statement_and_other_shapes_another(whole_schema: ApiSchema) -> None:
    texts: dict[Any, set[str]] = defaultdict(set)
    for seed in range(250):
        author = Author(whole_schema.core, Random(seed), ["nonsense"], ("conversations",))
        kind = whole_schema.core.query_type
        assert kind is not None
        arguments = author.arguments(kind.fields["conversations"])
        head = f"query ({', '.join(author.declared)})" if author.declared else ""
        try:
            found, requests = planned(
                whole_schema, f"{head} {{ conversations{arguments} {{ nodes {{ id }} }} }}", author.variables
            )
        except BadUserInput:
            continue
        texts[shape_of(requests)].add(write(found, requests).text)
    assert len(texts) > 30
    assert {len(each) for each in texts.values()} == {1}
    assert len({text for each in texts.values() for text in each}) == len(texts)
