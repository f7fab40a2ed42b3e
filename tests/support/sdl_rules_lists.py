# SPDX-License-Identifier: EUPL-1.2
"""What holds for lists in the schema, read off its text: connections, filters, orders, and what everything costs."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    value_from_ast_untyped,
)

from tests.support.sdl_rules import Output, Rule, fields, implements_node, inputs, outputs

PAGE_INFO = {
    "endCursor": "String",
    "hasNextPage": "Boolean!",
    "hasPreviousPage": "Boolean!",
    "startCursor": "String",
}
PAGE_ARGUMENTS = {"first": "Int", "last": "Int", "after": "String", "before": "String"}
PAGE_LENGTH = 20
BESIDE_PAGES = frozenset({"filter", "orderBy", "query"})
COMPARATORS = frozenset({"eq", "in", "neq", "nin", "contains", "startsWith", "gt", "gte", "lt", "lte", "isNull"})
ALWAYS_COMPARED = frozenset({"eq", "in", "neq", "nin", "isNull"})
TREE = frozenset({"and", "or", "not"})
MUTATION_COST = 10
WEIGHT = re.compile(r"^[0-9]+$")


def shape(kind: Any) -> dict[str, str]:
    """The fields of a type, and their types as text."""
    return {name: str(field.type) for name, field in kind.fields.items()}


def connections(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    return (
        each for each in outputs(schema) if isinstance(each, GraphQLObjectType) and each.name.endswith("Connection")
    )


def paged(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLField]]:
    """Every field that gives a connection: its path, the name of what is listed, and the field."""
    for path, _, field in fields(schema):
        name = get_named_type(field.type).name
        if name.endswith("Connection"):
            yield path, name.removesuffix("Connection"), field


def connections_have_one_shape(schema: GraphQLSchema) -> Iterator[str]:
    for kind in connections(schema):
        item = kind.name.removesuffix("Connection")
        expected = {
            "edges": f"[{item}Edge!]!", "nodes": f"[{item}!]!", "pageInfo": "PageInfo!", "totalCount": "Int",
            "isTotalCountExact": "Boolean",
        }  # fmt: skip
        if shape(kind) != expected:
            yield kind.name
        edge = schema.type_map.get(f"{item}Edge")
        if edge is None or shape(edge) != {"cursor": "String!", "node": f"{item}!"}:
            yield f"{item}Edge"
    page = schema.type_map.get("PageInfo")
    if page is None or shape(page) != PAGE_INFO:
        yield "PageInfo"


def lists_are_paged_alike(schema: GraphQLSchema) -> Iterator[str]:
    for path, _, field in paged(schema):
        arguments = {name: str(one.type) for name, one in field.args.items()}
        others = arguments.keys() - PAGE_ARGUMENTS.keys() - BESIDE_PAGES
        defaults = [one for one in field.args.values() if one.ast_node is not None and one.ast_node.default_value]
        is_paged = isinstance(field.type, GraphQLNonNull) and arguments.items() >= PAGE_ARGUMENTS.items()
        if not is_paged or others or defaults:
            yield path


def what_grows_is_paged(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, field in fields(schema):
        owner = path.partition(".")[0]
        kind = get_named_type(field.type)
        is_list = "[" in str(field.type)
        if is_list and implements_node(kind) and not (owner.endswith("Connection") and name == "nodes"):
            yield path
        if is_list and kind.name.endswith("Edge") and not (owner.endswith("Connection") and name == "edges"):
            yield path


def lists_say_their_order(schema: GraphQLSchema) -> Iterator[str]:
    for path, _, field in paged(schema):
        if "Without orderBy:" not in (field.description or ""):
            yield path


def lists_are_ordered_alike(schema: GraphQLSchema) -> Iterator[str]:
    for path, item, field in paged(schema):
        if "orderBy" not in field.args:
            continue
        order = schema.type_map.get(f"{item}Order")
        expected = {"field": f"{item}OrderField!", "direction": "OrderDirection!"}
        if str(field.args["orderBy"].type) != f"[{item}Order!]" or order is None or shape(order) != expected:
            yield path
    direction = schema.type_map.get("OrderDirection")
    if not isinstance(direction, GraphQLEnumType) or set(direction.values) != {"ASC", "DESC"}:
        yield "OrderDirection"


def lists_are_filtered_by_their_own(schema: GraphQLSchema) -> Iterator[str]:
    for path, item, field in paged(schema):
        if "filter" in field.args and str(field.args["filter"].type) != f"{item}Filter":
            yield path
        if "query" in field.args and str(field.args["query"].type) != "String":
            yield path


def is_comparison(kind: GraphQLInputObjectType) -> bool:
    return kind.name.endswith("Filter") and not kind.fields.keys() & TREE


def filters_are_trees(schema: GraphQLSchema) -> Iterator[str]:
    for kind in inputs(schema):
        if not kind.name.endswith("Filter") or is_comparison(kind):
            continue
        found = shape(kind)
        expected = {"and": f"[{kind.name}!]", "or": f"[{kind.name}!]", "not": kind.name}
        if {name: found.get(name) for name in TREE} != expected or found.keys() == TREE:
            yield kind.name
        for name, field in kind.fields.items():
            inner = field.type
            is_filter = isinstance(inner, GraphQLInputObjectType) and inner.name.endswith("Filter")
            if name not in TREE and not is_filter:
                yield f"{kind.name}.{name}"


def comparisons_have_the_same_words(schema: GraphQLSchema) -> Iterator[str]:
    for kind in inputs(schema):
        if not is_comparison(kind):
            continue
        found = shape(kind)
        if not ALWAYS_COMPARED <= found.keys() <= COMPARATORS:
            yield kind.name
            continue
        value = found["eq"]
        expected = dict.fromkeys(found, value) | {"in": f"[{value}!]", "nin": f"[{value}!]", "isNull": "Boolean"}
        if found != expected or value.endswith(("!", "]")):
            yield kind.name


def series_name_zone_and_granularity(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, field in fields(schema):
        if name.endswith("Series"):
            arguments = {each: str(one.type) for each, one in field.args.items()}
            if arguments.get("granularity") != "Granularity!" or "timeZone" not in arguments:
                yield path


# What an operation costs, before it runs.


def directive(field: GraphQLField, name: str) -> Mapping[str, Any] | None:
    """The arguments of a directive on a field; None when it has none of that name."""
    for each in () if field.ast_node is None else field.ast_node.directives or ():
        if each.name.value == name:
            return {one.name.value: value_from_ast_untyped(one.value) for one in each.arguments or ()}
    return None


def prices_are_numbers(schema: GraphQLSchema) -> Iterator[str]:
    for name, argument in (("cost", {"weight": "String!"}), ("listSize", None)):
        found = schema.get_directive(name)
        if found is None or (argument and {each: str(one.type) for each, one in found.args.items()} != argument):
            yield f"@{name}"
    for path, _, field in fields(schema):
        cost = directive(field, "cost")
        if cost is not None and not WEIGHT.match(str(cost.get("weight"))):
            yield path


def every_mutation_costs_ten(schema: GraphQLSchema) -> Iterator[str]:
    for name, field in schema.mutation_type.fields.items() if schema.mutation_type else ():
        cost = directive(field, "cost") or {}
        if int(cost.get("weight", 0)) < MUTATION_COST:
            yield f"Mutation.{name}"


def every_list_has_a_size(schema: GraphQLSchema) -> Iterator[str]:
    for path, _, field in paged(schema):
        size = directive(field, "listSize") or {}
        expected = {
            "assumedSize": PAGE_LENGTH, "requireOneSlicingArgument": False, "sizedFields": ["edges", "nodes"],
            "slicingArguments": ["first", "last"],
        }  # fmt: skip
        if size != expected:
            yield path
    for path, name, field in fields(schema):
        inner = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        inside_page = path.partition(".")[0].endswith("Connection") and name in ("edges", "nodes")
        if isinstance(inner, GraphQLList) and not is_leaf_type(get_named_type(inner)) and not inside_page:
            size = directive(field, "listSize")
            if size is None or not isinstance(size.get("assumedSize"), int):
                yield path


def sizes_name_what_there_is(schema: GraphQLSchema) -> Iterator[str]:
    for path, _, field in fields(schema):
        size, kind = directive(field, "listSize") or {}, get_named_type(field.type)
        there = kind.fields.keys() if isinstance(kind, Output) else set[str]()
        if set(size.get("slicingArguments", ())) - field.args.keys() or set(size.get("sizedFields", ())) - there:
            yield path


RULES: dict[str, Rule] = {
    "connections have one shape": connections_have_one_shape,
    "lists are paged by first, last, after and before": lists_are_paged_alike,
    "what grows is a connection": what_grows_is_paged,
    "a list says its order": lists_say_their_order,
    "orders are a field and a direction": lists_are_ordered_alike,
    "a list is filtered by the filter of its items": lists_are_filtered_by_their_own,
    "filters are trees of filters": filters_are_trees,
    "comparisons have the same words": comparisons_have_the_same_words,
    "a series names granularity and zone": series_name_zone_and_granularity,
    "prices are whole numbers": prices_are_numbers,
    "every mutation costs at least 10": every_mutation_costs_ten,
    "every list has a size": every_list_has_a_size,
    "a size names arguments and fields that there are": sizes_name_what_there_is,
}
