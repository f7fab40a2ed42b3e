# SPDX-License-Identifier: EUPL-1.2
"""`./belfry up`: the one process that owns every other one.

Servers, then what prepares the database, then the edges; ready means that the API says so. Whatever dies afterwards is
started again. On the way out the order is reversed, and if there is no way out (`kill -9`), the kernel does it.
"""

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.embedded import environment, state
from services.embedded.errors import EmbeddedError, PortInUse
from services.embedded.interruption import Interruption, StopRequested
from services.embedded.processes import Child, ChildCommand, run_to_end, stop_children, wait_until_ready
from services.embedded.progress import Progress
from services.embedded.servers import CHECKOUT, ROLES_FILE, EmbeddedServers

HOST = "127.0.0.1"
READINESS_PATH = "/readyz"
READINESS_SECONDS_MAX = 5.0
ANSWER_CHARACTERS_MAX = 500
TEND_SECONDS = 1.0
RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 15.0
STEADY_SECONDS = 60.0  # Whoever lived this long has not failed to start: the wait begins anew.


@dataclass(frozen=True)
class Plan:
    """What `up` runs once the servers answer.

    `preparations` run to their end, one after the other, at every start; `first_start` once in the life of the data
    folder; `children` stay. The first of `children` is the API, which answers GET /readyz on `port`.
    """

    port: int
    preparations: Sequence[ChildCommand] = ()
    first_start: Sequence[ChildCommand] = ()
    children: Sequence[ChildCommand] = ()
    children_title: str = "API, workers and relay"
    when_ready: ChildCommand | None = None  # Run once everything is ready; its end is the end of the run.
    closing_lines: Sequence[str] = ()  # Told below the line "Belfry is ready at …".


class Supervisor:
    """Runs a plan on a data folder until it is told to stop, from the main thread."""

    def __init__(self, data_root: Path, plan: Plan, *, progress: Progress, roles_file: Path = ROLES_FILE) -> None:
        self._plan = plan
        self._progress = progress
        self._interruption = Interruption()
        self._wishes = environment.own_wishes()
        self._servers = EmbeddedServers(
            data_root, roles_file=roles_file, progress=progress, pause=self._interruption.pause
        )
        self._root = self._servers.root
        self._children: list[Child] = []
        self._variables: dict[str, str] = {}
        self._restarts: dict[str, Restart] = {}

    def run(self) -> None:
        """Start everything, tend it, and return when asked to stop. Raises EmbeddedError if it cannot start.

        Before anything is started the data folder is ours and the port is free.
        """
        environment.refuse_production(self._wishes)
        with self._interruption.installed():
            try:
                self._root.open(self._interruption.pause)
                check_port_is_free(self._plan.port)
                self._start_servers()
                self._prepare()
                self._start_children()
                self._report_ready()
                if self._plan.when_ready is None:
                    self._tend()
                else:
                    self._progress.say(self._run_step(self._plan.when_ready).last_lines())
            except StopRequested as stop:
                self._progress.say(f"Stopping ({stop.number.name}) ...")
            except OSError as error:  # A full disk, a folder that was taken away: no defect of ours.
                raise EmbeddedError(f"Belfry cannot go on: {error}.") from error
            finally:
                self._stop()
        self._progress.say("Belfry has stopped.")

    def _start_servers(self) -> None:
        state.remove_state(self._root.path)
        uses_own_database = environment.DATABASE_URL in self._wishes
        if not uses_own_database:
            self._root.prepare_for_servers()
        key = None
        if not environment.KEY_VARIABLES & self._wishes.keys():
            sealed_before = (self._root.server_folder / "postgres").exists() and not uses_own_database
            key = state.key_file(self._root.path, sealed_before=sealed_before)
        if environment.VALKEY_URL not in self._wishes:
            self._servers.start_valkey()
        if not uses_own_database:
            self._servers.start_postgres()
        self._variables = environment.belfry_variables(self._wishes, self._servers, port=self._plan.port, key_file=key)

    def _prepare(self) -> None:
        for command in self._plan.preparations:
            self._run_step(command)
        for command in self._plan.first_start:
            done = self._root.path / "done" / command.name
            if not done.exists():
                self._run_step(command)
                done.parent.mkdir(mode=0o700, exist_ok=True)
                done.touch(mode=0o600)

    def _run_step(self, command: ChildCommand) -> Child:
        child = self._child(command)
        with self._progress.step(command.title or command.name):
            run_to_end(child, pause=self._interruption.pause)
        return child

    def _start_children(self) -> None:
        readiness = Readiness(self._plan.port)
        with self._progress.step(self._plan.children_title):
            for command in self._plan.children:
                child = self._child(command)
                self._children.append(child)
                child.start()
            wait_until_ready(
                readiness.ask,
                self._children[0],
                needed=(*self._children[1:], *self._servers.children),
                progress=self._progress,
                pause=self._interruption.pause,
                last_answer=lambda: readiness.last_answer,
            )

    def _report_ready(self) -> None:
        self._write_state()
        self._progress.say(f"Belfry is ready at http://{HOST}:{self._plan.port}")
        for line in self._plan.closing_lines:
            self._progress.say(line)

    def _tend(self) -> None:
        """Start again whatever ends, the servers too, until a pause raises StopRequested."""
        tended = (*self._servers.children, *self._children)
        self._restarts = {child.name: Restart() for child in tended}
        while True:
            for child in tended:
                if child.exit_code is not None:
                    self._restart_when_due(child)
            self._interruption.pause(min(TEND_SECONDS, self._seconds_to_next_restart()))

    def _restart_when_due(self, child: Child) -> None:
        restart = self._restarts[child.name]
        now = time.monotonic()
        if restart.due_at is None:
            wait = restart.plan(now)
            self._progress.say(f"{child.name} {child.ending}: starting it again in {wait:.1f} s (log: {child.log})")
        elif restart.due_at <= now:
            try:
                child.start()
            except EmbeddedError as error:
                wait = restart.plan(now)
                self._progress.say(f"{error} Trying again in {wait:.1f} s.")
            else:
                restart.began(now)
                self._write_state()

    def _seconds_to_next_restart(self) -> float:
        due = [restart.due_at for restart in self._restarts.values() if restart.due_at is not None]
        return max(0.0, min(due, default=time.monotonic() + TEND_SECONDS) - time.monotonic())

    def _stop(self) -> None:
        if self._root.lock_descriptor < 0:
            return
        with contextlib.suppress(OSError):
            state.remove_state(self._root.path)
        stop_children(self._children)
        self._servers.stop()

    def _write_state(self) -> None:
        running = {child.name: child.pid for child in (*self._servers.children, *self._children)}
        state.write_state(
            self._root.path,
            state.State(
                pid=os.getpid(),
                port=self._plan.port,
                public_url=self._variables["BELFRY_PUBLIC_URL"],
                socket_folder=str(self._root.socket_folder) if self._servers.children else "",
                environment=self._variables,
                children={name: pid for name, pid in running.items() if pid is not None},
            ),
        )

    def _child(self, command: ChildCommand) -> Child:
        return Child(
            command,
            log=self._root.logs / f"{command.name}.log",
            environment={**environment.child_environment(self._variables), **command.environment},
            folder=CHECKOUT,
            inherited=(self._root.lock_descriptor,),
        )


class Restart:
    """When a child that died is started again: at once, then after ever longer waits, until it lives steadily."""

    def __init__(self) -> None:
        self.due_at: float | None = None
        self._failures = 0
        self._began_at = time.monotonic()

    def plan(self, now: float) -> float:
        """Set the next start; returns the seconds until then."""
        if now - self._began_at > STEADY_SECONDS:
            self._failures = 0
        wait = min(RESTART_SECONDS * 2**self._failures, RESTART_SECONDS_MAX)
        self._failures += 1
        self.due_at = now + wait
        return wait

    def began(self, now: float) -> None:
        """It was started."""
        self.due_at = None
        self._began_at = now


class Readiness:
    """Asks the API whether all parts are ready, and keeps the last answer for whoever waits in vain."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.last_answer = "none"

    def ask(self) -> bool:
        """Whether GET /readyz answers 200."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=READINESS_SECONDS_MAX)
        try:
            connection.request("GET", READINESS_PATH)
            response = connection.getresponse()
            body = response.read(ANSWER_CHARACTERS_MAX).decode(errors="replace")
            self.last_answer = f"{response.status} {body}"
        except (OSError, http.client.HTTPException):
            return False
        else:
            return response.status == http.HTTPStatus.OK
        finally:
            connection.close()


def check_port_is_free(port: int) -> None:
    """Raise PortInUse if somebody listens on `port`, EmbeddedError if we may not listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As the API does: ended connections do not count.
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except PermissionError as error:
            raise EmbeddedError(
                f"Port {port} needs rights that you do not have: name another one with --port."
            ) from error
        except OSError as error:
            raise PortInUse(port) from error
