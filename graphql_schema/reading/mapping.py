# SPDX-License-Identifier: EUPL-1.2
"""How a type of the schema is declared. This page is all that a contributor needs.

    @readable(C, tag="CV", visible=queries.CONVERSATION_IS_VISIBLE, permission=Permission.CONVERSATION_READ,
              filter_by=(C.state,), order_by=(C.opened_at,))
    class Conversation(Node):
        \"\"\"One exchange with a citizen.\"\"\"

        state: ConversationState = column(C.state, "Where it stands.")
        department: Department = to_one(C.department_id, "Who answers.")
        messages: Connection[Message] = connection(M.conversation_id, "What was said.", oldest_first=M.occurred_at)

One line per fact, over the model's own columns. The relation is the foreign key, so nobody writes a join or a tenant.
A type on its own says who may read it: `permission`, the act, without which an operation that selects the type is
refused before it runs; and `visible`, the rows, a predicate from the domain's `queries.py`.

    column        a value: a column, or an expression over columns (`never_null(…)` where it cannot be null)
    to_one        the row that a column names; `through(…)` where a link table lies between
    newest        the newest row that names this one
    connection    the list of rows that name this one; at the root, of all rows
    same_row      an object over columns of this row, null unless a condition holds
    read_back     the node of a payload or event, given `Conversation.of(id)`
    computed      at the root: the rows of a figure, a SELECT with arguments declared by `@figure`

What the type checker cannot see is checked when a class is made or when the schema is built (`checks.py`), and the
message names `module.Type.field` and the remedy.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from inspect import cleandoc
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast, dataclass_transform, overload

import strawberry
from sqlalchemy import ColumnElement, Subquery, Table, true
from sqlmodel import SQLModel
from strawberry.extensions import FieldExtension

from graphql_schema.nodes import TAG, Node
from graphql_schema.reading.annotations import object_definition
from graphql_schema.reading.declarations import (
    DECLARATION,
    REGISTRY,
    Argument,
    Computed,
    Declaration,
    DeclarationError,
    DefaultOrder,
    FigureCheck,
    Leaf,
    ListOf,
    Named,
    Newest,
    NodeById,
    NodesByIds,
    Readable,
    ReadBack,
    SameRow,
    SearchedBy,
    Through,
    ToOne,
    declaration_of,
    plain,
    plain_column,
    readable_by_tag,
)
from graphql_schema.reading.resolvers import (
    ReadsBack,
    ReadsFigure,
    ReadsList,
    ReadsNewest,
    ReadsNode,
    ReadsNodes,
    ReadsToOne,
)
from services.kernel.access import Permission
from services.kernel.isolation import UtcDateTime

T = TypeVar("T")
S = TypeVar("S")
C = TypeVar("C", bound=type)
E = TypeVar("E", bound=type[Enum])


class NeverNull(Generic[T]):
    """An expression of which its writer says that it is never null; see `never_null`."""

    def __init__(self, expression: ColumnElement[T]) -> None:
        self.expression = expression


def never_null(expression: ColumnElement[T]) -> NeverNull[T]:
    """Say that an expression is never null, so that its field may be non-null. A plain column knows it itself."""
    return NeverNull(expression)


@overload
def typed(kind: Callable[[T], S], source: ColumnElement[T]) -> ColumnElement[S]: ...
@overload
def typed(kind: Callable[[T], S], source: T) -> S: ...
@overload
def typed(kind: Callable[[T], S], source: T | None) -> S | None: ...
def typed(kind: Any, source: Any) -> Any:  # noqa: ARG001  the annotation decides, the kind tells the type checker
    """Show a column under a narrower type than the model states: `typed(Url, C.e_service_url)`."""
    return source


@overload
def column(source: NeverNull[T], description: str) -> T: ...
@overload
def column(source: ColumnElement[T], description: str) -> T | None: ...
@overload
def column(source: T, description: str) -> T: ...
def column(source: Any, description: str) -> Any:
    """A value of the row."""
    never = isinstance(source, NeverNull)
    expression = plain(source.expression if never else source)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    return _declared(Leaf(expression, never), description)


def to_one(key: Any, description: str) -> Any:
    """The row that `key` names by its foreign key. Null when the actor may not see that row."""
    declared = ToOne(key if isinstance(key, Through) else plain_column(key, "The key of to_one()"))
    return _declared(declared, description, ReadsToOne(declared))


def through(key: Any, target: Any, *, where: Any = None) -> Through:
    """A key in a link table: the `target` of the link row whose `key` names this row. At most one satisfies `where`."""
    own = plain_column(key, "The key of through()")
    return Through(own, plain_column(target, "The target of through()"), true() if where is None else plain(where))


def newest(key: Any, description: str, *, by: Any) -> Any:
    """Of the visible rows that name this one by `key`, the one with the greatest `by`."""
    declared = Newest(plain_column(key, "The key of newest()"), plain_column(by, "The `by` of newest()"))
    return _declared(declared, description, ReadsNewest(declared))


def connection(
    key: Any = None,
    description: str = "",
    *,
    oldest_first: Any = None,
    newest_first: Any = None,
    ordered_by: Any = None,
    searched_by: SearchedBy | None = None,
) -> Any:
    """The visible rows that name this one by `key`; without a key, all visible rows of the type.

    One of the three says in which order they come unless the caller asks for another: `oldest_first` and `ordered_by`
    ascending, `newest_first` descending. `searched_by` offers `query`, the words that somebody looks for.
    """
    given = [each for each in (oldest_first, newest_first, ordered_by) if each is not None]
    if len(given) != 1:
        raise DeclarationError("connection() takes exactly one of oldest_first, newest_first and ordered_by.")
    order = DefaultOrder(plain_column(given[0], "The order of connection()"), newest_first is not None)
    declared = ListOf(None if key is None else plain_column(key, "The key of connection()"), order, searched_by)
    return _declared(declared, description, ReadsList(declared, description))


def same_row(description: str, *, when: ColumnElement[bool] | bool) -> Any:
    """An object over columns of this row: its type is `@readable` over the same model. Null unless `when` holds."""
    return _declared(SameRow(plain(when)), description)


def read_back(description: str) -> Any:
    """The node of a payload or event, given as a reference: `Conversation.of(id)`. It is read when it is answered."""
    return _declared(ReadBack(), description, ReadsBack())


def computed(description: str, *, without: tuple[str, ...] = ()) -> Any:
    """The rows of a figure: the annotation is a `@figure` type, nullable, or a list of it.

    `without` names arguments of the figure that this field does not offer; they stay null.
    """
    return _declared(Computed(without), description, ReadsFigure(without))


def node(description: str) -> Any:
    """The root field that finds a row of any type by its global id."""
    return _declared(NodeById(), description, ReadsNode())


def nodes(description: str) -> Any:
    """The root field that finds several, in the order asked."""
    return _declared(NodesByIds(), description, ReadsNodes())


def named(source: Any, name: str, description: str | None = None) -> Named:
    """Offer a column for filtering or ordering under another name than its own."""
    return Named(plain_column(source, f"'{name}'"), name, description)


@dataclass_transform(kw_only_default=True, field_specifiers=(column, to_one, newest, connection, same_row))
def readable(
    model: type[SQLModel],
    *,
    visible: ColumnElement[bool],
    permission: Permission,
    tag: str | None = None,
    filter_by: tuple[Any, ...] = (),
    order_by: tuple[Any, ...] = (),
) -> Callable[[C], C]:
    """Make a class a type of the schema whose rows are those of a model.

    `tag` is two capital letters, the beginning of the type's global ids; every `Node` has one, for good. `filter_by`
    and `order_by` are columns that an index serves. An instant to order by is one to filter by too.
    """

    def declare(cls: C) -> C:
        _check_tag(cls, tag)
        made = _type_of_the_schema(cls)
        REGISTRY[made] = Readable(
            python_type=made,
            source=cast("Table", cast("Any", model).__table__),
            model=model,
            visible=plain(visible),
            permission=permission,
            tag=tag,
            filters=_filters(filter_by, order_by),
            orders=tuple(_offered(each) for each in order_by),
        )
        return made

    return declare


@dataclass_transform(kw_only_default=True, field_specifiers=(column,))
def figure(
    source: Subquery,
    *,
    permission: Permission,
    arguments: Mapping[str, Argument] | None = None,
    ordered_by: ColumnElement[Any] | None = None,
    check: FigureCheck | None = None,
) -> Callable[[C], C]:
    """Make a class a type of the schema whose rows are those of a SELECT, `workload.queries.MIX.subquery()`.

    The SELECT takes the parameters of `ACTOR` and `argument_<name>` for every argument, and carries tenant and
    visibility itself. It is one row or a short list, without ids, in the ascending order of `ordered_by`.
    """

    def declare(cls: C) -> C:
        made = _type_of_the_schema(cls)
        taken = MappingProxyType(dict(arguments or {}))
        REGISTRY[made] = Readable(
            made, source, None, true(), permission, arguments=taken, ordered_by=ordered_by, check=check
        )
        return made

    return declare


def vocabulary(words: E, description: str, name: str | None = None, **meanings: str) -> E:
    """Make a closed set of words an enum of the schema. `meanings` says of every word what it means."""
    where = f"{words.__module__}.{words.__name__}"
    missing, unknown = set(words.__members__) - set(meanings), set(meanings) - set(words.__members__)
    if missing or unknown:
        wrong = sorted(missing | unknown)
        raise DeclarationError(f"{where}: say in vocabulary() what each word means; {wrong} do not match.")
    strawberry.enum(words, name=name, description=description)
    for value in cast("Any", words).__strawberry_definition__.values:
        value.description = meanings[value.name]
    return words


def _declared(declaration: Declaration, description: str, *extensions: FieldExtension) -> Any:
    return strawberry.field(description=description, metadata={DECLARATION: declaration}, extensions=list(extensions))


def _offered(each: Any) -> Named:
    if isinstance(each, Named):
        return each
    found = plain_column(each, "What a list is filtered or ordered by")
    return Named(found, found.name)


def _filters(filter_by: tuple[Any, ...], order_by: tuple[Any, ...]) -> tuple[Named, ...]:
    found = {each.column: each for each in map(_offered, filter_by)}
    instants = (each for each in map(_offered, order_by) if isinstance(each.column.type, UtcDateTime))
    return tuple((found | {each.column: each for each in instants if each.column not in found}).values())


def _check_tag(cls: type, tag: str | None) -> None:
    where = f"{cls.__module__}.{cls.__name__}"
    if issubclass(cls, Node) and (tag is None or not TAG.fullmatch(tag)):
        raise DeclarationError(f'{where}: a Node needs a tag of two capital letters; write @readable(…, tag="XY").')
    taken = readable_by_tag(tag) if tag is not None else None
    if taken is not None and taken.path != where:
        raise DeclarationError(f"{where}: the tag {tag} belongs to {taken.path}; choose another, once and for all.")


def _type_of_the_schema(cls: C) -> C:
    """Make the Strawberry type. Every field must be declared and described."""
    where = f"{cls.__module__}.{cls.__name__}"
    if not cls.__dict__.get("__doc__"):
        raise DeclarationError(f"{where}: write a docstring; it is the type's description in the schema.")
    made = strawberry.type(cls, description=cleandoc(cls.__doc__ or ""))
    definition = object_definition(made)
    for each in definition.fields if definition else ():
        if declaration_of(each) is None and each.origin is not Node:
            raise DeclarationError(
                f"{where}.{each.python_name}: not declared; write column(…), to_one(…), connection(…) or another "
                "function of graphql_schema.reading.mapping. A resolver of its own belongs on a root type."
            )
        if not (each.description or "").strip():
            raise DeclarationError(f"{where}.{each.python_name}: say in a sentence what it is, and in which unit.")
    return made
