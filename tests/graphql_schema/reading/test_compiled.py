# SPDX-License-Identifier: EUPL-1.2
"""The compiled statement answers what the ordinary executor answers, byte for byte, and reads nothing too early."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import orjson
import pytest
from graphql import get_operation_ast, parse, validate
from graphql.execution import get_variable_values
from sqlalchemy import ColumnElement, FromClause, func

from graphql_schema.reading import conditions, sql
from graphql_schema.reading.conditions import Order
from graphql_schema.reading.declarations import Readable, encode_id
from graphql_schema.reading.expressions import printed, reference
from graphql_schema.reading.plan import Value, plan
from graphql_schema.reading.requests import requests_of
from graphql_schema.reading.safety import reads_too_early
from graphql_schema.reading.sql import Statement, write
from graphql_schema.schema import ApiSchema, api_schema
from graphql_schema.tenancy.types import Department
from services.conversations.rules import ConversationState
from services.kernel.access import Actor, Role
from tests.graphql_schema.reading.planting import Planted, Reader
from tests.support.organizations import DESK
from tests.support.servers import plain

ROLES = (Role.COORDINATOR, Role.OPERATOR, Role.MANAGER, Role.ADMIN, Role.VIEWER)

DOCUMENTS = {
    "an inbox": """{ conversations(first: 5) { nodes { id version state priority reference language openedAt closedAt
        department { id name } category { name formal } contact { displayName handle } } } }""",
    "every part of a page": """query { page: conversations(last: 4) { __typename totalCount isTotalCountExact
        edges { __typename cursor node { id } } nodes { id } pageInfo { __typename hasNextPage hasPreviousPage
        startCursor endCursor } } }""",
    "no rows": """{ conversations(first: 0) { edges { cursor } nodes { id } pageInfo { hasNextPage endCursor }
        totalCount } }""",
    "counts only": "{ conversations { totalCount isTotalCountExact __typename } }",
    "nested pages": """{ conversations(first: 3, orderBy: [{field: OPENED_AT, direction: DESC}]) { nodes { id
        messages(first: 2) { nodes { text occurredAt author { name } delivery { state } } totalCount
        pageInfo { hasNextPage endCursor } }
        lastMessage { text direction } claim { fence leaseUntil holder { name } } previous { id }
        waitingSegments { nodes { wallSeconds outcome } } participants { nodes { kind person { name } } } } } }""",
    "filters": """{ conversations(filter: {state: {in: [OPEN, WAITING_ON_CITIZEN]}, not: {priority: {eq: LOW}},
        or: [{channelKind: {eq: PUBLIC}}, {openedAt: {gt: "2026-03-02T00:00:00Z"}}]}, first: 7)
        { nodes { id state priority } totalCount } }""",
    "fragments and aliases": """{ a: conversations(first: 2) { nodes { ...C ... on Node { id } } }
        b: conversations(last: 2) { nodes { ...C } } __typename }
        fragment C on Conversation { here: state ...D department { name } department { ...E } }
        fragment D on Conversation { there: state }  fragment E on Department { id __typename }""",
    "a directory": """{ departments(first: 50) { nodes { id name parent { name } } } categories { nodes { name
        responsibleDepartment { name } departments { nodes { isResponsible department { name } } } } }
        socialAccounts { nodes { handle network purpose audiences } } contacts(first: 3) { nodes { displayName email
        conversations { totalCount } } } deliveries(first: 3) { nodes { id state } } }""",
}


def statement_of(
    schema: ApiSchema, reader: Reader, document: str, variables: dict[str, Any]
) -> tuple[Statement, list[Any]]:
    """The statement of a document, and its values."""
    parsed = parse(document)
    assert validate(schema.core, parsed) == []
    operation = get_operation_ast(parsed, None)
    assert operation is not None
    coerced = get_variable_values(schema.core, operation.variable_definitions or (), variables)
    assert not isinstance(coerced, list), coerced
    planned = plan(schema.core, parsed, operation, coerced)
    requests = requests_of(planned, coerced, reader)
    statement = write(planned, requests)
    return statement, statement.values(reader.actor, requests)


@pytest.fixture
async def connection(database_urls: Any) -> Any:
    opened = await asyncpg.connect(plain(database_urls["belfry_app"]))
    yield opened
    await opened.close()


@pytest.fixture
def both(
    schema: ApiSchema, reader: Callable[[Actor], Reader], connection: asyncpg.Connection, unwatched_statements: None
) -> Callable[..., Awaitable[bytes]]:
    """Runs a document in both ways, demands equal bytes, and gives them."""

    async def run(actor: Actor, document: str, **variables: Any) -> bytes:
        ordinary = await schema.execute(document, variable_values=variables, context_value=reader(actor))
        if ordinary.errors:
            codes = {(each.extensions or {}).get("code") for each in ordinary.errors}
            assert codes == {"FORBIDDEN"}, ordinary.errors
            return b""
        statement, values = statement_of(schema, reader(actor), document, variables)
        compiled = await connection.fetchval(statement.text, *values)
        assert isinstance(compiled, str) and compiled.encode() == orjson.dumps(ordinary.data)
        return compiled.encode()

    return run


async def explain_custom(connection: asyncpg.Connection, text: str, values: list[Any]) -> Any:
    """The plan that is made for these values."""
    [(found,)] = await connection.fetch(f"explain (format json, verbose) {text}", *values)
    return orjson.loads(found)[0]["Plan"]


async def explain_generic(connection: asyncpg.Connection, text: str, values: list[Any]) -> Any:
    """The plan that is made once for all values."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare probe as {text}")
    nothing = ", ".join("null" for _ in values)
    [(found,)] = await connection.fetch(f"explain (format json, verbose) execute probe({nothing})")
    return orjson.loads(found)[0]["Plan"]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("role", ROLES)
async def test_both_executors_answer_the_same_bytes(
    both: Callable[..., Awaitable[bytes]], here: Planted, there: Planted, name: str, role: Role
) -> None:
    answer = await both(here.actor(role), DOCUMENTS[name])
    assert str(there.organization.id) not in answer.decode()


@pytest.mark.parametrize("explain", [explain_custom, explain_generic])
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_nothing_reads_the_setting_before_it_is_bound(
    schema: ApiSchema,
    reader: Callable[[Actor], Reader],
    connection: asyncpg.Connection,
    here: Planted,
    name: str,
    explain: Callable[..., Awaitable[Any]],
    unwatched_statements: None,
) -> None:
    statement, values = statement_of(schema, reader(here.coordinator), DOCUMENTS[name], {})
    explained = await explain(connection, statement.text, values)
    assert "current_setting" in str(explained), "row security is there at all"
    assert reads_too_early(explained) == []


async def test_a_root_that_is_flattened_into_the_statement_is_found(
    connection: asyncpg.Connection, here: Planted, unwatched_statements: None
) -> None:
    flat = """
        with bound as materialized (select set_config('app.tenant_id', $1::text, true)::uuid as tenant)
        select count(*) from bound, belfry.conversation c where c.tenant_id = $1::text::uuid
    """
    for explain in (explain_custom, explain_generic):
        assert reads_too_early(await explain(connection, flat, [str(here.organization.id)])) != []


SINCE = 'since: "2026-01-01T00:00:00Z", until: "2026-06-01T00:00:00Z"'
FIGURES = {
    "one period": f"""{{ responseTime({SINCE}) {{ n since until medianWallSeconds p90WallSeconds answeredShare
        answeredShareDenominator stillWaitingCount upTo1HourCount }} outboundMix({SINCE}) {{ n replyCount
        interactionRatio denominator }} }}""",
    "series": f"""query ($zone: TimeZone) {{ a: responseTimeSeries({SINCE}, granularity: MONTH, timeZone: $zone)
        {{ since until n __typename }}
        b: outboundMixSeries({SINCE}, granularity: WEEK) {{ since n starterCount }} }}""",
    "of one department": f"""query ($department: ID!) {{ x: responseTime({SINCE}, departmentId: $department) {{ n }}
        y: responseTime({SINCE}, departmentId: "nonsense") {{ n }} }}""",
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("role", [Role.MANAGER, Role.VIEWER])
async def test_figures_are_the_same_bytes_too(
    reader: Callable[[Actor], Reader],
    connection: asyncpg.Connection,
    here: Planted,
    name: str,
    role: Role,
    unwatched_statements: None,
) -> None:
    schema, context = api_schema(), reader(here.actor(role))
    given = {"zone": "Europe/Amsterdam", "department": encode_id(Department, here.organization.departments[DESK])}
    variables = {each: value for each, value in given.items() if f"${each}" in FIGURES[name]}
    ordinary = await schema.execute(FIGURES[name], variable_values=variables, context_value=context)
    assert ordinary.errors is None, ordinary.errors
    statement, values = statement_of(schema, context, FIGURES[name], variables)
    compiled = await connection.fetchval(statement.text, *values)
    assert isinstance(compiled, str) and compiled.encode() == orjson.dumps(ordinary.data)
    for explain in (explain_custom, explain_generic):
        assert reads_too_early(await explain(connection, statement.text, values)) == []


class OtherOrder:
    """A plant: what both executors share, but for the order, which is the opposite."""

    def __getattr__(self, name: str) -> Any:
        return getattr(conditions, name)

    @staticmethod
    def ordering(order: Order, alias: FromClause, *, backward: bool) -> list[ColumnElement[Any]]:
        return conditions.ordering(order, alias, backward=not backward)


def without_predicate(readable: Readable, number: int) -> tuple[FromClause, Sequence[ColumnElement[bool]]]:
    """A plant: only the organization is compared."""
    alias, predicates = reference(readable, number)
    return alias, predicates[:1]


def in_small_letters(value: Value, source: ColumnElement[Any]) -> ColumnElement[Any]:
    """A plant: a state is printed otherwise."""
    found = printed(value, source)
    return func.lower(found) if value.python_type is ConversationState else found


PLANTS: dict[str, Any] = {"reference": without_predicate, "conditions": OtherOrder(), "printed": in_small_letters}


@pytest.mark.parametrize("place", PLANTS)
async def test_a_planted_mistake_is_found(
    both: Callable[..., Awaitable[bytes]], here: Planted, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    actor = here.actor(Role.OPERATOR, DESK)
    await both(actor, DOCUMENTS["an inbox"])
    monkeypatch.setattr(sql, place, PLANTS[place])
    with pytest.raises(AssertionError):
        await both(actor, DOCUMENTS["an inbox"])
