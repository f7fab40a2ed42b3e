# SPDX-License-Identifier: EUPL-1.2
"""How Alembic reaches the database: as belfry_owner, one transaction a migration, with a short lock timeout."""

import asyncio

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import services.models  # noqa: F401  registers every table
from alembic import context
from services.kernel.isolation import BOOKKEEPING, SCHEMA
from services.kernel.migrations import PARTITIONED


def include_object(_item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Compare everything but the bookkeeping tables and the partitions, which no model describes."""
    if kind != "table" or name is None:
        return True
    return name not in BOOKKEEPING and not name.startswith(tuple(f"{each}_" for each in PARTITIONED))


def migrate(connection: Connection) -> None:
    connection.exec_driver_sql("SET lock_timeout = '2s'")
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
        include_object=include_object,
        transaction_per_migration=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    engine = create_async_engine(context.config.attributes["url"])
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
