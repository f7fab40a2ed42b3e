# SPDX-License-Identifier: EUPL-1.2
"""The one embedded PostgreSQL and Valkey of a test run, owned by the process that outlives all others.

Under pytest-xdist that is the controller, which hands the addresses to its workers; alone it is the test process, which
starts them when the first test asks. Either way a crash or Ctrl-C of the run takes the servers with it.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import asyncpg
from sqlalchemy import make_url

from services.embedded import EmbeddedServers, temporary_servers
from services.kernel import migrations
from services.kernel.settings import Environment, Settings

T = TypeVar("T")

ROLES = ("postgres", "belfry_owner", "belfry_app", "belfry_relay", "belfry_auditor", "belfry_backup")
TEMPLATE = "belfry"
KEY = "c2l4dGVlbiBieXRlcyBvZiBub3RoaW5nIHNlY3JldCE="
"""The key-encryption key of the tests: 32 bytes that protect nothing."""


@dataclass(frozen=True)
class Servers:
    """Where the servers are. `urls` holds one URL per role, on the template database."""

    urls: Mapping[str, str]
    valkey: str

    def database_urls(self, name: str) -> dict[str, str]:
        """The URL of one database for every role."""
        return {
            role: make_url(url).set(database=name).render_as_string(hide_password=False)
            for role, url in self.urls.items()
        }

    def valkey_url(self, number: int) -> str:
        """The URL of one numbered Valkey database; worker number n of a run has database n."""
        return f"{self.valkey.partition('?')[0]}?db={number}"

    def as_input(self) -> dict[str, Any]:
        """What travels to a worker process."""
        return asdict(self)

    @classmethod
    def from_input(cls, values: Mapping[str, Any]) -> Self:
        return cls(urls=values["urls"], valkey=values["valkey"])


class ServerOwner:
    """Starts both servers once, with a migrated template database, and stops them at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._servers: Servers | None = None

    def start(self) -> Servers:
        """The servers; started and migrated by the first call. From the main thread only."""
        if self._servers is None:
            running = self._stack.enter_context(temporary_servers())
            self._servers = _addresses(running)
            make_template(self._servers)
        return self._servers

    def stop(self) -> None:
        self._stack.close()


def make_settings(urls: Mapping[str, str], valkey_url: str, **changes: Any) -> Settings:
    """Settings for one database; `changes` replaces single fields."""
    values: dict[str, Any] = {
        "environment": Environment.TEST,
        "database_url": urls["belfry_app"],
        "owner_database_url": urls["belfry_owner"],
        "relay_database_url": urls["belfry_relay"],
        "auditor_database_url": urls["belfry_auditor"],
        "valkey_url": valkey_url,
        "key": KEY,
    }
    return Settings(**{**values, **changes})


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a thread of its own: fixtures that are not async share no loop with the tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def migrate(urls: Mapping[str, str], valkey_url: str, revision: str = "head") -> None:
    """Bring a database up, on a thread of its own, because the runner opens its own loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(migrations.upgrade, make_settings(urls, valkey_url), revision).result()


def make_template(servers: Servers) -> None:
    """Migrate the template once; from then on nobody may connect to it, so that it can be copied at any moment."""
    migrate(servers.urls, servers.valkey_url(0))
    run_apart(_close_template(servers))


async def _close_template(servers: Servers) -> None:
    connection = await asyncpg.connect(plain(servers.database_urls("postgres")["postgres"]))
    try:
        await connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
    finally:
        await connection.close()


def plain(url: str) -> str:
    """The URL as asyncpg reads it."""
    return url.replace("postgresql+asyncpg://", "postgresql://")


def _addresses(running: EmbeddedServers) -> Servers:
    return Servers({role: running.database_url(role, TEMPLATE) for role in ROLES}, running.valkey_url(0))
