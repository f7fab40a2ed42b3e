# SPDX-License-Identifier: EUPL-1.2
"""No test may speak to another machine: every connection that is not loopback is refused and fails the test."""

import ipaddress
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKING_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
NUMERIC = re.compile(r"^[0-9a-fA-Fx.:%]+$")

attempts: list[str] = []
"""What was tried since the last look."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One datagram or connection on its way: from which port of ours, to whom."""

    event: str
    own_port: int
    host: str
    port: int


recordings: list[list[Contact]] = []
"""The tapes that run at the moment."""
recording: ContextVar[tuple[int, ...]] = ContextVar("recording", default=())
"""Which of them this task, or the one that began it, has started."""


class NotLoopback(RuntimeError):
    """A test tried to reach another machine."""


def is_loopback(host: str) -> bool:
    """Whether an address, or one of the names that never leave this machine, is our own."""
    if host in {"", "localhost"} or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_other_machines() -> None:
    """Watch every socket of this process from now on; an audit hook cannot be taken away again."""
    sys.addaudithook(_watch)


def take_attempts() -> list[str]:
    """The attempts since the last call."""
    found = attempts.copy()
    attempts.clear()
    return found


@contextmanager
def recorded() -> Iterator[list[Contact]]:
    """Everything that the caller, with all that it begins, sends to anybody meanwhile, loopback included.

    What other tasks of this process do is none of its business: servers and pools of earlier tests live on beside it.
    Other threads are recorded whoever began them, because they know nothing of tasks.

    For tests whose client is free to try other machines: what would leave this one fails as if nobody listened there,
    and is not held against the test, which judges the tape itself.
    """
    tape = list[Contact]()
    recordings.append(tape)
    started = recording.set((*recording.get(), id(tape)))
    try:
        yield tape
    finally:
        recording.reset(started)
        recordings[:] = [each for each in recordings if each is not tape]


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in SENDING:
        address = arguments[-1]
        if not isinstance(address, tuple) or not address:
            return
        tapes = _tapes()
        for tape in tapes:
            tape.append(Contact(event, _own_port(arguments[0]), str(address[0]), int(address[1])))
        if is_loopback(str(address[0])):
            return
        if tapes:
            raise ConnectionRefusedError(f"Nobody listens at {address[0]} during a test.")
        _refuse(f"{event} to {address[0]}")
    elif event in LOOKING_UP:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        # Numbers in any notation are read on this machine; whether one may connect to them is asked above.
        if host is not None and not is_loopback(host) and not NUMERIC.match(host):
            _refuse(f"{event} of {host}")


def _tapes() -> list[list[Contact]]:
    if threading.current_thread() is not threading.main_thread():
        return recordings
    mine = recording.get()
    return [tape for tape in recordings if id(tape) in mine]


def _own_port(one: Any) -> int:
    try:
        return int(one.getsockname()[1]) if isinstance(one, socket.socket) else 0
    except (OSError, IndexError):
        return 0


def _refuse(what: str) -> None:
    attempts.append(what)
    raise NotLoopback(f"A test may only use loopback: {what}.")
