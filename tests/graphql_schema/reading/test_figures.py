# SPDX-License-Identifier: EUPL-1.2
"""Figures: a SELECT with named arguments becomes a type, its arguments the field's."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import strawberry
from sqlalchemy import DateTime, Integer, Uuid, bindparam, cast, func, or_, select
from sqlmodel import col

from graphql_schema.reading.declarations import REGISTRY, Argument, encode_id
from graphql_schema.reading.mapping import column, computed, figure, never_null, typed
from graphql_schema.schema import build_schema
from graphql_schema.tenancy.types import Department
from services.conversations.models import Conversation
from services.conversations.rules import ConversationState, Priority
from services.kernel.access import Permission, Role
from services.kernel.isolation import ACTOR

C = Conversation
SINCE = bindparam("argument_since", type_=DateTime(timezone=True))
DEPARTMENT = bindparam("argument_department_id", type_=Uuid())
COUNTS = (
    select(
        col(C.state).label("state"),
        col(C.priority).label("priority"),
        func.count().label("n"),
        func.max(col(C.opened_at)).label("latest"),
    )
    .where(
        col(C.tenant_id) == ACTOR.tenant,
        or_(SINCE.is_(None), col(C.opened_at) >= SINCE),
        or_(DEPARTMENT.is_(None), col(C.department_id) == DEPARTMENT),
    )
    .group_by(col(C.state), col(C.priority))
    .order_by(col(C.state), col(C.priority))
    .subquery("counts")
)
TOTAL = select(func.count().label("n")).where(col(C.tenant_id) == ACTOR.tenant).subquery("total")


@pytest.fixture(scope="module")
def counting() -> Iterator[Any]:
    """A schema with two figures."""
    before = dict(REGISTRY)
    arguments = {
        "since": Argument(datetime, "From when on."),
        "department_id": Argument(None, "Only this department.", node=Department),
    }

    @figure(COUNTS, permission=Permission.METRICS_READ, arguments=arguments)
    class StateCount:
        """How many conversations stand where."""

        state: ConversationState = column(never_null(COUNTS.c.state), "Where they stand.")
        priority: Priority = column(never_null(typed(Priority, COUNTS.c.priority)), "How urgent they are.")
        n: int = column(never_null(cast(COUNTS.c.n, Integer)), "How many.")
        latest: datetime | None = column(COUNTS.c.latest, "When the last one was opened.")

    @figure(TOTAL, permission=Permission.CONVERSATION_READ)
    class Total:
        """How many conversations there are."""

        n: int = column(never_null(cast(TOTAL.c.n, Integer)), "How many.")

    @strawberry.type
    class Query:
        state_counts: list[StateCount] = computed("By state and priority.")
        total: Total | None = computed("All of them.")

    yield build_schema(Query)
    REGISTRY.clear()
    REGISTRY.update(before)


async def run(schema: Any, context: Any, document: str, **variables: Any) -> Any:
    result = await schema.execute(document, variable_values=variables, context_value=context)
    assert result.errors is None, result.errors
    return result.data


BY_STATE = """query ByState($since: DateTime, $departmentId: ID) {
  stateCounts(since: $since, departmentId: $departmentId) { state priority n latest } }"""


async def test_a_figure_is_a_short_list_or_one_row(counting, reader, here):
    data = await run(counting, reader(here.coordinator), "{ stateCounts { state priority n latest } total { n } }")
    expected: dict[tuple[str, str], int] = {}
    for row in here.conversations:
        key = (row.state.value, Priority(row.priority).name)
        expected[key] = expected.get(key, 0) + 1
    assert {(each["state"], each["priority"]): each["n"] for each in data["stateCounts"]} == expected
    assert data["total"] == {"n": len(here.conversations)}


async def test_arguments_become_parameters_and_ids_are_decoded(counting, reader, here, there):
    department = here.organization.departments["ROADS"]
    data = await run(counting, reader(here.coordinator), BY_STATE, departmentId=encode_id(Department, department))
    assert sum(each["n"] for each in data["stateCounts"]) == sum(
        row.department_id == department for row in here.conversations
    )
    moment = sorted(row.opened_at for row in here.conversations)[20]
    data = await run(counting, reader(here.coordinator), BY_STATE, since=moment.isoformat())
    assert sum(each["n"] for each in data["stateCounts"]) == sum(row.opened_at >= moment for row in here.conversations)
    foreign = encode_id(Department, there.organization.departments["ROADS"])
    for strange in ("nonsense", foreign, encode_id(Department, here.organization.id)):
        data = await run(counting, reader(here.coordinator), BY_STATE, departmentId=strange)
        assert data["stateCounts"] == []


async def test_a_figure_has_its_permission_too(counting, reader, here):
    viewer = reader(here.actor(Role.VIEWER))
    assert (await counting.execute("{ stateCounts { n } }", context_value=viewer)).errors is None
    refused = await counting.execute("{ stateCounts { n } total { n } }", context_value=viewer)
    assert refused.data is None
    assert [each.extensions["code"] for each in refused.errors] == ["FORBIDDEN"]
