# SPDX-License-Identifier: EUPL-1.2
"""An index serves every declared order and every declared filter: the planner says so itself, under row security.

It is asked on a database without rows, where all indexes cost the same and its choice would say nothing. So it is left
none: of the table in question only those indexes stand that begin with the right columns, and what does without them (a
scan of the table, a bitmap, a sort) is switched off. The planner counts what is switched off before it compares costs,
so it takes such a step only where there is no other way: a plan without one shows that an index can serve the list, and
a plan with one that none can. Which way is the cheapest for many rows, it does not show.
"""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from graphql import GraphQLObjectType
from sqlalchemy import Column, Table, select
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.reading.annotations import definition_of, shape_of
from graphql_schema.reading.conditions import OrderKey, cursor_prefix, write_cursor
from graphql_schema.reading.declarations import (
    REGISTRY,
    TENANT_COLUMN,
    ListOf,
    Named,
    Newest,
    Readable,
    declaration_of,
    encode_id,
    readable_behind,
)
from graphql_schema.reading.expressions import DIALECT, ONE
from graphql_schema.reading.filters import filter_condition
from graphql_schema.reading.inputs import model_type
from graphql_schema.reading.rows import bind_value
from graphql_schema.schema import api_schema
from services.kernel.access import Actor, Grant, Role
from tests.graphql_schema.reading.planting import CURSOR_KEY, Reader
from tests.graphql_schema.reading.test_compiled import explain_custom, explain_generic, statement_of
from tests.support import database as databases
from tests.support.servers import Servers

pytestmark = pytest.mark.usefixtures("unwatched_statements")

SCHEMA = api_schema()
ACTOR = Actor(uuid4(), membership_id=uuid4(), grants=(Grant(Role.COORDINATOR), Grant(Role.ADMIN)))
READER = Reader(cast("Any", None), ACTOR)
SOME_ROW = uuid4()
SAMPLES: Mapping[Any, Any] = {
    datetime: datetime(2026, 3, 1, tzinfo=UTC), date: date(2026, 3, 1), int: 20, str: "x", UUID: SOME_ROW
}  # fmt: skip

ONE_ROW = {"Delivery.message": "a delivery carries one message"}
"""Where nothing is left to order once the rows are found. Finding them needs an index all the same."""

WITHOUT_OTHER_WAYS = (
    "set local role belfry_app",
    *(f"set local enable_{each} = off" for each in ("seqscan", "bitmapscan", "sort", "incremental_sort")),
)

Node = Mapping[str, Any]


# What the schema offers.


@dataclass(frozen=True)
class Listed:
    """A list of the schema, or the newest row of one, in one of its orders."""

    owner: Readable | None
    name: str
    field: StrawberryField
    declared: ListOf | Newest
    by: Column[Any]
    descending: bool
    order_by: str = ""

    def __str__(self) -> str:
        how = "by itself" if not self.order_by else "descending" if self.descending else "ascending"
        return f"{self.path} {self.by.name} {how}"

    @property
    def path(self) -> str:
        return f"{self.owner.name if self.owner else 'Query'}.{self.name}"

    @property
    def target(self) -> Readable:
        return REGISTRY[shape_of(self.field).of]

    @property
    def table(self) -> Table:
        return cast("Table", self.target.source)

    @property
    def order(self) -> tuple[OrderKey, ...]:
        """The columns of the order, of which the id is the last."""
        columns = dict.fromkeys((self.by, self.table.c["id"]))
        return () if self.path in ONE_ROW else tuple(OrderKey(each, self.descending) for each in columns)

    @property
    def equal(self) -> tuple[str, ...]:
        """What is the same in all rows of the list: the organization, and the row whose list it is."""
        return (TENANT_COLUMN,) if self.declared.key is None else (TENANT_COLUMN, self.declared.key.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """What an index must begin with."""
        return (*self.equal, *(each.column.name for each in self.order))

    def conditions(self, *, after: bool) -> list[str]:
        """What must be looked up in the index, as EXPLAIN writes it: behind a cursor, one range of it."""
        names, sign = [each.column.name for each in self.order], "<" if self.descending else ">"
        beyond = f"ROW({', '.join(names)}) {sign} ROW(" if len(names) > 1 else f"({''.join(names)} {sign} "
        return [*map(equality, self.equal), *([beyond] if after else [])]

    def document(self, *, after: bool) -> str:
        """The operation that asks for it, for a page behind a cursor or for the first."""
        asked = f"{self.name} {{ id }}"
        if isinstance(self.declared, ListOf):
            cursor = f'after: "{self._cursor()}"' if after else ""
            asked = f"{self.name}(first: 10 {self.order_by} {cursor}) {{ nodes {{ id }} }}"
        if self.owner is None:
            return f"{{ {asked} }}"
        owner_id = encode_id(self.owner.python_type, SOME_ROW)
        return f'{{ node(id: "{owner_id}") {{ ... on {self.owner.name} {{ {asked} }} }} }}'

    def _cursor(self) -> str:
        name = f"{cast('type', self.field.origin).__name__}.{self.field.python_name}"
        prefix = cursor_prefix(CURSOR_KEY, ACTOR.tenant_id, name, self.order, {})
        row = {f"_{each.column.name}": sample(self.target, each.column) for each in self.order}
        return write_cursor(prefix, self.order, row)


def equality(column: str) -> str:
    """An equality with a column, as EXPLAIN writes it."""
    return f"({column} = "


def sample(readable: Readable, column: Column[Any]) -> Any:
    """Some value that the column can have."""
    kind = model_type(readable, column)
    return next(iter(kind)).value if issubclass(kind, Enum) else SAMPLES[kind]


def listed() -> Iterator[Listed]:
    """Every list of the schema, in its own order and in each that it offers."""
    for _, kind in sorted(SCHEMA.core.type_map.items()):
        for name, field in kind.fields.items() if isinstance(kind, GraphQLObjectType) else ():
            definition = definition_of(field)
            declared = declaration_of(definition) if definition is not None else None
            if definition is not None and isinstance(declared, ListOf | Newest):
                yield from in_every_order(readable_behind(kind), name, definition, declared)


def in_every_order(
    owner: Readable | None, name: str, field: StrawberryField, declared: ListOf | Newest
) -> Iterator[Listed]:
    if isinstance(declared, Newest):
        yield Listed(owner, name, field, declared, declared.by, descending=True)
        return
    yield Listed(owner, name, field, declared, declared.order.column, declared.order.descending)
    for each in REGISTRY[shape_of(field).of].orders:
        for direction in ("ASC", "DESC"):
            order_by = f"orderBy: [{{field: {each.name.upper()}, direction: {direction}}}]"
            yield Listed(owner, name, field, declared, each.column, direction == "DESC", order_by)


SHOWN = [found for _, kind in sorted(SCHEMA.core.type_map.items()) if (found := readable_behind(kind)) is not None]
LISTED = list(listed())
OWNED: dict[Readable, set[str]] = defaultdict(set)
for one_list in LISTED:
    if isinstance(one_list.declared, ListOf) and one_list.declared.key is not None:
        OWNED[one_list.target].add(one_list.declared.key.name)
ROOTED = {one.target for one in LISTED if one.declared.key is None}
FILTERED = [
    (readable, each, owner)
    for readable in SHOWN
    for each in readable.filters
    for owner in ([None] if readable in ROOTED else sorted(OWNED[readable]))
]
"""Every filter; with the key of the row whose list it is, where no list holds all rows of the type."""


# What the planner says.

INDEXES = """
    select indexrelid::regclass::text as name, array_agg(coalesce(attname::text, '') order by place) as columns
    from pg_index cross join lateral unnest(indkey) with ordinality as part (number, place)
    left join pg_attribute on attrelid = indrelid and attnum = number
    where indrelid = $1::text::regclass and indpred is null and indisvalid group by indexrelid
"""
"""The indexes that cover all rows of a table. An expression has no name."""

HIDE = """
    update pg_index set indisvalid = false
    where indrelid = $1::text::regclass and indexrelid::regclass::text <> all($2::text[])
"""
"""The planner passes over invalid indexes. Nobody else sees this change, because its transaction is rolled back."""


async def serving(connection: asyncpg.Connection, table: str, columns: Sequence[str]) -> list[str]:
    """The names of the indexes that begin with these columns."""
    rows, wanted = await connection.fetch(INDEXES, table), list(columns)
    return [each["name"] for each in rows if each["columns"][: len(wanted)] == wanted]


async def leave_only(connection: asyncpg.Connection, table: str, names: Sequence[str]) -> None:
    """Leave the planner only these indexes of a table, as belfry_app."""
    await connection.execute(HIDE, table, names)
    for statement in WITHOUT_OTHER_WAYS:
        await connection.execute(statement)


async def plans(connection: asyncpg.Connection, text: str, values: list[Any]) -> list[Node]:
    """The plan for these values, in which the actor's rights are known, and the one for all values and actors."""
    found = [await explain(connection, text, values) for explain in (explain_custom, explain_generic)]
    await connection.execute("deallocate probe")
    return found


def walk(node: Node) -> Iterator[Node]:
    yield node
    for each in node.get("Plans", ()):
        yield from walk(each)


def way_to_rows(explained: Node) -> list[Node]:
    """From the LIMIT of the page, or from the top where there is none, down to where the rows come from.

    What stands above the LIMIT works on one page, however long the list is.
    """
    limits = [each for each in walk(explained) if each["Node Type"] == "Limit"]
    assert len(limits) <= 1, "one page is asked for"
    way = limits or [explained]
    while deeper := [each for each in way[-1].get("Plans", ()) if each["Parent Relationship"] in ("Outer", "Subquery")]:
        way.append(deeper[0])
    return way


def sorts(way: Sequence[Node]) -> list[str]:
    """The steps that sort what the scan gives."""
    return [each["Node Type"] for each in way if "Sort" in each["Node Type"]]


def not_looked_up(way: Sequence[Node], table: str, conditions: Sequence[str]) -> list[str]:
    """What the scan does not look up in an index of the table."""
    scan = way[-1]
    is_by_index = scan["Node Type"] in ("Index Scan", "Index Only Scan") and scan["Relation Name"] == table
    looked_up = bare(scan.get("Index Cond", "")) if is_by_index else ""
    return [f"not looked up: {each}" for each in conditions if each not in looked_up]


def bare(condition: str) -> str:
    """A condition without the names of tables, and without what makes text of a varchar column."""
    return re.sub(r"\((\w+)\)::text", r"\1", re.sub(r"\b[a-z_]\w*\.", "", condition))


async def faults_of_list(connection: asyncpg.Connection, one: Listed) -> list[str]:
    """Why no index gives the rows of a list in order; nothing when one does."""
    names = await serving(connection, one.table.fullname, one.columns)
    if not names:
        return [f"no index begins with {', '.join(one.columns)}"]
    await leave_only(connection, one.table.fullname, names)
    found: list[str] = []
    for after in (False, True) if isinstance(one.declared, ListOf) else (False,):
        statement, values = statement_of(SCHEMA, READER, one.document(after=after), {})
        for explained in await plans(connection, statement.text, values):
            way = way_to_rows(explained)
            found += not_looked_up(way, one.table.name, one.conditions(after=after))
            found += sorts(way) if one.order else []
    return found


async def faults_of_filter(
    connection: asyncpg.Connection, readable: Readable, named: Named, owner: str | None
) -> list[str]:
    """Why no index finds the rows with one value of a filter; nothing when one does."""
    columns = (TENANT_COLUMN, *([owner] if owner else []), named.column.name)
    names = await serving(connection, named.column.table.fullname, columns)
    if not names:
        return [f"no index begins with {', '.join(columns)}"]
    await leave_only(connection, named.column.table.fullname, names)
    alias, tree = readable.source.alias(), {to_camel_case(named.name): {"eq": sample(readable, named.column)}}
    matching = filter_condition(readable, tree, alias, bind_value)
    owned = [alias.c[owner] == SOME_ROW] if owner else []
    statement = select(ONE).where(alias.c[TENANT_COLUMN] == ACTOR.tenant_id, *owned, matching)
    compiled = cast("Any", statement.compile(dialect=DIALECT))
    values = [compiled.params[each] for each in compiled.positiontup]
    ways = [way_to_rows(each) for each in await plans(connection, str(compiled), values)]
    return [each for way in ways for each in not_looked_up(way, named.column.table.name, [*map(equality, columns)])]


# The tests.


@pytest.fixture(scope="module")
def rowless_urls(servers: Servers) -> Iterator[Mapping[str, str]]:
    """A database without rows: what the planner says there depends on no other test."""
    name = databases.new_name("indexes")
    yield databases.create_copy(servers, name)
    databases.drop(servers, name)


@pytest.fixture
async def connection(rowless_urls: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """The superuser, who may hide indexes and act as other roles, in a transaction that is rolled back."""
    async with databases.connection_as(rowless_urls, "postgres") as opened:
        transaction = opened.transaction()
        await transaction.start()
        yield opened
        await transaction.rollback()


@pytest.mark.parametrize("one", LISTED, ids=str)
async def test_an_index_serves_every_list_in_every_order(connection: asyncpg.Connection, one: Listed) -> None:
    assert await faults_of_list(connection, one) == []


@pytest.mark.parametrize(("readable", "named", "owner"), FILTERED, ids=lambda each: getattr(each, "name", each))
async def test_an_index_serves_every_filter(
    connection: asyncpg.Connection, readable: Readable, named: Named, owner: str | None
) -> None:
    assert await faults_of_filter(connection, readable, named, owner) == []


def test_every_declared_order_is_that_of_a_list() -> None:
    asked = {(one.target.name, one.by.name) for one in LISTED if one.order_by}
    assert asked == {(readable.name, each.column.name) for readable in SHOWN for each in readable.orders}
    assert {one.path for one in LISTED} >= set(ONE_ROW)


async def as_owner(connection: asyncpg.Connection, *statements: str) -> None:
    """Change the schema as a migration would, until the test is over."""
    for statement in ("set local role belfry_owner", *statements, "set local role none"):
        await connection.execute(statement)


@pytest.mark.parametrize("one", {(each.path, each.columns): each for each in LISTED}.values(), ids=str)
async def test_a_list_without_its_index_is_found(connection: asyncpg.Connection, one: Listed) -> None:
    names = await serving(connection, one.table.fullname, one.columns)
    await as_owner(connection, *(f"drop index {each}" for each in names))
    assert await faults_of_list(connection, one) == [f"no index begins with {', '.join(one.columns)}"]


BY_OPENING = next(each for each in LISTED if str(each) == "Query.conversations opened_at ascending")
BY_STATE = next(each for each in FILTERED if each[1].column.table.name == "delivery")
BEHIND_A_CURSOR = "not looked up: ROW(opened_at, id) > ROW("


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ("(tenant_id, opened_at desc, id)", {"Sort"}),
        ("(tenant_id, id, opened_at)", {"no index begins with tenant_id, opened_at, id"}),
        ("(tenant_id, opened_at, id) where state = 'OPEN'", {"no index begins with tenant_id, opened_at, id"}),
        ("(tenant_id, opened_at, id)", set[str]()),
    ],
)
async def test_an_index_that_only_looks_like_it_is_found(
    connection: asyncpg.Connection, planted: str, expected: set[str]
) -> None:
    create = f"create index planted on belfry.conversation {planted}"
    await as_owner(connection, "drop index belfry.ix_conversation_opened_at", create)
    assert set(await faults_of_list(connection, BY_OPENING)) == expected


async def test_a_filter_without_its_index_is_found(connection: asyncpg.Connection) -> None:
    await as_owner(connection, "drop index belfry.ix_delivery_state")
    assert await faults_of_filter(connection, *BY_STATE) == ["no index begins with tenant_id, state"]


async def test_a_comparison_for_which_row_security_hides_the_index_is_found(connection: asyncpg.Connection) -> None:
    # As those of numeric and of native enums are: what may tell something about rows waits for the policy.
    await connection.execute("alter function timestamptz_gt(timestamptz, timestamptz) not leakproof")
    await connection.execute("alter function texteq(text, text) not leakproof")
    assert set(await faults_of_list(connection, BY_OPENING)) == {BEHIND_A_CURSOR}
    await connection.execute("set local role none")
    assert set(await faults_of_filter(connection, *BY_STATE)) == {"not looked up: (state = "}
