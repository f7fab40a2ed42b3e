# SPDX-License-Identifier: EUPL-1.2
"""Page, order and cursor: from arguments to conditions over a table, for both executors. Filters are in `filters.py`.

Values reach SQL through a `Bind`, which says how the value at a path of a PageRequest becomes a parameter: the ordinary
executor binds the value itself, the compiled one a slot that is filled at every run by `PageRequest.at`. Requests of
one list with equal shapes have equal SQL.

A cursor is `1<signature>.<position>`. The signature binds it to the organization, the field, the order and the filter
and is made once per request; the position is untrusted: it can only move the start within rows the actor may see.
"""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Text,
    and_,
    or_,
    tuple_,
)

from graphql_schema.connections import PAGE_SIZE, PAGE_SIZE_MAX
from graphql_schema.reading.declarations import (
    DefaultOrder,
    ListOf,
    Readable,
    SearchedBy,
    plain,
)
from graphql_schema.reading.filters import Bind, Path, column_at, filter_condition, filter_shape, read_filter
from graphql_schema.reading.inputs import (
    ORDER_FIELDS_MAX,
)
from graphql_schema.reading.positions import position_in_sql, read_position, write_position
from services.kernel.errors import BadUserInput

VERSION = "1"
SIGNATURE_BYTES = 16
SEARCH_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One column of an order. The last key of every order is the id."""

    column: Column[Any]
    descending: bool


Order = tuple[OrderKey, ...]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page of one list, as asked: at most `size` items in this order, between two positions.

    `filter` holds row ids where the argument held global ids.
    """

    size: int
    backward: bool
    order: Order
    filter: Mapping[str, Any]
    after: tuple[Any, ...] | None
    before: tuple[Any, ...] | None
    cursor_prefix: str
    search: str | None = None
    searched_by: SearchedBy | None = None

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Equal for equal requests of one field: lists asked alike are loaded together."""
        return (self.cursor_prefix, self.size, self.backward, self.after, self.before)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Everything on which the text of the SQL depends, and no value."""
        order = tuple((each.column.name, each.descending) for each in self.order)
        given = (self.after is not None, self.before is not None, self.search is not None)
        return (self.backward, order, filter_shape(self.filter), *given)

    def at(self, path: Path) -> Any:
        """The value that was bound at a path."""
        first, *deeper = path
        found: Any = getattr(self, cast("str", first))
        for each in deeper:
            found = found[each]
        return found


def page_request(
    readable: Readable, declared: ListOf, arguments: Mapping[str, Any], *, field: str, tenant_id: UUID, key: bytes
) -> PageRequest:
    """Read the arguments of a list: `first last after before filter orderBy query`, as plain data by GraphQL names.

    `field` is the list's own name and `key` the secret of cursors. Raises BadUserInput for what cannot be answered.
    """
    size, backward = _size(arguments)
    order = order_of(readable, arguments.get("orderBy"), declared.order)
    tree = arguments.get("filter") or {}
    asked = read_filter(readable, tree)
    search = _search(arguments.get("query"))
    prefix = cursor_prefix(key, tenant_id, field, order, tree, search)
    after, before = (_read_cursor(prefix, order, arguments.get(name), name) for name in ("after", "before"))
    return PageRequest(size, backward, order, asked, after, before, prefix, search, declared.searched_by)


def _search(words: str | None) -> str | None:
    words = (words or "").strip()
    if len(words) > SEARCH_LENGTH_MAX:
        raise BadUserInput("query has at most {count} characters.", count=SEARCH_LENGTH_MAX)
    return words or None


def _size(arguments: Mapping[str, Any]) -> tuple[int, bool]:
    first, last = arguments.get("first"), arguments.get("last")
    if first is not None and last is not None:
        raise BadUserInput("Use either first or last.")
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= PAGE_SIZE_MAX:
            raise BadUserInput("{argument} must be from 0 to {count}.", argument=name, count=PAGE_SIZE_MAX)
    if last is not None:
        return last, True
    if first is not None:
        return first, False
    return PAGE_SIZE, arguments.get("before") is not None and arguments.get("after") is None


# Order.


def order_of(readable: Readable, asked: Sequence[Mapping[str, Any]] | None, default: DefaultOrder) -> Order:
    """The keys of an order, ending with the id in the direction of the key before it."""
    offered = {each.name: each.column for each in readable.orders}
    keys = [OrderKey(offered[each["field"].value], each["direction"].value == "DESC") for each in asked or ()]
    if len(keys) > ORDER_FIELDS_MAX:
        raise BadUserInput("orderBy takes at most {count} keys.", count=ORDER_FIELDS_MAX)
    if len({each.column for each in keys}) < len(keys):
        raise BadUserInput("orderBy names a field twice.")
    keys = keys or [OrderKey(default.column, default.descending)]
    by_id = cast("Column[Any]", readable.source.c["id"])
    return (*keys, *([] if keys[-1].column is by_id else [OrderKey(by_id, keys[-1].descending)]))


def ordering(order: Order, alias: FromClause, *, backward: bool) -> list[ColumnElement[Any]]:
    """The ORDER BY of a page; backward pages are read from their end."""
    columns = ((column_at(alias, each.column), each.descending is not backward) for each in order)
    return [column.desc() if descending else column.asc() for column, descending in columns]


def between(request: PageRequest, alias: FromClause, bind: Bind) -> list[ColumnElement[bool]]:
    """The conditions that a page's cursors add."""
    bounds = (("after", request.after, False), ("before", request.before, True))
    return [
        _beyond(request.order, alias, position, bind, (name,), reverse=reverse)
        for name, position, reverse in bounds
        if position is not None
    ]


def _beyond(
    order: Order, alias: FromClause, position: tuple[Any, ...], bind: Bind, path: Path, *, reverse: bool
) -> ColumnElement[bool]:
    columns = [column_at(alias, each.column) for each in order]
    values = [bind((*path, i), each, columns[i].type) for i, each in enumerate(position)]
    directions = [each.descending is not reverse for each in order]
    if len(set(directions)) == 1:
        # A row comparison is one range of the index; the long form below is not.
        here, there = tuple_(*columns), tuple_(*values)
        return here < there if directions[0] else here > there
    options: list[ColumnElement[bool]] = []
    for i, (column, value, descending) in enumerate(zip(columns, values, directions, strict=True)):
        equal = [one == other for one, other in zip(columns[:i], values[:i], strict=True)]
        options.append(and_(*equal, column < value if descending else column > value))
    return or_(*options)


# Filter and search.


def matching(
    readable: Readable,
    request: PageRequest,
    alias: FromClause,
    bind: Bind,
    move: Callable[[ColumnElement[bool]], ColumnElement[bool]],
) -> list[ColumnElement[bool]]:
    """What a list's filter and words let through. `move` puts a condition over the type's columns over `alias`."""
    found = [filter_condition(readable, request.filter, alias, bind)]
    if request.search is not None and request.searched_by is not None:
        found.append(move(plain(request.searched_by(bind(("search",), request.search, Text())))))
    return found


# Cursors.


def cursor_prefix(
    key: bytes, tenant_id: UUID, field: str, order: Order, tree: Mapping[str, Any], search: str | None = None
) -> str:
    """The signed binding of all cursors of one list, filter, order and search."""
    keys = [[each.column.name, each.descending] for each in order]
    bound = orjson.dumps([VERSION, tenant_id, field, keys, _canonical(tree), search], option=orjson.OPT_SORT_KEYS)
    signature = hmac.digest(key, bound, hashlib.sha256)[:SIGNATURE_BYTES]
    return f"{VERSION}{urlsafe_b64encode(signature).decode().rstrip('=')}."


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _canonical(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value if isinstance(value, str | int | bool) else str(value)


def write_cursor(prefix: str, order: Order, row: Mapping[str, Any]) -> str:
    """The cursor of a row, which holds its order's columns under `_<column>`."""
    content = write_position([each.column.type for each in order], [row[f"_{each.column.name}"] for each in order])
    return prefix + urlsafe_b64encode(content).decode().rstrip("=")


def cursor_in_sql(prefix: ColumnElement[str], order: Order, alias: FromClause) -> ColumnElement[str]:
    """The same text, made by the database."""
    return prefix.concat(position_in_sql([column_at(alias, each.column) for each in order]))


def _read_cursor(prefix: str, order: Order, cursor: str | None, argument: str) -> tuple[Any, ...] | None:
    if cursor is None:
        return None
    signed, dot, position = cursor.partition(".")
    is_ours = hmac.compare_digest((signed + dot).encode(errors="replace"), prefix.encode())
    try:
        content = b64decode(position + "=" * (-len(position) % 4), b"-_", validate=True) if is_ours else b""
        found = read_position([each.column.type for each in order], content)
    except (ValueError, Base64Error) as error:
        raise BadUserInput(
            "{argument} is not a cursor of this list with this order and filter.", argument=argument
        ) from error
    return found
