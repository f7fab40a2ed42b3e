# SPDX-License-Identifier: EUPL-1.2
"""The servers of a bench: the product's own embedded PostgreSQL and Valkey, with memory as a server in service has it.

Nothing is traded for speed: data is synced to disk as `./belfry up` does it. The database `belfry` stays empty and is
the template of data sets, each of which is a database of its own; what writes gets a copy of a data set and drops it.
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import asyncpg

from bench.plans import CONVERSATIONS
from services.embedded import EmbeddedError, EmbeddedServers, Progress
from services.kernel import migrations
from services.kernel.settings import Environment, Settings

POSTGRES_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "2GB",
    "effective_cache_size": "6GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
"""What differs from PostgreSQL's defaults, and what a reader wants to be sure of."""

SCALE_MIN, SCALE_MAX = 0.001, 10.0
TEMPLATE = "belfry"
LOGIN_ROLES = "belfry_app, belfry_relay, belfry_auditor, belfry_backup, belfry_owner"
KEY = "c2l4dGVlbiBieXRlcyBvZiBub3RoaW5nIHNlY3JldCE="
"""The key-encryption key of benches: 32 bytes that protect nothing."""


class Engines:
    """Running servers, and the databases on them. Names of databases are the code's own words."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers

    def url(self, role: str, database: str) -> str:
        """The URL of a database for a role, in SQLAlchemy's form for asyncpg."""
        return self._servers.database_url(role, database)

    def settings(self, database: str) -> Settings:
        """What a process of the product is told that serves this database."""
        return Settings(
            environment=Environment.EMBEDDED,
            database_url=self.url("belfry_app", database),
            owner_database_url=self.url("belfry_owner", database),
            relay_database_url=self.url("belfry_relay", database),
            auditor_database_url=self.url("belfry_auditor", database),
            valkey_url=self._servers.valkey_url(),
            key=KEY,  # pyright: ignore[reportArgumentType]  pydantic wraps it
        )

    @contextlib.asynccontextmanager
    async def administrator(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the superuser, whom row security does not bind: for loading, and for looking afterwards."""
        connection = await asyncpg.connect(_plain(self.url("postgres", database)))
        try:
            yield connection
        finally:
            await connection.close()

    async def databases(self) -> dict[str, str]:
        """Every database by name, with its comment."""
        async with self.administrator("postgres") as connection:
            rows = await connection.fetch(
                "select datname, coalesce(shobj_description(oid, 'pg_database'), '') as comment from pg_database"
            )
        return {row["datname"]: row["comment"] for row in rows}

    async def create(self, name: str) -> None:
        """A new database at the newest migration, without a row."""
        await self._copy(TEMPLATE, name)
        await asyncio.to_thread(migrations.upgrade, self.settings(name))

    async def describe(self, name: str, comment: str) -> None:
        """Keep a text with a database."""
        async with self.administrator(name) as connection:
            quoted = await connection.fetchval("select quote_literal($1::text)", comment)
            await connection.execute(f"COMMENT ON DATABASE {name} IS {quoted}")

    async def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        async with self.administrator("postgres") as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextlib.asynccontextmanager
    async def copy_of(self, original: str, purpose: str) -> AsyncIterator[str]:
        """A copy that may be written to; the original stays as it was loaded, for the next run."""
        name = f"{original}_{purpose}"
        await self.drop(name)  # of a run that was killed
        await self._copy(original, name)
        try:
            yield name
        finally:
            await self.drop(name)

    async def _copy(self, original: str, name: str) -> None:
        async with self.administrator("postgres") as connection:
            for statement in (
                f"CREATE DATABASE {name} OWNER belfry_owner TEMPLATE {original} STRATEGY file_copy",
                # The privileges of a database are not copied with it.
                f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
                f"GRANT CONNECT ON DATABASE {name} TO {LOGIN_ROLES}",
            ):
                await connection.execute(statement)


@contextlib.contextmanager
def open_engines(keep: Path | None) -> Iterator[Engines]:
    """Servers on a folder that is kept, or on one that goes with them. From the main thread only."""
    # Both end the run in order, so that the servers stop and the folder goes; asyncio knows what to do with SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder = keep or Path(tempfile.mkdtemp(prefix="belfry-bench-"))
    servers = EmbeddedServers(folder, progress=Progress(sys.stderr))
    try:
        with servers:
            if asyncio.run(_configure(servers)):
                servers.stop()
                servers.start()
            yield Engines(servers)
    except EmbeddedError as error:
        sys.stderr.write(f"belfry: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(128 + signal.SIGINT)
    finally:
        if keep is None:
            shutil.rmtree(servers.root.server_folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


def arguments(name: str, description: str, *, scale: float) -> argparse.ArgumentParser:
    """The options that every bench has; `scale` is the size of its data set unless another one is given."""
    parser = argparse.ArgumentParser(prog=f"./belfry bench {name}", description=description)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the servers' data here, for the next run")
    parser.add_argument(
        "--scale", type=_scale, default=scale, help=f"size of the data set: 1 is {CONVERSATIONS:,} conversations"
    )
    return parser


def measure_by(
    run: Callable[..., Coroutine[Any, Any, int]], name: str, description: str, *, scale: float, rounds: int
) -> NoReturn:
    """Run a bench of several rounds from the command line; `run` takes the servers, the scale and the rounds."""
    parser = arguments(name, description, scale=scale)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each way has its turn")
    given = parser.parse_args()
    with open_engines(given.keep) as engines:
        sys.exit(asyncio.run(run(engines, scale=given.scale, rounds=given.rounds)))


def _scale(text: str) -> float:
    value = float(text)
    if not SCALE_MIN <= value <= SCALE_MAX:
        raise argparse.ArgumentTypeError(f"a scale lies between {SCALE_MIN} and {SCALE_MAX:g}")
    return value


def _plain(url: str) -> str:
    """The URL as asyncpg reads it."""
    return url.replace("postgresql+asyncpg://", "postgresql://")


async def _configure(servers: EmbeddedServers) -> bool:
    """Write the settings into the cluster; returns whether it must be started again to follow them."""
    connection = await asyncpg.connect(_plain(servers.admin_url))
    try:
        for name, value in POSTGRES_SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await connection.execute("SELECT pg_reload_conf()")
        running = await connection.fetchval("select current_setting('shared_buffers')")
        return running != POSTGRES_SETTINGS["shared_buffers"]
    finally:
        await connection.close()
