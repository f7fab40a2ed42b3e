# SPDX-License-Identifier: EUPL-1.2
"""Databases of tests: copies of the migrated template, and empty ones for the tests of migrations."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from os import getpid
from random import uniform

import asyncpg

from services.embedded.servers import ROLES_FILE
from tests.support.servers import TEMPLATE, Servers, plain, run_apart

LOGIN_ROLES = "belfry_app, belfry_relay, belfry_auditor, belfry_backup, belfry_owner"
TRIES = 20
_numbers = count(1)


def new_name(purpose: str) -> str:
    """A database name that no other process of the run uses."""
    return f"test_{purpose}_{getpid()}_{next(_numbers)}"


@asynccontextmanager
async def connection_as(urls: Mapping[str, str], role: str) -> AsyncIterator[asyncpg.Connection]:
    """A raw connection of one role, without organization."""
    connection = await asyncpg.connect(plain(urls[role]))
    try:
        yield connection
    finally:
        await connection.close()


def create_copy(servers: Servers, name: str) -> dict[str, str]:
    """Copy the migrated template; gives a URL per role."""
    run_apart(_create(servers, name, f"TEMPLATE {TEMPLATE} STRATEGY file_copy"))
    return servers.database_urls(name)


def create_blank(servers: Servers, name: str) -> dict[str, str]:
    """Make a database as an administrator does: the roles and the schema, no tables; gives a URL per role."""
    run_apart(_create(servers, name, "TEMPLATE template0"))
    urls = servers.database_urls(name)
    run_apart(_run_roles(urls))
    return urls


def drop(servers: Servers, name: str) -> None:
    """Remove a database, whoever is still connected."""
    run_apart(_administer(servers, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


async def _create(servers: Servers, name: str, how: str) -> None:
    # The privileges of a database are not copied with it.
    await _administer(
        servers,
        f"CREATE DATABASE {name} OWNER belfry_owner {how}",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {LOGIN_ROLES}",
    )


async def _run_roles(urls: Mapping[str, str]) -> None:
    """Roles belong to all databases of the servers, and two processes of a run may make a database at once."""
    async with connection_as(urls, "postgres") as connection:
        for _ in range(TRIES):
            try:
                await connection.execute(ROLES_FILE.read_text())
            except asyncpg.InternalServerError as error:
                if "concurrently" not in str(error):
                    raise
                await asyncio.sleep(uniform(0.1, 0.5))
            else:
                return
    raise TimeoutError("the roles were changed by somebody else again and again")


async def _administer(servers: Servers, *statements: str) -> None:
    async with connection_as(servers.database_urls("postgres"), "postgres") as connection:
        for statement in statements:
            await connection.execute(statement)
