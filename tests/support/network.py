# SPDX-License-Identifier: EUPL-1.2
"""No test may speak to another machine: every connection that is not loopback is refused and fails the test."""

import ipaddress
import re
import sys
from typing import Any

SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKING_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
NUMERIC = re.compile(r"^[0-9a-fA-Fx.:%]+$")

attempts: list[str] = []
"""What was tried since the last look."""


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


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in SENDING:
        address = arguments[-1]
        if isinstance(address, tuple) and address and not is_loopback(str(address[0])):
            _refuse(f"{event} to {address[0]}")
    elif event in LOOKING_UP:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        # Numbers in any notation are read on this machine; whether one may connect to them is asked above.
        if host is not None and not is_loopback(host) and not NUMERIC.match(host):
            _refuse(f"{event} of {host}")


def _refuse(what: str) -> None:
    attempts.append(what)
    raise NotLoopback(f"A test may only use loopback: {what}.")
