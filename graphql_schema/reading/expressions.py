# SPDX-License-Identifier: EUPL-1.2
"""The pieces of which `sql.py` builds statements: JSON values, predicates, and expressions of declarations, moved."""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    JSON,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Lateral,
    Subquery,
    Text,
    Uuid,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.visitors import replacement_traverse

from graphql_schema.reading.declarations import TENANT_COLUMN, Readable, Through, ToOne, through_expression
from graphql_schema.reading.plan import NotCompilable, Value
from graphql_schema.scalars import Printer, printer_of
from services.kernel.isolation import ACTOR

DIALECT = asyncpg.dialect()
BOUND_TENANT: ColumnElement[UUID] = literal_column("bound.tenant", Uuid())
IS_BOUND = BOUND_TENANT.is_not(None)
NOTHING = literal_column("'{}'::json", JSON)
NULL = literal_column("null::json", JSON)
NO_ITEMS = literal_column("'[]'::json", JSON)
ONE: ColumnElement[int] = literal_column("1", Integer())
TRUE, FALSE = literal_column("true", Boolean()), literal_column("false", Boolean())


def row_json(parts: Sequence[tuple[str, ColumnElement[Any]]], row: FromClause | None) -> ColumnElement[Any]:
    """An object, whose values may look at `row`, which an enclosing FROM holds."""
    if not parts:
        return NOTHING
    content = select(*(part.label(key) for key, part in parts)).correlate(*([] if row is None else [row])).subquery()
    return select(json_of(content)).scalar_subquery()


def json_of(rows: Subquery | Lateral) -> ColumnElement[Any]:
    return func.row_to_json(rows.table_valued(), type_=JSON)


def json_array(array: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.array_to_json(array), NO_ITEMS, type_=JSON)


def type_name(name: str) -> ColumnElement[str]:
    """The name of a type of ours."""
    return literal_column(f"'{name}'", Text)


def printed(value: Value, source: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value as text, number or truth value; a list as JSON."""
    if not value.is_list:
        return cast("Printer", printer_of(value.python_type)).in_sql(source)
    if not (value.python_type is str or issubclass(value.python_type, StrEnum)):
        raise NotCompilable("list_of_scalars")  # array_to_json has printers of its own
    return func.array_to_json(source, type_=JSON)


@cache
def reference(readable: Readable, number: int) -> tuple[FromClause, Sequence[ColumnElement[bool]]]:  # noqa: ARG001
    """The `number`th reference of a statement to a type's table, and the two predicates that each of them carries.

    Kept for all statements, by its number: a predicate is large, and moving it is most of the work of a reference.
    """
    alias = readable.source.alias()
    return alias, (alias.c[TENANT_COLUMN] == ACTOR.tenant, over(readable.visible, readable, alias))


def key_over(declared: ToOne, readable: Readable, row: FromClause) -> ColumnElement[Any]:
    if isinstance(declared.key, Through):
        return settled(through_expression(declared.key, row, row.c.id))
    return over(declared.key, readable, row)


def over(expression: ColumnElement[Any], readable: Readable, row: FromClause) -> ColumnElement[Any]:
    """An expression of a declaration, over a row that stands in this statement."""
    if isinstance(expression, Column) and expression.table is readable.source:
        return row.c[expression.key]

    def replace(element: Any, **_: Any) -> Any:
        is_own = isinstance(element, ColumnClause) and element.table is readable.source
        return row.c[cast("Any", element).key] if is_own else _settling(element)

    return replacement_traverse(expression, {}, replace)


def settled(expression: Any) -> Any:
    return replacement_traverse(expression, {}, lambda element, **_: _settling(element))


def _settling(element: Any) -> Any:
    """Inside what was declared the organization is the bound one, and constants are text.

    Subqueries of predicates are correlated to no row; by `bound.tenant` they cannot run before it either.
    """
    if not isinstance(element, BindParameter):
        return None
    if element.key == ACTOR.tenant.key:
        return BOUND_TENANT
    return None if element.required else _literal(element)


def _literal(constant: BindParameter[Any]) -> ColumnElement[Any]:
    print_one = constant.type.dialect_impl(DIALECT).literal_processor(DIALECT)
    if print_one is None:
        raise TypeError(f"A constant of {constant.type!r} has no literal; compare with a column or a literal_column().")
    if not constant.expanding:
        return literal_column(print_one(constant.value), constant.type)
    return literal_column(f"({', '.join(print_one(each) for each in constant.value or ())})", constant.type)
