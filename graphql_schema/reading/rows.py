# SPDX-License-Identifier: EUPL-1.2
"""Rows of a readable type for the ordinary executor: what is selected, under whose eyes, and how a row is handed on.

A row is a dict. Declared values lie under the field's Python name; columns that relations, orders and cursors need lie
under `_<column>`. Every table reference carries the tenant and the type's visibility predicate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from graphql_schema.nodes import encode_id
from graphql_schema.reading import conditions
from graphql_schema.reading.annotations import shape_of
from graphql_schema.reading.conditions import PageRequest
from graphql_schema.reading.declarations import (
    TENANT_COLUMN,
    Key,
    Leaf,
    Newest,
    Readable,
    SameRow,
    Through,
    ToOne,
    moved,
    readable_of,
    through_expression,
)
from graphql_schema.reading.filters import Path
from services.kernel.isolation import ACTOR

Row = dict[str, Any]

KEYS = bindparam("keys", type_=ARRAY(Uuid()))
"""The ids of a batch."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object over the same row: which labels belong to it, under which of its names."""

    field: str
    present: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """How rows of one type are selected. Made once per type."""

    readable: Readable
    alias: FromClause
    labels: tuple[str, ...]
    visible: Select[Any]
    conversions: tuple[tuple[str, Callable[[Any], Any]], ...]
    parts: tuple[Part, ...]

    def row(self, values: Sequence[Any]) -> Row:
        """One row from the values of `visible`, in its order."""
        row: Row = dict(zip(self.labels, values, strict=False))
        if self.readable.tag is not None:
            row["__typename"] = self.readable.name
            row["id"] = encode_id(self.readable.tag, row["_id"])
        for label, convert in self.conversions:
            if row[label] is not None:
                row[label] = convert(row[label])
        for part in self.parts:
            content = {name: row.pop(label) for label, name in part.labels}
            keys = {label: value for label, value in row.items() if label.startswith("_")}
            row[part.field] = {**keys, **content} if row.pop(part.present) else None
        return row

    def by_ids(self) -> Select[Any]:
        """The visible rows among those whose ids are the parameter `keys`."""
        return self.visible.where(self.alias.c.id == any_(KEYS))

    def page(self, request: PageRequest) -> Select[Any]:
        """One page and one row more, which tells whether the list goes on."""
        statement = self.visible.where(*self._matching(request), *conditions.between(request, self.alias, bind_value))
        order = conditions.ordering(request.order, self.alias, backward=request.backward)
        return statement.order_by(*order).limit(request.size + 1)

    def pages(self, key: Key, request: PageRequest) -> Select[Any]:
        """The same for each owner among the parameter `keys`: one statement, one index range per owner."""
        statement = self.per_owner(key, self.page(request))
        item = statement.selected_columns
        places = [(item[f"_{each.column.name}"], each.descending is not request.backward) for each in request.order]
        return statement.order_by(*(place.desc() if descending else place.asc() for place, descending in places))

    def newest(self, newest: Newest, key: Key) -> Select[Any]:
        """The newest row of each owner among the parameter `keys`."""
        by = moved(newest.by, self.readable.source, self.alias)
        return self.per_owner(key, self.visible.order_by(by.desc(), self.alias.c.id.desc()).limit(1))

    def per_owner(self, key: Key, statement: Select[Any]) -> Select[Any]:
        """The statement once for each owner among the parameter `keys`, with the owner's key as the last column."""
        owners = _owners()
        mine = moved(key.column, self.readable.source, self.alias) == owners.c.key
        each = statement.where(mine).correlate(owners).lateral("item")
        return select(*each.c, owners.c.key).select_from(owners.join(each, true()))

    def count(self, request: PageRequest, at_most: int) -> Select[Any]:
        """How many rows the whole list has, counted up to a bound."""
        return select(func.count()).select_from(self._counted(request, at_most).subquery())

    def counts(self, key: Key, request: PageRequest, at_most: int) -> Select[Any, int]:
        """The same for each owner among the parameter `keys`: owner, number."""
        owners = _owners()
        mine = moved(key.column, self.readable.source, self.alias) == owners.c.key
        rows = self._counted(request, at_most).where(mine).correlate(owners).lateral("item")
        counted = select(owners.c.key, func.count(rows.c.one))
        return counted.select_from(owners.outerjoin(rows, true())).group_by(owners.c.key)

    def _counted(self, request: PageRequest, at_most: int) -> Select[Any]:
        return self.visible.where(*self._matching(request)).with_only_columns(ONE).limit(at_most)

    def _matching(self, request: PageRequest) -> list[ColumnElement[bool]]:
        source = self.readable.source
        return conditions.matching(
            self.readable, request, self.alias, bind_value, lambda each: moved(each, source, self.alias)
        )


ONE = literal_column("1", Integer).label("one")


def _owners() -> TableValuedAlias:
    return func.unnest(KEYS).table_valued(column("key", Uuid()), name="owner").render_derived(name="owner")


def bind_value(_path: Path, value: Any, kind: Any) -> ColumnElement[Any]:
    """The ordinary executor's binding: the value itself, as a parameter."""
    return bindparam(None, value, type_=kind)


@cache
def frame_of(readable: Readable) -> Frame:
    """The frame of a type with an id. Every module of the schema must have been imported."""
    alias = readable.source.alias()
    columns = dict(_keys(readable, alias))
    parts: list[Part] = []
    conversions: dict[str, Callable[[Any], Any]] = dict(conversions_of(readable))
    for graphql_field, declared in readable.declared():
        name = graphql_field.python_name
        if isinstance(declared, Leaf):
            columns[name] = moved(declared.source, readable.source, alias)
        elif isinstance(declared, SameRow):
            target = readable_of(shape_of(graphql_field).of)
            prefix = f"{name}__"
            columns |= dict(_keys(target, alias))
            labels = {f"{prefix}{leaf}": (leaf, source) for leaf, source in _leaves(target)}
            columns |= {label: moved(source, readable.source, alias) for label, (_, source) in labels.items()}
            columns[f"{prefix}present"] = moved(declared.when, readable.source, alias)
            conversions |= dict(conversions_of(target, prefix))
            parts.append(Part(name, f"{prefix}present", tuple((label, leaf) for label, (leaf, _) in labels.items())))
    visible = select(*(expression.label(label) for label, expression in columns.items())).where(
        alias.c[TENANT_COLUMN] == ACTOR.tenant, moved(readable.visible, readable.source, alias)
    )
    return Frame(readable, alias, tuple(columns), visible, tuple(conversions.items()), tuple(parts))


def _leaves(readable: Readable) -> Iterator[tuple[str, ColumnElement[Any]]]:
    for graphql_field, declared in readable.declared():
        if isinstance(declared, Leaf):
            yield graphql_field.python_name, declared.source


def _keys(readable: Readable, alias: FromClause) -> Iterator[tuple[str, ColumnElement[Any]]]:
    """The columns that relations, orders and cursors need, under `_<column>`."""
    yield "_id", alias.c.id
    for each in readable.orders:
        yield f"_{each.column.name}", moved(each.column, readable.source, alias)
    for graphql_field, declared in readable.declared():
        if isinstance(declared, ToOne):
            key, label = declared.key, key_label(graphql_field.python_name, declared)
            if isinstance(key, Through):
                yield label, through_expression(key, alias, alias.c.id)
            else:
                yield label, moved(key, readable.source, alias)


def key_label(field: str, declared: ToOne) -> str:
    """Where a row keeps the key of a relation."""
    return f"_{field}" if isinstance(declared.key, Through) else f"_{declared.key.name}"


def conversions_of(readable: Readable, prefix: str = "") -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """What must become of a value after it was read: a rank is stored as a number."""
    for graphql_field, declared in readable.declared():
        python_type = shape_of(graphql_field).of
        if isinstance(declared, Leaf) and isinstance(python_type, type) and issubclass(python_type, IntEnum):
            yield f"{prefix}{graphql_field.python_name}", python_type
