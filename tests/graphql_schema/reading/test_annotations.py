# SPDX-License-Identifier: EUPL-1.2
"""What Strawberry does not document and reading relies on: held in place here, for every new version of it."""

from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from graphql_schema.connections import Connection
from graphql_schema.reading.annotations import Shape, core_schema, definition_of, object_definition, shape_of


@strawberry.enum
class Color(Enum):
    """Invented."""

    RED = "RED"


@strawberry.type
class Thing:
    """Invented."""

    name: str


@strawberry.type
class Root:
    """One field of every shape."""

    text: str | None
    texts: list[str]
    thing: Thing
    maybe: "Thing | None"
    color: Color
    page: Connection[Thing]
    later: Annotated["Thing", strawberry.lazy(__name__)] | None
    later_page: Connection[Annotated["Thing", strawberry.lazy(__name__)]]


def shapes() -> dict[str, Shape]:
    definition = object_definition(Root)
    assert definition is not None
    return {each.python_name: shape_of(each) for each in definition.fields}


def test_every_annotation_has_its_shape(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or Any)
    found = shapes()
    assert found["text"] == Shape(str, is_nullable=True)
    assert found["texts"] == Shape(str, is_list=True)
    assert found["thing"] == Shape(Thing)
    assert found["maybe"] == Shape(Thing, is_nullable=True)
    assert found["color"] == Shape(Color)
    assert found["page"] == Shape(Thing, is_connection=True)
    assert (found["text"].written, found["texts"].written, found["page"].written) == (
        "str | None", "list[str]", "Connection[Thing]"
    )  # fmt: skip


def test_a_field_of_the_core_schema_leads_back_to_its_definition():
    schema = strawberry.Schema(query=Root, config=StrawberryConfig(sort_schema=True))
    core = core_schema(schema)
    assert isinstance(core, GraphQLSchema)
    assert core.query_type is not None
    definition = definition_of(core.query_type.fields["maybe"])
    assert definition is not None
    assert definition.python_name == "maybe"
    assert definition_of(core.type_map["__Type"].fields["name"]) is None  # pyright: ignore[reportAttributeAccessIssue]


def test_connections_of_a_type_have_its_name():
    schema = strawberry.Schema(query=Root)
    assert {"ThingConnection", "ThingEdge"} <= set(core_schema(schema).type_map)
