# SPDX-License-Identifier: EUPL-1.2
"""What a declaration holds: frozen facts over a table's own columns, and the registry that finds them by type.

Nothing here reads a row. The ordinary executor and the compiled one are both made from these facts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from graphql import GraphQLNamedType
from sqlalchemy import Column, ColumnElement, FromClause, Subquery, Table, and_, exists, select
from sqlalchemy.sql.elements import ColumnClause, True_
from sqlalchemy.sql.visitors import iterate, replacement_traverse
from sqlalchemy.util import immutabledict
from sqlmodel import SQLModel
from strawberry.types.field import StrawberryField

from graphql_schema.nodes import decode_id as decode_any_id
from graphql_schema.nodes import encode_id as encode_any_id
from graphql_schema.reading.annotations import BACK_REFERENCE, object_definition
from services.kernel.access import Permission
from services.kernel.isolation import ACTOR

DECLARATION = "belfry.declaration"
"""Where a field's metadata keeps its declaration."""

TENANT_COLUMN = "tenant_id"

ARGUMENT = "argument_"
"""How the parameters of a figure's SELECT begin."""

E = TypeVar("E", bound=ColumnElement[Any])


class DeclarationError(TypeError):
    """A declaration that cannot hold. The message names `module.Type.field`, what is wrong, and the remedy."""


# What a field may be.


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of the row: a column, or an expression over the row's columns."""

    source: ColumnElement[Any]
    is_never_null: bool


@dataclass(frozen=True, slots=True)
class Through:
    """A key found in a link table: the `target` of the link row that names this row by `key` and satisfies `where`."""

    key: Column[Any]
    target: Column[Any]
    where: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class ToOne:
    """The row that a column names; the join is the column's foreign key."""

    key: Column[Any] | Through

    @property
    def target_key(self) -> Column[Any]:
        """The column whose foreign key leads to the target."""
        return self.key.target if isinstance(self.key, Through) else self.key


@dataclass(frozen=True, slots=True)
class SameRow:
    """An object over columns of this same row; null unless `when` holds."""

    when: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Newest:
    """Of the rows that name this one by `key`, the one with the greatest `by`."""

    key: Column[Any]
    by: Column[Any]


@dataclass(frozen=True, slots=True)
class DefaultOrder:
    """In which order a list comes when nothing is asked; the id follows, in the same direction."""

    column: Column[Any]
    descending: bool


SearchedBy = Callable[[ColumnElement[str]], ColumnElement[bool]]
"""From the words that somebody looks for to a condition over the type's rows."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """All rows that name this one by `key`; without a key, all rows of the type."""

    key: Column[Any] | None
    order: DefaultOrder
    searched_by: SearchedBy | None = None


@dataclass(frozen=True, slots=True)
class NodeById:
    """The row of any type that a global id names."""


@dataclass(frozen=True, slots=True)
class NodesByIds:
    """The rows of any type that global ids name, in the order asked."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The row that a payload's or event's reference names, read when it is answered."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The rows of a figure: a SELECT with named arguments. Those in `without` are not offered here and stay null."""

    without: tuple[str, ...] = ()


Declaration = Leaf | ToOne | SameRow | Newest | ListOf | NodeById | NodesByIds | ReadBack | Computed


# What a type may be.


@dataclass(frozen=True, slots=True)
class Named:
    """A column offered for filtering or ordering, under its name in the schema (Python spelling)."""

    column: Column[Any]
    name: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a figure: the bind parameter `argument_<name>`. `node` is the type whose global id it takes."""

    python_type: Any
    description: str
    is_required: bool = False
    node: type | None = None


FigureCheck = Callable[[Mapping[str, Any], datetime], None]
"""Refuses arguments of a figure, by their Python names, that would take too much at an instant. Raises BadUserInput."""


@dataclass(frozen=True, eq=False)
class Readable:
    """A type whose rows can be read: where they are, who may see them, and how lists of them are asked."""

    python_type: type
    source: Table | Subquery
    model: type[SQLModel] | None
    visible: ColumnElement[bool]
    permission: Permission
    tag: str | None = None
    filters: tuple[Named, ...] = ()
    orders: tuple[Named, ...] = ()
    arguments: Mapping[str, Argument] = field(default_factory=lambda: MappingProxyType({}))
    ordered_by: ColumnElement[Any] | None = None
    check: FigureCheck | None = None

    @property
    def name(self) -> str:
        """The type's name in the schema."""
        return self.python_type.__name__

    @property
    def path(self) -> str:
        return f"{self.python_type.__module__}.{self.name}"

    @property
    def is_figure(self) -> bool:
        return self.model is None

    @property
    def everybody_sees_it(self) -> bool:
        """Whether every member of the organization sees every row."""
        return isinstance(self.visible, True_)

    def declared(self) -> Iterator[tuple[StrawberryField, Declaration]]:
        """The fields with their declarations, except the id."""
        definition = object_definition(self.python_type)
        for each in definition.fields if definition else ():
            found = declaration_of(each)
            if found is not None:
                yield each, found


REGISTRY: dict[type, Readable] = {}
"""Every readable type of the process, by class."""


def readable_of(python_type: Any) -> Readable:
    """The declaration of a type. Raises DeclarationError when it has none."""
    found = REGISTRY.get(python_type)
    if found is None:
        name = getattr(python_type, "__name__", python_type)
        raise DeclarationError(f"{name} is not a readable type: decorate it with @readable or @figure.")
    return found


def readable_behind(kind: GraphQLNamedType) -> Readable | None:
    """The declaration that a type of the schema was made from; None for types that are no rows."""
    return REGISTRY.get(getattr(kind.extensions.get(BACK_REFERENCE), "origin", None))  # pyright: ignore[reportArgumentType]


def readable_over(table: FromClause) -> Readable | None:
    """The type with an id that shows a table's rows."""
    return next((each for each in REGISTRY.values() if each.source is table and each.tag is not None), None)


def readable_by_tag(tag: str) -> Readable | None:
    """The type whose global ids carry a tag."""
    return next((each for each in REGISTRY.values() if each.tag == tag), None)


def declaration_of(graphql_field: StrawberryField) -> Declaration | None:
    return graphql_field.metadata.get(DECLARATION)


def encode_id(node_type: type, row_id: UUID) -> str:
    """The global id of a row of a type."""
    return encode_any_id(cast("str", readable_of(node_type).tag), row_id)


def decode_id(text: str, expected_type: type) -> UUID | None:
    """The row's id behind a global id, for inputs. None for malformed texts and ids of other types."""
    found = decode_any_id(text)
    return found[1] if found is not None and found[0] == readable_of(expected_type).tag else None


# Expressions: written over the model's columns, read over a table's columns, moved to any alias.


def plain(expression: Any) -> ColumnElement[Any]:
    """The expression over plain table columns: the ORM's annotations would pull its compiler into every statement."""
    as_element = getattr(expression, "__clause_element__", None)
    element: ColumnElement[Any] = expression if as_element is None else as_element()

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, ColumnClause) and isinstance(element.table, Table):
            return SQLModel.metadata.tables[element.table.fullname].c[element.key]
        return None

    found = replacement_traverse(element, {}, replace)
    for each in iterate(found):
        if getattr(each, ORM_MARK, None):
            setattr(each, ORM_MARK, NO_MARK)
    return found


ORM_MARK, NO_MARK = "_propagate_attrs", immutabledict[str, Any]()
"""What makes an ORM statement of every statement that such an expression enters. No public name; a test guards it."""


def plain_column(source: Any, what: str) -> Column[Any]:
    """A column of a table. Raises DeclarationError for anything else."""
    found = plain(source) if source is not None else None
    if not isinstance(found, Column):
        raise DeclarationError(f"{what} must be a column of a model, not {found!r}.")
    return found


def moved(expression: E, source: FromClause, alias: FromClause) -> E:
    """The expression with every column of `source` replaced by the same column of one of its aliases.

    That holds in subqueries too: one that needs other rows of the same table must name an alias of its own.
    """

    def replace(element: Any, **_: Any) -> Any:
        is_own = isinstance(element, ColumnClause) and element.table is source
        return alias.corresponding_column(element) if is_own else None

    return replacement_traverse(expression, {}, replace)


# Keys: the relation is the foreign key.


@dataclass(frozen=True, slots=True)
class Key:
    """A composite foreign key without its tenant half: `column` of one table names `target` of another."""

    column: Column[Any]
    target: Column[Any]


def key_of(column: Column[Any]) -> Key | None:
    """The composite foreign key that a column belongs to; None when it has none, or one that lacks the tenant."""
    for constraint in column.table.foreign_key_constraints:
        pairs = {each.parent.name: each for each in constraint.elements}
        if column.name in pairs and TENANT_COLUMN in pairs and len(pairs) == 2:
            return Key(column, pairs[column.name].column)
    return None


def seen_with(column: Any, visible: ColumnElement[bool]) -> ColumnElement[bool]:
    """The predicate of what hangs on another row: visible exactly when that row is.

    `column` names the other row by its foreign key; `visible` is the other row's predicate.
    """
    own = plain_column(column, "The key of seen_with()")
    key = key_of(own)
    if key is None:
        raise DeclarationError(f"{own} has no foreign key together with {TENANT_COLUMN}.")
    other = key.target.table
    # Where the other row's predicate looks into this table too, it means rows of its own and not this one.
    predicate = moved(plain(visible), own.table, own.table.alias())
    held = and_(other.c[TENANT_COLUMN] == own.table.c[TENANT_COLUMN], key.target == own, predicate)
    return exists(select(key.target).where(held).correlate_except(other))


def through_expression(key: Through, owner: FromClause, owner_key: ColumnElement[Any]) -> ColumnElement[Any]:
    """The scalar subquery that finds a key in a link table, for rows of `owner`."""
    link = key.key.table.alias()
    held = and_(
        link.c[TENANT_COLUMN] == ACTOR.tenant,
        moved(key.key, key.key.table, link) == owner_key,
        moved(key.where, key.key.table, link),
    )
    return select(moved(key.target, key.key.table, link)).where(held).correlate(owner).scalar_subquery()
