# SPDX-License-Identifier: EUPL-1.2
"""Failures that a person can act on; the command line prints their text and no traceback.

EmbeddedError
├── AlreadyRunning      another process owns the data folder
├── PortInUse           somebody listens on the port
├── ChildEnded          a program of ours ended before it was ready
└── TookTooLong         a program of ours was not ready in time
"""

from pathlib import Path


class EmbeddedError(Exception):
    """An expected failure, told in one or two sentences; `str(error)` is the whole message."""


class AlreadyRunning(EmbeddedError):
    """The data folder belongs to a living process, `owner_pid`."""

    def __init__(self, data_root: Path, owner_pid: int) -> None:
        super().__init__(
            f"Belfry already runs on {data_root} (process {owner_pid}). "
            "Stop it first, or name another folder with --data."
        )
        self.owner_pid = owner_pid


class PortInUse(EmbeddedError):
    """Another program listens on `port`, so nothing was started."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} on 127.0.0.1 is in use by another program. Name another one with --port.")
        self.port = port


class ChildEnded(EmbeddedError):
    """A child process ended although it was needed; carries the last lines of its log."""

    def __init__(self, name: str, ending: str, log: Path, last_lines: str) -> None:
        told = f"{name} {ending}. " + (f"Its last lines:\n{last_lines}\n" if last_lines else "It wrote nothing. ")
        super().__init__(f"{told}The whole log: {log}")
        self.name = name
        self.last_lines = last_lines


class TookTooLong(EmbeddedError):
    """A child process lives but was not ready within the limit."""

    def __init__(self, name: str, seconds: float, log: Path, last_lines: str, answer: str = "") -> None:
        told = f"{name} was not done after {seconds:.0f} s."
        if answer:
            told += f" Its last answer: {answer}."
        if last_lines:
            told += f" Its last lines:\n{last_lines}"
        super().__init__(f"{told}\nThe whole log: {log}")
        self.name = name
