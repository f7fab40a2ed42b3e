# SPDX-License-Identifier: EUPL-1.2
"""Filters: from an argument to a condition over a table. Both executors use this module.

What is asked of a related row stands for its existence: the row that a key names must be there, be seen by the actor,
and match. So a filter tells nobody anything of rows that they do not see.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    FromClause,
    all_,
    and_,
    any_,
    exists,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.types import TypeEngine
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.reading.bounds import flaw_of
from graphql_schema.reading.declarations import TENANT_COLUMN, Named, Readable, decode_id, key_of, moved, readable_over
from graphql_schema.reading.inputs import (
    FILTER_DEPTH_MAX,
    FILTER_SIZE_MAX,
    LIST_LENGTH_MAX,
    Related,
    related,
    value_type,
)
from services.kernel.errors import BadUserInput

IS_NULL = "isNull"
ROW = "row"
"""Marks what a filter asks of a related row; no comparator has this name."""

Path = tuple[str | int, ...]
Bind = Callable[[Path, Any, TypeEngine[Any]], ColumnElement[Any]]


def read_filter(
    readable: Readable, tree: Mapping[str, Any], depth: int = 0, *, is_beside: bool = False
) -> dict[str, Any]:
    """The filter with row ids in place of global ids, and what is asked of a related row under `ROW`.

    Raises BadUserInput for what the schema's types cannot refuse: nesting, long lists, nulls, relations of relations,
    and text that no row can hold. `is_beside`: it is asked of a related row.
    """
    if depth > FILTER_DEPTH_MAX:
        raise BadUserInput("A filter nests and, or, not at most {count} deep.", count=FILTER_DEPTH_MAX)
    if depth == 0 and _is_larger(tree, FILTER_SIZE_MAX):
        raise BadUserInput("A filter has at most {count} comparisons.", count=FILTER_SIZE_MAX)
    offered = {to_camel_case(each.name): each for each in readable.filters}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if value is None:
            continue
        if name in ("and", "or"):
            _check_length(value)
            found[name] = [read_filter(readable, each, depth + 1, is_beside=is_beside) for each in value]
        elif name == "not":
            found[name] = read_filter(readable, value, depth + 1, is_beside=is_beside)
        elif name in related(readable):
            if is_beside:
                raise BadUserInput("A filter looks at most one relation away.")
            found[name] = {ROW: read_filter(related(readable)[name].target, value, depth + 1, is_beside=True)}
        else:
            names_rows = value_type(readable, offered[name]) is UUID
            for comparator, operand in value.items():
                _check_operand(name, comparator, operand)
            found[name] = {
                comparator: _row_ids(readable, offered[name], operand)
                if names_rows and comparator != IS_NULL
                else operand
                for comparator, operand in value.items()
            }
    return found


def _is_larger(tree: Mapping[str, Any], most: int) -> bool:
    """Whether a filter holds more comparisons and objects. A statement grows with each: a thousand take seconds."""
    found, pending = 0, [tree]
    while pending and found <= most:
        node = pending.pop()
        for name, value in node.items():
            nested = value if name in ("and", "or") else [value] if name == "not" or _is_tree(value) else []
            pending += [each for each in nested or () if each is not None]
            found += 1 if nested else len(value or ())
        found += 1
    return found > most


def _is_tree(value: Any) -> bool:
    """Whether something that is asked of a field is asked of a related row: comparisons hold values only."""
    return isinstance(value, Mapping) and any(
        isinstance(each, Mapping) or name in ("and", "or", "not")
        for name, each in cast("Mapping[str, Any]", value).items()
    )


def filter_shape(tree: Mapping[str, Any]) -> tuple[Any, ...]:
    """Everything on which the text of a filter's condition depends, and no value."""
    shapes: list[Any] = []
    for name, value in tree.items():
        if name in ("and", "or"):
            shapes.append((name, tuple(filter_shape(each) for each in value)))
        elif name == "not":
            shapes.append((name, filter_shape(value)))
        elif ROW in value:
            shapes.append((name, ROW, filter_shape(value[ROW])))
        else:
            shapes.append((name, tuple((each, value[each] if each == IS_NULL else None) for each in value)))
    return tuple(shapes)


def _check_length(values: Sequence[Any]) -> None:
    if len(values) > LIST_LENGTH_MAX:
        raise BadUserInput("A list in a filter has at most {count} items.", count=LIST_LENGTH_MAX)


def _check_operand(name: str, comparator: str, operand: Any) -> None:
    if operand is None:
        raise BadUserInput(
            "{argument} takes no null; leave it out, or use isNull.", argument=f"filter.{name}.{comparator}"
        )
    values = operand if isinstance(operand, list) else [operand]
    _check_length(values)
    for value in values:
        if isinstance(value, str) and (flaw := flaw_of(value)) is not None:
            raise BadUserInput(flaw)


def filter_condition(
    readable: Readable, tree: Mapping[str, Any], alias: FromClause, bind: Bind, path: Path = ("filter",)
) -> ColumnElement[bool]:
    """The condition of a filter. It is never null: what does not hold, its `not` does."""
    offered = {to_camel_case(each.name): each for each in readable.filters}
    found: list[ColumnElement[bool]] = []
    for name, value in tree.items():
        here = (*path, name)
        if name in ("and", "or"):
            parts = [filter_condition(readable, each, alias, bind, (*here, i)) for i, each in enumerate(value)]
            found.append(and_(true(), *parts) if name == "and" else or_(false(), *parts))
        elif name == "not":
            found.append(filter_condition(readable, value, alias, bind, here).is_not(true()))
        elif ROW in value:
            found.append(_has(related(readable)[name], value[ROW], alias, bind, (*here, ROW)))
        else:
            found += [_compare(offered[name], each, value[each], alias, bind, here) for each in value]
    return and_(true(), *found)


def _has(one: Related, tree: Mapping[str, Any], alias: FromClause, bind: Bind, path: Path) -> ColumnElement[bool]:
    """That there is a related row which the actor sees and for which a filter holds."""
    target = one.target
    other = target.source.alias()
    held = and_(
        other.c[TENANT_COLUMN] == alias.c[TENANT_COLUMN],
        other.c["id"] == column_at(alias, one.key),
        moved(target.visible, target.source, other),
        filter_condition(target, tree, other, bind, path),
    )
    return exists(select(other.c["id"]).where(held).correlate_except(other))


def _compare(
    named: Named, comparator: str, operand: Any, alias: FromClause, bind: Bind, path: Path
) -> ColumnElement[bool]:
    column = column_at(alias, named.column)
    if comparator == IS_NULL:
        return column.is_(None) if operand else column.is_not(None)
    here = (*path, comparator)
    if comparator == "in":
        return column == any_(bind(here, operand, ARRAY(column.type)))
    if comparator == "nin":
        return or_(column.is_(None), column != all_(bind(here, operand, ARRAY(column.type))))
    value = bind(here, operand, column.type)
    return COMPARISONS[comparator](column, value)


COMPARISONS: Mapping[str, Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column.is_distinct_from(value),
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "contains": lambda column, value: func.strpos(column, value) > 0,
    "startsWith": func.starts_with,
}

NOBODY = UUID(int=0)
"""The row id that no row has: what a malformed global id, or one of another type, stands for."""


def _row_ids(readable: Readable, named: Named, operand: Any) -> Any:
    key = key_of(named.column)
    target = readable_over(key.target.table) if key is not None else readable
    if isinstance(operand, list):
        return [_row_ids(readable, named, each) for each in operand]
    return (decode_id(operand, target.python_type) if target is not None else None) or NOBODY


def column_at(alias: FromClause, column: Column[Any]) -> ColumnElement[Any]:
    """A table's column as one of its aliases has it."""
    return cast("ColumnElement[Any]", alias.corresponding_column(column))
