# SPDX-License-Identifier: EUPL-1.2
"""For systems without a death signal: a process that stops recorded pids when its owner's pipe closes.

`python watchdog.py` reads lines "<pid> <signal number>" from standard input. The owner alone holds the other end, so
end of file means that it ended, however it ended. A pid whose process has another parent by then is still stopped: it
was handed to init when its owner died. Standard library only, because it is run as a file.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

WATCHED_MAX = 1_000
PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.05


class Watchdog:
    """The owner's side: starts the process on first use and tells it each child."""

    _shared: "Watchdog | None" = None

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    @classmethod
    def shared(cls) -> "Watchdog":
        """The one watchdog of this process."""
        if cls._shared is None:
            cls._shared = cls()
        return cls._shared

    def watch(self, pid: int, number: signal.Signals) -> None:
        """Stop `pid` with this signal if we end first."""
        self._tell(f"{pid} {int(number)}\n")

    def forget(self, pid: int) -> None:
        """The process has ended: its number may soon be somebody else's."""
        self._tell(f"{pid} 0\n")

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            return
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()


def watch(lines: Iterable[str]) -> None:
    """Remember what the lines say; at their end stop every process still remembered, kill what stays."""
    remembered: dict[int, int] = {}
    for line in lines:
        pid, number = (int(part) for part in line.split())
        if number and len(remembered) < WATCHED_MAX:
            remembered[pid] = number
        else:
            remembered.pop(pid, None)
    for pid, number in remembered.items():
        with contextlib.suppress(OSError):
            os.kill(pid, number)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (remembered := {pid: number for pid, number in remembered.items() if _runs(pid)}) and (
        time.monotonic() < deadline
    ):
        time.sleep(POLL_SECONDS)
    for pid in remembered:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(sys.stdin)
