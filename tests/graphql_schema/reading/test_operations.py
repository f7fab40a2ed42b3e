# SPDX-License-Identifier: EUPL-1.2
"""What is kept from one request to the next, what falls back and why, and how an unsafe statement is bound."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from graphql_schema import stages
from graphql_schema.reading import operations, sql
from graphql_schema.reading.execution import FALLBACKS, SAMPLES, STATEMENTS, Execution, Executor, counted
from graphql_schema.reading.operations import Operations
from graphql_schema.schema import ApiSchema, build_schema
from services.kernel.access import Actor, Role
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.reads import Reads
from services.kernel.settings import TenantBinding
from tests.graphql_schema.reading.planting import Planted, Query, Reader
from tests.graphql_schema.reading.test_compiled import in_small_letters

PAGE = "query Page($first: Int) { conversations(first: $first) { nodes { id state } } }"


@pytest.fixture
def fresh() -> ApiSchema:
    """A schema that has seen nothing yet."""
    return build_schema(Query)


@pytest.fixture
def compiled(reading_database: Database) -> Callable[[Actor], Reader]:
    return lambda actor: Reader(reading_database, actor, execution=Execution())


@pytest.fixture
def ordinarily(reading_database: Database) -> Callable[[Actor], Reader]:
    return lambda actor: Reader(reading_database, actor, execution=Execution(Executor.ORDINARY))


def content(result: Any) -> bytes:
    assert result.errors is None, result.errors
    return orjson.dumps(result.data)


class Calls:
    """Counts calls of a function, which goes on doing what it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.count, self.real = 0, getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        return self.real(*arguments, **options)


async def test_a_text_is_parsed_bounded_validated_planned_and_written_once(fresh, compiled, here, monkeypatch):
    once = [
        Calls(monkeypatch, stages, "check_document"),
        Calls(monkeypatch, stages, "validate"),
        Calls(monkeypatch, operations, "plan"),
        Calls(monkeypatch, operations, "needs_of"),
        Calls(monkeypatch, operations, "write"),
    ]
    answers = []
    for first in (1, 2, 3, 3):
        result = await fresh.execute(PAGE, variable_values={"first": first}, context_value=compiled(here.coordinator))
        answers.append(len(orjson.loads(content(result))["conversations"]["nodes"]))
    assert answers == [1, 2, 3, 3]
    assert [each.count for each in once] == [1] * len(once)


async def test_another_value_of_a_switch_is_another_plan_and_another_shape_another_statement(
    fresh, compiled, here, monkeypatch
):
    plans, writes = Calls(monkeypatch, operations, "plan"), Calls(monkeypatch, operations, "write")
    document = """query Q($more: Boolean = false, $filter: ConversationFilter) {
        conversations(first: 2, filter: $filter) { nodes { id state @include(if: $more) } } }"""
    keys = set()
    for variables in ({}, {"more": False}, {"more": True}, {"filter": {"state": {"eq": "OPEN"}}}):
        result = await fresh.execute(document, variable_values=variables, context_value=compiled(here.coordinator))
        keys |= {frozenset(each) for each in orjson.loads(content(result))["conversations"]["nodes"]}
    assert keys == {frozenset({"id"}), frozenset({"id", "state"})}
    assert (plans.count, writes.count) == (2, 3)


async def test_the_caches_are_bounded(fresh, compiled, here, monkeypatch):
    monkeypatch.setattr(operations, "DOCUMENT_CHARACTERS_MAX", 5 * operations.PLAN_WEIGHT)
    monkeypatch.setattr(operations, "STATEMENT_CHARACTERS_MAX", 20_000)
    kept = fresh.operations = Operations(fresh.core)
    for number in range(12):
        await fresh.execute(
            f"{{ a{number}: conversations {{ totalCount }} }}", context_value=compiled(here.coordinator)
        )
    assert len(kept._texts) < 12
    assert len(kept._plans) < 12
    assert len(kept._statements) < 12
    assert len(kept.spent()) == len(kept._texts)


async def test_the_time_of_the_database_is_kept_for_each_text(fresh, compiled, here):
    for _ in range(3):
        await fresh.execute("{ conversations { totalCount } }", context_value=compiled(here.coordinator))
    ((name, spent),) = fresh.operations.spent().items()
    assert len(name) == 64
    assert spent.runs == 3
    assert spent.seconds > 0


FALLING_BACK = {
    "introspection": "{ __schema { queryType { name } } conversations { totalCount } }",
    "undeclared": "{ viewer { person { name } } }",
    "long_key": "{ conversations { %s: totalCount } }" % ("k" * 64),
    "refused": "{ conversations(first: 101) { totalCount } }",
}


@pytest.mark.parametrize("reason", FALLING_BACK)
async def test_what_cannot_be_compiled_is_answered_the_ordinary_way_and_counted(fresh, compiled, here, reason):
    before, reader = dict(counted(FALLBACKS)), compiled(here.coordinator)
    result = await fresh.execute(FALLING_BACK[reason], context_value=reader)
    assert (result.errors is not None) is (reason == "refused")
    assert reader.execution.used is Executor.ORDINARY
    assert dict(counted(FALLBACKS))[reason] == before.get(reason, 0) + 1


async def test_who_lacks_a_permission_gets_the_same_refusal_from_a_known_text(fresh, compiled, here):
    assert content(await fresh.execute(PAGE, context_value=compiled(here.coordinator)))
    refused = await fresh.execute(PAGE, context_value=compiled(here.actor(Role.VIEWER)))
    assert [each.extensions["code"] for each in refused.errors] == ["FORBIDDEN"]
    assert refused.data is None


async def test_the_ordinary_executor_can_be_asked_for_and_answers_the_same(fresh, compiled, ordinarily, here):
    asked = ordinarily(here.coordinator)
    one = await fresh.execute(PAGE, context_value=asked)
    other = await fresh.execute(PAGE, context_value=compiled(here.coordinator))
    assert asked.execution.used is Executor.ORDINARY
    assert content(one) == content(other)


async def test_a_defect_of_the_compiler_is_answered_the_ordinary_way_and_logged(fresh, compiled, here, monkeypatch):
    def broken(*_: Any) -> Any:
        raise RuntimeError("a secret of the statement")

    monkeypatch.setattr(operations, "write", broken)
    before = dict(counted(FALLBACKS)).get("defect", 0)
    result = await fresh.execute(PAGE, variable_values={"first": 1}, context_value=compiled(here.coordinator))
    assert len(orjson.loads(content(result))["conversations"]["nodes"]) == 1
    assert dict(counted(FALLBACKS))["defect"] == before + 1


async def test_a_database_that_is_away_is_told_and_nothing_is_tried_twice(fresh, compiled, here, monkeypatch):
    tried = 0

    async def away(*_: Any) -> Any:
        nonlocal tried
        tried += 1
        raise ServiceUnavailable

    monkeypatch.setattr(Reads, "value", away)
    result = await fresh.execute(PAGE, context_value=compiled(here.coordinator))
    assert result.data is None
    assert [each.extensions["code"] for each in result.errors] == ["SERVICE_UNAVAILABLE"]
    assert tried == 1


async def test_a_statement_that_cannot_be_shown_safe_runs_in_a_transaction_and_answers_right(
    fresh, compiled, ordinarily, here, monkeypatch, unwatched_statements
):
    """The planted shape: without `offset 0` and its guard PostgreSQL merges the root into the outermost level."""
    real = operations.write

    def flat(plan: Any, requests: Any, binding: TenantBinding) -> Any:
        written = real(plan, requests, binding)
        if binding is TenantBinding.TRANSACTION:
            return written
        text = """with bound as materialized (select set_config('app.tenant_id', $1::text, true)::uuid as tenant)
            select json_build_object('conversations', json_build_object('totalCount', count(*)))::text
            from bound, belfry.conversation c where c.tenant_id = $1::text::uuid"""
        return operations.Statement(text, (lambda actor, _: str(actor.tenant_id),))

    monkeypatch.setattr(operations, "write", flat)
    before = dict(counted(STATEMENTS))
    document = "{ conversations { totalCount } }"
    reader = compiled(here.coordinator)
    answer = await fresh.execute(document, context_value=reader)
    assert reader.execution.used is Executor.COMPILED
    assert content(answer) == content(await fresh.execute(document, context_value=ordinarily(here.coordinator)))
    after = dict(counted(STATEMENTS))
    assert after["transaction"] == before.get("transaction", 0) + 1
    assert after.get("statement", 0) == before.get("statement", 0)


async def test_a_safe_statement_is_one_round_trip_outside_of_any_transaction(fresh, compiled, here, monkeypatch):
    seen: list[str] = []
    real = Reads.value

    async def see(self: Reads, text: str, values: Any) -> Any:
        seen.append(text)
        return await real(self, text, values)

    monkeypatch.setattr(Reads, "value", see)
    for _ in range(2):
        await fresh.execute(PAGE, context_value=compiled(here.coordinator))
    assert len(seen) == 2
    assert all(text.startswith("WITH bound AS MATERIALIZED") for text in seen)


async def test_the_organization_of_one_read_is_gone_before_the_next(reading_database: Database, here: Planted):
    """Whatever a statement binds, it binds for itself."""
    bind = "select set_config('app.tenant_id', $1, true)"
    from tests.support.statements import unwatched

    with unwatched():
        assert await reading_database.reads.value(bind, [str(here.organization.id)])
        assert not await reading_database.reads.value("select current_setting('app.tenant_id', true)", [])


async def test_a_sampled_read_is_compared_with_the_ordinary_way_at_one_moment(compiled, here, monkeypatch):
    before, document = dict(counted(SAMPLES)), "{ conversations(first: 3) { nodes { id state department { name } } } }"
    sampled = build_schema(Query, sampled_share=1)
    answer = content(await sampled.execute(document, context_value=compiled(here.coordinator)))
    assert dict(counted(SAMPLES))["equal"] == before.get("equal", 0) + 1
    monkeypatch.setattr(sql, "printed", in_small_letters)
    mistaken = build_schema(Query, sampled_share=1)
    wrong = content(await mistaken.execute(document, context_value=compiled(here.coordinator)))
    assert wrong != answer
    assert dict(counted(SAMPLES))["different"] == before.get("different", 0) + 1
