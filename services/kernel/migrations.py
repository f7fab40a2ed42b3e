# SPDX-License-Identifier: EUPL-1.2
"""The DDL of isolation, for migrations, and the runner that applies them.

What is here alone emits CREATE POLICY: table, keys, forced row security, policy, grants, in an order
that a distributed engine accepts too. Row security binds the owner as well, so a key added later to filled tables is
validated with it lifted for that moment; otherwise orphans would pass unseen.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from alembic.config import Config
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Constraint,
    DateTime,
    PrimaryKeyConstraint,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.sql.elements import conv

from alembic import command
from services.kernel.isolation import SCHEMA, in_words
from services.kernel.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
POLICY = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
ALL_VERBS = ("select", "insert", "update", "delete")
PARTITIONS_AHEAD_MONTHS = 15
ALONE_SECONDS_MAX = 120
MADE_MEANWHILE = frozenset({"23505", "42710", "42P07"})
"""SQLSTATEs of "it exists already": a row of the catalogue, a type, a table."""
PARTITIONED = ("audit_event", "delivery_attempt")


class Op(Protocol):
    """What a migration needs of `alembic.op`."""

    def create_table(self, table_name: str, *columns: Any, **options: Any) -> Any: ...
    def create_foreign_key(self, *names: Any, **options: Any) -> Any: ...
    def execute(self, sqltext: str) -> Any: ...


def tenant_table(
    op: Op,
    name: str,
    *columns: Column[Any],
    references: Mapping[str, str] | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
    constraints: Iterable[UniqueConstraint | CheckConstraint] = (),
    grants: Sequence[str] = ALL_VERBS,
) -> None:
    """Create a tenant table with an id: `(tenant_id, id)` is its key and every reference is composite.

    `references` maps a column to the tenant table it names; `words` a column to the values it may hold.
    """
    op.create_table(
        name,
        Column("tenant_id", Uuid(), nullable=False),
        Column("id", Uuid(), server_default=text("uuidv7()"), nullable=False),
        Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
        *columns,
        PrimaryKeyConstraint("tenant_id", "id", name=f"pk_{name}"),
        *_checks(name, words or {}),
        *_final(constraints),
        schema=SCHEMA,
    )
    for column, target in (references or {}).items():
        _foreign_key(op, name, column, target)
    _secure(op, name)
    _grant(op, name, "belfry_app", grants)


def tenant_ledger(
    op: Op,
    name: str,
    *columns: Column[Any],
    key: Sequence[str],
    words: Mapping[str, Sequence[str]],
    first_month: date,
) -> None:
    """Create a ledger partitioned by month of `at`, from the first month on, with a partition for everything else.

    Nothing may point to it. Partitions have row security of their own and no direct grants.
    """
    op.create_table(
        name,
        Column("tenant_id", Uuid(), nullable=False),
        *columns,
        PrimaryKeyConstraint("tenant_id", *key, name=f"pk_{name}"),
        *_checks(name, words),
        schema=SCHEMA,
        postgresql_partition_by="RANGE (at)",
    )
    _secure(op, name)
    _grant(op, name, "belfry_app", ("select", "insert", "update"))
    op.execute(f"CREATE TABLE {SCHEMA}.{name}_rest PARTITION OF {SCHEMA}.{name} DEFAULT")
    _secure(op, f"{name}_rest")
    for month in months(first_month, PARTITIONS_AHEAD_MONTHS):
        for statement in partition(name, month):
            op.execute(statement)


def platform_table(op: Op, name: str, *items: Any, grants: Sequence[str] = ALL_VERBS) -> None:
    """Create a table that belongs to no organization and has no key to or from one."""
    op.create_table(name, *_final(items), schema=SCHEMA)
    _grant(op, name, "belfry_app", grants)


def add_reference(op: Op, name: str, column: str, target: str) -> None:
    """Add a key to tables that may hold rows. An orphan makes it fail."""
    key = f"fk_{name}_{column}"
    with _unforced(op, name, target):
        op.execute(
            f"ALTER TABLE {SCHEMA}.{name} ADD CONSTRAINT {key} FOREIGN KEY (tenant_id, {column}) "
            f"REFERENCES {SCHEMA}.{target} (tenant_id, id) NOT VALID"
        )
        op.execute(f"ALTER TABLE {SCHEMA}.{name} VALIDATE CONSTRAINT {key}")


def backfill(op: Op, name: str, statement: str) -> None:
    """Change existing rows of all organizations: with row security forced the owner would see none of them."""
    with _unforced(op, name):
        op.execute(statement)


def let_relay(op: Op, name: str, verbs: Sequence[str]) -> None:
    """Open a table to the relay, over all organizations, by a policy for that role alone."""
    op.execute(f"CREATE POLICY relay ON {SCHEMA}.{name} TO belfry_relay USING (true) WITH CHECK (true)")
    _grant(op, name, "belfry_relay", verbs)


def let_search(op: Op, name: str, columns: str) -> None:
    """Let the searches read some columns over all organizations, by a policy for their owner alone."""
    op.execute(f"CREATE POLICY search ON {SCHEMA}.{name} FOR SELECT TO belfry_search USING (true)")
    op.execute(f"GRANT SELECT ({columns}) ON {SCHEMA}.{name} TO belfry_search")


def let_auditor(op: Op, name: str) -> None:
    """Let the auditor read a table, one organization at a time: row security holds for that role too."""
    _grant(op, name, "belfry_auditor", ("select",))


def months(first: date, ahead: int, *, today: date | None = None) -> list[date]:
    """The first days of all months from `first` until `ahead` months from today."""
    last = today or datetime.now(UTC).date()
    count = (last.year - first.year) * 12 + last.month - first.month + ahead
    return [date(first.year + (first.month - 1 + i) // 12, (first.month - 1 + i) % 12 + 1, 1) for i in range(count + 1)]


def partition(name: str, month: date) -> list[str]:
    """The statements that add one month to a ledger."""
    following = months(month, 1, today=month)[-1]
    child = f"{name}_{month:%Y_%m}"
    return [
        (
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{child} PARTITION OF {SCHEMA}.{name} "
            f"FOR VALUES FROM ('{month:%Y-%m-%d}') TO ('{following:%Y-%m-%d}')"
        ),
        *_security(child),
    ]


def _secure(op: Op, name: str) -> None:
    for statement in _security(name):
        op.execute(statement)


def _security(name: str) -> list[str]:
    return [
        f"ALTER TABLE {SCHEMA}.{name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {SCHEMA}.{name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {SCHEMA}.{name} USING ({POLICY}) WITH CHECK ({POLICY})",
    ]


def _grant(op: Op, name: str, role: str, verbs: Sequence[str]) -> None:
    op.execute(f"GRANT {', '.join(verbs)} ON {SCHEMA}.{name} TO {role}")


def _checks(name: str, words: Mapping[str, Sequence[str]]) -> list[CheckConstraint]:
    return [
        CheckConstraint(in_words(column, list(values)), name=conv(f"ck_{name}_{column}"))
        for column, values in words.items()
    ]


def _final(items: Iterable[Any]) -> list[Any]:
    """Names of constraints in a migration are whole: the models' naming convention must not prefix them again."""
    found = list(items)
    for item in found:
        if isinstance(item, Constraint) and isinstance(item.name, str):
            item.name = conv(item.name)
    return found


def _foreign_key(op: Op, name: str, column: str, target: str) -> None:
    op.create_foreign_key(
        f"fk_{name}_{column}",
        name,
        target,
        ["tenant_id", column],
        ["tenant_id", "id"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )


class _unforced:  # noqa: N801  reads as a statement
    """Lift forced row security of some tables inside the transaction of the migration."""

    def __init__(self, op: Op, *tables: str) -> None:
        self.op, self.tables = op, sorted(set(tables))

    def __enter__(self) -> None:
        for table in self.tables:
            self.op.execute(f"ALTER TABLE {SCHEMA}.{table} NO FORCE ROW LEVEL SECURITY")

    def __exit__(self, *_: object) -> None:
        for table in self.tables:
            self.op.execute(f"ALTER TABLE {SCHEMA}.{table} FORCE ROW LEVEL SECURITY")


def config(url: str) -> Config:
    """Alembic's configuration for one database."""
    configuration = Config(toml_file=ROOT / "pyproject.toml")
    configuration.attributes["url"] = make_url(url)
    return configuration


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring a database up, alone: a second runner waits for the row of `migration_lock`."""
    asyncio.run(_alone(make_url(settings.database_url_as("belfry_owner")), revision))


async def _alone(url: URL, revision: str) -> None:
    engine = create_async_engine(url)
    try:
        await make_lock(engine)
        async with engine.begin() as lock:
            await lock.exec_driver_sql(f"SET LOCAL lock_timeout = '{ALONE_SECONDS_MAX}s'")
            await lock.exec_driver_sql(f"INSERT INTO {SCHEMA}.migration_lock VALUES (1) ON CONFLICT DO NOTHING")
            await lock.exec_driver_sql(f"SELECT id FROM {SCHEMA}.migration_lock WHERE id = 1 FOR UPDATE")
            await asyncio.to_thread(command.upgrade, config(url.render_as_string(hide_password=False)), revision)
            async with engine.begin() as connection:
                await connection.run_sync(add_partitions)
                # Serving processes look at it to say whether they are ready.
                await connection.exec_driver_sql(f"GRANT SELECT ON {SCHEMA}.alembic_version TO belfry_app")
    finally:
        await engine.dispose()


async def make_lock(engine: AsyncEngine) -> None:
    """Make the table whose row runners wait for, unless it exists.

    IF NOT EXISTS does not look at what another runner makes at the same instant: whoever comes too late is refused by
    one of three unique indexes of the catalogue, and finds the table made.
    """
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.migration_lock (id int PRIMARY KEY)")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in MADE_MEANWHILE:
            raise


def add_partitions(connection: Connection) -> None:
    """Add the coming months to every ledger. Runs with each migration, because no serving role may create tables."""
    query = text("select relname from pg_class where relnamespace = cast(:schema as regnamespace)")
    present = set(connection.execute(query, {"schema": SCHEMA}).scalars())
    for name in present.intersection(PARTITIONED):
        for month in months(datetime.now(UTC).date().replace(day=1), PARTITIONS_AHEAD_MONTHS):
            if f"{name}_{month:%Y_%m}" not in present:
                for statement in partition(name, month):
                    connection.exec_driver_sql(statement)


async def current_revision(connection: Any) -> str | None:
    """Which migration a database stands at."""
    found = await connection.exec_driver_sql(f"SELECT version_num FROM {SCHEMA}.alembic_version")
    return found.scalar_one_or_none()
