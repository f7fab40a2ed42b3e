# SPDX-License-Identifier: EUPL-1.2
"""A walk over the whole schema: all is declared, described and guarded."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
)
from sqlalchemy import Column, Table

from graphql_schema.arguments import PERMISSION
from graphql_schema.connections import Connection
from graphql_schema.nodes import Node
from graphql_schema.reading.annotations import BACK_REFERENCE, definition_of, object_definition, shape_of
from graphql_schema.reading.declarations import REGISTRY, Readable, declaration_of
from graphql_schema.reading.rows import frame_of
from graphql_schema.schema import api_schema
from services.kernel.access import Permission
from services.kernel.isolation import DataClass

SCHEMA = api_schema()
TYPES = [
    each
    for _, each in sorted(SCHEMA.core.type_map.items())
    if not is_introspection_type(each) and not is_specified_scalar_type(each)
]
SHOWN = [each for each in REGISTRY.values() if each.name in SCHEMA.core.type_map]
OPEN_TO_EVERY_CREDENTIAL = {"Query.viewer", "Query.rateLimit", "Query.node", "Query.nodes"}
"""Root fields without a permission of their own: who is asking, and rows whose own type says who may read them."""


def places() -> Iterator[tuple[str, str | None]]:
    """Everything that a description can stand beside."""
    for each in TYPES:
        yield each.name, each.description
        if isinstance(each, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in each.fields.items():
                yield f"{each.name}.{name}", field.description
                for argument, made in field.args.items():
                    yield f"{each.name}.{name}({argument}:)", made.description
        elif isinstance(each, GraphQLInputObjectType):
            for name, made in each.fields.items():
                yield f"{each.name}.{name}", made.description
        elif isinstance(each, GraphQLEnumType):
            for name, value in each.values.items():
                yield f"{each.name}.{name}", value.description


def test_everything_is_described_in_a_sentence(tell):
    everything = list(places())
    bare = [place for place, description in everything if not description]
    assert bare == []
    unlike = [place for place, text in everything if text and not (text[0].isupper() or text[0] == "`")]
    assert unlike == []
    assert [place for place, text in everything if text and not text.endswith(".")] == []
    tell(f"{len(everything)} types, fields, arguments and enum values, all described")


def object_fields() -> Iterator[tuple[GraphQLNamedType, str, GraphQLField]]:
    for each in TYPES:
        if isinstance(each, GraphQLObjectType):
            for name, field in each.fields.items():
                yield each, name, field


@pytest.mark.parametrize("readable", SHOWN, ids=lambda each: each.name)
def test_every_readable_type_has_a_permission_and_nothing_undeclared(readable: Readable):
    assert isinstance(readable.permission, Permission)
    definition = object_definition(readable.python_type)
    assert definition is not None
    for field in definition.fields:
        assert declaration_of(field) is not None or field.origin is Node, field.python_name
        assert field.base_resolver is None


def test_every_type_that_shows_rows_is_declared():
    made_by_hand = {
        "Viewer",
        "RateLimit",
        "ConversationEvent",
        "ExportEvent",
        "PageInfo",
        "Query",
        "Mutation",
        "Subscription",
    }
    for each in TYPES:
        definition: Any = each.extensions.get(BACK_REFERENCE)
        if not isinstance(each, GraphQLObjectType) or each.name.endswith(("Payload", "Result", "UserError")):
            continue
        is_list = definition.concrete_of is object_definition(Connection) or each.name.endswith("Edge")
        assert is_list or each.name in made_by_hand or definition.origin in REGISTRY, each.name


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{root.name}.{name}", field)
        for root in (SCHEMA.core.query_type, SCHEMA.core.mutation_type, SCHEMA.core.subscription_type)
        if root is not None
        for name, field in root.fields.items()
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_every_root_field_names_a_permission(path: str, field: GraphQLField):
    definition = definition_of(field)
    assert definition is not None
    if path in OPEN_TO_EVERY_CREDENTIAL:
        return
    declared = declaration_of(definition)
    permission = (
        definition.metadata.get(PERMISSION) if declared is None else REGISTRY[shape_of(definition).of].permission
    )
    assert isinstance(permission, Permission), path


SECRETS = {DataClass.SECRET}
NEVER_SHOWN = {"thread_key", "key_id", "nonce", "ciphertext", "body", "prepared", "send_key", "content_hash", "target"}


@pytest.mark.parametrize("readable", [each for each in SHOWN if each.model is not None], ids=lambda each: each.name)
def test_no_secret_column_is_selected(readable: Readable):
    assert isinstance(readable.source, Table)
    secret = {each.name for each in readable.source.columns if each.info.get("data_class") in SECRETS} | NEVER_SHOWN
    alias = frame_of(readable).alias
    for column in frame_of(readable).visible.selected_columns:
        shown = {each.name for each in column.base_columns if isinstance(each, Column)}
        assert not (shown & secret), f"{readable.name} shows {shown & secret} of {alias}"


def test_every_scalar_is_specified():
    for each in TYPES:
        if isinstance(each, GraphQLScalarType):
            assert each.specified_by_url, each.name


def test_no_two_types_differ_in_case_only_and_only_connections_are_named_so():
    names = [each.name for each in TYPES]
    assert len({name.lower() for name in names}) == len(names)
    for each in TYPES:
        if each.name.endswith("Connection"):
            assert isinstance(each, GraphQLObjectType)
            assert {"edges", "nodes", "pageInfo", "totalCount", "isTotalCountExact"} == set(each.fields)
        if each.name.endswith("Edge"):
            assert isinstance(each, GraphQLObjectType)
            assert set(each.fields) == {"cursor", "node"}


def test_no_float_is_shown():
    for parent, name, field in object_fields():
        assert get_named_type(field.type).name != "Float", f"{parent.name}.{name}"
