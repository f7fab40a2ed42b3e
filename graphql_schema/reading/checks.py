# SPDX-License-Identifier: EUPL-1.2
"""Checks of declarations that need the whole schema: types, nullability, keys, printers, orders.

`check_schema` runs once, when the schema has been built. What it finds is a contributor's mistake; each message names
`module.Type.field`, says what is wrong, and how to repair it.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum, StrEnum
from typing import Any, get_args, get_origin

from graphql import GraphQLObjectType
from sqlalchemy import BigInteger, BindParameter, Column, Select, TypeDecorator, select, true
from sqlalchemy.sql.visitors import iterate
from strawberry import Schema
from strawberry.types.field import StrawberryField

from graphql_schema.reading.annotations import Shape, core_schema, definition_of, shape_of
from graphql_schema.reading.declarations import (
    ARGUMENT,
    Computed,
    Declaration,
    DeclarationError,
    Leaf,
    ListOf,
    Newest,
    Readable,
    ReadBack,
    SameRow,
    Through,
    ToOne,
    declaration_of,
    key_of,
    readable_behind,
    readable_of,
    readable_over,
)
from graphql_schema.reading.inputs import describe, model_type, value_type
from graphql_schema.reading.positions import packing_of
from graphql_schema.scalars import printer_of
from services.kernel.isolation import TextEnum


def check_schema(schema: Schema) -> None:
    """Raise DeclarationError with one line for every mistake in the declarations that the schema uses."""
    found: list[str] = []
    for kind in core_schema(schema).type_map.values():
        owner = readable_behind(kind)
        if owner is not None:
            found += [f"{owner.path}: {mistake}" for mistake in _of_type(owner)]
        for each in kind.fields.values() if isinstance(kind, GraphQLObjectType) else ():
            graphql_field = definition_of(each)
            declared = declaration_of(graphql_field) if graphql_field is not None else None
            if graphql_field is not None and declared is not None:
                found += [f"{_path(graphql_field)}: {mistake}" for mistake in _of_field(owner, graphql_field, declared)]
    if found:
        raise DeclarationError("\n".join(sorted(set(found))))


def _path(graphql_field: StrawberryField) -> str:
    origin: Any = graphql_field.origin
    return f"{origin.__module__}.{origin.__name__}.{graphql_field.python_name}"


def _of_type(readable: Readable) -> Iterator[str]:
    for each in (*readable.filters, *readable.orders):
        if each.column.table is not readable.source:
            yield f"'{each.name}' is a column of {each.column.table.name}; offer those of {readable.source.name} only."
        try:
            describe(readable, each)
        except DeclarationError as error:
            yield str(error).removeprefix(f"{readable.path}: ")
    yield from _of_filters(readable)
    if not readable.is_figure:
        yield from _of_sources("its predicate", readable, select(true()).where(readable.visible))
    for each in readable.orders:
        if each.column.nullable:
            yield f"'{each.name}' may be null, and a cursor cannot pass over nulls; order by what is never null."
        if packing_of(each.column.type) is None:
            yield f"'{each.name}' cannot be a key of an order: positions.py has no packing for {each.column.type!r}."
    if readable.is_figure:
        yield from _of_arguments(readable)


def _of_filters(readable: Readable) -> Iterator[str]:
    for each in readable.filters:
        key = key_of(each.column)
        if key is not None and readable_over(key.target.table) is None:
            yield f"'{each.name}' names rows of {key.target.table.name}, which no type with an id shows; declare one."
        elif key is None and each.column.name != "id" and printer_of(value_type(readable, each)) is None:
            yield f"'{each.name}' has a type without a printer; see scalars.py."


def _of_sources(what: str, readable: Readable, statement: Select[Any]) -> Iterator[str]:
    """A column of another table, outside a subquery, would join every row with every row of that table."""
    for other in statement.select_from(readable.source).get_final_froms():
        if other is not readable.source:
            yield f"{what} reads {other}; write it over {readable.source}, and what lies elsewhere as a subquery."


def _of_arguments(readable: Readable) -> Iterator[str]:
    taken = {each.key for each in iterate(readable.source) if isinstance(each, BindParameter)}
    taken = {key.removeprefix(ARGUMENT) for key in taken if key.startswith(ARGUMENT)}
    if taken != set(readable.arguments):
        yield f"its SELECT takes {sorted(taken)} and its arguments are {sorted(readable.arguments)}; make them agree."


def _of_field(owner: Readable | None, graphql_field: StrawberryField, declared: Declaration) -> Iterator[str]:
    check, shape = CHECKS.get(type(declared)), shape_of(graphql_field)
    if owner is None and isinstance(declared, Leaf | ToOne | Newest | SameRow):
        yield "only a type made with @readable or @figure has such fields."
    elif check is not None:
        yield from check(owner, shape, declared)


def _of_newest(owner: Readable, shape: Shape, declared: Newest) -> Iterator[str]:
    yield from _of_reverse(owner, shape, declared.key)
    if not shape.is_nullable:
        yield f"there may be no such row; write `{shape.written} | None`."
    if all(each.column is not declared.by for each in readable_of(shape.of).orders):
        yield f"`by` must be among the order_by of {shape.of.__name__}."


def _of_same_row(owner: Readable, shape: Shape, declared: SameRow) -> Iterator[str]:
    target = readable_of(shape.of)
    yield from _of_sources("its condition", owner, select(true()).where(declared.when))
    if target.source is not owner.source or target.tag is not None:
        yield f"{target.name} must be @readable over {owner.source.name}, without a tag, to show the same row."
    if not shape.is_nullable:
        yield f"it is null where its condition does not hold; write `{shape.written} | None`."


def _of_read_back(_owner: Readable | None, shape: Shape, _declared: ReadBack) -> Iterator[str]:
    if not shape.is_nullable or readable_of(shape.of).tag is None:
        yield f"a read_back() is a Node that the actor may have lost from view; write `{shape.of.__name__} | None`."


def _of_computed(_owner: Readable | None, shape: Shape, _declared: Computed) -> Iterator[str]:
    if not readable_of(shape.of).is_figure or not (shape.is_nullable or shape.is_list):
        name = shape.of.__name__
        yield f"computed() is for @figure types; write `{name} | None` or `list[{name}]`."


def _of_leaf(owner: Readable, shape: Shape, declared: Leaf) -> Iterator[str]:
    source, shown = declared.source, shape.of
    if printer_of(shown) is None:
        yield f"{shape.written} has no printer, so two executors could differ; see scalars.py (Float is never shown)."
        return
    if isinstance(source, Column) and not owner.is_figure:
        if source.table is not owner.source:
            yield f"{source} is not a column of {owner.source.name}; use a relation."
            return
        stored, may_be_null = model_type(owner, source), bool(source.nullable)
    else:
        stored, may_be_null = _type_of_expression(source), not declared.is_never_null
        yield from _of_sources("it", owner, select(source))
    if shape.is_list:
        stored = next(iter(get_args(stored)), None) if get_origin(stored) is list else None
    if not _fits(shown, stored):
        name = getattr(stored, "__name__", stored)
        yield f"it says {shape.written}, but {source} is {name}; change the annotation, or state the type_ of {source}."
    elif shown is int and isinstance(source.type, BigInteger):
        yield f"Int has 32 bits and {source} may have more; use BigInt, or cast({source}, Integer)."
    if may_be_null and not shape.is_nullable:
        yield f"{source} may be null; write `{shape.written} | None`, or never_null(…) around what never is."
    if isinstance(shown, type) and issubclass(shown, StrEnum) and any(each.name != each.value for each in shown):
        yield f"the names of {shown.__name__} differ from the stored words, and SQL prints those; make them equal."


def _type_of_expression(source: Any) -> Any:
    kind = source.type
    if isinstance(kind, TypeDecorator) and not isinstance(kind, TextEnum):
        kind = kind.impl_instance  # the decorator itself says `object`
    try:
        return kind.python_type
    except NotImplementedError:
        return None


def _fits(shown: Any, stored: Any) -> bool:
    stored_below = getattr(shown, "__supertype__", shown)
    is_rank = isinstance(shown, type) and issubclass(shown, IntEnum)
    return stored_below is stored or (is_rank and stored is int)


def _of_to_one(owner: Readable, shape: Shape, declared: ToOne) -> Iterator[str]:
    target, key = readable_of(shape.of), key_of(declared.target_key)
    if key is None:
        yield _no_key(declared.target_key)
        return
    if key.target.table is not target.source or target.tag is None:
        yield f"{declared.target_key} leads to {key.target.table.name}, which {target.name} does not show; change one."
    if isinstance(declared.key, Through):
        yield from _leads_to(owner, declared.key.key)
    elif declared.key.table is not owner.source:
        yield f"{declared.key} is not a column of {owner.source.name}."
    if not shape.is_nullable and isinstance(declared.key, Through):
        yield f"there may be no link row; write `{shape.written} | None`."
    elif not shape.is_nullable and declared.target_key.nullable:
        yield f"{declared.target_key} may be null; write `{shape.written} | None`."
    elif not shape.is_nullable and not target.everybody_sees_it:
        yield f"not everybody sees every {target.name}; write `{shape.written} | None`."


def _of_list(owner: Readable | None, shape: Shape, declared: ListOf) -> Iterator[str]:
    if not shape.is_connection:
        yield f"a list that grows has pages; write `Connection[{shape.of.__name__}]`."
    target, by = readable_of(shape.of), declared.order.column
    if by is not target.source.c.get("id") and all(each.column is not by for each in target.orders):
        yield f"{by} must be among the order_by of {target.name}, or be its id."
    if declared.key is not None:
        yield from _of_reverse(owner, shape, declared.key)


def _of_reverse(owner: Readable | None, shape: Shape, key: Column[Any]) -> Iterator[str]:
    target = readable_of(shape.of)
    if owner is None:
        yield "only a row can be named by a key; at the root write connection() without one."
    elif key.table is not target.source:
        yield f"{key} is not a column of {target.source.name}, which {target.name} shows."
    else:
        yield from _leads_to(owner, key)


def _no_key(column: Column[Any]) -> str:
    return f"{column} has no foreign key together with tenant_id; use a column made by tenant_reference()."


def _leads_to(owner: Readable, column: Column[Any]) -> Iterator[str]:
    key = key_of(column)
    if key is None:
        yield _no_key(column)
    elif key.target.table is not owner.source:
        yield f"{column} leads to {key.target.table.name}, not to {owner.source.name}, which {owner.name} shows."


CHECKS: Mapping[type, Callable[[Any, Shape, Any], Iterator[str]]] = {
    Leaf: _of_leaf,
    ToOne: _of_to_one,
    Newest: _of_newest,
    ListOf: _of_list,
    SameRow: _of_same_row,
    ReadBack: _of_read_back,
    Computed: _of_computed,
}
