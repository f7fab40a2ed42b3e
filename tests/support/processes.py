# SPDX-License-Identifier: EUPL-1.2
"""Background processes of a test: real workers and relays as children, by pid, that can be killed at any moment.

A test plays the supervisor: whoever dies stays dead until `start` or `tend`. Nobody outlives the test process.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from services.embedded import CHECKOUT, ChildCommand
from services.embedded.binaries import valkey_server
from services.embedded.processes import Child, stop_children
from services.kernel.settings import Settings

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.05
SOCKET = "valkey.sock"
PERSISTENCE = ("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")


async def until(condition: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """The first answer that is neither None nor False; an AssertionError that says `what` after a bound."""
    deadline = time.monotonic() + seconds
    while True:
        found = await condition()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


def variables_of(settings: Settings) -> dict[str, str]:
    """The environment that gives a child these settings, and nothing else of ours."""
    assert settings.key is not None
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "BELFRY_ENVIRONMENT": settings.environment.value,
        "BELFRY_DATABASE_URL": settings.database_url,
        "BELFRY_RELAY_DATABASE_URL": settings.database_url_as("belfry_relay"),
        "BELFRY_VALKEY_URL": settings.valkey_url,
        "BELFRY_KEY": settings.key.get_secret_value(),
        "BELFRY_POLL_SECONDS": str(settings.poll_seconds),
        "BELFRY_VERIFY_SECONDS": ",".join(map(str, settings.verify_seconds)),
        "BELFRY_OUTBOUND_ALLOW": ",".join(sorted(settings.outbound_allow)),
        "BELFRY_LOG_LEVEL": settings.log_level,
    }


class Crew:
    """The background processes of one installation: `with Crew(settings, folder) as crew: crew.start("all", "relay")`.

    A name is what the process is, `all`, `short`, `long`, `outward` or `relay`, or that with a suffix: `relay-2`.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._variables = variables_of(settings)
        self._folder = folder
        self._children: dict[str, Child] = {}

    def start(self, *names: str) -> None:
        """Start what does not run."""
        for name in names:
            child = self._children.get(name) or self._child(name)
            self._children[name] = child
            if child.pid is None:
                child.start()

    def tend(self) -> list[str]:
        """Start again whoever has ended, as the supervisor does; gives their names."""
        ended = [name for name, child in self._children.items() if child.exit_code is not None]
        self.start(*ended)
        return ended

    async def tend_forever(self) -> None:
        """The supervisor's part, until cancelled."""
        while True:
            self.tend()
            await asyncio.sleep(0.5)

    def kill(self, name: str) -> None:
        """Kill -9, and see it gone."""
        child = self._children[name]
        pid = child.pid
        assert pid is not None, f"{name} does not run: it {child.ending}\n{child.last_lines()}"
        send_kill(child)

    def exit_code(self, name: str) -> int | None:
        """None while it runs."""
        return self._children[name].exit_code

    def logs(self) -> str:
        """Everything that all of them ever wrote."""
        return "\n".join(child.log.read_text(errors="replace") for child in self._children.values())

    def stop(self, *names: str) -> None:
        """Ask some of them to end, as a deployment does, and wait until they have."""
        stop_children([self._children[name] for name in names])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            if child.pid is not None:
                send_kill(child)

    def _child(self, name: str) -> Child:
        command = ChildCommand(name, (sys.executable, "-m", "workers.main", name.partition("-")[0]))
        return _child(command, self._folder, self._variables, CHECKOUT)


class OwnValkey:
    """A Valkey of this test alone, that may be emptied, killed and started again empty: it keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / SOCKET
        options = ("--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder), *PERSISTENCE)
        command = ChildCommand("valkey", (str(valkey_server()), *options))
        self._child = _child(command, folder, {"PATH": "/usr/bin:/bin"}, folder)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        return self._child.pid

    def start(self) -> None:
        self._child.start()

    def kill(self) -> None:
        """Kill -9, and see it gone."""
        send_kill(self._child)

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nobody."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._child.pid is not None
        os.kill(self._child.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.pid is not None:
            send_kill(self._child)


def send_kill(child: Child) -> None:
    """Kill -9 of one child, by pid; returns when it is gone."""
    process = child._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)


def _child(command: ChildCommand, folder: Path, environment: Mapping[str, str], working_folder: Path) -> Child:
    return Child(command, log=folder / f"{command.name}.log", environment=environment, folder=working_folder)
