# SPDX-License-Identifier: EUPL-1.2
"""The catalogue lint: clean after every migration step, up and down, and never blind to a planted violation."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import services.models  # noqa: F401  registers every table
from alembic import command
from services.kernel import catalogue, migrations
from services.kernel.catalogue import Finding
from services.kernel.isolation import BOOKKEEPING, TableKind, table_registry
from tests.support import database as databases
from tests.support.servers import Servers, make_settings, migrate

ROOT = Path(__file__).resolve().parents[3]
NO_POLICY = "DROP POLICY tenant ON belfry.department"
POLICY = "USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"

PLANTED: Mapping[tuple[str, str], list[str]] = {
    ("not a tenant table?", "stray"): ["CREATE TABLE belfry.stray (id int)"],
    ("tenant_id not first or nullable", "late"): ["CREATE TABLE belfry.late (id uuid, tenant_id uuid NOT NULL)"],
    ("tenant_id not first or nullable", "loose"): ["CREATE TABLE belfry.loose (tenant_id uuid)"],
    ("default on tenant_id", "belfry.department"): [
        "ALTER TABLE belfry.department ALTER COLUMN tenant_id SET DEFAULT '0199c0de-0000-7000-8000-000000000000'"
    ],
    ("row security not forced", "department"): ["ALTER TABLE belfry.department NO FORCE ROW LEVEL SECURITY"],
    ("row security not forced", "membership"): ["ALTER TABLE belfry.membership DISABLE ROW LEVEL SECURITY"],
    ("row security not forced", "audit_event_rest"): [
        "ALTER TABLE belfry.audit_event_rest NO FORCE ROW LEVEL SECURITY"
    ],
    ("not one policy of the template", "department"): [NO_POLICY],
    ("not one policy of the template", "membership"): [f"CREATE POLICY more ON belfry.membership {POLICY}"],
    ("not one policy of the template", "category"): ["CREATE POLICY open ON belfry.category FOR SELECT USING (true)"],
    ("not one policy of the template", "message"): [
        "DROP POLICY tenant ON belfry.message",
        f"CREATE POLICY tenant ON belfry.message FOR SELECT {POLICY}",
    ],
    ("not one policy of the template", "contact"): [
        "DROP POLICY tenant ON belfry.contact",
        f"CREATE POLICY tenant ON belfry.contact {POLICY} WITH CHECK (true)",
    ],
    ("not one policy of the template", "claim"): [
        "DROP POLICY tenant ON belfry.claim",
        "CREATE POLICY tenant ON belfry.claim USING (tenant_id = current_setting('app.tenant_id')::uuid)",
    ],
    ("not one policy of the template", "reply"): [
        "DROP POLICY tenant ON belfry.reply",
        f"CREATE POLICY tenant ON belfry.reply AS RESTRICTIVE {POLICY}",
    ],
    ("second permissive policy?", "department.peek to belfry_search"): [
        "CREATE POLICY peek ON belfry.department TO belfry_search USING (true)"
    ],
    ("second permissive policy?", "message.search to belfry_app, belfry_search"): [
        "ALTER POLICY search ON belfry.message TO belfry_search, belfry_app"
    ],
    ("subquery in policy", "belfry.department.slow"): [
        "CREATE POLICY slow ON belfry.department AS RESTRICTIVE USING (tenant_id = (SELECT tenant_id))"
    ],
    ("key without tenant_id first", "belfry.uq_code"): ["CREATE UNIQUE INDEX uq_code ON belfry.department (code)"],
    ("key without tenant_id first", "belfry.uq_order"): [
        "CREATE UNIQUE INDEX uq_order ON belfry.department (code, tenant_id)"
    ],
    ("foreign key without tenant_id", "belfry.membership.fk_short"): [
        "ALTER TABLE belfry.department ADD CONSTRAINT uq_short UNIQUE (id)",
        "ALTER TABLE belfry.membership ADD CONSTRAINT fk_short FOREIGN KEY (person_id)"
        " REFERENCES belfry.department (id)",
    ],
    ("foreign key without tenant_id", "belfry.person.fk_up"): [
        "ALTER TABLE belfry.department ADD CONSTRAINT uq_up UNIQUE (id)",
        "ALTER TABLE belfry.person ADD CONSTRAINT fk_up FOREIGN KEY (id) REFERENCES belfry.department (id)",
    ],
    ("foreign key action", "belfry.membership.fk_null"): [
        "ALTER TABLE belfry.membership ADD CONSTRAINT fk_null FOREIGN KEY (tenant_id, person_id)"
        " REFERENCES belfry.department (tenant_id, id) ON DELETE SET NULL (person_id)"
    ],
    ("foreign key action", "belfry.membership.fk_move"): [
        "ALTER TABLE belfry.membership ADD CONSTRAINT fk_move FOREIGN KEY (tenant_id, person_id)"
        " REFERENCES belfry.department (tenant_id, id) ON UPDATE CASCADE"
    ],
    ("trigger", "belfry.department.touch"): [
        "CREATE FUNCTION belfry.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER touch BEFORE UPDATE ON belfry.department FOR EACH ROW EXECUTE FUNCTION belfry.touch()",
    ],
    ("view", "names"): ["CREATE VIEW belfry.names AS SELECT name FROM belfry.department"],
    ("view", "counted"): ["CREATE MATERIALIZED VIEW belfry.counted AS SELECT count(*) FROM belfry.department"],
    ("security definer?", "all_names"): [
        "CREATE FUNCTION belfry.all_names() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::text'"
    ],
    ("security definer not narrow", "search_conversations"): [
        "ALTER FUNCTION belfry.search_conversations RESET search_path"
    ],
    ("security definer not narrow", "search_conversations_alike"): [
        "GRANT EXECUTE ON FUNCTION belfry.search_conversations_alike TO PUBLIC"
    ],
    ("security definer not narrow", "all_texts"): [
        "CREATE FUNCTION belfry.all_texts() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = ''"
        " AS 'SELECT 1::text'",
        "REVOKE ALL ON FUNCTION belfry.all_texts FROM PUBLIC",
    ],
    ("read by search?", "contact.email"): ["GRANT SELECT (email) ON belfry.contact TO belfry_search"],
    ("read by search?", "department.name"): ["GRANT SELECT ON belfry.department TO belfry_search"],
    ("written by search", "message"): ["GRANT UPDATE (text) ON belfry.message TO belfry_search"],
    ("written by search", "contact"): ["GRANT DELETE ON belfry.contact TO belfry_search"],
    ("becomes search", "belfry_search"): ["ALTER ROLE belfry_search LOGIN"],
    ("becomes search", "belfry_app"): ["GRANT belfry_search TO belfry_app WITH INHERIT FALSE"],
    ("becomes search", "belfry_owner"): ["GRANT belfry_search TO belfry_owner WITH INHERIT TRUE"],
    ("32-bit sequence", "small"): ["CREATE SEQUENCE belfry.small AS int"],
    ("volatile default?", "belfry.department: gen_random_uuid()"): [
        "ALTER TABLE belfry.department ALTER COLUMN id SET DEFAULT gen_random_uuid()"
    ],
    ("volatile default?", "belfry.department: clock_timestamp()"): [
        "ALTER TABLE belfry.department ALTER COLUMN created_at SET DEFAULT clock_timestamp()"
    ],
    ("partition granted", "audit_event_rest"): ["GRANT SELECT ON belfry.audit_event_rest TO belfry_app"],
    ("privilege of app", "department truncate"): ["GRANT TRUNCATE ON belfry.department TO belfry_app"],
    ("privilege of app", "department references"): ["GRANT REFERENCES ON belfry.department TO belfry_app"],
    ("privilege of app", "department trigger"): ["GRANT TRIGGER ON belfry.department TO belfry_app"],
    ("privilege of app", "department maintain"): ["GRANT MAINTAIN ON belfry.department TO belfry_app"],
    ("grant to PUBLIC", "department"): ["GRANT SELECT ON belfry.department TO PUBLIC"],
    ("owner", "department"): ["ALTER TABLE belfry.department OWNER TO postgres"],
    ("owner", "counter"): ["CREATE SEQUENCE belfry.counter"],
    ("role", "belfry_search"): ["ALTER ROLE belfry_search BYPASSRLS"],
    ("role", "belfry_app"): ["ALTER ROLE belfry_app CREATEDB"],
    ("role", "belfry_relay"): ["ALTER ROLE belfry_relay CREATEROLE"],
    ("role", "belfry_auditor"): ["ALTER ROLE belfry_auditor SUPERUSER"],
}  # fmt: skip
"""What the lint must say → what is planted for it, as superuser, inside a transaction that is rolled back."""


@pytest.fixture(scope="module")
def database_urls(servers: Servers) -> Iterator[Mapping[str, str]]:
    """A database without rows: a planted key must break a convention, not meet a row that breaks the key."""
    name = databases.new_name("lint")
    yield databases.create_copy(servers, name)
    databases.drop(servers, name)


@asynccontextmanager
async def connected(urls: Mapping[str, str], role: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(urls[role])
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def lint(urls: Mapping[str, str]) -> list[Finding]:
    async with connected(urls, "belfry_owner") as connection:
        return await catalogue.lint(connection)


async def columns_keys_and_policies(urls: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """The whole schema as rows that can be compared."""
    query = """
        select 'column', c.relname::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull::text
            || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = 'belfry'::regnamespace and c.relkind in ('r', 'p')
        union all select 'constraint', conrelid::regclass::text, conname || pg_get_constraintdef(oid) from pg_constraint
            where connamespace = 'belfry'::regnamespace
        union all select 'index', tablename::text, indexdef from pg_indexes where schemaname = 'belfry'
        union all select 'policy', tablename::text, policyname || coalesce(qual, '') from pg_policies
            where schemaname = 'belfry'
        union all select 'grant', table_name::text, grantee || privilege_type from information_schema.role_table_grants
            where table_schema = 'belfry'
        order by 1, 2, 3
    """
    async with connected(urls, "belfry_owner") as connection:
        return [tuple(row) for row in (await connection.exec_driver_sql(query)).all()]


async def test_the_lint_is_clean_after_every_step_up_and_down(
    blank_database: Mapping[str, str], valkey_url: str, tell: Callable[[str], None]
) -> None:
    owner = blank_database["belfry_owner"]
    script = ScriptDirectory.from_config(migrations.config(owner))
    steps = [each.revision for each in reversed(list(script.walk_revisions()))]
    assert len(steps) == len(list((ROOT / "alembic" / "versions").glob("*.py"))), "one line of revisions, no branch"

    for revision in steps:
        await asyncio.to_thread(migrate, blank_database, valkey_url, revision)
        assert await lint(blank_database) == [], f"after upgrade to {revision}"
    async with connected(blank_database, "belfry_owner") as connection:
        assert await catalogue.compare_with_registry(connection) == []
        assert await migrations.current_revision(connection) == steps[-1]
    await asyncio.to_thread(command.check, migrations.config(owner))
    at_head = await columns_keys_and_policies(blank_database)

    for revision in [*reversed(steps[:-1]), "base"]:
        await asyncio.to_thread(command.downgrade, migrations.config(owner), revision)
        assert await lint(blank_database) == [], f"after downgrade to {revision}"
    async with connected(blank_database, "belfry_owner") as connection:
        assert set((await connection.execute(catalogue.TABLES)).scalars()) == BOOKKEEPING, "nothing is left behind"

    await asyncio.to_thread(migrate, blank_database, valkey_url)
    assert await columns_keys_and_policies(blank_database) == at_head
    tell(f"lint clean after {2 * len(steps)} steps; {len(at_head)} facts of the schema equal after down and up")


async def test_two_runners_that_start_at_once_take_turns(blank_database: Mapping[str, str], valkey_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate, blank_database, valkey_url) for _ in range(3)))
    assert await lint(blank_database) == []


async def test_whoever_makes_the_lock_too_late_finds_it_made(blank_database: Mapping[str, str]) -> None:
    engine = create_async_engine(blank_database["belfry_owner"], pool_size=8)
    try:
        for _ in range(15):
            await asyncio.gather(*(migrations.make_lock(engine) for _ in range(8)))
            async with engine.begin() as connection:
                await connection.exec_driver_sql("drop table belfry.migration_lock")
    finally:
        await engine.dispose()


async def test_a_clean_schema_has_no_finding(database_urls: Mapping[str, str]) -> None:
    async with connected(database_urls, "belfry_owner") as connection:
        assert await catalogue.lint(connection) == []
        assert await catalogue.compare_with_registry(connection) == []


@pytest.mark.parametrize(("expected", "statements"), PLANTED.items(), ids=[" ".join(each) for each in PLANTED])
async def test_a_planted_violation_is_found(
    database_urls: Mapping[str, str], expected: tuple[str, str], statements: list[str]
) -> None:
    async with connected(database_urls, "postgres") as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
        found = await catalogue.lint(connection)
        await connection.rollback()
    assert Finding(*expected) in found


def test_every_rule_of_the_lint_has_a_planted_violation() -> None:
    rules = set(re.findall(r"select '([^']+)'(?: as rule)?,", str(catalogue.LINT)))
    assert len(rules) == 24
    assert {rule for rule, _ in PLANTED} == rules


async def test_a_table_that_only_the_catalogue_or_only_the_code_knows_is_found(
    database_urls: Mapping[str, str],
) -> None:
    async with connected(database_urls, "postgres") as connection:
        await connection.exec_driver_sql("CREATE TABLE belfry.unclassified (tenant_id uuid NOT NULL)")
        await connection.exec_driver_sql("DROP TABLE belfry.inbox")
        found = await catalogue.compare_with_registry(connection)
        await connection.rollback()
    assert found == [Finding("class without a table", "inbox"), Finding("table without a class", "unclassified")]


async def test_a_later_foreign_key_refuses_a_planted_orphan(fresh_database: Mapping[str, str]) -> None:
    """Row security hides rows from the owner too: without lifting it the key would pass over the orphan."""
    naive = (
        "ALTER TABLE belfry.inbox ADD CONSTRAINT fk_naive FOREIGN KEY (tenant_id, event_id)"
        " REFERENCES belfry.department (tenant_id, id)"
    )
    async with connected(fresh_database, "postgres") as connection:
        await connection.exec_driver_sql(
            "INSERT INTO belfry.inbox (tenant_id, event_id, handler) VALUES (uuidv7(), uuidv7(), 'orphan')"
        )
        await connection.commit()

    class Recorder:
        """Stands for `alembic.op` over one connection."""

        def __init__(self, connection: AsyncConnection) -> None:
            self.statements: list[str] = []

        def execute(self, sqltext: str) -> None:
            self.statements.append(sqltext)

        def create_table(self, *_: Any, **__: Any) -> None: ...
        def create_foreign_key(self, *_: Any, **__: Any) -> None: ...

    async with connected(fresh_database, "belfry_owner") as connection:
        await connection.exec_driver_sql(naive)
        await connection.rollback()  # it passed: that is the trap

        recorder = Recorder(connection)
        migrations.add_reference(recorder, "inbox", "event_id", "department")
        with pytest.raises(Exception, match="fk_inbox_event_id"):
            for statement in recorder.statements:
                await connection.exec_driver_sql(statement)
        await connection.rollback()
        assert await catalogue.lint(connection) == []

    async with connected(fresh_database, "postgres") as connection:
        await connection.exec_driver_sql("DELETE FROM belfry.inbox")
        await connection.commit()
    async with connected(fresh_database, "belfry_owner") as connection:
        for statement in recorder.statements:
            await connection.exec_driver_sql(statement)
        await connection.commit()
    assert await lint(fresh_database) == []


async def test_a_backfill_reaches_the_rows_of_every_organization(fresh_database: Mapping[str, str]) -> None:
    async with connected(fresh_database, "postgres") as connection:
        await connection.exec_driver_sql(
            "INSERT INTO belfry.inbox (tenant_id, event_id, handler) SELECT uuidv7(), uuidv7(), 'old'"
            " FROM generate_series(1, 3)"
        )
        await connection.commit()
    statements: list[str] = []

    class Recorder:
        def execute(self, sqltext: str) -> None:
            statements.append(sqltext)

        def create_table(self, *_: Any, **__: Any) -> None: ...
        def create_foreign_key(self, *_: Any, **__: Any) -> None: ...

    change = "UPDATE belfry.inbox SET handler = 'new' WHERE handler = 'old'"
    migrations.backfill(Recorder(), "inbox", change)
    async with connected(fresh_database, "belfry_owner") as connection:
        assert (await connection.exec_driver_sql(change)).rowcount == 0, "the trap: forced row security hides them"
        changed = [(await connection.exec_driver_sql(each)).rowcount for each in statements]
        assert changed[statements.index(change)] == 3
        await connection.commit()
        assert await catalogue.lint(connection) == []


def test_every_table_is_classified() -> None:
    kinds = table_registry()
    assert {name for name, kind in kinds.items() if kind is TableKind.PLATFORM_LOCAL} == {
        *BOOKKEEPING,
        *("person", "person_organization", "door"),
    }


def test_no_package_marker_hides_the_library() -> None:
    assert list((ROOT / "alembic").rglob("__init__.py")) == []
    assert Path(command.__file__).is_relative_to(ROOT / "alembic") is False


def test_migrations_alone_write_policies() -> None:
    helper = ROOT / "services" / "kernel" / "migrations.py"
    for path in [*ROOT.joinpath("services").rglob("*.py"), *ROOT.joinpath("alembic").rglob("*.py")]:
        if path != helper:
            assert "CREATE POLICY" not in path.read_text().upper(), path


async def test_the_test_settings_name_every_role(database_urls: Mapping[str, str], valkey_url: str) -> None:
    settings = make_settings(database_urls, valkey_url)
    for role in ("belfry_owner", "belfry_relay", "belfry_auditor"):
        assert settings.database_url_as(role) == database_urls[role]
