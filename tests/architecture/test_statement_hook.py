# SPDX-License-Identifier: EUPL-1.2
"""The test-only statement hook finds what it must find, and is quiet about what Belfry writes."""

from collections.abc import Mapping

import pytest
from sqlmodel import col, select

from services.conversations import queries as conversations
from services.conversations.models import Conversation
from services.kernel.database import Database
from services.kernel.identifiers import new
from services.kernel.isolation import owned
from services.tenancy.models import Department
from tests.support import statements
from tests.support.database import connection_as
from tests.support.organizations import TestOrganization
from tests.support.statement_rules import violations

APP = statements.DEMANDS["belfry_app"]
RELAY = statements.DEMANDS["belfry_relay"]

PLANTED = {
    "department is read without tenant_id = $n": [
        "SELECT id FROM belfry.department",
        "SELECT id FROM department WHERE id = $1",
        "SELECT id FROM belfry.department WHERE tenant_id = $1 OR id = $2",
        "SELECT id FROM belfry.department WHERE tenant_id = '0199c0de-0000-7000-8000-000000000000'",
        "SELECT id FROM belfry.department WHERE tenant_id = id",
        "SELECT id FROM belfry.department WHERE NOT tenant_id = $1",
        "SELECT id FROM belfry.department WHERE tenant_id IN ($1, $2)",
        "SELECT d.id FROM belfry.department d, belfry.membership m WHERE m.tenant_id = $1",
        "SELECT d.id FROM belfry.membership m JOIN belfry.department d ON d.id = m.id WHERE m.tenant_id = $1",
        "SELECT 1 FROM belfry.membership m WHERE m.tenant_id = $1 AND EXISTS (SELECT FROM belfry.department)",
        "SELECT 1 FROM belfry.department d LEFT JOIN belfry.membership m ON d.tenant_id = m.tenant_id"
        " AND m.tenant_id = $1",
        "SELECT 1 FROM belfry.membership m JOIN (belfry.department d CROSS JOIN belfry.category c)"
        " ON c.tenant_id = m.tenant_id WHERE m.tenant_id = $1",
        "SELECT 1 FROM belfry.membership m JOIN LATERAL (SELECT id FROM belfry.department) d ON true"
        " WHERE m.tenant_id = $1",
        "SELECT id FROM belfry.membership WHERE tenant_id = $1 UNION ALL SELECT id FROM belfry.department",
        "INSERT INTO belfry.inbox (tenant_id, event_id) SELECT $1, id FROM belfry.department",
        "WITH d AS (SELECT id FROM belfry.department) SELECT id FROM d",
        "EXPLAIN (ANALYZE, BUFFERS) SELECT id FROM belfry.department",
    ],
    "FOR UPDATE of job without tenant_id = $n": [
        "SELECT id FROM belfry.job WHERE id = $1 FOR UPDATE",
        "SELECT id FROM belfry.job WHERE state = 'WAITING' FOR UPDATE SKIP LOCKED",
    ],
    "UPDATE of job without tenant_id = $n": [
        "UPDATE belfry.job SET attempts = 0 WHERE id = $1",
        "UPDATE belfry.job SET attempts = 0 FROM belfry.outbox o WHERE o.tenant_id = $1",
    ],
    "DELETE of job without tenant_id = $n": ["DELETE FROM belfry.job WHERE due_at < $1"],
    "MERGE of job without tenant_id = $n": [
        "MERGE INTO belfry.job j USING (SELECT $1::uuid AS id) s ON j.id = s.id WHEN MATCHED THEN DELETE"
    ],
    "an INSERT into job that does not name tenant_id": ["INSERT INTO belfry.job (id) VALUES ($1)"],
    "an ON CONFLICT of inbox whose key lacks tenant_id": [
        "INSERT INTO belfry.inbox (tenant_id, event_id) VALUES ($1, $2) ON CONFLICT (event_id) DO NOTHING"
    ],
    "set_config outside the compiled read": [
        "SELECT set_config('app.tenant_id', $1, true)",
        "SELECT set_config('app.tenant_id', $1, false)",
        "WITH bound AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, false) AS tenant) SELECT 1 FROM bound",
        "WITH bound AS MATERIALIZED (SELECT set_config('app.tenant_id', 'x', true) AS tenant) SELECT 1 FROM bound",
        "WITH bound AS MATERIALIZED (SELECT set_config('app.other', $1, true) AS tenant) SELECT 1 FROM bound",
        "WITH bound AS (SELECT set_config('app.tenant_id', $1, true) AS tenant) SELECT 1 FROM bound",
        "SELECT 1 FROM (WITH bound AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true)) SELECT 1) x",
    ],
    "a tenant set for the whole session": [
        "SET app.tenant_id = '0199c0de-0000-7000-8000-000000000000'",
        "SET SESSION app.tenant_id = '0199c0de-0000-7000-8000-000000000000'",
    ],
    "NOTIFY": ["NOTIFY work, 'x'", "SELECT pg_notify('work', $1)", "LISTEN work"],
    "an advisory lock": [
        "SELECT pg_advisory_xact_lock($1)",
        "SELECT pg_try_advisory_lock(1)",
        "UPDATE belfry.job SET attempts = 0 WHERE tenant_id = $1 AND pg_try_advisory_xact_lock(1)",
    ],
    "a volatile call in an UPDATE: clock_timestamp()": [
        "UPDATE belfry.job SET due_at = clock_timestamp() WHERE tenant_id = $1",
        "INSERT INTO belfry.job (tenant_id) VALUES ($1) ON CONFLICT (tenant_id, id) DO UPDATE"
        " SET due_at = clock_timestamp()",
    ],
    "a volatile call in an UPDATE: random()": [
        "UPDATE belfry.job SET attempts = (SELECT random()) WHERE tenant_id = $1"
    ],
    "a volatile call in an UPDATE: gen_random_uuid()": [
        "UPDATE belfry.job SET subject_id = gen_random_uuid() WHERE tenant_id = $1"
    ],
    "a volatile call in an UPDATE: uuidv7()": ["UPDATE belfry.job SET subject_id = uuidv7() WHERE tenant_id = $1"],
    "a volatile call in an UPDATE: nextval()": ["UPDATE belfry.job SET fence = nextval('x') WHERE tenant_id = $1"],
}

CLEAN = [
    "SELECT id FROM belfry.department WHERE tenant_id = $1",
    "SELECT id FROM belfry.department AS d WHERE (d.tenant_id = $1::UUID) AND (d.id = $2 OR d.code = $3)",
    "SELECT id FROM belfry.department WHERE CAST($1 AS UUID) = tenant_id FOR UPDATE SKIP LOCKED",
    "SELECT 1 FROM belfry.department d LEFT JOIN belfry.claim c ON c.tenant_id = d.tenant_id WHERE d.tenant_id = $1",
    "SELECT 1 FROM belfry.department d, belfry.membership m WHERE m.tenant_id = d.tenant_id AND m.tenant_id = $1",
    "SELECT 1 FROM belfry.membership m JOIN (belfry.department d JOIN belfry.category c ON d.tenant_id = c.tenant_id)"
    " ON c.tenant_id = m.tenant_id WHERE m.tenant_id = $1",
    "SELECT 1 FROM belfry.message m WHERE m.tenant_id = $1 AND EXISTS (SELECT 1 FROM belfry.conversation c"
    " WHERE c.tenant_id = m.tenant_id AND c.id = m.conversation_id)",
    "WITH d AS (SELECT tenant_id, id FROM belfry.department WHERE tenant_id = $1) SELECT id FROM d",
    "WITH department AS (SELECT 1 AS id) SELECT id FROM department",
    "SELECT f.id FROM unnest($1::uuid[]) WITH ORDINALITY AS f(id, n) JOIN LATERAL (SELECT id FROM belfry.message m"
    " WHERE m.tenant_id = $2 AND m.conversation_id = f.id ORDER BY m.id LIMIT 20) x ON true",
    "UPDATE belfry.job SET due_at = now(), fence = fence + 1 WHERE tenant_id = $1 AND id = $2 RETURNING fence",
    "UPDATE belfry.job SET attempts = 0 FROM belfry.outbox o WHERE o.tenant_id = $1 AND job.tenant_id = o.tenant_id",
    "DELETE FROM belfry.job WHERE tenant_id = $1",
    "INSERT INTO belfry.inbox (tenant_id, event_id) SELECT $1, x FROM unnest($2::uuid[]) AS x"
    " ON CONFLICT (tenant_id, event_id, handler) DO NOTHING RETURNING id",
    "SELECT id FROM belfry.person WHERE email = $1",
    "SET LOCAL lock_timeout = '1s'",
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "SELECT current_setting('app.tenant_id', true), now()",
    "WITH bound AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS tenant) SELECT row_to_json(op)::text"
    ' FROM bound CROSS JOIN LATERAL (SELECT (SELECT d.name FROM belfry.department d WHERE d.tenant_id = $2) AS "x"'
    " WHERE bound.tenant IS NOT NULL OFFSET 0) op",
]


@pytest.mark.parametrize(("rule", "sql"), [(rule, sql) for rule, texts in PLANTED.items() for sql in texts])
def test_a_planted_violation_is_found(rule: str, sql: str) -> None:
    assert rule in violations(sql, APP)


@pytest.mark.parametrize("sql", CLEAN)
def test_a_statement_that_names_its_organization_is_clean(sql: str) -> None:
    assert violations(sql, APP) == ()


def test_what_cannot_be_parsed_is_not_let_through() -> None:
    assert violations("SELECT FROM WHERE (", APP)[0].startswith("cannot be parsed")


def test_the_relay_may_look_across_organizations_at_its_own_tables_and_change_nothing_there() -> None:
    assert violations("SELECT DISTINCT tenant_id FROM belfry.outbox WHERE state = 'WAITING'", RELAY) == ()
    assert violations("SELECT id FROM belfry.job WHERE due_at < now() FOR UPDATE SKIP LOCKED", RELAY)
    assert violations("UPDATE belfry.job SET rung_until = now()", RELAY)
    assert violations("SELECT id FROM belfry.department", RELAY)


async def test_the_hook_sees_what_passes_sqlalchemy(database: Database, organization: TestOrganization) -> None:
    async with database.snapshot(organization.system) as snapshot:
        await snapshot.scalars(select(Department))
        await snapshot.scalars(select(Department))
    found = statements.take_violations()
    assert [each.splitlines()[0] for each in found].count("department is read without tenant_id = $n") >= 2


async def test_the_hook_sees_raw_calls_of_asyncpg(database_urls: Mapping[str, str]) -> None:
    async with connection_as(database_urls, "belfry_app") as connection:
        for name in ("fetch", "fetchrow", "fetchval", "execute", "prepare"):
            await getattr(connection, name)("SELECT id FROM belfry.department LIMIT 0")
            assert len(statements.take_violations()) == 1, name
        async with connection.transaction():
            await connection.cursor("SELECT id FROM belfry.department LIMIT 0")
        assert len(statements.take_violations()) == 1


async def test_administrators_are_not_judged(database_urls: Mapping[str, str]) -> None:
    async with connection_as(database_urls, "postgres") as connection:
        await connection.fetch("SELECT id FROM belfry.department")
    assert statements.take_violations() == []


async def test_the_widest_predicate_of_belfry_is_clean(database: Database, organization: TestOrganization) -> None:
    async with database.snapshot(organization.system) as snapshot:
        await snapshot.scalars(
            owned(Conversation, col(Conversation.id) == new(), conversations.CONVERSATION_IS_VISIBLE)
        )
    assert statements.take_violations() == []
