# SPDX-License-Identifier: EUPL-1.2
"""The ordinary executor: relations, lists and roots resolved from their declarations, one statement per level.

Each kind of declaration has one extension, made with the field and told its target when the schema is built. Values
come from dict rows through `default_resolver`. A root or a loader's batch opens a short snapshot of its own; none is
held while children resolve.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast
from uuid import UUID

import orjson
import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.dataloader import DataLoader
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.connections import PAGE_SIZE, PAGE_SIZE_MAX, TOTAL_COUNT_MAX
from graphql_schema.reading import conditions
from graphql_schema.reading.annotations import shape_of
from graphql_schema.reading.conditions import PageRequest
from graphql_schema.reading.declarations import (
    ARGUMENT,
    Argument,
    DeclarationError,
    Key,
    ListOf,
    Newest,
    Readable,
    ToOne,
    encode_id,
    key_of,
    readable_by_tag,
    readable_of,
)
from graphql_schema.reading.execution import Execution
from graphql_schema.reading.figures import figure_rows
from graphql_schema.reading.inputs import as_tree, filter_input, order_input
from graphql_schema.reading.requests import figure_values, find_node, list_request
from graphql_schema.reading.rows import Row, frame_of, key_label
from graphql_schema.reading.sizes import FIGURE, PAGE, SERIES_SIZE, ListSize
from services.kernel.access import Actor
from services.kernel.database import Snapshot
from services.kernel.errors import BadUserInput

BATCH_SIZE_MAX = 1_000
SEARCH_DESCRIPTION = (
    "Words to look for, in Dutch, French, German or English: in what was said, in the citizen's name and handle, and "
    "in the reference. Accents, endings and single typing errors do not matter. At most 200 characters."
)
NODES_MAX = 100


class ReadingContext(Protocol):
    """What an operation's context offers to reads. Made afresh for every operation and every event."""

    @property
    def actor(self) -> Actor: ...
    @property
    def cursor_key(self) -> bytes: ...
    @property
    def loaders(self) -> dict[Any, Any]: ...
    @property
    def execution(self) -> Execution: ...
    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]: ...


def default_resolver(source: Any, name: str) -> Any:
    """A value by its Python name: rows are dicts, payloads and pages are objects."""
    return source[name] if type(source) is dict else getattr(source, name)


class Reads(FieldExtension):
    """What all reading fields share: the target type, known once the schema is built."""

    target: Readable
    name: str

    def apply(self, field: StrawberryField) -> None:
        origin = cast("type", field.origin)
        self.name = f"{origin.__name__}.{field.python_name}"
        try:
            self.target = readable_of(shape_of(field).of)
        except DeclarationError as error:
            raise DeclarationError(f"{origin.__module__}.{self.name}: {error}") from error

    @property
    def targets(self) -> tuple[Readable, ...]:
        """The types whose permission this field needs."""
        return (self.target,)


class ReadsToOne(Reads):
    def __init__(self, declared: ToOne) -> None:
        self.declared = declared

    def apply(self, field: StrawberryField) -> None:
        super().apply(field)
        self.label = key_label(field.python_name, self.declared)

    async def resolve_async(self, next_: Any, source: Any, info: Any, **_: Any) -> Row | None:
        return await load_by_id(info.context, self.target, source[self.label])


class ReadsNewest(Reads):
    def __init__(self, declared: Newest) -> None:
        self.declared = declared

    async def resolve_async(self, next_: Any, source: Any, info: Any, **_: Any) -> Row | None:
        context: ReadingContext = info.context
        context.actor.require(self.target.permission)

        async def load(keys: list[UUID]) -> list[Row | None]:
            key = cast("Key", key_of(self.declared.key))
            groups = await _grouped(context, self.target, frame_of(self.target).newest(self.declared, key), keys)
            return [next(iter(groups[each]), None) for each in keys]

        return await _loader(context, self, load).load(source["_id"])


class ReadsList(Reads):
    def __init__(self, declared: ListOf, description: str) -> None:
        self.declared = declared
        self.description = description

    def apply(self, field: StrawberryField) -> None:
        super().apply(field)
        order = self.declared.order
        named = next((each.name for each in self.target.orders if each.column is order.column), order.column.name)
        direction = "descending" if order.descending else "ascending"
        field.description = f"{self.description} Without orderBy: {to_camel_case(named)} {direction}."
        field.directives[:] = [PAGE]
        field.arguments = list_arguments(self.target)
        if self.declared.searched_by is not None:
            field.arguments.append(_argument("query", str | None, SEARCH_DESCRIPTION))

    def request(self, context: ReadingContext, arguments: Mapping[str, Any]) -> PageRequest:
        """Read the arguments, plain data by GraphQL names. Raises BadUserInput."""
        return list_request(self.target, self.declared, self.name, arguments, context)

    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> "Page":
        context: ReadingContext = info.context
        context.actor.require(self.target.permission)
        asked = {to_camel_case(name): as_tree(value) for name, value in arguments.items()}
        request, owner = self._request_once(context, asked), None if self.declared.key is None else source["_id"]
        same = (self, *request.fingerprint)
        pages = _loader(context, ("pages", *same), lambda keys: self._pages(context, request, keys))
        counts = _loader(context, ("counts", *same), lambda keys: self._counts(context, request, keys))
        return Page(await pages.load(owner), request, lambda: counts.load(owner))

    def _request_once(self, context: ReadingContext, arguments: Mapping[str, Any]) -> PageRequest:
        asked = ("request", self, orjson.dumps(arguments, default=str, option=orjson.OPT_SORT_KEYS))
        if asked not in context.loaders:
            context.loaders[asked] = self.request(context, arguments)
        return context.loaders[asked]

    async def _pages(self, context: ReadingContext, request: PageRequest, keys: list[UUID | None]) -> list[list[Row]]:
        frame = frame_of(self.target)
        if self.declared.key is None:
            async with context.snapshot() as snapshot:
                return [[frame.row(each) for each in await snapshot.rows(frame.page(request))]] * len(keys)
        statement = frame.pages(cast("Key", key_of(self.declared.key)), request)
        groups = await _grouped(context, self.target, statement, keys)
        return [groups[each] for each in keys]

    async def _counts(self, context: ReadingContext, request: PageRequest, keys: list[UUID | None]) -> list[int]:
        frame, at_most = frame_of(self.target), TOTAL_COUNT_MAX + 1
        async with context.snapshot() as snapshot:
            if self.declared.key is None:
                return [await snapshot.scalar(frame.count(request, at_most))] * len(keys)
            key = cast("Key", key_of(self.declared.key))
            rows = await snapshot.rows(frame.counts(key, request, at_most), keys=keys)
        found: dict[UUID | None, int] = dict(tuple(each) for each in rows)
        return [found[each] for each in keys]


class ReadsNode(Reads):
    """`node(id:)`: any type; what the actor has no right to is null, as what does not exist."""

    def apply(self, field: StrawberryField) -> None:
        field.arguments = [_argument("id", strawberry.ID, "The global id of the row.")]

    @property
    def targets(self) -> tuple[Readable, ...]:
        return ()

    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> Any:
        return await load_node(info.context, arguments["id"])


class ReadsNodes(ReadsNode):
    """`nodes(ids:)`: the same for several, in the order asked."""

    def apply(self, field: StrawberryField) -> None:
        field.directives[:] = [ListSize(assumed_size=NODES_MAX, slicing_arguments=["ids"])]
        field.arguments = [_argument("ids", list[strawberry.ID], f"At most {NODES_MAX} global ids.")]

    def check(self, ids: Sequence[str]) -> None:
        """Refuse a longer list than one operation may ask for."""
        if len(ids) > NODES_MAX:
            raise BadUserInput("ids takes at most {count}.", count=NODES_MAX)

    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> Any:
        self.check(arguments["ids"])
        return [load_node(info.context, each) for each in arguments["ids"]]


class ReadsBack(Reads):
    """The node of a payload or event: read after the act, so nothing read before it may be reused."""

    def apply(self, field: StrawberryField) -> None:
        super().apply(field)
        self.attribute = field.python_name

    async def resolve_async(self, next_: Any, source: Any, info: Any, **_: Any) -> Row | None:
        reference = default_resolver(source, self.attribute)
        if reference is None:
            return None
        context: ReadingContext = info.context
        context.loaders.clear()
        context.actor.require(self.target.permission)
        rows = context.execution.read_backs
        if rows is not None:
            global_id = encode_id(self.target.python_type, reference.row_id)
            is_seen = await rows.read(info.path.as_list(), global_id, context)
            if is_seen is not None:
                return {"__typename": self.target.name} if is_seen else None
        return await load_by_id(context, self.target, reference.row_id)


class ReadsFigure(Reads):
    def __init__(self, without: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.without = without

    def apply(self, field: StrawberryField) -> None:
        super().apply(field)
        self.is_list = shape_of(field).is_list
        field.directives[:] = [FIGURE, ListSize(assumed_size=SERIES_SIZE)] if self.is_list else [FIGURE]
        field.arguments = [
            _figure_argument(name, each) for name, each in self.target.arguments.items() if name not in self.without
        ]

    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> Any:
        context: ReadingContext = info.context
        context.actor.require(self.target.permission)
        given = figure_values(self.target, arguments)
        values = {f"{ARGUMENT}{name}": value for name, value in given.items()}
        async with context.snapshot() as snapshot:
            rows = await figure_rows(snapshot, self.target, values)
        return rows if self.is_list else next(iter(rows), None)


class Page:
    """One page as the connection type asks for it; what is not selected is not made."""

    def __init__(self, found: Sequence[Row], request: PageRequest, count: Callable[[], Awaitable[int]]) -> None:
        kept = list(found[: request.size])
        self.nodes = kept[::-1] if request.backward else kept
        self._has_more = len(found) > request.size
        self._request = request
        self._count = count

    @property
    def edges(self) -> list[Row]:
        return [{"cursor": self._cursor(row), "node": row} for row in self.nodes]

    @property
    def page_info(self) -> Row:
        request, nodes = self._request, self.nodes
        return {
            "has_next_page": request.before is not None or (self._has_more and not request.backward),
            "has_previous_page": request.after is not None or (self._has_more and request.backward),
            "start_cursor": self._cursor(nodes[0]) if nodes else None,
            "end_cursor": self._cursor(nodes[-1]) if nodes else None,
        }

    @property
    async def total_count(self) -> int:
        return min(await self._count(), TOTAL_COUNT_MAX)

    @property
    async def is_total_count_exact(self) -> bool:
        return await self._count() <= TOTAL_COUNT_MAX

    def _cursor(self, row: Row) -> str:
        return conditions.write_cursor(self._request.cursor_prefix, self._request.order, row)


async def load_by_id(context: ReadingContext, readable: Readable, row_id: UUID | None) -> Row | None:
    """One visible row of a type, batched with its like; None for unknown, foreign and invisible rows."""
    if row_id is None:
        return None
    context.actor.require(readable.permission)

    async def load(keys: list[UUID]) -> list[Row | None]:
        frame = frame_of(readable)
        async with context.snapshot() as snapshot:
            rows = [frame.row(each) for each in await snapshot.rows(frame.by_ids(), keys=keys)]
        found = {row["_id"]: row for row in rows}
        return [found.get(each) for each in keys]

    return await _loader(context, readable, load).load(row_id)


async def load_node(context: ReadingContext, global_id: str) -> Row | None:
    """The row behind a global id; None for everything that the actor cannot read."""
    tag, row_id = find_node(global_id, context)
    readable = readable_by_tag(tag)
    return None if readable is None else await load_by_id(context, readable, row_id)


async def visible_ids(snapshot: Snapshot, node_type: type, row_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these rows the actor sees."""
    frame = frame_of(readable_of(node_type))
    return set(await snapshot.scalars(frame.by_ids().with_only_columns(frame.alias.c.id), keys=row_ids))


def list_arguments(readable: Readable) -> list[StrawberryArgument]:
    """The arguments of every list of a type."""
    page = f"0 to {PAGE_SIZE_MAX}; never together with"
    found = [
        _argument("first", int | None, f"How many items from the start (or after `after`), {page} `last`. "
                  f"Without both: {PAGE_SIZE}, from the end if only `before` is given."),
        _argument("after", str | None, "A cursor of this list: only what follows it."),
        _argument("last", int | None, f"How many items from the end (or before `before`), {page} `first`."),
        _argument("before", str | None, "A cursor of this list: only what precedes it."),
    ]  # fmt: skip
    if readable.filters:
        found.append(_argument("filter", filter_input(readable.python_type) | None, "Which items to list."))
    if readable.orders:
        orders = list[order_input(readable)] | None
        found.append(_argument("order_by", orders, "In which order, by at most 3 keys; the id is always the last one."))
    return found


def _argument(name: str, annotation: Any, description: str) -> StrawberryArgument:
    return StrawberryArgument(name, None, StrawberryAnnotation(annotation), description=description)


def _figure_argument(name: str, argument: Argument) -> StrawberryArgument:
    annotation = strawberry.ID if argument.node is not None else argument.python_type
    return _argument(name, annotation if argument.is_required else annotation | None, argument.description)


def _loader(
    context: ReadingContext, key: Any, load: Callable[[list[Any]], Awaitable[list[Any]]]
) -> DataLoader[Any, Any]:
    found = context.loaders.get(key)
    if found is None:
        found = context.loaders[key] = DataLoader(load_fn=load, max_batch_size=BATCH_SIZE_MAX)
    return found


async def _grouped(
    context: ReadingContext, readable: Readable, statement: Any, keys: Sequence[Any]
) -> dict[Any, list[Row]]:
    frame = frame_of(readable)
    groups: dict[Any, list[Row]] = {each: [] for each in keys}
    async with context.snapshot() as snapshot:
        for values in await snapshot.rows(statement, keys=keys):
            groups[values[-1]].append(frame.row(values))
    return groups
