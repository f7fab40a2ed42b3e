# SPDX-License-Identifier: EUPL-1.2
"""P2: the database itself refuses. Every tenant table × verb × wrong organization, as raw SQL of the app's role."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from services.kernel import identifiers
from services.kernel.isolation import TableKind, table_registry
from tests.support.database import connection_as
from tests.support.rows import rows_of, tenant_tables

pytestmark = pytest.mark.usefixtures("unwatched_statements")

DIALECT = postgresql.dialect()
REFUSALS = (
    asyncpg.InsufficientPrivilegeError,  # no such right, or the row is outside the policy
    asyncpg.InvalidTextRepresentationError,  # a malformed organization cannot be compared at all
)
OUTSIDERS = {"malformed": "Robert'); DROP TABLE students; --", "empty": "", "unset": None}


@dataclass(frozen=True)
class Seeded:
    """Two organizations with a row of every table each."""

    urls: Mapping[str, str]
    victim: UUID
    stranger: UUID
    rows: Mapping[str, dict[str, Any]]
    """The victim's row of every table."""
    strangers_rows: Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
async def seeded(database_urls: Mapping[str, str]) -> Seeded:
    victim, stranger = identifiers.new(), identifiers.new()
    async with connection_as(database_urls, "postgres") as connection:
        written = [await write_rows(connection, each, f"canary-{each}") for each in (victim, stranger)]
    return Seeded(database_urls, victim, stranger, *written)


async def write_rows(connection: asyncpg.Connection, tenant_id: UUID, canary: str) -> dict[str, dict[str, Any]]:
    written: dict[str, dict[str, Any]] = {}
    for table, row in rows_of(tenant_id, canary):
        await connection.execute(insert(table, row), *values(table, row))
        written[table.name] = row
    return written


def insert(table: Table, row: Mapping[str, Any]) -> str:
    numbers = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return f"INSERT INTO belfry.{table.name} ({', '.join(row)}) VALUES ({numbers})"


def values(table: Table, row: Mapping[str, Any]) -> list[Any]:
    return [
        orjson.dumps(value).decode() if isinstance(table.columns[name].type, JSONB) else value
        for name, value in row.items()
    ]


def key_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def key_is(table: Table, first: int = 1, alias: str = "") -> str:
    return " AND ".join(f"{alias}{name} = ${number}" for number, name in enumerate(key_of(table), start=first))


def some_column(table: Table) -> str:
    return next(column.name for column in table.columns if not column.primary_key and column.computed is None)


Attempt = tuple[str, str, list[Any]]


def attempts(table: Table, row: dict[str, Any]) -> Iterator[Attempt]:
    """(verb, SQL, arguments): everything the app could try against one row of somebody else."""
    name, keys, column = f"belfry.{table.name}", key_of(table), some_column(table)
    key, all_values = [row[each] for each in keys], values(table, row)
    new_row = {**row, **({"id": identifiers.new()} if "id" in row else {})}
    new_values = values(table, new_row)
    conflict = f"{insert(table, row)} ON CONFLICT ({', '.join(keys)})"
    casts = ", ".join(
        f"${number}::{table.columns[each].type.compile(dialect=DIALECT)}" for number, each in enumerate(keys, start=1)
    )
    merge = f"MERGE INTO {name} t USING (SELECT {casts}) s ({', '.join(keys)}) ON " + " AND ".join(
        f"t.{each} = s.{each}" for each in keys
    )
    yield "SELECT", f"SELECT * FROM {name} WHERE {key_is(table)}", key
    yield "SELECT", f"SELECT * FROM {name} WHERE tenant_id = $1", [row["tenant_id"]]
    yield "SELECT", f"SELECT 1 FROM {name} WHERE tenant_id = $1 FOR UPDATE", [row["tenant_id"]]
    yield "INSERT", insert(table, new_row), new_values
    yield "INSERT", f"{insert(table, new_row)} RETURNING tenant_id", new_values
    yield "UPDATE", f"UPDATE {name} SET {column} = {column} WHERE {key_is(table)}", key
    yield "UPDATE", f"UPDATE {name} SET {column} = {column} WHERE tenant_id = $1", [row["tenant_id"]]
    yield "DELETE", f"DELETE FROM {name} WHERE {key_is(table)}", key
    yield "ON CONFLICT", f"{conflict} DO NOTHING", all_values
    yield "ON CONFLICT", f"{conflict} DO UPDATE SET {column} = excluded.{column}", all_values
    yield "MERGE", f"{merge} WHEN MATCHED THEN UPDATE SET {column} = t.{column}", key
    yield "MERGE", f"{merge} WHEN MATCHED THEN DELETE", key
    yield "MERGE", f"{merge} WHEN NOT MATCHED THEN INSERT ({', '.join(row)}) VALUES ({literals(table, new_row)})", key
    yield "RETURNING", f"UPDATE {name} SET {column} = {column} WHERE {key_is(table)} RETURNING old.*, new.*", key
    yield "RETURNING", f"DELETE FROM {name} WHERE {key_is(table)} RETURNING *", key
    yield "RETURNING", f"{merge} WHEN MATCHED THEN DELETE RETURNING t.*", key


def literals(table: Table, row: Mapping[str, Any]) -> str:
    """MERGE has more values than parameters that can be told apart by type; these are the tests' own words."""

    def literal(name: str, value: Any) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'::bytea"
        if isinstance(value, list):
            return "ARRAY[" + ", ".join(f"'{each}'" for each in value) + "]::text[]"
        if isinstance(table.columns[name].type, JSONB):
            return f"'{orjson.dumps(value).decode()}'::jsonb"
        return f"'{value}'"

    return ", ".join(literal(name, value) for name, value in row.items())


@asynccontextmanager
async def session_of(urls: Mapping[str, str], tenant: str | None) -> AsyncIterator[asyncpg.Connection]:
    async with connection_as(urls, "belfry_app") as connection:
        if tenant is not None:
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", tenant)
        yield connection


async def fingerprint(urls: Mapping[str, str], tenant_id: UUID) -> dict[str, str]:
    """What every table holds of one organization, row versions included, as the superuser sees it."""
    async with connection_as(urls, "postgres") as connection:
        return {
            table.name: hashlib.sha256(
                b"".join(
                    repr(tuple(row)).encode()
                    for row in await connection.fetch(
                        f"SELECT xmin::text, t::text FROM belfry.{table.name} t WHERE tenant_id = $1 ORDER BY t::text",
                        tenant_id,
                    )
                )
            ).hexdigest()
            for table in tenant_tables()
        }


async def try_everything(seeded: Seeded, tenant: str | None) -> tuple[int, int, list[str]]:
    """(attempts, refusals, breaches): each attempt commits if the database lets it."""
    count = refused = 0
    breaches: list[str] = []
    async with session_of(seeded.urls, tenant) as connection:
        for table in tenant_tables():
            for verb, sql, arguments in attempts(table, seeded.rows[table.name]):
                count += 1
                try:
                    statement = await connection.prepare(sql)
                    rows = await statement.fetch(*arguments)
                except REFUSALS:
                    refused += 1
                    continue
                status = statement.get_statusmsg()
                if rows or not status.endswith(" 0"):
                    breaches.append(f"{verb} {table.name}: {status}, {len(rows)} rows: {sql}")
    return count, refused, breaches


@pytest.mark.parametrize("state", ["unset", "empty", "malformed", "other", "unknown"])
async def test_no_verb_reaches_another_organizations_row(
    seeded: Seeded, state: str, tell: Callable[[str], None]
) -> None:
    before = await fingerprint(seeded.urls, seeded.victim)
    others = {**OUTSIDERS, "other": str(seeded.stranger), "unknown": str(identifiers.new())}
    count, refused, breaches = await try_everything(seeded, others[state])
    assert breaches == []
    assert await fingerprint(seeded.urls, seeded.victim) == before, "not a row was written"
    tables = len(tenant_tables())
    assert count == tables * 16
    tell(f"P2 tenant {state}: {tables} tables, {count} attempts, {refused} refused, 0 rows seen, 0 writes")


async def test_the_same_attempts_succeed_for_the_owner_of_the_rows(database_urls: Mapping[str, str]) -> None:
    """The control: what is refused above is refused for the organization, not because the SQL is wrong."""
    tenant = identifiers.new()
    async with connection_as(database_urls, "postgres") as connection:
        rows = await write_rows(connection, tenant, "control")
    worked: set[str] = set()
    async with session_of(database_urls, str(tenant)) as connection:
        for table in tenant_tables():
            for verb, sql, arguments in attempts(table, rows[table.name]):
                transaction = connection.transaction()
                await transaction.start()
                try:
                    statement = await connection.prepare(sql)
                    found = await statement.fetch(*arguments)
                    if found or not statement.get_statusmsg().endswith(" 0"):
                        worked.add(f"{verb} {table.name}")
                except (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError):
                    pass
                finally:
                    await transaction.rollback()
    names = {table.name for table in tenant_tables()}
    assert {f"SELECT {name}" for name in names} <= worked
    assert {f"UPDATE {name}" for name in names} <= worked
    assert {f"ON CONFLICT {name}" for name in names} <= worked
    assert {f"RETURNING {name}" for name in names} <= worked
    ledgers = {"audit_event", "delivery_attempt"}
    assert {f"MERGE {name}" for name in names - ledgers} <= worked


async def test_an_unfiltered_statement_reaches_own_rows_only(seeded: Seeded) -> None:
    async with session_of(seeded.urls, str(seeded.stranger)) as connection:
        for table in tenant_tables():
            found = await connection.fetch(f"SELECT DISTINCT tenant_id FROM belfry.{table.name}")
            assert [row[0] for row in found] == [seeded.stranger], table.name
            assert f"canary-{seeded.victim}" not in str(await connection.fetch(f"SELECT * FROM belfry.{table.name}"))
            transaction = connection.transaction()
            await transaction.start()
            column = some_column(table)
            touched = await connection.fetch(f"UPDATE belfry.{table.name} SET {column} = {column} RETURNING tenant_id")
            assert {row[0] for row in touched} == {seeded.stranger}, table.name
            await transaction.rollback()


async def test_no_row_can_be_moved_to_another_organization(seeded: Seeded) -> None:
    async with session_of(seeded.urls, str(seeded.stranger)) as connection:
        for table in tenant_tables():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE belfry.{table.name} SET tenant_id = $1", seeded.victim)


async def test_no_reference_can_point_into_another_organization(seeded: Seeded) -> None:
    tried = 0
    async with session_of(seeded.urls, str(seeded.stranger)) as connection:
        for table in tenant_tables():
            for column in table.columns:
                target = column.info.get("tenant_reference")
                if target is None:
                    continue
                tried += 1
                with pytest.raises(asyncpg.ForeignKeyViolationError):
                    await connection.execute(
                        f"UPDATE belfry.{table.name} SET {column.name} = $1", seeded.rows[target]["id"]
                    )
    assert tried > 40


async def test_another_organizations_key_cannot_be_told_from_a_free_one(seeded: Seeded) -> None:
    """A global unique key would answer "taken"; here the answer is the same whether the victim has the key or not."""
    victims, free = seeded.rows["department"], {**seeded.rows["department"], "id": identifiers.new(), "code": "FREE"}
    table = next(each for each in tenant_tables() if each.name == "department")
    answers: list[str] = []
    async with session_of(seeded.urls, str(seeded.stranger)) as connection:
        for row in (victims, free):
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
                await connection.execute(insert(table, row), *values(table, row))
            answers.append(str(refusal.value))
        own = {**victims, "tenant_id": seeded.stranger, "parent_id": None, "code": "SAMEID"}
        await connection.execute(insert(table, own), *values(table, own))  # the victim's id is free here
        await connection.execute(
            "DELETE FROM belfry.department WHERE tenant_id = $1 AND code = 'SAMEID'", seeded.stranger
        )
    assert answers[0] == answers[1]


async def test_partitions_and_structure_are_closed_to_the_app(seeded: Seeded) -> None:
    async with connection_as(seeded.urls, "postgres") as connection:
        partitions = await connection.fetch(
            "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'"
            " AND relnamespace = 'belfry'::regnamespace"
        )
    assert len(partitions) >= 20
    forbidden = [
        *(f"SELECT * FROM belfry.{row[0]}" for row in partitions),
        *(f"TRUNCATE belfry.{table.name}" for table in tenant_tables()),
        "CREATE TABLE belfry.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE belfry.department DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON belfry.department",
        "CREATE TRIGGER t BEFORE UPDATE ON belfry.department EXECUTE FUNCTION f()",
        "SET ROLE belfry_owner",
        "SET SESSION AUTHORIZATION postgres",
        "COPY belfry.department FROM PROGRAM 'id'",
    ]
    async with session_of(seeded.urls, str(seeded.stranger)) as connection:
        for sql in forbidden:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)


async def test_turning_row_security_off_is_an_error_and_not_a_way_around(seeded: Seeded) -> None:
    async with session_of(seeded.urls, None) as connection:
        await connection.execute("SET row_security = off")
        for table in tenant_tables():
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await connection.fetch(f"SELECT * FROM belfry.{table.name}")


async def test_every_other_serving_role_has_exactly_its_own_tables(seeded: Seeded) -> None:
    expected = {
        "belfry_relay": {"outbox": {"SELECT", "UPDATE", "DELETE"}, "job": {"SELECT", "UPDATE", "DELETE"}},
        "belfry_auditor": {"audit_head": {"SELECT"}, "audit_event": {"SELECT"}, "organization": {"SELECT"}},
        "belfry_search": {},
    }
    query = (
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE table_schema = 'belfry' AND grantee = ANY ($1)"
    )
    found: dict[str, dict[str, set[str]]] = {role: {} for role in expected}
    async with connection_as(seeded.urls, "postgres") as connection:
        for role, table, privilege in await connection.fetch(query, list(expected)):
            found[role].setdefault(table, set()).add(privilege)
    assert found == expected


async def test_the_relay_sees_all_organizations_and_the_auditor_one(seeded: Seeded) -> None:
    both = {seeded.victim, seeded.stranger}
    async with connection_as(seeded.urls, "belfry_relay") as connection:
        for name in ("outbox", "job"):
            assert both <= {row[0] for row in await connection.fetch(f"SELECT tenant_id FROM belfry.{name}")}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM belfry.department")
    async with connection_as(seeded.urls, "belfry_auditor") as connection:
        assert await connection.fetch("SELECT * FROM belfry.audit_event") == []
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", str(seeded.stranger))
        found = await connection.fetch("SELECT tenant_id FROM belfry.audit_event")
        assert {row[0] for row in found} == {seeded.stranger}
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE mine (id int)")


async def test_forced_row_security_binds_the_owner_too(seeded: Seeded) -> None:
    async with connection_as(seeded.urls, "belfry_owner") as connection:
        for table in tenant_tables():
            assert await connection.fetch(f"SELECT 1 FROM belfry.{table.name}") == [], table.name


def test_the_experiment_covers_every_tenant_table() -> None:
    kinds = table_registry()
    assert {table.name for table in tenant_tables()} == {name for name in kinds if kinds[name] is TableKind.TENANT}
    assert len(tenant_tables()) >= 26
