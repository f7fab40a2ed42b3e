# SPDX-License-Identifier: EUPL-1.2
"""PostgreSQL and Valkey in one data folder: what tests start alone, and what `up` starts first."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from services.embedded import postgres, valkey
from services.embedded.data_root import DataRoot
from services.embedded.errors import EmbeddedError
from services.embedded.postgres import PostgresServer
from services.embedded.processes import Child, Pause, stop_children
from services.embedded.progress import Progress
from services.embedded.valkey import ValkeyServer

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES_FILE = CHECKOUT / "alembic" / "roles.sql"


class EmbeddedServers:
    """Both servers in `data_root`, as a context manager or by `start()` and `stop()`, from the main thread only.

    A crash loses no committed row; `EmbeddedServers.forgetful()` trades that for speed, for tests.
    Raises EmbeddedError for every expected failure.
    """

    def __init__(
        self,
        data_root: Path,
        *,
        roles_file: Path = ROLES_FILE,
        progress: Progress | None = None,
        pause: Pause = time.sleep,
    ) -> None:
        self.root = DataRoot(data_root)
        self.postgres: PostgresServer | None = None
        self.valkey: ValkeyServer | None = None
        self._roles_file = roles_file
        self._progress = progress or Progress()
        self._pause = pause
        self._postgres_settings: dict[str, str] = {}
        self._valkey_persistence = valkey.DURABLE

    @classmethod
    def forgetful(cls, data_root: Path, *, roles_file: Path = ROLES_FILE) -> Self:
        """Servers for tests: nothing is synced to disk, so a crash of the machine may lose or damage everything."""
        servers = cls(data_root, roles_file=roles_file)
        servers._postgres_settings = postgres.FORGETFUL
        servers._valkey_persistence = valkey.FORGETFUL
        return servers

    def start(self) -> None:
        """Own the data folder and start both servers; returns when both answer and the roles exist."""
        self.root.open(self._pause)
        try:
            self.start_valkey()
            self.start_postgres()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both and give the data folder back."""
        for child in reversed(self.children):
            stop_children([child])
        self.root.close()

    @property
    def children(self) -> list[Child]:
        """The servers that were started, in the order of their need: PostgreSQL, Valkey."""
        return [server.child for server in (self.postgres, self.valkey) if server is not None]

    @property
    def socket_folder(self) -> Path:
        """The private folder of the Unix sockets."""
        return self.root.socket_folder

    @property
    def admin_url(self) -> str:
        """The superuser's URL, on the maintenance database `postgres`."""
        return self._running_postgres().admin_url

    def database_url(self, role: str, database: str = postgres.DATABASE) -> str:
        """`postgresql+asyncpg://…?host=<socket folder>` for one of the five login roles or `postgres`."""
        return self._running_postgres().database_url(role, database)

    def valkey_url(self, number: int = 0) -> str:
        """`unix://…?db=<number>`, numbers 0 to 63."""
        if self.valkey is None:
            raise EmbeddedError("The embedded Valkey has not been started.")
        return self.valkey.url(number)

    def start_postgres(self) -> None:
        """Make the cluster on first start, start it, and bring database and roles up to date. The root must be open."""
        self.root.prepare_for_servers()
        server = PostgresServer(self.root, settings=self._postgres_settings)
        if not server.exists:
            with self._progress.step("Making the database cluster"):
                server.make(self._pause)
        self.postgres = server
        with self._progress.step("PostgreSQL 18"):
            server.start()
            server.wait_ready(self._progress, self._pause)
            server.provide(self._roles_file)

    def start_valkey(self) -> None:
        """Start Valkey. The root must be open."""
        self.root.prepare_for_servers()
        server = ValkeyServer(self.root, persistence=self._valkey_persistence)
        self.valkey = server
        with self._progress.step("Valkey 9"):
            server.start()
            server.wait_ready(self._progress, self._pause)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _running_postgres(self) -> PostgresServer:
        if self.postgres is None:
            raise EmbeddedError("The embedded PostgreSQL has not been started.")
        return self.postgres


@contextmanager
def temporary_servers(*, roles_file: Path = ROLES_FILE) -> Iterator[EmbeddedServers]:
    """Forgetful servers in a folder that is made for them and removed with them, for one test run."""
    folder = Path(tempfile.mkdtemp(prefix="belfry-test-"))
    servers = EmbeddedServers.forgetful(folder, roles_file=roles_file)
    try:
        with servers:
            yield servers
    finally:
        shutil.rmtree(servers.root.server_folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
