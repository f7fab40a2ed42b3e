# SPDX-License-Identifier: EUPL-1.2
"""The pool of connections: nobody inherits anything, and whatever is busy or away says "try again"."""

from collections.abc import Mapping

import pytest
from sqlalchemy import event, text
from sqlmodel import col

from services.kernel import database as kernel
from services.kernel.access import Actor
from services.kernel.database import Database
from services.kernel.errors import ServiceUnavailable
from services.kernel.identifiers import new
from services.kernel.isolation import owned
from services.tenancy.models import Department
from tests.support.database import connection_as
from tests.support.organizations import TestOrganization


async def test_the_reset_listener_takes_away_what_a_session_set(database_urls: Mapping[str, str]) -> None:
    for listening, expected in ((False, "left behind"), (True, None)):
        database = Database(database_urls["belfry_app"], pool_size=1)
        if not listening:  # the control: the pool alone only rolls back
            event.remove(database.engine.sync_engine, "reset", kernel._reset)
        async with database.directory() as directory:
            await (await directory._session.connection()).exec_driver_sql("SET belfry.word = 'left behind'")
        async with database.directory() as directory:
            question = "SELECT nullif(current_setting('belfry.word', true), '')"
            found = await (await directory._session.connection()).exec_driver_sql(question)
            assert found.scalar_one() == expected
        await database.close()


async def test_a_pool_that_is_exhausted_says_try_again(
    database_urls: Mapping[str, str], organization: TestOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "CHECKOUT_SECONDS_MAX", 0.05)
    database = Database(database_urls["belfry_app"], pool_size=1)
    async with database.snapshot(organization.system):
        with pytest.raises(ServiceUnavailable):
            async with database.snapshot(organization.system):
                pytest.fail("there was a second connection")
    await database.close()


async def test_a_database_that_is_away_says_try_again() -> None:
    database = Database("postgresql+asyncpg://belfry_app@/belfry?host=/nonexistent")
    with pytest.raises(ServiceUnavailable):
        async with database.directory() as directory:
            await directory.check()
    await database.close()


async def test_a_database_that_takes_no_more_connections_says_try_again(fresh_database: Mapping[str, str]) -> None:
    async with connection_as(fresh_database, "postgres") as connection:
        name = fresh_database["postgres"].partition("?")[0].rpartition("/")[2]
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    database = Database(fresh_database["belfry_app"])
    with pytest.raises(ServiceUnavailable):
        async with database.directory() as directory:
            await directory.check()
    await database.close()


async def test_a_connection_that_is_cut_says_try_again_and_the_next_one_works(
    fresh_database: Mapping[str, str],
) -> None:
    database = Database(fresh_database["belfry_app"], pool_size=2)
    actor = Actor.system(new())
    async with connection_as(fresh_database, "postgres") as administrator:
        with pytest.raises(ServiceUnavailable):
            async with database.unit_of_work(actor) as uow:
                await administrator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'belfry_app' AND datname = current_database()"
                )
                await uow.rows(text("SELECT 1"))
    async with database.snapshot(actor) as snapshot:
        assert (await snapshot.rows(text("SELECT 1")))[0][0] == 1
    await database.close()


async def test_a_lock_that_cannot_be_had_says_try_again(database: Database, organization: TestOrganization) -> None:
    statement = owned(Department, col(Department.code) == "ROADS").with_for_update()
    async with database.unit_of_work(organization.system) as holder:
        await holder.one(statement)
        with pytest.raises(ServiceUnavailable):
            async with database.unit_of_work(organization.system) as uow:
                await uow.write(text("SET LOCAL lock_timeout = '20ms'"))
                await uow.one(statement)
