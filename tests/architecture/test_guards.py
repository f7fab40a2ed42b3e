# SPDX-License-Identifier: EUPL-1.2
"""The guards around all tests work: nothing leaves this machine, and a warning is an error."""

import asyncio
import socket
import warnings

import pytest

from tests.support import network

ELSEWHERE = ["203.0.113.7", "2001:db8::7", "10.0.0.1", "169.254.169.254", "0.0.0.0"]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_connection_to_another_machine_is_refused_and_told(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(0.1)
        with pytest.raises(network.NotLoopback):
            tried.connect((address, 443))
    assert network.take_attempts() == [f"socket.connect to {address}"]


def test_a_datagram_to_another_machine_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried, pytest.raises(network.NotLoopback):
        tried.sendto(b"?", ("203.0.113.7", 53))
    assert len(network.take_attempts()) == 1


async def test_asyncio_cannot_get_around_it() -> None:
    with pytest.raises(network.NotLoopback):
        await asyncio.open_connection("203.0.113.7", 443)
    assert network.take_attempts() != []


@pytest.mark.parametrize("name", ["example.org", b"example.org", "localhost.example.org"])
def test_a_name_of_another_machine_is_not_looked_up(name: str) -> None:
    with pytest.raises(network.NotLoopback):
        socket.getaddrinfo(name, 443)
    assert len(network.take_attempts()) == 1


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for name in ("127.0.0.1", "localhost"):
            with socket.create_connection((name, port), timeout=5):
                pass
    assert network.take_attempts() == []


def test_a_warning_is_an_error() -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


async def test_a_tape_holds_what_was_begun_under_it_and_what_threads_do_and_nothing_of_others() -> None:
    """A pool of an earlier test, which reaches out in the same process, is not what the tape was started for."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        heard.bind(("127.0.0.1", 0))
        go, gone = asyncio.Event(), asyncio.Event()

        def send(to: int) -> None:
            one.sendto(b"?", ("127.0.0.1", to))

        async def another() -> None:
            await go.wait()
            send(heard.getsockname()[1])
            gone.set()

        async def child() -> None:
            send(heard.getsockname()[1])

        foreign = asyncio.create_task(another())
        with network.recorded() as tape:
            go.set()
            await gone.wait()
            assert tape == []
            await asyncio.create_task(child())
            await asyncio.get_running_loop().run_in_executor(None, send, heard.getsockname()[1])
        await foreign
    assert [each.event for each in tape] == ["socket.sendto", "socket.sendto"]
    assert network.recordings == []
