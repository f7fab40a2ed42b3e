# SPDX-License-Identifier: EUPL-1.2
"""Embedded Valkey: the doorbell, run as a direct child, reached through a private Unix socket."""

import os
import socket
import time
from pathlib import Path

from services.embedded import binaries
from services.embedded.data_root import DataRoot
from services.embedded.processes import Child, ChildCommand, Pause, wait_until_ready
from services.embedded.progress import Progress

DATABASES = 64  # Each worker of a test run has one of its own.
PROBE_SECONDS_MAX = 1.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")
FORGETFUL = ("--appendonly", "no")


class ValkeyServer:
    """One Valkey in `root.server_folder / "valkey"`."""

    def __init__(self, root: DataRoot, *, persistence: tuple[str, ...] = DURABLE) -> None:
        self._root = root
        self._data = root.server_folder / "valkey"
        self._socket = root.socket_folder / "valkey"
        program = binaries.valkey_server_for(root.account, root.server_folder)
        places = ("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700", "--dir", str(self._data))
        limits = ("--databases", str(DATABASES), "--maxmemory-policy", "noeviction")
        self.child = Child(
            ChildCommand("valkey", (str(program), *places, *limits, "--save", "", *persistence)),
            log=root.logs / "valkey.log",
            environment={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"},
            folder=Path("/"),
            identity=root.account.identity,
            inherited=(root.lock_descriptor,),
        )

    def url(self, number: int = 0) -> str:
        """The URL of one numbered database, as redis-py and arq read it."""
        return f"unix://{self._socket}?db={number}"

    def start(self) -> None:
        """Start the server; `wait_ready` tells when it answers."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._root.account.take(self._data, 0o700)
        self.child.start()

    def wait_ready(self, progress: Progress, pause: Pause = time.sleep) -> None:
        """Wait until the server answers; while it still reads its file it says LOADING."""
        wait_until_ready(self._answers, self.child, progress=progress, pause=pause)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(PROBE_SECONDS_MAX)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
