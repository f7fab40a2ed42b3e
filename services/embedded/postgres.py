# SPDX-License-Identifier: EUPL-1.2
"""Embedded PostgreSQL: made by initdb, run as a direct child, reached through a private Unix socket."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

from services.embedded import binaries, state
from services.embedded.data_root import DataRoot
from services.embedded.errors import EmbeddedError
from services.embedded.processes import Child, ChildCommand, Pause, run_to_end, wait_until_ready
from services.embedded.progress import Progress

MAJOR_VERSION = "18"
DATABASE = "belfry"
SUPERUSER = "postgres"
OWNER = "belfry_owner"
# belfry_search is the sixth role of roles.sql; it cannot log in, so it has no password.
LOGIN_ROLES = (OWNER, "belfry_app", "belfry_relay", "belfry_auditor", "belfry_backup")
LOCALE = ("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=PG_UNICODE_FAST")
# Losing the last transactions of a crashed test run is no loss; everybody else keeps PostgreSQL's own defaults.
# A process of tests opens the pools of many processes of Belfry.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "500"}
PROBE_SECONDS_MAX = 5
SCRIPT_SECONDS_MAX = 120


class PostgresServer:
    """One PostgreSQL cluster in `root.server_folder / "postgres"` with the database `belfry` and its roles."""

    def __init__(self, root: DataRoot, *, settings: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._data = root.server_folder / "postgres"
        self._bin = binaries.postgres_bin_folder_for(root.account, root.server_folder)
        # Under another account (we are root) others may run as `nobody` too: then a password is asked for.
        self._passwords: dict[str, str] = (
            state.credentials(root.path, (SUPERUSER, *LOGIN_ROLES)) if root.account.identity else {}
        )
        # Each process of Belfry may open two pools of ten.
        given = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            **(settings or {}),
        }
        self.child = self._child(
            "postgresql",
            (
                *(str(self._bin / "postgres"), "-D", str(self._data), "-k", str(root.socket_folder)),
                *(part for name, value in given.items() for part in ("-c", f"{name}={value}")),
            ),
        )

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return self._data.exists()

    @property
    def admin_url(self) -> str:
        """The superuser's URL, on the maintenance database `postgres`."""
        return self.database_url(SUPERUSER, "postgres")

    def database_url(self, role: str, database: str = DATABASE) -> str:
        """The URL of `database` for `role`, in SQLAlchemy's form for asyncpg, with its password where one is needed."""
        password = self._passwords.get(role)
        user = role if password is None else f"{role}:{password}"
        return f"postgresql+asyncpg://{user}@/{quote(database)}?host={self._root.socket_folder}"

    def make(self, pause: Pause = time.sleep) -> None:
        """Make the cluster; if we are killed meanwhile, the next call begins anew."""
        unfinished = self._data.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self._root.server_folder / "password.new"
        command = [str(self._bin / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, *LOCALE, "--no-sync"]
        if self._passwords:
            state.write_private(password_file, self._passwords[SUPERUSER])
            self._root.account.take(password_file, 0o600)
            command += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        else:
            command += ["--auth=trust"]
        try:
            run_to_end(self._child("initdb", tuple(command)), pause=pause)
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self._data)

    def start(self) -> None:
        """Start the server; `wait_ready` tells when it answers."""
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise EmbeddedError(
                f"{self._data} was made by PostgreSQL {version}, and this Belfry brings PostgreSQL {MAJOR_VERSION}: "
                "name another folder with --data."
            )
        self.child.start()

    def wait_ready(self, progress: Progress, pause: Pause = time.sleep) -> None:
        """Wait until the server takes connections, a recovery included."""
        wait_until_ready(self._answers, self.child, progress=progress, pause=pause)

    def provide(self, roles_file: Path) -> None:
        """Make the database if needed and run `roles_file` in it as superuser; may be repeated, with no effect."""
        try:
            roles = roles_file.read_text(encoding="utf-8")
        except OSError as error:
            raise EmbeddedError(f"The roles of the database cannot be read: {roles_file}: {error.strerror}.") from error
        passwords = "".join(
            f"ALTER ROLE {role} PASSWORD '{self._passwords[role]}';\n" for role in LOGIN_ROLES if self._passwords
        )
        # The owner comes from roles.sql, which runs inside the database: hence the order.
        self._run_script(
            f"SELECT 'CREATE DATABASE {DATABASE}' WHERE NOT EXISTS"
            f" (SELECT FROM pg_database WHERE datname = '{DATABASE}')\\gexec\n"
            f"\\connect {DATABASE}\n{roles}\n;ALTER DATABASE {DATABASE} OWNER TO {OWNER};\n{passwords}"
        )

    def _answers(self) -> bool:
        question = (str(self._bin / "pg_isready"), "-q", "-h", str(self._root.socket_folder), "-t", "1")
        try:
            answer = subprocess.run(question, env=_environment(), cwd="/", timeout=PROBE_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0

    def _run_script(self, script: str) -> None:
        command = (str(self._bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self._root.socket_folder))
        environment = _environment()
        if self._passwords:
            environment["PGPASSWORD"] = self._passwords[SUPERUSER]
        finished = subprocess.run(
            (*command, "-U", SUPERUSER, "-d", "postgres", "-f", "-"),
            input=script.encode(),
            capture_output=True,
            env={**environment, "PGOPTIONS": "-c client_min_messages=warning"},
            cwd="/",
            timeout=SCRIPT_SECONDS_MAX,
            check=False,
        )
        if finished.returncode != 0:
            raise EmbeddedError(f"The roles of the database cannot be set up:\n{finished.stderr.decode().rstrip()}")

    def _child(self, name: str, argv: tuple[str, ...]) -> Child:
        return Child(
            ChildCommand(name, argv, stop_signal=SIGINT),
            log=self._root.logs / f"{name}.log",
            environment=_environment(),
            folder=Path("/"),
            identity=self._root.account.identity,
            inherited=(self._root.lock_descriptor,),
        )


def _environment() -> dict[str, str]:
    # Nothing else: locale and PG* variables of whoever starts us must not shape the cluster.
    return {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
