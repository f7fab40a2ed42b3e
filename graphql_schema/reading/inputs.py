# SPDX-License-Identifier: EUPL-1.2
"""Filter and order inputs, made from what a type offers: `ConversationFilter`, `ConversationOrder`, and their parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import strawberry
from sqlalchemy import Column
from strawberry.types.enum import has_enum_definition
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.reading.annotations import object_definition, shape_of
from graphql_schema.reading.declarations import (
    DeclarationError,
    Leaf,
    Named,
    Readable,
    ToOne,
    key_of,
    readable_of,
)
from graphql_schema.scalars import BigInt
from services.kernel.access import Permission

FILTER_DEPTH_MAX = 3
LIST_LENGTH_MAX = 100
FILTER_SIZE_MAX = 100
"""Comparisons of a filter with all that is nested in it, and the objects that hold them."""
ORDER_FIELDS_MAX = 3

EQUALITY = ("eq", "neq", "in", "nin", "isNull")
RANGE = ("gt", "gte", "lt", "lte")
TEXT = ("contains", "startsWith")

DESCRIPTIONS = {
    "eq": "Equal to this.",
    "neq": "Different from this, or null.",
    "in": f"One of these, at most {LIST_LENGTH_MAX}; of an empty list, nothing.",
    "nin": f"None of these, at most {LIST_LENGTH_MAX}, or null.",
    "isNull": "True: without a value. False: with one.",
    "gt": "Greater, or later, than this.",
    "gte": "This, or greater or later.",
    "lt": "Smaller, or earlier, than this.",
    "lte": "This, or smaller or earlier.",
    "contains": "Contains this text, in this spelling.",
    "startsWith": "Begins with this text, in this spelling.",
}


@strawberry.enum(description="Which end of an order comes first.")
class OrderDirection(Enum):
    """Ascending: smallest, earliest, A first."""

    ASC = strawberry.enum_value("ASC", description="Smallest or earliest first.")
    DESC = strawberry.enum_value("DESC", description="Greatest or latest first.")


@cache
def value_type(readable: Readable, named: Named) -> Any:
    """What a filter's values are in Python; UUID stands for a global id."""
    column = named.column
    if key_of(column) is not None or column.name == "id":
        return UUID
    for graphql_field, declared in readable.declared():
        if isinstance(declared, Leaf) and declared.source is column:
            return shape_of(graphql_field).of
    return model_type(readable, column)


def model_type(readable: Readable, column: Column[Any]) -> Any:
    """The type that the model states for a column, without `| None`."""
    annotation = readable.model.model_fields[column.key].annotation if readable.model else None
    if get_origin(annotation) in (Union, UnionType):
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def comparators_of(python_type: Any) -> tuple[str, ...]:
    """Which comparisons a type of value allows."""
    if python_type is str:
        return EQUALITY + TEXT
    if python_type is bool:
        return ("eq", "isNull")
    is_rank = isinstance(python_type, type) and issubclass(python_type, IntEnum)
    if is_rank or python_type in (int, BigInt, Decimal, date, datetime, timedelta):
        return EQUALITY + RANGE
    return EQUALITY


def describe(readable: Readable, named: Named) -> str:
    """What a filter or order goes by: its own words, else those of the field over the same column."""
    if named.description is not None:
        return named.description
    for graphql_field, declared in readable.declared():
        is_over = isinstance(declared, Leaf) and declared.source is named.column
        if is_over or (isinstance(declared, ToOne) and declared.key is named.column):
            return graphql_field.description or ""
    raise DeclarationError(
        f"{readable.path}: '{named.name}' is offered for filtering or ordering, but no field shows its column; "
        f'write named({named.column.name}, "{named.name}", "what it is").'
    )


@dataclass(frozen=True, slots=True)
class Related:
    """A row beside the filtered one, which `key` names: what the field of the same name shows."""

    key: Column[Any]
    target: Readable
    field: str
    description: str


@cache
def related(readable: Readable) -> Mapping[str, Related]:
    """The relations that a filter may look along, by their names in the schema.

    Whoever may list the rows must be able to read what is compared: a filter tells what it compares. What every member
    sees is therefore offered only under a permission that the list needs too, or that everybody has.
    """
    found: dict[str, Related] = {}
    for graphql_field, declared in readable.declared():
        if not isinstance(declared, ToOne) or not isinstance(declared.key, Column):
            continue
        target, name = readable_of(shape_of(graphql_field).of), graphql_field.python_name
        is_readable = target.permission in (readable.permission, Permission.DIRECTORY_READ)
        if target.filters and (is_readable or not target.everybody_sees_it):
            found[to_camel_case(name)] = Related(declared.key, target, name, graphql_field.description or "")
    return MappingProxyType(found)


def filter_input(node_type: type) -> type:
    """The filter input of a type, for arguments written by hand: `ConversationFilter`."""
    return _filter_input(readable_of(node_type))


_filters: dict[Readable, type] = {}
"""The filter inputs made so far: types lead to one another in circles."""


def _filter_input(readable: Readable) -> type:
    if readable in _filters:
        return _filters[readable]
    name = f"{readable.name}Filter"
    fields: dict[str, Any] = {}
    for named in readable.filters:
        kind = comparison_input(value_type(readable, named))
        fields[named.name] = _input_field(kind | None, describe(readable, named), to_camel_case(named.name))
    for name_there, each in related(readable).items():
        described = f"{each.description} Must be there, be seen by the caller, and match; one relation away at most."
        fields[each.field] = _input_field(str | None, described, name_there)
    nested = f"Nested at most {FILTER_DEPTH_MAX} deep."
    fields["and_"] = _input_field(str | None, f"All of these must hold. {nested}", "and")
    fields["or_"] = _input_field(str | None, f"At least one of these must hold. {nested}", "or")
    fields["not_"] = _input_field(str | None, f"This must not hold. {nested}", "not")
    made = _filters[readable] = _input(
        name, f"Which {readable.name} rows. All that is given must hold; null means not asked.", fields
    )
    # The class can be named in fields, its own among them, only now that it exists.
    named_later: dict[str, Any] = {"and_": list[made] | None, "or_": list[made] | None, "not_": made | None}
    named_later |= {each.field: _filter_input(each.target) | None for each in related(readable).values()}
    definition = object_definition(made)
    for each in definition.fields if definition else ():
        if each.python_name in named_later:
            each.type = named_later[each.python_name]
    return made


@cache
def comparison_input(python_type: Any) -> type:
    """The comparisons that a type of value allows: `DateTimeFilter`, `IdFilter` (for UUID), `PriorityFilter`."""
    annotation = strawberry.ID if python_type is UUID else python_type
    name = "Id" if python_type is UUID else _graphql_name(python_type)
    fields: dict[str, Any] = {}
    for comparator in comparators_of(python_type):
        values = {"in": list[annotation], "nin": list[annotation], "isNull": bool}.get(comparator, annotation)
        python_name = {"in": "in_", "isNull": "is_null", "startsWith": "starts_with"}.get(comparator, comparator)
        fields[python_name] = _input_field(values | None, DESCRIPTIONS[comparator], comparator)
    return _input(f"{name}Filter", "Comparisons; all that are given must hold. None of them takes null.", fields)


def _graphql_name(python_type: Any) -> str:
    if has_enum_definition(python_type):
        return python_type.__strawberry_definition__.name
    names = {str: "Text", int: "Int", bool: "Boolean", datetime: "DateTime", date: "Date", timedelta: "Duration"}
    return names.get(python_type) or python_type.__name__


@cache
def order_input(readable: Readable) -> type:
    """The order input of a type: `ConversationOrder { field direction }`."""
    members = {each.name.upper(): each.name for each in readable.orders}
    fields: Any = Enum(f"{readable.name}OrderField", members)
    strawberry.enum(fields, description=f"What a list of {readable.name} rows can be ordered by.")
    described = {each.name: describe(readable, each) for each in readable.orders}
    for value in fields.__strawberry_definition__.values:
        value.description = described[value.value]
    return _input(
        f"{readable.name}Order",
        f"One key of an order of {readable.name} rows.",
        {
            "field": _input_field(fields, "What to order by.", "field", required=True),
            "direction": _input_field(OrderDirection, "Which end comes first.", "direction", required=True),
        },
    )


def _input_field(annotation: Any, description: str, name: str, *, required: bool = False) -> Any:
    options: dict[str, Any] = {} if required else {"default": strawberry.UNSET}
    return strawberry.field(name=name, description=description, graphql_type=annotation, **options)


def _input(name: str, description: str, fields: dict[str, Any]) -> type:
    return strawberry.input(type(name, (), {"__annotations__": {}, **fields}), description=description)


def as_tree(value: Any) -> Any:
    """An input object as plain data by GraphQL names, without what was left out; the same for both executors."""
    definition = object_definition(type(value))
    if definition is not None:
        given = {each.graphql_name: getattr(value, each.python_name) for each in definition.fields}
        return {name: as_tree(item) for name, item in given.items() if item is not strawberry.UNSET}
    return [as_tree(item) for item in value] if isinstance(value, list) else value
